"""Models exported to ONNX, alone and in pipelines, run by onnxruntime."""

import doctest
import json
import sys

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import skl2onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxruntime import InferenceSession
from scipy.sparse import csr_array
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import sklearn_mlp
from sklearn_mlp import MLPClassifier, MLPRegressor, register_skl2onnx
from sklearn_mlp import _onnx as module
from sklearn_mlp._activations import ACTIVATIONS
from sklearn_mlp._loss import LINKS
from sklearn_mlp._onnx import OLDEST_OPSET, ONNX_ACTIVATIONS, ONNX_LINKS, TARGET_OPSET

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:skl2onnx"),
]

DTYPES = ["float32", "float64"]
CLOSE = {"float32": {"rtol": 1e-5, "atol": 1e-5}, "float64": {"rtol": 1e-11, "atol": 1e-12}}
SLOPED = [*((name, 0.0) for name in ACTIVATIONS), ("leaky_relu", 0.3)]
N = 40

TARGETS = {
    "two": np.arange(N) % 2,
    "three": np.arange(N) % 3 * 10 - 10,
    "bytes": (np.arange(N) % 3).astype(np.uint8),
    "words": np.array(["yes", "no", "perhaps, Zürich"])[np.arange(N) % 3],
    "two words": np.array(["yes", "no"])[np.arange(N) % 2],
    "objects": np.array(["yes", "no", "maybe"], object)[np.arange(N) % 3],
    "booleans": np.arange(N) % 2 == 0,
    "whole floats": np.arange(N) % 3 - 1.0,
    "labels": np.eye(3, dtype=int)[np.arange(N) % 3],
    "one class": np.full(N, 7),
}


def data(n_rows=N, n_features=4, dtype="float32", seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n_rows, n_features)) * 3).astype(dtype)


def fitted(cls, y, hidden=(7, 5), dtype="float32", **params):
    return cls(hidden_layer_sizes=hidden, max_iter=2, random_state=0, **params).fit(
        data(dtype=dtype, seed=1), y
    )


def session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(model, X):
    """The outputs, in order."""
    return session(model).run(None, {model.graph.input[0].name: X})


def assert_agrees(estimator, model, X, dtype=None):
    close = CLOSE[dtype or X.dtype.name]
    if not hasattr(estimator, "classes_"):
        (values,) = run(model, X)
        expected = estimator.predict(X)
        np.testing.assert_allclose(values, expected.reshape(len(X), -1), **close)
        return
    label, proba = run(model, X)
    expected = estimator.predict(X)
    assert label.shape == expected.shape
    np.testing.assert_array_equal(label, expected)
    np.testing.assert_allclose(proba, estimator.predict_proba(X), **close)


# ---- everything there is ----


def test_every_activation_has_a_row():
    assert set(ONNX_ACTIVATIONS) == set(ACTIVATIONS)


def test_every_link_has_a_row():
    assert set(ONNX_LINKS) == set(LINKS)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", SLOPED, ids=str)
