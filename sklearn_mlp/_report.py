"""The history of a fit: a table with a row per epoch, in plain Python numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pandas import DataFrame

LEADING = ("loss", "val_loss", "val_score")
TRAILING = ("learning_rate", "gradient_norm", "seconds")

# The printed table.
WIDTH = 100
EDGE_ROWS = 5
GAP = "  "


def _place(name: str) -> int:
    """Where a column stands: the losses, metrics on training and on validation rows, the rest."""
    if name in LEADING:
        return LEADING.index(name)
    if name in TRAILING:
        return len(LEADING) + 2 + TRAILING.index(name)
    return len(LEADING) + name.startswith("val_")


class FitReport:
    """What was recorded in each epoch of a fit, or in each iteration of L-BFGS.

    A table with a row per epoch and only those columns that were recorded, in this order:

    - "loss": the training loss, penalty included.
    - "val_loss" and "val_score": the loss of the validation rows, and the score of theirs that early
      stopping watches.
    - Metrics on training rows under their names, then those on validation rows under ``"val_"`` and
      their names.
    - "learning_rate", "gradient_norm", and "seconds" since training began.

    Attributes
    ----------
    best_epoch : int or None
        Index, from 0, of the epoch with the best validation score.
    stop_reason : str or None
        Why training ended.

    Examples
    --------
    >>> from sklearn_mlp._report import FitReport
    >>> report = FitReport()
    >>> report.append({"loss": 0.7, "val_score": 0.5, "seconds": 0.1})
    >>> report.append({"loss": 0.4, "val_score": 0.75, "seconds": 0.2})
    >>> report.best_epoch, report.stop_reason = 1, "max_iter reached"
    >>> report["val_score"]
    [0.5, 0.75]
    >>> report
    FitReport: 2 epochs, 0.2 seconds, best epoch 1, stopped: max_iter reached
    epoch  loss  val_score  seconds
        0   0.7        0.5      0.1
        1   0.4       0.75      0.2
    """

    best_epoch: int | None
    stop_reason: str | None

    def __init__(self) -> None:
        self.best_epoch = None
        self.stop_reason = None
        self._columns: tuple[str, ...] = ()
        self._rows: list[tuple[float, ...]] = []

    def append(self, values: Mapping[str, float]) -> None:
        """Add an epoch.

        Parameters
        ----------
        values : dict of str to float
            A number for each column. Every epoch has the columns of the first, in any order.

        Raises
        ------
        ValueError
            If the names are not those of the epochs before, or there is none.
        """
        # Called in each epoch: nothing is looked at twice, and what is refused leaves no trace.
        columns = self._columns or tuple(sorted(values, key=_place))
        try:
            row = tuple([float(values[name]) for name in columns])
        except KeyError:
            row = ()
        if not row or len(row) != len(values):
            before = f"; those before it have {list(columns)}" if self._rows else ""
            raise ValueError(f"An epoch has the values {list(values)}{before}.")
        self._columns = columns
        self._rows.append(row)

    @property
    def columns(self) -> tuple[str, ...]:
        """tuple of str: the names of what was recorded, in the order of the table."""
        return self._columns

    def keys(self) -> tuple[str, ...]:
        """Return the names of the columns.

        Returns
        -------
        columns : tuple of str
            The same as `columns`; with it ``dict(report)`` works.
        """
        return self.columns

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> list[float]:
        """A new list with the values of a column, one for each epoch."""
        if name not in self.columns:
            raise KeyError(f"{name!r} was not recorded; there are the columns {list(self.columns)}")
        place = self.columns.index(name)
        return [row[place] for row in self._rows]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as lists, numbers and strings.

        Returns
        -------
        content : dict
            A list of float for each column, and "best_epoch" and "stop_reason". JSON can hold it,
            but for values that are NaN or infinite.

        Examples
        --------
        >>> from sklearn_mlp import FitReport
        >>> report = FitReport()
        >>> report.append({"loss": 0.5})
        >>> report.to_dict()
        {'loss': [0.5], 'best_epoch': None, 'stop_reason': None}
        """
        best = None if self.best_epoch is None else int(self.best_epoch)
        return {**dict(self), "best_epoch": best, "stop_reason": self.stop_reason}

    def to_frame(self) -> DataFrame:
        """Return the table as a pandas DataFrame.

        Returns
        -------
        frame : DataFrame of shape (n_epochs, n_columns)
            Indexed by the epoch, from 0.

        Raises
        ------
        ImportError
            If pandas is not installed.

        Examples
        --------
        >>> from sklearn_mlp import FitReport
        >>> report = FitReport()
        >>> report.append({"loss": 0.5})
        >>> report.to_frame().shape
        (1, 1)
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                'FitReport.to_frame needs pandas: pip install "sklearn-mlp[pandas]"'
            ) from error
        index = pd.RangeIndex(len(self), name="epoch")
        return pd.DataFrame(dict(self), index=index, columns=list(self.columns))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FitReport):
            return NotImplemented
        return (self.columns, self.best_epoch, self.stop_reason) == (
            other.columns,
            other.best_epoch,
            other.stop_reason,
        ) and np.array_equal(self._rows, other._rows, equal_nan=True)

    def __repr__(self) -> str:
        return "\n".join([self._header(), *self._table()])

    def _header(self) -> str:
        parts = [f"{len(self)} epoch{'' if len(self) == 1 else 's'}"]
        if "seconds" in self:
            parts.append(f"{self['seconds'][-1]:.4g} seconds")
        if self.best_epoch is not None:
            parts.append(f"best epoch {self.best_epoch}")
        if self.stop_reason is not None:
            parts.append(f"stopped: {self.stop_reason}")
        return fill(f"FitReport: {', '.join(parts)}", WIDTH)

    def _table(self) -> list[str]:
        """The lines of the table: its first and last rows, and as many columns as there is room for."""
        if not self._rows:
            return []
        n = len(self)
        cut = n > 2 * EDGE_ROWS + 1  # one row would take the place of the ellipsis
        shown = [*range(EDGE_ROWS), *range(n - EDGE_ROWS, n)] if cut else range(n)
        columns = [["epoch", *map(str, shown)]]
        for place, name in enumerate(self.columns):
            columns.append([name, *(f"{self._rows[epoch][place]:.5g}" for epoch in shown)])
        if cut:
            for column in columns:
                column.insert(1 + EDGE_ROWS, "...")
        columns = [[cell.rjust(max(map(len, column))) for cell in column] for column in columns]
        n_fitting = _n_fitting([len(column[0]) for column in columns])
        lines = [GAP.join(row) for row in zip(*columns[:n_fitting], strict=True)]
        hidden = self.columns[n_fitting - 1 :]
        return [*lines, fill(f"and the columns {', '.join(hidden)}", WIDTH)] if hidden else lines


def _n_fitting(widths: Sequence[int]) -> int:
    """How many columns of these widths fit side by side; two at least, the epoch and one more."""
    ends = np.cumsum([width + len(GAP) for width in widths]) - len(GAP)
    return max(2, int(np.searchsorted(ends, WIDTH, side="right")))
