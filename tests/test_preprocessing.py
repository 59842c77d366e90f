"""The transformers of tables against naive references, and their contract with scikit-learn."""

import pickle
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.base import clone
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.preprocessing import RobustScaler, StandardScaler, TargetEncoder
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_mlp._encode import encode
from sklearn_mlp.preprocessing import (
    CategoryEncoder,
    DateEncoder,
    PiecewiseLinearEncoder,
    RobustSmoothScaler,
    tabular_preprocessor,
)

# scikit-learn before 1.9 does not read the names of polars 2.
READS_POLARS = hasattr(StandardScaler().fit(pl.DataFrame({"a": [1.0]})), "feature_names_in_")
POLARS = pytest.param(
    pl,
    id="polars",
    marks=pytest.mark.skipif(
        not READS_POLARS, reason="this scikit-learn reads no names of this polars"
    ),
)
EACH_LIBRARY = pytest.mark.parametrize("library", [pytest.param(pd, id="pandas"), POLARS])

TRANSFORMERS = [
    RobustSmoothScaler(),
    RobustSmoothScaler(dtype="float32"),
    PiecewiseLinearEncoder(),
    PiecewiseLinearEncoder(n_bins=1, dtype="float32"),
    PiecewiseLinearEncoder(n_bins=4, strategy="tree", min_samples_leaf=2),
]

# Not so close together that a difference or an inverse leaves the range of normal numbers.
cells = st.integers(-(10**9), 10**9).map(lambda n: n / 1000) | st.sampled_from(
    [0.0, 1.0, np.nan, np.inf, -np.inf]
)
hostile = st.floats(width=64)
shapes = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)
tables = hnp.arrays(np.float64, shapes, elements=cells)


@parametrize_with_checks([*TRANSFORMERS, CategoryEncoder(), CategoryEncoder(0.1), DateEncoder()])
def test_check_estimator(estimator, check):
    check(estimator)


def skewed(n_rows, n_columns=3, seed=0):
    """Columns with heavy tails, on different scales."""
    rng = np.random.default_rng(seed)
    return rng.standard_t(2, (n_rows, n_columns)) * 10.0 ** np.arange(n_columns)


@EACH_LIBRARY
@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=repr)
def test_frames_give_what_arrays_give(transformer, library):
    X, y = skewed(50), np.linspace(0.5, 9, 50)
    X[3, 1] = np.nan
    names = ["a", "b", "c"]
    expected = clone(transformer).fit(X, y).transform(X)
    frame = library.DataFrame(dict(zip(names, X.T, strict=True)))
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
    X, y = skewed(50), np.linspace(0.5, 9, 50)
    transformer = clone(transformer).set_output(transform=library)
    out = transformer.fit(X, y).transform(X)
    assert isinstance(out, frame)
    assert list(out.columns) == list(transformer.get_feature_names_out())


@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=repr)
def test_copies_transform_alike(transformer):
    X, y = skewed(50), np.linspace(0.5, 9, 50)
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
    X, y = skewed(50).astype(dtype), np.linspace(0.5, 9, 50)
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


def naively_encoded(X, bin_edges):
    """The formula, value by value."""
    columns = []
    for j, edges in enumerate(bin_edges):
        for low, high in pairwise(edges):
            column = np.zeros(len(X))
            for i, x in enumerate(X[:, j]):
                if x >= high:
                    column[i] = 1
                elif x > low:
                    column[i] = (x - low) / (high - low)
            columns.append(column)
    return np.stack(columns, axis=1)


@given(tables, st.integers(1, 6), st.sampled_from(["quantile", "tree"]), st.data())
@settings(deadline=None)
def test_encoding_agrees_with_the_formula_to_the_bit(X, n_bins, strategy, data):
    other = data.draw(hnp.arrays(np.float64, (4, X.shape[1]), elements=cells))
    encoder = PiecewiseLinearEncoder(n_bins, strategy, min_samples_leaf=1, task="regression")
    encoder.fit(X, np.arange(len(X)) % 3)
    assert encoder.n_bins_.max() <= n_bins
    for table in [X, other]:
        expected = naively_encoded(table, encoder.bin_edges_)
        np.testing.assert_array_equal(encoder.transform(table), expected)
        single = clone(encoder).set_params(dtype="float32").fit(X, np.arange(len(X)) % 3)
        np.testing.assert_array_equal(single.transform(table), expected.astype(np.float32))


