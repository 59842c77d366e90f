"""Weights alone: what is written, what is read back, and what is refused."""

import copy
import io
import os
import pickle
import stat
import subprocess
import sys
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError
from sklearn.neural_network import MLPRegressor as Original

from sklearn_mlp import MLPClassifier, MLPRegressor
from sklearn_mlp._files import replacing

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = X[:, 0] - X[:, 1] ** 2
LABELS = np.digitize(Y, [-1.0, 0.0])
NAMES = ["coefs_0", "intercepts_0", "coefs_1", "intercepts_1", "coefs_2", "intercepts_2"]


def small(cls=MLPRegressor, **params):
    return cls(**{"hidden_layer_sizes": (5, 3), "max_iter": 3, "random_state": 0, **params})


def fitted(cls=MLPRegressor, dtype="float64", **params):
    return small(cls, dtype=dtype, **params).fit(X, Y if cls is MLPRegressor else LABELS)


def arrays_of(model):
    pairs = enumerate(zip(model.coefs_, model.intercepts_, strict=True))
    return {
        name: values.copy()
        for i, (weights, intercepts) in pairs
        for name, values in [(f"coefs_{i}", weights), (f"intercepts_{i}", intercepts)]
    }


def assert_has(model, arrays):
    for name, values in arrays_of(model).items():
        np.testing.assert_array_equal(values, arrays[name], err_msg=name)


def state_of(model):
    """All that load_weights might touch, comparable."""
    return pickle.dumps({**vars(model), "_network": model._network.params})


# ---- there and back ----


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_loaded_weights_predict_the_same_bits(cls, dtype, tmp_path):
    model, other = fitted(cls, dtype), fitted(cls, dtype, random_state=1)
    assert not np.array_equal(model._raw_scores(X), other._raw_scores(X))
    model.export_weights(tmp_path / "weights.npz")
    assert other.load_weights(tmp_path / "weights.npz") is other
    np.testing.assert_array_equal(model._raw_scores(X), other._raw_scores(X))
    np.testing.assert_array_equal(model.predict(X), other.predict(X))


@pytest.mark.parametrize("hidden", [(), (1,), (7, 2, 9)])
def test_any_number_of_layers(hidden, tmp_path):
    model = fitted(hidden_layer_sizes=hidden)
    arrays = arrays_of(model)
    model.export_weights(tmp_path / "w")
    other = fitted(hidden_layer_sizes=hidden, random_state=1).load_weights(tmp_path / "w")
    assert_has(other, arrays)


def test_the_file_holds_plain_arrays_with_readable_names(tmp_path):
    model = fitted(dtype="float32")
    model.export_weights(tmp_path / "weights.npz")
    with np.load(tmp_path / "weights.npz", allow_pickle=False) as file:
        assert file.files == NAMES
        assert {values.dtype for values in file.values()} == {np.dtype(np.float32)}
        assert_has(model, file)


def test_the_same_weights_give_the_same_bytes(tmp_path):
    for name in "ab":
        fitted().export_weights(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_path_is_used_as_it_is(tmp_path):
    for path in [tmp_path / "no ending", str(tmp_path / "text"), os.fsencode(tmp_path / "bytes")]:
        fitted().export_weights(path)
        fitted().load_weights(path)
    assert sorted(os.listdir(tmp_path)) == ["bytes", "no ending", "text"]
    for method in [fitted().export_weights, fitted().load_weights]:
        with pytest.raises(TypeError):
            method(1)


def test_weights_of_scikit_learn_can_be_loaded(tmp_path):
    theirs = Original(hidden_layer_sizes=(5, 3), max_iter=3, random_state=3).fit(X, Y)
    np.savez(tmp_path / "theirs.npz", **arrays_of(theirs))
    ours = fitted().load_weights(tmp_path / "theirs.npz")
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-12)


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("kind", ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_types_byte_orders_and_layouts_are_converted(dtype, kind, write, order, tmp_path):
    arrays = {
        name: np.asarray(values, dtype=kind, order=order)
        for name, values in arrays_of(fitted(random_state=7)).items()
    }
    write(tmp_path / "weights.npz", **arrays)
    model = fitted(dtype=dtype).load_weights(tmp_path / "weights.npz")
    assert model.coefs_[0].dtype == dtype
    assert_has(model, {name: values.astype(dtype) for name, values in arrays.items()})


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=20, max_size=20))
def test_every_finite_number_survives(tmp_path, numbers):
    model, other = fitted(), fitted()
    model.coefs_[0] = np.reshape(numbers, (4, 5))
    model.export_weights(tmp_path / "weights.npz")
    other.load_weights(tmp_path / "weights.npz")
    assert other.coefs_[0].tobytes() == np.reshape(numbers, (4, 5)).tobytes()


