"""Tabular estimators as ONNX graphs, run by onnxruntime."""

import doctest
import json

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import polars as pl
import pytest
import skl2onnx
from onnxruntime import InferenceSession
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.base import is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler, TargetEncoder

from sklearn_mlp import (
    MLPClassifier,
    MLPRegressor,
    TabularMLPClassifier,
    TabularMLPRegressor,
    _tabular_onnx,
    from_json,
    preprocessing,
    register_skl2onnx,
)
from sklearn_mlp._columns import Converted
from sklearn_mlp._onnx import OLDEST_OPSET
from sklearn_mlp.preprocessing import (
    CategoryEncoder,
    DateEncoder,
    PiecewiseLinearEncoder,
    RobustSmoothScaler,
    tabular_preprocessor,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:skl2onnx"),
]

N = 300
QUICK = {"hidden_layer_sizes": (16, 8), "max_iter": 5, "n_members": 1, "random_state": 0}
# The networks compute in float32, whatever the graph does.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
DTYPES = ["float32", "float64"]


def frame(n=N, seed=0, dtype="float64"):
    """Gaps, outliers, whole numbers, durations, text with rare levels, categories and booleans."""
    rng = np.random.default_rng(seed)
    number = rng.normal(size=n).astype(dtype)
    number[rng.random(n) < 0.1] = np.nan
    colour = rng.choice(["red", "green", "blue", "Zürich"], size=n).astype(object)
    colour[rng.random(n) < 0.1] = None
    colour[:3] = ["rare", "rarer", "rarest"]
    return pd.DataFrame(
        {
            "number": number,
            "far": (1e4 + rng.normal(size=n)).astype(dtype),
            "skewed": np.exp(rng.normal(size=n) * 4).astype(dtype),
            "colour": colour,
            "whole": rng.integers(0, 9, n),
            "flag": rng.random(n) < 0.5,
            "size": pd.Categorical(rng.choice(["S", "L"], n)),
            "empty": np.full(n, np.nan),
            "grade": pd.Categorical(rng.integers(1, 4, n)),
            "span": pd.to_timedelta(rng.integers(0, 100, n), unit="h"),
        }
    )


def feeds(model, X, dtype):
    """The columns of a frame as the inputs of a graph want them."""
    names = [value.name for value in model.graph.input]
    columns = {}
    for value in model.graph.input:
        column = X[value.name]
        if value.type.tensor_type.elem_type == onnx.TensorProto.STRING:
            text = column.astype(object).astype(str)
            columns[value.name] = text.to_numpy(object).reshape(-1, 1)
        else:
            seconds = column.dt.total_seconds() if column.dtype.kind == "m" else column
            columns[value.name] = seconds.to_numpy(dtype).reshape(-1, 1)
    assert list(columns) == names
    return columns


def run(model, inputs):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def assert_agrees(estimator, X, dtype="float64", **settings):
    model = estimator.to_onnx(dtype=dtype, **settings)
    inputs = feeds(model, X, dtype) if hasattr(X, "columns") else {"X": X.astype(dtype)}
    found, expected = run(model, inputs), estimator.predict(X)
    assert found[-1].dtype == dtype
    if is_regressor(estimator):
        np.testing.assert_allclose(found[0], expected.reshape(len(expected), -1), **CLOSE)
        return model
    label, probabilities = found
    np.testing.assert_allclose(probabilities, estimator.predict_proba(X), **CLOSE)
    assert label.shape == expected.shape
    np.testing.assert_array_equal(label, expected)
    return model


def value_of(X):
    red = 2.0 * (X["colour"] == "red").to_numpy()
    return np.nan_to_num(X["number"].to_numpy()) + red + X["flag"].to_numpy() + X["far"] - 1e4