@given(
    hnp.arrays(st.sampled_from([np.float32, np.float64]), shapes, elements=st.floats(width=32)),
    st.data(),
)
@settings(deadline=None)
def test_encodings_are_runs_of_ones_a_fraction_and_zeros_whatever_comes(X, data):
    if X.dtype == np.float64:
        X = X * data.draw(st.sampled_from([1, 1e-286, 1e269]))
    encoder = PiecewiseLinearEncoder(n_bins=5).fit(X)
    out = encoder.transform(X)
    assert out.shape == (len(X), encoder.n_bins_.sum())
    assert np.all((out >= 0) & (out <= 1))
    for j, part in enumerate(np.split(out, np.cumsum(encoder.n_bins_)[:-1], axis=1)):
        assert np.all(part[:, 1:] <= part[:, :-1])
        assert np.all((part[:, :-1] == 1) | (part[:, 1:] == 0))
        assert np.all(part[np.isnan(X[:, j])] == 0)
        order = np.argsort(X[:, j][~np.isnan(X[:, j])])
        assert np.all(np.diff(part[~np.isnan(X[:, j])][order], axis=0) >= 0)


def test_quantile_bins_hold_as_many_values():
    X = skewed(1000)
    encoder = PiecewiseLinearEncoder(n_bins=10).fit(X)
    for j, edges in enumerate(encoder.bin_edges_):
        np.testing.assert_allclose(edges, np.quantile(X[:, j], np.linspace(0, 1, 11)), rtol=1e-14)
        assert set(np.histogram(X[:, j], edges)[0]) == {100}


def test_quantiles_that_coincide_make_one_edge():
    X = np.array([[0.0]] * 90 + [[1.0], [2.0]] * 5)
    encoder = PiecewiseLinearEncoder(n_bins=4).fit(X)
    np.testing.assert_array_equal(encoder.bin_edges_[0], [0, 2])
    np.testing.assert_array_equal(encoder.transform([[0.0], [1.0], [2.0]]), [[0], [0.5], [1]])


@pytest.mark.parametrize("strategy", ["quantile", "tree"])
def test_features_without_a_range_are_zero(strategy):
    X = np.array([[5, np.nan, np.inf, 1.0], [5, np.nan, -np.inf, 3.0]])
    encoder = PiecewiseLinearEncoder(strategy=strategy, min_samples_leaf=1).fit(X, [0, 1])
    assert list(encoder.get_feature_names_out())[:3] == ["x0_bin0", "x1_bin0", "x2_bin0"]
    np.testing.assert_array_equal(encoder.transform(X + 1)[:, :3], 0)


def test_values_beyond_the_edges_are_clipped():
    encoder = PiecewiseLinearEncoder(n_bins=2).fit([[0.0], [1.0], [4.0]])
    out = encoder.transform([[-9], [-np.inf], [0], [2.5], [4], [9], [np.inf], [np.nan]])
    np.testing.assert_array_equal(
        out, [[0, 0], [0, 0], [0, 0], [1, 0.5], [1, 1], [1, 1], [1, 1], [0, 0]]
    )


def test_one_row_one_feature():
    np.testing.assert_array_equal(PiecewiseLinearEncoder().fit_transform([[3.0]]), [[0]])


def test_edges_beyond_float32_serve_float32():
    encoder = PiecewiseLinearEncoder(n_bins=1).fit([[-1e300], [1e300]])
    np.testing.assert_allclose(encoder.transform(np.zeros((1, 1), np.float32)), 0.5)


