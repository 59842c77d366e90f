"""ONNX of the tabular estimators: the preprocessing by its fitted parts, the members, their average.

The preprocessing is followed from part to part, whatever it is put together from. Each transformer that
has a row in ``CONVERTERS`` is a function of a graph, the transformer and a table, that adds nodes and
returns the table that comes out. A table is columns of the model's input, of which a transformer says
whether it reads them as numbers or as text, or numbers that another has computed.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler, TargetEncoder
from sklearn.utils.validation import check_is_fitted

from sklearn_mlp._columns import CategoryEncoder, Converted
from sklearn_mlp._export import exported_dtype, exported_model, plain_labels
from sklearn_mlp._numeric import PiecewiseLinearEncoder, RobustSmoothScaler
from sklearn_mlp._onnx import (
    ML_DOMAIN,
    ML_OPSET,
    TARGET_OPSET,
    ContainerGraph,
    Graph,
    check_size,
    checked_opset,
    checked_output_names,
    finished,
    imported,
    label_of_place,
    predicted,
    raw_scores_of,
)
from sklearn_mlp._typing import Array, Path

if TYPE_CHECKING:
    from onnx import ModelProto

# What a missing cell is as text, where that is no level: onnxruntime makes these of None and NaN.
MISSING_TEXTS = ("", "None", "nan", "NaN", "<NA>", "NaT")

INSTEAD = (
    "Leave the column out, or convert without the preprocessing: members_[i].to_onnx() gives the "
    "network, which takes what preprocessor_.transform returns."
)


# Tables.


class Inputs:
    """The inputs of a graph, one per named column or one for all; added as they are asked for."""

    def __init__(self, graph, names, n_columns, input_name):
        self.graph, self.names, self.n_columns = graph, names, n_columns
        self.input_name = input_name
        self.kinds = {}  # of named columns, by their place
        self.blocks = {}  # tensors of numbers, by the places of the columns in them

    def numbers(self, places):
        places = tuple(places)
        if places not in self.blocks:
            self.blocks[places] = self._block(places)
        return self.blocks[places]

    def _block(self, places):
        if self.names is not None:
            columns = [self._column(place, "number") for place in places]
            return columns[0] if len(columns) == 1 else self.graph.add("Concat", *columns, axis=1)
        if places == tuple(range(self.n_columns)):
            return self.input_name
        return self.graph.add("Gather", self.input_name, self.graph.constant(np.array(places)), axis=1)

    def text(self, place):
        if self.names is None:
            raise ValueError(
                f"column {place} is read as text, and an input for all columns can only be numbers. "
                "Fit on a frame whose columns have strings for names: each is an input of its own then."
            )
        return self._column(place, "text")

    def _column(self, place, kind):
        if self.kinds.setdefault(place, kind) != kind:
            raise ValueError(
                f"column {self.names[place]!r} is read as a number and as text, which an input cannot "
                "be both. Give the estimator the column twice, under two names."
            )
        return self.names[place]

    def infos(self):
        """The declared inputs: those that are used, in the order of the columns."""
        helper, strings = self.graph.onnx.helper, self.graph.onnx.TensorProto.STRING
        of_dtype = helper.np_dtype_to_tensor_dtype(self.graph.dtype)
        if self.names is None:
            shape = ["N", self.n_columns]
            return [helper.make_tensor_value_info(self.input_name, of_dtype, shape)]
        types = {"number": of_dtype, "text": strings}
        return [
            helper.make_tensor_value_info(self.names[place], types[kind], ["N", 1])
            for place, kind in sorted(self.kinds.items())
        ]


class Columns:
    """Columns of the input."""

    def __init__(self, inputs, places):
        self.inputs, self.places = inputs, list(places)
        names = range(inputs.n_columns) if inputs.names is None else inputs.names
        self.described = f"columns {reprlib.repr([names[place] for place in self.places])}"

    def numbers(self):
        return self.inputs.numbers(self.places)

    def texts(self):
        return [self.inputs.text(place) for place in self.places]

    def take(self, places):
        return Columns(self.inputs, [self.places[place] for place in places])


class Numbers:
    """Numbers that have been computed, a tensor, from the columns described."""

    def __init__(self, graph, tensor, described):
        self.graph, self.tensor, self.described = graph, tensor, described

    def numbers(self):
        return self.tensor

    def texts(self):
        raise ValueError(
            f"numbers computed from {self.described} are read as text, which ONNX would write "
            f"otherwise. {INSTEAD}"
        )

    def take(self, places):
        places = self.graph.constant(np.array(places))
        return Numbers(
            self.graph, self.graph.add("Gather", self.tensor, places, axis=1), self.described
        )


def _joined(graph, tensors):
    return tensors[0] if len(tensors) == 1 else graph.add("Concat", *tensors, axis=1)


# Transformers.


def convert(graph, transformer, table):
    """Add a fitted transformer that reads `table`; return what comes out."""
    if type(transformer) not in CONVERTERS:
        raise ValueError(
            f"{table.described}: {type(transformer).__name__} cannot be converted to ONNX. {INSTEAD}"
        )
    return CONVERTERS[type(transformer)](graph, transformer, table)


def of_numbers(add):
    """A converter, of a function that adds the nodes between two tensors of numbers."""

    def converter(graph, transformer, table):
        return Numbers(graph, add(graph, transformer, table.numbers()), table.described)

    return converter


def _row(graph, values):
    """A constant row, finite in the dtype of the graph."""
    with np.errstate(over="ignore", under="ignore"):
        row = np.asarray(values).astype(graph.dtype)
    if not np.isfinite(row).all():
        raise ValueError(
            f"the preprocessing has numbers that are not finite in {graph.dtype}; use "
            "dtype='float64', or scale the columns."
        )
    return graph.constant(row[None])


def _centered(graph, x, center):
    """x - center, in float32 as exact as the numbers are: the center as the sum of two."""
    x = graph.add("Sub", x, _row(graph, center))
    if not graph.single:
        return x
    return graph.add("Sub", x, _row(graph, center - np.float32(center).astype(np.float64)))


def _clipped(graph, x, most):
    return graph.add("Max", graph.add("Min", x, graph.number(most)), graph.number(-most))


def _robust_smooth_scaler(graph, scaler, x):
    limits = np.finfo(graph.dtype)
    z = _clipped(graph, _centered(graph, x, scaler.center_), limits.max)
    z = graph.add("Mul", z, _row(graph, scaler.scale_))
    z = _clipped(graph, z, 1e18 if graph.single else 1e100)
    third = graph.add("Mul", z, graph.number(1 / 3))
    square = graph.add("Add", graph.add("Mul", third, third), graph.number(1))
    z = graph.add("Div", z, graph.add("Sqrt", square))
    # Runtimes do not agree on the least of a number and NaN.
    return graph.add("Where", graph.add("IsNaN", x), x, z)


def _standard_scaler(graph, scaler, x):
    if scaler.mean_ is not None and scaler.with_mean:
        x = _centered(graph, x, scaler.mean_)
    return x if scaler.scale_ is None else graph.add("Div", x, _row(graph, scaler.scale_))


def _piecewise_linear_encoder(graph, encoder, x):
    """As the kernel: 1 from the end of the bin on, a fraction within, 0 where neither is so."""
    edges = encoder.bin_edges_
    low, high = np.concatenate([e[:-1] for e in edges]), np.concatenate([e[1:] for e in edges])
    feature = graph.constant(np.repeat(np.arange(len(edges)), encoder.n_bins_))
    x = graph.add("Gather", x, feature, axis=1)
    with np.errstate(over="ignore"):
        if not np.isfinite((high - low)[~np.isnan(low)]).all():
            low, high = low / 2, high / 2
            x = graph.add("Mul", x, graph.number(0.5))
    constant = np.isnan(low)
    width = np.where(constant, 1, high - low).astype(graph.dtype)
    come = _centered(graph, x, np.where(constant, 0, low))
    within = graph.add("Div", come, _row(graph, np.where(width > 0, width, 1)))
    within = graph.add("Where", graph.add("Greater", come, graph.number(0)), within, graph.number(0))
    # Greater than the number before the width: not less than it, and no NaN.
    passed = graph.add("Greater", come, _row(graph, np.nextafter(width, -1, dtype=graph.dtype)))
    out = graph.add("Where", passed, graph.number(1), within)
    if not constant.any():
        return out
    return graph.add("Where", graph.constant(constant[None]), graph.number(0), out)


def _simple_imputer(graph, imputer, x):
    statistics = np.asarray(imputer.statistics_, dtype=np.float64)
    _check_nan_is_missing(imputer)
    absent = graph.add("IsNaN", x)
    kept = np.flatnonzero(~np.isnan(statistics))
    filled, gaps = x, absent
    if len(kept) < len(statistics):  # columns without a value in training
        filled, gaps = (
            graph.add("Gather", tensor, graph.constant(kept), axis=1) for tensor in (x, absent)
        )
    filled = graph.add("Where", gaps, _row(graph, statistics[kept]), filled)
    if imputer.indicator_ is None or len(imputer.indicator_.features_) == 0:
        return filled
    return graph.add("Concat", filled, _indicators(graph, imputer.indicator_, absent), axis=1)


def _missing_indicator(graph, indicator, x):
    _check_nan_is_missing(indicator)
    return _indicators(graph, indicator, graph.add("IsNaN", x))


def _indicators(graph, indicator, absent):
    places = graph.constant(np.asarray(indicator.features_, dtype=np.int64))
    absent = graph.add("Gather", absent, places, axis=1)
    return graph.add("Cast", absent, to=graph.onnx.helper.np_dtype_to_tensor_dtype(graph.dtype))


def _check_nan_is_missing(transformer):
    value, kind = transformer.missing_values, type(transformer).__name__
    if not (isinstance(value, float) and value != value):
        raise ValueError(
            f"{kind} with missing_values={value!r} cannot be converted to ONNX; only NaN can. {INSTEAD}"
        )


def _by_level(graph, text, rows, table):
    """Rows of `table` by the level, which is a column of text; the last is for others."""
    place = graph.add(
        "LabelEncoder",
        text,
        domain=ML_DOMAIN,
        keys_strings=list(rows),
        values_int64s=[int(row) for row in rows.values()],
        default_int64=len(table) - 1,
    )
    place = graph.add("Reshape", place, graph.constant(np.array([-1])))
    return graph.add("Gather", graph.constant(table.astype(graph.dtype), "levels"), place, axis=0)


def _category_encoder(graph, encoder, table):
    columns = []
    for text, codes, known in zip(table.texts(), encoder._codes(), encoder.levels_, strict=True):
        n = len(known)
        rows = np.array([[-1.0], [1.0]]) if n == 2 else np.eye(n)
        rows = np.vstack([rows, np.zeros((1, rows.shape[1]))])
        columns.append(_by_level(graph, text, codes, rows))
    return Numbers(graph, _joined(graph, columns), table.described)


def _target_encoder(graph, encoder, table):
    n_outputs = len(encoder.classes_) if encoder.target_type_ == "multiclass" else 1
    means = np.atleast_1d(encoder.target_mean_)
    columns = []
    for j, (text, categories) in enumerate(zip(table.texts(), encoder.categories_, strict=True)):
        encodings = encoder.encodings_[j * n_outputs : (j + 1) * n_outputs]
        rows = {level: i for i, level in enumerate(categories) if isinstance(level, str)}
        absent = len(rows)
        if absent < len(categories):
            if absent < len(categories) - 1 or categories[-1] == categories[-1]:
                raise ValueError(
                    f"{table.described}: TargetEncoder on levels that are not text cannot be converted "
                    f"to ONNX. {INSTEAD}"
                )
            rows |= {text: absent for text in MISSING_TEXTS if text not in rows}
        columns.append(_by_level(graph, text, rows, np.vstack([np.stack(encodings, axis=1), means])))
    return Numbers(graph, _joined(graph, columns), table.described)


def _converted(graph, transformer, table):
    if transformer.to == "levels":
        return table
    return Numbers(graph, table.numbers(), table.described)


def _function_transformer(graph, transformer, table):
    if transformer.func is not None:
        raise ValueError(
            f"{table.described}: FunctionTransformer with a function cannot be converted to ONNX. "
            f"{INSTEAD}"
        )
    return table


def _pipeline(graph, pipeline, table):
    for _, step in pipeline.steps:
        if step is not None and step != "passthrough":
            table = convert(graph, step, table)
    return table


def parts_of(columns):
    """Name, transformer and places of the columns, of each part of a ColumnTransformer that has any."""
    for name, transformer, _ in columns.transformers_:
        places = list(columns._transformer_to_input_indices[name])
        if places and not (isinstance(transformer, str) and transformer == "drop"):
            yield name, transformer, places


def _column_transformer(graph, columns, table):
    weights = columns.transformer_weights or {}
    parts = []
    for name, transformer, places in parts_of(columns):
        part = convert(graph, transformer, table.take(places)).numbers()
        if name in weights:
            part = graph.add("Mul", part, graph.number(weights[name]))
        parts.append(part)
    if not parts:
        raise ValueError(
            f"{table.described}: the preprocessing leaves none; there is nothing to convert."
        )
    return Numbers(graph, _joined(graph, parts), table.described)


CONVERTERS = {
    CategoryEncoder: _category_encoder,
    ColumnTransformer: _column_transformer,
    Converted: _converted,
    FunctionTransformer: _function_transformer,
    MissingIndicator: of_numbers(_missing_indicator),
    PiecewiseLinearEncoder: of_numbers(_piecewise_linear_encoder),
    Pipeline: _pipeline,
    RobustSmoothScaler: of_numbers(_robust_smooth_scaler),
    SimpleImputer: of_numbers(_simple_imputer),
    StandardScaler: of_numbers(_standard_scaler),
    TargetEncoder: _target_encoder,
}


# Converters for skl2onnx.


class OperatorColumns:
    """What an operator of skl2onnx reads."""

    def __init__(self, graph, operator):
        self.graph, self.inputs = graph, operator.inputs
        self.n_columns = operator.raw_operator.n_features_in_
        self.described = f"columns {reprlib.repr([variable.raw_name for variable in self.inputs])}"

    def _joined(self, type_):
        kind = self.graph.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(type_))
        return _joined(self.graph, [self.graph.add("Cast", v.full_name, to=kind) for v in self.inputs])

    def numbers(self):
        return self._joined(self.graph.dtype)

    def texts(self):
        kinds = {type(variable.type).__name__ for variable in self.inputs}
        if not kinds <= {"StringTensorType", "Int64TensorType"}:
            raise ValueError(
                f"{self.described} must be declared as StringTensorType or Int64TensorType for a "
                f"transformer that reads text; got {', '.join(sorted(kinds))}."
            )
        places = map(np.array, range(self.n_columns))
        block = self._joined(np.object_)
        return [self.graph.add("Gather", block, self.graph.constant(j), axis=1) for j in places]


def _type_out(operator):
    """The type that comes out, and the dtype of all numbers: that of the numbers that go in."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    double = isinstance(operator.inputs[0].type, DoubleTensorType)
    return (DoubleTensorType, np.float64) if double else (FloatTensorType, np.float32)