TARGETS = {
    "two": lambda value: value > 1.0,
    "words": lambda value: np.array(["low", "mid", "high"])[np.digitize(value, [0.5, 1.5])],
    "integers": lambda value: np.digitize(value, [0.0, 1.0, 2.0]) * 10 - 10,
    "labels": lambda value: np.c_[value > 0, value > 1, value > 2].astype(int),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("targets", TARGETS)
def test_classifiers_of_frames(targets, n_members, dtype):
    X = frame(dtype=dtype)
    y = TARGETS[targets](np.asarray(value_of(X)))
    model = TabularMLPClassifier(**QUICK | {"n_members": n_members}).fit(X, y)
    assert_agrees(model, X, dtype)
    assert_agrees(model, frame(seed=1, dtype=dtype), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_regressors_of_frames(n_outputs, n_members, dtype):
    X = frame(dtype=dtype)
    y = np.asarray(value_of(X))
    y = y if n_outputs == 1 else np.c_[y, 1000 - 50 * y]
    model = TabularMLPRegressor(**QUICK | {"n_members": n_members}).fit(X, y)
    assert_agrees(model, frame(seed=1, dtype=dtype), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bins", [None, "quantile", "tree"])
def test_arrays(bins, dtype):
    X = frame()[["number", "skewed", "whole", "empty"]].to_numpy(dtype)
    y = np.nan_to_num(X[:, 0]) + X[:, 2]
    model = TabularMLPRegressor(**QUICK, bins=bins).fit(X, y)
    exported = assert_agrees(model, X, dtype)
    assert [value.name for value in exported.graph.input] == ["X"]
    rows = X[:6].copy()
    rows[0], rows[1], rows[2], rows[3] = np.nan, np.inf, -np.inf, 1e30
    np.testing.assert_allclose(
        run(exported, {"X": rows})[0],
        _predicted(model, rows),
        **CLOSE,
    )


def _predicted(model, rows):
    """What a model predicts of rows that its validation refuses for their infinite values."""
    standard = model.members_[0].predict(model._rows(model.preprocessor_.transform(rows)))
    return np.clip(standard[:, None] * model.target_scale_ + model.target_mean_, *model.target_range_)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bins_of_a_frame_are_those_of_the_kernel(dtype):
    X = frame(dtype=dtype)
    preprocessor = PiecewiseLinearEncoder(n_bins=5)
    X = X[["number", "far", "skewed", "whole"]].assign(constant=1.0)
    model = TabularMLPRegressor(**QUICK, preprocessor=preprocessor).fit(X, X["far"])
    edges = np.concatenate(model.preprocessor_.bin_edges_[:4]).astype(dtype)
    rows = pd.DataFrame(dict.fromkeys(X.columns, np.append(edges, np.nan)), dtype="float64")
    assert_agrees(model, rows, dtype)


def test_edges_as_far_apart_as_float64_goes():
    X = np.array([[-1.7e308], [-1e308], [0.0], [1e308], [1.7e308]] * 4)
    model = TabularMLPRegressor(**QUICK, preprocessor=PiecewiseLinearEncoder(1)).fit(X, X[:, 0] / 1e308)
    assert_agrees(model, np.concatenate([X, X / 2]))


def test_float32_keeps_what_the_center_takes_away():
    """Rounding the median to float32 would move these numbers by a tenth of their spread."""
    rng = np.random.default_rng(0)
    X = (2.0**24 + 2 * rng.integers(0, 50, size=(N, 1))).astype(np.float32)
    for preprocessor in (RobustSmoothScaler(), StandardScaler()):
        model = TabularMLPRegressor(**QUICK, preprocessor=preprocessor).fit(X + 1.0, X[:, 0] - 2.0**24)
        rows = (X + 2).astype(np.float64)
        expected = model.predict(rows)
        (found,) = run(model.to_onnx(dtype="float32"), {"X": rows.astype(np.float32)})
        np.testing.assert_allclose(found[:, 0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_categories_of_many_levels(task):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {"place": rng.integers(0, 40, N).astype(str).astype(object), "number": 1.0 * np.arange(N)}
    )
    X.loc[rng.random(N) < 0.1, "place"] = None
    if task == "regression":
        model = TabularMLPRegressor(
            **QUICK, preprocessor=tabular_preprocessor(max_levels=20, task="regression")
        ).fit(X, np.arange(N) / 7)
    else:
        model = TabularMLPClassifier(**QUICK, preprocessor=tabular_preprocessor(max_levels=20))
        model.fit(X, np.arange(N) % (2 if task == "binary" else 3))
    assert [p[0] for p in model.preprocessor_.transformers_ if len(p[2])] == ["number", "many_levels"]
    rows = X.copy()
    rows.loc[:5, "place"] = "unknown"
    assert_agrees(model, rows)
    empty = {"place": np.full((1, 1), ""), "number": np.ones((1, 1))}
    none = pd.DataFrame({"place": [None], "number": [1.0]}, dtype=object).astype({"number": float})
    expected = model.predict(none)[0]
    found = run(model.to_onnx(), empty)[0].ravel()[0]
    assert found == pytest.approx(expected, rel=1e-5)


def test_target_encoding_without_gaps_takes_them_for_unknown():
    X = pd.DataFrame({"place": np.resize(["a", "b", "c"], N).astype(object)})
    steps = make_pipeline(Converted("levels"), TargetEncoder(target_type="continuous"))
    model = TabularMLPRegressor(**QUICK, preprocessor=steps).fit(X, np.arange(N) % 7)
    assert_agrees(model, pd.DataFrame({"place": ["a", "c", None, "d"]}, dtype=object))


@pytest.mark.parametrize("text", ["", "None", "nan", "purple", "blue "])
def test_missing_and_unknown_levels_are_zeros(text):
    X = frame()[["colour", "number"]]
    model = TabularMLPClassifier(**QUICK).fit(X, X["colour"] == "red")
    rows = pd.DataFrame({"colour": [None], "number": [0.25]}).astype({"colour": object})
    inputs = {"colour": np.array([[text]], object), "number": np.array([[0.25]])}
    np.testing.assert_allclose(run(model.to_onnx(), inputs)[1], model.predict_proba(rows), **CLOSE)


def test_none_and_nan_in_an_array_of_objects_are_missing():
    X = frame()[["colour", "number"]]
    model = TabularMLPClassifier(**QUICK).fit(X, X["colour"] == "red")
    assert X["colour"].isna().any()
    inputs = {name: X[[name]].to_numpy() for name in X}
    np.testing.assert_allclose(run(model.to_onnx(), inputs)[1], model.predict_proba(X), **CLOSE)


def test_a_frame_of_polars():
    X = frame()[["number", "colour", "flag"]]
    model = TabularMLPClassifier(**QUICK).fit(pl.from_pandas(X), X["colour"] == "red")
    if not hasattr(model, "feature_names_in_"):
        pytest.skip("this scikit-learn reads no names of this polars")
    exported = model.to_onnx()
    label, _ = run(exported, feeds(exported, X, "float64"))
    np.testing.assert_array_equal(label, model.predict(pl.from_pandas(X)))


def test_without_preprocessing():
    X = np.random.default_rng(0).normal(size=(N, 3))
    model = TabularMLPClassifier(**QUICK, preprocessor=None).fit(X, X[:, 0] > 0)
    assert_agrees(model, X)
    named = pd.DataFrame(X, columns=list("abc"))
    exported = assert_agrees(model.fit(named, X[:, 0] > 0), named)
    assert [value.name for value in exported.graph.input] == ["a", "b", "c"]


PREPROCESSORS = {
    "standard": StandardScaler(),
    "mean alone": StandardScaler(with_std=False),
    "scale alone": StandardScaler(with_mean=False),
    "indicators": make_pipeline(
        ColumnTransformer(
            [
                ("filled", SimpleImputer(strategy="mean"), [0, 2]),
                ("gaps", MissingIndicator(), slice(0, 2)),
                ("as it is", "passthrough", [1]),
                ("gone", "drop", [2]),
            ],
            remainder="passthrough",
            transformer_weights={"as it is": 0.5},
        ),
        "passthrough",
    ),
    "nested": make_pipeline(
        SimpleImputer(strategy="constant", fill_value=2.0, add_indicator=True),
        ColumnTransformer(
            [("some", make_pipeline(RobustSmoothScaler(), FunctionTransformer()), [3, 0])],
            remainder=StandardScaler(),
        ),
    ),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("preprocessor", PREPROCESSORS.values(), ids=PREPROCESSORS)
def test_preprocessors_of_ones_own(preprocessor, dtype):
    X = np.random.default_rng(0).normal(2, 3, size=(N, 3)).astype(dtype)
    if not isinstance(preprocessor, StandardScaler):
        X[::7, 0] = np.nan
    y = X[:, 1] + X[:, 2]
    assert_agrees(TabularMLPRegressor(**QUICK, preprocessor=preprocessor).fit(X, y), X, dtype)


@pytest.mark.filterwarnings("ignore:Skipping features")
def test_a_column_without_values_that_an_imputer_leaves_out():
    X = np.c_[np.arange(N) % 5, np.full(N, np.nan), np.arange(N) % 3].astype(float)
    X[::9, 2] = np.nan
    steps = make_pipeline(SimpleImputer(add_indicator=True))
    assert_agrees(TabularMLPRegressor(**QUICK, preprocessor=steps).fit(X, X[:, 0]), X)


def test_without_clipping():
    X = np.random.default_rng(0).normal(size=(N, 2))
    for clip in (True, False):
        model = TabularMLPRegressor(**QUICK, preprocessor=None, clip=clip).fit(X, X[:, 0])
        assert (model.predict(30 * X).max() > X[:, 0].max()) != clip
        assert_agrees(model, 30 * X)


def test_one_class():
    X = np.random.default_rng(0).normal(size=(30, 2))
    model = TabularMLPClassifier(**QUICK).fit(X, np.full(30, "only"))
    label, _ = run(model.to_onnx(), {"X": X})
    assert label.tolist() == model.predict(X).tolist()


@pytest.mark.parametrize("opset", [OLDEST_OPSET, 11, 13, 18, 21])
@pytest.mark.parametrize("dtype", DTYPES)
def test_opsets(opset, dtype):
    X = frame(dtype=dtype)
    model = TabularMLPClassifier(**QUICK, bins="quantile").fit(X, value_of(X) > 1)
    exported = assert_agrees(model, X, dtype, target_opset=opset)
    assert {item.domain: item.version for item in exported.opset_import} == {"": opset, "ai.onnx.ml": 2}


def test_what_json_brings_back_converts_to_the_same_graph():
    X = frame()
    model = TabularMLPRegressor(**QUICK, bins="quantile").fit(X, value_of(X))
    assert from_json(model.to_json()).to_onnx() == model.to_onnx()


# ---- the graph ----


def test_inputs_are_the_columns_that_are_used():
    X = frame()
    model = TabularMLPClassifier(**QUICK).fit(X, value_of(X) > 1).to_onnx(dtype="float32")
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    texts = ["colour", "flag", "size", "grade"]
    assert list(types) == [name for name in X if name != "empty"]
    assert [n for n in types if types[n] == onnx.TensorProto.STRING] == texts
    assert {types[n] for n in types if n not in texts} == {onnx.TensorProto.FLOAT}
    properties = {item.key: item.value for item in model.metadata_props}
    assert json.loads(properties["feature_names"]) == list(X)
    assert properties["estimator"] == "TabularMLPClassifier"
    assert "TabularMLPClassifier: 10 columns" in model.doc_string


def test_arguments(tmp_path):
    X = np.random.default_rng(0).normal(size=(N, 2))
    model = TabularMLPRegressor(**QUICK).fit(X, X[:, 0])
    exported = model.to_onnx(
        tmp_path / "m.onnx", input_name="rows", output_names=["y"], doc_string="a line"
    )
    assert [value.name for value in exported.graph.input] == ["rows"]
    assert [value.name for value in exported.graph.output] == ["y"]
    assert exported.doc_string == "a line"
    assert onnx.load(tmp_path / "m.onnx") == exported
    assert [item.domain for item in exported.opset_import] == [""]


def test_examples():
    assert doctest.testmod(_tabular_onnx).failed == 0


# ---- what is refused ----


def refused(preprocessor, X, match, y=None):
    y = np.arange(len(X)) % 2 if y is None else y
    model = TabularMLPClassifier(**QUICK, preprocessor=preprocessor).fit(X, y)
    with pytest.raises(ValueError, match=match):
        model.to_onnx()


def test_dates_are_refused():
    X = frame()[["number"]].assign(day=pd.Timestamp("2020-01-01") + pd.to_timedelta(range(N), unit="D"))
    refused("auto", X, r"columns \['day'\]: DateEncoder cannot.*members_\[i\].to_onnx\(\)")


def test_transformers_that_are_not_known_are_refused():
    X = frame()[["far", "skewed"]]
    refused(MinMaxScaler(), X, r"columns \['far', 'skewed'\]: MinMaxScaler cannot be converted")
    refused(FeatureUnion([("a", StandardScaler())]), X, "FeatureUnion cannot")
    refused(FunctionTransformer(np.sqrt), X, "FunctionTransformer with a function")
    refused(SimpleImputer(missing_values=-1), X, "missing_values=-1")
    inside = make_pipeline(StandardScaler(), MinMaxScaler())
    refused(ColumnTransformer([("a", inside, ["skewed"])]), X, r"columns \['skewed'\]: MinMaxScaler")


def test_text_of_columns_without_names_is_refused():
    X = (np.arange(2 * N) % 3).reshape(N, 2)
    refused(CategoryEncoder(), X, "column 0 is read as text.*Fit on a frame")


def test_numbers_read_as_text_are_refused():
    X = frame()[["whole"]]
    refused(make_pipeline(StandardScaler(), CategoryEncoder()), X, r"computed from columns \['whole'\]")
    both = ColumnTransformer([("a", StandardScaler(), ["whole"]), ("b", CategoryEncoder(), ["whole"])])
    refused(both, X, "column 'whole' is read as a number and as text")
    levels = TargetEncoder(target_type="binary")
    refused(levels, X, "levels that are not text")


def test_a_column_with_the_name_of_an_output():
    X = frame()[["number"]].rename(columns={"number": "label"})
    model = TabularMLPClassifier(**QUICK).fit(X, np.arange(N) % 2)
    with pytest.raises(ValueError, match="must be different strings"):
        model.to_onnx()
    assert_agrees(model, X, output_names=["class", "probabilities"])


def test_numbers_beyond_float32():
    X = np.random.default_rng(0).normal(size=(N, 1)) * 1e50
    model = TabularMLPClassifier(**QUICK).fit(X, X[:, 0] > 0)
    with pytest.raises(ValueError, match="not finite in float32"):
        model.to_onnx(dtype="float32")
    assert_agrees(model, X)


def test_others_are_refused():
    with pytest.raises(NotFittedError):
        TabularMLPRegressor().to_onnx()
    model = TabularMLPRegressor(**QUICK).fit(np.eye(9), np.arange(9))
    with pytest.raises(ValueError, match="dtype must be"):
        model.to_onnx(dtype="float16")
    with pytest.raises(ValueError, match="target_opset must be between 9"):
        model.to_onnx(target_opset=8)
    X = np.random.default_rng(0).normal(size=(N, 1))
    model = TabularMLPClassifier(**QUICK).fit(X, np.where(X[:, 0] > 0, 0, 2**63).astype(np.uint64))
    with pytest.raises(ValueError, match="labels must lie within 64-bit integers"):
        model.to_onnx()


def test_date_encoder_is_the_only_part_of_ours_without_a_row():
    kinds = {getattr(preprocessing, name) for name in preprocessing.__all__}
    assert kinds - set(_tabular_onnx.CONVERTERS) == {DateEncoder, tabular_preprocessor}


# ---- pipelines of skl2onnx ----


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "transformer", [RobustSmoothScaler(), PiecewiseLinearEncoder(n_bins=6)], ids=["scaler", "bins"]
)
def test_numeric_transformers_in_a_pipeline(transformer, dtype):
    register_skl2onnx()
    X = np.random.default_rng(0).normal(3, 2, size=(N, 3)).astype(dtype)
    pipeline = make_pipeline(
        transformer, MLPRegressor(hidden_layer_sizes=8, max_iter=3, random_state=0)
    )
    pipeline.fit(X, X[:, 0])
    exported = skl2onnx.to_onnx(pipeline, X[:1])
    rows = np.concatenate([X, 100 * X[:9]])
    (found,) = run(exported, {"X": rows})
    assert found.dtype == dtype
    np.testing.assert_allclose(found[:, 0], pipeline.predict(rows), **CLOSE)
    rows[0, 0] = np.nan
    alone = skl2onnx.to_onnx(pipeline[0], X[:1])
    np.testing.assert_allclose(run(alone, {"X": rows})[0], pipeline[0].transform(rows), **CLOSE)


def test_category_encoder_in_a_pipeline():
    register_skl2onnx()
    X = frame()[["colour", "size", "whole", "number"]].fillna({"number": 0.0, "colour": ""})
    columns = ColumnTransformer(
        [
            ("number", RobustSmoothScaler(), ["number"]),
            ("text", CategoryEncoder(), ["colour", "size"]),
            ("whole", CategoryEncoder(), ["whole"]),
        ]
    )
    network = MLPClassifier(8, max_iter=3, random_state=0)
    pipeline = make_pipeline(columns, network).fit(X, X["colour"] == "red")
    kinds = [StringTensorType, StringTensorType, Int64TensorType, FloatTensorType]
    exported = skl2onnx.convert_sklearn(
        pipeline,
        initial_types=[(name, kind([None, 1])) for name, kind in zip(X, kinds, strict=True)],
        options={MLPClassifier: {"zipmap": False}},
    )
    types = [str, str, np.int64, np.float32]
    feeds = {name: X[[name]].to_numpy(kind) for name, kind in zip(X, types, strict=True)}
    feeds = {name: v.astype(object) if v.dtype.kind == "U" else v for name, v in feeds.items()}
    label, probabilities = run(exported, feeds)
    np.testing.assert_array_equal(label, pipeline.predict(X))
    np.testing.assert_allclose(probabilities, pipeline.predict_proba(X), **CLOSE)


def test_category_encoder_of_floats_is_refused_in_a_pipeline():
    register_skl2onnx()
    encoder = CategoryEncoder().fit(np.ones((9, 1)))
    with pytest.raises(ValueError, match="StringTensorType or Int64TensorType"):
        skl2onnx.convert_sklearn(encoder, initial_types=[("X", FloatTensorType([None, 1]))])
