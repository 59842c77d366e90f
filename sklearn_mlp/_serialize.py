"""Models as JSON, format version 1; doc/json.md and model.schema.json specify it.

What is written is built section by section (`_document`) and rendered; what is read is parsed, checked
and turned back in the same order (`_restore`). Reading runs no code of the file's, and takes no size
on trust: memory is allocated for numbers that are there, and for no others. Whatever is wrong raises
`ModelFormatError`, which begins with the place: ``layers[1].weights[3]: 4 numbers, expected 5``.
"""

from __future__ import annotations

import json
import os
from codecs import BOM_UTF8
from copy import copy
from itertools import chain, pairwise
from math import inf, isfinite, nan
from numbers import Integral, Real
from reprlib import Repr
from textwrap import shorten
from typing import TYPE_CHECKING, Self

import numpy as np
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.validation import check_is_fitted

from sklearn_mlp import schedules
from sklearn_mlp._activations import ACTIVATIONS
from sklearn_mlp._dense import MAX_UNITS
from sklearn_mlp._export import decimals
from sklearn_mlp._files import replacing
from sklearn_mlp._loss import LOSSES, Loss
from sklearn_mlp._network import Network
from sklearn_mlp._optim import SOLVERS, OptimizerState
from sklearn_mlp._report import FitReport
from sklearn_mlp._training import OptimizerRun, Record
from sklearn_mlp._typing import Path
from sklearn_mlp.schedules import LEARNING_RATE_LIMIT, Adaptive, Constant, InvScaling, PerStep, Schedule

if TYPE_CHECKING:
    from sklearn_mlp._estimators import MLPClassifier, MLPRegressor
    from sklearn_mlp._tabular_estimators import TabularMLPClassifier, TabularMLPRegressor

FORMAT_VERSION = 1

# Parameters that came after version 1 of the format was fixed: a file without one has its default.
LATER_PARAMETERS: frozenset = frozenset()

# Keys of the objects of a file, in their order.
KEYS = (
    "format_version",
    "library_version",
    "estimator",
    "parameters",
    "dtype",
    "layer_sizes",
    "feature_names",
    "loss",
    "training",
    "history",
    "layers",
    "optimizer",
)
CLASSES_KEYS = ("target", "dtype", "labels", "sparse")
TRAINING_KEYS = (
    "n_iter",
    "t",
    "loss",
    "loss_curve",
    "best_loss",
    "validation_scores",
    "best_validation_score",
    "no_improvement_count",
    "scored_by",
)
HISTORY_KEYS = ("best_epoch", "stop_reason", "columns", "rows")
LAYER_KEYS = ("activation", "negative_slope", "weights", "intercepts")
OPTIMIZER_KEYS = ("name", "settings", "schedule", "n_steps", "moments")

TARGETS = ("binary", "multiclass", "multilabel-indicator")
INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
LABEL_DTYPES = ("bool", *INTEGERS, "float16", "float32", "float64", "str", "object")
NON_FINITE = {"nan": nan, "inf": inf, "-inf": -inf}

SCHEDULES = {
    name: kind
    for name, kind in vars(schedules).items()
    if name in schedules.__all__ and kind is not Schedule
}
RUNS = {"constant": Constant, "invscaling": InvScaling, "adaptive": Adaptive}

# Limits of the format.
MOST_COUNT = 2**53  # of epochs, rows and steps: JSON's integers are exact up to there in any language
MOST_LEVELS = 16  # of lists and schedules within each other, in the value of a parameter
MOST_DEPTH = 64  # of brackets within each other
MOST_CHARACTERS = 2**24  # of labels as a fixed-width array: as many of the longest as there are labels
MANY_VALUES = 2**16  # arrays, objects and keys, from which each must stand for 8 bytes of the file

_shown = Repr()
_shown.maxstring = _shown.maxother = _shown.maxlong = 60


class ModelFormatError(ValueError):
    """Raised where a file is not a model in the JSON format; the message says at which place of it.

    Examples
    --------
    >>> import sklearn_mlp
    >>> try:
    ...     sklearn_mlp.from_json('{"format_version": 2}')
    ... except sklearn_mlp.ModelFormatError as error:
    ...     print(str(error)[:19])
    format_version: 2 i
    """


