"""Models exported as C: compiled without a warning, and compared with what the estimator predicts."""

import ctypes
import os
import re
import subprocess

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

from sklearn_mlp import MLPClassifier, MLPRegressor
from sklearn_mlp._activations import ACTIVATIONS
from sklearn_mlp._c import C_ACTIVATIONS, C_LINKS, KEYWORDS, _integer, _numbers, _string
from sklearn_mlp._loss import LINKS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CC = os.environ.get("CC", "cc").split()
CXX = os.environ.get("CXX", "c++").split()
STRICT = [
    "-pedantic",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wdouble-promotion",
    "-Wshadow",
    "-Wundef",
    "-Werror",
]
C99 = ["-std=c99", *STRICT, "-Wstrict-prototypes", "-Wmissing-prototypes"]
DTYPES = ["float32", "float64"]
CLOSE = {"float32": {"rtol": 2e-5, "atol": 2e-6}, "float64": {"rtol": 1e-11, "atol": 1e-13}}
MAGNITUDES = [0.0, 1e-30, 1e-3, 1.0, 5.0, 20.0, 80.0]


def data(n_rows=40, n_features=4, dtype="float32", seed=0):
    """Rows of very different sizes."""
    rng = np.random.default_rng(seed)
    scale = rng.choice(MAGNITUDES, (n_rows, 1))
    return (rng.normal(size=(n_rows, n_features)) * scale).astype(dtype)


def fitted(cls, y, hidden=(7, 5), dtype="float32", **params):
    X = np.random.default_rng(1).normal(size=(len(y), 4)).astype(dtype)
    return cls(hidden_layer_sizes=hidden, max_iter=2, random_state=0, **params).fit(X, y)


TARGETS = {
    "two": np.arange(40) % 2,
    "three": np.arange(40) % 3 * 10 - 10,
    "words": np.array(["yes", "no", 'the "other"?'])[np.arange(40) % 3],
    "booleans": np.arange(40) % 2 == 0,
    "labels": np.eye(3, dtype=int)[np.arange(40) % 3],
    "one class": np.zeros(40, int),
}


