"""ONNX: a fitted estimator as a graph, and the converters that skl2onnx calls for those in pipelines.

Both build the same nodes. An activation or link is a function of a graph and the name of a tensor that
adds nodes and returns the name of the result: a row in ``ONNX_ACTIVATIONS`` or ``ONNX_LINKS``. Rows
call only operators that onnxruntime has for the dtype: some of ONNX's activations it has for float32
alone, and in float64 they are put together from others.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import erfcx

from sklearn_mlp._export import exported_model
from sklearn_mlp._files import replacing
from sklearn_mlp._typing import Path

if TYPE_CHECKING:
    from onnx import ModelProto

# ONNX 1.8: onnxruntime 1.6 of December 2020 runs it in float32, 1.7 of March 2021 in float64 too. All
# operators used are there from 9 on, and mean the same.
TARGET_OPSET, OLDEST_OPSET = 13, 9

# Operators on strings. Version 2, of ONNX 1.6, has the LabelEncoder that is used.
ML_DOMAIN, ML_OPSET = "ai.onnx.ml", 2

# Protocol buffers hold no more than 2 GiB in one message; the rest is room for the nodes.
MOST_BYTES = 2**31 - 2**20

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al. 2017


def imported(module, task):
    """An optional package, or ImportError that says how to get it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f'{task} needs the package {module}: pip install "sklearn-mlp[onnx]"'
        ) from error


class Graph:
    """Nodes and constants under way, as names of tensors.

    Parameters
    ----------
    onnx : module
    dtype : dtype
        Of all numbers: float32 or float64.
    reserved : iterable of str
        Names that are taken.
    """

    def __init__(self, onnx, dtype, reserved=()):
        self.onnx = onnx
        self.dtype = dtype
        self.nodes, self.initializers = [], []
        self.names = set(reserved)

    @property
    def single(self):
        return self.dtype == np.float32

    def unique(self, name):
        candidate, n = name, 0
        while candidate in self.names:
            candidate, n = f"{name}_{n}", n + 1
        self.names.add(candidate)
        return candidate

    def constant(self, values, name="constant"):
        """The name of an array; a list of strings makes one of strings."""
        values = np.array(values, object) if isinstance(values, list) else np.asarray(values)
        name = self.unique(name)
        self.initializers.append(self.onnx.numpy_helper.from_array(values, name))
        return name

    def number(self, value):
        """The name of a scalar of the graph's dtype."""
        return self.constant(np.array(value, self.dtype))

    def add(self, operator, *inputs, domain="", **attributes):
        """Add a node; the name of its one output."""
        name = self.unique(operator)
        self.nodes.append(
            self.onnx.helper.make_node(
                operator, list(inputs), [name], name, domain=domain, **attributes
            )
        )
        return name

    def name_output(self, tensor, name):
        """Give a result the name it is to have outside."""
        self.nodes.append(self.onnx.helper.make_node("Identity", [tensor], [name], f"{name}_output"))


class ContainerGraph(Graph):
    """The same, written into a container of skl2onnx."""

    def __init__(self, onnx, dtype, scope, container):
        super().__init__(onnx, dtype)
        self.scope, self.container = scope, container

    def unique(self, name):
        return self.scope.get_unique_variable_name(name)

    def constant(self, values, name="constant"):
        name = self.unique(name)
        if isinstance(values, list):
            encoded = [value.encode() for value in values]
            self.container.add_initializer(name, self.onnx.TensorProto.STRING, [len(values)], encoded)
        else:
            tensor = self.onnx.numpy_helper.from_array(np.asarray(values), name)
            self.container.add_initializer(name, tensor.data_type, list(tensor.dims), tensor)
        return name

    def add(self, operator, *inputs, domain="", **attributes):
        name = self.unique(operator)
        if domain:
            attributes |= {"op_domain": domain, "op_version": ML_OPSET}
        self._add_node(operator, list(inputs), name, **attributes)
        return name

    def name_output(self, tensor, name):
        self._add_node("Identity", [tensor], name)

    def _add_node(self, operator, inputs, output, **attributes):
        name = self.scope.get_unique_operator_name(operator)
        self.container.add_node(operator, inputs, output, name=name, **attributes)


# Activations and links.


def _leaky_relu(graph, x, slope):
    if graph.single:
        return graph.add("LeakyRelu", x, alpha=slope)
    return graph.add("Max", x, graph.add("Mul", x, graph.number(slope)))