def test_tree_bins_lie_where_the_target_jumps():
    x = np.random.default_rng(0).uniform(size=2000)
    for y, task in [
        ((x > 0.3) * 5.0 + (x > 0.7), "regression"),
        (np.array(["a", "b", "c"])[(x > 0.3) * 1 + (x > 0.7)], "auto"),
        (np.stack([x > 0.3, x > 0.7], axis=1).astype(int), "auto"),  # multilabel
        (np.stack([1e6 * (x > 0.3), x > 0.7], axis=1) + 0.5, "auto"),  # regressions of two scales
    ]:
        encoder = PiecewiseLinearEncoder(n_bins=3, strategy="tree", task=task).fit(x[:, None], y)
        below = [x[x <= jump].max() for jump in [0.3, 0.7]]
        above = [x[x > jump].min() for jump in [0.3, 0.7]]
        expected = [x.min(), *np.add(below, above) / 2, x.max()]
        np.testing.assert_allclose(encoder.bin_edges_[0], expected, rtol=1e-12)


def test_tree_bins_see_differences_that_float32_does_not():
    x = 1.7e9 + np.arange(200) / 100
    y = (x > x[99]).astype(int)
    encoder = PiecewiseLinearEncoder(2, "tree").fit(x[:, None], y)
    np.testing.assert_allclose(encoder.bin_edges_[0] - 1.7e9, [0, 0.995, 1.99], atol=1e-6)
    tiny = PiecewiseLinearEncoder(2, "tree").fit(np.arange(200)[:, None] * 1e-12, y)
    np.testing.assert_allclose(tiny.bin_edges_[0], [0, 99.5e-12, 199e-12])


def test_bins_of_a_tree_hold_enough_rows():
    X, y = skewed(1000, 1), np.random.default_rng(1).normal(size=1000)
    for n in [1, 64, 300, 600]:
        encoder = PiecewiseLinearEncoder(20, "tree", min_samples_leaf=n).fit(X, y)
        counts = np.histogram(X, encoder.bin_edges_[0])[0]
        assert counts.min() >= n
        assert (len(counts) == 1) == (n == 600)


def test_the_task_decides_what_whole_numbers_are():
    """Counts that are predicted as numbers, or kept apart as labels that have no order."""
    x = np.arange(400.0)
    y = np.where(x < 200, 0, np.where(x < 300, 1, 100))
    edges = {
        task: PiecewiseLinearEncoder(2, "tree", task=task).fit(x[:, None], y).bin_edges_[0][1]
        for task in ["auto", "classification", "regression"]
    }
    assert edges == {"auto": 199.5, "classification": 199.5, "regression": 299.5}


def test_tree_bins_want_y():
    X = skewed(10)
    with pytest.raises(ValueError, match="strategy='tree' requires y"):
        PiecewiseLinearEncoder(strategy="tree").fit(X)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        PiecewiseLinearEncoder(strategy="tree").fit(X, np.arange(9))
    with pytest.raises(ValueError, match="NaN"):
        PiecewiseLinearEncoder(strategy="tree").fit(X, np.full(10, np.nan))
    with pytest.raises(ValueError, match="Unknown label type"):
        PiecewiseLinearEncoder(strategy="tree", task="classification").fit(X, np.arange(10) + 0.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_bins", 0), ("n_bins", 2.5), ("strategy", "uniform"), ("min_samples_leaf", 0), ("task", "x")],
)
def test_parameters_of_the_encoder_are_checked(name, value):
    with pytest.raises(ValueError, match=name):
        PiecewiseLinearEncoder(**{name: value}).fit(skewed(5))


def test_the_kernel_checks_shapes():
    X, edges, n_bins, out = np.ones((2, 1)), np.array([0.0, 1.0]), np.array([1]), np.ones((2, 1))
    for arguments in [
        (X, edges, np.array([1, 1]), out),
        (X, edges, np.array([-1]), out),
        (X, edges[:1], n_bins, out),
        (X, edges, n_bins, out[:1]),
    ]:
        with pytest.raises(ValueError, match=r"bins|edges|out of shape"):
            encode(*arguments)


def levels(n_rows, seed=0):
    """A column of text with frequent and rare levels and gaps."""
    rng = np.random.default_rng(seed)
    words = np.array(["red", "green", "blue", "odd", None], dtype=object)
    return rng.choice(words, n_rows, p=[0.4, 0.3, 0.2, 0.02, 0.08])


