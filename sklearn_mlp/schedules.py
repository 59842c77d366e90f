"""Learning-rate schedules that act on every step.

The parameter `learning_rate` of an estimator takes the name of a schedule, an object of one of these
classes, or a function ``f(step, total_steps)``. All but 'constant', 'invscaling' and 'adaptive' give
a factor for each step, that is for each mini-batch; the rate is the factor times `learning_rate_init`.

A function is called once per step, in order, with two ints: the step, counted from 0 since training
began, and the steps of the whole training, which is None in `partial_fit`. Each call of `partial_fit`
is an epoch.

Some schedules spread over the whole of training: `max_iter` epochs. Training that stops early leaves
the rest of them unused.
"""

from __future__ import annotations

import reprlib
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from math import ceil
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils._param_validation import Interval

from sklearn_mlp._typing import Array, ScheduleFunction

__all__ = [
    "CosineAnnealing",
    "CosineLog",
    "ExponentialDecay",
    "OneCycle",
    "Schedule",
    "StepDecay",
    "Warmup",
]

# Above this no step of any solver means anything.
LEARNING_RATE_LIMIT = 1e9

# Part of a step: a position that rounding has put less than this before a boundary is at the boundary.
SLACK = 1e-6


def _fraction_done(epochs: Array, n_epochs: float | None) -> Array:
    """The fraction of training done, 1 beyond its end."""
    if n_epochs is None:
        raise ValueError(
            "n_epochs is None, and this schedule spreads over the whole of training; give the number "
            "of its epochs."
        )
    return np.clip(epochs / n_epochs, 0, 1) if n_epochs > 0 else np.ones_like(epochs)


def _half_cosine(x: Array, low: float | Array) -> Array:
    """From 1 at x = 0 down to `low` at x = 1."""
    return low + (1 - low) * (1 + np.cos(np.pi * x)) / 2


class Schedule(BaseEstimator, ABC):
    """Base class of schedules.

    A schedule only stores its parameters, so that one object serves any number of estimators. A
    subclass defines `factors`, and sets `needs_horizon` if it has to know when training ends.

    Attributes
    ----------
    needs_horizon : bool
        Whether the factors depend on the length of training, `max_iter` epochs. `partial_fit`, which
        does not know it, refuses such a schedule.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlp.schedules import Schedule
    >>> class InverseRoot(Schedule):
    ...     def __init__(self, offset=1):
    ...         self.offset = offset
    ...
    ...     def factors(self, epochs, n_epochs, steps_per_epoch):
    ...         return np.sqrt(self.offset / (self.offset + epochs))
    >>> InverseRoot().factors(np.array([0.0, 3.0]), None, 1)
    array([1. , 0.5])
    """

    _parameter_constraints: dict[str, Any] = {}  # noqa: RUF012
    needs_horizon: bool = False

    @abstractmethod
    def factors(self, epochs: Array, n_epochs: float | None, steps_per_epoch: int) -> Array:
        """Factors of the initial learning rate.

        Parameters
        ----------
        epochs : ndarray of shape (n_steps,), dtype float64
            Where the steps begin, in epochs since training began: ``e + i / steps_per_epoch`` for
            step i of epoch e, both counted from 0.
        n_epochs : float or None
            Epochs of the whole training; None if it is not known.
        steps_per_epoch : int

        Returns
        -------
        ndarray of shape (n_steps,), dtype float64
        """

    def validate(self) -> None:
        """Check the parameters.

        Raises
        ------
        ValueError, TypeError
            If one is not what it may be.
        """
        self._validate_params()


