"""C: a fitted estimator as the source of one C99 file that depends on <math.h> alone.

The text is put together from templates, in which $name is the prefix of all that is public or in file
scope, $NAME the same in capitals, $real the type, and $f what ends the type's literals and functions.
An activation or link is the body of a function: a row in ``C_ACTIVATIONS`` or ``C_LINKS``.
"""

from __future__ import annotations

import re
from importlib.metadata import version
from string import Template

import numpy as np

from sklearn_mlp._export import decimals, exported_model
from sklearn_mlp._files import replacing
from sklearn_mlp._typing import Path

# Bodies of: $real activation($real x). Where exp(-|x|) has become 0, x is held, so that infinities do
# not meet zeros.
C_ACTIVATIONS = {
    "identity": "",
    "logistic": """\
    const $real e = exp$f(-fabs$f(x));
    return (x < 0 ? e : 1) / (1 + e);
""",
    "tanh": """\
    return tanh$f(x);
""",
    "relu": """\
    return x < 0 ? 0 : x;
""",
    "leaky_relu": """\
    return x < 0 ? $slope * x : x;
""",
    "elu": """\
    return x < 0 ? expm1$f(x) : x;
""",
    "selu": """\
    return x < 0 ? 1.7580993408473768$f * expm1$f(x) : 1.0507009873554805$f * x;
""",
    "softplus": """\
    return (x < 0 ? 0 : x) + log1p$f(exp$f(-fabs$f(x)));
""",
    "gelu": """\
    const $real held = x < -40 ? -40 : x;
    return held * (0.5$f * erfc$f(-0.7071067811865476$f * held));
""",
    "silu": """\
    const $real e = exp$f(-fabs$f(x));
    return (x < -800 ? -800 : x) * ((x < 0 ? e : 1) / (1 + e));
""",
    "mish": """\
    /* tanh(log(1 + exp(x))) as a rational function of w = exp(-|x|) */
    const $real w = exp$f(-fabs$f(x));
    const $real above = x < 0 ? w * (w + 2) : 1 + 2 * w;
    const $real below = x < 0 ? 2 : 2 * w * w;
    return (x < -800 ? -800 : x) * (above / (above + below));
""",
}

# Bodies of: void link($real *z, long n), in place.
C_LINKS = {
    "identity": "",
    "exp": """\
    for (long j = 0; j < n; j++)
        z[j] = exp$f(z[j]);
""",
    "logistic": """\
    for (long j = 0; j < n; j++) {
        const $real e = exp$f(-fabs$f(z[j]));
        z[j] = (z[j] < 0 ? e : 1) / (1 + e);
    }
""",
    "softmax": """\
    $real largest = z[0], total = 0;
    for (long j = 1; j < n; j++)
        largest = z[j] > largest ? z[j] : largest;
    for (long j = 0; j < n; j++) {
        z[j] = exp$f(z[j] - largest);
        total += z[j];
    }
    for (long j = 0; j < n; j++)
        z[j] /= total;
""",
}

HEADER = """\
/* $name: a fitted $kind ($task) that computes in $real.

   $n_features features, then layers of $layers, then $link.
   Written by sklearn_mlp $version. C99, also valid C++11; needs <math.h> and no other file.

$usage

   x holds ${NAME}_N_FEATURES numbers, all of them finite, and must not overlap what is written.
   Nothing is allocated, and nothing but constants is shared: any number of threads may call at once.
   Scratch of $n_bytes bytes is on the stack. Where that is too much, compile with
   -D${NAME}_SCRATCH=static, for one thread at a time, or -D"${NAME}_SCRATCH=static _Thread_local". */

"""

DENSE = """\
/* z = intercepts + x weights, with weights of shape (n_in, n_out) */
static void ${name}_dense(const $real *x, long n_in, const $real *weights, const $real *intercepts,
                          long n_out, $real *z)
{
    for (long j = 0; j < n_out; j++)
        z[j] = intercepts[j];
    for (long i = 0; i < n_in; i++, weights += n_out)
        for (long j = 0; j < n_out; j++)
            z[j] += x[i] * weights[j];
}

"""

# What a task declares, defines, and has to say of its use. $finish turns raw scores in `out` into
# values.
DECLARED = {
    "regression": "void ${name}_predict(const $real *x, $real *out);\n",
    "binary": """\
void ${name}_predict(const $real *x, $real *out);
int ${name}_predict_class(const $real *x);
""",
    "multilabel": """\
void ${name}_predict(const $real *x, $real *out);
void ${name}_predict_labels(const $real *x, int *labels);
""",
}
DECLARED["multiclass"] = DECLARED["binary"]

