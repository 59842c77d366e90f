"""A set of rows with targets, and how well a network does on it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sklearn_mlp._epoch import Samples, predict_batches
from sklearn_mlp._loss import Loss
from sklearn_mlp._network import Network


@dataclass
class Evaluation:
    """What `Holdout.evaluate` found; `score` and `metrics` as far as asked for."""

    loss: float
    score: float | None
    metrics: dict


@dataclass(kw_only=True)
class Holdout:
    """Rows to judge a network by.

    Parameters
    ----------
    network : Network
        As it is at the time of `evaluate`.
    loss : Loss
    X : ndarray or CSR of shape (n_samples, n_features)
    rows : ndarray of shape (n_rows,), dtype intp, or None
        Which of the samples; None: all.
    targets : ndarray of shape (n_rows, n_targets)
        As the loss takes them.
    labels : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        The targets as the user has them, for scorers.
    sample_weight : ndarray of shape (n_rows,) or None
    fitted : object
        An estimator that predicts with the network, for scorers.
    score : callable, Metric, "loss" or None
        What to watch, the greater the better: ``score(raw, loss, targets, sample_weight)``, a scorer,
        the negative loss, or nothing.
    metrics : sequence of Metric
    """

    network: Network
    loss: Loss
    X: object
    rows: np.ndarray | None
    targets: np.ndarray
    labels: np.ndarray
    sample_weight: np.ndarray | None
    fitted: object
    score: object
    metrics: tuple

    def __post_init__(self):
        self.samples = Samples(self.X)
        weights = self.sample_weight
        self.divisor = len(self.targets) if weights is None else float(weights.sum(dtype=float))

    @cached_property
    def rows_of_X(self):
        return self.X if self.rows is None else self.X[self.rows]

    def evaluate(self):
        """Loss, score and metrics of the network as it is.

        Returns
        -------
        evaluation : Evaluation
            The loss is the mean over rows, without the L2 penalty.
        """
        network, targets, weights = self.network, self.targets, self.sample_weight
        raw = predict_batches(network.layers, network.params, self.samples, self.rows)
        loss = self.loss.total(raw, targets, weights) / self.divisor
        metrics = {metric.name: self._measure(metric, raw) for metric in self.metrics}
        if self.score is None:
            score = None
        elif self.score == "loss":
            score = -loss
        elif callable(self.score):
            score = self.score(raw, self.loss, targets, weights)
        else:
            score = self._measure(self.score, raw)
        return Evaluation(loss, score, metrics)

    def _measure(self, metric, raw):
        if metric.on_training:
            return metric.from_raw(raw, self.targets, self.loss.link, self.sample_weight)
        return metric.from_estimator(self.fitted, self.rows_of_X, self.labels, self.sample_weight)