def test_categories_are_one_hot():
    X = np.array([["b"], ["a"], ["c"], [None], ["a"]], dtype=object)
    encoder = CategoryEncoder(min_frequency=1).fit(X)
    assert encoder.levels_ == [["a", "b", "c"]]
    np.testing.assert_array_equal(
        encoder.transform(X), [[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0], [1, 0, 0]]
    )
    np.testing.assert_array_equal(encoder.transform([["unheard of"]]), [[0, 0, 0]])


def test_rare_levels_share_a_column():
    X = np.array([["a"]] * 9 + [["b"]] * 9 + [["c"]] + [["d"]], dtype=object)
    for min_frequency in [2, 0.1]:
        encoder = CategoryEncoder(min_frequency).fit(X)
        assert list(encoder.get_feature_names_out(["x"])) == ["x_a", "x_b", "x_rare"]
        out = encoder.transform([["c"], ["d"], ["e"], ["a"]])
        np.testing.assert_array_equal(out, [[0, 0, 1], [0, 0, 1], [0, 0, 0], [1, 0, 0]])


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["n", "y", None, "y"], dtype=object),
        pd.Series(["n", "y", None, "y"], dtype="string"),
        pd.Series(["n", "y", None, "y"], dtype="category"),
        pd.Series([False, True, None, True], dtype="boolean"),
        pd.Series([False, True, None, True], dtype=object),
        pd.Series([0, 1, pd.NA, 1], dtype="Int8"),
        pd.Series([0, 1, None, 1]).astype("category"),
        pl.Series(["n", "y", None, "y"]),
        pl.Series(["n", "y", None, "y"], dtype=pl.Categorical),
        pl.Series([False, True, None, True]),
    ],
    ids=lambda column: f"{type(column).__module__.split('.')[0]} {column.dtype}",
)
def test_binary_columns_are_one_of_two_signs(column):
    frame = column.to_frame("c")
    encoder = CategoryEncoder(min_frequency=1).fit(frame)
    np.testing.assert_array_equal(encoder.transform(frame), [[-1], [1], [0], [1]])


def test_columns_of_one_level_and_of_none():
    X = np.array([["a", None], ["a", None], [None, None]], dtype=object)
    encoder = CategoryEncoder(min_frequency=1).fit(X)
    np.testing.assert_array_equal(encoder.transform(X), [[1], [1], [0]])
    assert list(encoder.get_feature_names_out()) == ["x0_a"]


def test_whole_numbers_are_one_level_whatever_their_type():
    encoder = CategoryEncoder(min_frequency=1).fit(np.array([[1], [2], [3]]))
    for again in [np.array([[1.0], [np.nan]]), np.array([["1"], [None]], dtype=object)]:
        np.testing.assert_array_equal(encoder.transform(again), [[1, 0, 0], [0, 0, 0]])


def test_levels_of_several_types_in_one_column():
    X = np.array([["a"], [1], [2.5], [date(2024, 1, 1)], [True]], dtype=object)
    encoder = CategoryEncoder(min_frequency=1).fit(X)
    assert encoder.levels_ == [["1", "2.5", "2024-01-01", "True", "a"]]
    assert np.all(encoder.transform(X).sum(axis=1) == 1)


MOMENTS = [datetime(2024, 2, 29, 18, 30), None, datetime(1969, 12, 31, 6)]


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"at": pd.to_datetime(pd.Series(MOMENTS))}),
        pd.DataFrame({"at": pd.to_datetime(pd.Series(MOMENTS)).dt.tz_localize("Asia/Tokyo")}),
        pd.DataFrame({"at": pd.Series(MOMENTS, dtype=object)}),
        pl.DataFrame({"at": MOMENTS}),
        pl.DataFrame({"at": pl.Series(MOMENTS).dt.replace_time_zone("Asia/Tokyo")}),
        np.array(MOMENTS, dtype="M8[s]").reshape(-1, 1),
    ],
    ids=["pandas", "pandas in a zone", "objects", "polars", "polars in a zone", "array"],
)
def test_dates_in_parts(frame):
    parts = ["days", "year", "month", "day", "day_of_year", "weekday", "hour"]
    encoder = DateEncoder(parts).fit(frame)
    assert encoder.parts_ == [[*parts, "missing"]]
    days = (date(2024, 2, 29) - date(1970, 1, 1)).days
    np.testing.assert_allclose(
        encoder.transform(frame),
        [
            [days + 18.5 / 24, 2024, 2, 29, 60, date(2024, 2, 29).weekday(), 18.5, 0],
            [np.nan] * 7 + [1],
            [-0.75, 1969, 12, 31, 365, date(1969, 12, 31).weekday(), 6, 0],
        ],
    )
    assert DateEncoder(parts, add_indicator=False).fit(frame).parts_ == [parts]


