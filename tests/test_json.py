"""Models as JSON: what is written, what is read, and what is refused."""

import copy
import doctest
import json
import math
import os
import pickle
import runpy
import signal
import stat
import sys
import time
import warnings
from importlib.resources import files
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, issparse
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.preprocessing import LabelBinarizer

from sklearn_mlp import MLPClassifier, MLPRegressor, ModelFormatError, _serialize, from_json, load_json
from sklearn_mlp._activations import ACTIVATIONS
from sklearn_mlp._loss import LOSSES
from sklearn_mlp._optim import SOLVERS
from sklearn_mlp.schedules import (
    NAMED_SCHEDULES,
    SCHEDULE_NAMES,
    CosineAnnealing,
    Schedule,
    StepDecay,
    Warmup,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

FOLDER = Path(__file__).parent / "golden"
GOLDEN = runpy.run_path(str(FOLDER / "regenerate.py"), run_name="golden")
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))

SCHEMA = jsonschema.Draft202012Validator(
    json.loads((files("sklearn_mlp") / "model.schema.json").read_text(encoding="utf-8"))
)

rng = np.random.RandomState(0)
X = rng.normal(size=(40, 3))
Y = X[:, 0] - X[:, 1]


def golden(name):
    """The text of a golden file."""
    return (FOLDER / f"{name}.json").read_text(encoding="utf-8")


def parsed(name):
    return json.loads(golden(name))


def regressor(**parameters):
    model = MLPRegressor(hidden_layer_sizes=(3,), random_state=0, max_iter=3)
    return model.set_params(**parameters)


def classifier(**parameters):
    return MLPClassifier((3,), random_state=0, max_iter=3).set_params(**parameters)


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def state(model):
    """All that a pickle of the model holds, in comparable form, without the seconds."""
    found = copy.copy(model).__getstate__()
    network = found.pop("_network")
    found["network"] = (network.sizes, network.activations, network.params.dtype)
    found["params"] = network.params.tobytes()
    found["_loss"] = found["_loss"].__reduce__()[1]
    binarizer = vars(found.pop("_label_binarizer", LabelBinarizer())).copy()
    for values in (found, binarizer):
        for key in ("classes_", "feature_names_in_"):
            if key in values:
                values[key] = (values[key].dtype, values[key].tolist())
    report = found.pop("history_")
    columns = {key: report[key] for key in report.columns if key != "seconds"}
    found["history"] = (columns, report.best_epoch, report.stop_reason, report.columns)
    found["optimizer"] = None
    if found.pop("_optimizer", None) is not None:
        run = model._optimizer
        moments = run.state.moments
        schedule = {key: value for key, value in vars(run.schedule).items() if key != "_rates"}
        found["optimizer"] = (
            run.settings.__reduce__(),
            run.state.n_steps,
            (moments.dtype, moments.shape, moments.tobytes()),
            type(run.schedule),
            {key: repr(plain(value)) for key, value in schedule.items()},
        )
    return {key: repr(plain(value)) for key, value in {**found, **binarizer}.items()}


def plain(value):
    """NumPy's values as Python's."""
    value = value.item() if isinstance(value, np.generic) else value
    return value.tolist() if isinstance(value, np.ndarray) else value


def test_examples():
    assert doctest.testmod(_serialize).failed == 0


# ---- what comes back ----


@pytest.mark.parametrize("name", GOLDEN["CASES"])
def test_a_model_that_is_read_has_all_that_a_pickle_has(name):
    model = GOLDEN["make"](name)
    assert state(from_json(model.to_json())) == state(pickle.loads(pickle.dumps(model)))


@pytest.mark.parametrize("name", GOLDEN["CASES"])
def test_predictions_are_the_same_to_the_bit(name):
    model = GOLDEN["make"](name)
    again = from_json(model.to_json())
    rows, _ = GOLDEN["inputs"](name)
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        if hasattr(model, method):
            one, other = getattr(model, method)(rows), getattr(again, method)(rows)
            assert issparse(one) == issparse(other)
            if issparse(one):
                one, other = one.toarray(), other.toarray()
            assert same_bits(one, other)