class StepDecay(Schedule):
    """The rate times `gamma` every `step_size` epochs.

    The factor is ``gamma ** floor(epoch / step_size)``, constant within an epoch.

    Parameters
    ----------
    step_size : int, default=30
        Epochs, not steps, from one drop to the next.
    gamma : float, default=0.1
        Factor of each drop, above 0 and at most 1.

    References
    ----------
    He, Zhang, Ren and Sun (2016), "Deep residual learning for image recognition", arXiv:1512.03385
    (drops by 10).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlp.schedules import StepDecay
    >>> StepDecay(step_size=2, gamma=0.5).factors(np.arange(5.0), None, 1)
    array([1.  , 1.  , 0.5 , 0.5 , 0.25])
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012
        "step_size": [Interval(Integral, 1, None, closed="left")],
        "gamma": [Interval(Real, 0, 1, closed="right")],
    }

    def __init__(self, step_size: int = 30, gamma: float = 0.1) -> None:
        self.step_size = step_size
        self.gamma = gamma

    def factors(self, epochs: Array, n_epochs: float | None, steps_per_epoch: int) -> Array:
        return self.gamma ** np.floor((epochs + SLACK / steps_per_epoch) / self.step_size)


class ExponentialDecay(Schedule):
    """The rate times `gamma` in the course of each epoch.

    The factor is ``gamma ** epoch``, where the position in epochs grows with each step.

    Parameters
    ----------
    gamma : float, default=0.95
        Factor of an epoch, above 0 and at most 1.

    References
    ----------
    Senior, Heigold, Ranzato and Yang (2013), "An empirical study of learning rates in deep neural
    networks for speech recognition", ICASSP (exponential scheduling).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlp.schedules import ExponentialDecay
    >>> ExponentialDecay(gamma=0.25).factors(np.array([0, 0.5, 1, 1.5]), None, 2)
    array([1.   , 0.5  , 0.25 , 0.125])
    """

    _parameter_constraints: dict[str, Any] = {"gamma": [Interval(Real, 0, 1, closed="right")]}  # noqa: RUF012

    def __init__(self, gamma: float = 0.95) -> None:
        self.gamma = gamma

    def factors(self, epochs: Array, n_epochs: float | None, steps_per_epoch: int) -> Array:
        return self.gamma**epochs


class CosineAnnealing(Schedule):
    """Half a cosine from the initial rate down to `min_factor` of it.

    With t the fraction of training done, the factor is
    ``min_factor + (1 - min_factor) * (1 + cos(pi * t)) / 2``: the schedule of Loshchilov and Hutter,
    without restarts. Training is `max_iter` epochs.

    Parameters
    ----------
    min_factor : float, default=0
        Factor at the end of training, from 0 to 1.

    References
    ----------
    Loshchilov and Hutter (2017), "SGDR: Stochastic gradient descent with warm restarts",
    arXiv:1608.03983.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlp.schedules import CosineAnnealing
    >>> CosineAnnealing(min_factor=0.2).factors(np.array([0.0, 5.0, 10.0]), 10, 1)
    array([1. , 0.6, 0.2])
    """

    _parameter_constraints: dict[str, Any] = {"min_factor": [Interval(Real, 0, 1, closed="both")]}  # noqa: RUF012
    needs_horizon = True

    def __init__(self, min_factor: float = 0) -> None:
        self.min_factor = min_factor

    def factors(self, epochs: Array, n_epochs: float | None, steps_per_epoch: int) -> Array:
        return _half_cosine(_fraction_done(epochs, n_epochs), self.min_factor)


class OneCycle(Schedule):
    """Up to the initial rate, then down to almost nothing: the 1cycle policy with cosines.

    With t the fraction of training done and w = `warmup_fraction`, the factor is

    - ``start_factor + (1 - start_factor) * (1 - cos(pi * t / w)) / 2`` for t < w,
    - ``end_factor + (1 - end_factor) * (1 + cos(pi * (t - w) / (1 - w))) / 2`` after that.

    `learning_rate_init` is the largest rate. Smith and Topin move the rate along straight lines and
    the momentum against it. Here the curves are cosines, which is now usual, and the momentum is not
    cycled: it stays what the estimator says. Training is `max_iter` epochs.

    Parameters
    ----------
    warmup_fraction : float, default=0.3
        Fraction of training in which the rate rises, at least 0 and below 1.
    start_factor : float, default=0.04
        Factor of the first step, from 0 to 1.
    end_factor : float, default=4e-6
        Factor at the end of training, from 0 to 1.

    References
    ----------
    Smith and Topin (2018), "Super-convergence: Very fast training of neural networks using large
    learning rates", arXiv:1708.07120.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlp.schedules import OneCycle
    >>> OneCycle(end_factor=0).factors(np.array([0.0, 15.0, 30.0, 65.0, 100.0]), 100, 1)
    array([0.04, 0.52, 1.  , 0.5 , 0.  ])
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012
        "warmup_fraction": [Interval(Real, 0, 1, closed="left")],
        "start_factor": [Interval(Real, 0, 1, closed="both")],
        "end_factor": [Interval(Real, 0, 1, closed="both")],
    }
    needs_horizon = True

    def __init__(
        self, warmup_fraction: float = 0.3, start_factor: float = 0.04, end_factor: float = 4e-6
    ) -> None:
        self.warmup_fraction = warmup_fraction
        self.start_factor = start_factor
        self.end_factor = end_factor

    def factors(self, epochs: Array, n_epochs: float | None, steps_per_epoch: int) -> Array:
        t, peak = _fraction_done(epochs, n_epochs), self.warmup_fraction
        rising = t < peak
        from_peak = np.where(rising, 1 - t / (peak or 1), (t - peak) / (1 - peak))
        return _half_cosine(from_peak, np.where(rising, self.start_factor, self.end_factor))


