"""Files that are not models, and the schema of those that are."""

import copy
import json
import math
import pickle
import re
import sys
import tracemalloc
from contextlib import suppress
from importlib.resources import files
from itertools import chain
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sklearn_mlp import MLPClassifier, MLPRegressor, ModelFormatError, _serialize, from_json, load_json
from sklearn_mlp._activations import ACTIVATIONS
from sklearn_mlp._loss import LOSSES
from sklearn_mlp._network import INITIALIZATIONS
from sklearn_mlp._optim import SOLVERS
from sklearn_mlp.schedules import _RUNS, SCHEDULE_NAMES

FOLDER = Path(__file__).parent / "golden"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
SCHEMA = json.loads((files("sklearn_mlp") / "model.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

# Golden models: in partial_fit with Adam, and with SGD and a schedule; after a fit; of other targets.
A, S, C, R = "v1-partial-fit-adam", "v1-partial-fit-sgd", "v1-multiclass-int16", "v1-regressor-huber"
L, B = "v1-multilabel-sparse", "v1-binary-booleans"


def golden(name):
    """The text of a golden file."""
    return (FOLDER / f"{name}.json").read_text(encoding="utf-8")


def parsed(name):
    return json.loads(golden(name))


deep = [1]
for _ in range(30):
    deep = [deep]

# ---- hostile files ----


def changed(name, place, value):
    """The text of a golden file with another value at a place; a function changes the old one."""
    document = parsed(name)
    target = document
    *parents, last = place
    for key in parents:
        target = target[key]
    if value is None and isinstance(last, str):
        del target[last]
    else:
        target[last] = value(target[last]) if callable(value) else value
    return json.dumps(document)


NAN = math.nan  # what a schema cannot compare


def NULL(_):
    return None


CHANGES = [
    (A, ["format_version"], 2, "format_version: 2 is not a version that can be read.*sklearn-mlp '0"),
    (A, ["format_version"], True, "format_version: True is not a version"),
    (A, ["format_version"], "1", "format_version: '1' is not a version"),
    (A, ["format_version"], None, "the file: it is not a model: there is no 'format_version'"),
    (A, ["estimator"], "MLPTransformer", "estimator: expected one of 'MLPClassifier', 'MLPRegressor'"),
    (A, ["estimator"], None, "estimator: expected one of .*, got None"),
    (A, ["estimator"], "MLPRegressor", "the file: there is a key 'classes'"),
    (R, ["estimator"], "MLPClassifier", "the file: the key 'classes' is missing"),
    (A, ["library_version"], 1, "library_version: expected a string, got 1"),
    (A, ["dtype"], None, "the file: the key 'dtype' is missing"),
    (A, ["dtype"], "float16", "dtype: expected one of 'float32', 'float64', got 'float16'"),
    (A, ["extra"], 1, "the file: there is a key 'extra', which is not of the format"),
    (A, ["parameters"], [], r"parameters: expected an object, got \[\]"),
    (A, ["parameters", "alpha"], None, "parameters: the key 'alpha' is missing"),
    (A, ["parameters", "alhpa"], 1, "parameters: there is a key 'alhpa'"),
    (A, ["parameters", "alpha"], True, "parameters.alpha: True is not one of its values"),
    (A, ["parameters", "alpha"], -1, "parameters: The 'alpha' parameter of MLPClassifier must be"),
    (A, ["parameters", "alpha"], {"flaot": 1}, "parameters.alpha: not the value of a parameter"),
    (A, ["parameters", "alpha"], {"float": "1"}, "parameters.alpha.float: expected one of 'nan'"),
    (A, ["parameters", "alpha"], {"float": "inf", "a": 1}, "parameters.alpha: there is a key 'a'"),
    (A, ["parameters", "alpha"], {}, "parameters.alpha: not the value of a parameter: {}"),
    (A, ["parameters", "max_iter"], 1.0, "parameters: The 'max_iter' parameter"),
    (A, ["parameters", "max_iter"], 10**19 * 3, "parameters.max_iter: expected an integer from"),
    (A, ["parameters", "max_iter"], 10**400, "parameters.max_iter: expected a finite number, got inf"),
    (A, ["parameters", "hidden_layer_sizes"], {"dict": []}, "hidden_layer_sizes: not the value of"),
    (A, ["parameters", "metrics"], {"tuple": 1}, "parameters.metrics.tuple: expected an array, got 1"),
    (A, ["parameters", "metrics"], ["\ud800"], "half of a surrogate pair in"),
    (A, ["parameters", "metrics"], deep, "lists within each other more than 16 deep"),
    (
        A,
        ["parameters", "class_weight"],
        {"dict": [[1]]},
        r"class_weight.dict\[0\]: 1 items, expected 2",
    ),
    (A, ["parameters", "class_weight"], {"dict": [[[], 1]]}, r"dict\[0\]\[0\]: not the key of a dict"),
    (A, ["parameters", "class_weight"], {"dict": [[1, 2], [True, 3]]}, r"dict\[1\]\[0\]: the key True"),
    (
        A,
        ["parameters", "learning_rate"],
        {"schedule": "Root", "parameters": {}},
        "expected one of 'Step",
    ),
    (
        A,
        ["parameters", "learning_rate"],
        {"schedule": "StepDecay", "parameters": {"gamma": 0.5}},
        "parameters.learning_rate.parameters: the key 'step_size' is missing",
    ),
    (
        A,
        ["parameters", "learning_rate"],
        {"schedule": "StepDecay", "parameters": {"gamma": 2, "step_size": 1}},
        "parameters.learning_rate: The 'gamma' parameter of StepDecay",
    ),
    (
        A,
        ["parameters", "learning_rate"],
        {"schedule": "StepDecay", "parameters": {"gamma": True, "step_size": 1}},
        "parameters.learning_rate.parameters.gamma: True is not one of its values",
    ),
    (
        A,
        ["parameters", "learning_rate"],
        {"schedule": "Warmup", "parameters": {"after": "cosin", "n_epochs": 1}},
        "parameters.learning_rate: after must be",
    ),
    (A, ["layer_sizes"], {}, "layer_sizes: expected an array, got {}"),
    (A, ["layer_sizes"], [4], "layer_sizes: 1 items, expected 2 or more"),
    (
        A,
        ["layer_sizes"],
        [4, 0, 3],
        r"layer_sizes\[1\]: expected an integer from 1 to 2147483647, got 0",
    ),
    (A, ["layer_sizes"], [4, 3.0, 3], r"layer_sizes\[1\]: expected an integer .*, got 3.0"),
    (A, ["layer_sizes"], [4, True, 3], r"layer_sizes\[1\]: expected an integer .*, got True"),
    (A, ["layer_sizes"], [4, 2**31, 3], r"layer_sizes\[1\]: expected an integer"),
    (A, ["layer_sizes"], [4, 10**9, 3], r"layers\[0\]\.weights\[0\]: 3 numbers, expected 1000000000"),
    (A, ["layer_sizes"], [10**9, 3, 3], r"layers\[0\]\.weights: 4 rows, expected 1000000000"),
    (A, ["layer_sizes"], [4, 3, 10**9], r"classes\.labels: 3 labels of a multiclass target for 1000"),
    (A, ["layer_sizes"], [4, 3, 3, 3], r"layers: 2 items, expected 3"),
    (A, ["layer_sizes"], [4, 3, 4], "classes.labels: 3 labels of a multiclass target for 4 outputs"),
    (A, ["feature_names"], ["a"], "feature_names: 1 items, expected 4"),
    (A, ["feature_names"], ["a", "b", "c", 4], r"feature_names\[3\]: expected a string, got 4"),
    (A, ["loss", "name"], "squared_error", "loss.name: expected one of 'binary_log_loss', 'log_loss'"),
    (R, ["loss", "name"], "log_loss", "loss.name: expected one of 'squared_error'"),
    (R, ["loss", "name"], "hinge", "loss.name: expected one of .*, got 'hinge'"),
    (R, ["loss", "name"], "poisson", r"loss.parameter: expected null, got 2\.0"),
    (R, ["loss", "name"], "quantile", r"loss.parameter: .* must be a number in \(0, 1\); got 2\.0"),
    (R, ["loss", "parameter"], NULL, "loss.parameter: expected a number, got None"),
    (R, ["loss", "parameter"], True, "loss.parameter: expected a finite number, got True"),
    (A, ["classes", "target"], "continuous", "classes.target: expected one of 'binary'"),
    (A, ["classes", "target"], "binary", "loss.name: 'log_loss' is not the loss of a binary target"),
    (L, ["classes", "target"], "binary", "classes.sparse: true, which is for label indicators alone"),
    (B, ["classes", "target"], "multilabel-indicator", "classes.labels: 2 labels of a multilabel"),
    (B, ["classes", "labels"], [True], None),
    (B, ["classes", "labels"], [], "classes.labels: 0 labels of a binary target for 1 outputs"),
    (A, ["classes", "sparse"], 0, "classes.sparse: expected true or false, got 0"),
    (A, ["classes", "dtype"], "datetime64", "classes.dtype: expected one of 'bool'"),
    (A, ["classes", "dtype"], "bool", r"classes.labels\[0\]: expected true or false, got 0"),
    (A, ["classes", "dtype"], "str", r"classes.labels\[0\]: expected a string, got 0"),
    (C, ["classes", "dtype"], "int8", "classes.labels: not all are int8"),
    (C, ["classes", "dtype"], "uint16", "classes.labels: not all are uint16"),
    (A, ["classes", "labels"], [0, 2, 1], r"classes.labels\[2\]: labels must be in ascending order"),
    (A, ["classes", "labels"], [0, 1, 1], r"classes.labels\[2\]: labels must be in ascending order"),
    (A, ["classes", "labels"], [0, True, 2], r"classes.labels\[1\]: expected an integer .*, got True"),
    (A, ["classes", "labels"], [0, 1.0, 2], r"classes.labels\[1\]: expected an integer .*, got 1.0"),
    (A, ["classes", "labels"], [0, 1, 256], "classes.labels: not all are uint8"),
    (L, ["classes", "labels"], [0, 1, 3], "classes.labels: label indicators have the numbers"),
    (A, ["training", "t"], -1, "training.t: expected an integer from 0 to 9007199254740992, got -1"),
    (A, ["training", "t"], 2**53 + 1, "training.t: expected an integer from 0"),
    (A, ["training", "loss"], "NaN", "training.loss: expected a number, 'nan', 'inf' or '-inf'"),
    (A, ["training", "loss"], False, "training.loss: expected a finite number, got False"),
    (A, ["training", "loss_curve"], [1, None], r"training.loss_curve\[1\]: expected a finite number"),
    (A, ["training", "best_validation_score"], 1, "training.best_validation_score: null goes with"),
    (A, ["training", "scored_by"], {"scoring": 1, "split": True}, "scored_by.scoring: expected a st"),
    (A, ["training", "scored_by"], {"split": True}, "training.scored_by: the key 'scoring' is missing"),
    (A, ["history", "columns"], ["loss", "loss", "seconds"], "history.columns: a name occurs twice"),
    (A, ["history", "columns"], [], "history.rows: 3 rows of 0 columns"),
    (A, ["history", "columns"], ["loss", "x", "y"], "history.columns: there is no 'seconds'"),
    (A, ["history", "rows"], [[1, 2]], r"history.rows\[0\]: 2 numbers, expected 3"),
    (
        A,
        ["history", "rows"],
        [[1, 2, []]],
        r"history.rows\[0\]\[2\]: expected a finite number, got \[\]",
    ),
    (A, ["history", "best_epoch"], 3, "history.best_epoch: expected an integer from 0 to 2, got 3"),
    (A, ["history", "stop_reason"], 3, "history.stop_reason: expected a string, got 3"),
    (A, ["layers"], [], "layers: 0 items, expected 2"),
    (A, ["layers", 1], [], r"layers\[1\]: expected an object, got \[\]"),
    (A, ["layers", 1, "bias"], [], r"layers\[1\]: there is a key 'bias'"),
    (A, ["layers", 1, "weights"], None, r"layers\[1\]: the key 'weights' is missing"),
    (A, ["layers", 1, "weights"], "AAAA", r"layers\[1\]\.weights: expected an array, got 'AAAA'"),
    (A, ["layers", 1, "weights", 2], [1, 2], r"layers\[1\]\.weights\[2\]: 2 numbers, expected 3"),
    (A, ["layers", 1, "weights", 2], 1, r"layers\[1\]\.weights\[2\]: expected an array, got 1"),
    (A, ["layers", 1, "weights", 2, 0], "1", r"layers\[1\]\.weights\[2\]\[0\]: expected a finite numb"),
    (A, ["layers", 1, "weights", 2, 0], True, r"layers\[1\]\.weights\[2\]\[0\]: .* got True"),
    (A, ["layers", 1, "weights", 2, 0], [[]], r"layers\[1\]\.weights\[2\]\[0\]: expected a finite"),
    (A, ["layers", 1, "weights", 2, 0], NAN, r"weights\[2\]\[0\]: expected a finite number, got nan"),
    (A, ["layers", 1, "weights", 2, 0], -math.inf, r"weights\[2\]\[0\]: .* number, got -inf"),
    (A, ["layers", 1, "weights", 2, 0], 10**4299, r"weights\[2\]\[0\]: .* number, got inf"),
    (A, ["layers", 1, "weights", 2, 0], 1e39, r"weights\[2\]\[0\]: 1e\+39 is too large for float32"),
    (A, ["layers", 0, "intercepts", 1], math.inf, r"layers\[0\]\.intercepts\[1\]: expected a finite"),
    (A, ["layers", 0, "intercepts"], [1, 2], r"layers\[0\]\.intercepts: 2 numbers, expected 3"),
    (A, ["layers", 0, "activation"], "swish", r"layers\[0\]\.activation: expected one of 'identity'"),
    (A, ["layers", 0, "activation"], ["relu"], r"layers\[0\]\.activation: expected one of"),
    (A, ["layers", 0, "negative_slope"], 0.1, r"layers\[0\]\.negative_slope: expected 0 for 'relu'"),
    (
        C,
        ["layers", 0, "negative_slope"],
        1,
        r"negative_slope: expected a number in \[0, 1\) for 'leaky",
    ),
    (A, ["layers", 1, "activation"], "tanh", r"layers\[1\]\.activation: must be 'identity' with loss"),
    (A, ["optimizer", "name"], "lion", "optimizer.name: expected one of 'sgd', 'adam', 'adamw'"),
    (A, ["optimizer", "name"], "sgd", "optimizer.settings: the key 'momentum' is missing"),
    (
        A,
        ["optimizer", "settings", "beta_1"],
        1,
        r"optimizer.settings: beta_1 must be in \[0, 1\); got 1",
    ),
    (A, ["optimizer", "settings", "beta_1"], True, "optimizer.settings.beta_1: expected a finite num"),
    (
        S,
        ["optimizer", "settings", "nesterov"],
        1,
        "optimizer.settings.nesterov: expected true or false",
    ),
    (A, ["optimizer", "n_steps"], 2**60, "optimizer.n_steps: expected an integer from 0"),
    (A, ["optimizer", "moments"], [], "optimizer.moments: 0 items, expected 2"),
    (A, ["optimizer", "moments", 1], [], r"optimizer.moments\[1\]: 0 items, expected 2"),
    (
        A,
        ["optimizer", "moments", 1, 0, "weights", 3],
        [],
        r"moments\[1\]\[0\]\.weights\[3\]: 0 numbers",
    ),
    (
        A,
        ["optimizer", "moments", 1, 0, "intercepts", 2],
        "x",
        r"moments\[1\]\[0\]\.intercepts\[2\]: exp",
    ),
    (A, ["optimizer", "schedule", "name"], "cosine", "optimizer.schedule.name: expected one of 'const"),
    (
        A,
        ["optimizer", "schedule", "name"],
        "per_step",
        "optimizer.schedule: the key 'schedule' is miss",
    ),
    (A, ["optimizer", "schedule", "initial"], 0, "optimizer.schedule.initial: a learning rate of 0"),
    (A, ["optimizer", "schedule", "value"], 1e10, "optimizer.schedule.value: a learning rate of 1"),
    (A, ["optimizer", "schedule", "power_t"], -1, "optimizer.schedule.power_t: expected a number >= 0"),
    (
        S,
        ["optimizer", "schedule", "schedule"],
        "step",
        "schedule.schedule: not a schedule for partial_",
    ),
    (S, ["optimizer", "schedule", "epoch"], -1, "optimizer.schedule.epoch: expected an integer"),
    (
        S,
        ["optimizer", "schedule", "schedule"],
        {"schedule": "CosineAnnealing", "parameters": {"min_factor": 0}},
        "optimizer.schedule.schedule: not a schedule for partial_fit",
    ),
]


@pytest.mark.parametrize(("name", "place", "value", "message"), CHANGES)
def test_a_change_that_makes_no_model_is_refused_with_its_place(name, place, value, message):
    text = changed(name, place, value)
    if message is None:
        assert from_json(text)
        return
    with pytest.raises(ModelFormatError, match=message) as error:
        from_json(text)
    assert len(str(error.value)) < 1000


TEXTS = {
    "empty": (b"", "line 1 column 1: not JSON: Expecting value"),
    "null": (b"null", "the file: it is not a model"),
    "array": (b"[]", "the file: it is not a model"),
    "truncated": (golden(A)[:-200].encode(), "line .* column .*: not JSON"),
    "two": (golden(A).encode() * 2, "line .* column 1: not JSON: Extra data"),
    "mark": (b"\xef\xbb\xbf" + golden(A).encode(), "byte 0: a byte order mark"),
    "utf-16": (golden(A).encode("utf-16"), "byte 0: not UTF-8"),
    "latin-1": ('{"größe": 1}'.encode("latin-1"), "byte 4: not UTF-8"),
    "binary": (pickle.dumps(np.zeros(3)), "byte 0: not UTF-8"),
    "zeros": (bytes(1000), "line 1 column 1: not JSON"),
    "comment": (b"// a model\n" + golden(A).encode(), "line 1 column 1: not JSON"),
    "single quotes": (b"{'format_version': 1}", "line 1 column 2: not JSON"),
    "control": (b'{"format_version\n": 1}', "Invalid control character"),
    "not a number": (
        golden(A).replace('"alpha": 0.0001', '"alpha": NaN').encode(),
        "parameters.alpha: .* got nan",
    ),
    "infinity": (
        golden(A).replace('"alpha": 0.0001', '"alpha": -Infinity').encode(),
        "parameters.alpha: .* got -inf",
    ),
    "overflow": (
        golden(A).replace('"alpha": 0.0001', '"alpha": 1e999').encode(),
        "parameters.alpha: .* got inf",
    ),
    "arrays": (b"[" * 50_000, "the file: nested 50000 deep; a model is at most 64"),
    "objects": (b'{"a":' * 30_000, "the file: nested 30000 deep; a model is at most 64"),
    "closed": (b"[" * 65 + b"]" * 65, "the file: nested 65 deep; a model is at most 64"),
    "quoted": (b'["\\"[[", ' + b"[" * 70, "the file: nested 71 deep"),
    "many": (
        b"[" + b"[]," * 2_000_000 + b"[]]",
        "the file: 2000002 arrays, objects and keys in 600000",
    ),
    "digits": (b'{"format_version": ' + b"1" * 10**6 + b"}", "format_version: inf is not a version"),
    "twice": (
        golden(A).replace('"dtype": "auto"', '"alpha": 1, "dtype": "auto"').encode(),
        "parameters: the key 'alpha' occurs twice",
    ),
    "version twice": (b'{"format_version": 1, "format_version": 1}', "expected one of 'MLPClassifier'"),
    "long key": (golden(A).replace('"alpha"', f'"{"a" * 10**5}"').encode(), "key 'alpha' is missing"),
    "half a pair": (golden(A).replace("auto", "\\ud83d").encode(), "parameters.*: half of a surrogate"),
}


@pytest.mark.parametrize(("data", "message"), TEXTS.values(), ids=TEXTS)
def test_a_file_that_is_no_model_is_refused_with_its_place(data, message, tmp_path):
    (tmp_path / "model.json").write_bytes(data)
    with pytest.raises(ModelFormatError, match=r"model\.json: .*" + message) as error:
        load_json(tmp_path / "model.json")
    assert len(str(error.value)) < 1000
    with pytest.raises(ModelFormatError, match=message):
        from_json(data)


def test_half_of_a_surrogate_pair_in_a_text_is_refused():
    with pytest.raises(ModelFormatError, match="character 3: half of a surrogate pair"):
        from_json('{"a\udc80": 1}')


def test_brackets_in_strings_are_not_nested():
    quoted = 'a"[[{\\' + "[" * 100
    model = from_json(golden(R)).set_params(scoring=quoted)
    assert from_json(model.to_json()).scoring == quoted


def test_a_deep_file_is_refused_whatever_the_limit_of_recursion():
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(10**9)
    try:
        with pytest.raises(ModelFormatError, match="nested 60000 deep"):
            from_json(b"[" * 60_000)
    finally:
        sys.setrecursionlimit(before)


def peak(function):
    """Bytes that were allocated at most while it ran."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_file_that_claims_a_billion_units_takes_no_memory_for_them():
    for sizes in ([4, 10**9, 3], [10**9, 3, 3], [4] + [10**9] * 20):
        text = changed(A, ["layer_sizes"], sizes)

        def refused(text=text):
            with pytest.raises(ModelFormatError, match="1000000000"):
                from_json(text)

        assert peak(refused) < 1e6


def test_one_long_label_does_not_make_the_others_long():
    labels = [str(i) for i in range(100_000, 140_000)] + ["z" * 100_000]
    text = changed(A, ["classes"], {**parsed(A)["classes"], "dtype": "str", "labels": labels})

    def refused():
        with pytest.raises(
            ModelFormatError, match="more than 16777216 characters as an array of fixed"
        ):
            from_json(text)

    assert peak(refused) < 30 * len(text)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_model_takes_little_more_memory_than_its_file():
    X = np.random.RandomState(0).normal(size=(10, 300))
    model = MLPRegressor(solver="lbfgs", hidden_layer_sizes=(200,), max_iter=1).fit(X, X[:, 0])
    data = model.to_json(history=False).encode()
    assert peak(lambda: from_json(data)) < 6 * len(data)


@pytest.mark.parametrize(
    "piece",
    [b"[],", b"{},", b'{"a":0},', b'{"ab":0}       ,', b'"abc",', b"0.1,", b'""[[""[[', b"\\\\a"],
)
def test_a_hostile_file_takes_memory_in_proportion(piece):
    data = b"[" + piece * (1_000_000 // len(piece)) + b"0]"

    def refused():
        with pytest.raises(ModelFormatError):
            from_json(data)

    assert peak(refused) < 25 * len(data)


@pytest.mark.parametrize("value", [[1] * 50_000, "a " * 50_000, {"tuple": ["b"] * 50_000}])
def test_a_long_value_of_a_parameter_takes_memory_in_proportion(value):
    text = json.dumps(parsed(R)).replace('"alpha": 0.0001', f'"alpha": {compact(value)}')

    def refused():
        with pytest.raises(ModelFormatError, match="The 'alpha' parameter") as error:
            from_json(text)
        assert len(str(error.value)) < 1000

    assert peak(refused) < 25 * len(text)


@pytest.mark.parametrize(
    ("name", "item", "count"),
    [("metrics", [], 65_000), ("class_weight", {"dict": [[0, 1]]}, 16_000)],
)
def test_a_small_file_takes_little_memory_for_many_values(name, item, count):
    text = changed(A, ["parameters", name], "@").replace('"@"', compact([item] * count))
    assert peak(lambda: from_json(text)) < 12e6


def compact(value):
    return json.dumps(value, separators=(",", ":"))


# Values to put anywhere.
ODD = st.sampled_from(
    [
        *(None, True, False, 0, 1, -1, 2**31, 2**64, 0.5, 1.5, 1e308, "", "x", "nan", "float32"),
        *([], {}, [[]], [1], [[1.0]], ["a"], {"a": 1}, {"tuple": []}, {"float": "inf"}, {"dict": []}),
        {"schedule": "StepDecay", "parameters": {"step_size": 1, "gamma": 0.5}},
    ]
).map(copy.deepcopy)


def places(value, path=()):
    """Every place in a document."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*path, key))


DOCUMENTS = [parsed(name) for name in NAMES]
PLACES = [list(places(document)) for document in DOCUMENTS]


@st.composite
def mutants(draw):
    """A golden document with one to three changes, and whether the last put a value in a place."""
    which = draw(st.integers(0, len(DOCUMENTS) - 1))
    document = copy.deepcopy(DOCUMENTS[which])
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(PLACES[which]))
        target = document
        try:
            for key in path[:-1]:
                target = target[key]
            change(draw, target, path[-1])
        except (IndexError, KeyError, TypeError):
            continue  # an earlier change took the place away
    return document


def change(draw, target, key):
    kind = draw(st.sampled_from(["put", "put", "put", "delete", "add", "double"]))
    if kind == "put":
        target[key] = draw(ODD)
    elif kind == "delete":
        del target[key]
    elif isinstance(target, list):
        target.append(target[key] if kind == "double" else draw(ODD))
    else:
        target[draw(st.sampled_from(["a", "classes", "weights"]))] = draw(ODD)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutants())