class JSONMixin:
    """To and from JSON, as a method of the estimators."""

    def to_json(self, *, history: bool = True) -> str:
        """Return the fitted model as JSON text.

        The page "Models as JSON" of the documentation specifies the format; ``model.schema.json``, a
        JSON Schema of it, is installed with the package. Numbers are the shortest decimals that are
        read back to the same bits of the model's dtype.

        What is held: parameters, layers, classes, names of features, and all that `partial_fit` and a
        warm start go on with. The optimizer's state is held while `partial_fit` is under way, as by
        pickle. Not held: callbacks, metadata requests, and attributes of one's own.

        Of a tabular estimator, the members are held so, and of its preprocessing the numbers that
        `predict` needs.

        Parameters
        ----------
        history : bool, default=True
            Whether to include `history_`; a model that is read without it has none.

        Returns
        -------
        text : str
            One JSON object. Only characters that are ASCII, but for labels and names that have others.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If a parameter is not valid or is something that JSON cannot hold (a function, a
            RandomState, a schedule class of one's own, a preprocessor), or a weight is not finite. The
            message names it.

        Examples
        --------
        >>> from sklearn_mlp import MLPClassifier
        >>> X, y = [[0.0], [1.0]], ["no", "yes"]
        >>> model = MLPClassifier((2,), solver="lbfgs", random_state=0).fit(X, y)
        >>> again = MLPClassifier.from_json(model.to_json())
        >>> again.predict([[0.9]])
        array(['yes'], dtype='<U3')
        """
        check_is_fitted(self)
        return _render(_document(self, history))

    def save_json(self, path: Path, *, history: bool = True) -> None:
        """Write the fitted model into a file, as `to_json` and a line break, in UTF-8.

        The file is replaced in one step: whatever happens meanwhile, it is the old one or the new one.
        A file that is there keeps its permissions. A process that is killed may leave a file with a
        name like ``.0123456789abcdef.tmp`` in the folder.

        Parameters
        ----------
        path : str or path-like
            The folder must exist, and allow new files.
        history : bool, default=True
            Whether to include `history_`.

        Raises
        ------
        NotFittedError, ValueError
            As `to_json`; also where `path` is there and no ordinary file.
        OSError
            If it cannot be written. The old file is left as it was.

        Examples
        --------
        >>> import tempfile
        >>> from sklearn_mlp import MLPClassifier
        >>> X, y = [[0.0], [1.0]], ["no", "yes"]
        >>> model = MLPClassifier((2,), solver="lbfgs", random_state=0).fit(X, y)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save_json(f"{folder}/model.json")
        ...     again = MLPClassifier.load_json(f"{folder}/model.json")
        >>> again.predict([[0.9]])
        array(['yes'], dtype='<U3')
        """
        text = self.to_json(history=history)
        with replacing(path) as file:
            file.write(text.encode())
            file.write(b"\n")

    @classmethod
    def load_json(cls, path: Path) -> Self:
        """Read a model from a file that `save_json` wrote.

        Safe for files that are not trusted: nothing in them is run, and memory is bounded by their
        size (five times that for a model of weights; at worst some twenty times, or 12 megabytes).

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        estimator : object
            Of this class. Its predictions are those of the model that was saved, to the bit.

        Raises
        ------
        ModelFormatError
            If the file is not a model of this class; the message says where.
        OSError
            If it cannot be read.

        Examples
        --------
        >>> import tempfile
        >>> from sklearn_mlp import MLPClassifier
        >>> X, y = [[0.0], [1.0]], ["no", "yes"]
        >>> model = MLPClassifier((2,), solver="lbfgs", random_state=0).fit(X, y)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save_json(f"{folder}/model.json")
        ...     again = MLPClassifier.load_json(f"{folder}/model.json")
        >>> again.predict([[0.9]])
        array(['yes'], dtype='<U3')
        """
        return _load(path, cls)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a model from what `to_json` returned.

        Parameters
        ----------
        text : str or bytes
            Bytes are UTF-8.

        Returns
        -------
        estimator : object
            Of this class.

        Raises
        ------
        ModelFormatError
            If the text is not a model of this class; the message says where.
        TypeError
            If `text` is neither str nor bytes.

        Examples
        --------
        >>> from sklearn_mlp import MLPClassifier
        >>> X, y = [[0.0], [1.0]], ["no", "yes"]
        >>> model = MLPClassifier((2,), solver="lbfgs", random_state=0).fit(X, y)
        >>> MLPClassifier.from_json(model.to_json()).predict([[0.9]])
        array(['yes'], dtype='<U3')
        """
        return _restore(_parse(_utf8(text)), cls)


def load_json(
    path: Path,
) -> MLPClassifier | MLPRegressor | TabularMLPClassifier | TabularMLPRegressor:
    """Read a model, whichever estimator it is, from a file that `save_json` wrote.

    Safe for files that are not trusted: nothing in them is run, and memory is bounded by their size
    (five times that for a model of weights; at worst some twenty times, or 12 megabytes).

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    estimator : MLPClassifier, MLPRegressor, TabularMLPClassifier or TabularMLPRegressor
        Its predictions are those of the model that was saved, to the bit.

    Raises
    ------
    ModelFormatError
        If the file is not a model; the message says where.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import os, tempfile
    >>> import sklearn_mlp
    >>> X, y = [[0.0], [1.0]], [1.0, 3.0]
    >>> model = sklearn_mlp.MLPRegressor(solver="lbfgs", random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "line.json")
    ...     model.save_json(path)
    ...     again = sklearn_mlp.load_json(path)
    >>> bool((again.predict(X) == model.predict(X)).all())
    True
    """
    return _load(path, None)


def from_json(
    text: str | bytes,
) -> MLPClassifier | MLPRegressor | TabularMLPClassifier | TabularMLPRegressor:
    """Read a model, whichever estimator it is, from what `to_json` returned.

    Parameters
    ----------
    text : str or bytes
        Bytes are UTF-8.

    Returns
    -------
    estimator : MLPClassifier, MLPRegressor, TabularMLPClassifier or TabularMLPRegressor

    Raises
    ------
    ModelFormatError
        If the text is not a model; the message says where.
    TypeError
        If `text` is neither str nor bytes.

    Examples
    --------
    >>> import sklearn_mlp
    >>> model = sklearn_mlp.MLPRegressor(hidden_layer_sizes=(), solver="lbfgs", random_state=0)
    >>> sklearn_mlp.from_json(model.fit([[0.0], [1.0]], [1.0, 3.0]).to_json())
    MLPRegressor(hidden_layer_sizes=(), random_state=0, solver='lbfgs')
    """
    return _restore(_parse(_utf8(text)), None)


def _utf8(text):
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str):
        raise TypeError(
            f"text must be str or bytes; got {type(text).__name__}. For a file use load_json."
        )
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ModelFormatError(f"character {error.start}: half of a surrogate pair") from None


def _load(path, cls):
    path = os.fsdecode(path)
    with open(path, "rb") as file:
        data = file.read()
    try:
        return _restore(_parse(data), cls)
    except ModelFormatError as error:
        raise ModelFormatError(f"{path}: {error}") from None


def _estimators():
    from sklearn_mlp._estimators import MLPClassifier, MLPRegressor
    from sklearn_mlp._tabular_estimators import TabularMLPClassifier, TabularMLPRegressor

    kinds = MLPClassifier, MLPRegressor, TabularMLPClassifier, TabularMLPRegressor
    return {kind.__name__: kind for kind in kinds}


def _is_tabular(kind):
    return kind.startswith("Tabular")


def _format_name(cls):
    """The name under which a class, maybe a user's, is written."""
    for name, base in _estimators().items():
        if issubclass(cls, base):
            if cls._get_param_names() != base._get_param_names():
                raise ValueError(
                    f"{cls.__name__} has other parameters than {name}, for which the JSON format has "
                    "no place; use joblib, or keep the network in an attribute."
                )
            return name
    raise TypeError(f"{cls.__name__} is none of {', '.join(_estimators())}.")


