"""The loops around the kernels: epochs of a stochastic solver, iterations of L-BFGS.

Both train a network in place, keep scikit-learn's record of it and return the warnings that are due;
the caller emits them when the trained network is safely attached.
"""

import warnings
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import scipy.optimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.optimize import _check_optimize_result

from sklearn_mlp._epoch import Samples, Trainer
from sklearn_mlp._loss import Loss
from sklearn_mlp._memory import empty_vector
from sklearn_mlp._network import Network
from sklearn_mlp._optim import Optimizer, OptimizerState
from sklearn_mlp._schedules import Constant

NON_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)


@dataclass
class Record:
    """What scikit-learn's fitted attributes report; it lives on in a warm start."""

    t: int = 0
    n_iter: int = 0
    loss: float = np.nan
    loss_curve: list = field(default_factory=list)
    best_loss: float | None = np.inf
    validation_scores: list | None = None
    best_validation_score: float | None = None
    no_improvement_count: int = 0

    def watch(self, validating):
        """Keep count of the loss or of validation scores, whichever `fit` now goes by."""
        if validating and self.validation_scores is None:
            self.validation_scores, self.best_validation_score = [], -np.inf
        if validating:
            self.best_loss = None
        elif self.best_loss is None:
            self.validation_scores = self.best_validation_score = None
            self.best_loss = np.inf

    def add(self, n_rows, loss, score, tol):
        """Add an epoch; return whether its validation score is the best so far."""
        self.n_iter += 1
        self.t += n_rows
        self.loss = loss
        self.loss_curve.append(loss)
        if self.validation_scores is None:
            self._count(loss > self.best_loss - tol)
            self.best_loss = min(self.best_loss, loss)
            return False
        self.validation_scores.append(score)
        self._count(score < self.best_validation_score + tol)
        better = score > self.best_validation_score
        if better:
            self.best_validation_score = score
        return better

    def _count(self, stalled):
        self.no_improvement_count = self.no_improvement_count + 1 if stalled else 0

    def print_last(self):
        print(f"Iteration {self.n_iter}, loss = {self.loss:.8f}")
        if self.validation_scores is not None:
            print(f"Validation score: {self.validation_scores[-1]:f}")


@dataclass
class OptimizerRun:
    """An optimizer under way: its settings, its state and its learning rate.

    The settings are those of the call that began it: as in scikit-learn, `partial_fit` goes on with
    them.
    """

    settings: Optimizer
    state: OptimizerState
    schedule: Constant

    @property
    def learning_rate(self):
        return self.schedule.value


@dataclass(kw_only=True)
class Training:
    """What both kinds of solver train with. The network is trained in place.

    Constructing one allocates everything that training needs; `take` then says which rows to train
    on, and `run` trains.

    Parameters
    ----------
    network : Network
    samples : Samples
    loss : Loss
    record : Record
        Extended by the epochs or iterations.
    batch_rows : int
        Rows per batch; for L-BFGS, which has no batches, rows taken at a time.
    permuted : bool
        Whether the rows are given to `take` in an order of their own.
    validating : bool
        Whether a validation score is watched and its best parameters are kept.
    alpha : float
        Strength of the L2 term.
    max_iter, tol, n_iter_no_change, verbose
        The estimator's parameters.
    """

    network: Network
    samples: Samples
    loss: Loss
    record: Record
    batch_rows: int
    permuted: bool
    validating: bool
    alpha: float
    max_iter: int
    tol: float
    n_iter_no_change: float
    verbose: bool
    optimizer = None

    def __post_init__(self):
        self.trainer = Trainer(
            self.network.layers,
            self.network.params,
            self.samples,
            self.loss,
            self.optimizer and self.optimizer.settings,
            self.optimizer and self.optimizer.state,
            batch_rows=self.batch_rows,
            alpha=self.alpha,
            gather=self.permuted,
        )
        params = self.network.params
        self.best = empty_vector(params.size, params.dtype) if self.validating else None

    def take(self, rows, mean_weight, validate, random_state):
        """Train on these rows.

        Parameters
        ----------
        rows : ndarray of shape (n_rows,), dtype intp, or None
            The training rows, shuffled in place where the solver shuffles; None: all, in order.
        mean_weight : float
            Mean sample weight of the training rows.
        validate : callable or None
            Returns the validation score of the network as it is.
        random_state : RandomState
            Shuffles the rows.
        """
        self.rows, self.validate, self.random_state = rows, validate, random_state
        self.n_rows = self.samples.n_rows if rows is None else rows.size
        self.mean_weight = self.trainer.mean_weight = mean_weight
        self.improved = False
        if self.validating:
            self.best[:] = self.network.params

    def run(self):
        """Train; return the warnings that are due, as functions without arguments.

        Raises
        ------
        ValueError
            If the loss or the parameters became non-finite and no validated parameters are left.
        KeyboardInterrupt
            If it arrives before the first epoch or iteration is done.
        """
        self.record.n_iter = 0
        try:
            notes = self._run()
        except KeyboardInterrupt:
            if self.record.n_iter == 0:
                raise
            self._interrupted()
            notes = [partial(warnings.warn, "Training interrupted by user.")]
        if self.improved:
            self.network.params[:] = self.best
        return notes

    def _interrupted(self):
        pass

    def _add(self, n_rows, loss):
        score = self.validate() if self.validating else None
        if self.record.add(n_rows, loss, score, self.tol):
            self.best[:] = self.network.params
            self.improved = True
        if self.verbose:
            self.record.print_last()

    def _stalled(self):
        """Whether the record has not improved for too long; if so, in words."""
        if not self.record.no_improvement_count > self.n_iter_no_change:
            return None
        what = "Validation score" if self.validating else "Training loss"
        return (
            f"{what} did not improve more than tol={self.tol:f} for {self.n_iter_no_change:d} "
            "consecutive epochs. "
        )

    def _diverged(self, n_rows, where):
        """Raise, unless there are validated parameters to go back to: then return a warning."""
        record = self.record
        if not self.validating or record.best_validation_score == -np.inf:
            raise ValueError(f"{NON_FINITE} It happened in {where}.")
        record.add(n_rows, np.nan, np.nan, self.tol)
        self.improved = True  # whatever it was that set the best score, it beats NaN
        return partial(
            warnings.warn,
            f"Training diverged in {where}: the loss or the parameters became non-finite. The "
            "parameters with the best validation score are kept.",
            ConvergenceWarning,
        )


