"""Optimizers, for a training loop of one's own; estimators are told theirs by `solver`.

An optimizer is settings and nothing else. Its state is apart from it and from the model:
``state = optimizer.init(params)``, then ``optimizer.step(params, gradient, state, lr)`` for each step.
"""

from sklearn_mlp._optim import SGD, Adam, AdamW, OptimizerState

__all__ = ["SGD", "Adam", "AdamW", "OptimizerState"]