# Writing.


def _document(estimator, history):
    """All there is to write, as objects of JSON, arrays of numbers being ndarrays."""
    from sklearn_mlp import __version__
    from sklearn_mlp._tabular_json import write_tabular

    kind = _format_name(type(estimator))
    if _is_tabular(kind):
        return write_tabular(estimator, kind, history)
    state, network, loss = vars(estimator), estimator._network, estimator._loss
    names = state.get("feature_names_in_")
    report = state.get("history_") if history else None
    document = {
        "format_version": FORMAT_VERSION,
        "library_version": __version__,
        "estimator": kind,
        "parameters": _write_parameters(estimator, kind),
        "dtype": network.dtype.name,
        "layer_sizes": list(network.sizes),
        "feature_names": None if names is None else [str(name) for name in names],
        "loss": {"name": loss.name, "parameter": loss.parameter if LOSSES[loss.name][3] else None},
    }
    if kind == "MLPClassifier":
        document["classes"] = _write_classes(estimator.classes_, estimator._label_binarizer)
        _read_classes(document["classes"], loss)
    _read_names(document["feature_names"], network.sizes[0])
    return {
        **document,
        "training": _write_training(estimator),
        "history": None if report is None else _write_history(report),
        "layers": _write_layers(network),
        "optimizer": _write_optimizer(estimator),
    }


def _write_parameters(estimator, kind):
    """The parameters, made sure that they can be read again."""
    written = {
        name: _encode(value, f"parameters.{name}")
        for name, value in sorted(estimator.get_params(deep=False).items())
    }
    _read_parameters(written, _estimators()[kind])
    return written


def _encode(value, where, levels=MOST_LEVELS):
    """A parameter as JSON has it; `_decode` is the way back."""
    value = value.item() if isinstance(value, np.generic) else value
    value = value.tolist() if isinstance(value, np.ndarray) else value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return _encode_real(value, where)
    if levels == 0:
        raise ValueError(f"{where}: lists within each other more than {MOST_LEVELS} deep.")
    if isinstance(value, list | tuple):
        items = [_encode(item, f"{where}[{i}]", levels - 1) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, dict):
        items = value.items()
        return {"dict": [[_encode(item, where, levels - 1) for item in pair] for pair in items]}
    name = type(value).__name__
    if SCHEDULES.get(name) is type(value):
        parameters = sorted(value.get_params(deep=False).items())
        inner = {key: _encode(item, f"{where}.{key}", levels - 1) for key, item in parameters}
        return {"schedule": name, "parameters": inner}
    raise ValueError(
        f"{where}: JSON cannot hold {_shown.repr(value)}, of type {name}. It holds numbers, strings, "
        "lists, the schedules of sklearn_mlp.schedules, scorers and metrics by their names, and an "
        "integer or None as random_state: set the parameter to one of these, on a copy of the model if "
        "need be, or use joblib."
    )


def _encode_real(value, where):
    number = float(value)
    if isfinite(number) and number != value:
        raise ValueError(f"{where}: {value!r} is not a float; give the nearest, {number!r}.")
    return number if isfinite(number) else {"float": str(number)}


def _write_classes(classes, binarizer):
    kind = classes.dtype.kind
    dtype = {"U": "str", "O": "object"}.get(kind, classes.dtype.name)
    if dtype not in LABEL_DTYPES or (kind == "O" and not all(isinstance(c, str) for c in classes)):
        raise ValueError(
            f"classes_ of dtype {classes.dtype} cannot be written as JSON, which has labels that are "
            "integers, floats, booleans or strings; fit on such labels, or use joblib."
        )
    labels = [str(c) for c in classes] if kind in "UO" else classes.tolist()
    return {
        "target": binarizer.y_type_,
        "dtype": dtype,
        "labels": labels,
        "sparse": bool(binarizer.sparse_input_),
    }


def _write_training(estimator):
    scores = estimator.validation_scores_
    scored_by = vars(estimator).get("_scored_by")
    if scored_by is not None:
        scoring, split = scored_by
        by_name = scoring is None or isinstance(scoring, str)
        scored_by = {"scoring": scoring, "split": bool(split)} if by_name else None
    return {
        "n_iter": int(estimator.n_iter_),
        "t": int(estimator.t_),
        "loss": _write_real(estimator.loss_),
        "loss_curve": [_write_real(loss) for loss in estimator.loss_curve_],
        "best_loss": _write_real(estimator.best_loss_),
        "validation_scores": None if scores is None else [_write_real(score) for score in scores],
        "best_validation_score": _write_real(estimator.best_validation_score_),
        "no_improvement_count": int(estimator._no_improvement_count),
        "scored_by": scored_by,
    }


