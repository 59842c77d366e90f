"""Metrics by name: ours, computed from raw scores, and scikit-learn's scorers.

A metric of ours is a function and a row of `METRICS`. It is computed from what the network puts out,
so that it can be had for training rows as well; scorers and callables ask the estimator to predict, and
are for validation rows only.

``"gradient_norm"`` is recorded by the training itself and is not computed from predictions: `resolve`
leaves it out, and `wants_gradient_norm` says whether it was asked for.
"""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from numbers import Real

import numpy as np
from scipy.special import log_expit, log_softmax
from sklearn.metrics import (
    accuracy_score,
    get_scorer,
    get_scorer_names,
    max_error,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    median_absolute_error,
    r2_score,
    recall_score,
    root_mean_squared_error,
    top_k_accuracy_score,
)
from sklearn.metrics._scorer import _BaseScorer

GRADIENT_NORM = "gradient_norm"
RESERVED = ("loss", "score")  # "val_loss" and "val_score" are columns of the history already
DEFAULTS = {"classifier": "accuracy", "regressor": "r2"}


@dataclass(frozen=True)
class Metric:
    """A number that says how good predictions are.

    There are two kinds: a `RawMetric` has `from_raw`, a `ScorerMetric` has `from_estimator`.

    Attributes
    ----------
    name : str
        The column of the history; "val_" is put before it for validation rows.
    on_training : bool
        Whether it is computed from raw scores, and hence for training rows as well.
    """

    name: str
    on_training = False

    def check(self, link, n_outputs):
        """Make sure that the metric fits the problem.

        Parameters
        ----------
        link : {"identity", "exp", "softmax", "logistic"}
            What the raw scores are.
        n_outputs : int
            Raw scores per row.

        Raises
        ------
        ValueError
            If it does not fit. Scorers are never refused: they say so when they are called.
        """


@dataclass(frozen=True)
class RawMetric(Metric):
    """A metric of ours.

    Attributes
    ----------
    function : callable
        ``function(raw, targets, link, sample_weight)``, see `from_raw`; raw scores are finite.
    misfit : callable or None
        ``misfit(link, n_outputs)`` returns why the metric does not fit a problem, or None.
    """

    function: Callable
    misfit: Callable | None = None
    on_training = True

    def check(self, link, n_outputs):
        reason = self.misfit and self.misfit(link, n_outputs)
        if reason:
            raise ValueError(f"metric {self.name!r} {reason}. Leave it out.")

    def from_raw(self, raw, targets, link, sample_weight=None):
        """Compute the metric. No argument is changed.

        Parameters
        ----------
        raw : ndarray of shape (n_rows, n_outputs), dtype float32 or float64
            What the network puts out.
        targets : ndarray
            For "softmax" the int32 code of the class, of shape (n_rows, 1); for "logistic" int32 0 or
            1, and for the others numbers, of shape (n_rows, n_outputs).
        link : {"identity", "exp", "softmax", "logistic"}
            "softmax": one class per row. "logistic": binary, or multilabel with a column per label.
            "identity" and "exp": the prediction is the raw score or its exponential.
        sample_weight : ndarray of shape (n_rows,), default=None

        Returns
        -------
        value : float
            NaN, without a warning, where a raw score or a prediction is not finite.
        """
        if not np.isfinite(raw).all():
            return np.nan
        with np.errstate(all="ignore"):
            return float(self.function(raw, targets, link, sample_weight))


@dataclass(frozen=True)
class ScorerMetric(Metric):
    """A scorer of scikit-learn's, or a callable.

    Attributes
    ----------
    scorer : callable
        ``scorer(estimator, X, y)`` or ``scorer(estimator, X, y, sample_weight=sample_weight)``.
    weighted : bool
        Whether it is given sample weights.
    """

    scorer: Callable
    weighted: bool

    def from_estimator(self, estimator, X, y, sample_weight=None):
        """Compute the metric.

        Parameters
        ----------
        estimator : object
            A fitted estimator.
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)
        sample_weight : array-like of shape (n_rows,), default=None
            Passed on to scorers of scikit-learn's and to what has a parameter of that name.

        Returns
        -------
        value : float

        Raises
        ------
        TypeError
            If what is returned is not a real number.
        """
        passed = self.weighted and sample_weight is not None
        weights = {"sample_weight": sample_weight} if passed else {}
        value = self.scorer(estimator, X, y, **weights)
        if not isinstance(value, Real) or isinstance(value, bool):
            raise TypeError(f"metric {self.name!r} must return a real number, got {value!r}.")
        return float(value)


