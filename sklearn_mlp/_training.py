"""The loops around the kernels: epochs of a stochastic solver, iterations of L-BFGS.

Both train a network in place, keep a record of it and return the warnings that are due; the caller
emits them when the trained network is safely attached.
"""

import warnings
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter

import numpy as np
import scipy.optimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.optimize import _check_optimize_result

from sklearn_mlp._blas import CALLS_BLAS
from sklearn_mlp._epoch import Samples, Trainer, shuffle
from sklearn_mlp._loss import Loss
from sklearn_mlp._memory import empty_vector
from sklearn_mlp._network import Network
from sklearn_mlp._optim import Optimizer, OptimizerState
from sklearn_mlp._report import FitReport
from sklearn_mlp._threads import n_threads_for, team
from sklearn_mlp.schedules import Run

NON_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)
# Inputs of a layer whose rate "fan_in" leaves as it is.
WIDTH = 256
REMEDY = (
    "Scale the data (StandardScaler); with a solver other than 'lbfgs' also try a smaller "
    "learning_rate_init, or max_grad_norm."
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

    def watch(self, scored, early_stopping, last_best):
        """Keep validation scores if `scored`; stop by them with `early_stopping`, else by the loss.

        Of epochs whose scores are equal the first is the best one, with `last_best` the last.
        """
        self.early_stopping, self.last_best = early_stopping, last_best
        if not scored:
            self.validation_scores = self.best_validation_score = None
        elif self.validation_scores is None:
            self.validation_scores, self.best_validation_score = [], -np.inf
        if early_stopping:
            self.best_loss = None
        elif self.best_loss is None:
            self.best_loss = np.inf

    def add(self, n_rows, loss, score, tol):
        """Add an epoch; return whether its validation score is the best so far."""
        self.n_iter += 1
        self.t += n_rows
        self.loss = loss
        self.loss_curve.append(loss)
        if self.early_stopping:
            # Written so that a NaN counts as no improvement.
            self._count(not score >= self.best_validation_score + tol)
        else:
            self._count(loss > self.best_loss - tol)
            self.best_loss = min(self.best_loss, loss)
        if self.validation_scores is None:
            return False
        self.validation_scores.append(score)
        better = score > self.best_validation_score
        better |= self.last_best and score == self.best_validation_score
        if better:
            self.best_validation_score = score
        return better

    def _count(self, stalled):
        self.no_improvement_count = self.no_improvement_count + 1 if stalled else 0


@dataclass
class OptimizerRun:
    """An optimizer under way: its settings, its state and its learning rate.

    The settings are those of the call that began it: as in scikit-learn, `partial_fit` goes on with
    them.
    """

    settings: Optimizer
    state: OptimizerState
    schedule: Run

    @property
    def learning_rate(self):
        return self.schedule.value


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What the tabular estimators ask of their members' training beyond its parameters.

    Parameters
    ----------
    layer_rates : None, "fan_in" or sequence of float
        Factors of the rate of each layer's weights; "fan_in": sqrt(256 / n_in).
    intercept_rate : float
        Factor of the rate of all intercepts.
    feature_scale : float
        Factor of the rate of a scale of the inputs; 0: no scale.
    last_best : bool
        Whether the last of several best epochs is kept, and not the first.
    """

    layer_rates: object = None
    intercept_rate: float = 1.0
    feature_scale: float = 0.0
    last_best: bool = False

    def of_partial_fit(self):
        """What `partial_fit` takes over, which forgets what the scale was."""
        return replace(self, feature_scale=0.0)

    def scale_values(self, sizes, n_moments):
        """Numbers that training holds for the scale: weights, scale, its gradient and moments."""
        return sizes[0] * (sizes[1] + 2 + n_moments) if self.feature_scale else 0

    def rate_factors(self, sizes):
        """The factors of weights and intercepts, of shape (2, n_layers), for layers of these sizes."""
        factors = np.ones((2, len(sizes) - 1))
        factors[1] = self.intercept_rate
        if isinstance(self.layer_rates, str):
            factors[0] = np.sqrt(WIDTH / np.array(sizes[:-1]))
        elif self.layer_rates is not None:
            factors[0] = self._listed_rates(len(sizes) - 1)
        return factors

    def _listed_rates(self, n_layers):
        rates = np.asarray(self.layer_rates)
        numbers = rates.shape == (n_layers,) and rates.dtype.kind in "iuf"
        if not numbers or not (np.isfinite(rates) & (rates >= 0)).all():
            raise ValueError(
                f"layer_rates must be None, 'fan_in' or a number >= 0 for the weights of each of the "
                f"{n_layers} layers, the output layer included; got {self.layer_rates!r}."
            )
        return rates


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
    report : FitReport
        The same.
    batch_rows : int
        Rows per batch; for L-BFGS, which has no batches, rows taken at a time.
    permuted : bool
        Whether the rows are given to `take` in an order of their own.
    keep_best : bool
        Whether the parameters with the best validation score are restored at the end.
    metrics : sequence of Metric
        To be recorded for the training rows, as running values: from the scores that the rows had
        when training came by them.
    track_norm : bool
        Whether to record the norm of the gradient.
    alpha : float
        Strength of the L2 term.
    max_iter, tol, n_iter_no_change, verbose
        The estimator's parameters.
    """

    network: Network
    samples: Samples
    loss: Loss
    record: Record
    report: FitReport
    batch_rows: int
    permuted: bool
    keep_best: bool
    metrics: tuple
    track_norm: bool
    alpha: float
    max_iter: int
    tol: float
    n_iter_no_change: float
    verbose: bool

    calls_blas = False  # beside the kernels

    def __post_init__(self):
        params = self.network.params
        self.trainer = self._make_trainer(
            batch_rows=self.batch_rows,
            alpha=self.alpha,
            gather=self.permuted,
            keep_outputs=bool(self.metrics),
            n_threads=n_threads_for(self.network.work(self.batch_rows, self.samples)),
        )
        self.best = empty_vector(params.size, params.dtype) if self.keep_best else None

    def take(self, rows, mean_weight, targets, sample_weight, validation, rescore, random_state, tasks):
        """Train on these rows.

        Parameters
        ----------
        rows : ndarray of shape (n_rows,), dtype intp, or None
            The training rows, shuffled in place where the solver shuffles; None: all, in order.
        mean_weight : float
            Mean sample weight of the training rows.
        targets : ndarray of shape (n_samples, n_targets)
            Of all samples, for metrics.
        sample_weight : ndarray of shape (n_samples,) or None
            The same, without the weights of classes.
        validation : Holdout or None
        rescore : bool
            Whether earlier validation scores cannot be compared with those to come; then the
            parameters as they are set the score to beat.
        random_state : RandomState
            Shuffles the rows.
        tasks : EpochTasks or None
        """
        self.rows, self.validation, self.random_state = rows, validation, random_state
        self.targets, self.sample_weight, self.tasks = targets, sample_weight, tasks
        self.rescore = rescore
        self.n_rows = self.samples.n_rows if rows is None else rows.size
        self.mean_weight = self.trainer.mean_weight = mean_weight
        self.improved = False
        if self.keep_best:
            self.best[:] = self.network.params

    def run(self):
        """Train; return the warnings that are due, as functions without arguments.

        Raises
        ------
        ValueError
            If the loss or the parameters became non-finite and no validated parameters are left, or a
            schedule returned no learning rate.
        KeyboardInterrupt
            If it arrives before the first epoch or iteration is done.
        """
        with team(self.trainer.n_threads, calls_blas=CALLS_BLAS or self.calls_blas) as n_threads:
            self.trainer.n_threads = n_threads
            return self._train()

    def _train(self):
        self.record.n_iter = 0
        self.began = perf_counter() - (self.report["seconds"][-1] if len(self.report) else 0)
        if self.rescore:
            self._rescore()
        try:
            notes = self._run()
        except KeyboardInterrupt:
            if self.record.n_iter == 0:
                raise
            self._interrupted()
            self.report.stop_reason = "interrupted"
            notes = [partial(warnings.warn, "Training interrupted by user.")]
        if self.improved:
            self.network.params[:] = self.best
        if self.tasks is not None:
            self.tasks.close()
        return notes

    def _rescore(self):
        score = self.validation.evaluate().score
        self.record.best_validation_score = score if np.isfinite(score) else -np.inf
        self.record.no_improvement_count = 0
        self.improved = self.keep_best

    def _interrupted(self):
        pass

    def _add(self, n_rows, loss, **told):
        """Record an epoch; return whether a callback wants training to stop."""
        found = self.validation and self.validation.evaluate()
        values = {"loss": loss}
        if found:
            values["val_loss"], values["val_score"] = found.loss, found.score
        values.update(self._training_metrics())
        if found:
            values.update((f"val_{name}", value) for name, value in found.metrics.items())
        self._append(n_rows, found.score if found else None, {**values, **told})
        if self.tasks is None:
            return False
        return self.tasks.end()

    def _append(self, n_rows, score, values):
        if self.record.add(n_rows, values["loss"], score, self.tol):
            self.report.best_epoch = len(self.report)
            if self.keep_best:
                self.best[:] = self.network.params
                self.improved = True
        values["seconds"] = perf_counter() - self.began
        if len(self.report) and tuple(values) != tuple(self.report.columns):
            self.report = FitReport()  # partial_fit goes on with other things to record
        self.report.append(values)
        if self.verbose:
            print(self._line(values))

    def _training_metrics(self):
        for metric in self.metrics:
            if self.rows is None:
                raw, targets, weights = self.trainer.outputs, self.targets, self.sample_weight
            else:
                raw, targets = self.trainer.outputs[self.rows], self.targets[self.rows]
                weights = None if self.sample_weight is None else self.sample_weight[self.rows]
            yield metric.name, metric.from_raw(raw, targets, self.loss.link, weights)

    def _line(self, values):
        """The epoch in a line, for `verbose`."""
        parts = [f"Iteration {self.record.n_iter}, loss = {values['loss']:.8f}"]
        if "val_loss" in values:
            parts.append(f"validation loss = {values['val_loss']:.8f}")
            parts.append(f"validation score = {values['val_score']:f}")
        if "learning_rate" in values:
            parts.append(f"learning rate = {values['learning_rate']:g}")
        return ", ".join(parts)

    def _stalled(self):
        """Whether the record has not improved for too long; if so, in words."""
        if not self.record.no_improvement_count > self.n_iter_no_change:
            return None
        what = "Validation score" if self.record.early_stopping else "Training loss"
        return (
            f"{what} did not improve more than tol={self.tol:f} for {self.n_iter_no_change:d} "
            "consecutive epochs. "
        )

    def _diverged(self, n_rows, where):
        """Raise, unless there are validated parameters to go back to: then return a warning."""
        record = self.record
        if not self.keep_best or record.best_validation_score == -np.inf:
            raise ValueError(f"{NON_FINITE} It happened in {where}. {REMEDY}")
        record.add(n_rows, np.nan, np.nan, self.tol)
        if len(self.report):
            values = dict.fromkeys(self.report.columns, np.nan)
            self.report.append({**values, "seconds": perf_counter() - self.began})
        self.report.stop_reason = "diverged"
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
    incremental : bool
        Whether one epoch is all, and no warning is due that there were no more.
    dropout : sequence of float
        Rates of the hidden layers.
    accumulation_steps : int
        Batches per step.
    max_grad_norm : float
        0: no limit.
    recipe : Recipe
    """

    optimizer: OptimizerRun
    shuffle: bool
    incremental: bool
    dropout: tuple
    accumulation_steps: int
    max_grad_norm: float
    recipe: Recipe

    def _make_trainer(self, **common):
        network = self.network
        return Trainer(
            network.layers_with_dropout(self.dropout),
            network.params,
            self.samples,
            self.loss,
            self.optimizer.settings,
            self.optimizer.state,
            **common,
            accumulation_steps=self.accumulation_steps,
            max_grad_norm=self.max_grad_norm,
            track_norm=self.track_norm,
            rate_factors=self.recipe.rate_factors(network.sizes),
            scale_rate=self.recipe.feature_scale,
        )

    def take(self, *args, **kwargs):
        super().take(*args, **kwargs)
        if any(self.dropout):  # drawn only then, so that other fits draw as scikit-learn does
            self.trainer.dropout_seed = self.random_state.randint(2**32, dtype=np.uint64)
        if self.recipe.feature_scale:
            self.trainer.start_scale()

    def _run(self):
        schedule = self.optimizer.schedule
        n_steps = -(-self.n_rows // (self.batch_rows * self.accumulation_steps))
        with_norm = self.track_norm or self.max_grad_norm > 0
        for _ in range(self.max_iter):
            if self.tasks is not None:
                self.tasks.begin()
            if self.shuffle:
                shuffle(self.random_state, self.rows)
            rates = schedule.start_epoch(n_steps)
            if not self._epoch(rates):
                epoch = f"epoch {self.record.n_iter + 1}, with learning rate {schedule.value:g}"
                return [self._diverged(self.n_rows, epoch)]
            loss = self.loss.reported_scale * self.trainer.loss_sum + self.trainer.penalty_sum
            told = {"learning_rate": schedule.value}
            if with_norm:
                told["gradient_norm"] = self.trainer.norm_sum / n_steps
            halted = self._add(self.n_rows, loss / (self.n_rows * self.mean_weight), **told)
            schedule.end_epoch(self.record.t)
            if self._stop(halted):
                return []
        self.report.stop_reason = "max_iter"
        if schedule.has_end:
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
        self.trainer.start_epoch(len(self.record.loss_curve))
        done = 0
        while done < rates.shape[0]:
            done = self.trainer.train_batches(self.rows, self.n_rows, done, rates)
            if not self.trainer.is_finite():
                return False
        return True

    def _stop(self, halted):
        """Whether to stop after this epoch, for whatever reason."""
        message = self._stalled()
        if message is not None:
            go_on, consequence = self.optimizer.schedule.on_plateau()
            if self.verbose:
                print(message + consequence)
            if go_on:
                self.record.no_improvement_count = 0
            else:
                self.report.stop_reason = "no_improvement"
        if halted:
            self.report.stop_reason = "callback"
        elif self.incremental:
            self.report.stop_reason = "partial_fit"
        return halted or self.incremental or (message is not None and not go_on)


@dataclass(kw_only=True)
class LBFGSTraining(Training):
    """Iterations of SciPy's L-BFGS-B on the loss of all rows.

    Parameters
    ----------
    max_fun : int
        Largest number of evaluations of the loss.
    """

    max_fun: int
    optimizer = None
    calls_blas = True  # SciPy's minimizer and the dot products around it

    def _make_trainer(self, **common):
        network = self.network
        return Trainer(network.layers, network.params, self.samples, self.loss, None, None, **common)

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
        self.report.stop_reason = self._reason(result)
        return [partial(_check_optimize_result, "lbfgs", result, self.max_iter)]

    def _reason(self, result):
        if result.status == 0:
            return "converged"
        if result.status != 1:
            return "abnormal"
        return "max_iter" if result.nit >= self.max_iter else "max_fun"

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
        if self.track_norm:
            self._norm = float(np.linalg.norm(gradient))
        return (trainer.loss_sum + penalty) / divisor, gradient

    def _iteration_done(self, intermediate_result):
        self._last = intermediate_result.x
        if self.validation or self.tasks:
            self.network.params[:] = self._last
        if self.tasks is not None:
            self.tasks.begin()
        told = {"gradient_norm": self._norm} if self.track_norm else {}
        halted = self._add(0, float(intermediate_result.fun), **told)
        message = self._stalled() if self.record.early_stopping else None
        if message is not None and self.verbose:
            print(message + "Stopping.")
        if halted or message is not None:
            self._halted = True
            self.report.stop_reason = "callback" if halted else "no_improvement"
            raise StopIteration

    def _interrupted(self):
        self.network.params[:] = self._last