class CosineLog(Schedule):
    """Cosine waves, each twice as long as the one before.

    With t the fraction of training done and n = `n_cycles`, the factor is
    ``(1 - cos(2 * pi * log2(1 + (2**n - 1) * t))) / 2``. It rises from 0 to 1 and falls back to 0 in
    each cycle; the first step has rate 0. RealMLP uses it with 4 cycles. Training is `max_iter`
    epochs.

    Parameters
    ----------
    n_cycles : int, default=4
        Number of cycles, from 1 to 1000.

    References
    ----------
    Holzmüller, Grinsztajn and Steinwart (2024), "Better by default: Strong pre-tuned MLPs and boosted
    trees on tabular data", arXiv:2407.04491.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlp.schedules import CosineLog
    >>> ends_of_cycles = np.array([0.0, 1.0, 3.0, 7.0, 15.0])
    >>> bool(np.allclose(CosineLog().factors(ends_of_cycles, 15, 1), 0))
    True
    """

    _parameter_constraints: dict[str, Any] = {"n_cycles": [Interval(Integral, 1, 1000, closed="both")]}  # noqa: RUF012
    needs_horizon = True

    def __init__(self, n_cycles: int = 4) -> None:
        self.n_cycles = n_cycles

    def factors(self, epochs: Array, n_epochs: float | None, steps_per_epoch: int) -> Array:
        t = _fraction_done(epochs, n_epochs)
        return (1 - np.cos(2 * np.pi * np.log2(1 + (2.0**self.n_cycles - 1) * t))) / 2


class Warmup(Schedule):
    """A linear rise of the rate, then another schedule.

    Step i, counted from 0, has the factor ``(i + 1) / (n_epochs * steps_per_epoch)``, at most 1,
    during the first `n_epochs`. The first step after that begins epoch 0 of `after`, which is spread
    over the rest of training.

    Parameters
    ----------
    n_epochs : float, default=5
        Epochs of the rise, above 0; need not be a whole number.
    after : {'step', 'exponential', 'cosine', 'one_cycle', 'cosine_log'}, Schedule, callable or \
            None, default=None
        What follows; None: the initial rate. The steps that a callable is given, and their total, are
        counted from the end of the rise.

    References
    ----------
    Goyal et al. (2017), "Accurate, large minibatch SGD: Training ImageNet in 1 hour",
    arXiv:1706.02677 (section 2.2, gradual warmup).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlp.schedules import StepDecay, Warmup
    >>> schedule = Warmup(n_epochs=2, after=StepDecay(step_size=1, gamma=0.5))
    >>> schedule.factors(np.arange(0, 4, 0.5), None, 2)
    array([0.25, 0.5 , 0.75, 1.  , 1.  , 1.  , 0.5 , 0.5 ])
    """

    _parameter_constraints: dict[str, Any] = {"n_epochs": [Interval(Real, 0, np.inf, closed="neither")]}  # noqa: RUF012

    def __init__(
        self, n_epochs: float = 5, after: str | Schedule | ScheduleFunction | None = None
    ) -> None:
        self.n_epochs = n_epochs
        self.after = after

    @property
    def needs_horizon(self) -> bool:  # type: ignore[override]
        """Whether `after` depends on the length of training."""
        return getattr(self._resolved_after(), "needs_horizon", False)

    def validate(self) -> None:
        """Check the parameters, those of `after` included.

        Raises
        ------
        ValueError, TypeError
            If one is not what it may be.
        """
        super().validate()
        after = self._resolved_after()
        if isinstance(after, Schedule):
            after.validate()

    def factors(self, epochs: Array, n_epochs: float | None, steps_per_epoch: int) -> Array:
        rise = self.n_epochs * steps_per_epoch
        n_rising = ceil(rise - SLACK)
        steps = epochs * steps_per_epoch
        rising = steps < n_rising - SLACK
        if rising.all():
            return np.minimum((steps + 1) / rise, 1)
        rest = self._factors_after(steps[~rising] - n_rising, n_epochs, n_rising, steps_per_epoch)
        factors = np.empty(epochs.shape, dtype=rest.dtype)
        factors[rising] = np.minimum((steps[rising] + 1) / rise, 1)
        factors[~rising] = rest
        return factors

    def _factors_after(
        self, steps: Array, n_epochs: float | None, n_rising: int, steps_per_epoch: int
    ) -> Array:
        """Factors of steps that are counted from the end of the rise."""
        after = self._resolved_after()
        if after is None:
            return np.ones(steps.shape)
        steps = np.maximum(steps, 0)  # rounding may have left the first a little below
        if not isinstance(after, Schedule):
            total = None if n_epochs is None else round(n_epochs * steps_per_epoch) - n_rising
            return _call(after, np.rint(steps).astype(int).tolist(), total)
        n_left = None if n_epochs is None else n_epochs - n_rising / steps_per_epoch
        return _factors(after, steps / steps_per_epoch, n_left, steps_per_epoch)

    def _resolved_after(self) -> Schedule | ScheduleFunction | None:
        return None if self.after is None else _resolve("after", self.after, ("None", *_NAMED))