# Classification: functions of (raw, targets, link, sample_weight).


def _codes(raw, link):
    """Predicted class codes, or 0 and 1 for each output."""
    return raw.argmax(axis=1) if link == "softmax" else (raw > 0).astype(np.int32)


def _accuracy(raw, targets, link, sample_weight):
    return accuracy_score(targets, _codes(raw, link), sample_weight=sample_weight)


def _balanced_accuracy(raw, targets, link, sample_weight):
    # Not balanced_accuracy_score, which warns of a class that is predicted where none belongs to it.
    return recall_score(
        targets,
        _codes(raw, link),
        average="macro",
        sample_weight=sample_weight,
        zero_division=np.nan,  # that class does not count, nor does one whose rows have no weight
    )


def _top_k_accuracy(raw, targets, link, sample_weight, k):
    return top_k_accuracy_score(
        targets.ravel(), raw, k=k, labels=np.arange(raw.shape[1]), sample_weight=sample_weight
    )


def _log_loss(raw, targets, link, sample_weight):
    """Mean over the rows of -log(probability of the target); of several labels, the sum."""
    scores = raw.astype(np.float64)
    if link == "softmax":
        log_proba = np.take_along_axis(log_softmax(scores, axis=1), targets, axis=1)
    else:
        log_proba = log_expit(np.where(targets, scores, -scores))
    return np.average(-log_proba.sum(axis=1), weights=sample_weight)


def _no_multilabel(link, n_outputs):
    return "is not defined for multilabel targets" if link == "logistic" and n_outputs > 1 else None


def _top_k_misfit(link, n_outputs, k):
    if link != "softmax":
        return "is for targets of more than two classes, one class per row"
    if k >= n_outputs:
        return f"needs more than {k} classes, and there are {n_outputs}"
    return None


# Regression: scikit-learn's functions of (targets, predictions, sample_weight).


def _r2(targets, predictions, sample_weight):
    if targets.shape[0] < 2:
        return np.nan  # as scikit-learn, without its warning
    return r2_score(targets, predictions, sample_weight=sample_weight)


def _max_error(targets, predictions, sample_weight):
    """The largest error of the rows that have a weight, as a mean over the outputs."""
    if sample_weight is not None:
        targets, predictions = targets[sample_weight > 0], predictions[sample_weight > 0]
    return np.mean([max_error(*column) for column in zip(targets.T, predictions.T, strict=True)])


def _numeric(score, raw, targets, link, sample_weight):
    """The value of `score` for the numbers that raw scores stand for, in float64."""
    predictions = np.exp(raw) if link == "exp" else raw
    if not np.isfinite(predictions).all():
        return np.nan
    predictions, targets = predictions.astype(np.float64), targets.astype(np.float64)
    return score(targets, predictions, sample_weight=sample_weight)


@dataclass(frozen=True)
class Row:
    """A row of the table of metrics; see `RawMetric` for the functions.

    Where the name has a K in it, which stands for a number, both functions have a parameter `k`.
    """

    kind: str
    function: Callable
    misfit: Callable | None = None


METRICS = {
    "accuracy": Row("classifier", _accuracy),
    "balanced_accuracy": Row("classifier", _balanced_accuracy, _no_multilabel),
    "top_K_accuracy": Row("classifier", _top_k_accuracy, _top_k_misfit),
    "log_loss": Row("classifier", _log_loss),
    "mse": Row("regressor", partial(_numeric, mean_squared_error)),
    "rmse": Row("regressor", partial(_numeric, root_mean_squared_error)),
    "mae": Row("regressor", partial(_numeric, mean_absolute_error)),
    "mape": Row("regressor", partial(_numeric, mean_absolute_percentage_error)),
    "r2": Row("regressor", partial(_numeric, _r2)),
    "median_absolute_error": Row("regressor", partial(_numeric, median_absolute_error)),
    "max_error": Row("regressor", partial(_numeric, _max_error)),
}


def default_metric(kind):
    """Return the name of the metric that `score` computes.

    Parameters
    ----------
    kind : {"classifier", "regressor"}

    Returns
    -------
    name : str
        "accuracy" or "r2".
    """
    return DEFAULTS[kind]