def _expm1_of_negative(graph, x):
    """exp(x) - 1 where x < 0, else 0."""
    negative = graph.add("Min", x, graph.number(0))
    return graph.add("Sub", graph.add("Exp", negative), graph.number(1))


def _elu(graph, x, slope=None):
    if graph.single:
        return graph.add("Elu", x)
    return graph.add("Add", graph.add("Relu", x), _expm1_of_negative(graph, x))


def _selu(graph, x, slope):
    if graph.single:
        return graph.add("Selu", x, alpha=SELU_ALPHA, gamma=SELU_SCALE)
    below = graph.add("Mul", _expm1_of_negative(graph, x), graph.number(SELU_ALPHA))
    return graph.add("Mul", graph.add("Add", graph.add("Relu", x), below), graph.number(SELU_SCALE))


def _softplus(graph, x, slope=None):
    if graph.single:
        return graph.add("Softplus", x)
    power = graph.add("Exp", graph.add("Neg", graph.add("Abs", x)))
    rest = graph.add("Log", graph.add("Add", power, graph.number(1)))
    return graph.add("Add", graph.add("Relu", x), rest)


def _gelu(graph, x, slope):
    """x Phi(x), with Phi the normal distribution function."""
    if not graph.single:
        return graph.add("Mul", x, _normal_distribution(graph, x))
    erf = graph.add("Erf", graph.add("Mul", x, graph.number(np.sqrt(0.5))))
    return graph.add(
        "Mul", graph.add("Mul", x, graph.number(0.5)), graph.add("Add", erf, graph.number(1))
    )


def _normal_distribution(graph, x):
    """Phi(x) in float64, for which onnxruntime has no Erf.

    With a = |x|: Phi(-a) = exp(-a^2 / 2) P(u) / (1 + a), u = (a - 5.5) / (a + 5.5). The polynomial P
    interpolates (1 + a) erfcx(a / sqrt(2)) / 2 in the Chebyshev nodes of u in [-1, 1].
    """
    a = graph.add("Min", graph.add("Abs", x), graph.number(40))  # Phi(-a) is 0 from 39 on
    centre = graph.number(5.5)
    u = graph.add("Div", graph.add("Sub", a, centre), graph.add("Add", a, centre))
    *lower, p = map(graph.number, _mills_polynomial(22))
    for coefficient in reversed(lower):  # Horner's rule
        p = graph.add("Add", graph.add("Mul", p, u), coefficient)
    square = graph.add("Mul", graph.add("Mul", a, a), graph.number(-0.5))
    one = graph.number(1)
    tail = graph.add("Mul", graph.add("Exp", square), graph.add("Div", p, graph.add("Add", a, one)))
    negative = graph.add("Less", x, graph.number(0))
    return graph.add("Where", negative, tail, graph.add("Sub", one, tail))


def _mills_polynomial(degree):
    """The coefficients of P above, from the lowest."""

    def ratio(u):
        a = 5.5 * (1 + u) / (1 - u)
        return (1 + a) * erfcx(a * np.sqrt(0.5)) / 2

    polynomial = np.polynomial.Chebyshev.interpolate(ratio, degree)
    return polynomial.convert(kind=np.polynomial.Polynomial).coef


def _silu(graph, x, slope):
    if graph.single:
        return graph.add("Mul", x, graph.add("Sigmoid", x))
    # In a form that onnxruntime 1.20 does not replace by an operator that it has in float32 alone.
    power = graph.add("Exp", graph.add("Neg", x))
    return graph.add("Div", x, graph.add("Add", power, graph.number(1)))


def _mish(graph, x, slope):
    return graph.add("Mul", x, graph.add("Tanh", _softplus(graph, x)))


ONNX_ACTIVATIONS = {
    "identity": lambda graph, x, slope: x,
    "logistic": lambda graph, x, slope: graph.add("Sigmoid", x),
    "tanh": lambda graph, x, slope: graph.add("Tanh", x),
    "relu": lambda graph, x, slope: graph.add("Relu", x),
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "selu": _selu,
    "softplus": _softplus,
    "gelu": _gelu,
    "silu": _silu,
    "mish": _mish,
}

ONNX_LINKS = {
    "identity": lambda graph, x: x,
    "exp": lambda graph, x: graph.add("Exp", x),
    "logistic": lambda graph, x: graph.add("Sigmoid", x),
    "softmax": lambda graph, x: graph.add("Softmax", x, axis=1),
}


# The whole graph.