@EACH_LIBRARY
def test_parts_of_dates_that_do_not_vary_are_left_out(library):
    days = [date(2024, 5, day) for day in [1, 8, 22]]
    encoder = DateEncoder().fit(library.DataFrame({"on": days}))
    assert list(encoder.get_feature_names_out()) == ["on_days", "on_day"]
    never = DateEncoder().fit(np.full((2, 1), "NaT", dtype="M8[D]"))
    assert never.parts_ == [["days"]]


def test_strings_and_seconds_are_dates():
    moment = datetime(2024, 2, 29, 18, 30)
    expected = DateEncoder().fit_transform(np.array([[moment], [moment + timedelta(9)]]))
    since = (moment - datetime(1970, 1, 1)).total_seconds()
    for X in [
        np.array([["2024-02-29T18:30"], ["2024-03-09T18:30"]], dtype=object),
        np.array([[since], [since + 9 * 86400]]),
    ]:
        np.testing.assert_allclose(DateEncoder().fit_transform(X), expected)


@pytest.mark.parametrize("parts", ["days", [], ["days", "century"]])
def test_parts_that_there_are_not(parts):
    with pytest.raises(ValueError, match="parts must be a list out of"):
        DateEncoder(parts).fit(np.array([["2020-01-01"]], dtype="M8[D]"))


def mixed(n_rows, seed=0):
    """A table of columns of every kind, as pandas holds them, with gaps."""
    rng = np.random.default_rng(seed)
    moments = pd.Series(pd.date_range("2020-01-01", periods=n_rows, freq="7h"))
    gaps = rng.random(n_rows) < 0.1
    return pd.DataFrame(
        {
            "skewed": np.exp(3 * rng.normal(size=n_rows)),
            "single": np.where(gaps, np.nan, rng.normal(size=n_rows)).astype(np.float32),
            "whole": pd.Series(rng.integers(0, 9, n_rows), dtype="Int64").mask(gaps),
            "objects": pd.Series(rng.normal(size=n_rows), dtype=object).mask(gaps, None),
            "lasts": pd.to_timedelta(pd.Series(rng.integers(0, 99, n_rows)), unit="s").mask(gaps),
            "constant": np.ones(n_rows),
            "empty": np.full(n_rows, np.nan),
            "none": pd.Series([None] * n_rows, dtype=object),
            "flag": rng.random(n_rows) < 0.3,
            "perhaps": pd.Series(rng.random(n_rows) < 0.3, dtype="boolean").mask(gaps),
            "colour": levels(n_rows, seed),
            "text": pd.Series(levels(n_rows, seed + 1), dtype="string"),
            "grade": pd.Categorical(rng.integers(0, 3, n_rows)),
            "id": [f"id{i}" for i in rng.integers(0, n_rows, n_rows)],
            "at": moments.mask(gaps),
        }
    )