# ---- what becomes of the rest of the model ----


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "weights.npz"
    fitted(random_state=9).export_weights(path)
    return path


def test_what_was_learned_beside_the_weights_stays(weights):
    model = fitted()
    before = copy.deepcopy(model)
    model.load_weights(weights)
    for name in ["loss_curve_", "history_", "n_iter_", "t_", "loss_", "n_features_in_"]:
        assert getattr(model, name) == getattr(before, name)
    assert model.get_params() == before.get_params()


def test_streaming_begins_with_a_new_optimizer(weights):
    model = small(dtype="float64").partial_fit(X, Y).partial_fit(X, Y).load_weights(weights)
    afresh = small(dtype="float64").partial_fit(X, Y).load_weights(weights)
    assert model.n_iter_ == afresh.n_iter_
    assert_has(model.partial_fit(X, Y), arrays_of(afresh.partial_fit(X, Y)))
    kept = small(dtype="float64").partial_fit(X, Y).partial_fit(X, Y)
    kept.coefs_ = fitted(random_state=9).coefs_
    kept.intercepts_ = fitted(random_state=9).intercepts_
    assert not np.array_equal(kept.partial_fit(X, Y).coefs_[0], model.coefs_[0])


def test_settings_of_the_optimizer_are_taken_anew(weights):
    model = small(dtype="float64").partial_fit(X, Y).load_weights(weights)
    before = arrays_of(model)
    model.set_params(learning_rate_init=1e-300).partial_fit(X, Y)
    assert_has(model, before)


def test_a_loaded_model_in_a_stream_travels_on_by_pickle(weights):
    model = small(dtype="float64").partial_fit(X, Y).load_weights(weights)
    other = pickle.loads(pickle.dumps(model))
    assert_has(other.partial_fit(X, Y), arrays_of(model.partial_fit(X, Y)))


def test_a_warm_start_goes_on_from_the_weights(weights):
    model = fitted(warm_start=True, learning_rate_init=1e-300).load_weights(weights)
    loaded = arrays_of(model)
    assert_has(model.fit(X, Y), loaded)


def test_a_warm_start_does_not_stop_for_a_loss_that_other_weights_had(weights):
    good = small(dtype="float64", warm_start=True, n_iter_no_change=2, max_iter=300, tol=1e-6)
    good.set_params(learning_rate_init=0.02).fit(X, Y)
    best = good.best_loss_
    bad = good.load_weights(weights).set_params(max_iter=8, learning_rate_init=1e-3)
    assert bad.best_loss_ == np.inf
    bad.fit(X, Y)
    assert bad.n_iter_ == 8  # the loss falls, far above the best of before
    assert best < bad.best_loss_ == min(bad.loss_curve_[-8:])


def test_a_warm_start_does_not_aim_at_a_score_that_other_weights_had(weights):
    model = small(
        dtype="float64", warm_start=True, early_stopping=True, learning_rate_init=0.02, max_iter=300
    ).fit(X, Y)
    of_the_old = model.best_validation_score_
    model.load_weights(weights).set_params(max_iter=2, learning_rate_init=1e-4).fit(X, Y)
    assert model.best_loss_ is None
    assert model.best_validation_score_ < of_the_old


def test_a_predictor_made_before_stays_with_the_old_weights(weights):
    model = fitted()
    row, old = X[:1].copy(), model.predict(X[:1])
    predictor = model.make_predictor()
    model.load_weights(weights)
    np.testing.assert_array_equal(predictor.predict(row), old)
    assert model.predict(row) != old  # the one that the model itself keeps is another
    assert model.make_predictor().predict(row) == model.predict(row)


