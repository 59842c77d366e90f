"""Multi-layer perceptrons with scikit-learn's face and a compiled training epoch."""

from importlib.metadata import version

from sklearn_mlp import losses, optimizers, schedules
from sklearn_mlp._display import LossCurveDisplay
from sklearn_mlp._estimators import MLPClassifier, MLPRegressor
from sklearn_mlp._network import Network
from sklearn_mlp._onnx import register_skl2onnx
from sklearn_mlp._report import FitReport
from sklearn_mlp._serialize import ModelFormatError, from_json, load_json
from sklearn_mlp._tabular_estimators import TabularMLPClassifier, TabularMLPRegressor
from sklearn_mlp._versions import show_versions

__version__ = version("sklearn-mlp")
__all__ = [
    "FitReport",
    "LossCurveDisplay",
    "MLPClassifier",
    "MLPRegressor",
    "ModelFormatError",
    "Network",
    "TabularMLPClassifier",
    "TabularMLPRegressor",
    "from_json",
    "load_json",
    "losses",
    "optimizers",
    "register_skl2onnx",
    "schedules",
    "show_versions",
]