def _write_real(value):
    """A number, or None; "nan", "inf" or "-inf" for what JSON has no number for."""
    if value is None:
        return None
    value = float(value)
    return value if isfinite(value) else str(value)


def _write_history(report):
    return {
        "best_epoch": None if report.best_epoch is None else int(report.best_epoch),
        "stop_reason": report.stop_reason,
        "columns": list(report.columns),
        "rows": np.array([report[name] for name in report.columns]).reshape(-1, len(report)).T,
    }


def _write_layers(network):
    values = _write_values(network, "layers")
    return [
        {"activation": name, "negative_slope": float(slope), **arrays}
        for (name, slope), arrays in zip(network.activations, values, strict=True)
    ]


def _write_values(network, where):
    """Weights and intercepts of each layer; all must be finite."""
    parts = []
    for i, (weights, intercepts) in enumerate(zip(network.coefs, network.intercepts, strict=True)):
        parts.append({"weights": weights, "intercepts": intercepts})
        for name, array in parts[-1].items():
            n_bad = array.size - np.count_nonzero(np.isfinite(array))
            if n_bad:
                raise ValueError(
                    f"{where}[{i}].{name}: {n_bad} of {array.size} values are not finite, and JSON has "
                    "no numbers for them; fit again, on scaled data or with a lower learning rate."
                )
    return parts


def _write_optimizer(estimator):
    """The optimizer while partial_fit is under way, else None."""
    run = vars(estimator).get("_optimizer")
    if run is None or not vars(estimator).get("_in_partial_fit"):
        return None
    name = next(name for name, kind in SOLVERS.items() if kind is type(run.settings))
    settings = zip(SOLVERS[name].estimator_parameters, run.settings.__reduce__()[1], strict=True)
    return {
        "name": name,
        "settings": dict(settings),
        "schedule": _write_run(run.schedule),
        "n_steps": run.state.n_steps,
        "moments": [
            _write_values(_with_params(estimator._network, moment), f"optimizer.moments[{k}]")
            for k, moment in enumerate(run.state.moments)
        ],
    }


def _write_run(run):
    where = "optimizer.schedule"
    rates = {"initial": _encode(run.initial, f"{where}.initial"), "value": run.value}
    if isinstance(run, PerStep):
        schedule = _encode(run.schedule, f"{where}.schedule")
        return {"name": "per_step", **rates, "schedule": schedule, "epoch": run.epoch, "step": run.step}
    name = next(name for name, kind in RUNS.items() if kind is type(run))
    return {"name": name, **rates, "power_t": _encode(run.power_t, f"{where}.power_t")}


def _with_params(network, params):
    """A network like this one over another vector."""
    other = copy(network)
    other.params = params
    return other


def _render(value, level=0):
    """JSON text: sections and what holds arrays on several lines, a row of numbers on one."""
    if isinstance(value, np.ndarray):
        return _render_array(value, level)
    if isinstance(value, dict) and (level < 2 or _holds_arrays(value)):
        items = [f"{json.dumps(name)}: {_render(item, level + 1)}" for name, item in value.items()]
        return _on_lines(items, level, "{}")
    if _holds_arrays(value):
        return _on_lines([_render(item, level + 1) for item in value], level, "[]")
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _holds_arrays(value):
    """Whether it is an array of numbers, or an object or list with one in it."""
    if isinstance(value, dict | list):
        return any(map(_holds_arrays, value.values() if isinstance(value, dict) else value))
    return isinstance(value, np.ndarray)


def _on_lines(items, level, brackets):
    pad = "\n" + "  " * (level + 1)
    return brackets[0] + pad + f",{pad}".join(items) + "\n" + "  " * level + brackets[1]