def test_a_shallow_copy_keeps_its_weights(weights):
    model = fitted()
    other, before = copy.copy(model), arrays_of(model)
    model.load_weights(weights)
    assert_has(other, before)


# ---- what is refused ----


def test_not_fitted():
    with pytest.raises(NotFittedError, match="load_json"):
        small().load_weights("weights.npz")
    with pytest.raises(NotFittedError):
        small().export_weights("weights.npz")


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_not_written(number, tmp_path):
    model = fitted()
    model.coefs_[1][2, 1] = number
    with pytest.raises(ValueError, match=rf"coefs_1: the number at \[2, 1\] is {number}"):
        model.export_weights(tmp_path / "w")
    assert os.listdir(tmp_path) == []


def archive(entries, method=zipfile.ZIP_STORED):
    """The bytes of an archive with these (name, bytes)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Duplicate name")
        for name, content in entries:
            file.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


def npy(values):
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def header(text, version=(1, 0), encoding="utf-8"):
    text = text.encode(encoding)
    size = len(text).to_bytes(2 if version == (1, 0) else 4, "little")
    return b"\x93NUMPY" + bytes(version) + size + text


def entries(**changed):
    """The entries of a good file but for these; None leaves one out."""
    content = {name: npy(values) for name, values in arrays_of(MODEL).items()}
    content |= changed
    return [(f"{name}.npy", value) for name, value in content.items() if value is not None]


def shaped(shape, descr="'<f8'", more=""):
    return header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, {more}}}\n")


DATA = bytes(8 * 15)
MODEL = small(dtype="float64").partial_fit(X, Y)
GOOD = archive(entries())
BAD = {
    "empty": (b"", "not a readable .npz file"),
    "text": (b"coefs_0 = 1\n" * 100, "not a readable .npz file"),
    "one array": (npy(X), "not a readable .npz file"),
    "half": (GOOD[: len(GOOD) // 2], "not a readable .npz file"),
    "without its start": (GOOD[100:], "coefs_0"),
    "a flipped bit": (GOOD[:200] + bytes([GOOD[200] ^ 1]) + GOOD[201:], "coefs_0: Bad CRC"),
    "a missing array": (archive(entries(coefs_1=None)), r"missing \['coefs_1'\]"),
    "an array too many": (archive(entries(coefs_3=npy(X))), r"not known \['coefs_3'\]"),
    "an array twice": (archive([*entries(), *entries()[:1]]), "'coefs_0' twice"),
    "no arrays": (archive([]), "missing"),
    "names without an end": (archive([("x" * 60_000, b"")]), "not known"),
    "a wrong shape": (archive(entries(coefs_1=npy(np.ones((3, 5))))), r"has shape \(3, 5\).*\(5, 3\)"),
    "a flat array": (archive(entries(coefs_1=npy(np.ones(15)))), r"has shape \(15,\)"),
    "a column": (archive(entries(intercepts_1=npy(np.ones((3, 1))))), r"has shape \(3, 1\)"),
    "a size beyond memory": (archive(entries(coefs_1=shaped((10**9, 10**9)))), "has shape"),
    "a size beyond integers": (archive(entries(coefs_1=shaped((10**30, 3)))), "has shape"),
    "a negative size": (archive(entries(coefs_1=shaped((-5, -3)) + DATA)), "has shape"),
    "objects": (archive(entries(coefs_1=npy(np.full((5, 3), None)))), "dtype object"),
    "integers": (archive(entries(coefs_1=npy(np.ones((5, 3), int)))), "dtype int64"),
    "truth values": (archive(entries(coefs_1=npy(np.ones((5, 3), bool)))), "dtype bool"),
    "complex numbers": (archive(entries(coefs_1=npy(np.ones((5, 3), complex)))), "dtype complex128"),
    "texts": (archive(entries(coefs_1=npy(np.full((5, 3), "1.0")))), "dtype <U3"),
    "records": (
        archive(entries(coefs_1=shaped((5, 3), "[('a', '<f8'), ('b', '<f8')]"))),
        "dtype .*must be float",
    ),
    "arrays in arrays": (archive(entries(coefs_1=shaped((5, 3), "('<f8', (10**9,))"))), "no header"),
    "rows as numbers": (archive(entries(coefs_1=shaped((5, 3), "'5f8'"))), "dtype"),
    "long rows as numbers": (archive(entries(coefs_1=shaped((5, 3), "'1000000000f8'"))), "coefs_1: "),
    "a short array": (archive(entries(coefs_1=shaped((5, 3)) + DATA[8:])), "ends after 112 of 120"),
    "a long array": (archive(entries(coefs_1=shaped((5, 3)) + DATA + b"1")), "more than the 120"),
    "no header": (archive(entries(coefs_1=b"")), "coefs_1: EOF"),
    "another magic": (archive(entries(coefs_1=b"PK" + npy(np.ones((5, 3))))), "coefs_1: the magic"),
    "a short header": (archive(entries(coefs_1=npy(np.ones((5, 3)))[:50])), "no header"),
    "a header that is code": (archive(entries(coefs_1=header("__import__('os')"))), "no header"),
    "a header of signs": (archive(entries(coefs_1=header("-" * 60_000))), "no header"),
    "a header of brackets": (archive(entries(coefs_1=header("[" * 900))), "no header"),
    "a header in pieces": (archive(entries(coefs_1=header("'a\\\n{"))), "no header"),
    "a header of blanks": (archive(entries(coefs_1=shaped((5, 3), 2000 * " ") + DATA)), "no header"),
    "a header with more": (archive(entries(coefs_1=shaped((5, 3), more="'a': 1") + DATA)), "no header"),
    "a text as shape": (archive(entries(coefs_1=shaped("'53'") + DATA)), "no header"),
    "a later version": (
        archive(entries(coefs_1=header("{}", (2, 0)))),
        r"version \(2, 0\) of the .npy format",
    ),
    "not a number": (
        archive(entries(coefs_1=npy(np.where(np.eye(5, 3), 1.0, np.nan)))),
        r"coefs_1: the number at \[0, 1\] is nan",
    ),
    "infinity": (
        archive(entries(intercepts_2=npy(np.array([np.inf])))),
        r"intercepts_2: the number at \[0\] is inf",
    ),
}
if np.dtype(np.longdouble).itemsize > 8:
    LONG = npy(np.ones((5, 3), np.longdouble))
    BAD["long numbers"] = (archive(entries(coefs_1=LONG)), r"dtype float.*must be float16")
for method in [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]:
    BAD[f"compression {method}"] = (archive(entries(), method), "compressed by a method")


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_bad_files(content, message, tmp_path):
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    model = small(dtype="float64").partial_fit(X, Y)
    before = state_of(model)
    with pytest.raises(ValueError, match=message) as raised:
        model.load_weights(path)
    assert str(path) in str(raised.value)
    assert len(str(raised.value)) < len(str(path)) + 400
    assert state_of(model) == before


def test_an_encrypted_file(tmp_path):
    content = bytearray(GOOD)
    # The flag "encrypted" of the first entry, there and in the directory.
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(ValueError, match=r"coefs_0: .*encrypted"):
        fitted().load_weights(tmp_path / "w")


def test_numbers_too_large_for_the_models_type(tmp_path):
    arrays = arrays_of(fitted())
    arrays["coefs_1"][4, 2] = -1e39
    np.savez(tmp_path / "w.npz", **arrays)
    fitted(dtype="float64").load_weights(tmp_path / "w.npz")
    with pytest.raises(ValueError, match=r"coefs_1: -1e\+39 at \[4, 2\] is too large for float32"):
        fitted(dtype="float32").load_weights(tmp_path / "w.npz")


def test_numbers_too_small_for_the_models_type_become_zero(tmp_path):
    arrays = arrays_of(fitted())
    arrays["coefs_1"][:] = 1e-300
    np.savez(tmp_path / "w.npz", **arrays)
    with np.errstate(all="raise"):
        model = fitted(dtype="float32").load_weights(tmp_path / "w.npz")
    assert not model.coefs_[1].any()


def bomb(content, size=200 << 20):
    """An archive in which that content of coefs_1 is followed by zeros, deflated."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, value in entries():
            with file.open(name, "w") as member:
                if name != "coefs_1.npy":
                    member.write(value)
                    continue
                member.write(content)
                for _ in range(size >> 20):
                    member.write(bytes(1 << 20))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (shaped((5, 3)), "more than"),
        (shaped((5 << 20, 3)), "has shape"),
        (header("{", (2, 0))[:8] + (200 << 20).to_bytes(4, "little"), "version"),
    ],
    ids=["in the array", "in the shape", "in the header"],
)
def test_a_zip_bomb_takes_no_memory(content, message, tmp_path):
    model, path = fitted(), tmp_path / "bomb.npz"
    path.write_bytes(bomb(content))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message):
            model.load_weights(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_load_or_raise_value_error(tmp_path, data):
    content = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(0, 2 * len(content))) :]
    (tmp_path / "w").write_bytes(content)
    model = copy.copy(MODEL)
    try:
        model.load_weights(tmp_path / "w")
    except ValueError:
        assert_has(model, arrays_of(MODEL))
    assert np.isfinite(np.concatenate([values.ravel() for values in arrays_of(model).values()])).all()


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    descr=st.text(max_size=20)
    | st.sampled_from(["<f8", "|O", "<f8,<f8", "<M8[s]", "(2,)f8", "g", "e"]),
    order=st.sampled_from(["True", "False", "1", "None"]),
    shape=st.lists(st.integers()) | st.just([5, 3]) | st.just([3, 5]),
)
def test_any_header_is_read_or_refused(tmp_path, descr, order, shape):
    text = f"{{'descr': {descr!r}, 'fortran_order': {order}, 'shape': {tuple(shape)}}}\n"
    try:
        head = header(text, encoding="latin-1")
    except UnicodeEncodeError:
        head = header(text)
    (tmp_path / "w").write_bytes(archive(entries(coefs_1=head + DATA)))
    model = copy.copy(MODEL)
    try:
        model.load_weights(tmp_path / "w")
    except ValueError:
        assert_has(model, arrays_of(MODEL))
    else:
        assert shape == [5, 3]
        assert not model.coefs_[1].any()


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        fitted().load_weights(tmp_path / "nothing.npz")
    with pytest.raises(FileNotFoundError):
        fitted().export_weights(tmp_path / "nowhere" / "weights.npz")


