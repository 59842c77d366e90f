"""Transformers that bring tables into a form that a network learns from."""

from sklearn_mlp._columns import CategoryEncoder, DateEncoder
from sklearn_mlp._numeric import PiecewiseLinearEncoder, RobustSmoothScaler
from sklearn_mlp._tabular import tabular_preprocessor

__all__ = [
    "CategoryEncoder",
    "DateEncoder",
    "PiecewiseLinearEncoder",
    "RobustSmoothScaler",
    "tabular_preprocessor",
]
