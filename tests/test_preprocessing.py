"""The transformers of tables against naive references, and their contract with scikit-learn."""

import doctest
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.base import clone
from sklearn.preprocessing import RobustScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_mlp import preprocessing
from sklearn_mlp.preprocessing import RobustSmoothScaler

TRANSFORMERS = [
    RobustSmoothScaler(),
    RobustSmoothScaler(dtype="float32"),
]

# Not so close together that a difference or an inverse leaves the range of normal numbers.
cells = st.integers(-(10**9), 10**9).map(lambda n: n / 1000) | st.sampled_from([0.0, 1.0, np.nan, np.inf, -np.inf])
hostile = st.floats(width=64)
shapes = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)
tables = hnp.arrays(np.float64, shapes, elements=cells)


@parametrize_with_checks(TRANSFORMERS)
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", preprocessing.__all__)
def test_examples_in_docstrings(name):
    tests = doctest.DocTestFinder().find(getattr(preprocessing, name), name, globs={})
    results = [doctest.DocTestRunner().run(test) for test in tests]
    assert sum(result.attempted for result in results) > 0
    assert sum(result.failed for result in results) == 0


def skewed(n_rows, n_columns=3, seed=0):
    """Columns with heavy tails, on different scales."""
    rng = np.random.default_rng(seed)
    return rng.standard_t(2, (n_rows, n_columns)) * 10.0 ** np.arange(n_columns)


@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=repr)
def test_frames_give_what_arrays_give(transformer):
    X, y = skewed(50), np.arange(50.0)
    X[3, 1] = np.nan
    names = ["a", "b", "c"]
    expected = clone(transformer).fit(X, y).transform(X)
    for frame in [pd.DataFrame(X, columns=names), pl.DataFrame(X, schema=names)]:
        fitted = clone(transformer).fit(frame, y)
        np.testing.assert_array_equal(fitted.transform(frame), expected)
        assert list(fitted.feature_names_in_) == names
        assert len(fitted.get_feature_names_out()) == expected.shape[1]
        assert all(name[0] in names for name in fitted.get_feature_names_out())
        with pytest.raises(ValueError, match="feature names"):
            fitted.transform(frame[["b", "a", "c"]])


@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=repr)
@pytest.mark.parametrize(("library", "frame"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame)])
def test_frames_come_out_where_they_are_asked_for(transformer, library, frame):
    X, y = skewed(50), np.arange(50.0)
    transformer = clone(transformer).set_output(transform=library)
    out = transformer.fit(X, y).transform(X)
    assert isinstance(out, frame)
    assert list(out.columns) == list(transformer.get_feature_names_out())


@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=repr)
def test_copies_transform_alike(transformer):
    X, y = skewed(50), np.arange(50.0)
    fitted = clone(transformer).fit(X, y)
    expected = fitted.transform(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(X), expected)
    np.testing.assert_array_equal(clone(fitted).fit(X, y).transform(X), expected)


@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_order_of_rows_changes_nothing(transformer, dtype):
    X, y = skewed(200).astype(dtype), np.arange(200.0) % 7
    order = np.random.default_rng(0).permutation(200)
    first, second = clone(transformer).fit(X, y), clone(transformer).fit(X[order], y[order])
    np.testing.assert_array_equal(second.transform(X), first.transform(X))
    np.testing.assert_array_equal(first.transform(X[order]), first.transform(X)[order])


@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_that_of_the_input_or_as_asked_for(transformer, dtype):
    X, y = skewed(50).astype(dtype), np.arange(50.0)
    fitted = clone(transformer).fit(X, y)
    assert fitted.transform(X).dtype == (transformer.dtype or dtype)
    other = np.float64 if dtype == np.float32 else np.float32
    assert fitted.transform(X.astype(other)).dtype == (transformer.dtype or other)
    assert X.dtype == dtype
    np.testing.assert_array_equal(X, skewed(50).astype(dtype))  # not written into


@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=repr)
def test_a_dtype_that_is_none_is_refused(transformer):
    with pytest.raises(ValueError, match="dtype"):
        clone(transformer).set_params(dtype="int8").fit(skewed(5), np.arange(5.0))


def naively_scaled(X, fitted_on):
    """The formulas, column by column, with what is not finite as documented."""
    out = np.empty_like(X)
    for j in range(X.shape[1]):
        known = fitted_on[np.isfinite(fitted_on[:, j]), j]
        scale, median = 0, 0
        if known.size:
            first, median, third = np.percentile(known, [25, 50, 75])
            if third > first:
                scale = 1 / (third - first)
            elif known.max() > known.min():
                scale = 2 / (known.max() - known.min())
        for i, x in enumerate(X[:, j]):
            if np.isnan(x):
                out[i, j] = np.nan
            elif scale == 0:
                out[i, j] = 0
            elif np.isinf(x):
                out[i, j] = np.sign(x) * 3
            else:
                z = scale * (x - median)
                out[i, j] = z / np.sqrt(1 + (z / 3) ** 2)
    return out


@given(tables, st.data())
@settings(deadline=None)
def test_scaling_agrees_with_the_formulas(X, data):
    other = data.draw(hnp.arrays(np.float64, (4, X.shape[1]), elements=cells))
    scaler = RobustSmoothScaler().fit(X)
    for table in [X, other]:
        np.testing.assert_allclose(
            scaler.transform(table), naively_scaled(table, X), rtol=1e-9, atol=1e-12
        )


@given(hnp.arrays(np.float64, shapes, elements=hostile))
@settings(deadline=None)
def test_scaling_is_bounded_and_keeps_the_order_whatever_comes(X):
    out = RobustSmoothScaler().fit_transform(X)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(X))
    assert np.nanmax(np.abs(out), initial=0) <= 3
    for j in range(X.shape[1]):
        known = ~np.isnan(X[:, j])
        order = np.argsort(X[known, j])
        assert np.all(np.diff(out[known, j][order]) >= 0)


def test_the_scale_is_the_inverse_of_scikit_learns():
    X = skewed(1001)
    theirs = RobustScaler().fit(X)
    ours = RobustSmoothScaler().fit(X)
    np.testing.assert_allclose(ours.center_, theirs.center_, rtol=1e-14)
    np.testing.assert_allclose(ours.scale_, 1 / theirs.scale_, rtol=1e-14)
    z = theirs.transform(X)
    np.testing.assert_allclose(ours.transform(X), z / np.sqrt(1 + (z / 3) ** 2), rtol=1e-12)


def test_the_scale_of_special_columns():
    X = np.array([[0, 5, np.nan, 2], [0, 5, np.nan, np.inf]] * 4 + [[10, 5, np.nan, 4]])
    scaler = RobustSmoothScaler().fit(X)
    np.testing.assert_array_equal(scaler.center_, [0, 5, 0, 2])
    np.testing.assert_array_equal(scaler.scale_, [0.2, 0, 0, 1])
    out = scaler.transform([[10, 7, 1, -np.inf], [np.nan, np.inf, np.nan, np.nan]])
    expected = [[2 / np.sqrt(1 + 4 / 9), 0, 0, -3], [np.nan, 0, np.nan, np.nan]]
    np.testing.assert_allclose(out, expected, rtol=1e-15)


def test_float32_input_is_scaled_as_exactly_as_it_is_known():
    X = skewed(300).astype(np.float32)
    exact = RobustSmoothScaler().fit(X.astype(np.float64)).transform(X.astype(np.float64))
    np.testing.assert_array_equal(RobustSmoothScaler().fit_transform(X), exact.astype(np.float32))
