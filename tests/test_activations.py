"""Every activation and its derivative: against references, at the edges, and to the last bit.

Whatever is in ``ACTIVATIONS`` is tested; a new row needs a reference here. Values are measured against
sums and exponentials in decimal arithmetic, and float32 at many more points against float64.
"""

import math
import os
import subprocess
import sys
from decimal import Decimal, localcontext

import numpy as np
import pytest
from scipy.special import expit, ndtr

from sklearn_mlp import _blas
from sklearn_mlp._activations import ACTIVATIONS, activate, backpropagate, parse_activation

DTYPES = [np.float32, np.float64]
SLOPE = 0.125  # of leaky_relu: the same number in both types
SCALE = Decimal("1.0507009873554804934193349852946")  # of selu
ALPHA = Decimal("1.6732632423543772848170429916717")
SELU_SCALE, SELU_ALPHA = float(SCALE), float(ALPHA)
FROM_OUTPUT = [name for name, row in ACTIVATIONS.items() if row.from_output]

# ---- the references ----


def density(z):
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def mish_slope(z):
    t = np.tanh(np.logaddexp(0, z))
    return t + z * (1 - t**2) * expit(z)


REFERENCE = {  # name: (function, derivative)
    "identity": (lambda z: z, np.ones_like),
    "logistic": (expit, lambda z: expit(z) * expit(-z)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0) * 1.0),
    "leaky_relu": (lambda z: np.where(z > 0, z, SLOPE * z), lambda z: np.where(z > 0, 1, SLOPE)),
    "elu": (
        lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
        lambda z: np.exp(np.minimum(z, 0)),
    ),
    "selu": (
        lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0))),
        lambda z: SELU_SCALE * np.where(z > 0, 1, SELU_ALPHA * np.exp(np.minimum(z, 0))),
    ),
    "softplus": (lambda z: np.logaddexp(0, z), expit),
    "gelu": (lambda z: z * ndtr(z), lambda z: ndtr(z) + z * density(z)),
    "silu": (lambda z: z * expit(z), lambda z: expit(z) * (1 + z * expit(-z))),
    "mish": (lambda z: z * np.tanh(np.logaddexp(0, z)), mish_slope),
}


def exact_log1p_exp(z):
    e = z.exp()
    return e if e < Decimal("1e-40") else (1 + e).ln()


def exact_normal(z):
    """Phi(z), by its power series at zero and by its continued fraction in the tails."""
    a = abs(z)
    phi = (-a * a / 2).exp() / Decimal("6.28318530717958647692528676655900576839433879875").sqrt()
    if a < 2:
        total, term, k = Decimal(0), a, 1
        while term > Decimal("1e-50"):
            total, k = total + term, k + 2
            term *= a * a / k
        below = Decimal("0.5") - total * phi
    else:
        fraction = Decimal(0)
        for k in range(300, 0, -1):
            fraction = k / (a + fraction)
        below = phi / (a + fraction)
    return below if z < 0 else 1 - below


def exact_mish(z):
    e = z.exp()
    return z * e * (e + 2) / (e * (e + 2) + 2)


EXACT = {  # name: (function, units in the last place)
    "identity": (lambda z: z, 0),
    "logistic": (lambda z: 1 / (1 + (-z).exp()), 2),
    "tanh": (lambda z: 1 - 2 / ((2 * z).exp() + 1), 2),
    "relu": (lambda z: max(z, Decimal(0)), 0),
    "leaky_relu": (lambda z: z if z > 0 else z * Decimal(SLOPE), 1),
    "elu": (lambda z: z if z > 0 else z.exp() - 1, 2),
    "selu": (lambda z: SCALE * (z if z > 0 else ALPHA * (z.exp() - 1)), 2),
    "softplus": (exact_log1p_exp, 2),
    "gelu": (lambda z: z * exact_normal(z), 5),
    "silu": (lambda z: z / (1 + (-z).exp()), 5),
    "mish": (exact_mish, 5),
}