def _calculate_shape(operator):
    width = len(operator.raw_operator.get_feature_names_out())
    n_rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].set_type(_type_out(operator)[0]([n_rows, width]))


def _convert_operator(scope, operator, container):
    onnx = imported("onnx", "register_skl2onnx")
    graph = ContainerGraph(onnx, np.dtype(_type_out(operator)[1]), scope, container)
    out = convert(graph, operator.raw_operator, OperatorColumns(graph, operator))
    graph.name_output(out.numbers(), operator.outputs[0].full_name)


def register_transformers(skl2onnx):
    for kind in (CategoryEncoder, PiecewiseLinearEncoder, RobustSmoothScaler):
        name = f"SklearnMlp{kind.__name__}"
        skl2onnx.update_registered_converter(kind, name, _calculate_shape, _convert_operator)


# The whole graph.


class TabularONNXMixin:
    """`to_onnx` for the tabular estimators."""

    members_: list[Any]
    classes_: Array
    n_features_in_: int

    def to_onnx(
        self,
        path: Path | None = None,
        *,
        target_opset: int = TARGET_OPSET,
        dtype: str = "float64",
        input_name: str = "X",
        output_names: Sequence[str] | None = None,
        doc_string: str | None = None,
    ) -> ModelProto:
        """Export preprocessing, members and their average as one ONNX graph.

        Fitted on a frame whose columns have strings for names, the graph has an input for each column
        that the preprocessing uses, of the column's name and of shape (N, 1):

        - numbers in `dtype`; NaN where missing, durations in seconds,
        - categories and booleans as strings, as ``str`` gives them ("True" and "False"; whole numbers
          without a point). An empty string, and what else is not a level, is a missing or unknown one.

        Otherwise there is one input of numbers, of shape (N, n_features). The outputs are those of
        `MLPClassifier.to_onnx` and `MLPRegressor.to_onnx`. Needs the package onnx.

        Dates have no form in ONNX, and neither have transformers other than those that
        `sklearn_mlp.preprocessing.tabular_preprocessor` uses, StandardScaler and MissingIndicator.

        Parameters
        ----------
        path : path-like, default=None
            Where to write the model as well, by custom a name that ends in .onnx.
        target_opset : int, default=13
            Version of the operators, at least 9.
        dtype : {"float32", "float64"}, default="float64"
            Type of numbers that come in, of the preprocessing and of what comes out. float64 is what is
            computed here; float32 is what most runtimes other than onnxruntime want. The networks
            compute in float32.
        input_name : str, default="X"
            Name of the one input, where columns are not inputs of their own.
        output_names : list of str, default=None
            Other names for the outputs.
        doc_string : str, default=None
            Stored in the model. None: the kind of estimator and its size.

        Returns
        -------
        model : onnx.ModelProto

        Raises
        ------
        ImportError
            If onnx is not installed.
        NotFittedError
            If the model is not fitted.
        ValueError, TypeError
            If an argument is not usable, a part of the preprocessing cannot be converted (the message
            names the columns), or for what `MLPClassifier.to_onnx` raises it.

        See Also
        --------
        MLPClassifier.to_onnx : A network alone, as those in `members_` are.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_mlp import TabularMLPRegressor
        >>> X = np.linspace(0, 1, 40).reshape(20, 2)
        >>> model = TabularMLPRegressor(max_iter=2, random_state=0).fit(X, X.sum(axis=1))
        >>> [output.name for output in model.to_onnx().graph.output]
        ['variable']
        """
        onnx = imported("onnx", "to_onnx")
        opset = checked_opset(onnx, target_opset)
        check_is_fitted(self)
        members = [exported_model(member) for member in self.members_]
        check_size(*members)
        exported = members[0]._replace(dtype=exported_dtype(dtype, np.dtype(np.float64)))
        if exported.task != "regression":
            exported = exported._replace(labels=plain_labels(self.classes_))
        names = self.feature_names_in_.tolist() if hasattr(self, "feature_names_in_") else None
        input_names = [input_name] if names is None else names
        output_names = checked_output_names(exported, output_names, input_names)
        graph = Graph(onnx, exported.dtype, [*input_names, *output_names])
        inputs = Inputs(graph, names, self.n_features_in_, input_name)
        _add_estimator(graph, self, inputs, members, exported, output_names)
        opsets = {"": opset}
        if any(node.domain for node in graph.nodes):
            opsets[ML_DOMAIN] = ML_OPSET
        doc_string = _description(self) if doc_string is None else doc_string
        return finished(graph, self, exported, inputs.infos(), output_names, opsets, doc_string, path)


