"""Losses, for a training loop of one's own; estimators are told theirs by `loss`."""

from sklearn_mlp._loss import Loss

__all__ = ["Loss"]