PREDICT = """\
void ${name}_predict(const $real *x, $real *out)
{
    ${name}_scores(x, out);$finish
}
"""

DEFINED = {
    "regression": PREDICT,
    "binary": """\
void ${name}_predict(const $real *x, $real *out)
{
    ${name}_scores(x, out + 1);
    out[0] = -out[1];$finish
}

int ${name}_predict_class(const $real *x)
{
    $real z[1];
    ${name}_scores(x, z);
    return z[0] > 0 ? ${NAME}_N_CLASSES - 1 : 0;
}
""",
    "multiclass": PREDICT
    + """
int ${name}_predict_class(const $real *x)
{
    ${NAME}_SCRATCH $real z[${NAME}_N_OUTPUTS];
    int best = 0;
    ${name}_scores(x, z);
    for (int j = 1; j < ${NAME}_N_OUTPUTS; j++)
        best = z[j] > z[best] ? j : best;
    return best;
}
""",
    "multilabel": PREDICT
    + """
void ${name}_predict_labels(const $real *x, int *labels)
{
    ${NAME}_SCRATCH $real z[${NAME}_N_OUTPUTS];
    ${name}_scores(x, z);
    for (int j = 0; j < ${NAME}_N_OUTPUTS; j++)
        labels[j] = z[j] > 0;
}
""",
}

USAGE = {
    "regression": """\
   ${name}_predict(x, out)
       writes the predicted values into out[${NAME}_N_OUTPUTS].""",
    "binary": """\
   ${name}_predict(x, out)
       writes the probability of each class into out[${NAME}_N_OUTPUTS].
   ${name}_predict_class(x)
       returns the place of the class with the highest score in ${name}_classes.""",
    "multilabel": """\
   ${name}_predict(x, out)
       writes the probability of each label into out[${NAME}_N_OUTPUTS].
   ${name}_predict_labels(x, labels)
       writes 1 for labels that are more probable than not, else 0, into labels[${NAME}_N_OUTPUTS].""",
}
USAGE["multiclass"] = USAGE["binary"]

# Of C up to C23 and of C++ up to C++23.
ALL_KEYWORDS = """
alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t char32_t
class co_await co_return co_yield compl concept const const_cast consteval constexpr constinit continue
decltype default delete do double dynamic_cast else enum explicit export extern false float for friend
goto if inline int long mutable namespace new noexcept not not_eq nullptr operator or or_eq private
protected public register reinterpret_cast requires restrict return short signed sizeof static
static_assert static_cast struct switch template this thread_local throw true try typedef typeid
typename typeof typeof_unqual union unsigned using virtual void volatile wchar_t while xor xor_eq
"""
KEYWORDS = frozenset(ALL_KEYWORDS.split())

LONGEST_STRING = 4095  # what a C99 compiler must be able to hold


def _check_name(name):
    if not isinstance(name, str):
        raise TypeError(f"name must be a string; got {name!r}.")
    if not re.fullmatch("[A-Za-z](_?[A-Za-z0-9])*", name):
        raise ValueError(
            "name must be an identifier of C: a letter, then letters, digits and single underscores "
            f"between them; got {name!r}."
        )
    if name in KEYWORDS:
        raise ValueError(f"name must not be a keyword of C or C++; got {name!r}.")


# Literals.


def _numbers(values, suffix):
    """Literals of an array, the shortest that are read back as the same numbers, with commas."""
    literals = decimals(values)
    lines = (literals[i : i + 8] for i in range(0, len(literals), 8))
    return ",\n".join("    " + ", ".join(number + suffix for number in line) for line in lines)


def _string(text):
    """A string literal: all but plain letters as octal digits of UTF-8."""
    encoded = text.encode()
    if 0 in encoded or len(encoded) > LONGEST_STRING:
        raise ValueError(
            f"a label or feature name that is exported to C must be at most {LONGEST_STRING} bytes "
            f"long, none of them 0; got {text[:60]!r}."
        )
    plain = (chr(byte) if _is_plain(byte) else f"\\{byte:03o}" for byte in encoded)
    return '"' + "".join(plain) + '"'


def _is_plain(byte):
    return 32 <= byte < 127 and byte not in b'"\\?'  # '??' begins a trigraph