NAMED_SCHEDULES: dict[str, type[Schedule]] = {
    "step": StepDecay,
    "exponential": ExponentialDecay,
    "cosine": CosineAnnealing,
    "one_cycle": OneCycle,
    "cosine_log": CosineLog,
}
_NAMED = tuple(repr(name) for name in NAMED_SCHEDULES)


def _resolve(parameter: str, value: Any, names: Iterable[str]) -> Schedule | ScheduleFunction:
    """The schedule of that name, or else the schedule or function that `value` is."""
    if isinstance(value, str) and value in NAMED_SCHEDULES:
        return NAMED_SCHEDULES[value]()
    if isinstance(value, Schedule):
        return value
    is_class = isinstance(value, type) and issubclass(value, Schedule)
    if callable(value) and not is_class:
        return value  # type: ignore[no-any-return]
    got = f"the class {value.__name__}; call it: {value.__name__}()" if is_class else repr(value)
    kind = ValueError if isinstance(value, str) else TypeError
    raise kind(
        f"{parameter} must be {', '.join(names)}, a Schedule such as StepDecay(step_size=10), or a "
        f"callable f(step, total_steps). Got {got}."
    )


def _call(function: ScheduleFunction, steps: Iterable[int], total_steps: int | None) -> Array:
    """What a user's function returns."""
    return _numbers([function(step, total_steps) for step in steps])


def _numbers(values: Iterable[object]) -> Array:
    """These values as float64, or as objects if some are not numbers."""
    numbers = [_number(value) for value in values]
    if all(type(number) is float for number in numbers):
        return np.array(numbers)
    objects = np.empty(len(numbers), dtype=object)
    for i, number in enumerate(numbers):  # all at once, arrays among them would be unpacked
        objects[i] = number
    return objects


def _number(value: object) -> object:
    """A real number as a float, infinite if it is too large for one; anything else as it is."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    try:
        return float(value) if isinstance(value, Real) else value
    except OverflowError:
        return np.inf


def _factors(schedule: Schedule, epochs: Array, n_epochs: float | None, steps_per_epoch: int) -> Array:
    """What a schedule, maybe a user's, returns: numbers, or objects if some are not."""
    returned = schedule.factors(epochs, n_epochs, steps_per_epoch)
    factors = np.asarray(returned)
    if factors.shape != epochs.shape:
        raise ValueError(
            f"The learning-rate schedule {_name(schedule)} returned factors of shape {factors.shape}; "
            f"there must be one for each step: {epochs.shape}."
        )
    return factors if factors.dtype.kind in "fiu" else _numbers(returned)


def _name(schedule: object) -> str:
    """A schedule or function in an error message, on one line."""
    return getattr(schedule, "__qualname__", None) or " ".join(repr(schedule).split())


# Schedules under way. `start_epoch` hands out the rates of the coming epoch; `end_epoch` is told the
# number of rows seen so far; `on_plateau` is told that training no longer improves and answers whether
# to go on, and what to say.


class Run:
    """What one training remembers of its schedule; `value` is the rate in use."""

    has_end = False  # whether the last epoch is where it was meant to lead

    def __init__(self, initial: float) -> None:
        self.initial = initial
        self.value = float(initial)

    def end_epoch(self, n_rows_seen: int) -> None:
        pass

    def on_plateau(self) -> tuple[bool, str]:
        return False, "Stopping."


class Constant(Run):
    """The initial rate throughout."""

    def __init__(self, initial: float, power_t: float) -> None:
        super().__init__(initial)
        self.power_t = power_t
        self._rates: Array | None = None

    def start_epoch(self, n_steps: int) -> Array:
        """The same array each time, refilled."""
        if self._rates is None or self._rates.shape[0] != n_steps:
            self._rates = np.empty(n_steps)
        self._rates.fill(self.value)
        return self._rates

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_rates": None}