@pytest.mark.parametrize("name", GOLDEN["CASES"])
def test_training_goes_on_as_after_a_pickle(name):
    model = GOLDEN["make"](name)
    again, copied = from_json(model.to_json()), pickle.loads(pickle.dumps(model))
    for _ in range(2):
        GOLDEN["train"](name, again)
        GOLDEN["train"](name, copied)
    assert state(again) == state(copied)


@pytest.mark.parametrize(
    "learning_rate",
    ["constant", "invscaling", "adaptive", "step", "exponential", Warmup(3), Warmup(1.5, StepDecay(1))],
    ids=str,
)
@pytest.mark.parametrize("solver", list(SOLVERS))
@pytest.mark.filterwarnings("ignore:learning_rate=")
def test_partial_fit_under_way_goes_on_as_if_never_written(solver, learning_rate):
    model = regressor(solver=solver, learning_rate=learning_rate, dropout=0.25, n_iter_no_change=1)
    model.set_params(tol=10.0, batch_size=16)
    for _ in range(4):
        model.partial_fit(X, Y)
    again = from_json(model.to_json())
    for _ in range(4):
        model.partial_fit(X, Y)
        again.partial_fit(X, Y)
    assert state(again) == state(model)


def test_partial_fit_goes_on_with_the_settings_it_began_with():
    model = regressor(momentum=0.5, solver="sgd").partial_fit(X, Y)
    model.set_params(momentum=0.1, learning_rate_init=0.5, learning_rate=StepDecay(3))
    again = from_json(model.to_json())
    assert again.get_params()["momentum"] == 0.1
    assert state(again.partial_fit(X, Y)) == state(model.partial_fit(X, Y))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_warm_start_goes_on_as_if_never_written(solver, early_stopping):
    model = regressor(solver=solver, warm_start=True, early_stopping=early_stopping).fit(X, Y)
    again = from_json(model.to_json())
    assert state(again.fit(X, Y)) == state(model.fit(X, Y))
    assert len(again.loss_curve_) > again.n_iter_


def test_after_fit_partial_fit_begins_a_new_optimizer():
    model = regressor(solver="adam").fit(X, Y)
    assert json.loads(model.to_json())["optimizer"] is None
    assert from_json(model.to_json()).partial_fit(X, Y).t_ == 160


