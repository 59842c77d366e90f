"""Transformers that bring tables into a form that a network learns from."""

from sklearn_mlp._numeric import PiecewiseLinearEncoder, RobustSmoothScaler

__all__ = ["PiecewiseLinearEncoder", "RobustSmoothScaler"]