def test_activations(activation, dtype):
    activation = activation if activation[1] else activation[0]
    y = np.random.default_rng(0).normal(size=(N, 2))
    model = fitted(MLPRegressor, y, dtype=dtype, activation=activation, output_activation=activation)
    assert_agrees(model, model.to_onnx(), data(200, dtype=dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_of_large_scores(activation, dtype):
    """A chain of single units with weight 1 lets an input through as it is."""
    model = MLPRegressor(hidden_layer_sizes=(1,), activation=activation, max_iter=1, random_state=0)
    X = np.array([[0], [1e-6], [0.3], [4], [9], [39], [88], [800], [1e4]], dtype)
    X = np.concatenate([X, -X])
    model.fit(X[:3], X[:3, 0])
    model.coefs_, model.intercepts_ = [[[1.0]], [[1.0]]], [[0.0], [0.0]]
    (values,) = run(model.to_onnx(), X)
    np.testing.assert_allclose(values[:, 0], model.predict(X), **CLOSE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("targets", TARGETS)
def test_classifiers(targets, dtype):
    model = fitted(MLPClassifier, TARGETS[targets], dtype=dtype)
    assert_agrees(model, model.to_onnx(), data(300, dtype=dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("loss", ["squared_error", "poisson", "quantile"])
def test_regressors(loss, n_outputs, dtype):
    y = np.random.default_rng(0).random((N, n_outputs))
    model = fitted(MLPRegressor, y[:, 0] if n_outputs == 1 else y, dtype=dtype, loss=loss)
    assert_agrees(model, model.to_onnx(), data(100, dtype=dtype))


@settings(max_examples=25, deadline=None)
@given(
    hidden=st.lists(st.integers(1, 12), max_size=3),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    targets=st.sampled_from(sorted(TARGETS)),
    dtype=st.sampled_from(DTYPES),
    n_rows=st.integers(1, 50),
    seed=st.integers(0, 10**6),
)
def test_any_classifier(hidden, activation, targets, dtype, n_rows, seed):
    model = MLPClassifier(hidden, activation, max_iter=2, random_state=seed)
    model.fit(data(dtype=dtype, seed=seed), TARGETS[targets])
    assert_agrees(model, model.to_onnx(), data(n_rows, dtype=dtype, seed=seed + 1))


def test_a_classifier_trained_well_gives_the_same_labels_on_real_data():
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    model = MLPClassifier(max_iter=20, random_state=0).fit(X, y)
    assert_agrees(model, model.to_onnx(), X)


# ---- the graph ----


def shapes(values):
    return {
        value.name: (
            value.type.tensor_type.elem_type,
            [dim.dim_value or dim.dim_param for dim in value.type.tensor_type.shape.dim],
        )
        for value in values
    }


FLOAT, DOUBLE = onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE
INT64, STRING = onnx.TensorProto.INT64, onnx.TensorProto.STRING


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ("two", {"label": (INT64, ["N"]), "probabilities": (FLOAT, ["N", 2])}),
        ("booleans", {"label": (INT64, ["N"]), "probabilities": (FLOAT, ["N", 2])}),
        ("words", {"label": (STRING, ["N"]), "probabilities": (FLOAT, ["N", 3])}),
        ("labels", {"label": (INT64, ["N", 3]), "probabilities": (FLOAT, ["N", 3])}),
    ],
)
def test_outputs_of_a_classifier(targets, expected):
    model = fitted(MLPClassifier, TARGETS[targets]).to_onnx()
    assert shapes(model.graph.output) == expected
    assert shapes(model.graph.input) == {"X": (FLOAT, ["N", 4])}


def test_sparse_indicators_come_out_dense():
    X = data()
    model = fitted(MLPClassifier, csr_array(TARGETS["labels"]))
    label, _ = run(model.to_onnx(), X)
    np.testing.assert_array_equal(label, model.predict(X).toarray())


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_outputs_of_a_regressor(n_outputs):
    y = np.zeros(N) if n_outputs == 1 else np.zeros((N, n_outputs))
    model = fitted(MLPRegressor, y, dtype="float64").to_onnx()
    assert shapes(model.graph.output) == {"variable": (DOUBLE, ["N", n_outputs])}


@pytest.mark.parametrize("targets", ["two", "words", "labels"])
def test_names_and_shapes_are_those_of_scikit_learns_network(targets):
    from sklearn.neural_network import MLPClassifier as Theirs

    X, y = data(), TARGETS[targets]
    theirs = skl2onnx.to_onnx(
        Theirs(3, max_iter=1).fit(X, y), X[:1], options={Theirs: {"zipmap": False}}
    )
    ours = MLPClassifier(3, max_iter=1).fit(X, y).to_onnx()
    assert [value.name for value in ours.graph.output] == [v.name for v in theirs.graph.output]
    for mine, other in zip(run(ours, X), run(theirs, X), strict=True):
        assert mine.shape == other.shape
        assert mine.dtype == other.dtype


def test_any_number_of_rows():
    model = fitted(MLPClassifier, TARGETS["three"])
    runner = session(model.to_onnx())
    for n_rows in (1, 7, 1000):
        X = data(n_rows)
        label, _ = runner.run(None, {"X": X})
        np.testing.assert_array_equal(label, model.predict(X))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("opset", range(OLDEST_OPSET, onnx.defs.onnx_opset_version() + 1))
def test_every_opset(opset, dtype):
    """onnxruntime runs those that it knows already; the checker knows all."""
    activation = ["leaky_relu", "elu", "selu", "softplus", "gelu", "silu", "mish"]
    model = fitted(MLPClassifier, TARGETS["words"], (4,) * 7, dtype, activation=activation)
    exported = model.to_onnx(target_opset=opset)
    assert [(item.domain, item.version) for item in exported.opset_import] == [("", opset)]
    if opset <= 21:
        assert_agrees(model, exported, data(dtype=dtype))


def test_the_default_is_for_runtimes_of_2020():
    model = fitted(MLPClassifier, TARGETS["words"]).to_onnx()
    assert (model.opset_import[0].version, model.ir_version) == (13, 7) == (TARGET_OPSET, 7)


def test_metadata():
    X = pd.DataFrame(data(), columns=["a", "b", "ä", "d"])
    model = MLPRegressor(
        hidden_layer_sizes=(3, 2), activation=["relu", "tanh"], max_iter=1, loss="poisson"
    ).fit(X, np.ones(N))
    exported = model.to_onnx()
    assert exported.producer_name == "sklearn_mlp"
    assert exported.producer_version == sklearn_mlp.__version__
    assert exported.doc_string == (
        "MLPRegressor: 4 features, layers of 3 relu, 2 tanh, 1 identity, then exp"
    )
    properties = {item.key: item.value for item in exported.metadata_props}
    assert properties["estimator"] == "MLPRegressor"
    assert json.loads(properties["feature_names"]) == ["a", "b", "ä", "d"]


def test_the_parameters_are_the_models_to_the_bit():
    model = fitted(MLPRegressor, np.arange(N) / N)
    stored = {
        tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.to_onnx().graph.initializer
    }
    for i, (weights, intercepts) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        np.testing.assert_array_equal(stored[f"coefs_{i}"], weights)
        np.testing.assert_array_equal(stored[f"intercepts_{i}"], intercepts)


# ---- arguments ----


def test_path(tmp_path):
    path = tmp_path / "model.onnx"
    model = fitted(MLPClassifier, TARGETS["two"]).to_onnx(path)
    assert path.read_bytes() == model.SerializeToString()


def test_names():
    model = fitted(MLPClassifier, TARGETS["two"])
    exported = model.to_onnx(input_name="MatMul", output_names=["coefs_0", "Sigmoid"])
    assert [value.name for value in exported.graph.input] == ["MatMul"]
    assert [value.name for value in exported.graph.output] == ["coefs_0", "Sigmoid"]
    assert_agrees(model, exported, data())


@pytest.mark.parametrize(
    "names",
    [["a"], ["a", "b", "c"], ["a", "a"], ["X", "b"], ["", "b"], [1, 2], "ab", 5],
    ids=str,
)
def test_other_numbers_of_names_and_the_same_twice_are_refused(names):
    model = fitted(MLPClassifier, TARGETS["two"])
    with pytest.raises(ValueError, match="must be different strings"):
        model.to_onnx(output_names=names)


@pytest.mark.parametrize("targets", ["two", "three", "labels"])
def test_raw_scores(targets):
    model, X = fitted(MLPClassifier, TARGETS[targets]), data()
    exported = model.to_onnx(raw_scores=True)
    assert [value.name for value in exported.graph.output] == ["label", "scores"]
    label, scores = run(exported, X)
    np.testing.assert_array_equal(label, model.predict(X))
    expected = model.decision_function(X)
    expected = np.column_stack([-expected, expected]) if targets == "two" else expected
    np.testing.assert_allclose(scores, expected, **CLOSE["float32"])


@pytest.mark.parametrize(("fitted_in", "dtype"), [DTYPES, DTYPES[::-1]])
def test_another_dtype(fitted_in, dtype):
    model = fitted(MLPClassifier, TARGETS["three"], dtype=fitted_in, activation="gelu")
    X = data()
    label, proba = run(model.to_onnx(dtype=dtype), X.astype(dtype))
    assert proba.dtype == dtype
    np.testing.assert_array_equal(label, model.predict(X))
    np.testing.assert_allclose(proba, model.predict_proba(X), **CLOSE["float32"])


@pytest.mark.parametrize("dtype", ["float16", "int", "nonsense", 3])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(ValueError, match="dtype must be 'float32', 'float64'"):
        fitted(MLPClassifier, TARGETS["two"]).to_onnx(dtype=dtype)


@pytest.mark.parametrize("opset", [8, 10_000, -1])
def test_opsets_out_of_range_are_refused(opset):
    with pytest.raises(ValueError, match="target_opset must be between 9 and"):
        fitted(MLPClassifier, TARGETS["two"]).to_onnx(target_opset=opset)


@pytest.mark.parametrize("opset", [13.0, "13", True, None])
def test_opsets_that_are_no_integers_are_refused(opset):
    with pytest.raises(TypeError, match="target_opset must be an integer"):
        fitted(MLPClassifier, TARGETS["two"]).to_onnx(target_opset=opset)


def test_not_fitted():
    with pytest.raises(NotFittedError):
        MLPRegressor().to_onnx()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_parameters_that_are_not_finite_are_refused(value):
    model = fitted(MLPRegressor, np.arange(N) / N, dtype="float64")
    model.intercepts_[0][2] = value
    with pytest.raises(ValueError, match=r"coefs_\[0\] or intercepts_\[0\] has numbers .* in float32"):
        model.to_onnx(dtype="float32")


def test_labels_beyond_64_bits_are_refused():
    model = fitted(MLPClassifier, np.array([1, 2**64 - 1], np.uint64)[np.arange(N) % 2])
    with pytest.raises(ValueError, match="64-bit"):
        model.to_onnx()


def test_files_of_more_than_2_gib_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    assert fitted(MLPClassifier, TARGETS["two"], (25,)).to_onnx()
    with pytest.raises(ValueError, match="take 1208 bytes, and an ONNX file holds less than 2 GiB"):
        fitted(MLPClassifier, TARGETS["two"], (25,), "float64").to_onnx(tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("missing", "call"),
    [
        ("onnx", lambda: fitted(MLPClassifier, TARGETS["two"]).to_onnx()),
        ("skl2onnx", register_skl2onnx),
    ],
)
def test_a_missing_package_is_named_with_its_extra(missing, call, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf"{missing}: pip install \"sklearn-mlp\[onnx\]\""):
        call()


def test_the_example_in_the_docstring():
    (test,) = doctest.DocTestFinder().find(MLPClassifier.to_onnx, globs={})
    assert doctest.DocTestRunner().run(test) == (0, len(test.examples))


# ---- pipelines ----


@pytest.fixture(autouse=True, scope="module")
def _registered():
    register_skl2onnx()


def converted(model, X, **options):
    return skl2onnx.to_onnx(model, X[:1], options={MLPClassifier: options} if options else None)


def test_registering_twice_is_allowed():
    register_skl2onnx()
    register_skl2onnx()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("targets", TARGETS)
def test_classifiers_in_a_pipeline(targets, dtype):
    X = data(dtype=dtype)
    network = MLPClassifier((5,), "gelu", max_iter=2, random_state=0, dtype=dtype)
    model = make_pipeline(StandardScaler(), network).fit(X, TARGETS[targets])
    exported = converted(model, X, zipmap=False)
    assert [value.name for value in exported.graph.output] == ["label", "probabilities"]
    onnx.checker.check_model(exported)
    assert_agrees(model, exported, X)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", SLOPED, ids=str)
def test_activations_in_a_pipeline(activation, dtype):
    activation = activation if activation[1] else activation[0]
    X, y = data(dtype=dtype), np.random.default_rng(0).normal(size=(N, 2))
    network = MLPRegressor(hidden_layer_sizes=(5, 3), activation=activation, max_iter=2, random_state=0)
    model = make_pipeline(StandardScaler(), network).fit(X, y)
    exported = converted(model, X)
    assert [value.name for value in exported.graph.output] == ["variable"]
    assert_agrees(model, exported, X)


def test_a_regressor_with_one_output_in_a_pipeline():
    X = data()
    model = make_pipeline(
        StandardScaler(), MLPRegressor(hidden_layer_sizes=3, loss="poisson", max_iter=2)
    )
    model.fit(X, np.arange(N))
    assert_agrees(model, converted(model, X), X)


def test_a_pipeline_that_takes_integers():
    X = np.arange(4 * N).reshape(N, 4) % 11
    model = MLPClassifier(3, max_iter=2, random_state=0).fit(X, TARGETS["three"])
    exported = skl2onnx.convert_sklearn(
        model,
        initial_types=[("X", Int64TensorType([None, 4]))],
        options={MLPClassifier: {"zipmap": False}},
    )
    label, proba = run(exported, X)
    np.testing.assert_array_equal(label, model.predict(X))
    np.testing.assert_allclose(proba, model.predict_proba(X), **CLOSE["float32"])


def test_the_number_of_rows_of_a_pipeline_is_free():
    X = data()
    model = make_pipeline(StandardScaler(), MLPClassifier(3, max_iter=2)).fit(X, TARGETS["three"])
    runner = session(converted(model, X, zipmap=False))
    for n_rows in (1, 100):
        rows = data(n_rows)
        np.testing.assert_array_equal(runner.run(["label"], {"X": rows})[0], model.predict(rows))


@pytest.mark.parametrize("targets", ["two", "words", "booleans"])
def test_zipmap_is_the_default_as_elsewhere(targets):
    X = data()
    model = fitted(MLPClassifier, TARGETS[targets])
    label, proba = run(converted(model, X), X)
    np.testing.assert_array_equal(label, model.predict(X))
    assert list(proba[0]) == model.classes_.tolist()
    actual = [list(row.values()) for row in proba]
    np.testing.assert_allclose(actual, model.predict_proba(X), **CLOSE["float32"])


def test_zipmap_in_columns():
    X = data()
    model = fitted(MLPClassifier, TARGETS["two words"])
    exported = converted(model, X, zipmap="columns")
    assert [value.name for value in exported.graph.output] == ["output_label", "sno", "syes"]
    _, *columns = run(exported, X)
    np.testing.assert_allclose(
        np.column_stack([column.ravel() for column in columns]),
        model.predict_proba(X),
        **CLOSE["float32"],
    )


def test_nocl_puts_out_the_places_of_labels():
    X = data()
    model = fitted(MLPClassifier, TARGETS["words"])
    label, _ = run(converted(model, X, nocl=True, zipmap=False), X)
    np.testing.assert_array_equal(model.classes_[label], model.predict(X))


def test_output_class_labels():
    X = data()
    model = fitted(MLPClassifier, TARGETS["words"])
    *_, labels = run(converted(model, X, zipmap=False, output_class_labels=True), X)
    np.testing.assert_array_equal(labels, model.classes_)


def test_raw_scores_of_skl2onnx():
    X = data()
    model = fitted(MLPClassifier, TARGETS["three"])
    _, scores = run(converted(model, X, zipmap=False, raw_scores=True), X)
    np.testing.assert_allclose(scores, model.decision_function(X), **CLOSE["float32"])


def test_unknown_options_are_refused():
    X = data()
    with pytest.raises(NameError, match="nonsense"):
        converted(fitted(MLPClassifier, TARGETS["two"]), X, nonsense=True)


def test_columns_of_a_frame():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "size": rng.normal(size=N).astype(np.float32),
            "weight": rng.normal(size=N).astype(np.float32),
            "colour": np.array(["red", "green", "blue"])[np.arange(N) % 3],
        }
    )
    columns = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["size", "weight"]),
            ("words", OneHotEncoder(), ["colour"]),
        ]
    )
    network = MLPClassifier(5, max_iter=5, random_state=0)
    model = Pipeline([("columns", columns), ("network", network)]).fit(X, TARGETS["words"])
    kinds = {"size": FloatTensorType, "weight": FloatTensorType, "colour": StringTensorType}
    exported = skl2onnx.convert_sklearn(
        model,
        initial_types=[(name, kind([None, 1])) for name, kind in kinds.items()],
        options={MLPClassifier: {"zipmap": False}},
    )
    feeds = {name: X[[name]].to_numpy() for name in X}
    label, proba = session(exported).run(None, feeds)
    np.testing.assert_array_equal(label, model.predict(X))
    np.testing.assert_allclose(proba, model.predict_proba(X), **CLOSE["float32"])


def network():
    return MLPClassifier(4, max_iter=3, random_state=0)


@pytest.mark.parametrize(
    "model",
    [
        GridSearchCV(network(), {"alpha": [1e-4, 1.0]}, cv=2),
        VotingClassifier([("a", network()), ("b", network())], voting="soft", flatten_transform=False),
        BaggingClassifier(network(), 3, random_state=0),
        CalibratedClassifierCV(network(), cv=2),
    ],
    ids=lambda model: type(model).__name__,
)
def test_inside_other_models(model):
    X = data()
    model.fit(X, TARGETS["three"])
    exported = skl2onnx.to_onnx(model, X[:1], options={id(model): {"zipmap": False}})
    label, proba = run(exported, X)
    np.testing.assert_array_equal(label, model.predict(X))
    np.testing.assert_allclose(proba, model.predict_proba(X), rtol=1e-4, atol=1e-5)