LABELS = {
    **{dtype: np.array([0, 1, 2], dtype) for dtype in _serialize.INTEGERS},
    "bool": np.array([False, True]),
    "float16": np.array([0, 1, 2], np.float16),
    "float32": np.array([0, 1, 2], np.float32),
    "float64": np.array([-3.0, 5e8, 1e15]),
    "str": np.array(["", "b\u2028", "ÿ🙂"]),
    "wide str": np.array(["a", "b", "c"], dtype="U7"),
    "largest": np.array([0, 2**63, 2**64 - 1], dtype=np.uint64),
    "smallest": np.array([-(2**63), -1, 2**63 - 1], dtype=np.int64),
    "other order": np.array([1, 2, 300], dtype=">i4"),
    "one class": np.array(["only"]),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_classes_keep_their_type(labels):
    model = classifier().fit(X, labels[np.arange(40) % labels.size])
    again = from_json(model.to_json())
    np.testing.assert_array_equal(again.classes_, model.classes_)
    assert again.classes_.dtype.kind == labels.dtype.kind
    if labels.dtype.kind != "U":
        assert again.classes_.dtype == labels.dtype.newbyteorder("=")
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again._label_binarizer.y_type_ == model._label_binarizer.y_type_


def test_classes_of_dtype_object_stay_that():
    model = classifier().fit(X, np.where(Y > 0, "a", "b"))
    model.classes_ = model._label_binarizer.classes_ = model.classes_.astype(object)
    again = from_json(model.to_json())
    assert again.classes_.dtype == object
    assert again.predict(X).tolist() == model.predict(X).tolist()


def test_the_names_of_columns_come_back():
    model = GOLDEN["make"]("v1-binary-strings")
    frame, _ = GOLDEN["inputs"]("v1-binary-strings")
    again = from_json(model.to_json())
    assert again.feature_names_in_.tolist() == list(frame.columns)
    with pytest.raises(ValueError, match="feature names should match"):
        again.predict(frame.rename(columns={"a": "z"}))


def test_the_history_may_be_left_out():
    model = regressor().fit(X, Y)
    assert from_json(model.to_json()).history_ == model.history_
    again = from_json(model.to_json(history=False))
    assert not hasattr(again, "history_")
    assert again.loss_curve_ == model.loss_curve_
    assert len(again.partial_fit(X, Y).history_) == 1


def test_values_that_are_not_finite_come_back_in_the_record():
    model = regressor(metrics=["r2"]).fit(X, Y)
    model.loss_curve_[1], model.loss_, model.best_loss_ = -np.inf, np.nan, np.inf
    values = dict.fromkeys(model.history_.columns, np.nan)
    model.history_.append({**values, "r2": -np.inf, "loss": np.inf})
    again = from_json(model.to_json())
    assert again.history_ == model.history_
    assert repr((again.loss_curve_, again.loss_, again.best_loss_)) == repr(
        (model.loss_curve_, math.nan, math.inf)
    )


def test_a_scorer_that_was_an_object_counts_as_another_one():
    model = regressor(scoring=lambda model, X, y: 0.5, early_stopping=True, warm_start=True)
    model.fit(X, Y).set_params(scoring=None)
    again = from_json(model.to_json())
    again.fit(X, Y)
    assert state(again) == state(model.fit(X, Y))


# ---- the text ----


def bit_patterns(dtype):
    """Finite numbers of a dtype, all exponents alike: subnormal, smallest, largest, zeros."""
    bits = np.dtype(dtype).itemsize * 8
    numbers = st.integers(0, 2**bits - 1).map(lambda n: np.array([n], f"u{bits // 8}").view(dtype)[0])
    return numbers.filter(np.isfinite)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_weights_survive_to_the_bit(dtype, data):
    model = _line(dtype)
    limits = np.finfo(dtype)
    special = [-0.0, 0.0, limits.smallest_subnormal, -limits.tiny, limits.max, -limits.max]
    values = st.one_of(bit_patterns(dtype), st.sampled_from(special))
    model.coefs_ = [np.array(data.draw(st.lists(values, min_size=3, max_size=3)), dtype)[:, None]]
    again = from_json(model.to_json())
    assert same_bits(again._network.params, model._network.params)


def _line(dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return regressor(hidden_layer_sizes=(), dtype=dtype, max_iter=1).fit(X, Y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_decimals_are_the_shortest(dtype, data):
    value = data.draw(bit_patterns(dtype))
    (text,) = _serialize._decimals(np.array([value]))
    shortest = np.format_float_scientific(value, unique=True, trim="-")
    digits = text.lower().split("e")[0].replace(".", "").strip("-0")
    assert digits == shortest.split("e")[0].replace(".", "").strip("-0")


def test_a_float32_whose_shortest_decimal_is_rounded_twice_survives():
    values = np.array([0x15AE43FD, 0x95AE43FD], np.uint32).view(np.float32)
    assert np.float32(float(str(values[0]))) != values[0]  # by way of a float64
    read = np.array([float(text) for text in _serialize._decimals(values)])
    assert same_bits(read.astype(np.float32), values)


@pytest.mark.parametrize("legacy", [False, "1.13", "1.25"])
def test_options_of_printing_do_not_matter(legacy):
    model = regressor(dtype="float32").fit(X, Y)
    expected = model.to_json()
    with np.printoptions(precision=2, suppress=True, floatmode="fixed", legacy=legacy):
        assert same_bits(from_json(model.to_json())._network.params, model._network.params)
        assert model.to_json() == expected


def test_numbers_that_lose_bits_are_no_error_whatever_numpy_does_then():
    model = regressor(dtype="float32").fit(X, Y)
    model.coefs_[0][0, :2] = 3e-42, 1.1e-40  # subnormal
    with np.errstate(all="raise"):
        text = model.to_json()
        assert same_bits(from_json(text)._network.params, model._network.params)
        assert from_json(text.replace("3e-42", "1e-50")).coefs_[0][0, 0] == 0


def test_a_row_of_weights_is_on_a_line():
    model = regressor(dtype="float32").fit(X, Y)
    lines = [line.strip(" ,") for line in model.to_json().splitlines()]
    for weights in model.coefs_:
        for row in weights:
            assert f"[{', '.join(str(value) for value in row)}]" in lines
    for intercepts in model.intercepts_:
        assert f'"intercepts": [{", ".join(map(str, intercepts))}]' in lines


def test_many_columns_are_cut_into_rows_where_they_end():
    model = regressor(hidden_layer_sizes=(300,)).fit(np.tile(X, 100), Y)
    assert same_bits(from_json(model.to_json())._network.params, model._network.params)


def test_keys_are_in_a_fixed_order():
    document = parsed("v1-partial-fit-adam")
    assert [key for key in document if key != "classes"] == list(_serialize.KEYS)
    assert list(document["parameters"]) == sorted(document["parameters"])
    for section, keys in [
        ("classes", _serialize.CLASSES_KEYS),
        ("training", _serialize.TRAINING_KEYS),
        ("history", _serialize.HISTORY_KEYS),
        ("optimizer", _serialize.OPTIMIZER_KEYS),
    ]:
        assert tuple(document[section]) == keys
    assert tuple(document["layers"][0]) == _serialize.LAYER_KEYS


@pytest.mark.parametrize("name", GOLDEN["CASES"])
def test_what_was_read_is_written_as_it_was(name):
    text = GOLDEN["make"](name).to_json()
    assert from_json(text).to_json() == text


# ---- parameters ----


def equal(a, b):
    """Equality that tells types apart."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict):
        return equal(list(a.items()), list(b.items()))
    if isinstance(a, Schedule):
        return equal(a.get_params(deep=False), b.get_params(deep=False))
    return a == b or (a != a and b != b)


FITTED = {
    MLPClassifier: classifier(tol=10.0, n_iter_no_change=1).fit(X, Y > 0),
    MLPRegressor: regressor(tol=10.0, n_iter_no_change=1).fit(X, Y),
}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    texts,
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
)
sequences = st.recursive(
    st.lists(scalars, max_size=3), lambda items: st.lists(items | items.map(tuple), max_size=2)
)
named = st.sampled_from(list(NAMED_SCHEDULES.values()))
schedule_objects = st.recursive(
    named.map(lambda kind: kind()),
    lambda after: st.builds(
        Warmup,
        st.floats(0, 1e300, exclude_min=True) | st.integers(1, 9),
        after | st.none() | st.sampled_from(list(NAMED_SCHEDULES)),
    ),
)
label_weights = st.dictionaries(
    st.integers(-9, 9) | texts | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
    scalars,
    max_size=3,
)


@settings(max_examples=100, deadline=None)
@given(
    metrics=sequences | sequences.map(tuple) | texts | st.none(),
    scoring=texts | st.none(),
    dropout=sequences | st.floats(0, 1, exclude_max=True),
    class_weight=label_weights | st.lists(label_weights | scalars, max_size=3),
    learning_rate=schedule_objects | st.sampled_from(SCHEDULE_NAMES),
    alpha=st.floats(0, 1e308) | st.integers(0, 2**64 - 1),
    n_iter_no_change=st.just(math.inf) | st.integers(1, 100),
    verbose=st.booleans() | st.integers(0, 3),
)
def test_parameters_come_back_with_their_types(**parameters):
    model = copy.copy(FITTED[MLPClassifier]).set_params(**parameters)
    again = from_json(model.to_json())
    assert equal(again.get_params(deep=False), model.get_params(deep=False))
    SCHEMA.validate(json.loads(model.to_json()))


@pytest.mark.parametrize(
    ("name", "value", "plain"),
    [
        ("max_iter", np.int64(7), 7),
        ("alpha", np.float32(0.5), 0.5),
        ("shuffle", np.bool_(False), False),
        ("solver", np.str_("sgd"), "sgd"),
        ("hidden_layer_sizes", np.array([3, 2]), [3, 2]),
        ("dropout", np.array([0.5]), [0.5]),
        ("activation", np.array(["relu"]), ["relu"]),
        ("class_weight", {np.int64(0): np.float64(2)}, {0: 2.0}),
        ("learning_rate", StepDecay(np.int8(3), np.float32(0.5)), StepDecay(3, 0.5)),
    ],
)
def test_numpy_values_come_back_as_those_of_python(name, value, plain):
    model = copy.copy(FITTED[MLPClassifier]).set_params(**{name: value})
    assert equal(from_json(model.to_json()).get_params(deep=False)[name], plain)


class Root(Schedule):
    def factors(self, epochs, n_epochs, steps_per_epoch):
        return 1 / (1 + epochs)


deep = [1]
for _ in range(30):
    deep = [deep]
circle = []
circle.append(circle)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("random_state", np.random.RandomState(0), "parameters.random_state: JSON cannot hold Random"),
        ("random_state", np.random.mtrand._rand, "parameters.random_state: JSON cannot hold"),
        ("learning_rate", Root(), "parameters.learning_rate: JSON cannot hold Root"),
        ("learning_rate", Warmup(1, Root()), "parameters.learning_rate.after: JSON cannot hold Root"),
        (
            "learning_rate",
            lambda step, total: 1,
            "parameters.learning_rate: JSON cannot hold <function",
        ),
        ("scoring", lambda model, X, y: 1, "parameters.scoring: JSON cannot hold"),
        ("metrics", ["r2", lambda model, X, y: 1], r"parameters.metrics\[1\]: JSON cannot hold"),
        ("metrics", deep, "lists within each other more than 16 deep"),
        ("metrics", circle, "lists within each other more than 16 deep"),
        ("metrics", ["\ud800"], r"parameters.metrics\[0\]: half of a surrogate pair"),
        ("metrics", [2**64], r"parameters.metrics\[0\]: expected an integer from"),
        ("metrics", [{"a": 1}], r"parameters.metrics\[0\]: not the value of a parameter"),
        ("metrics", [np.longdouble("0.1")], r"parameters.metrics\[0\]: .* is not a float"),
        ("metrics", [1j], "cannot hold 1j, of type complex"),
        ("alpha", True, "parameters.alpha: True is not one of its values"),
        ("alpha", -1, "parameters: The 'alpha' parameter of MLPRegressor must be"),
        ("learning_rate", CosineAnnealing(2), "parameters.learning_rate: The 'min_factor' parameter"),
    ],
)
def test_what_json_cannot_hold_is_refused_by_name(name, value, message):
    model = copy.copy(FITTED[MLPRegressor]).set_params(**{name: value})
    with pytest.raises(ValueError, match=message):
        model.to_json()


def test_a_weight_that_is_not_finite_is_refused():
    model = regressor().fit(X, Y)
    model.coefs_[1][2] = np.nan
    with pytest.raises(ValueError, match=r"layers\[1\]\.weights: 1 of 3 values are not finite"):
        model.to_json()


def test_a_moment_that_is_not_finite_is_refused():
    model = regressor().partial_fit(X, Y)
    model._optimizer.state.moments[1, 0] = np.inf
    with pytest.raises(ValueError, match=r"optimizer\.moments\[1\]\[0\]\.weights: 1 of 9 values"):
        model.to_json()


@pytest.mark.parametrize("labels", [[1 + 2j, 3j], [b"a", b"b"]])
def test_classes_that_json_has_no_type_for_are_refused(labels):
    model = classifier().fit(X, Y > 0)
    model.classes_ = np.array(labels)
    with pytest.raises(ValueError, match=r"classes_ of dtype .* cannot be written as JSON"):
        model.to_json()


def test_a_schedule_of_partial_fit_that_is_a_function_is_refused():
    model = regressor(learning_rate=lambda step, total: 1.0).partial_fit(X, Y)
    with pytest.raises(ValueError, match=r"optimizer\.schedule\.schedule: JSON cannot hold <function"):
        model.set_params(learning_rate="constant").to_json()


@pytest.mark.parametrize("model", [MLPClassifier(), MLPRegressor()], ids=["classifier", "regressor"])
def test_a_model_that_is_not_fitted_is_refused(model, tmp_path):
    for call in (model.to_json, lambda: model.save_json(tmp_path / "x.json")):
        with pytest.raises(NotFittedError):
            call()
    assert not list(tmp_path.iterdir())


def test_writing_leaves_the_model_as_it_was():
    model = regressor().partial_fit(X, Y)
    before = {key: pickle.dumps(value) for key, value in vars(model).items()}
    model.to_json()
    with pytest.raises(ValueError, match="JSON cannot hold"):
        model.set_params(learning_rate=Root()).to_json()
    model.set_params(learning_rate="constant")
    assert {key: pickle.dumps(value) for key, value in vars(model).items()} == before


# ---- classes of estimators ----


class Plain(MLPClassifier):
    """A subclass with the same parameters."""


class Extended(MLPRegressor):
    """A subclass with a parameter of its own."""

    def __init__(self, extra=1, **parameters):
        super().__init__(**parameters)
        self.extra = extra


def test_the_class_of_the_call_decides(tmp_path):
    model = Plain((3,), max_iter=3).fit(X, Y > 0)
    model.save_json(tmp_path / "model.json")
    assert type(load_json(tmp_path / "model.json")) is MLPClassifier
    assert type(MLPClassifier.load_json(tmp_path / "model.json")) is MLPClassifier
    assert type(Plain.load_json(tmp_path / "model.json")) is Plain
    with pytest.raises(ModelFormatError, match="estimator: an MLPClassifier, not an MLPRegressor"):
        MLPRegressor.load_json(tmp_path / "model.json")
    with pytest.raises(ModelFormatError, match="estimator: an MLPRegressor, not an MLPClassifier"):
        MLPClassifier.from_json(FITTED[MLPRegressor].to_json())


def test_a_subclass_with_parameters_of_its_own_is_refused():
    with pytest.raises(ValueError, match="Extended has other parameters than MLPRegressor"):
        Extended(hidden_layer_sizes=(2,), max_iter=2).fit(X, Y).to_json()
    with pytest.raises(ValueError, match="Extended has other parameters than MLPRegressor"):
        Extended.from_json(FITTED[MLPRegressor].to_json())


def test_what_is_not_text_is_refused():
    with pytest.raises(TypeError, match="text must be str or bytes; got dict"):
        from_json({})
    assert from_json(FITTED[MLPRegressor].to_json().encode()).n_iter_ == 3


# ---- files ----


def test_the_file_is_the_text_and_a_line_break(tmp_path):
    model = GOLDEN["make"]("v1-multiclass-unicode")
    model.save_json(tmp_path / "model.json")
    assert (tmp_path / "model.json").read_bytes() == (model.to_json() + "\n").encode()
    model.save_json(str(tmp_path / "model.json"), history=False)
    assert not hasattr(load_json(str(tmp_path / "model.json")), "history_")
    assert len(list(tmp_path.iterdir())) == 1


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_permissions_are_those_of_open(tmp_path):
    path, plain = tmp_path / "model.json", tmp_path / "plain"
    plain.touch()
    FITTED[MLPRegressor].save_json(path)
    assert mode(path) == mode(plain)
    path.chmod(0o640)
    FITTED[MLPRegressor].save_json(path)
    assert mode(path) == 0o640


@pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
def test_a_link_is_followed(tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "to" / "model.json")
    FITTED[MLPRegressor].save_json(tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert load_json(tmp_path / "to" / "model.json").n_iter_ == 3


def test_the_number_of_an_open_file_is_no_path():
    """`open` would take 1 for the standard output, and close it."""
    for load in (load_json, MLPRegressor.load_json):
        with pytest.raises(TypeError, match="PathLike object, not int"):
            load(1)


@pytest.mark.parametrize("ending", ["", "models/", "new/"])
def test_a_path_without_a_name_is_no_place_for_a_model(ending, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    with pytest.raises(ValueError, match="is not the path of a file"):
        FITTED[MLPRegressor].save_json(ending)
    assert [item.name for item in tmp_path.iterdir()] == ["models"]


def test_an_error_names_the_path_that_was_given(tmp_path):
    path = tmp_path.resolve() / "none" / "model.json"
    with pytest.raises(FileNotFoundError) as error:
        FITTED[MLPRegressor].save_json(path)
    assert error.value.filename == str(path)


def test_a_folder_is_no_place_for_a_model(tmp_path):
    with pytest.raises(ValueError, match="is not an ordinary file"):
        FITTED[MLPRegressor].save_json(tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError):
        FITTED[MLPRegressor].save_json(tmp_path / "none" / "model.json")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["open", "write", "fsync", "chmod", "replace"])
def test_a_failure_at_any_step_leaves_the_old_file_alone(step, error, tmp_path, monkeypatch):
    path = tmp_path / "model.json"
    path.write_text("old")

    def fail(*args, **kwargs):
        raise error

    class Full:
        """A file on a disk that fills up."""

        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            self.file.write(data[:100])
            fail()

    if step == "open":
        monkeypatch.setattr("builtins.open", fail)
    elif step == "write":
        plain = open
        monkeypatch.setattr("builtins.open", lambda *args: Full(plain(*args)))
    else:
        monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(error)):
        FITTED[MLPRegressor].save_json(path)
    monkeypatch.undo()
    assert [item.name for item in tmp_path.iterdir()] == ["model.json"]
    assert path.read_text() == "old"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_process_killed_in_mid_save_leaves_the_old_file_or_the_new_one(tmp_path):
    models = [regressor(hidden_layer_sizes=(n,)).fit(X, Y) for n in (5, 100)]
    texts = [(model.to_json() + "\n").encode() for model in models]
    path = tmp_path / "model.json"
    path.write_bytes(texts[0])
    for delay in np.linspace(0, 0.02, 15):
        before = path.stat()
        child = os.fork()
        if not child:
            save_for_ever(models, path)
        while (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns):
            assert os.waitpid(child, os.WNOHANG) == (0, 0)  # it is under way
            time.sleep(0.001)
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert path.read_bytes() in texts


def save_for_ever(models, path):
    try:
        while True:
            for model in models:
                model.save_json(path)
    finally:
        os._exit(1)


# ---- golden files ----


def test_every_golden_model_is_there():
    assert set(NAMES) == set(GOLDEN["CASES"])
    assert {path.stem for path in (FOLDER / "expected").glob("*.json")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_file_is_read(name):
    model = load_json(FOLDER / f"{name}.json")
    expected = json.loads((FOLDER / "expected" / f"{name}.json").read_text(encoding="utf-8"))
    params = model._network.params
    assert params.astype(params.dtype.newbyteorder("<")).tobytes().hex() == expected["parameters"]
    close(GOLDEN["predictions"](name, model), expected["predictions"], model)
    if "after_another_partial_fit" in expected:
        GOLDEN["train"](name, model)
        close(GOLDEN["predictions"](name, model), expected["after_another_partial_fit"], model)


def close(found, expected, model):
    """Within rounding: instruction sets differ in the last bits."""
    tolerance = 1e-6 if model._network.dtype == np.float64 else 1e-5
    assert found.keys() == expected.keys()
    for method, values in found.items():
        if method == "predict" and is_classifier(model):
            assert values == expected[method]
        else:
            np.testing.assert_allclose(values, expected[method], rtol=tolerance, atol=tolerance / 10)


def test_golden_files_have_every_row_of_the_tables():
    text = "".join(map(golden, NAMES))
    documents = list(map(parsed, NAMES))
    layers = [layer for document in documents for layer in document["layers"]]
    assert {layer["activation"] for layer in layers} == set(ACTIVATIONS)
    assert {document["loss"]["name"] for document in documents} == set(LOSSES)
    assert {d["optimizer"]["name"] for d in documents if d["optimizer"]} == set(SOLVERS)
    assert {d["classes"]["target"] for d in documents if "classes" in d} == set(_serialize.TARGETS)
    assert {document["dtype"] for document in documents} == {"float32", "float64"}
    assert {document["format_version"] for document in documents} == {1}
    assert all(f'"schedule": "{name}"' in text for name in _serialize.SCHEDULES)


def test_golden_files_are_not_overwritten_unless_asked(tmp_path, monkeypatch, capsys):
    for path in FOLDER.glob("*.json"):
        (tmp_path / path.name).write_text("old")
    missing = tmp_path / "v1-partial-fit-adam.json"
    missing.unlink()
    monkeypatch.setattr(sys, "argv", ["regenerate.py", "--folder", str(tmp_path)])
    assert GOLDEN["main"]() == 1
    assert f"{len(NAMES) - 1} files are there and were kept" in capsys.readouterr().out
    assert {path.read_text() for path in tmp_path.glob("*.json") if path != missing} == {"old"}
    assert load_json(missing).n_iter_ == 1
    assert (tmp_path / "expected" / missing.name).exists()
    sys.argv.append("--overwrite")
    assert GOLDEN["main"]() == 0
    assert all(load_json(path) for path in tmp_path.glob("*.json"))


def test_a_clone_of_what_was_read_is_not_fitted():
    with pytest.raises(NotFittedError):
        clone(load_json(FOLDER / "v1-partial-fit-adam.json")).to_json()


def test_a_sparse_indicator_is_predicted_as_one():
    labels = csr_array((X > 0).astype(int))
    model = classifier().fit(X, labels)
    assert issparse(from_json(model.to_json()).predict(X))