def raw_scores_of(graph, model, x):
    for i, layer in enumerate(model.layers):
        weights = graph.constant(layer.weights, f"coefs_{i}")
        intercepts = graph.constant(layer.intercepts, f"intercepts_{i}")
        x = graph.add("Add", graph.add("MatMul", x, weights), intercepts)
        x = ONNX_ACTIVATIONS[layer.activation](graph, x, layer.slope)
    return x


def _label(graph, model, raw, labels):
    if model.task == "multiclass":
        return label_of_place(graph, graph.add("ArgMax", raw, axis=1, keepdims=0), labels)
    above = graph.add("Greater", raw, graph.number(0))
    place = graph.add("Cast", above, to=graph.onnx.TensorProto.INT64)
    if model.task == "multilabel":
        return place
    return label_of_place(graph, graph.add("Reshape", place, graph.constant(np.array([-1]))), labels)


def label_of_place(graph, place, labels):
    # One label where there was one class in fit: a row's place may then be 1 all the same.
    labels = labels * 2 if len(labels) == 1 else labels
    table = labels if isinstance(labels[0], str) else np.array(labels, np.int64)
    return graph.add("Gather", graph.constant(table, "classes"), place, axis=0)


def predicted(graph, model, raw, raw_scores=False):
    """Predicted values or probabilities, or the scores with a column for each of two classes."""
    if model.task == "binary":
        raw = graph.add("Concat", graph.add("Neg", raw), raw, axis=1)
    return raw if raw_scores else ONNX_LINKS[model.link](graph, raw)


def _add_model(graph, model, x, outputs, *, labels=None, raw_scores=False):
    """Add a model that reads tensor `x` and writes those named `outputs`.

    `labels` are those to put out in place of the model's own.
    """
    raw = raw_scores_of(graph, model, x)
    scores = predicted(graph, model, raw, raw_scores)
    if model.task != "regression":
        label = _label(graph, model, raw, model.labels if labels is None else labels)
        graph.name_output(label, outputs[0])
    graph.name_output(scores, outputs[-1])


def checked_output_names(model, names, input_names, scores="probabilities"):
    standard = ["variable"] if model.task == "regression" else ["label", scores]
    names = standard if names is None else names
    if (
        not isinstance(names, list | tuple)
        or len(names) != len(standard)
        or not all(isinstance(name, str) and name for name in (*names, *input_names))
        or len({*names, *input_names}) != len(input_names) + len(names)
    ):
        raise ValueError(
            f"the names of inputs and output_names must be different strings, and output_names a list "
            f"of {len(standard)}, for {standard}; got {reprlib.repr(input_names)} and {names!r}."
        )
    return list(names)


def checked_opset(onnx, value):
    newest = onnx.defs.onnx_opset_version()
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"target_opset must be an integer; got {value!r}.")
    if not OLDEST_OPSET <= value <= newest:
        raise ValueError(
            f"target_opset must be between {OLDEST_OPSET} and {newest}, the newest of onnx "
            f"{onnx.__version__}; got {value}."
        )
    return int(value)


def check_size(*models):
    n_bytes = sum(
        layer.weights.nbytes + layer.intercepts.nbytes for model in models for layer in model.layers
    )
    n_bytes += sum(len(label.encode()) for label in models[0].labels if isinstance(label, str))
    if n_bytes > MOST_BYTES:
        raise ValueError(
            f"the model's parameters take {n_bytes} bytes, and an ONNX file holds less than 2 GiB; "
            "dtype='float32' takes half of float64's."
        )


def _output_infos(onnx, model, names):
    """The declared outputs."""
    of_dtype = onnx.helper.np_dtype_to_tensor_dtype(model.dtype)
    info = onnx.helper.make_tensor_value_info
    outputs = [info(names[-1], of_dtype, ["N", model.n_outputs])]
    if model.task != "regression":
        strings = model.task != "multilabel" and isinstance(model.labels[0], str)
        kind = onnx.TensorProto.STRING if strings else onnx.TensorProto.INT64
        shape = ["N", model.n_outputs] if model.task == "multilabel" else ["N"]
        outputs.insert(0, info(names[0], kind, shape))
    return outputs


