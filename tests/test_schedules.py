"""Learning-rate schedules: formulas, hand-over, errors, and what a run remembers."""

import pickle
import re
from copy import deepcopy
from fractions import Fraction
from math import cos, log2, pi, sqrt

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

from sklearn_mlp import schedules
from sklearn_mlp.schedules import (
    NAMED_SCHEDULES,
    SCHEDULE_NAMES,
    CosineAnnealing,
    CosineLog,
    ExponentialDecay,
    OneCycle,
    Schedule,
    StepDecay,
    Warmup,
    make_run,
)

CLASSES = [StepDecay, ExponentialDecay, CosineAnnealing, OneCycle, CosineLog, Warmup]
SPREAD = [CosineAnnealing(), OneCycle(), CosineLog(), Warmup(after="cosine"), Warmup(1, OneCycle())]
SPREAD += [Warmup(1, Warmup(1, CosineLog()))]
UNSPREAD = [StepDecay(), ExponentialDecay(), Warmup(), Warmup(after="step")]
UNSPREAD += [Warmup(after=lambda step, total: 1)]


def label(schedule):
    """Of a test: the same in every process, as the address of a function is not."""
    return re.sub(" at 0x[0-9a-f]+", "", str(schedule))


def run(learning_rate, n_epochs=None, initial=1.0, power_t=0.5):
    return make_run(learning_rate, initial=initial, power_t=power_t, n_epochs=n_epochs)


def rates(learning_rate, n_epochs, n_steps, horizon=True, **params):
    """All rates of a training."""
    started = run(learning_rate, n_epochs if horizon else None, **params)
    return np.concatenate([started.start_epoch(n_steps) for _ in range(n_epochs)])


class Recorder:
    """A callable that remembers what it was called with."""

    def __init__(self, factor=1.0):
        self.factor = factor
        self.calls = []

    def __call__(self, step, total_steps):
        self.calls.append((step, total_steps))
        return self.factor


class Given(Schedule):
    """Returns what it was given."""

    def __init__(self, values=None):
        self.values = values

    def factors(self, epochs, n_epochs, steps_per_epoch):
        return self.values


class Holder(BaseEstimator):
    """Has the parameter that an estimator has."""

    def __init__(self, learning_rate="constant"):
        self.learning_rate = learning_rate


def quadratic_decay(step, total_steps):
    return (1 - step / total_steps) ** 2


# ---- formulas ----

BY_HAND = [
    # schedule, epochs of training, {position in epochs: factor}
    (StepDecay(), None, {0: 1, 29.99: 1, 30: 0.1, 59.99: 0.1, 60: 0.01}),
    (StepDecay(2, 0.5), None, {0: 1, 1.5: 1, 2: 0.5, 3.75: 0.5, 4: 0.25, 6: 0.125}),
    (ExponentialDecay(), None, {0: 1, 1: 0.95, 2: 0.9025}),
    (ExponentialDecay(0.25), None, {0: 1, 0.5: 0.5, 1: 0.25, 1.5: 0.125}),
    (CosineAnnealing(), 12, {0: 1, 3: (2 + sqrt(2)) / 4, 4: 0.75, 6: 0.5, 8: 0.25, 12: 0, 13: 0}),
    (CosineAnnealing(0.2), 12, {0: 1, 4: 0.8, 6: 0.6, 8: 0.4, 12: 0.2, 99: 0.2}),
    (OneCycle(), 100, {0: 0.04, 10: 0.28, 15: 0.52, 20: 0.76, 30: 1, 65: (1 + 4e-6) / 2}),
    (OneCycle(), 100, {100: 4e-6, 101: 4e-6, 1e6: 4e-6}),
    (OneCycle(0, 0.5, 0), 6, {0: 1, 2: 0.75, 3: 0.5, 4: 0.25, 6: 0}),
    (OneCycle(0.5, 0, 0.5), 12, {0: 0, 2: 0.25, 3: 0.5, 4: 0.75, 6: 1, 8: 0.875, 9: 0.75, 12: 0.5}),
    (CosineLog(), 15, {0: 0, 1: 0, 3: 0, 7: 0, 15: 0, 16: 0}),
    (CosineLog(), 15, {2**k * sqrt(2) - 1: 1 for k in range(4)}),
    (CosineLog(), 15, {2**k * 2**0.25 - 1: 0.5 for k in range(4)}),
    (CosineLog(2), 3, {0: 0, sqrt(2) - 1: 1, 1: 0, 2 * sqrt(2) - 1: 1, 3: 0}),
    (CosineLog(1), 1, {0: 0, 2**0.25 - 1: 0.5, sqrt(2) - 1: 1, 2**0.75 - 1: 0.5, 1: 0}),
    (Warmup(2), None, {0: 0.25, 0.5: 0.5, 1: 0.75, 1.5: 1, 2: 1, 50: 1}),
]