def _add_estimator(graph, estimator, inputs, members, exported, output_names):
    rows = Columns(inputs, range(inputs.n_columns))
    if estimator.preprocessor_ is not None:
        rows = convert(graph, estimator.preprocessor_, rows)
    mean = _mean(graph, members, rows.numbers())
    if exported.task == "regression":
        graph.name_output(_in_units_of_targets(graph, estimator, mean), output_names[0])
        return
    if exported.task == "multilabel":
        label = graph.add("Greater", mean, graph.number(0.5))
        label = graph.add("Cast", label, to=graph.onnx.TensorProto.INT64)
    else:
        place = graph.add("ArgMax", mean, axis=1, keepdims=0)
        label = label_of_place(graph, place, exported.labels)
    graph.name_output(label, output_names[0])
    graph.name_output(mean, output_names[1])


def _mean(graph, members, rows):
    """The mean of what the members predict; they compute in float32, whatever the graph does."""
    dtype, type_of = graph.dtype, graph.onnx.helper.np_dtype_to_tensor_dtype
    if not graph.single:
        rows = graph.add("Cast", rows, to=type_of(np.dtype(np.float32)))
    total = None
    for member in members:
        graph.dtype = member.dtype
        one = predicted(graph, member, raw_scores_of(graph, member, rows))
        graph.dtype = dtype
        if not graph.single:
            one = graph.add("Cast", one, to=type_of(dtype))
        total = one if total is None else graph.add("Add", total, one)
    return total if len(members) == 1 else graph.add("Div", total, graph.number(len(members)))


def _in_units_of_targets(graph, estimator, standard):
    y = graph.add("Mul", standard, _row(graph, estimator.target_scale_))
    y = graph.add("Add", y, _row(graph, estimator.target_mean_))
    if estimator.clip:
        least, largest = estimator.target_range_
        y = graph.add("Min", graph.add("Max", y, _row(graph, least)), _row(graph, largest))
    return y


def _description(estimator):
    n = len(estimator.members_)
    networks = "1 network" if n == 1 else f"the mean of {n} networks"
    return f"{type(estimator).__name__}: {estimator.n_features_in_} columns, preprocessing, {networks}"
