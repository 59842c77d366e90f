"""Multi-layer perceptrons with scikit-learn's face and a compiled training epoch."""

from importlib.metadata import version

from sklearn_mlp._estimators import MLPClassifier, MLPRegressor

__version__ = version("sklearn-mlp")
__all__ = ["MLPClassifier", "MLPRegressor"]