def resolve(metrics, *, kind):
    """Find the metrics that names, scorers and callables stand for.

    Parameters
    ----------
    metrics : str, callable, list or tuple of these, or None
        A name of ours, "gradient_norm", the name of a scorer of scikit-learn's, a scorer or a callable
        ``f(estimator, X, y)`` that returns a number. A name of ours goes before the same name of a
        scorer. None: no metrics.
    kind : {"classifier", "regressor"}
        What the metrics are for.

    Returns
    -------
    resolved : list of Metric
        In the order given, without "gradient_norm", for which see `wants_gradient_norm`.

    Raises
    ------
    ValueError
        If a name is unknown, is of a metric for the other kind, or comes twice.
    TypeError
        If something is neither a name nor a scorer nor a callable.
    """
    given = _as_list(metrics)
    resolved = [resolve_one(metric, kind) for metric in given if not _is_gradient_norm(metric)]
    names = [metric.name for metric in resolved] + [GRADIENT_NORM] * sum(map(_is_gradient_norm, given))
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"metrics must have different names; {name!r} comes more than once. "
                "Leave it out, or give the function another __name__."
            )
        if name in RESERVED:
            raise ValueError(
                f"a metric cannot be called {name!r}: the history has a column 'val_{name}' already. "
                "Rename it."
            )
    return resolved


def wants_gradient_norm(metrics):
    """Whether "gradient_norm" is among metrics as `resolve` takes them.

    Parameters
    ----------
    metrics : str, callable, list or tuple of these, or None

    Returns
    -------
    wanted : bool
    """
    return any(map(_is_gradient_norm, _as_list(metrics)))


def _is_gradient_norm(metric):
    return isinstance(metric, str) and metric == GRADIENT_NORM


def _as_list(metrics):
    if metrics is None:
        return []
    if isinstance(metrics, str) or callable(metrics):
        return [metrics]
    if isinstance(metrics, (list, tuple)):
        return list(metrics)
    raise TypeError(f"metrics must be a name, a callable or a list of these, got {metrics!r}.")


def resolve_one(metric, kind):
    if isinstance(metric, str):
        return _named(metric, kind)
    if isinstance(metric, _BaseScorer):
        return ScorerMetric(_name_of(metric._score_func), metric, _takes_weights(metric._score_func))
    if not callable(metric):
        raise TypeError(f"metrics must hold names, scorers or callables; got {metric!r}.")
    if inspect.isfunction(metric) and str(metric.__module__).startswith("sklearn.metrics."):
        raise TypeError(
            f"{metric.__name__} takes targets and predictions; a metric is called with an estimator, X "
            f"and y. Use sklearn.metrics.make_scorer({metric.__name__})."
        )
    return ScorerMetric(_name_of(metric), metric, _takes_weights(metric))


def _named(name, kind):
    number = re.fullmatch(r"top_([1-9]\d*)_accuracy", name)
    row = METRICS.get("top_K_accuracy" if number else name)
    if row is None and name in get_scorer_names():
        scorer = get_scorer(name)
        return ScorerMetric(name, scorer, _takes_weights(scorer._score_func))
    if row is None or name == "top_K_accuracy":
        raise ValueError(f"metric {name!r} is unknown. {_allowed(kind)}")
    if row.kind != kind:
        puts_out = {"classifier": "predicts classes", "regressor": "predicts numbers"}[kind]
        raise ValueError(
            f"metric {name!r} is for a {row.kind}, and a {kind} {puts_out}. {_allowed(kind)}"
        )
    if not number:
        return RawMetric(name, row.function, row.misfit)
    k = int(number[1])
    return RawMetric(name, partial(row.function, k=k), partial(row.misfit, k=k))


def _allowed(kind):
    ours = [name for name, row in METRICS.items() if row.kind == kind]
    number = " (with a number for K)" if kind == "classifier" else ""
    return (
        f"For a {kind} there are {', '.join(map(repr, ours))}{number} and {GRADIENT_NORM!r}; for "
        "validation rows also any scorer of scikit-learn's (sklearn.metrics.get_scorer_names() or "
        "make_scorer) or a callable f(estimator, X, y)."
    )


def _name_of(function):
    return getattr(function, "__name__", type(function).__name__)


def _takes_weights(function):
    try:
        return "sample_weight" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # some built-in functions have no signature
        return False