@pytest.mark.parametrize("bins", [None, "quantile", "tree"])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_table_of_every_kind_of_column(bins, task):
    X = mixed(1000)
    y = (np.random.default_rng(0).random(1000) > 0.5) * 1 if task == "classification" else X["skewed"]
    preprocessor = tabular_preprocessor(bins=bins, task=task, n_bins=8)
    out = preprocessor.fit_transform(X, y)
    names = list(preprocessor.get_feature_names_out())
    assert isinstance(out, np.ndarray)
    assert out.dtype == np.float32
    assert out.shape == (1000, len(names))
    assert len(set(names)) == len(names)
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 3
    columns = {
        kind: list(columns) for kind, _, columns in preprocessor.transformers_ if kind != "remainder"
    }
    numbers = ["skewed", "single", "whole", "objects", "lasts", "constant"]
    assert columns.pop("number") == numbers
    assert columns.pop("bins", numbers) == numbers
    assert columns == {
        "boolean": ["flag", "perhaps"],
        "category": ["colour", "text", "grade"],
        "many_levels": ["id"],
        "date": ["at"],
    }
    assert not any("empty" in name or "none" in name for name in names)
    by_name = dict(zip(names, out.T, strict=True))
    np.testing.assert_array_equal(by_name["boolean__flag_True"], np.where(X["flag"], 1, -1))
    np.testing.assert_array_equal(by_name["boolean__perhaps_True"] == 0, X["perhaps"].isna())
    np.testing.assert_array_equal(by_name["number__missingindicator_objects"], X["objects"].isna())
    np.testing.assert_allclose(by_name["number__objects"][X["objects"].isna()], 0, atol=1e-6)
    np.testing.assert_array_equal(by_name["number__constant"], 0)
    np.testing.assert_array_equal(by_name["date__at_missing"] > 0, X["at"].isna())
    np.testing.assert_array_equal(by_name["category__grade_2"], X["grade"] == 2)
    assert "category__colour_odd" in names
    seconds = RobustSmoothScaler().fit_transform(X[["lasts"]].apply(lambda c: c.dt.total_seconds()))
    np.testing.assert_allclose(by_name["number__lasts"], np.nan_to_num(seconds[:, 0]), atol=1e-6)


@pytest.mark.parametrize("bins", [None, "quantile", "tree"])
def test_tables_come_out_alike_whatever_holds_them(bins):
    X, y = mixed(500).drop(columns="grade"), np.arange(500) % 2  # numbers, but for pandas' dtype
    expected = tabular_preprocessor(bins=bins).fit(X, y)
    for other in [X.astype(object), pl.from_pandas(X)]:
        fitted = tabular_preprocessor(bins=bins).fit(other, y)
        if READS_POLARS or isinstance(other, pd.DataFrame):
            assert list(fitted.get_feature_names_out()) == list(expected.get_feature_names_out())
        np.testing.assert_allclose(fitted.transform(other), expected.transform(X), atol=1e-6)


@EACH_LIBRARY
def test_tables_come_out_as_frames(library):
    X, y = mixed(300), np.arange(300) % 2
    expected = tabular_preprocessor().fit_transform(X, y)
    preprocessor = tabular_preprocessor().set_output(transform=library.__name__)
    out = preprocessor.fit_transform(X, y)
    assert isinstance(out, library.DataFrame)
    assert list(out.columns) == list(preprocessor.get_feature_names_out())
    np.testing.assert_allclose(out.to_numpy(), expected, atol=1e-6)


def test_plain_arrays_need_no_names():
    X = skewed(60).astype(np.float32)
    X[0, 0], X[1, 1] = np.nan, np.inf
    preprocessor = tabular_preprocessor()
    out = preprocessor.fit_transform(X)
    assert list(preprocessor.get_feature_names_out()) == [
        "number__x0",
        "number__x1",
        "number__x2",
        "number__missingindicator_x0",
    ]
    expected = RobustSmoothScaler().fit_transform(X)
    expected[0, 0] = 0
    np.testing.assert_allclose(out[:, :3], expected, atol=1e-6)
    again = pickle.loads(pickle.dumps(preprocessor)).transform(X)
    np.testing.assert_array_equal(again, out)
    np.testing.assert_array_equal(clone(preprocessor).fit_transform(X), out)


def test_new_gaps_and_levels_and_dtypes_are_transformed():
    X, y = mixed(300), np.arange(300) % 2
    preprocessor = tabular_preprocessor().fit(X, y)
    blank = pd.DataFrame({name: [None] for name in X.columns})
    out = dict(zip(preprocessor.get_feature_names_out(), preprocessor.transform(blank)[0], strict=True))
    for name, value in out.items():
        if name.startswith(("boolean", "category")):
            assert value == 0
        if "missingindicator" in name:
            assert value == 1
    shuffled = preprocessor.transform(X[X.columns[::-1]])
    np.testing.assert_array_equal(shuffled, preprocessor.transform(X))


