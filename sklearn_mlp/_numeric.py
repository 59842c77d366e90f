"""Transformers of numeric columns: scaling that outliers do not spoil, and an encoding on bins."""

from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    FLOAT_DTYPES,
    _check_feature_names_in,
    check_is_fitted,
    validate_data,
)

from sklearn_mlp._encode import encode
from sklearn_mlp._html import DocLinkMixin
from sklearn_mlp._typing import Array

DTYPES = StrOptions({"float32", "float64"})
LARGEST = np.finfo(np.float64).max


def finite_values(X, j):
    """The finite values of column `j`, as float64."""
    column = np.asarray(X[:, j], dtype=np.float64)
    return column[np.isfinite(column)]


def quantiles(values, q):
    """NumPy's linear quantiles, of values so far apart that their difference overflows as well."""
    return 4 * np.quantile(values / 4, q)


class NumericTransformer(DocLinkMixin, TransformerMixin, BaseEstimator):
    """What the transformers here share: the validation of X, and the dtype of what they return."""

    _documented_in = "sklearn_mlp.preprocessing"

    def _validate(self, X, reset):
        # Missing and infinite values have a meaning here, so all are let in.
        return validate_data(self, X, dtype=FLOAT_DTYPES, ensure_all_finite=False, reset=reset)

    def _dtype_of_output(self, X):
        return X.dtype if self.dtype is None else np.dtype(self.dtype)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"] if self.dtype is None else []
        return tags


