"""The preprocessing of whole tables, put together from its parts."""

from collections.abc import Sequence
from math import inf
from numbers import Integral

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import TargetEncoder
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import type_of_target

from sklearn_mlp._columns import PARTS, CategoryEncoder, ColumnsOfKind, Converted, DateEncoder
from sklearn_mlp._numeric import DTYPES, PiecewiseLinearEncoder, RobustSmoothScaler
from sklearn_mlp._typing import RandomState, validate_params


@validate_params(
    {
        "bins": [StrOptions({"quantile", "tree"}), None],
        "n_bins": [Interval(Integral, 1, None, closed="left")],
        "min_samples_leaf": [Interval(Integral, 1, None, closed="left")],
        "missing_indicators": ["boolean"],
        "min_frequency": CategoryEncoder._parameter_constraints["min_frequency"],
        "max_levels": [Interval(Integral, 0, None, closed="left")],
        "many_levels": [StrOptions({"target", "one-hot", "drop"})],
        "date_parts": [tuple, list],
        "task": [StrOptions({"auto", "classification", "regression"})],
        "dtype": [DTYPES],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def tabular_preprocessor(
    *,
    bins: str | None = None,
    n_bins: int = 48,
    min_samples_leaf: int = 64,
    missing_indicators: bool = True,
    min_frequency: int | float = 5,
    max_levels: int = 100,
    many_levels: str = "target",
    date_parts: Sequence[str] = tuple(part for part in PARTS if part not in ("year", "day_of_year")),
    task: str = "auto",
    dtype: str = "float32",
    random_state: RandomState = 0,
) -> ColumnTransformer:
    """A ColumnTransformer that makes a table of mixed columns into numbers for a network.

    Which column is treated how is decided when it is fitted:

    - **numbers**, durations (in seconds) among them: `RobustSmoothScaler`, then scikit-learn's
      SimpleImputer with the median (which the scaler has put at 0) and indicators; with `bins`, beside
      that also `PiecewiseLinearEncoder` on the column as it was,
    - **booleans**: -1, 1, and 0 where missing,
    - **categories**, which text is too: up to `max_levels` levels `CategoryEncoder`, above that
      scikit-learn's TargetEncoder, scaled,
    - **dates** and times: `DateEncoder`, scaled, the median where missing,
    - columns without a value in training: left out.

    An object column is of the kind that all its values are, a category otherwise. Numbers are numbers,
    whether they mean something or only number it: make those a category.

    Parameters
    ----------
    bins : {'quantile', 'tree'}, default=None
        The strategy of `PiecewiseLinearEncoder`. None: no encoding on bins. 'tree' needs y.
    n_bins, min_samples_leaf : int, default=48 and 64
        As of `PiecewiseLinearEncoder`.
    missing_indicators : bool, default=True
        Whether numbers and dates with missing values in training get a column that says where.
    min_frequency : int or float, default=5
        Levels with fewer training rows, or with a smaller fraction of them, are one.
    max_levels : int, default=100
        Most levels of a category that becomes a column per level, counted before rare ones are grouped.
    many_levels : {'target', 'one-hot', 'drop'}, default='target'
        What becomes of a category with more. 'target': the mean of y, shrunk, and cross-fitted in
        `fit_transform`, which therefore differs from `fit` and `transform`; needs y, with one output.
        'one-hot': as one with fewer. 'drop': nothing.
    date_parts : list of str, default=('days', 'month', 'day', 'weekday', 'hour')
        As `parts` of `DateEncoder`.
    task : {'auto', 'classification', 'regression'}, default='auto'
        What y is, for tree bins and target encoding. 'auto' takes whole numbers for labels: **say
        'regression' where counts are predicted**.
    dtype : {'float32', 'float64'}, default='float32'
        Of the output, a dense array.
    random_state : int, RandomState instance or None, default=0
        The folds of target encoding.

    Returns
    -------
    preprocessor : ColumnTransformer
        With the transformers number, bins, boolean, category, many_levels and date, as far as they are
        asked for. Not fitted.

    Raises
    ------
    ValueError, TypeError
        If a parameter is not what it may be.

    References
    ----------
    Holzmüller, Grinsztajn and Steinwart (2024), "Better by default: Strong pre-tuned MLPs and boosted
    trees on tabular data", arXiv:2407.04491 (scaling, clipping, one-hot encoding).

    Micci-Barreca (2001), "A preprocessing scheme for high-cardinality categorical attributes in
    classification and prediction problems", SIGKDD Explorations 3 (target encoding).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlp.preprocessing import tabular_preprocessor
    >>> X = np.array([[1.5, "a"], [2.5, "b"], [None, "a"], [3.5, None]], dtype=object)
    >>> preprocessor = tabular_preprocessor(min_frequency=1)
    >>> preprocessor.fit_transform(X).round(2)
    array([[-0.95,  0.  , -1.  ],
           [ 0.  ,  0.  ,  1.  ],
           [ 0.  ,  1.  , -1.  ],
           [ 0.95,  0.  ,  0.  ]], dtype=float32)
    >>> preprocessor.get_feature_names_out().tolist()
    ['number__x0', 'number__missingindicator_x0', 'category__x1_b']
    """
    encoder = CategoryEncoder(min_frequency, dtype)
    few = inf if many_levels == "one-hot" else max_levels
    parts = [("number", _numbers(missing_indicators, dtype), ColumnsOfKind("number"))]
    if bins is not None:
        on_bins = PiecewiseLinearEncoder(n_bins, bins, min_samples_leaf, task, dtype)
        parts.append(("bins", make_pipeline(Converted(), on_bins), ColumnsOfKind("number")))
    parts += [
        ("boolean", encoder, ColumnsOfKind("boolean")),
        ("category", encoder, ColumnsOfKind("category", levels=(0, few))),
    ]
    if many_levels == "target":
        by_target = _target_encoder(task, random_state)
        steps = make_pipeline(Converted("levels"), by_target, RobustSmoothScaler(dtype))
        parts.append(("many_levels", steps, ColumnsOfKind("category", levels=(max_levels + 1, inf))))
    dates = DateEncoder(date_parts, missing_indicators)
    parts.append(("date", make_pipeline(dates, *_scaled(False, dtype)), ColumnsOfKind("date")))
    return ColumnTransformer(parts, sparse_threshold=0)


class FoldsByTarget(KFold):
    """Folds of shuffled rows, stratified where y are labels: those that TargetEncoder makes itself."""

    def split(self, X, y=None, groups=None):
        if type_of_target(y) not in ("binary", "multiclass"):
            return super().split(X, y)
        return StratifiedKFold(self.n_splits, shuffle=True, random_state=self.random_state).split(X, y)


def _target_encoder(task, random_state):
    kind = "continuous" if task == "regression" else "auto"
    if TargetEncoder().get_params().get("random_state", "") is None:  # before scikit-learn 1.9
        return TargetEncoder(target_type=kind, random_state=random_state)
    folds = KFold if task == "regression" else FoldsByTarget
    return TargetEncoder(target_type=kind, cv=folds(5, shuffle=True, random_state=random_state))


def _scaled(indicators, dtype):
    imputer = SimpleImputer(strategy="median", add_indicator=indicators, keep_empty_features=True)
    return RobustSmoothScaler(dtype), imputer


def _numbers(indicators, dtype):
    return make_pipeline(Converted(), *_scaled(indicators, dtype))