def _integer(value):
    # There are no negative literals, and the magnitude of the least number is too large for one.
    return f"{value}LL" if value > -(2**63) else "-9223372036854775807LL - 1"


# Parts of the file.

LAYER = """\
static const $real ${name}_weights_$i[$n_in * $n_out] = {
$weights
};

static const $real ${name}_intercepts_$i[$n_out] = {
$intercepts
};

/* $n_in to $n_out, $activation */
static void ${name}_layer_$i(const $real *x, $real *z)
{
    ${name}_dense(x, $n_in, ${name}_weights_$i, ${name}_intercepts_$i, $n_out, z);$then
}

"""

ACTIVATE = """
    for (long j = 0; j < $n_out; j++)
        z[j] = $function(z[j]);"""


def _layer_text(i, layer, function, fill):
    """The parameters of a layer, and the function that applies it."""
    n_in, n_out = layer.weights.shape
    then = Template(ACTIVATE).substitute(n_out=n_out, function=function) if function else ""
    return Template(LAYER).substitute(
        fill,
        i=i,
        n_in=n_in,
        n_out=n_out,
        activation=layer.activation,
        weights=",\n".join(_numbers(row, fill["f"]) for row in layer.weights),
        intercepts=_numbers(layer.intercepts, fill["f"]),
        then=then,
    )


def _activation_functions(layers, fill):
    """The functions needed, as text, and the name of each layer's; "" for the identity."""
    texts, names = {}, []
    for layer in layers:
        slope = decimals(np.array([layer.slope], layer.weights.dtype))[0] + fill["f"]
        name = f"{fill['name']}_{layer.activation}"
        if layer.activation == "leaky_relu":  # 0.01f: model_leaky_relu_0_01f
            name += "_" + re.sub("[^0-9a-f]+", "_", slope)
        body = C_ACTIVATIONS[layer.activation]
        if body:
            function = f"static $real {name}($real x)\n{{\n{body}}}\n\n"
            texts[name] = Template(function).substitute(fill, slope=slope)
        names.append(name if body else "")
    return "".join(texts.values()), names


def _scratch_sizes(layers):
    """Numbers in each of two buffers, which the hidden layers write in turn."""
    hidden = [layer.weights.shape[1] for layer in layers[:-1]]
    return max(hidden[::2], default=0), max(hidden[1::2], default=0)


def _scores_text(layers, fill):
    """The function that applies all layers."""
    sizes = _scratch_sizes(layers)
    declared = [
        f"    {fill['NAME']}_SCRATCH {fill['real']} {buffer}[{size}];\n"
        for buffer, size in zip("ab", sizes, strict=True)
        if size
    ]
    places = ["x", *("ab"[i % 2] for i in range(len(layers) - 1)), "z"]
    calls = [
        f"    {fill['name']}_layer_{i}({places[i]}, {places[i + 1]});\n" for i in range(len(layers))
    ]
    return (
        f"static void {fill['name']}_scores(const {fill['real']} *x, {fill['real']} *z)\n{{\n"
        + "".join(declared + calls)
        + "}\n\n"
    )


def _link_text(model, fill):
    """The function of the link, and the line that calls it; nothing for the identity."""
    body = C_LINKS[model.link]
    if not body:
        return "", ""
    function = f"static void ${{name}}_link($real *z, long n)\n{{\n{body}}}\n\n"
    call = "\n    ${name}_link(out, ${NAME}_N_OUTPUTS);"
    return Template(function).substitute(fill), Template(call).substitute(fill)


def _tables(estimator, model):
    """Public constant tables, by name: type of an element, macro of the length, literals."""
    tables = {}
    if model.task in ("binary", "multiclass"):
        strings = isinstance(model.labels[0], str)
        kind = "const char *const" if strings else "const long long"
        literals = [(_string if strings else _integer)(label) for label in model.labels]
        tables["classes"] = (kind, "N_CLASSES", literals)
    if hasattr(estimator, "feature_names_in_"):
        literals = [_string(name) for name in estimator.feature_names_in_.tolist()]
        tables["feature_names"] = ("const char *const", "N_FEATURES", literals)
    return tables


