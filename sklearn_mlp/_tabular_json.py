"""Tabular estimators as JSON: the numbers of the fitted preprocessing, and the members as models.

The preprocessing is written and read by its parts. Each kind of transformer has a row in ``RECORDS``
with what it says of a fitted one and how one is made of that; a file cannot name any other. What is
held is what `transform` needs. Attributes that only scikit-learn knows are left to it: its parts are
fitted on a few rows, and then given the numbers.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler, TargetEncoder

from sklearn_mlp._columns import PARTS, CategoryEncoder, Converted, DateEncoder
from sklearn_mlp._numeric import PiecewiseLinearEncoder, RobustSmoothScaler
from sklearn_mlp._serialize import (
    FORMAT_VERSION,
    ModelFormatError,
    _array,
    _boolean,
    _document,
    _estimators,
    _fail,
    _integer,
    _number,
    _object,
    _one_of,
    _read_parameters,
    _restore,
    _shown,
    _string,
    _write_parameters,
)
from sklearn_mlp._tabular_onnx import parts_of

KEYS = (
    "format_version",
    "library_version",
    "estimator",
    "parameters",
    "columns",
    "preprocessor",
    "members",
)
TARGETS_KEYS = ("mean", "scale", "range", "one_dimensional")

DTYPES = ("float32", "float64")
ENCODED_TARGETS = ("continuous", "binary", "multiclass")
STRATEGIES = ("mean", "median", "most_frequent")

ALLOWED = (
    "JSON holds the preprocessing that preprocessor='auto' makes, or none. Transform the rows first "
    "and fit with preprocessor=None, or use joblib."
)


def write_tabular(estimator, kind, history):
    """A fitted tabular estimator as objects of JSON, arrays of numbers being ndarrays."""
    from sklearn_mlp import __version__

    chosen = estimator.preprocessor
    if not (chosen is None or isinstance(chosen, str)):
        raise ValueError(f"parameters.preprocessor: it is a {type(chosen).__name__}. {ALLOWED}")
    names, fitted = vars(estimator).get("feature_names_in_"), estimator.preprocessor_
    context = Context(getattr(estimator, "classes_", None))
    document = {
        "format_version": FORMAT_VERSION,
        "library_version": __version__,
        "estimator": kind,
        "parameters": _write_parameters(estimator, kind),
        "columns": [None] * estimator.n_features_in_ if names is None else [str(n) for n in names],
    }
    _read_columns(document["columns"])
    if kind == "TabularMLPRegressor":
        document["targets"] = {
            "mean": estimator.target_mean_,
            "scale": estimator.target_scale_,
            "range": estimator.target_range_,
            "one_dimensional": estimator._one_output,
        }
    return {
        **document,
        "preprocessor": None if fitted is None else context.write(fitted, "preprocessor"),
        "members": [_write_member(i, m, history) for i, m in enumerate(estimator.members_)],
    }


def _write_member(i, member, history):
    try:
        return _document(member, history)
    except ValueError as error:
        raise ValueError(f"members[{i}]: {error}") from None


def read_tabular(document, kind, cls):
    """The tabular estimator that a parsed file holds."""
    of_classes = kind == "TabularMLPClassifier"
    _object(document, "the file", KEYS if of_classes else (*KEYS, "targets"))
    _string(document["library_version"], "library_version")
    estimator = _read_parameters(document["parameters"], cls or _estimators()[kind])
    names = _read_columns(document["columns"])
    members = _read_members(document["members"], estimator._member)
    state = {"n_features_in_": len(document["columns"]), "members_": members, "preprocessor_": None}
    if names is not None:
        state["feature_names_in_"] = names
    if of_classes:
        state["classes_"] = members[0].classes_
        state["_multilabel"] = members[0]._label_binarizer.y_type_ == "multilabel-indicator"
    else:
        state.update(_read_targets(document["targets"], members[0].n_outputs_))
    width = state["n_features_in_"]
    if document["preprocessor"] is not None:
        context = Context(state.get("classes_"))
        state["preprocessor_"], width = context.read(
            document["preprocessor"], "preprocessor", width, names
        )
    if width != members[0].n_features_in_:
        _fail("preprocessor", f"it makes {width} columns for members of {members[0].n_features_in_}")
    vars(estimator).update(state)
    return estimator


def _read_columns(value):
    """The names of the columns, or None; an item per column, all of them null, or all strings."""
    if all(name is None for name in _some(value, "columns")):
        return None
    return np.array([_string(name, f"columns[{i}]") for i, name in enumerate(value)], dtype=object)


def _read_members(value, cls):
    members = []
    for i, item in enumerate(_some(value, "members")):
        try:
            members.append(_restore(item, cls))
        except ModelFormatError as error:
            raise ModelFormatError(f"members[{i}]: {error}") from None
    first = _shape_of(members[0])
    for i, member in enumerate(members):
        if _shape_of(member) != first:
            _fail(f"members[{i}]", "it has other inputs, outputs or classes than members[0]")
    return members


def _shape_of(member):
    """What members must agree in."""
    binarizer = vars(member).get("_label_binarizer")
    classes = None
    if binarizer is not None:
        classes = binarizer.y_type_, member.classes_.dtype, member.classes_.tolist()
    return member.n_features_in_, member.n_outputs_, classes


def _read_targets(value, n_outputs):
    where = "targets"
    _object(value, where, TARGETS_KEYS)
    mean = _numbers(value["mean"], f"{where}.mean", n_outputs)
    scale = _numbers(value["scale"], f"{where}.scale", n_outputs)
    if not (scale > 0).all():
        _fail(f"{where}.scale", "expected numbers > 0")
    least, largest = (
        _numbers(row, f"{where}.range[{i}]", n_outputs)
        for i, row in enumerate(_array(value["range"], f"{where}.range", 2))
    )
    if not (least <= largest).all():
        _fail(f"{where}.range", "a least target is above the largest")
    one = _boolean(value["one_dimensional"], f"{where}.one_dimensional")
    if one and n_outputs != 1:
        _fail(f"{where}.one_dimensional", f"true, with {n_outputs} outputs")
    return {
        "target_mean_": mean,
        "target_scale_": scale,
        "target_range_": np.array([least, largest]),
        "_one_output": one,
    }


def _numbers(value, where, length=None, dtype="float64"):
    items = _array(value, where, length, "numbers")
    for i, item in enumerate(items):
        _number(item, f"{where}[{i}]")
    with np.errstate(over="ignore", under="ignore"):
        numbers = np.array(items, dtype=np.float64).astype(dtype)
    if not np.isfinite(numbers).all():
        _fail(where, f"a number is too large for {dtype}")
    return numbers


# The preprocessing. A function to write takes a context, a transformer and the place. One to read takes
# a context, an object of JSON, the place, the number of columns that come in and their names or None,
# and returns the transformer and the number of columns that come out.


class Context(NamedTuple):
    """What transformers are written and read with."""

    classes: np.ndarray | None  # of the estimator; None for a regressor

    def write(self, transformer, where):
        name = type(transformer).__name__
        record = RECORDS.get(name)
        if record is None or record.cls is not type(transformer):
            raise ValueError(f"{where}: it has a {name}. {ALLOWED}")
        written = record.write(self, transformer, where)
        for key, array in written.items():
            if isinstance(array, np.ndarray) and not np.isfinite(array).all():
                raise ValueError(f"{where}.{key}: not all numbers are finite. {ALLOWED}")
        return {"kind": name, **written}

    def read(self, value, where, n_columns, names):
        """The transformer and the number of columns it makes."""
        kind = value.get("kind") if type(value) is dict else _fail(where, "expected an object")
        record = RECORDS[_one_of(kind, f"{where}.kind", tuple(RECORDS))]
        _object(value, where, ("kind", *record.keys))
        transformer, width = record.read(self, value, where, n_columns, names)
        if record.cls is not Pipeline:  # which asks its first step
            transformer.n_features_in_ = n_columns
            if names is not None:
                transformer.feature_names_in_ = names
        return transformer, width


def _write_pipeline(context, pipeline, where):
    return {
        "steps": [
            {"name": name, "transformer": context.write(step, f"{where}.steps[{i}]")}
            for i, (name, step) in enumerate(pipeline.steps)
        ]
    }


def _read_pipeline(context, value, where, n_columns, names):
    steps = {}
    for i, step in enumerate(_some(value["steps"], f"{where}.steps")):
        place = f"{where}.steps[{i}]"
        _object(step, place, ("name", "transformer"))
        name = _read_name(step["name"], f"{place}.name", steps, Pipeline)
        steps[name], n_columns = context.read(
            step["transformer"], f"{place}.transformer", n_columns, names
        )
        names = None
    return Pipeline(list(steps.items())), n_columns


def _some(value, where):
    if not _array(value, where):
        _fail(where, "there are none")
    return value


def _read_name(value, where, others, cls):
    """The name of a part, as scikit-learn allows them."""
    if _string(value, where) in others:
        _fail(where, f"the name {_shown.repr(value)} occurs twice")
    if "__" in value or value in cls._get_param_names():
        _fail(where, f"{_shown.repr(value)} is not the name of a part")
    return value


def _write_columns(context, columns, where):
    if columns.transformer_weights or columns.remainder != "drop":
        raise ValueError(f"{where}: it has transformer_weights or a remainder. {ALLOWED}")
    return {
        "parts": [
            {
                "name": name,
                "columns": [int(place) for place in places],
                "transformer": context.write(transformer, f"{where}.{name}"),
            }
            for name, transformer, places in parts_of(columns)
        ]
    }


def _read_parts(context, value, where, n_columns, names):
    parts, outputs, first = [], {}, 0
    for i, part in enumerate(_some(value["parts"], f"{where}.parts")):
        place = f"{where}.parts[{i}]"
        _object(part, place, ("name", "columns", "transformer"))
        name = _read_name(part["name"], f"{place}.name", outputs, ColumnTransformer)
        places = _some(part["columns"], f"{place}.columns")
        for j, column in enumerate(places):
            _integer(column, f"{place}.columns[{j}]", 0, n_columns - 1)
        transformer, width = context.read(
            part["transformer"],
            f"{place}.transformer",
            len(places),
            None if names is None else names[places],
        )
        parts.append((name, transformer, places))
        outputs[name] = slice(first, first + width)
        first += width
    return _fitted_columns(parts, outputs, n_columns, names), first


def _fitted_columns(parts, outputs, n_columns, names):
    columns = ColumnTransformer(
        [(name, "passthrough", places) for name, _, places in parts], sparse_threshold=0
    ).fit(np.zeros((1, n_columns)))
    rest = columns.transformers_[len(parts) :]
    if names is not None:
        parts = [(name, transformer, names[places].tolist()) for name, transformer, places in parts]
    columns.transformers, columns.transformers_ = parts, [*parts, *rest]
    columns._columns = [part[2] for part in parts]
    columns.output_indices_ = outputs | {"remainder": slice(0, 0)}
    return columns


def _write_scaler(context, scaler, where):
    return {"dtype": scaler.dtype, "center": scaler.center_, "scale": scaler.scale_}


def _read_scaler(context, value, where, n_columns, names):
    scaler = RobustSmoothScaler(_read_dtype(value["dtype"], f"{where}.dtype", optional=True))
    scaler.center_ = _numbers(value["center"], f"{where}.center", n_columns)
    scaler.scale_ = _numbers(value["scale"], f"{where}.scale", n_columns)
    return scaler, n_columns


def _read_dtype(value, where, optional=False):
    return None if optional and value is None else _one_of(value, where, DTYPES)


def _write_standard(context, scaler, where):
    return {
        "mean": scaler.mean_ if scaler.with_mean else None,
        "scale": scaler.scale_ if scaler.with_std else None,
    }


def _read_standard(context, value, where, n_columns, names):
    mean, scale = (
        None if value[name] is None else _numbers(value[name], f"{where}.{name}", n_columns)
        for name in ("mean", "scale")
    )
    if scale is not None and not (scale != 0).all():
        _fail(f"{where}.scale", "a number is 0")
    scaler = StandardScaler(with_mean=mean is not None, with_std=scale is not None)
    scaler.mean_, scaler.scale_ = mean, scale
    return scaler, n_columns


def _write_bins(context, encoder, where):
    edges = [np.empty(0) if np.isnan(e).any() else e for e in encoder.bin_edges_]
    return {"dtype": encoder.dtype, "edges": edges}


def _read_bins(context, value, where, n_columns, names):
    encoder = PiecewiseLinearEncoder(dtype=_read_dtype(value["dtype"], f"{where}.dtype", optional=True))
    encoder.bin_edges_ = []
    for j, item in enumerate(_array(value["edges"], f"{where}.edges", n_columns)):
        edges = _numbers(item, f"{where}.edges[{j}]")
        if len(edges) == 1 or not (edges[1:] > edges[:-1]).all():
            _fail(f"{where}.edges[{j}]", "expected none, or two or more numbers in ascending order")
        encoder.bin_edges_.append(edges if len(edges) else np.full(2, np.nan))
    encoder.n_bins_ = np.array([len(edges) - 1 for edges in encoder.bin_edges_], dtype=np.intp)
    return encoder, int(encoder.n_bins_.sum())


def _write_converted(context, converted, where):
    return {"to": converted.to}


def _read_converted(context, value, where, n_columns, names):
    return Converted(_one_of(value["to"], f"{where}.to", ("numbers", "levels"))), n_columns


def _write_categories(context, encoder, where):
    levels = []
    for j, (known, rare) in enumerate(zip(encoder.levels_, encoder._rare, strict=True)):
        frequent, place = [level for level in known if level is not None], f"{where}.levels[{j}]"
        levels.append({"frequent": _strings(frequent, place), "rare": _strings(rare, place)})
    return {"dtype": encoder.dtype, "levels": levels}


def _read_categories(context, value, where, n_columns, names):
    encoder = CategoryEncoder(dtype=_read_dtype(value["dtype"], f"{where}.dtype"))
    encoder.levels_, encoder._rare = [], []
    for j, item in enumerate(_array(value["levels"], f"{where}.levels", n_columns)):
        place = f"{where}.levels[{j}]"
        _object(item, place, ("frequent", "rare"))
        frequent, rare = (_strings(item[name], f"{place}.{name}") for name in ("frequent", "rare"))
        if len({*frequent, *rare}) < len(frequent) + len(rare):
            _fail(place, "a level occurs twice")
        encoder.levels_.append([*frequent, None] if rare else frequent)
        encoder._rare.append(rare)
    return encoder, sum(map(encoder._width, encoder.levels_))


def _strings(value, where):
    return [_string(item, f"{where}[{i}]") for i, item in enumerate(_array(value, where))]


def _write_dates(context, encoder, where):
    return {"parts": [list(parts) for parts in encoder.parts_]}


def _read_dates(context, value, where, n_columns, names):
    encoder = DateEncoder()
    encoder.parts_ = []
    for j, parts in enumerate(_array(value["parts"], f"{where}.parts", n_columns)):
        for i, part in enumerate(_array(parts, f"{where}.parts[{j}]")):
            _one_of(part, f"{where}.parts[{j}][{i}]", (*PARTS, "missing"))
        encoder.parts_.append(parts)
    return encoder, sum(map(len, encoder.parts_))


def _write_imputer(context, imputer, where):
    statistics, indicator = imputer.statistics_, imputer.indicator_
    plain = isinstance(imputer.missing_values, float) and np.isnan(imputer.missing_values)
    if not plain or imputer.strategy not in STRATEGIES or not imputer.keep_empty_features:
        raise ValueError(f"{where}: it has a SimpleImputer of another kind. {ALLOWED}")
    return {
        "strategy": imputer.strategy,
        "dtype": statistics.dtype.name,
        "values": statistics,
        "indicators": None if indicator is None else [int(place) for place in indicator.features_],
    }


def _read_imputer(context, value, where, n_columns, names):
    strategy = _one_of(value["strategy"], f"{where}.strategy", STRATEGIES)
    dtype = _read_dtype(value["dtype"], f"{where}.dtype")
    values = _numbers(value["values"], f"{where}.values", n_columns, dtype)
    rows = np.zeros((2, n_columns), dtype)
    indicators = value["indicators"]
    if indicators is not None:
        for i, place in enumerate(_array(indicators, f"{where}.indicators")):
            _integer(place, f"{where}.indicators[{i}]", 0, n_columns - 1)
        for i, (one, other) in enumerate(pairwise(indicators)):
            if one >= other:
                _fail(f"{where}.indicators[{i + 1}]", "expected integers in ascending order")
        rows[0, indicators] = np.nan
    imputer = SimpleImputer(
        strategy=strategy, add_indicator=indicators is not None, keep_empty_features=True
    ).fit(rows)
    imputer.statistics_ = values
    return imputer, n_columns + len(indicators or ())


def _write_target_encoder(context, encoder, where):
    if encoder.classes_ is not None and list(encoder.classes_) != list(context.classes):
        raise ValueError(f"{where}: it has a TargetEncoder of other classes. {ALLOWED}")
    if not all(isinstance(v, str) for known in encoder.categories_ for v in known if v == v):
        raise ValueError(f"{where}: it has a TargetEncoder of levels that are not text. {ALLOWED}")
    n = len(encoder.encodings_) // len(encoder.categories_)
    levels = [[level if level == level else None for level in known] for known in encoder.categories_]
    for known in levels:
        _strings([level for level in known if level is not None], f"{where}.levels")
    return {
        "target": encoder.target_type_,
        "mean": np.atleast_1d(encoder.target_mean_),
        "levels": levels,
        "encodings": [
            np.stack(encoder.encodings_[j * n : (j + 1) * n], axis=1)
            for j in range(len(encoder.categories_))
        ],
    }


def _read_target_encoder(context, value, where, n_columns, names):
    target = _one_of(value["target"], f"{where}.target", ENCODED_TARGETS)
    classes = None if target == "continuous" else context.classes
    if (target == "continuous") != (context.classes is None):
        _fail(f"{where}.target", f"{target!r} in an estimator of another kind")
    n = len(classes) if target == "multiclass" else 1
    encoder = TargetEncoder(target_type=target)
    encoder.fit(np.full((3, 1), "", dtype=object), np.arange(3) % (2 if n == 1 else 3))
    mean = _numbers(value["mean"], f"{where}.mean", n)
    encoder.target_mean_ = mean if target == "multiclass" else mean[0]
    encoder.classes_, encoder.categories_, encoder.encodings_ = classes, [], []
    levels = _array(value["levels"], f"{where}.levels", n_columns)
    encodings = _array(value["encodings"], f"{where}.encodings", n_columns)
    for j, (known, rows) in enumerate(zip(levels, encodings, strict=True)):
        known = _read_levels(known, f"{where}.levels[{j}]")
        rows = _array(rows, f"{where}.encodings[{j}]", len(known), "rows")
        rows = [_numbers(row, f"{where}.encodings[{j}][{i}]", n) for i, row in enumerate(rows)]
        encoder.categories_.append(known)
        encoder.encodings_.extend(np.array(rows).T.copy())
    return encoder, n * n_columns


def _read_levels(value, where):
    """Levels in ascending order, NaN after them where the file has null."""
    gaps = bool(_array(value, where)) and value[-1] is None
    levels = _strings(value[:-1] if gaps else value, where)
    for i, (one, other) in enumerate(pairwise(levels)):
        if not one < other:
            _fail(f"{where}[{i + 1}]", "levels must be in ascending order, each of them once")
    if not value:
        _fail(where, "there are none")
    return np.array([*levels, np.nan] if gaps else levels, dtype=object)


class Record(NamedTuple):
    """How a kind of transformer is written and read."""

    cls: type
    keys: tuple
    write: object
    read: object


RECORDS = {
    record.cls.__name__: record
    for record in (
        Record(CategoryEncoder, ("dtype", "levels"), _write_categories, _read_categories),
        Record(ColumnTransformer, ("parts",), _write_columns, _read_parts),
        Record(Converted, ("to",), _write_converted, _read_converted),
        Record(DateEncoder, ("parts",), _write_dates, _read_dates),
        Record(PiecewiseLinearEncoder, ("dtype", "edges"), _write_bins, _read_bins),
        Record(Pipeline, ("steps",), _write_pipeline, _read_pipeline),
        Record(RobustSmoothScaler, ("dtype", "center", "scale"), _write_scaler, _read_scaler),
        Record(
            SimpleImputer,
            ("strategy", "dtype", "values", "indicators"),
            _write_imputer,
            _read_imputer,
        ),
        Record(StandardScaler, ("mean", "scale"), _write_standard, _read_standard),
        Record(
            TargetEncoder,
            ("target", "mean", "levels", "encodings"),
            _write_target_encoder,
            _read_target_encoder,
        ),
    )
}