class InvScaling(Constant):
    """initial / (rows seen + 1) ** power_t, which `value` becomes at the end of an epoch."""

    def end_epoch(self, n_rows_seen: int) -> None:
        self.value = float(self.initial) / (n_rows_seen + 1) ** self.power_t


class Adaptive(Constant):
    """A fifth of the rate at each plateau, until it is at most 1e-6."""

    def on_plateau(self) -> tuple[bool, str]:
        if self.value <= 1e-6:
            return False, "Learning rate too small. Stopping."
        self.value /= 5.0
        return True, f"Setting learning rate to {self.value:f}"


class PerStep(Run):
    """Factors of the initial rate by a `Schedule` or a user's function.

    Parameters
    ----------
    initial : float
    schedule : Schedule or callable
    n_epochs : int or None
        Epochs of the whole training; None if it is not known.
    """

    def __init__(
        self, initial: float, schedule: Schedule | ScheduleFunction, n_epochs: int | None
    ) -> None:
        super().__init__(initial)
        self.schedule = schedule
        self.has_end = isinstance(schedule, Schedule) and schedule.needs_horizon
        self.n_epochs = None if n_epochs is None else int(n_epochs)
        self.epoch = self.step = 0

    def start_epoch(self, n_steps: int) -> Array:
        """A new array each time."""
        n_steps = int(n_steps)  # a callable is promised ints
        factors = self._checked(self._factors(n_steps))
        self.epoch += 1
        self.step += n_steps
        rates = factors * float(self.initial)
        self.value = float(rates[-1])
        return rates

    def _factors(self, n_steps: int) -> Array:
        if isinstance(self.schedule, Schedule):
            epochs = self.epoch + np.arange(n_steps) / n_steps
            return _factors(self.schedule, epochs, self.n_epochs, n_steps)
        total = None if self.n_epochs is None else self.n_epochs * n_steps
        return _call(self.schedule, range(self.step, self.step + n_steps), total)

    def _checked(self, factors: Array) -> Array:
        """As float64; raise for the first step whose factor cannot be one."""
        limit = min(LEARNING_RATE_LIMIT / float(self.initial), sys.float_info.max)
        if factors.dtype == object:
            good = np.array([type(factor) is float and 0 <= factor <= limit for factor in factors])
        else:
            good = (factors >= 0) & (factors <= limit)  # NaN is neither
        if good.all():
            return factors.astype(np.float64, copy=False)
        first = int(good.argmin())
        factor = factors.item(first)
        raise (ValueError if isinstance(factor, Real) else TypeError)(
            f"The learning-rate schedule {_name(self.schedule)} returned {reprlib.repr(factor)} for "
            f"step {self.step + first}. A factor must be a real number, finite and at least 0, and its "
            f"product with learning_rate_init={self.initial:g} at most {LEARNING_RATE_LIMIT:g}."
        )


_RUNS: dict[str, type[Constant]] = {
    "constant": Constant,
    "invscaling": InvScaling,
    "adaptive": Adaptive,
}
SCHEDULE_NAMES = (*_RUNS, *NAMED_SCHEDULES)


def make_run(
    learning_rate: str | Schedule | ScheduleFunction,
    *,
    initial: float,
    power_t: float,
    n_epochs: int | None,
) -> Run:
    """Begin a schedule.

    A `Schedule` is copied, so that changing it later does not touch the run. A function is not: what
    it remembers is its owner's business.

    Parameters
    ----------
    learning_rate : str, Schedule or callable
        The estimator's parameter.
    initial : float
        The initial rate.
    power_t : float
        Exponent of 'invscaling'.
    n_epochs : int or None
        Epochs of the whole training; None in `partial_fit`.

    Returns
    -------
    Run
    """
    if isinstance(learning_rate, str) and learning_rate in _RUNS:
        return _RUNS[learning_rate](initial, power_t)
    schedule = _resolve("learning_rate", learning_rate, [repr(name) for name in SCHEDULE_NAMES])
    if isinstance(schedule, Schedule):
        schedule.validate()
        if n_epochs is None and schedule.needs_horizon:
            raise ValueError(_no_horizon(learning_rate))
        schedule = clone(schedule)
    return PerStep(initial, schedule, n_epochs)


def _no_horizon(learning_rate: object) -> str:
    names = [*_RUNS, *(name for name, kind in NAMED_SCHEDULES.items() if not kind.needs_horizon)]
    return (
        f"learning_rate={_name(learning_rate)} spreads over the whole of training, and partial_fit "
        f"knows no end of training. Use fit, or with partial_fit one of {', '.join(map(repr, names))}, "
        "an object of their classes, a Warmup that is followed by one of these, or a callable, for "
        "which total_steps is None."
    )