def _render_array(array, level):
    if array.ndim == 1:
        return f"[{', '.join(_decimals(array))}]"
    n_rows, n_columns = array.shape
    if n_rows == 0:
        return "[]"
    rows = []
    at_once = max(1, 2**16 // n_columns)
    for first in range(0, n_rows, at_once):
        texts = _decimals(array[first : first + at_once].ravel())
        rows += [
            f"[{', '.join(texts[start : start + n_columns])}]"
            for start in range(0, len(texts), n_columns)
        ]
    return _on_lines(rows, level, "[]")


def _decimals(array):
    """The texts of numbers; those that are not finite as strings."""
    texts = decimals(array)
    return texts if np.isfinite(array).all() else [f'"{t}"' if t[-1] in "nf" else t for t in texts]


# Reading: the text.


def _parse(data):
    """The bytes of a file as objects of Python; numbers may be infinite, and a key None is a flaw."""
    if data.startswith(BOM_UTF8):
        raise ModelFormatError("byte 0: a byte order mark; write UTF-8 without one")
    _check_brackets(data)
    try:
        return json.loads(data.decode(), parse_int=_parse_int, object_pairs_hook=_object_of)
    except UnicodeDecodeError as error:
        raise ModelFormatError(f"byte {error.start}: not UTF-8") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise ModelFormatError(f"{place}: not JSON: {error.msg}") from None


_NO_STRUCTURE = bytes(set(range(256)) - set(b'[]{}:"'))


def _check_brackets(data):
    """Bound the depth of nesting, and with the number of values the memory that parsing takes."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = np.frombuffer(data.translate(None, _NO_STRUCTURE), np.uint8)
    marks = marks[np.cumsum(marks == ord('"'), dtype=np.int32) % 2 == 0]  # those outside of strings
    opening, closing = ((marks == ord(pair[0])) | (marks == ord(pair[1])) for pair in ("[{", "]}"))
    n_values = np.count_nonzero(opening) + np.count_nonzero(marks == ord(":"))
    if n_values > max(MANY_VALUES, len(data) // 8):
        raise ModelFormatError(
            f"the file: {n_values} arrays, objects and keys in {len(data)} bytes; a model has fewer"
        )
    depth = np.subtract(opening, closing, dtype=np.int8).cumsum(dtype=np.int32).max(initial=0)
    if depth > MOST_DEPTH:
        raise ModelFormatError(f"the file: nested {depth} deep; a model is at most {MOST_DEPTH}")


def _parse_int(digits):
    """Long ones as floats: int() takes a time that is quadratic in their number, or refuses."""
    return int(digits) if len(digits) <= 20 else float(digits)


def _object_of(pairs):
    """A dict; a key that occurs twice is kept under None, for `_object` to tell where."""
    found = dict(pairs)
    if len(found) != len(pairs):
        seen = set()
        found[None] = next(name for name, _ in pairs if name in seen or seen.add(name))
    return found


# Reading: values, each with its place in the file.


def _shortened(error):
    """Its message, which may hold a value of any length."""
    return shorten(str(error)[:1000], 500)


def _fail(where, what):
    raise ModelFormatError(f"{where}: {what}")


def _object(value, where, names, optional=()):
    """Check that it is an object with these keys and no others."""
    if type(value) is not dict:
        _fail(where, f"expected an object, got {_shown.repr(value)}")
    if None in value:
        _fail(where, f"the key {_shown.repr(value[None])} occurs twice")
    for name in names:
        if name not in value and name not in optional:
            _fail(where, f"the key {name!r} is missing")
    for name in value:
        if name not in names:
            _fail(where, f"there is a key {_shown.repr(name)}, which is not of the format")
    return value


def _array(value, where, length=None, of="items"):
    if type(value) is not list:
        _fail(where, f"expected an array, got {_shown.repr(value)}")
    if length is not None and len(value) != length:
        _fail(where, f"{len(value)} {of}, expected {length}")
    return value


def _integer(value, where, least=0, most=MOST_COUNT):
    if type(value) is not int or not least <= value <= most:
        _fail(where, f"expected an integer from {least} to {most}, got {_shown.repr(value)}")
    return value


def _number(value, where):
    if type(value) not in (int, float) or not isfinite(value):
        _fail(where, f"expected a finite number, got {_shown.repr(value)}")
    return value


def _real(value, where):
    """A number that need not be finite, as `_write_real` writes it."""
    if type(value) is str and value in NON_FINITE:
        return NON_FINITE[value]
    if type(value) is str:
        _fail(where, f"expected a number, 'nan', 'inf' or '-inf', got {_shown.repr(value)}")
    return float(_number(value, where))


def _reals(value, where):
    return [_real(item, f"{where}[{i}]") for i, item in enumerate(_array(value, where))]


def _optional(read, value, where):
    return None if value is None else read(value, where)


def _boolean(value, where):
    if type(value) is not bool:
        _fail(where, f"expected true or false, got {_shown.repr(value)}")
    return value


def _string(value, where):
    if type(value) is not str:
        _fail(where, f"expected a string, got {_shown.repr(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        _fail(where, f"half of a surrogate pair in {_shown.repr(value)}")
    return value


def _one_of(value, where, allowed):
    if type(value) is not str or value not in allowed:
        _fail(where, f"expected one of {', '.join(map(repr, allowed))}, got {_shown.repr(value)}")
    return value


# Reading: sections.


def _restore(document, cls):
    """The estimator that a parsed file holds; it must be a `cls` unless that is None."""
    from sklearn_mlp._tabular_json import read_tabular

    kind = _read_kind(document, cls)
    if _is_tabular(kind):
        return read_tabular(document, kind, cls)
    keys = (*KEYS, "classes") if kind == "MLPClassifier" else KEYS
    _object(document, "the file", keys)
    _string(document["library_version"], "library_version")
    estimator = _read_parameters(document["parameters"], cls or _estimators()[kind])
    sizes = _read_sizes(document["layer_sizes"])
    dtype = _one_of(document["dtype"], "dtype", ("float32", "float64"))
    names = _read_names(document["feature_names"], sizes[0])
    loss = _read_loss(document["loss"], kind, sizes[-1])
    state = {}
    if kind == "MLPClassifier":
        state["classes_"], state["_label_binarizer"] = _read_classes(document["classes"], loss)
    record, state["_scored_by"] = _read_training(document["training"])
    network = _read_layers(document["layers"], sizes, dtype, loss)
    if names is not None:
        state["feature_names_in_"] = names
    if document["history"] is not None:
        state["history_"] = _read_history(document["history"])
    if document["optimizer"] is not None:
        state["_optimizer"] = _read_optimizer(document["optimizer"], network)
    vars(estimator).update(
        **estimator._fitted_attributes(network, loss, record),
        **state,
        n_features_in_=sizes[0],
        _in_partial_fit="_optimizer" in state,
        _no_improvement_count=record.no_improvement_count,
    )
    return estimator


def _read_kind(document, cls):
    if type(document) is not dict or "format_version" not in document:
        _fail("the file", "it is not a model: there is no 'format_version'")
    version = document["format_version"]
    if type(version) is not int or version != FORMAT_VERSION:
        newer = type(version) is int and version > FORMAT_VERSION
        advice = f"; it was written by sklearn-mlp {_shown.repr(document.get('library_version'))}"
        _fail(
            "format_version",
            f"{_shown.repr(version)} is not a version that can be read, which is {FORMAT_VERSION}"
            + (advice if newer else ""),
        )
    kind = _one_of(document.get("estimator"), "estimator", tuple(_estimators()))
    if cls is not None and kind != _format_name(cls):
        _fail("estimator", f"{_a(kind)}, not {_a(cls.__name__)}; sklearn_mlp.load_json reads either")
    return kind


def _a(name):
    return f"an {name}" if name.startswith("MLP") else f"a {name}"


def _read_parameters(value, cls):
    """An estimator with these parameters, which are checked as in `fit`."""
    where = "parameters"
    names = cls._get_param_names()
    _object(value, where, names, optional=LATER_PARAMETERS)
    parameters = {}
    for name, item in value.items():
        parameters[name] = _decode(item, f"{where}.{name}", TAGS | OWN_TAGS.get(name, set()))
        if type(item) is bool and not _takes_booleans(cls._parameter_constraints[name]):
            _fail(f"{where}.{name}", f"{item} is not one of its values")
    try:
        estimator = cls(**parameters)
        estimator._validate_params()
    except (TypeError, ValueError) as error:
        _fail(where, _shortened(error))
    return estimator


def _takes_booleans(constraints):
    """Whether they ask for a boolean; others let one pass for a number."""
    return any(isinstance(one, str) and one in ("boolean", "verbose") for one in constraints)


# Keys of objects that stand for values which JSON has no type for: in any parameter, and in one alone.
TAGS = {"tuple", "float"}
OWN_TAGS = {"class_weight": {"dict"}, "learning_rate": {"schedule"}}


def _decode(value, where, tags, levels=MOST_LEVELS):
    """The value of a parameter, in which objects with one of these tags may occur."""
    if value is None or type(value) is bool:
        return value
    if type(value) is str:
        return _string(value, where)
    if type(value) is int:
        return _integer(value, where, -(2**63), 2**64 - 1)
    if type(value) is float:
        return _number(value, where)
    if levels == 0:
        _fail(where, f"lists within each other more than {MOST_LEVELS} deep")
    if type(value) is list:
        inner = tags if levels == MOST_LEVELS else TAGS  # a dict for each label, and no further down
        return [_decode(item, f"{where}[{i}]", inner, levels - 1) for i, item in enumerate(value)]
    tag = next((tag for tag in value if tag in tags), None)
    if tag is None:
        _fail(where, f"not the value of a parameter: {_shown.repr(value)}")
    if tag == "schedule":
        return _decode_schedule(value, where, levels)
    _object(value, where, (tag,))
    if tag == "float":
        return NON_FINITE[_one_of(value["float"], f"{where}.float", NON_FINITE)]
    items = _array(value[tag], f"{where}.{tag}")
    if tag == "dict":
        return _decode_dict(items, f"{where}.dict", levels)
    return tuple(_decode(items, f"{where}.tuple", tags, levels))


def _decode_dict(pairs, where, levels):
    found = {}
    for i, pair in enumerate(pairs):
        key, value = _array(pair, f"{where}[{i}]", 2)
        if type(key) not in (str, int, float, bool):
            _fail(f"{where}[{i}][0]", f"not the key of a dict: {_shown.repr(key)}")
        key = _decode(key, f"{where}[{i}][0]", TAGS)
        if key in found:
            _fail(f"{where}[{i}][0]", f"the key {_shown.repr(key)} occurs twice")
        found[key] = _decode(value, f"{where}[{i}][1]", TAGS, levels - 1)
    return found


def _decode_schedule(value, where, levels):
    _object(value, where, ("schedule", "parameters"))
    kind = SCHEDULES[_one_of(value["schedule"], f"{where}.schedule", SCHEDULES)]
    inner = _object(value["parameters"], f"{where}.parameters", kind._get_param_names())
    for name, item in inner.items():
        if type(item) is bool:
            _fail(f"{where}.parameters.{name}", f"{item} is not one of its values")
    schedule = kind(
        **{
            name: _decode(item, f"{where}.parameters.{name}", {"schedule"}, levels - 1)
            for name, item in inner.items()
        }
    )
    try:
        schedule.validate()
    except (TypeError, ValueError) as error:
        _fail(where, _shortened(error))
    return schedule


def _read_sizes(value):
    where = "layer_sizes"
    sizes = _array(value, where)
    if len(sizes) < 2:
        _fail(where, f"{len(sizes)} items, expected 2 or more")
    return [_integer(size, f"{where}[{i}]", 1, MAX_UNITS) for i, size in enumerate(sizes)]


def _read_names(value, n_features):
    where = "feature_names"
    if value is None:
        return None
    names = [_string(name, f"{where}[{i}]") for i, name in enumerate(_array(value, where, n_features))]
    return np.array(names, dtype=object)


def _read_loss(value, kind, n_outputs):
    _object(value, "loss", ("name", "parameter"))
    of_classes = kind == "MLPClassifier"
    names = [name for name, row in LOSSES.items() if row[2] == of_classes]
    name = _one_of(value["name"], "loss.name", names)
    has_parameter = LOSSES[name][3] is not None
    if has_parameter == (value["parameter"] is None):
        expected = "a number" if has_parameter else "null"
        _fail("loss.parameter", f"expected {expected}, got {_shown.repr(value['parameter'])}")
    parameter = _optional(_number, value["parameter"], "loss.parameter")
    try:
        return Loss(name, n_outputs, parameter)
    except ValueError as error:
        return _fail("loss.parameter", str(error))


def _read_classes(value, loss):
    """The classes and the binarizer that `fit` would have made."""
    _object(value, "classes", CLASSES_KEYS)
    binarizer = LabelBinarizer()
    binarizer.y_type_ = _one_of(value["target"], "classes.target", TARGETS)
    binarizer.sparse_input_ = _boolean(value["sparse"], "classes.sparse")
    binarizer.classes_ = classes = _read_labels(value)
    multiclass, binary = binarizer.y_type_ == "multiclass", binarizer.y_type_ == "binary"
    if binarizer.sparse_input_ and (multiclass or binary):
        _fail("classes.sparse", "true, which is for label indicators alone")
    if multiclass != (loss.name == "log_loss"):
        _fail("loss.name", f"{loss.name!r} is not the loss of a {binarizer.y_type_} target")
    n_outputs = 1 if binary else classes.size
    if loss.n_outputs != n_outputs or not (1 if binary else 2) <= classes.size <= (
        2 if binary else inf
    ):
        _fail(
            "classes.labels",
            f"{classes.size} labels of a {binarizer.y_type_} target for {loss.n_outputs} outputs",
        )
    if not (multiclass or binary) and value["labels"] != list(range(classes.size)):
        _fail("classes.labels", "label indicators have the numbers of their columns, from 0")
    return classes, binarizer


def _read_labels(value):
    where = "classes.labels"
    dtype = _one_of(value["dtype"], "classes.dtype", LABEL_DTYPES)
    labels = _array(value["labels"], where)
    read = {"b": _boolean, "s": _string, "o": _string, "f": _number}.get(dtype[0], _whole)
    for i, label in enumerate(labels):
        read(label, f"{where}[{i}]")
    if dtype == "str" and len(labels) * max(map(len, labels), default=0) > MOST_CHARACTERS:
        _fail(where, f"more than {MOST_CHARACTERS} characters as an array of fixed width; use 'object'")
    with np.errstate(over="ignore", under="ignore"):
        try:
            classes = np.array(labels, dtype=dtype)
        except OverflowError:
            classes = np.array([])
    if classes.tolist() != labels:
        _fail(where, f"not all are {dtype}")
    for i, (one, other) in enumerate(pairwise(labels)):
        if not one < other:
            _fail(f"{where}[{i + 1}]", "labels must be in ascending order, each of them once")
    return classes


def _whole(value, where):
    return _integer(value, where, -(2**63), 2**64 - 1)


def _read_training(value):
    """The record of the training, and what it was scored by."""
    where = "training"
    _object(value, where, TRAINING_KEYS)
    scores = _optional(_reals, value["validation_scores"], f"{where}.validation_scores")
    best = _optional(_real, value["best_validation_score"], f"{where}.best_validation_score")
    if (scores is None) != (best is None):
        _fail(f"{where}.best_validation_score", "null goes with validation_scores of null")
    record = Record(
        t=_integer(value["t"], f"{where}.t"),
        n_iter=_integer(value["n_iter"], f"{where}.n_iter"),
        loss=_real(value["loss"], f"{where}.loss"),
        loss_curve=_reals(value["loss_curve"], f"{where}.loss_curve"),
        best_loss=_optional(_real, value["best_loss"], f"{where}.best_loss"),
        validation_scores=scores,
        best_validation_score=best,
        no_improvement_count=_integer(value["no_improvement_count"], f"{where}.no_improvement_count"),
    )
    return record, _optional(_read_scored_by, value["scored_by"], f"{where}.scored_by")


def _read_scored_by(value, where):
    _object(value, where, ("scoring", "split"))
    scoring = _optional(_string, value["scoring"], f"{where}.scoring")
    return scoring, _boolean(value["split"], f"{where}.split")


def _read_history(value):
    where = "history"
    _object(value, where, HISTORY_KEYS)
    columns = _array(value["columns"], f"{where}.columns")
    names = {_string(name, f"{where}.columns[{i}]") for i, name in enumerate(columns)}
    if len(names) != len(columns):
        _fail(f"{where}.columns", "a name occurs twice")
    rows = _array(value["rows"], f"{where}.rows")
    if bool(rows) != bool(columns):
        _fail(f"{where}.rows", f"{len(rows)} rows of {len(columns)} columns")
    if rows and "seconds" not in names:
        _fail(f"{where}.columns", "there is no 'seconds'")
    report = FitReport()
    for i, row in enumerate(rows):
        _array(row, f"{where}.rows[{i}]", len(columns), "numbers")
        report.append(dict(zip(columns, _reals(row, f"{where}.rows[{i}]"), strict=True)))
    report.stop_reason = _optional(_string, value["stop_reason"], f"{where}.stop_reason")
    if value["best_epoch"] is not None:
        report.best_epoch = _integer(value["best_epoch"], f"{where}.best_epoch", most=len(rows) - 1)
    return report


def _read_layers(value, sizes, dtype, loss):
    """The network. It is made only when the file is known to have all of its numbers."""
    layers = _array(value, "layers", len(sizes) - 1)
    activations = []
    for i, layer in enumerate(layers):
        _object(layer, f"layers[{i}]", LAYER_KEYS)
        activations.append(_read_activation(layer, f"layers[{i}]"))
    if loss.link != "identity" and activations[-1][0] != "identity":
        _fail(f"layers[{len(layers) - 1}].activation", f"must be 'identity' with loss {loss.name!r}")
    _check_shapes(layers, sizes, "layers")
    network = Network(sizes, activations, dtype)
    _fill(network, layers, "layers")
    return network


def _read_activation(layer, where):
    name = _one_of(layer["activation"], f"{where}.activation", tuple(ACTIVATIONS))
    slope = _number(layer["negative_slope"], f"{where}.negative_slope")
    if not (0 <= slope < 1 if name == "leaky_relu" else slope == 0):
        allowed = "a number in [0, 1)" if name == "leaky_relu" else "0"
        _fail(f"{where}.negative_slope", f"expected {allowed} for {name!r}, got {slope!r}")
    return name, abs(float(slope))


def _check_shapes(layers, sizes, where):
    for i, (layer, (n_in, n_out)) in enumerate(zip(layers, pairwise(sizes), strict=True)):
        rows = _array(layer["weights"], f"{where}[{i}].weights", n_in, "rows")
        for j, row in enumerate(rows):
            if type(row) is not list or len(row) != n_out:
                _array(row, f"{where}[{i}].weights[{j}]", n_out, "numbers")
        _array(layer["intercepts"], f"{where}[{i}].intercepts", n_out, "numbers")


def _fill(network, layers, where):
    """Write the numbers of the layers into the parameters of a network."""
    for i, (layer, weights, intercepts) in enumerate(
        zip(layers, network.coefs, network.intercepts, strict=True)
    ):
        _fill_array(weights, layer["weights"], f"{where}[{i}].weights")
        _fill_array(intercepts[None], [layer["intercepts"]], f"{where}[{i}].intercepts")


def _fill_array(target, rows, where):
    if {int, float}.issuperset(map(type, chain.from_iterable(rows))):
        values = np.fromiter(chain.from_iterable(rows), np.float64, target.size)
        with np.errstate(over="ignore", under="ignore"):
            target[:] = values.reshape(target.shape)
        if np.isfinite(target).all():
            return
    for j, row in enumerate(rows):
        for k, value in enumerate(row):
            place = f"{where}[{k}]" if where.endswith("intercepts") else f"{where}[{j}][{k}]"
            _number(value, place)
            with np.errstate(over="ignore", under="ignore"):
                if not np.isfinite(target.dtype.type(value)):
                    _fail(place, f"{value!r} is too large for {target.dtype}")


def _read_optimizer(value, network):
    where = "optimizer"
    _object(value, where, OPTIMIZER_KEYS)
    kind = SOLVERS[_one_of(value["name"], f"{where}.name", tuple(SOLVERS))]
    settings = _read_settings(value["settings"], kind, f"{where}.settings")
    schedule = _read_run(value["schedule"], f"{where}.schedule")
    n_steps = _integer(value["n_steps"], f"{where}.n_steps")
    moments = _array(value["moments"], f"{where}.moments", kind.n_moments)
    for k, layers in enumerate(moments):
        place = f"{where}.moments[{k}]"
        for i, layer in enumerate(_array(layers, place, len(network.sizes) - 1)):
            _object(layer, f"{place}[{i}]", ("weights", "intercepts"))
        _check_shapes(layers, network.sizes, place)
    state = settings.init(network.params)
    for k, layers in enumerate(moments):
        _fill(_with_params(network, state.moments[k]), layers, f"{where}.moments[{k}]")
    return OptimizerRun(settings, OptimizerState(state.moments, n_steps), schedule)


def _read_settings(value, kind, where):
    """The optimizer, without its state."""
    _object(value, where, tuple(kind.estimator_parameters))
    read = {name: _boolean if name == "nesterov" else _number for name in value}
    settings = {name: read[name](item, f"{where}.{name}") for name, item in value.items()}
    try:
        return kind(**settings)
    except ValueError as error:
        return _fail(where, str(error))


def _read_run(value, where):
    """A schedule that partial_fit is under way with."""
    named = type(value) is dict and value.get("name") == "per_step"
    own = ("schedule", "epoch", "step") if named else ("power_t",)
    _object(value, where, ("name", "initial", "value", *own))
    initial = _number(value["initial"], f"{where}.initial")
    if not 0 < initial < LEARNING_RATE_LIMIT:
        _fail(f"{where}.initial", f"a learning rate of {initial}")
    if named:
        schedule = _decode(value["schedule"], f"{where}.schedule", {"schedule"})
        if not isinstance(schedule, Schedule) or schedule.needs_horizon:
            _fail(f"{where}.schedule", "not a schedule for partial_fit")
        run = PerStep(initial, schedule, None)
        run.epoch = _integer(value["epoch"], f"{where}.epoch")
        run.step = _integer(value["step"], f"{where}.step")
    else:
        kind = RUNS[_one_of(value["name"], f"{where}.name", (*RUNS, "per_step"))]
        power_t = _number(value["power_t"], f"{where}.power_t")
        if power_t < 0:
            _fail(f"{where}.power_t", f"expected a number >= 0, got {power_t}")
        run = kind(initial, power_t)
    run.value = float(_number(value["value"], f"{where}.value"))
    if not 0 <= run.value <= LEARNING_RATE_LIMIT:
        _fail(f"{where}.value", f"a learning rate of {run.value}")
    return run