class RobustSmoothScaler(OneToOneFeatureMixin, NumericTransformer):
    """Scale each feature by its quartiles, then squash it smoothly into (-3, 3).

    With m the median and s the scale of a feature,

        z = s * (x - m)
        output = z / sqrt(1 + (z / 3)**2)

    where s is 1 / (third quartile - first quartile); 2 / (largest - smallest value) where the quartiles
    are equal; and 0 where all values are. Half of the values of a column whose quartiles differ lie
    within a range of about 1 around 0, in which the squashing does next to nothing; an outlier, however
    far away, comes out below 3 in magnitude.

    Missing values (NaN) are left out of the statistics and pass through, for an imputer to fill: as the
    output is monotone in x with the median at 0, imputing the median after the scaling and before it is
    the same. Infinite values are left out of the statistics too, and become 3 and -3. A feature that is
    constant in training, or has no finite value, is 0 for whatever is not missing.

    Parameters
    ----------
    dtype : {'float32', 'float64'}, default=None
        Of the output. None: float32 for float32 input, else float64. Scaling computes in float64.

    Attributes
    ----------
    center_ : ndarray of shape (n_features,), dtype float64
        The medians m; 0 for a feature without a finite value.
    scale_ : ndarray of shape (n_features,), dtype float64
        The factors s. They multiply, as those of scikit-learn's MinMaxScaler do and those of its
        RobustScaler do not.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where the columns of X had names, all strings.

    References
    ----------
    Holzmüller, Grinsztajn and Steinwart (2024), "Better by default: Strong pre-tuned MLPs and boosted
    trees on tabular data", arXiv:2407.04491 (robust scaling and smooth clipping).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlp.preprocessing import RobustSmoothScaler
    >>> X = np.array([[1.0], [2.0], [3.0], [4.0], [1000.0]])
    >>> RobustSmoothScaler().fit_transform(X).ravel().round(2)
    array([-0.95, -0.49,  0.  ,  0.49,  3.  ])
    """

    _parameter_constraints: dict = {"dtype": [DTYPES, None]}  # noqa: RUF012

    def __init__(self, dtype: str | None = None) -> None:
        self.dtype = dtype

    def fit(self, X: Any, y: Any = None) -> Self:
        """Compute the medians and scales.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : None
            Ignored.

        Returns
        -------
        self : RobustSmoothScaler

        Raises
        ------
        ValueError, TypeError
            If X is not numeric or not two-dimensional, or a parameter is not what it may be.
        """
        self._validate_params()
        X = self._validate(X, reset=True)
        found = [_center_and_scale(finite_values(X, j)) for j in range(X.shape[1])]
        self.center_, self.scale_ = np.array(found).T.copy()
        return self

    def transform(self, X: Any) -> Any:
        """Scale and squash.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_features)

        Raises
        ------
        NotFittedError
            If the scaler is not fitted.
        ValueError, TypeError
            If X is not numeric, or has other columns than in `fit`.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        with np.errstate(over="ignore"):
            z = np.subtract(X, self.center_, dtype=np.float64)
            # Infinite times 0 would be NaN, and so would infinite by infinite below.
            np.clip(z, -LARGEST, LARGEST, out=z)
            z *= self.scale_
        np.clip(z, -1e100, 1e100, out=z)
        z /= np.sqrt(1 + np.square(z / 3))
        return z.astype(self._dtype_of_output(X), copy=False)


def _center_and_scale(values):
    if values.size == 0:
        return 0.0, 0.0
    first, median, third = quantiles(values, [0.25, 0.5, 0.75])
    ends = values.min(), values.max()
    # Twice the inverse of half a range, which does not overflow as the range may.
    for low, high, factor in [(first, third, 0.5), (*ends, 1.0)]:
        half = high / 2 - low / 2
        # A range may also be so small that its inverse overflows.
        if half > factor / LARGEST:
            return median, factor / half
    return median, 0.0


class PiecewiseLinearEncoder(NumericTransformer):
    """Encode each feature on bins, continuously: a number per bin.

    With the edges b_0 < b_1 < ... < b_T of the bins of a feature, its value x becomes T numbers; number
    t = 1, ..., T is

    - 0 where x <= b_(t-1): the bin is still ahead,
    - (x - b_(t-1)) / (b_t - b_(t-1)) within the bin,
    - 1 where x >= b_t: the bin has been passed.

    A linear layer on it is a piecewise linear function of x, so that a network need not learn first
    where the target bends. The outer edges are the smallest and the largest finite value in training.
    Values beyond them get all zeros or all ones; the paper lets its first and last bin go on, which in
    a narrow bin means numbers as large as one likes. Infinite values are beyond the edges like others.
    Missing values (NaN) become zeros; where that they are missing matters, add an indicator. Neither
    counts when bins are made.

    Parameters
    ----------
    n_bins : int, default=48
        Most bins of a feature. There are fewer where quantiles coincide or the tree stops early.
    strategy : {'quantile', 'tree'}, default='quantile'
        'quantile': as many values in each bin, as far as there are ties. 'tree': the thresholds of a
        decision tree of scikit-learn, grown best first on that feature alone to predict y; needs y.
    min_samples_leaf : int, default=64
        Least training rows in a bin. For strategy 'tree'.
    task : {'auto', 'classification', 'regression'}, default='auto'
        What y is. 'auto' takes floating-point numbers that are not all whole for a regression, and
        everything else, integers too, for labels: say 'regression' where counts are to be predicted.
        For strategy 'tree'.
    dtype : {'float32', 'float64'}, default=None
        Of the output. None: float32 for float32 input, else float64.

    Attributes
    ----------
    bin_edges_ : list of n_features ndarrays of shape (n_bins + 1,), dtype float64
        A feature that is constant in training, or has no finite value, has one bin with edges NaN, and
        is encoded as 0.
    n_bins_ : ndarray of shape (n_features,), dtype intp
        The number of bins of each feature.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where the columns of X had names, all strings.

    Notes
    -----
    Trees are grown on the ranks of the values: scikit-learn's compare values as float32 and take those
    for equal that are closer than 1e-7. No random number is drawn.

    References
    ----------
    Gorishniy, Rubachev and Babenko (2022), "On embeddings for numerical features in tabular deep
    learning", arXiv:2203.05556 (section 3.2, piecewise linear encoding).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlp.preprocessing import PiecewiseLinearEncoder
    >>> X = np.array([[0.0], [1.0], [2.0], [4.0], [8.0]])
    >>> encoder = PiecewiseLinearEncoder(n_bins=2).fit(X)
    >>> encoder.bin_edges_
    [array([0., 2., 8.])]
    >>> encoder.transform([[1.0], [5.0], [9.0]])
    array([[0.5, 0. ],
           [1. , 0.5],
           [1. , 1. ]])
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "n_bins": [Interval(Integral, 1, None, closed="left")],
        "strategy": [StrOptions({"quantile", "tree"})],
        "min_samples_leaf": [Interval(Integral, 1, None, closed="left")],
        "task": [StrOptions({"auto", "classification", "regression"})],
        "dtype": [DTYPES, None],
    }

    def __init__(
        self,
        n_bins: int = 48,
        strategy: str = "quantile",
        min_samples_leaf: int = 64,
        task: str = "auto",
        dtype: str | None = None,
    ) -> None:
        self.n_bins = n_bins
        self.strategy = strategy
        self.min_samples_leaf = min_samples_leaf
        self.task = task
        self.dtype = dtype

    def fit(self, X: Any, y: Any = None) -> Self:
        """Make the bins.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Targets or labels, for strategy 'tree'. With several outputs, a split counts by how well it
            does for all of them; targets are standardised first.

        Returns
        -------
        self : PiecewiseLinearEncoder

        Raises
        ------
        ValueError, TypeError
            If X is not numeric or not two-dimensional, if y is needed and is missing, of another
            length or unusable, or if a parameter is not what it may be.
        """
        self._validate_params()
        X = self._validate(X, reset=True)
        tree = self._tree(X, y) if self.strategy == "tree" else None
        self.bin_edges_ = [self._edges(X, j, tree) for j in range(X.shape[1])]
        self.n_bins_ = np.array([len(edges) - 1 for edges in self.bin_edges_], dtype=np.intp)
        return self

    def _edges(self, X, j, tree):
        values = finite_values(X, j)
        if values.size == 0 or values.min() == values.max():
            return np.full(2, np.nan)
        if tree is None or self.n_bins == 1:
            return np.unique(quantiles(values, np.linspace(0, 1, self.n_bins + 1)))
        estimator, targets = tree
        levels, ranks = np.unique(values, return_inverse=True)
        grown = estimator.fit(ranks.reshape(-1, 1), targets[np.isfinite(X[:, j])]).tree_
        below = np.floor(grown.threshold[grown.feature >= 0]).astype(np.intp)
        inner = levels[below] / 2 + levels[below + 1] / 2
        return np.unique(np.concatenate([levels[:1], inner, levels[-1:]]))

    def _tree(self, X, y):
        """The tree that bins are made with, and the targets as it learns them."""
        if y is None:
            raise ValueError(
                "strategy='tree' requires y to be passed, but the target y is None; pass y, or take "
                "strategy='quantile'."
            )
        y = check_array(y, ensure_2d=False, dtype=None, input_name="y")
        check_consistent_length(X, y)
        kind = type_of_target(y, input_name="y")
        is_regression = self.task == "regression" or (
            self.task == "auto" and kind.startswith("continuous")
        )
        # One feature at a time leaves nothing to chance; the seed only keeps NumPy's out of it.
        settings = {
            "max_leaf_nodes": max(2, self.n_bins),  # fewer is no tree
            "min_samples_leaf": self.min_samples_leaf,
            "random_state": 0,
        }
        if not is_regression:
            check_classification_targets(y)
            return DecisionTreeClassifier(**settings), y
        y = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        return DecisionTreeRegressor(**settings), StandardScaler().fit_transform(y)

    def transform(self, X: Any) -> Any:
        """Encode.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_columns)
            The bins of each feature side by side, in the order of the features.

        Raises
        ------
        NotFittedError
            If the encoder is not fitted.
        ValueError, TypeError
            If X is not numeric, or has other columns than in `fit`.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        out = np.empty((X.shape[0], self.n_bins_.sum()), self._dtype_of_output(X))
        limits = np.finfo(X.dtype)
        edges = np.clip(np.concatenate(self.bin_edges_), limits.min, limits.max).astype(X.dtype)
        encode(np.ascontiguousarray(X), edges, self.n_bins_, out)
        return out

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> Array:
        """The names of the output's columns.

        Parameters
        ----------
        input_features : array-like of str of shape (n_features,), default=None
            Names of the features. None: those that `fit` saw, or x0, x1, ...

        Returns
        -------
        names : ndarray of str objects, of shape (n_columns,)
            The name of the feature, ``_bin`` and the place of the bin, from 0.

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
            [f"{name}_bin{i}" for name, n in zip(names, self.n_bins_, strict=True) for i in range(n)],
            dtype=object,
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.strategy == "tree"
        tags.target_tags.multi_output = True
        return tags