def cross_fitted(X, y, folds=StratifiedKFold, random_state=0, target_type="auto"):
    """Target encoding as the levels of the other folds have it, scaled."""
    parts, places = [], []
    for rows, held_out in folds(5, shuffle=True, random_state=random_state).split(X, y):
        encoder = TargetEncoder(target_type=target_type).fit(X.iloc[rows], y[rows])
        parts.append(encoder.transform(X.iloc[held_out]))
        places.append(held_out)
    return RobustSmoothScaler().fit_transform(np.concatenate(parts)[np.argsort(np.concatenate(places))])


TARGETS_OF_IDS = {
    "words": lambda ids: np.where(ids > np.median(ids), "high", "low"),
    "counts": lambda ids: ids.astype(int) % 3,
    "numbers": lambda ids: ids / 7,
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("task", "targets", "folds"),
    [
        ("auto", "words", StratifiedKFold),
        ("auto", "counts", StratifiedKFold),
        ("auto", "numbers", KFold),
        ("classification", "words", StratifiedKFold),
        ("classification", "counts", StratifiedKFold),
        ("regression", "counts", KFold),
        ("regression", "numbers", KFold),
    ],
)
@pytest.mark.parametrize("random_state", [0, 1])
def test_folds_of_target_encoding(task, targets, folds, random_state):
    X = mixed(300)[["id"]]
    y = TARGETS_OF_IDS[targets](X["id"].str[2:].astype(float).to_numpy())
    out = clone(tabular_preprocessor(task=task, random_state=random_state)).fit_transform(X, y)
    target_type = "continuous" if task == "regression" else "auto"
    expected = cross_fitted(X, y, folds, random_state, target_type)
    np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-6)
    other = tabular_preprocessor(task=task, random_state=2).fit_transform(X, y)
    assert np.abs(other - out).max() > 0.01


def test_many_levels():
    X, y = mixed(300)[["id"]], np.arange(300) % 2
    out = tabular_preprocessor().fit_transform(X, y)
    np.testing.assert_allclose(out, cross_fitted(X, y), atol=1e-6)
    np.testing.assert_array_equal(out, tabular_preprocessor().fit_transform(X, y))  # no chance
    one_hot = tabular_preprocessor(many_levels="one-hot", min_frequency=1).fit_transform(X)
    assert one_hot.shape == (300, X["id"].nunique())
    assert tabular_preprocessor(many_levels="drop").fit_transform(X.assign(n=y)).shape == (300, 1)
    assert tabular_preprocessor(max_levels=300).fit_transform(X).shape[1] > 1


def test_counts_are_encoded_by_their_mean_where_the_task_is_regression():
    X, y = mixed(300)[["id"]], np.arange(300) % 30
    assert tabular_preprocessor(task="regression").fit_transform(X, y).shape == (300, 1)
    assert tabular_preprocessor(task="classification").fit_transform(X, y).shape == (300, 30)


def test_indicators_and_dtype_are_optional():
    X, y = mixed(300), np.arange(300) % 2
    preprocessor = tabular_preprocessor(missing_indicators=False, dtype="float64", date_parts=["year"])
    out = preprocessor.fit_transform(X, y)
    assert out.dtype == np.float64
    assert not any("missing" in name for name in preprocessor.get_feature_names_out())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bins", "uniform"),
        ("n_bins", 0),
        ("min_samples_leaf", 0),
        ("missing_indicators", "no"),
        ("min_frequency", 0),
        ("max_levels", -1),
        ("many_levels", "hash"),
        ("date_parts", "days"),
        ("task", "rank"),
        ("dtype", "int8"),
        ("random_state", "seed"),
    ],
)
def test_parameters_of_the_preprocessor_are_checked(name, value):
    with pytest.raises(ValueError, match=name):
        tabular_preprocessor(**{name: value})


def test_decimals_and_durations_of_python_are_numbers():
    X = np.array([[Decimal("1.5"), timedelta(seconds=2)], [Decimal(3), None], [None, timedelta(1)]])
    preprocessor = tabular_preprocessor().fit(X)
    assert preprocessor.transformers_[0][2] == [0, 1]
    scaler = preprocessor.named_transformers_["number"][1]
    np.testing.assert_array_equal(scaler.center_, [2.25, 43201])