def test_a_changed_file_is_a_model_or_refused(document):
    try:
        model = from_json(json.dumps(document))
    except ModelFormatError:
        return
    VALIDATOR.validate(document)  # what is read is what the schema allows
    model.predict(np.zeros((2, model.n_features_in_)))
    assert from_json(model.to_json()).to_json() == model.to_json()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(NAMES), st.data())
def test_changed_bytes_are_a_model_or_refused(name, data):
    text = bytearray(golden(name).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        stop = start + data.draw(st.sampled_from([0, 1, 2, 5, 1000]))
        text[start:stop] = data.draw(st.binary(max_size=3) | st.sampled_from([b'"', b"9" * 30, b"[["]))
    with suppress(ModelFormatError):
        from_json(bytes(text))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=50))
def test_any_bytes_are_refused(data):
    with pytest.raises(ModelFormatError):
        from_json(data)


# ---- the schema ----


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", NAMES)
def test_golden_files_follow_the_schema(name):
    VALIDATOR.validate(parsed(name))


def test_the_schema_knows_every_row_of_the_tables():
    definitions = SCHEMA["$defs"]
    parameters = definitions["parameters"]["properties"]
    assert definitions["activation"]["enum"] == list(ACTIVATIONS)
    assert set(parameters["solver"]["enum"]) == {"lbfgs", *SOLVERS}
    assert set(parameters["weight_init"]["enum"]) == {"auto", *INITIALIZATIONS}
    assert set(parameters["learning_rate"]["anyOf"][0]["enum"]) == set(SCHEDULE_NAMES)
    assert {row["properties"]["name"]["const"] for row in definitions["optimizer"]["oneOf"]} == set(
        SOLVERS
    )
    schedules = {row["properties"]["schedule"]["const"] for row in definitions["schedule"]["oneOf"]}
    assert schedules == set(_serialize.SCHEDULES)
    runs = definitions["run"]["oneOf"][0]["properties"]["name"]["enum"]
    assert set(runs) == set(_RUNS)
    assert _RUNS == _serialize.RUNS
    of_classes = SCHEMA["then"]["properties"]["loss"]["properties"]["name"]["enum"]
    others = [
        row["properties"]["name"]["enum"] for row in SCHEMA["else"]["properties"]["loss"]["oneOf"]
    ]
    assert {*of_classes, *chain(*others)} == set(LOSSES)
    regression = definitions["regressor"]["properties"]["loss"]["enum"]
    assert set(regression) == {name for name, row in LOSSES.items() if not row[2]}


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_the_schema_knows_every_parameter(cls):
    """A parameter that is added belongs into LATER_PARAMETERS, and is not required by the schema."""
    own = SCHEMA["$defs"]["classifier" if cls is MLPClassifier else "regressor"]
    shared = SCHEMA["$defs"]["parameters"]
    assert {*own["properties"], *shared["properties"]} == set(cls._get_param_names())
    required = {*own["required"], *shared["required"]}
    assert required == set(cls._get_param_names()) - _serialize.LATER_PARAMETERS


