"""LossCurveDisplay: the history of fits as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_mlp._report import FitReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D

# Where scikit-learn's meta-estimators keep the estimator that they have fitted.
FITTED = ("best_estimator_", "regressor_", "estimator_")


class LossCurveDisplay:
    """Loss, metrics and learning rate over the epochs of one or several fits.

    Make one with `from_estimator` or `from_history`. Each fit has a colour of its own; what was
    recorded of training rows is a solid line, of validation rows a dashed one. The losses come first;
    every metric has axes of its own below, since its scale is another. Epochs (of 'lbfgs', iterations)
    are counted from 0, as in `history_`.

    Parameters
    ----------
    histories : dict of str to FitReport
        The history of each fit, by name.
    earlier_losses : dict of str to list of float, default=None
        Training losses of the epochs before a history begins, where a fit went on from another one;
        they are drawn before it.

    Attributes
    ----------
    figure_ : matplotlib Figure
    ax_ : matplotlib Axes
        With the losses.
    axes_ : ndarray of shape (1 + n_metrics,), dtype object
        `ax_`, then the axes of each metric.
    rate_ax_ : matplotlib Axes or None
        The second axis of `ax_`, with the learning rates, if they are drawn.
    lines_ : dict of str to dict of str to matplotlib Line2D
        The lines of each fit by the column that they show: ``display.lines_["adam"]["val_loss"]``.
    best_epochs_ : dict of str to list of matplotlib Line2D
        The marks of each fit's best epoch, one on each of its lines of validation rows.

    See Also
    --------
    FitReport : The numbers.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_mlp import LossCurveDisplay, MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> fits = {
    ...     name: MLPClassifier(solver=name, max_iter=20, tol=0, random_state=0).fit(
    ...         X[::2], y[::2], X_val=X[1::2], y_val=y[1::2]
    ...     )
    ...     for name in ["adam", "lbfgs"]
    ... }
    >>> display = LossCurveDisplay.from_estimator(fits)
    >>> sorted(display.lines_["adam"])
    ['loss', 'val_loss']
    """

    figure_: Figure | SubFigure
    ax_: Axes
    axes_: np.ndarray[Any, np.dtype[np.object_]]
    rate_ax_: Axes | None
    lines_: dict[str, dict[str, Line2D]]
    best_epochs_: dict[str, list[Line2D]]

    def __init__(
        self,
        histories: Mapping[str, FitReport],
        *,
        earlier_losses: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        self.histories = histories
        self.earlier_losses = earlier_losses

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        metrics: str | Sequence[str] | None = None,
        learning_rate: bool = False,
        mark_best: bool = True,
        ax: Any = None,
        line_kw: dict[str, Any] | None = None,
    ) -> LossCurveDisplay:
        """Draw the history of fitted estimators.

        Parameters
        ----------
        estimator : estimator, or list or dict of them
            A fitted `MLPClassifier` or `MLPRegressor`, or a pipeline, search or other meta-estimator of
            scikit-learn's whose last step or best estimator is one. Several are named by the keys of
            the dict; in a list by their place, from "fit 1" on.
        metrics : str or list of str, default=None
            Metrics to draw below the losses: names in `history_`, without their prefix ``val_`` for
            training and validation rows together, as far as they were recorded; "score" for the
            validation score.
        learning_rate : bool, default=False
            Whether to draw the learning rates on a second axis.
        mark_best : bool, default=True
            Whether to mark the epoch with the best validation score, if there is one.
        ax : matplotlib Axes or array-like of them, default=None
            Where to draw: axes for the losses, then for each metric. None: a new figure.
        line_kw : dict, default=None
            Arguments of `matplotlib.axes.Axes.plot` for all lines.

        Returns
        -------
        display : LossCurveDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If an estimator is not fitted.
        ValueError, TypeError
            If something is not an estimator of ours or has no history, or an argument is not usable.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_mlp import LossCurveDisplay, MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifier(early_stopping=True, metrics="accuracy", random_state=0).fit(X, y)
        >>> display = LossCurveDisplay.from_estimator(model, metrics="accuracy", learning_rate=True)
        >>> display.axes_.shape, display.ax_.get_xlabel(), display.rate_ax_.get_ylabel()
        ((2,), '', 'learning rate')
        """
        _import_pyplot("LossCurveDisplay.from_estimator")
        histories, earlier = {}, {}
        for name, fitted in _by_name(estimator, lambda item: hasattr(item, "fit"), "estimator").items():
            histories[name], earlier[name] = _history_of(fitted)
        display = cls(histories, earlier_losses=earlier)
        return display.plot(
            ax, metrics=metrics, learning_rate=learning_rate, mark_best=mark_best, line_kw=line_kw
        )

    @classmethod
    def from_history(
        cls,
        history: FitReport | Sequence[FitReport] | Mapping[str, FitReport],
        *,
        metrics: str | Sequence[str] | None = None,
        learning_rate: bool = False,
        mark_best: bool = True,
        ax: Any = None,
        line_kw: dict[str, Any] | None = None,
    ) -> LossCurveDisplay:
        """Draw histories that were kept without their estimators.

        Parameters
        ----------
        history : FitReport, or list or dict of them
            The `history_` of a fit, or of several; named as in `from_estimator`.
        metrics, learning_rate, mark_best, ax, line_kw
            As in `from_estimator`.

        Returns
        -------
        display : LossCurveDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError, TypeError
            If something is not a history, or an argument is not usable.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_mlp import LossCurveDisplay, MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> history = MLPClassifier(max_iter=500, random_state=0).fit(X, y).history_
        >>> LossCurveDisplay.from_history(history).ax_.get_ylabel()
        'loss'
        """
        _import_pyplot("LossCurveDisplay.from_history")
        display = cls(_by_name(history, lambda item: isinstance(item, FitReport), "history"))
        return display.plot(
            ax, metrics=metrics, learning_rate=learning_rate, mark_best=mark_best, line_kw=line_kw
        )

    def plot(
        self,
        ax: Any = None,
        *,
        metrics: str | Sequence[str] | None = None,
        learning_rate: bool = False,
        mark_best: bool = True,
        line_kw: dict[str, Any] | None = None,
    ) -> LossCurveDisplay:
        """Draw, once more or elsewhere.

        Parameters
        ----------
        ax, metrics, learning_rate, mark_best, line_kw
            As in `from_estimator`.

        Returns
        -------
        self : LossCurveDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If a metric or the learning rate was not recorded by any fit, or `ax` is not one Axes for
            the losses and one for each metric.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_mlp import LossCurveDisplay, MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifier(max_iter=500, random_state=0).fit(X, y)
        >>> display = LossCurveDisplay({"iris": model.history_})
        >>> len(display.plot(learning_rate=True).rate_ax_.get_lines())
        1
        """
        pyplot = _import_pyplot("LossCurveDisplay.plot")
        panels = ["loss", *self._checked_metrics(metrics)]
        if learning_rate and not self._recorded("learning_rate"):
            raise ValueError(
                "learning_rate=True, but none of the fits recorded a learning rate; solver='lbfgs' has "
                "none. Leave it at False."
            )
        self.axes_ = _axes(ax, len(panels), pyplot)
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        self.lines_ = {name: {} for name in self.histories}
        self.best_epochs_ = {name: [] for name in self.histories}
        for axes, panel in zip(self.axes_, panels, strict=True):
            self._plot_panel(axes, panel, mark_best, line_kw or {})
        self.axes_[-1].set_xlabel(self._unit())
        self.rate_ax_ = self._plot_rates(line_kw or {}) if learning_rate else None
        self._add_legend(outside=ax is None)
        return self

    def _recorded(self, *columns: str) -> bool:
        return any(column in history for history in self.histories.values() for column in columns)

    def _checked_metrics(self, metrics: str | Sequence[str] | None) -> list[str]:
        names = [metrics] if isinstance(metrics, str) else list(metrics or [])
        for name in names:
            if name in ("learning_rate", "loss", "val_loss"):
                raise ValueError(
                    f"metrics has {name!r}: losses are drawn in any case, and the learning rate with "
                    "learning_rate=True. Leave it out."
                )
            if not self._recorded(name, f"val_{name}"):
                columns = {column: None for history in self.histories.values() for column in history}
                drawn = [c for c in columns if c not in ("learning_rate", "loss", "val_loss")]
                raise ValueError(
                    f"metric {name!r} was not recorded by any of the fits; there are {drawn}. What is "
                    "recorded is the estimator's parameter metrics."
                )
        return names

    def _unit(self) -> str:
        """What the histories have a row for: solvers other than 'lbfgs' record a rate."""
        units = {"learning_rate" in history for history in self.histories.values()}
        return (
            {True: "epoch", False: "iteration"}[units.pop()] if len(units) == 1 else "epoch, iteration"
        )

    def _start(self, name: str) -> int:
        """The epoch that the history of a fit begins with."""
        return len(self._earlier(name))

    def _earlier(self, name: str) -> Sequence[float]:
        return (self.earlier_losses or {}).get(name, [])

    def _plot_panel(self, ax: Axes, panel: str, mark_best: bool, line_kw: dict[str, Any]) -> None:
        for i, (name, history) in enumerate(self.histories.items()):
            for column in (panel, f"val_{panel}"):
                if column not in history:
                    continue
                values, start = history[column], self._start(name)
                if column == "loss":
                    values, start = [*self._earlier(name), *values], 0
                rows = "validation" if column.startswith("val_") else "training"
                style = {
                    "color": f"C{i}",
                    "linestyle": "--" if rows == "validation" else "-",
                    "marker": "." if len(values) == 1 else "",  # a line of one point is not seen
                    "label": self._label(name, rows),
                }
                x = np.arange(start, start + len(values))
                (self.lines_[name][column],) = ax.plot(x, values, **{**style, **line_kw})
                if rows == "validation" and mark_best and history.best_epoch is not None:
                    self._mark(ax, name, column, history.best_epoch)
        ax.set_ylabel(panel.removeprefix("val_").replace("_", " "))
        ax.locator_params(axis="x", integer=True)

    def _mark(self, ax: Axes, name: str, column: str, epoch: int) -> None:
        history = self.histories[name]
        (mark,) = ax.plot(
            [self._start(name) + epoch],
            [history[column][epoch]],
            color=self.lines_[name][column].get_color(),
            marker="o",
            linestyle="none",
            label=self._label(name, f"best epoch: {self._start(name) + epoch}"),
        )
        self.best_epochs_[name].append(mark)

    def _plot_rates(self, line_kw: dict[str, Any]) -> Axes:
        ax = self.ax_.twinx()
        everything: list[float] = []
        for i, (name, history) in enumerate(self.histories.items()):
            if "learning_rate" not in history:
                continue
            rates, start = history["learning_rate"], self._start(name)
            style = {
                "color": f"C{i}",
                "linestyle": ":",
                "marker": "." if len(rates) == 1 else "",
                "label": self._label(name, "learning rate"),
            }
            x = np.arange(start, start + len(rates))
            (self.lines_[name]["learning_rate"],) = ax.plot(x, rates, **{**style, **line_kw})
            everything += rates
        finite = [rate for rate in everything if np.isfinite(rate)]
        if finite and min(finite) > 0 and max(finite) > 20 * min(finite):
            ax.set_yscale("log")
        ax.set_ylabel("learning rate")
        return ax

    def _label(self, name: str, what: str) -> str:
        return f"{name}, {what}" if len(self.histories) > 1 else what

    def _add_legend(self, outside: bool) -> None:
        """A legend of everything; of several fits, their colours and then what the dashes mean."""
        top = self.rate_ax_ or self.ax_  # where it is not drawn over
        handles = [*self.ax_.get_lines(), *(self.rate_ax_.get_lines() if self.rate_ax_ else [])]
        if len(self.histories) == 1:
            top.legend(handles=handles)
            return
        handles = [*self._colours(), *self._meanings()]
        if outside:
            self.figure_.legend(handles=handles, loc="outside upper center", ncols=4)
        else:
            top.legend(handles=handles, ncols=2)

    def _colours(self) -> list[Line2D]:
        """A handle of each fit: one of its lines, without dashes or marker."""
        handles = []
        for name, lines in self.lines_.items():
            handle = copy(next(iter(lines.values())))
            handle.set(label=name, linestyle="-", marker="")
            handles.append(handle)
        return handles

    def _meanings(self) -> list[Line2D]:
        """A handle in grey of each kind of line that there is."""
        samples: dict[str, Line2D] = {}
        for name, lines in self.lines_.items():
            for column, line in lines.items():
                kind = "validation" if column.startswith("val_") else "training"
                samples.setdefault("learning rate" if column == "learning_rate" else kind, line)
            for mark in self.best_epochs_[name]:
                samples.setdefault("best epoch", mark)
        handles = []
        for kind in ("training", "validation", "best epoch", "learning rate"):
            if kind in samples:
                handle = copy(samples[kind])
                handle.set(label=kind, color="grey", marker="o" if kind == "best epoch" else "")
                handles.append(handle)
        return handles


def _import_pyplot(caller: str) -> Any:
    try:
        import matplotlib.pyplot as pyplot
    except ImportError as error:
        raise ImportError(f'{caller} needs matplotlib: pip install "sklearn-mlp[plot]"') from error
    return pyplot


def _by_name(given: Any, is_one: Any, what: str) -> dict[str, Any]:
    """One item, a list or a dict of them as a dict; a pipeline is one item although it has a length."""
    if is_one(given):
        return {"fit": given}
    if isinstance(given, Mapping):
        items = dict(given)
    elif isinstance(given, (list, tuple)):
        items = {f"fit {i}": item for i, item in enumerate(given, start=1)}
    else:
        items = {}
    if not items or not all(is_one(item) for item in items.values()):
        raise TypeError(
            f"{what} must be one {what}, or a list or dict of at least one; got {type(given).__name__}"
            f"{': ' + repr(given)[:200] if isinstance(given, (Mapping, list, tuple)) else ''}."
        )
    for name in items:
        if not isinstance(name, str):
            raise TypeError(f"the keys of {what} must be names, strings; got {name!r}.")
    return items


def _history_of(estimator: Any) -> tuple[FitReport, list[float]]:
    """The history of a fitted estimator, and the training losses of the epochs before it."""
    estimator = _innermost(estimator)
    check_is_fitted(estimator)
    history = vars(estimator).get("history_")
    if not isinstance(history, FitReport):
        raise ValueError(
            f"{type(estimator).__name__} has no history_. LossCurveDisplay takes the estimators of "
            "sklearn_mlp after fit or partial_fit; a model that was saved with history=False has left "
            "its history behind."
        )
    return history, estimator.loss_curve_[: max(0, len(estimator.loss_curve_) - len(history))]


def _innermost(estimator: Any) -> Any:
    """The estimator that was fitted in the end: the last step of a pipeline, the best of a search."""
    while "history_" not in vars(estimator):
        if hasattr(estimator, "steps"):
            estimator = estimator.steps[-1][1]
            continue
        inner = next((vars(estimator)[name] for name in FITTED if name in vars(estimator)), None)
        if inner is None:
            break
        estimator = inner
    return estimator


def _axes(ax: Any, n: int, pyplot: Any) -> np.ndarray[Any, np.dtype[np.object_]]:
    """As many axes, those given or new ones."""
    if ax is None:
        _, axes = pyplot.subplots(
            n, sharex=True, squeeze=False, figsize=(6.4, 3.0 + 1.8 * n), layout="constrained"
        )
        return np.asarray(axes[:, 0])
    axes = np.asarray(ax, dtype=object).ravel()
    if axes.size != n or not all(hasattr(item, "plot") for item in axes):
        raise ValueError(
            f"ax must be {n} matplotlib Axes, one for the losses and one for each of metrics; got "
            f"{axes.size}: {ax!r}."
        )
    return axes