def finished(graph, estimator, exported, inputs, output_names, opsets, doc_string, path):
    """The checked ModelProto of a graph whose nodes are all there; also written to `path`."""
    onnx, kind = graph.onnx, type(estimator).__name__
    outputs = _output_infos(onnx, exported, output_names)
    opset_imports = [onnx.helper.make_opsetid(*opset) for opset in opsets.items()]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, kind, inputs, outputs, graph.initializers),
        opset_imports=opset_imports,
        ir_version=onnx.helper.find_min_ir_version_for(opset_imports),
        producer_name="sklearn_mlp",
        producer_version=version("sklearn-mlp"),
        doc_string=doc_string,
    )
    properties = {"estimator": kind}
    if hasattr(estimator, "feature_names_in_"):
        properties["feature_names"] = json.dumps(estimator.feature_names_in_.tolist())
    onnx.helper.set_model_props(model, properties)
    onnx.checker.check_model(model, full_check=True)
    if path is not None:
        with replacing(path) as file:
            file.write(model.SerializeToString())
    return model


class ONNXMixin:
    """`to_onnx` for the estimators."""

    def to_onnx(
        self,
        path: Path | None = None,
        *,
        target_opset: int = TARGET_OPSET,
        dtype: str | None = None,
        input_name: str = "X",
        output_names: Sequence[str] | None = None,
        raw_scores: bool = False,
        doc_string: str | None = None,
    ) -> ModelProto:
        """Export the fitted model as an ONNX graph.

        The graph takes any number of rows. It puts out what skl2onnx makes scikit-learn's networks put
        out. A classifier: "label" of shape (N,), integers as int64 (booleans too) or strings, and
        "probabilities" of shape (N, n_classes). A multilabel classifier: "label", 0 or 1 as int64, and
        "probabilities", both of shape (N, n_labels). A regressor: "variable" of shape (N, n_outputs),
        with one output too. Needs the package onnx, and nothing that runs the graph.

        Parameters
        ----------
        path : path-like, default=None
            Where to write the model as well, by custom a name that ends in .onnx.
        target_opset : int, default=13
            Version of the operators, at least 9. That of ONNX 1.8 by default, which onnxruntime 1.6 of
            2020 runs in float32, and 1.7 in float64.
        dtype : {"float32", "float64"}, default=None
            Type of the input, the parameters, all computation and the probabilities. None: that of the
            model. float32 is what most runtimes other than onnxruntime want.
        input_name : str, default="X"
            Name of the input, of shape (N, n_features).
        output_names : list of str, default=None
            Other names for the outputs.
        raw_scores : bool, default=False
            Whether to put out raw scores, before softmax, logistic or exponential function, under the
            name "scores" in place of "probabilities"; those of two classes have a column for each, the
            first being the second's with its sign turned.
        doc_string : str, default=None
            Stored in the model. None: the kind of estimator and its layers.

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
            If an argument is not usable, the labels are neither integers nor strings, a parameter is
            not finite in `dtype`, or the parameters take 2 GiB or more, which ONNX files cannot hold.

        See Also
        --------
        sklearn_mlp.register_skl2onnx : Conversion of pipelines.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_mlp import MLPClassifier
        >>> X = np.linspace(0, 1, 40, dtype=np.float32).reshape(20, 2)
        >>> model = MLPClassifier(solver="lbfgs", random_state=0).fit(X, X[:, 0] > 0.5)
        >>> [output.name for output in model.to_onnx().graph.output]
        ['label', 'probabilities']
        """
        onnx = imported("onnx", "to_onnx")
        opset = checked_opset(onnx, target_opset)
        exported = exported_model(self, dtype)
        check_size(exported)
        scores = "scores" if raw_scores else "probabilities"
        output_names = checked_output_names(exported, output_names, [input_name], scores)
        graph = Graph(onnx, exported.dtype, [input_name, *output_names])
        _add_model(graph, exported, input_name, output_names, raw_scores=raw_scores)
        of_dtype = onnx.helper.np_dtype_to_tensor_dtype(exported.dtype)
        shape = ["N", exported.n_features]
        inputs = [onnx.helper.make_tensor_value_info(input_name, of_dtype, shape)]
        doc_string = _description(self) if doc_string is None else doc_string
        return finished(graph, self, exported, inputs, output_names, {"": opset}, doc_string, path)


def _description(estimator):
    network = estimator._network
    layers = ", ".join(
        f"{size} {activation}"
        for size, (activation, _) in zip(network.sizes[1:], network.activations, strict=True)
    )
    return (
        f"{type(estimator).__name__}: {network.sizes[0]} features, layers of {layers}, "
        f"then {estimator.out_activation_}"
    )


# Converters for skl2onnx.