@pytest.mark.parametrize("name", _serialize.SCHEDULES)
def test_the_schema_knows_every_parameter_of_a_schedule(name):
    rows = {row["properties"]["schedule"]["const"]: row for row in SCHEMA["$defs"]["schedule"]["oneOf"]}
    parameters = rows[name]["properties"]["parameters"]
    assert set(parameters["required"]) == set(_serialize.SCHEDULES[name]._get_param_names())


def test_a_parameter_that_came_later_has_its_default_in_older_files(monkeypatch):
    monkeypatch.setattr(_serialize, "LATER_PARAMETERS", frozenset({"weight_decay"}))
    text = changed(R, ["parameters", "weight_decay"], None)
    assert from_json(text).weight_decay == 0.01


PLAIN = {MLPClassifier: C, MLPRegressor: R}
PARAMETERS = [(cls, name) for cls in PLAIN for name in cls._get_param_names()]


@pytest.mark.parametrize(("cls", "name"), PARAMETERS, ids=[f"{c.__name__}-{n}" for c, n in PARAMETERS])
def test_schema_and_reader_agree_about_a_parameter(cls, name, disagreements):
    own = SCHEMA["$defs"]["classifier" if cls is MLPClassifier else "regressor"]
    validator = VALIDATOR.evolve(schema={**own, "$defs": SCHEMA["$defs"]})
    assert disagreements(parsed(PLAIN[cls]), name, validator) == []


def test_the_schema_refuses_what_the_reader_refuses_for_its_form():
    missed = []
    for name, place, value, message in CHANGES:
        document = json.loads(changed(name, place, value))
        if message and value is not NAN and VALIDATOR.is_valid(document):
            missed.append(message)
    assert [message for message in missed if not re.search(BEYOND_A_SCHEMA, message)] == []


# Sizes and labels that disagree, two keys that are the same, and 1.0, which a schema takes for 1.
BEYOND_A_SCHEMA = "|".join(
    [
        "rows, expected|numbers, expected|items, expected|rows of|labels of|for .* outputs",
        "not all are|ascending|label indicators have|is not the loss of|must be 'identity'",
        "too large for|the key True|got [13].0|'max_iter' parameter|surrogate|16 deep|best_epoch",
        "not a schedule for partial_fit|null goes with",
    ]
)