# ---- writing at once ----


def test_an_error_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write():
        with replacing(path) as file:
            file.write(b"new")
            file.flush()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_an_error_while_saving_leaves_the_old_file(step, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*args):
        raise OSError("no space left")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="no space left"):
        fitted().export_weights(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(os.name != "posix", reason="kills by a signal")
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_process_killed_while_saving_leaves_the_old_file(step, tmp_path):
    path = tmp_path / "weights.npz"
    fitted(random_state=1).export_weights(path)
    before = path.read_bytes()
    code = f"""
import os, signal
import numpy as np
from sklearn_mlp import MLPRegressor
model = MLPRegressor(hidden_layer_sizes=(5, 3)).partial_fit(np.ones((2, 4)), np.ones(2))
os.{step} = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
model.export_weights({str(path)!r})
"""
    run = subprocess.run([sys.executable, "-P", "-c", code], cwd=Path(__file__).parent, check=False)
    assert run.returncode == -9
    assert path.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_permissions_are_those_of_the_old_file_or_of_any_new_one(tmp_path):
    mask = os.umask(0o027)
    try:
        fitted().export_weights(tmp_path / "new")
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
        (tmp_path / "new").chmod(0o604)
        fitted().export_weights(tmp_path / "new")
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o604
    finally:
        os.umask(mask)


@pytest.mark.skipif(os.name != "posix", reason="symbolic links")
def test_a_symbolic_link_stays_one(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    fitted().export_weights(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    fitted().load_weights(tmp_path / "real")


def test_what_is_no_file_is_not_replaced(tmp_path):
    for path in [tmp_path, os.devnull]:
        with pytest.raises(ValueError, match="not an ordinary file"):
            fitted().export_weights(path)
    assert os.path.isdir(tmp_path)