def compiled(source, folder, flags=(), compiler=CC, standard=C99, suffix="c"):
    """The source as a loaded library."""
    path = folder / f"model.{suffix}"
    path.write_text(source, encoding="ascii")
    library = folder / f"model_{len(list(folder.iterdir()))}.so"
    command = [*compiler, *standard, *flags, "-shared", "-fPIC", path, "-o", library, "-lm"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stderr + source
    assert run.stderr == ""
    return ctypes.CDLL(os.fspath(library))


def run_rows(function, X, n_outputs, out_dtype):
    """Call a function of (x, out) for each row."""
    out = np.empty((len(X), n_outputs), out_dtype)
    for row, result in zip(X, out, strict=True):
        function(row.ctypes.data_as(ctypes.c_void_p), result.ctypes.data_as(ctypes.c_void_p))
    return out


def places(library, X, name="model"):
    function = getattr(library, f"{name}_predict_class")
    return [function(row.ctypes.data_as(ctypes.c_void_p)) for row in X]


def assert_agrees(model, library, X, name="model"):
    """Values, probabilities and labels are the estimator's."""
    dtype = X.dtype
    predict = getattr(library, f"{name}_predict")
    expected = model.predict_proba(X) if hasattr(model, "classes_") else model.predict(X)
    expected = expected.reshape(len(X), -1)
    actual = run_rows(predict, X, expected.shape[1], dtype)
    np.testing.assert_allclose(actual, expected, **CLOSE[dtype.name])
    if not hasattr(model, "classes_"):
        return
    if model._multilabel():
        function = getattr(library, f"{name}_predict_labels")
        labels = run_rows(function, X, expected.shape[1], np.intc)
        np.testing.assert_array_equal(labels, model.predict(X))
    else:
        np.testing.assert_array_equal(model.classes_[places(library, X, name)], model.predict(X))


@pytest.fixture(scope="module")
def some_model():
    return fitted(MLPClassifier, TARGETS["two"])


# ---- everything there is ----


def test_every_activation_has_a_row():
    assert set(C_ACTIVATIONS) == set(ACTIVATIONS)


def test_every_link_has_a_row():
    assert set(C_LINKS) == set(LINKS)


REGRESSIONS = {
    "several outputs": {},
    "poisson": {"loss": "poisson"},
    "quantile": {"loss": "quantile", "quantile": 0.9, "output_activation": "softplus"},
    "slopes": {
        "output_activation": ("leaky_relu", 0.2),
        "activation": [("leaky_relu", 0.1), "leaky_relu"],
    },
}


def straight(activation, dtype, weight=1.0):
    """A chain of two units: the activation of its input, times a weight."""
    model = MLPRegressor(hidden_layer_sizes=1, activation=activation, max_iter=1, random_state=0)
    model.fit(np.ones((3, 1), dtype), np.ones(3))
    model.coefs_, model.intercepts_ = [[[weight]], [[1.0]]], [[0.0], [0.0]]
    return model


def regressor(which, dtype):
    y = np.random.default_rng(0).random((40, 2))
    y = y if which == "several outputs" else y[:, 0]
    return fitted(MLPRegressor, y, dtype=dtype, **REGRESSIONS[which])


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """A model for all there is, their names in C, and all of them compiled as one file."""
    models = {}
    for dtype in DTYPES:
        for activation in ACTIVATIONS:
            models["straight", activation, dtype] = straight(activation, dtype)
            models["overflowing", activation, dtype] = straight(activation, dtype, 3.0)
            models["activation", activation, dtype] = fitted(
                MLPClassifier, TARGETS["three"], dtype=dtype, activation=activation
            )
        for targets, y in TARGETS.items():
            models["targets", targets, dtype] = fitted(MLPClassifier, y, dtype=dtype)
        for which in REGRESSIONS:
            models["regression", which, dtype] = regressor(which, dtype)
    names = {key: f"model_{i}" for i, key in enumerate(models)}
    source = "".join(model.to_c(name=names[key]) for key, model in models.items())
    return models, names, compiled(source, tmp_path_factory.mktemp("everything"))


def check(everything, X, *key):
    models, names, library = everything
    assert_agrees(models[key], library, X, names[key])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(everything, activation, dtype):
    check(everything, data(dtype=dtype), "activation", activation, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_of_extreme_scores_are_finite_and_right(everything, activation, dtype):
    X = np.array([[0], [1e-6], [0.3], [9], [88], [800], [1e4], [1e30]], dtype)
    check(everything, np.concatenate([X, -X]), "straight", activation, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_of_infinite_scores_have_their_limits(everything, activation, dtype):
    X = np.array([[np.finfo(dtype).max], [np.finfo(dtype).min]])
    check(everything, X, "overflowing", activation, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("targets", TARGETS)
def test_classifiers(everything, targets, dtype):
    check(everything, data(dtype=dtype), "targets", targets, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("which", REGRESSIONS)
def test_regressors(everything, which, dtype):
    check(everything, data(dtype=dtype) / 20, "regression", which, dtype)


@pytest.mark.parametrize("hidden", [(), (3,), (2, 9, 4, 11)], ids=str)
def test_any_number_of_layers(hidden, tmp_path):
    model = fitted(MLPClassifier, TARGETS["three"], hidden)
    assert_agrees(model, compiled(model.to_c(), tmp_path), data())


def test_one_class_is_always_its_own(tmp_path):
    model = fitted(MLPClassifier, TARGETS["one class"])
    model.intercepts_[-1][:] = 5
    assert_agrees(model, compiled(model.to_c(), tmp_path), data())


@settings(max_examples=10, deadline=None)
@given(
    hidden=st.lists(st.integers(1, 12), max_size=3),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    targets=st.sampled_from(sorted(TARGETS)),
    dtype=st.sampled_from(DTYPES),
    exported=st.sampled_from(DTYPES),
    seed=st.integers(0, 10**6),
)
def test_any_classifier(tmp_path_factory, hidden, activation, targets, dtype, exported, seed):
    model = MLPClassifier(hidden, activation, max_iter=2, random_state=seed)
    X = data(40, dtype=dtype, seed=seed)
    model.fit(X, TARGETS[targets])
    library = compiled(model.to_c(dtype=exported), tmp_path_factory.mktemp("c"))
    proba = model.predict_proba(X)
    rows = X.astype(exported)
    actual = run_rows(library.model_predict, rows, proba.shape[1], exported)
    narrower = "float32" if "float32" in (dtype, exported) else "float64"
    np.testing.assert_allclose(actual, proba, **{**CLOSE[narrower], "rtol": 1e-3})


@pytest.mark.parametrize("flags", [["-O0"], ["-O2"], ["-O3", "-march=native"]], ids=str)
def test_levels_of_optimisation(flags, tmp_path):
    model = fitted(MLPClassifier, TARGETS["three"], activation=["gelu", "mish"])
    assert_agrees(model, compiled(model.to_c(), tmp_path, flags), data())


@pytest.mark.parametrize("targets", ["two", "words", "labels"])
def test_it_is_also_cpp(targets, tmp_path):
    model = fitted(MLPClassifier, TARGETS[targets], activation=["selu", "elu"])
    standard = ["-std=c++11", *STRICT]
    library = compiled(model.to_c(), tmp_path, compiler=CXX, standard=standard, suffix="cpp")
    assert_agrees(model, library, data())


# ---- as a program of its own ----

MAIN = """
#include <stdio.h>

int main(void)
{
    float x[MODEL_N_FEATURES], out[MODEL_N_OUTPUTS];
    for (;;) {
        for (int i = 0; i < MODEL_N_FEATURES; i++)
            if (scanf("%f", &x[i]) != 1)
                return 0;
        model_predict(x, out);
        printf("%s", model_classes[model_predict_class(x)]);
        for (int j = 0; j < MODEL_N_OUTPUTS; j++)
            printf("\\t%.9g", (double) out[j]);
        printf("\\n");
    }
}
"""


def test_included_in_a_program_under_sanitizers(tmp_path):
    """No undefined behaviour and no byte out of bounds; scratch where the macro puts it."""
    model = fitted(MLPClassifier, TARGETS["words"], (2, 3, 6, 9), activation="silu")
    model.to_c(tmp_path / "model.c")
    main = tmp_path / "main.c"
    main.write_text('#define MODEL_SCRATCH static\n#include "model.c"\n' + MAIN)
    program = tmp_path / "main"
    sanitize = ["-g", "-fsanitize=undefined,address", "-fno-sanitize-recover=all"]
    subprocess.run([*CC, *C99, *sanitize, main, "-o", program, "-lm"], check=True, timeout=120)
    X = data()
    text = "\n".join(" ".join(str(number) for number in row) for row in X)
    run = subprocess.run([program], input=text, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
    lines = [line.split("\t") for line in run.stdout.splitlines()]
    np.testing.assert_array_equal([line[0] for line in lines], model.predict(X))
    actual = np.array([line[1:] for line in lines], float)
    np.testing.assert_allclose(actual, model.predict_proba(X), **CLOSE["float32"])


def test_two_models_in_one_program(tmp_path):
    first = fitted(MLPClassifier, TARGETS["three"], activation="gelu")
    second = fitted(MLPRegressor, np.arange(40.0), dtype="float64", activation="gelu")
    library = compiled(first.to_c(name="first") + second.to_c(name="second"), tmp_path)
    assert_agrees(first, library, data(), "first")
    assert_agrees(second, library, data(dtype="float64"), "second")


def test_it_depends_on_mathematics_alone(tmp_path):
    source = fitted(MLPClassifier, TARGETS["words"]).to_c()
    assert re.findall("#include.*", source) == ["#include <math.h>"]


# ---- tables ----


def test_labels_are_a_table(tmp_path):
    words = ["", 'a "quote"', "back\\slash", "??=", "100% \n\t", "Zürich", "東京", "1a"]
    model = fitted(MLPClassifier, np.array(words)[np.arange(40) % 8])
    library = compiled(model.to_c(), tmp_path)
    table = (ctypes.c_char_p * 8).in_dll(library, "model_classes")
    assert [word.decode() for word in table] == model.classes_.tolist()


@pytest.mark.parametrize(
    "labels",
    [
        np.array([-(2**63), 2**63 - 1, 0]),
        np.array([1, 2, 250], np.uint8),
        np.array([2.0, -1.0, 7.0]),
    ],
    ids=str,
)
def test_numbers_as_labels_are_a_table(labels, tmp_path):
    model = fitted(MLPClassifier, labels[np.arange(40) % 3])
    library = compiled(model.to_c(), tmp_path)
    table = (ctypes.c_longlong * 3).in_dll(library, "model_classes")
    assert list(table) == model.classes_.tolist()


def test_feature_names_are_a_table(tmp_path):
    names = ["width */ in mm", "höhe", "a\\", "b"]
    X = pd.DataFrame(data(), columns=names)
    model = MLPRegressor(hidden_layer_sizes=3, max_iter=1).fit(X, np.arange(40.0))
    library = compiled(model.to_c(), tmp_path)
    table = (ctypes.c_char_p * 4).in_dll(library, "model_feature_names")
    assert [name.decode() for name in table] == names


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1))
def test_literals_of_float_are_read_back_the_same(values):
    values = np.array(values, np.float32)
    literals = _numbers(values, "f").replace("f", "").split(",")
    np.testing.assert_array_equal(np.array(literals, np.float32).view(np.int32), values.view(np.int32))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_literals_of_double_are_read_back_the_same(values):
    literals = _numbers(np.array(values), "").split(",")
    np.testing.assert_array_equal(
        np.array([float(text) for text in literals]).view(np.int64), np.array(values).view(np.int64)
    )


@pytest.mark.parametrize("legacy", ["1.13", "1.25"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_options_of_printing_do_not_matter(dtype, legacy):
    model = fitted(MLPRegressor, np.arange(40.0), dtype=dtype, activation=("leaky_relu", 1 / 3))
    expected = model.to_c()
    with np.printoptions(precision=2, suppress=True, floatmode="fixed", legacy=legacy):
        assert model.to_c() == expected


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_compiler_reads_extreme_literals_the_same(dtype, tmp_path):
    limits = np.finfo(dtype)
    numbers = [limits.max, limits.min, limits.tiny, limits.smallest_subnormal, -0.0, 0.1, 1e20]
    model = fitted(MLPRegressor, np.zeros((40, 7)) + np.arange(7), (), dtype=dtype)
    model.intercepts_ = [np.array(numbers, dtype)]
    library = compiled(model.to_c(), tmp_path)
    out = run_rows(library.model_predict, np.zeros((1, 4), dtype), 7, dtype)
    np.testing.assert_array_equal(out[0], np.array(numbers, dtype))


def test_strings_hold_no_trigraph_and_no_letter_beyond_ascii():
    assert _string("??/é") == r'"\077\077/\303\251"'


def test_the_least_integer_is_an_expression():
    assert _integer(-(2**63)) == "-9223372036854775807LL - 1"


# ---- arguments ----


def test_the_file_is_the_text_that_is_returned(tmp_path):
    path = tmp_path / "network.c"
    source = fitted(MLPClassifier, TARGETS["two"]).to_c(path)
    assert path.read_bytes() == source.encode("ascii")


def test_the_text_is_the_same_every_time():
    model = fitted(MLPClassifier, TARGETS["two"])
    assert model.to_c() == model.to_c()


@pytest.mark.parametrize("name", ["", "1st", "_model", "mo del", "a__b", "a_", "é", "x;y", "a\n", 'a"'])
def test_names_that_are_no_identifiers_are_refused(name, some_model):
    with pytest.raises(ValueError, match="must be an identifier of C"):
        some_model.to_c(name=name)


def test_keywords_are_refused_as_names(some_model):
    for name in KEYWORDS:
        with pytest.raises(ValueError, match=f"identifier|keyword.*'{name}'"):
            some_model.to_c(name=name)


def test_a_name_that_is_no_string_is_refused(some_model):
    with pytest.raises(TypeError, match="name must be a string; got 3"):
        some_model.to_c(name=3)


@pytest.mark.parametrize("dtype", ["float16", "int", "nonsense", ">f4", 3])
def test_other_dtypes_are_refused(dtype, some_model):
    with pytest.raises(ValueError, match="dtype must be 'float32', 'float64'"):
        some_model.to_c(dtype=dtype)


def test_not_fitted():
    with pytest.raises(NotFittedError):
        MLPRegressor().to_c()


def test_numbers_that_are_not_finite_are_refused():
    model = fitted(MLPRegressor, np.arange(40.0), dtype="float64")
    model.coefs_[1][0, 0] = 1e300
    assert "1e+300" in model.to_c()
    with pytest.raises(ValueError, match=r"coefs_\[1\] .* not finite in float32"):
        model.to_c(dtype="float32")


def test_numbers_that_lose_bits_are_no_error_whatever_numpy_does_then():
    model = fitted(MLPRegressor, np.arange(40.0), dtype="float64")
    model.coefs_[0][0, :2] = 1e-50, 1.1e-40
    with np.errstate(all="raise"):
        assert "1.1e-40f" in model.to_c(dtype="float32")


def test_dates_as_labels_are_refused():
    """NumPy makes lists of integers of those to the nanosecond."""
    for unit in ("D", "ns"):
        labels = np.array(["2020-01-01", "2021-01-01"], f"datetime64[{unit}]")
        model = fitted(MLPClassifier, labels[np.arange(40) % 2])
        with pytest.raises(TypeError, match="only labels that are integers or strings"):
            model.to_c()


def test_the_name_of_a_class_does_not_end_the_comment(tmp_path):
    odd = type("Odd */ class ??/", (MLPClassifier,), {})
    model = fitted(odd, TARGETS["two"])
    assert_agrees(model, compiled(model.to_c(), tmp_path), data())


def test_a_label_with_a_zero_byte_is_refused():
    model = fitted(MLPClassifier, np.array(["a\0b", "c"])[np.arange(40) % 2])
    with pytest.raises(ValueError, match="none of them 0"):
        model.to_c()


def test_a_failing_call_writes_nothing(some_model, tmp_path):
    with pytest.raises(ValueError, match="keyword"):
        some_model.to_c(tmp_path / "model.c", name="int")
    assert list(tmp_path.iterdir()) == []