# ---- what is tested ----


def evaluate(name, x):
    """The activations and slopes of a vector; the activations are the same with and without slopes."""
    alone, together, slopes = x[None].copy(), x[None].copy(), np.full_like(x[None], 99)
    zeros = np.zeros_like(x)
    activate(name, alone, zeros, negative_slope=SLOPE)
    activate(name, together, zeros, slopes, SLOPE)
    np.testing.assert_array_equal(alone, together)
    return alone[0], slopes[0]


def draw(dtype, n, seed=0):
    """Numbers of all sizes for which no activation is subnormal."""
    rng = np.random.default_rng(seed)
    widest, normal = (80, 12.5) if dtype == np.float32 else (690, 37)
    parts = [
        rng.uniform(-widest, widest, n), rng.uniform(-normal, normal, n), rng.uniform(-4, 4, 4 * n),
        rng.choice([-1, 1], n) * 10 ** rng.uniform(-30, 0, n),
    ]  # fmt: skip
    return np.concatenate(parts).astype(dtype)


def units_off(got, exact):
    """The largest distance in units in the last place of the exact numbers."""
    units = [Decimal(float(np.spacing(abs(got.dtype.type(e))))) for e in exact]
    return max(abs(Decimal(float(a)) - e) / u for a, e, u in zip(got, exact, units, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_to_the_last_place(name, dtype):
    function, limit = EXACT[name]
    x = draw(dtype, 100)
    if name == "gelu":  # its tail ends sooner than those of the others
        x = x[x > (-12.5 if dtype == np.float32 else -37)]
    with localcontext() as context:
        context.prec = 90
        exact = [function(Decimal(float(value))) for value in x]
        assert units_off(evaluate(name, x)[0], exact) <= limit


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_float32_values_at_many_points(name):
    x = draw(np.float32, 30_000, seed=1)
    if name == "gelu":
        x = x[x > -12.5]
    exact = REFERENCE[name][0](x.astype(float))
    got = evaluate(name, x)[0]
    assert np.all(np.abs(got - exact) <= EXACT[name][1] * np.spacing(np.abs(exact).astype(np.float32)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes(name, dtype):
    x = draw(dtype, 5_000, seed=2)
    slopes = evaluate(name, x)[1]
    tolerance = 1e-6 if dtype == np.float32 else 1e-14
    np.testing.assert_allclose(slopes, REFERENCE[name][1](x.astype(float)), rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_are_those_of_the_values(name, dtype):
    step, tolerance = (2.0**-6, 1e-3) if dtype == np.float32 else (2.0**-17, 1e-8)
    x = np.random.default_rng(3).uniform(-8, 8, 2000).astype(dtype)
    x = x[np.abs(x) > step]  # the kinks are at zero
    above, below = (evaluate(name, x + dtype(moved))[0] for moved in (step, -step))
    numeric = (above.astype(float) - below) / (2 * step)
    np.testing.assert_allclose(evaluate(name, x)[1], numeric, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FROM_OUTPUT)
def test_slopes_are_those_of_the_output(name, dtype):
    x = draw(dtype, 500, seed=4)
    a, slopes = evaluate(name, np.append(x, dtype(0)))
    delta = np.ones_like(a)
    backpropagate(name, a[None], delta[None], SLOPE)
    np.testing.assert_array_equal(slopes, delta)
    delta *= 3
    again = np.full_like(a, 3)
    backpropagate(name, a[None], again[None], SLOPE)
    np.testing.assert_allclose(again, delta, rtol=4 * np.finfo(dtype).eps)


def test_there_is_no_derivative_of_the_output_where_it_is_no_function():
    for name in set(ACTIVATIONS) - set(FROM_OUTPUT):
        with pytest.raises(ValueError, match=f"the derivative of {name} is not"):
            backpropagate(name, np.ones((1, 2)), np.ones((1, 2)))


LIMITS = {  # name: (value at -inf, slope at -inf, slope at inf)
    "identity": (-np.inf, 1, 1),
    "logistic": (0, 0, 0),
    "tanh": (-1, 0, 0),
    "relu": (0, 0, 1),
    "leaky_relu": (-np.inf, SLOPE, 1),
    "elu": (-1, 0, 1),
    "selu": (-float(SCALE * ALPHA), 0, SELU_SCALE),
    "softplus": (0, 0, 1),
    "gelu": (0, 0, 1),
    "silu": (0, 0, 1),
    "mish": (0, 0, 1),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_and_infinity(name, dtype):
    largest = np.finfo(dtype).max
    a, slopes = evaluate(name, np.array([np.nan, -np.inf, np.inf, -np.nan, -largest, largest], dtype))
    assert np.isnan(a[[0, 3]]).all()
    assert np.isnan(slopes[[0, 3]]).all()
    at_minus, slope_at_minus, slope_at_plus = LIMITS[name]
    at_plus = 1 if name in ("logistic", "tanh") else np.inf
    np.testing.assert_array_equal(a[1:3], np.array([at_minus, at_plus], dtype))
    np.testing.assert_array_equal(slopes[1:3], np.array([slope_at_minus, slope_at_plus], dtype))
    np.testing.assert_array_equal(slopes[4:], slopes[1:3])
    assert not np.isnan(a[4:]).any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_result_does_not_depend_on_its_place(name, dtype):
    """Loops take several numbers at a time and the rest one by one: the bits are the same."""
    x = draw(dtype, 5, seed=5)
    one_by_one = [np.concatenate(v) for v in zip(*(evaluate(name, v[None]) for v in x), strict=True)]
    for n in range(1, 35):
        for got, expected in zip(evaluate(name, x[:n]), one_by_one, strict=True):
            np.testing.assert_array_equal(got, expected[:n])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_rows_and_intercepts(name, dtype):
    rng = np.random.default_rng(6)
    z = rng.normal(scale=3, size=(11, 7)).astype(dtype)
    intercepts = rng.normal(size=7).astype(dtype)
    expected = evaluate(name, (z + intercepts).ravel())
    slopes = np.empty_like(z)
    activate(name, z, intercepts, slopes, SLOPE)
    np.testing.assert_array_equal(z.ravel(), expected[0])
    np.testing.assert_array_equal(slopes.ravel(), expected[1])


def test_the_slope_of_leaky_relu():
    for slope in (0.0, 0.3):
        x, slopes = np.array([[-2.0, 0.0, 2.0]]), np.empty((1, 3))
        activate("leaky_relu", x, np.zeros(3), slopes, slope)
        np.testing.assert_array_equal(x, [[-2 * slope, 0, 2]])
        np.testing.assert_array_equal(slopes, [[slope, slope, 1]])
    x = np.array([[-2.0]])
    activate("leaky_relu", x, np.zeros(1))
    assert x == -0.02


def test_arrays_that_do_not_fit():
    z, intercepts = np.ones((2, 3)), np.ones(3)
    with pytest.raises(ValueError, match="4 intercepts for 3 units"):
        activate("gelu", z, np.ones(4))
    for shape in [(3, 2), (2, 2), (1, 3), (0, 0)]:
        with pytest.raises(ValueError, match="slopes of shape"):
            activate("gelu", z, intercepts, np.ones(shape))
        with pytest.raises(ValueError, match="delta of shape"):
            backpropagate("tanh", z, np.ones(shape))
    with pytest.raises(ValueError, match="Buffer dtype mismatch"):
        activate("gelu", z, intercepts, np.ones((2, 3), np.float32))
    activate("gelu", np.ones((0, 3)), intercepts, np.ones((0, 3)))
    activate("gelu", np.ones((2, 0)), np.ones(0), np.ones((2, 0)))


# ---- names ----


def test_what_names_an_activation():
    for name in ACTIVATIONS:
        assert parse_activation(name) == (name, 0.01 if name == "leaky_relu" else 0.0)
    for slope in (0, 0.0, -0.0, 0.3, np.float32(0.5), np.int64(0), math.nextafter(1, 0)):
        for value in (("leaky_relu", slope), ["leaky_relu", slope]):
            name, number = parse_activation(value)
            assert (name, number) == ("leaky_relu", slope)
            assert type(number) is float
            assert math.copysign(1, number) == 1


BAD_VALUES = [
    "softmax",
    "",
    "ReLU",
    (),
    ("leaky_relu",),
    ("relu", 0.1),
    ("leaky_relu", 0.1, 2),
    (0.1, 1),
]
BAD_SLOPES = [1, 1.0, -0.1, np.nan, np.inf, -np.inf, 10**400]


@pytest.mark.parametrize("value", BAD_VALUES + [("leaky_relu", slope) for slope in BAD_SLOPES], ids=str)
def test_what_does_not_name_an_activation(value):
    with pytest.raises(ValueError, match=r"^of layer 3") as caught:
        parse_activation(value, "of layer 3")
    given = value[1] if value in [("leaky_relu", slope) for slope in BAD_SLOPES] else value
    assert str(caught.value).endswith(f"got {given!r}")
    if given is value:
        assert str(sorted(ACTIVATIONS)) in str(caught.value)


@pytest.mark.parametrize("value", [None, 3, {"relu"}, b"relu", np.array(["relu"])], ids=str)
def test_what_is_no_name(value):
    with pytest.raises(TypeError, match=r"^activation must be one of .* of type "):
        parse_activation(value)


@pytest.mark.parametrize("slope", [None, "0.1", True, False, 0.1j, [0.1], np.array([0.1])], ids=str)
def test_what_is_no_slope(slope):
    with pytest.raises(TypeError, match=r"^activation: the slope of leaky_relu must be a real number"):
        parse_activation(("leaky_relu", slope))


# ---- instruction sets ----

PROGRAM = """
import sys
import numpy as np
from sklearn_mlp._activations import ACTIVATIONS, activate, backpropagate
from sklearn_mlp._blas import INSTRUCTION_SET
rng = np.random.default_rng(0)
x = np.concatenate([rng.uniform(-w, w, 5000) for w in (1, 10, 40, 110, 800)])
sys.stdout.buffer.write(INSTRUCTION_SET.encode() + b" ")
for dtype in (np.float32, np.float64):
    for name, row in ACTIVATIONS.items():
        a = x.astype(dtype)[None].copy()
        slopes, delta = np.empty_like(a), np.full_like(a, 3)
        activate(name, a, np.zeros(x.size, dtype), slopes)
        if row.from_output:
            backpropagate(name, a, delta)
        sys.stdout.buffer.write(a.tobytes() + slopes.tobytes() + delta.tobytes())
"""


def test_every_instruction_set_gives_the_same_values():
    values = []
    for name in ("portable", _blas.INSTRUCTION_SET):
        env = dict(os.environ, SKLEARN_MLP_INSTRUCTION_SET=name)
        command = [sys.executable, "-P", "-c", PROGRAM]
        out = subprocess.run(command, env=env, capture_output=True, check=True).stdout
        used, numbers = out.split(b" ", 1)
        assert used.decode() == name
        n_single = len(numbers) // 3  # the rest takes eight bytes where this takes four
        single, double = numbers[:n_single], numbers[n_single:]
        values.append((np.frombuffer(single, "f4"), np.frombuffer(double, "f8")))
    for one, other in zip(*values, strict=True):
        eps = np.finfo(one.dtype).eps
        assert len(one) > 10**5
        np.testing.assert_allclose(one, other, rtol=16 * eps, atol=4 * eps)