def _declarations(model, tables, fill):
    sizes = {"N_FEATURES": model.n_features, "N_OUTPUTS": model.n_outputs}
    if "classes" in tables:
        sizes["N_CLASSES"] = len(model.labels)
    macros = "".join(f"#define {fill['NAME']}_{what} {size}\n" for what, size in sizes.items())
    externs = "".join(
        f"extern {kind} {fill['name']}_{what}[{fill['NAME']}_{size}];\n"
        for what, (kind, size, _) in tables.items()
    )
    return Template(f"""\
#include <math.h>

{macros}
#ifndef ${{NAME}}_SCRATCH
#define ${{NAME}}_SCRATCH
#endif

#ifdef __cplusplus
extern "C" {{
#endif
{DECLARED[model.task]}{externs}#ifdef __cplusplus
}}
#endif

""").substitute(fill)


def _definitions(tables, fill):
    return "".join(
        f"{kind} {fill['name']}_{what}[{fill['NAME']}_{size}] = {{\n    "
        + ",\n    ".join(literals)
        + "\n};\n\n"
        for what, (kind, size, literals) in tables.items()
    )


def _header(estimator, model, fill):
    layers = [
        f"{layer.weights.shape[1]} {layer.activation}"
        + (f" ({layer.slope:g})" if layer.activation == "leaky_relu" else "")
        for layer in model.layers
    ]
    n_numbers = sum(_scratch_sizes(model.layers))
    if model.task in ("multiclass", "multilabel"):
        n_numbers += model.n_scores
    return Template(HEADER).substitute(
        fill,
        kind=re.sub("[^A-Za-z0-9_]", "_", type(estimator).__name__),
        task=model.task,
        n_features=model.n_features,
        layers=", ".join(layers),
        link=model.link,
        version=version("sklearn-mlp"),
        usage=Template(USAGE[model.task]).substitute(fill),
        n_bytes=n_numbers * model.dtype.itemsize,
    )


def c_source(estimator, name, dtype=None):
    """The source of a fitted estimator: see `CMixin.to_c`."""
    _check_name(name)
    model = exported_model(estimator, dtype)
    single = model.dtype == np.float32
    fill = {
        "name": name,
        "NAME": name.upper(),
        "real": "float" if single else "double",
        "f": "f" if single else "",
    }
    tables = _tables(estimator, model)
    activations, functions = _activation_functions(model.layers, fill)
    link, finish = _link_text(model, fill)
    layers = zip(model.layers, functions, strict=True)
    return "".join(
        [
            _header(estimator, model, fill),
            _declarations(model, tables, fill),
            _definitions(tables, fill),
            Template(DENSE).substitute(fill),
            activations,
            *(_layer_text(i, layer, function, fill) for i, (layer, function) in enumerate(layers)),
            _scores_text(model.layers, fill),
            link,
            Template(DEFINED[model.task]).substitute(fill, finish=finish),
        ]
    )


class CMixin:
    """`to_c` for the estimators."""

    def to_c(self, path: Path | None = None, name: str = "model", *, dtype: str | None = None) -> str:
        """Export the fitted model as one file of C99 without dependencies.

        It defines, for a model named "model" that computes in float32,
        ``void model_predict(const float *x, float *out)``, which writes the values of a regression, or
        the probability of each class or label, for one row of MODEL_N_FEATURES numbers into
        MODEL_N_OUTPUTS numbers. For two or more classes ``int model_predict_class(const float *x)``
        returns the place of the most probable one in the table ``model_classes``; for multilabel
        targets ``void model_predict_labels(const float *x, int *labels)`` writes 0 or 1 for each label.
        In a float64 model all of them take double. Feature names are the table
        ``model_feature_names``. The file may be compiled or included; it needs <math.h> alone,
        allocates nothing, is safe from many threads, and is C++ as well. It says how to use it.

        Parameters
        ----------
        path : path-like, default=None
            Where to write the source as well.
        name : str, default="model"
            What the names in the file begin with: an identifier of C.
        dtype : {"float32", "float64"}, default=None
            Type of parameters and computation, float or double. None: that of the model.

        Returns
        -------
        source : str
            The same for the same model, whatever the locale; all ASCII.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError, TypeError
            If an argument is not usable, the labels are neither integers nor strings, or a parameter is
            not finite in `dtype`.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_mlp import MLPRegressor
        >>> X = np.linspace(0, 1, 40, dtype=np.float32).reshape(20, 2)
        >>> model = MLPRegressor(solver="lbfgs", random_state=0).fit(X, X.sum(axis=1))
        >>> source = model.to_c(name="total")
        >>> "void total_predict(const float *x, float *out);" in source
        True
        """
        source = c_source(self, name, dtype)
        if path is not None:
            with replacing(path) as file:
                file.write(source.encode("ascii"))
        return source
