"""Columns of frames and arrays: what kind each is, and the transformers of those that are not numbers.

A column is taken for what its dtype says. Where that is object, its values decide: a frame that came
from elsewhere, or an array of mixed columns, often has no better dtype to offer.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.preprocessing import OrdinalEncoder
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_feature_names_in,
    _get_feature_names,
    check_is_fitted,
    validate_data,
)

from sklearn_mlp._html import DocLinkMixin
from sklearn_mlp._typing import Array

DAY = np.timedelta64(1, "D")

# Parts of a date, from days and from the time of the day in hours.
PARTS = {
    "days": lambda at: (at - np.datetime64(0, "D")) / DAY,
    "year": lambda at: at.astype("M8[Y]").astype(np.int64) + 1970,
    "month": lambda at: at.astype("M8[M]").astype(np.int64) % 12 + 1,
    "day": lambda at: (at.astype("M8[D]") - at.astype("M8[M]")) / DAY + 1,
    "day_of_year": lambda at: (at.astype("M8[D]") - at.astype("M8[Y]")) / DAY + 1,
    "weekday": lambda at: (at.astype("M8[D]").astype(np.int64) + 3) % 7,
    "hour": lambda at: (at - at.astype("M8[D]")) / np.timedelta64(1, "h"),
}


def columns_of(X):
    """The columns of a frame or array, one by one."""
    if hasattr(X, "columns"):
        take = X.iloc.__getitem__ if hasattr(X, "iloc") else None
        return [take((slice(None), j)) if take else X[:, j] for j in range(X.shape[1])]
    return list(np.asarray(X).T)


def missing(column):
    """Where `column` has no value, as a mask."""
    values = np.asarray(column)
    if values.dtype.kind in "fcmM":
        return np.isnan(values)
    if values.dtype.kind != "O":
        return np.zeros(len(values), dtype=bool)
    return np.array([_is_missing(value) for value in values], dtype=bool)


def _is_missing(value):
    if isinstance(value, float):
        return value != value
    # pandas' own are recognised without importing pandas; compared with anything, its NA is no bool.
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def kind_of(column):
    """'number', 'boolean', 'category' or 'date'; None for a column without a value."""
    absent = missing(column)
    if absent.all():
        return None
    if type(column.dtype).__name__ in ("CategoricalDtype", "Categorical", "Enum"):
        return "category"
    values = np.asarray(column)
    kind = {"b": "boolean", "M": "date"}.get(values.dtype.kind)
    if values.dtype.kind != "O":
        return kind or ("number" if values.dtype.kind in "iufm" else "category")
    types = {type(value) for value in values[~absent]}

    def only(*classes):
        return all(issubclass(t, classes) for t in types)

    if only(bool, np.bool_):
        return "boolean"
    if only(Real, Decimal, timedelta) and not any(issubclass(t, bool) for t in types):
        return "number"
    return "date" if only(date) else "category"


def n_levels(column):
    values = np.asarray(column)
    return len(set(values[~missing(column)].tolist()))


def as_numbers(column):
    """float32 where the column is, else float64; NaN where it has no value, durations in seconds."""
    values = np.asarray(column)
    if values.dtype.kind == "m":
        return values / np.timedelta64(1, "s")
    if values.dtype.kind == "O":
        numbers = np.full(len(values), np.nan)
        known = ~missing(column)
        numbers[known] = [_number(value) for value in values[known]]
        return numbers
    return values if values.dtype == np.float32 else values.astype(np.float64)


def _number(value):
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


def as_levels(column):
    """The values as text, NaN where there is none. Whole numbers are one level whatever their type."""
    values, absent = np.asarray(column), missing(column)
    levels = np.full(len(values), np.nan, dtype=object)
    levels[~absent] = [v if type(v) is str else _text_of(v) for v in values[~absent].tolist()]
    return levels


def _text_of(value):
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def as_dates(column):
    """datetime64, by the clock of the time zone where there is one."""
    if hasattr(column, "dt") and getattr(column.dtype, "tz", None) is not None:
        column = column.dt.tz_localize(None)  # pandas
    elif getattr(column.dtype, "time_zone", None) is not None:
        column = column.dt.replace_time_zone(None)  # polars
    values = np.asarray(column)
    dates, known = np.full(len(values), "NaT", dtype="M8[us]"), ~missing(column)
    if values.dtype.kind == "O":
        dates[known] = [_date(value) for value in values[known]]
    elif values.dtype.kind in "iuf":
        dates[known] = (values[known] * 1e6).astype("m8[us]") + np.datetime64(0, "s")
    else:
        dates[known] = values[known]
    return dates


def _date(value):
    if isinstance(value, date):
        return value.replace(tzinfo=None) if isinstance(value, datetime) else value
    if isinstance(value, str):
        return np.datetime64(value, "us")
    if isinstance(value, Real):
        return np.datetime64(int(1e6 * value), "us")
    raise TypeError(
        f"A date's argument must be a date, a string in ISO 8601 or a number of seconds; got {value!r}"
    )


class ColumnsOfKind:
    """A callable that says which columns are of a kind, for a ColumnTransformer.

    With `levels`, a pair, only those whose number of different values is within it, ends included.
    """

    def __init__(self, *kinds, levels=None):
        self.kinds, self.levels = kinds, levels

    def __call__(self, X):
        chosen = [j for j, column in enumerate(columns_of(X)) if self._takes(column)]
        # A ColumnTransformer knows the names that scikit-learn finds: those that are strings, in frames
        # of polars 2 from scikit-learn 1.9 on.
        names = _get_feature_names(X)
        return chosen if names is None else [names[j] for j in chosen]

    def _takes(self, column):
        if kind_of(column) not in self.kinds:
            return False
        return self.levels is None or self.levels[0] <= n_levels(column) <= self.levels[1]


class ColumnTransformerPart(TransformerMixin, BaseEstimator):
    """What the transformers here share: any column is let in, and names are checked."""

    def _columns(self, X, reset):
        if issparse(X):
            raise TypeError(f"Sparse data was passed, but {type(self).__name__} needs dense columns.")
        if not hasattr(X, "shape"):
            X = np.array(X, dtype=object)
        if not hasattr(X, "columns"):
            X = check_array(X, dtype=None, ensure_all_finite=False)
        validate_data(self, X, reset=reset, skip_check_array=True)
        return columns_of(X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags


class Converted(OneToOneFeatureMixin, ColumnTransformerPart):
    """Columns of any type as an array of numbers, or of levels that are text."""

    def __init__(self, to="numbers"):
        self.to = to

    def fit(self, X, y=None):
        self._columns(X, reset=True)
        return self

    def transform(self, X):
        convert = as_numbers if self.to == "numbers" else as_levels
        return np.stack([convert(column) for column in self._columns(X, reset=False)], axis=1)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "n_features_in_")


class CategoryEncoder(DocLinkMixin, ColumnTransformerPart):
    """One-hot encoding in which a binary column is one of -1 and 1, and what is not known is 0.

    scikit-learn's OrdinalEncoder finds the levels and groups the rare ones. A column with

    - one level becomes one column: 1,
    - two levels becomes one column: -1 for the first, 1 for the second,
    - more becomes one column per level: 1 in that of the level, else 0.

    Missing values, and levels that training did not have, are 0 throughout. Values are compared as
    text, so that a level may be 1 here and 1.0 there; None, NaN, NaT and pandas' NA are missing.

    Parameters
    ----------
    min_frequency : int or float, default=5
        Levels with fewer training rows, or with a smaller fraction of them if a float, share one level,
        which comes last. Levels that were not there in training do not belong to it.
    dtype : {'float32', 'float64'}, default='float64'
        Of the output.

    Attributes
    ----------
    levels_ : list of n_features lists
        The levels of each feature, as text, sorted; None last for the rare ones together.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where the columns of X had names, all strings.

    References
    ----------
    Holzmüller, Grinsztajn and Steinwart (2024), "Better by default: Strong pre-tuned MLPs and boosted
    trees on tabular data", arXiv:2407.04491 (one-hot encoding with binary features as one).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlp.preprocessing import CategoryEncoder
    >>> X = np.array([["red", "yes"], ["blue", "no"], ["red", None], ["green", "no"]], dtype=object)
    >>> encoder = CategoryEncoder(min_frequency=1).fit(X)
    >>> encoder.get_feature_names_out().tolist()
    ['x0_blue', 'x0_green', 'x0_red', 'x1_yes']
    >>> encoder.transform(X)
    array([[ 0.,  0.,  1.,  1.],
           [ 1.,  0.,  0., -1.],
           [ 0.,  0.,  1.,  0.],
           [ 0.,  1.,  0., -1.]])
    """

    _documented_in = "sklearn_mlp.preprocessing"
    _parameter_constraints: dict = {  # noqa: RUF012
        "min_frequency": [
            Interval(Integral, 1, None, closed="left"),
            Interval(Real, 0, 1, closed="neither"),
        ],
        "dtype": [StrOptions({"float32", "float64"})],
    }

    def __init__(self, min_frequency: int | float = 5, dtype: str = "float64") -> None:
        self.min_frequency = min_frequency
        self.dtype = dtype

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the levels.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
        y : None
            Ignored.

        Returns
        -------
        self : CategoryEncoder

        Raises
        ------
        ValueError, TypeError
            If X is not two-dimensional, or a parameter is not what it may be.
        """
        self._validate_params()
        levels = [as_levels(column) for column in self._columns(X, reset=True)]
        ordinal = OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=-1,
            encoded_missing_value=-1,
            min_frequency=self.min_frequency,
        ).fit(np.stack(levels, axis=1))
        self.levels_, self._rare = [], []
        for known, rare in zip(ordinal.categories_, ordinal.infrequent_categories_, strict=True):
            rare = [] if rare is None else [level for level in rare if isinstance(level, str)]
            grouped = set(rare)
            frequent = [level for level in known if isinstance(level, str) and level not in grouped]
            self.levels_.append([*frequent, None] if rare else frequent)
            self._rare.append(rare)
        return self

    def transform(self, X: Any) -> Any:
        """Encode.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_columns)

        Raises
        ------
        NotFittedError
            If the encoder is not fitted.
        ValueError, TypeError
            If X has other columns than in `fit`.
        """
        check_is_fitted(self)
        widths = [self._width(known) for known in self.levels_]
        columns = self._columns(X, reset=False)
        out = np.zeros((len(columns[0]), sum(widths)), dtype=self.dtype)
        first = 0
        for column, codes, known, width in zip(
            columns, self._codes(), self.levels_, widths, strict=True
        ):
            code = np.array([codes.get(level, -1) for level in as_levels(column)], dtype=np.intp)
            rows = np.flatnonzero(code >= 0)
            if len(known) == 2:
                out[rows, first] = 2 * code[rows] - 1
            else:
                out[rows, first + code[rows]] = 1
            first += width
        return out

    def _codes(self):
        """For each feature, the place in `levels_` of each level, those that are rare included."""
        return [
            {level: i for i, level in enumerate(known) if level is not None}
            | dict.fromkeys(rare, len(known) - 1)
            for known, rare in zip(self.levels_, self._rare, strict=True)
        ]

    @staticmethod
    def _width(known):
        return 1 if len(known) == 2 else len(known)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> Array:
        """The names of the output's columns: feature and level, ``rare`` for those that share one.

        Parameters
        ----------
        input_features : array-like of str of shape (n_features,), default=None
            Names of the features. None: those that `fit` saw, or x0, x1, ...

        Returns
        -------
        names : ndarray of str objects, of shape (n_columns,)

        Raises
        ------
        NotFittedError
            If the encoder is not fitted.
        ValueError
            If the names given are not as many as the features, or not those that `fit` saw.
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        return np.array(
            [
                f"{name}_{'rare' if level is None else level}"
                for name, known in zip(names, self.levels_, strict=True)
                for level in (known[1:] if len(known) == 2 else known)
            ],
            dtype=object,
        )


class DateEncoder(DocLinkMixin, ColumnTransformerPart):
    """Dates and times as numbers: days since 1970, month, day, weekday, hour.

    Parts that are the same in all of training are left out, but for the first if none varies. In a time
    zone, the parts go by its clock.
    Where a date is missing, its parts are NaN.

    Parameters
    ----------
    parts : list of str, default=('days', 'month', 'day', 'weekday', 'hour')
        Out of 'days' (since 1970-01-01, with the time of the day as a fraction), 'year', 'month' (from
        1), 'day' (of the month, from 1), 'day_of_year' (from 1), 'weekday' (0 for Monday), 'hour' (with
        its fraction).
    add_indicator : bool, default=True
        Whether a column that lacks dates in training gets another, 1 where they are missing and 0
        elsewhere.

    Attributes
    ----------
    parts_ : list of n_features lists of str
        The parts that each feature becomes; 'missing' for the indicator.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where the columns of X had names, all strings.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlp.preprocessing import DateEncoder
    >>> X = np.array([["2024-01-31"], ["2024-02-29"]], dtype="datetime64[D]")
    >>> encoder = DateEncoder(parts=["year", "month", "day"]).fit(X)
    >>> encoder.get_feature_names_out().tolist()
    ['x0_month', 'x0_day']
    >>> encoder.transform(X)
    array([[ 1., 31.],
           [ 2., 29.]])
    """

    _documented_in = "sklearn_mlp.preprocessing"

    def __init__(
        self,
        parts: Sequence[str] = ("days", "month", "day", "weekday", "hour"),
        add_indicator: bool = True,
    ) -> None:
        self.parts = parts
        self.add_indicator = add_indicator

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the parts that vary.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            Of dates: datetime64, a frame's dates and times, objects of Python's datetime, strings in
            ISO 8601, or numbers of seconds since 1970.
        y : None
            Ignored.

        Returns
        -------
        self : DateEncoder

        Raises
        ------
        ValueError, TypeError
            If X is not two-dimensional or has no dates, or a parameter is not what it may be.
        """
        unknown = [part for part in self.parts if part not in PARTS]
        if unknown or isinstance(self.parts, str) or len(self.parts) == 0:
            raise ValueError(f"parts must be a list out of {list(PARTS)}; got {self.parts!r}")
        self.parts_ = []
        for column in self._columns(X, reset=True):
            dates = as_dates(column)
            absent = np.isnat(dates)
            known = dates[~absent]
            found = [p for p in self.parts if known.size and np.ptp(PARTS[p](known)) > 0]
            has_gaps = self.add_indicator and absent.any() and not absent.all()
            found = found or list(self.parts[:1])
            self.parts_.append([*found, "missing"] if has_gaps else found)
        return self

    def transform(self, X: Any) -> Any:
        """Take the dates apart.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_columns), dtype float64

        Raises
        ------
        NotFittedError
            If the encoder is not fitted.
        ValueError, TypeError
            If X has no dates, or other columns than in `fit`.
        """
        check_is_fitted(self)
        columns = self._columns(X, reset=False)
        out = np.full((len(columns[0]), sum(map(len, self.parts_))), np.nan)
        numbers = iter(out.T)
        for column, parts in zip(columns, self.parts_, strict=True):
            dates = as_dates(column)
            absent = np.isnat(dates)
            for part in parts:
                number = next(numbers)
                if part == "missing":
                    number[:] = absent
                else:
                    number[~absent] = PARTS[part](dates[~absent])
        return out

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> Array:
        """The names of the output's columns: feature and part.

        Parameters
        ----------
        input_features : array-like of str of shape (n_features,), default=None
            Names of the features. None: those that `fit` saw, or x0, x1, ...

        Returns
        -------
        names : ndarray of str objects, of shape (n_columns,)

        Raises
        ------
        NotFittedError
            If the encoder is not fitted.
        ValueError
            If the names given are not as many as the features, or not those that `fit` saw.
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        found = [f"{n}_{part}" for n, parts in zip(names, self.parts_, strict=True) for part in parts]
        return np.array(found, dtype=object)