@pytest.mark.parametrize(("schedule", "n_epochs", "expected"), BY_HAND)
def test_factors_worked_out_by_hand(schedule, n_epochs, expected):
    schedule.validate()
    factors = schedule.factors(np.array([*expected], dtype=float), n_epochs, 2)
    assert factors.dtype == np.float64
    np.testing.assert_allclose(factors, [*expected.values()], rtol=1e-12, atol=1e-12)


SCALAR = {
    "step": lambda e, t: 0.1 ** (e // 30),
    "exponential": lambda e, t: 0.95**e,
    "cosine": lambda e, t: (1 + cos(pi * t)) / 2,
    "one_cycle": lambda e, t: (
        0.04 + 0.96 * (1 - cos(pi * t / 0.3)) / 2
        if t < 0.3
        else 4e-6 + (1 - 4e-6) * (1 + cos(pi * (t - 0.3) / 0.7)) / 2
    ),
    "cosine_log": lambda e, t: (1 - cos(2 * pi * log2(1 + 15 * t))) / 2,
}


@pytest.mark.parametrize("name", NAMED_SCHEDULES)
def test_every_step_has_its_own_rate(name):
    """The whole of a training against the formula, evaluated one step at a time."""
    n_epochs, n_steps, initial = 70, 7, 0.3
    expected = [
        initial * SCALAR[name](step // n_steps + step % n_steps / n_steps, step / (n_epochs * n_steps))
        for step in range(n_epochs * n_steps)
    ]
    actual = rates(name, n_epochs, n_steps, initial=initial)
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-14)


def test_step_decay_counts_epochs():
    np.testing.assert_allclose(
        rates(StepDecay(step_size=2, gamma=0.5), 5, 3),
        [1] * 6 + [0.5] * 6 + [0.25] * 3,
    )


def test_exponential_decay_is_continuous_in_the_step():
    ratios = rates(ExponentialDecay(0.5), 3, 4)
    np.testing.assert_allclose(ratios[1:] / ratios[:-1], 0.5**0.25)


@pytest.mark.parametrize("name", NAMED_SCHEDULES)
def test_a_name_is_its_class_with_defaults(name):
    np.testing.assert_array_equal(rates(name, 40, 2), rates(NAMED_SCHEDULES[name](), 40, 2))


@pytest.mark.parametrize("schedule", [CosineAnnealing(), OneCycle(end_factor=0), CosineLog()])
def test_beyond_the_horizon_the_last_factor_stays(schedule):
    started = run(schedule, n_epochs=2)
    started.start_epoch(5)
    started.start_epoch(5)
    np.testing.assert_allclose(started.start_epoch(5), 0, atol=1e-12)


def test_first_step_of_cosine_log_has_rate_zero():
    first, second = rates("cosine_log", 1, 20)[:2]
    assert first == 0 < second


# ---- warm-up ----


def test_warmup_rises_by_equal_parts_to_one():
    np.testing.assert_allclose(
        rates(Warmup(2), 4, 5, horizon=False, initial=0.3),
        0.3 * np.r_[np.arange(1, 11) / 10, np.ones(10)],
    )


def test_warmup_of_a_part_of_an_epoch_hands_over_at_the_next_step():
    """1.5 of an epoch's 5 steps: 1 / 1.5, at most 1, and from step 2 the schedule that follows."""
    factors = rates(Warmup(0.3, ExponentialDecay(0.5)), 2, 5)
    np.testing.assert_allclose(factors[:2], [1 / 1.5, 1])
    np.testing.assert_allclose(factors[2:], 0.5 ** (np.arange(8) / 5))


@pytest.mark.parametrize("n_steps", [1, 3, 7, 10, 49, 100])
def test_warmup_takes_as_many_steps_as_it_says(n_steps):
    """Rounding must not add or drop a step: 0.07 * 100 is above 7 in floating point."""
    for rising in range(1, 2 * n_steps + 1):
        followed_by = Recorder(factor=0.0)
        factors = rates(Warmup(rising / n_steps, lambda *args, f=followed_by: f(*args)), 3, n_steps)
        np.testing.assert_allclose(factors[:rising], np.arange(1, rising + 1) / rising)
        assert not factors[rising:].any()
        n_left = 3 * n_steps - rising
        assert followed_by.calls == [(step, n_left) for step in range(n_left)]


@pytest.mark.parametrize("name", NAMED_SCHEDULES)
@pytest.mark.parametrize("n_rising", [2, 7])
def test_what_follows_a_warmup_has_its_own_epoch_zero_and_horizon(name, n_rising):
    factors = rates(Warmup(n_rising, name), 40, 3)
    np.testing.assert_allclose(
        factors[3 * n_rising :], rates(name, 40 - n_rising, 3), rtol=1e-9, atol=1e-12
    )


def test_what_follows_a_warmup_begins_within_an_epoch():
    """4 of 8 steps rise; a training of 4 steps follows: half an epoch."""
    factors = rates(Warmup(0.5, CosineAnnealing()), 1, 8)
    np.testing.assert_allclose(factors[4:], (1 + np.cos(np.pi * np.arange(4) / 4)) / 2)
    decay = rates(Warmup(0.5, StepDecay(1, 0.5)), 3, 8)
    np.testing.assert_allclose(decay[4:], [1] * 8 + [0.5] * 8 + [0.25] * 4)


def test_step_decay_after_a_warmup_drops_on_time():
    """Positions after a warm-up of odd length carry rounding; a drop must not come a step late."""
    for n_steps in [3, 7, 10, 49]:
        for rising in range(1, n_steps):
            factors = rates(Warmup(rising / n_steps, StepDecay(1, 0.5)), 6, n_steps)
            expected = 0.5 ** (np.arange(6 * n_steps - rising) // n_steps)
            np.testing.assert_allclose(factors[rising:], expected)


def test_warmups_nest():
    factors = rates(Warmup(0.5, Warmup(0.75, CosineAnnealing())), 2, 4)
    expected = [1 / 2, 1, 1 / 3, 2 / 3, 1, 1, 0.75, 0.25]
    np.testing.assert_allclose(factors, expected)


@pytest.mark.parametrize("after", [None, "cosine", "step", quadratic_decay])
def test_warmup_longer_than_training(after):
    np.testing.assert_allclose(rates(Warmup(4, after), 2, 3), np.arange(1, 7) / 12)


@pytest.mark.parametrize("n_epochs", [3, 4])
def test_beyond_a_training_that_was_all_warmup(n_epochs):
    started = run(Warmup(4, "cosine"), n_epochs)
    for _ in range(4):
        assert started.start_epoch(2).all()
    assert not started.start_epoch(2).any()


class Root(Schedule):
    """Not a number before epoch 0."""

    def factors(self, epochs, n_epochs, steps_per_epoch):
        return np.sqrt(epochs)


def test_what_follows_a_warmup_sees_no_negative_epoch():
    for rising in range(1, 200):
        assert rates(Warmup(rising / 49, Root()), rising // 49 + 1, 49)[rising] < 1e-6


# ---- horizons ----


@pytest.mark.parametrize("schedule", [*SPREAD, "cosine", "one_cycle", "cosine_log"], ids=label)
def test_without_a_horizon_what_needs_one_is_refused(schedule):
    if isinstance(schedule, Schedule):
        assert schedule.needs_horizon is True
    with pytest.raises(ValueError, match="partial_fit knows no end of training") as error:
        run(schedule)
    message = str(error.value)
    assert message.startswith(f"learning_rate={schedule!r} spreads")
    for name in SCHEDULE_NAMES:
        said = repr(name) in message.split("Use fit")[1]
        assert said == (name not in {"cosine", "one_cycle", "cosine_log"})


@pytest.mark.parametrize("schedule", UNSPREAD, ids=label)
def test_without_a_horizon_the_others_are_the_same(schedule):
    assert schedule.needs_horizon is False
    np.testing.assert_array_equal(
        rates(schedule, 9, 4, horizon=False), rates(schedule, 9, 4, horizon=True)
    )


@pytest.mark.parametrize("schedule", [CosineAnnealing(), OneCycle(), CosineLog(), Warmup(1, "cosine")])
def test_factors_that_need_a_horizon_say_so(schedule):
    with pytest.raises(ValueError, match="n_epochs is None"):
        schedule.factors(np.arange(3.0), None, 1)


def test_epochs_of_different_lengths():
    """Without a horizon each epoch may have another number of steps."""
    recorder = Recorder()
    started, called = run(ExponentialDecay(0.5)), run(recorder)
    for epoch, n_steps in enumerate([3, 1, 4]):
        np.testing.assert_allclose(
            started.start_epoch(n_steps), 0.5 ** (epoch + np.arange(n_steps) / n_steps)
        )
        called.start_epoch(n_steps)
    assert recorder.calls == [(step, None) for step in range(8)]


# ---- callables ----


@pytest.mark.parametrize("n_epochs", [2, np.int64(2)])
def test_a_callable_is_called_once_per_step_with_ints(n_epochs):
    recorder = Recorder(0.5)
    started = run(recorder, n_epochs, initial=0.1)
    for n_steps in [3, np.int64(3)]:
        np.testing.assert_allclose(started.start_epoch(n_steps), 0.05)
    assert recorder.calls == [(step, 6) for step in range(6)]
    assert {type(value) for call in recorder.calls for value in call} == {int}


def test_a_callable_after_a_warmup_is_given_ints_of_its_own():
    recorder = Recorder(0.5)
    schedule = Warmup(1, lambda *args: recorder(*args))
    np.testing.assert_allclose(rates(schedule, 3, 2), [0.5, 1, 0.5, 0.5, 0.5, 0.5])
    assert recorder.calls == [(step, 4) for step in range(4)]
    assert {type(value) for call in recorder.calls for value in call} == {int}
    recorder.calls.clear()
    rates(schedule, 3, 2, horizon=False)
    assert recorder.calls == [(step, None) for step in range(4)]


@pytest.mark.parametrize(
    "factor", [2, 0.5, np.float32(0.5), np.int8(3), Fraction(1, 2), np.array(0.25)]
)
def test_a_callable_may_return_any_real_number(factor):
    actual = rates(lambda step, total: factor, 2, 2, initial=0.1)
    assert actual.dtype == np.float64
    np.testing.assert_allclose(actual, 0.1 * float(factor))


def test_a_callable_of_the_step():
    np.testing.assert_allclose(rates(quadratic_decay, 2, 2, initial=2.0), [2, 1.125, 0.5, 0.125])


def test_what_a_callable_raises_propagates():
    def broken(step, total_steps):
        raise KeyError("mine")

    for learning_rate in [broken, Warmup(0.5, broken)]:
        with pytest.raises(KeyError, match="mine"):
            run(learning_rate, 1).start_epoch(4)


# ---- what a schedule must not return ----

BAD = [
    (np.nan, ValueError, "nan"),
    (np.inf, ValueError, "inf"),
    (-0.5, ValueError, "-0.5"),
    (-np.inf, ValueError, "-inf"),
    (1.1e10, ValueError, "11000000000.0"),
    (10**400, ValueError, "inf"),
    ("0.1", TypeError, "'0.1'"),
    (None, TypeError, "None"),
    (1j, TypeError, "1j"),
    ([0.1], TypeError, r"\[0.1\]"),
    (np.array([0.1, 0.2]), TypeError, r"array\(\[0.1, 0.2\]\)"),
]


def bad_from(first, value):
    def my_function(step, total_steps):
        return 1.0 if step < first else value

    return my_function


@pytest.mark.parametrize(("value", "kind", "shown"), BAD)
def test_a_bad_factor_of_a_callable_is_named(value, kind, shown):
    started = run(bad_from(5, value), 3, initial=0.1)
    started.start_epoch(4)
    with pytest.raises(kind, match=rf"my_function returned {shown}.* for step 5\. A factor must be"):
        started.start_epoch(4)


@pytest.mark.parametrize(("value", "kind", "shown"), BAD)
def test_a_bad_factor_after_a_warmup_is_named(value, kind, shown):
    """The step is that of the training; the callable has seen 5 steps fewer."""
    started = run(Warmup(1.25, bad_from(2, value)), 3, initial=0.1)
    started.start_epoch(4)
    with pytest.raises(kind, match=rf"Warmup\(.*returned {shown}.* for step 7\. A factor must be"):
        started.start_epoch(4)


@pytest.mark.parametrize(("value", "kind", "shown"), BAD[:9])
def test_a_bad_factor_of_a_schedule_is_named(value, kind, shown):
    started = run(Given([1.0, 0.5, value, value]), 3, initial=0.1)
    with pytest.raises(kind, match=rf"Given\(.* returned {shown}.* for step 2\. A factor must be"):
        started.start_epoch(4)


@pytest.mark.parametrize("values", [1.0, [1.0], [1.0] * 5, np.ones((4, 1))])
def test_a_schedule_must_return_a_factor_per_step(values):
    for schedule in [Given(values), Warmup(1e-9, Given(values))]:
        with pytest.raises(
            ValueError, match=r"Given\(.* returned factors of shape .*one for each step: \(4,\)"
        ):
            run(schedule).start_epoch(4)


def test_a_schedule_may_return_integers():
    actual = run(Given([1, 2, 0]), initial=0.5).start_epoch(3)
    assert actual.dtype == np.float64
    np.testing.assert_array_equal(actual, [0.5, 1, 0])


@pytest.mark.parametrize("initial", [1e-300, 0.001, 1.0, 999_999_999.0])
def test_the_rate_may_not_exceed_a_billion(initial):
    """The limit is on the product, whatever the factor; a billion itself is allowed."""
    for factor in [min(1e9 / initial, 1e308), 0.0]:
        assert rates(Recorder(factor), 1, 1, initial=initial) == factor * initial
    if initial > 1e-300:
        with pytest.raises(ValueError, match=r"step 0.*learning_rate_init=.* at most 1e\+09"):
            rates(lambda step, total: 1.001e9 / initial, 1, 1, initial=initial)


def test_a_refused_epoch_does_not_count():
    factors = {0: 1.0, 1: np.nan}
    started = run(lambda step, total: factors[step])
    with pytest.raises(ValueError, match="step 1"):
        started.start_epoch(2)
    assert started.value == 1.0
    factors[1] = 0.5
    np.testing.assert_array_equal(started.start_epoch(2), [1, 0.5])


# ---- parameters ----

BAD_PARAMETERS = [
    (StepDecay(step_size=0), "'step_size' parameter of StepDecay must be an int in the range"),
    (StepDecay(step_size=1.5), "'step_size' parameter of StepDecay must be an int in the range"),
    (StepDecay(gamma=0), "'gamma' parameter of StepDecay must be a float in the range"),
    (StepDecay(gamma=1.01), "'gamma' parameter of StepDecay must be a float in the range"),
    (ExponentialDecay(gamma=-0.5), "'gamma' parameter of ExponentialDecay"),
    (ExponentialDecay(gamma=np.nan), "'gamma' parameter of ExponentialDecay"),
    (ExponentialDecay(gamma="0.5"), "'gamma' parameter of ExponentialDecay"),
    (CosineAnnealing(min_factor=-0.1), "'min_factor' parameter of CosineAnnealing"),
    (CosineAnnealing(min_factor=1.1), "'min_factor' parameter of CosineAnnealing"),
    (OneCycle(warmup_fraction=1), "'warmup_fraction' parameter of OneCycle"),
    (OneCycle(warmup_fraction=-0.1), "'warmup_fraction' parameter of OneCycle"),
    (OneCycle(start_factor=2), "'start_factor' parameter of OneCycle"),
    (OneCycle(end_factor=-1e-9), "'end_factor' parameter of OneCycle"),
    (CosineLog(n_cycles=0), "'n_cycles' parameter of CosineLog"),
    (CosineLog(n_cycles=2.5), "'n_cycles' parameter of CosineLog"),
    (CosineLog(n_cycles=1001), "'n_cycles' parameter of CosineLog"),
    (Warmup(n_epochs=0), "'n_epochs' parameter of Warmup"),
    (Warmup(n_epochs=np.inf), "'n_epochs' parameter of Warmup"),
    (Warmup(after=StepDecay(gamma=-1)), "'gamma' parameter of StepDecay"),
    (Warmup(after=Warmup(after=OneCycle(end_factor=-1))), "'end_factor' parameter of OneCycle"),
    (Warmup(after="adaptive"), "after must be None, 'step', .*Got 'adaptive'"),
    (Warmup(after=3), "after must be None, 'step', .*f\\(step, total_steps\\).*Got 3"),
    (Warmup(after=StepDecay), r"after must be .*Got the class StepDecay; call it: StepDecay\(\)"),
]


@pytest.mark.parametrize(("schedule", "match"), BAD_PARAMETERS)
def test_bad_parameters_are_refused_when_a_run_begins(schedule, match):
    with pytest.raises((ValueError, TypeError), match=match):
        schedule.validate()
    with pytest.raises((ValueError, TypeError), match=match):
        run(schedule, n_epochs=3)


@pytest.mark.parametrize(
    ("learning_rate", "kind", "got"),
    [
        ("cosin", ValueError, "'cosin'"),
        ("warmup", ValueError, "'warmup'"),
        (None, TypeError, "None"),
        (0.1, TypeError, "0.1"),
        (["cosine"], TypeError, r"\['cosine'\]"),
        (CosineAnnealing, TypeError, r"the class CosineAnnealing; call it: CosineAnnealing\(\)"),
        (Schedule, TypeError, "the class Schedule"),
    ],
)
def test_what_is_no_schedule_is_refused(learning_rate, kind, got):
    names = ", ".join(map(repr, SCHEDULE_NAMES))
    allowed = (
        rf"learning_rate must be {names}, a Schedule such as .* or a callable f\(step, total_steps\)"
    )
    with pytest.raises(kind, match=rf"{allowed}\. Got {got}"):
        run(learning_rate, n_epochs=3)


def test_the_extremes_of_the_parameters_are_usable():
    for schedule in [
        StepDecay(np.int64(1), 1),
        ExponentialDecay(1),
        CosineAnnealing(1),
        OneCycle(0, 0, 1),
        OneCycle(0.999999, 1, 0),
        CosineLog(1000),
        Warmup(1e-12, "one_cycle"),
    ]:
        with np.errstate(all="raise"):
            actual = rates(schedule, 4, 5)
        assert ((actual >= 0) & (actual <= 1)).all()


@pytest.mark.parametrize("kind", CLASSES)
def test_schedules_are_estimators_as_far_as_parameters_go(kind):
    schedule = kind()
    names = schedule.get_params()
    changed = clone(schedule).set_params(**dict.fromkeys(names, 7))
    assert changed.get_params() == dict.fromkeys(names, 7)
    assert kind().get_params() == schedule.get_params() == names
    assert clone(changed).get_params() == changed.get_params()


def test_nested_parameters_are_reached():
    model = Holder(learning_rate=Warmup(2, StepDecay()))
    params = model.get_params()
    assert params["learning_rate__n_epochs"] == 2
    assert params["learning_rate__after__gamma"] == 0.1
    copy = clone(model).set_params(learning_rate__after__gamma=0.5, learning_rate__n_epochs=1)
    assert copy.learning_rate.after.gamma == 0.5
    assert model.learning_rate.after.gamma == 0.1
    np.testing.assert_allclose(
        rates(copy.learning_rate.set_params(after__step_size=1), 3, 1), [1, 1, 0.5]
    )


def test_a_run_does_not_see_later_changes():
    schedule = Warmup(1, ExponentialDecay(0.5))
    started = run(schedule, 4)
    expected = rates(schedule, 4, 2)
    schedule.set_params(n_epochs=3, after__gamma=0.1)
    np.testing.assert_array_equal(np.concatenate([started.start_epoch(2) for _ in range(4)]), expected)


@pytest.mark.parametrize("schedule", SPREAD + UNSPREAD, ids=label)
def test_a_run_does_not_touch_the_schedule(schedule):
    before = repr(schedule), dict(vars(schedule))
    rates(schedule, 2, 2)
    assert (repr(schedule), vars(schedule)) == before


# ---- the rules of scikit-learn ----


@pytest.mark.parametrize("name", ["constant", "invscaling", "adaptive"])
@pytest.mark.parametrize("n_epochs", [20, None])
def test_the_schedules_of_scikit_learn_follow_its_rules(name, n_epochs, capsys):
    """A training of epochs of 37 rows, with a plateau after every other one."""
    theirs = SGDOptimizer([], learning_rate_init=0.2, lr_schedule=name, power_t=0.3)
    ours = run(name, n_epochs, initial=0.2, power_t=0.3)
    went_on = []
    for epoch in range(20):
        expected = theirs.learning_rate
        assert ours.value == expected
        handed_out = ours.start_epoch(4)
        assert handed_out.dtype == np.float64
        assert handed_out.tolist() == [expected] * 4
        ours.end_epoch(37 * (epoch + 1))
        theirs.iteration_ends(37 * (epoch + 1))
        if epoch % 2:
            go_on, message = ours.on_plateau()
            assert go_on is not theirs.trigger_stopping("Plateau.", verbose=True)
            assert capsys.readouterr().out == f"Plateau. {message}\n"
            went_on.append(go_on)
    assert ours.value == theirs.learning_rate
    # 0.2 / 5**8 is below 1e-6.
    assert went_on == [name == "adaptive"] * 8 + [False] * 2


def test_invscaling_by_hand():
    started = run("invscaling", initial=6.0, power_t=0.5)
    assert started.start_epoch(2).tolist() == [6, 6]
    started.end_epoch(8)
    assert started.start_epoch(3).tolist() == [2, 2, 2]


@pytest.mark.parametrize("learning_rate", [*NAMED_SCHEDULES, quadratic_decay])
def test_value_is_the_rate_last_handed_out(learning_rate):
    started = run(learning_rate, 3, initial=0.2)
    assert started.value == 0.2
    for _ in range(3):
        last = started.start_epoch(4)[-1]
        assert started.value == last
        started.end_epoch(100)
        assert started.value == last
        assert type(started.value) is float


@pytest.mark.parametrize("learning_rate", [*NAMED_SCHEDULES, quadratic_decay])
def test_a_plateau_ends_training(learning_rate):
    assert run(learning_rate, 3).on_plateau() == (False, "Stopping.")


# ---- copies ----


@pytest.mark.parametrize("copy", [deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
@pytest.mark.parametrize(
    "learning_rate", [*SCHEDULE_NAMES, Warmup(2.5, "cosine"), quadratic_decay], ids=label
)
def test_copies_go_on_where_the_original_is(learning_rate, copy):
    started = run(learning_rate, 6, initial=0.2)
    for epoch in range(3):
        started.start_epoch(4)
        started.end_epoch(10 * epoch)
    started.on_plateau()
    copied = copy(started)
    expected = started.start_epoch(4).copy()
    np.testing.assert_array_equal(copied.start_epoch(4), expected)
    assert not np.array_equal(expected, run(learning_rate, 6, initial=0.2).start_epoch(4)) or (
        learning_rate in ("constant", "step")  # these have not moved yet
    )


# ---- the table and the examples ----


def test_names():
    scikit_learn = {"constant", "invscaling", "adaptive"}
    assert sorted(SCHEDULE_NAMES) == sorted(scikit_learn | set(NAMED_SCHEDULES))
    assert set(schedules.__all__) == {"Schedule", *(kind.__name__ for kind in CLASSES)}
