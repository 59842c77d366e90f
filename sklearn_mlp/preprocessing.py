"""Transformers that bring tables into a form that a network learns from."""

from sklearn_mlp._numeric import RobustSmoothScaler

__all__ = ["RobustSmoothScaler"]