def _type_of(operator):
    """The type of a tensor, and the dtype, in which skl2onnx has a model compute."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    double = isinstance(operator.inputs[0].type, DoubleTensorType)
    return (DoubleTensorType, "float64") if double else (FloatTensorType, "float32")


def _labels_put_out(operator):
    """The labels that skl2onnx wants: their places with its option nocl."""
    estimator = operator.raw_operator
    options = operator.scope_inst.get_options(estimator, {"nocl": False}, fail=False) or {}
    labels = exported_model(estimator).labels
    return list(range(len(labels))) if options.get("nocl") else labels


def _calculate_shapes(operator):
    """Set the types and shapes of the outputs."""
    from skl2onnx.common.data_types import Int64TensorType, StringTensorType
    from skl2onnx.common.utils import check_input_and_output_numbers

    model = exported_model(operator.raw_operator)
    n_outputs = 1 if model.task == "regression" else 2
    check_input_and_output_numbers(
        operator, input_count_range=1, output_count_range=[n_outputs, n_outputs]
    )
    n_rows = operator.inputs[0].get_first_dimension()
    operator.outputs[-1].set_type(_type_of(operator)[0]([n_rows, model.n_outputs]))
    if model.task == "multilabel":
        operator.outputs[0].set_type(Int64TensorType([n_rows, model.n_outputs]))
    elif model.task != "regression":
        strings = isinstance(_labels_put_out(operator)[0], str)
        operator.outputs[0].set_type((StringTensorType if strings else Int64TensorType)([n_rows]))


def _convert(scope, operator, container):
    """Add the nodes of an estimator to the graph of its pipeline."""
    onnx = imported("onnx", "register_skl2onnx")
    tensor_type, dtype = _type_of(operator)
    estimator = operator.raw_operator
    model = exported_model(estimator, dtype)
    graph = ContainerGraph(onnx, model.dtype, scope, container)
    x = operator.inputs[0].full_name
    if not isinstance(operator.inputs[0].type, tensor_type):
        x = graph.add("Cast", x, to=onnx.helper.np_dtype_to_tensor_dtype(model.dtype))
    outputs, arguments = [variable.full_name for variable in operator.outputs], {}
    if model.task != "regression":
        options = container.get_options(estimator, {"raw_scores": False})
        arguments = {"raw_scores": options["raw_scores"], "labels": _labels_put_out(operator)}
    _add_model(graph, model, x, outputs, **arguments)


def register_skl2onnx() -> None:
    """Tell skl2onnx how to convert `MLPClassifier`, `MLPRegressor` and the transformers for tables.

    After that, skl2onnx converts pipelines, searches and other models with these estimators, and with
    `CategoryEncoder`, `PiecewiseLinearEncoder` and `RobustSmoothScaler`, in them.
    A classifier takes the options of skl2onnx's own: "zipmap" (True, False or "columns"), "nocl",
    "output_class_labels" and "raw_scores". To be called once in a process; calling it again does
    nothing more. Subclasses are not covered.

    The estimators compute in the type of what the pipeline hands them, as scikit-learn's do in
    skl2onnx: float64 if that is float64, else float32.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    See Also
    --------
    MLPClassifier.to_onnx : An estimator alone, without skl2onnx.

    Examples
    --------
    >>> import numpy as np
    >>> import skl2onnx
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> import sklearn_mlp
    >>> sklearn_mlp.register_skl2onnx()
    >>> X = np.linspace(0, 1, 40, dtype=np.float32).reshape(20, 2)
    >>> network = sklearn_mlp.MLPRegressor(solver="lbfgs", random_state=0)
    >>> pipeline = make_pipeline(StandardScaler(), network).fit(X, X.sum(axis=1))
    >>> [output.name for output in skl2onnx.to_onnx(pipeline, X[:1]).graph.output]
    ['variable']
    """
    skl2onnx = imported("skl2onnx", "register_skl2onnx")
    from sklearn_mlp._estimators import MLPClassifier, MLPRegressor
    from sklearn_mlp._tabular_onnx import register_transformers

    register_transformers(skl2onnx)
    options = {
        "zipmap": [True, False, "columns"],
        "nocl": [True, False],
        "output_class_labels": [True, False],
        "raw_scores": [True, False],
    }
    for estimator, of_kind in ((MLPClassifier, options), (MLPRegressor, None)):
        skl2onnx.update_registered_converter(
            estimator,
            f"SklearnMlp{estimator.__name__}",
            _calculate_shapes,
            _convert,
            options=of_kind,
        )