@dataclass(kw_only=True)
class StochasticTraining(Training):
    """Epochs of mini-batches.

    Parameters
    ----------
    optimizer : OptimizerRun
    shuffle : bool
    loss_scale : float
        Factor from the sum of the losses of all outputs to the loss that is reported.
    incremental : bool
        Whether one epoch is all, and no warning is due that there were no more.
    """

    optimizer: OptimizerRun
    shuffle: bool
    loss_scale: float
    incremental: bool

    def _run(self):
        rates = np.empty(-(-self.n_rows // self.batch_rows))
        schedule = self.optimizer.schedule
        for _ in range(self.max_iter):
            if self.shuffle:
                self.random_state.shuffle(self.rows)
            rates.fill(schedule.value)
            if not self._epoch(rates):
                epoch = f"epoch {self.record.n_iter + 1}, with learning rate {schedule.value:g}"
                return [self._diverged(self.n_rows, epoch)]
            loss = self.loss_scale * self.trainer.loss_sum + self.trainer.penalty_sum
            self._add(self.n_rows, loss / (self.n_rows * self.mean_weight))
            schedule.end_epoch(self.record.t)
            if self._stop() or self.incremental:
                return []
        return [
            partial(
                warnings.warn,
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the "
                "optimization hasn't converged yet.",
                ConvergenceWarning,
            )
        ]

    def _epoch(self, rates):
        """Train on every batch once; return whether all stayed finite."""
        self.trainer.start_epoch()
        done = 0
        while done < rates.shape[0]:
            done = self.trainer.train_batches(self.rows, self.n_rows, done, rates)
            if not self.trainer.is_finite():
                return False
        return True

    def _stop(self):
        message = self._stalled()
        if message is None:
            return False
        go_on, consequence = self.optimizer.schedule.on_plateau()
        if self.verbose:
            print(message + consequence)
        if go_on:
            self.record.no_improvement_count = 0
        return not go_on


@dataclass(kw_only=True)
class LBFGSTraining(Training):
    """Iterations of SciPy's L-BFGS-B on the loss of all rows.

    Parameters
    ----------
    max_fun : int
        Largest number of evaluations of the loss.
    """

    max_fun: int

    def _run(self):
        self._halted = False
        result = scipy.optimize.minimize(
            self._objective,
            self.network.params.astype(np.float64),
            method="L-BFGS-B",
            jac=True,
            callback=self._iteration_done,
            options={"maxfun": self.max_fun, "maxiter": self.max_iter, "gtol": self.tol},
        )
        self.network.params[:] = result.x
        self.record.n_iter = min(result.nit, self.max_iter)
        self.record.loss = result.fun
        if not np.isfinite(self.network.params).all():
            return [self._diverged(0, f"iteration {self.record.n_iter}")]
        if self._halted:
            return []
        return [partial(_check_optimize_result, "lbfgs", result, self.max_iter)]

    def _objective(self, params):
        """The penalised loss of all rows and its gradient, in float64."""
        network, trainer = self.network, self.trainer
        network.params[:] = params
        trainer.loss_and_gradient(self.rows, self.n_rows)
        divisor = self.n_rows * self.mean_weight
        weights = network.params[: network.layers.n_weights].astype(np.float64)
        gradient = trainer.gradient.astype(np.float64)
        gradient[: weights.size] += (self.alpha / divisor) * weights
        penalty = 0.5 * self.alpha * np.dot(weights, weights)
        return (trainer.loss_sum + penalty) / divisor, gradient

    def _iteration_done(self, intermediate_result):
        self._last = intermediate_result.x
        if self.validating:
            self.network.params[:] = self._last
        self._add(0, float(intermediate_result.fun))
        message = self._stalled()
        if self.validating and message is not None:
            self._halted = True
            if self.verbose:
                print(message + "Stopping.")
            raise StopIteration

    def _interrupted(self):
        self.network.params[:] = self._last
