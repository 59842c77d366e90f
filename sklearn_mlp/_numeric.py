"""Transformers of numeric columns: scaling that outliers do not spoil, and an encoding on bins."""

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import FLOAT_DTYPES, check_is_fitted, validate_data

DTYPES = StrOptions({"float32", "float64"})
LARGEST = np.finfo(np.float64).max


def finite_values(X, j):
    """The finite values of column `j`, as float64."""
    column = np.asarray(X[:, j], dtype=np.float64)
    return column[np.isfinite(column)]


def quantiles(values, q):
    """NumPy's linear quantiles, of values so far apart that their difference overflows as well."""
    return 4 * np.quantile(values / 4, q)


class NumericTransformer(TransformerMixin, BaseEstimator):
    """What the transformers here share: the validation of X, and the dtype of what they return."""

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
    feature_names_in_ : ndarray of shape (n_features_in_,)
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

    def __init__(self, dtype=None):
        self.dtype = dtype

    def fit(self, X, y=None):
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

    def transform(self, X):
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
