"""What MLPClassifier and MLPRegressor share: parameters, validation and fitted attributes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy, deepcopy
from dataclasses import dataclass
from functools import partial
from math import ceil
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self
from warnings import warn

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, RegressorMixin, _clone_parametrized, is_classifier
from sklearn.metrics import get_scorer_names
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from sklearn_mlp._activations import ACTIVATIONS
from sklearn_mlp._c import CMixin
from sklearn_mlp._callbacks import CallbackSupportMixin, epoch_tasks
from sklearn_mlp._epoch import Samples, chunk_rows, predict_batches
from sklearn_mlp._html import HTMLMixin
from sklearn_mlp._memory import require_memory
from sklearn_mlp._metrics import Metric, default_metric, resolve, resolve_one, wants_gradient_norm
from sklearn_mlp._network import INITIALIZATIONS, Network, hidden_activations
from sklearn_mlp._onnx import ONNXMixin
from sklearn_mlp._optim import SOLVERS
from sklearn_mlp._predict import (
    PREDICTION,
    RAW,
    Predictor,
    array_or_error,
    bulk_predictor,
    make_predictor,
    predict_exact,
)
from sklearn_mlp._report import FitReport
from sklearn_mlp._serialize import JSONMixin
from sklearn_mlp._sparse import kernel_input
from sklearn_mlp._training import LBFGSTraining, OptimizerRun, Recipe, Record, StochasticTraining
from sklearn_mlp._typing import Array, Matrix, Scores, fit_context
from sklearn_mlp._validation import Holdout
from sklearn_mlp._weights import WeightsMixin
from sklearn_mlp.schedules import LEARNING_RATE_LIMIT, SCHEDULE_NAMES, Run, Schedule, make_run


def _hidden_layer_sizes(value):
    sizes = list(value) if hasattr(value, "__iter__") else [value]
    if not all(isinstance(size, Integral) and not isinstance(size, bool) for size in sizes):
        raise TypeError(f"hidden_layer_sizes must be integers, got {value!r}.")
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [int(size) for size in sizes]


def _mean_weight(weights, rows, which):
    """The mean of the sample weights of `rows`, 1 where there are none."""
    if weights is None:
        return 1.0
    weights = weights if rows is None else weights[rows]
    if not weights.any():
        raise ValueError(f"sample_weight is zero for every {which} row; give some a weight.")
    return float(weights.mean(dtype=np.float64))


def _kernel_weights(sample_weight, X, name):
    """Sample weights as the kernels read them."""
    if sample_weight is None:
        return None
    weights = _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
    if not weights.any():
        raise ValueError(f"{name} is zero for every sample; give some a weight.")
    return np.ascontiguousarray(weights)


def _single_column(y):
    """`y` with one column as one dimension."""
    if issparse(y) and y.shape[1] == 1:
        y = y.toarray()
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    return y


def _dropout_rates(value, n_hidden):
    listed = isinstance(value, list | tuple | np.ndarray)
    rates = list(value) if listed else [value] * max(n_hidden, 1)
    if listed and len(rates) != n_hidden:
        raise ValueError(
            f"dropout must be one rate for all hidden layers, or a list of one for each; got "
            f"{len(rates)} for {n_hidden} hidden layers: {value!r}."
        )
    for rate in rates:
        if not isinstance(rate, Real) or isinstance(rate, bool) or not 0 <= rate < 1:
            raise ValueError(f"a rate of dropout must be a number in [0, 1); got {value!r}.")
    if not n_hidden and any(rates):
        raise ValueError(f"dropout={value!r} needs a hidden layer to act on; there is none.")
    return tuple(float(rate) for rate in rates[:n_hidden])


def _resolve_scoring(scoring, kind):
    """What early stopping watches: None, "loss" or a Metric."""
    if scoring is None or (isinstance(scoring, str) and scoring == "loss"):
        return scoring
    if isinstance(scoring, str) and scoring not in get_scorer_names():
        raise ValueError(
            f"scoring must be 'loss', a name in sklearn.metrics.get_scorer_names() (the greater the "
            f"better: {default_metric(kind)!r}, or 'neg_mean_squared_error' in place of 'mse'), a "
            f"callable f(estimator, X, y) or None; got {scoring!r}."
        )
    try:
        return resolve_one(scoring, kind)
    except ValueError as error:
        raise ValueError(f"scoring={scoring!r} is not usable: {error}") from None


@dataclass
class Plan:
    """What the parameters ask for, checked."""

    hidden: list
    activations: list
    dropout: tuple
    metrics: list
    scoring: object
    schedule: Run
    track_norm: bool
    validated: bool
    splits: bool
    keep_best: bool


@dataclass
class Data:
    """A data set as the kernels read it, with `labels` as they were given.

    `weights` are those of samples and classes together; `rows` says which rows of X the rest is for.
    """

    X: object
    targets: np.ndarray
    labels: np.ndarray
    sample_weight: np.ndarray | None
    weights: np.ndarray | None = None
    rows: np.ndarray | None = None


class BaseMultilayerPerceptron(
    CallbackSupportMixin, HTMLMixin, JSONMixin, WeightsMixin, ONNXMixin, CMixin, BaseEstimator, ABC
):
    """What `MLPClassifier` and `MLPRegressor` share."""

    _network: Network
    loss_: float
    best_loss_: float | None
    loss_curve_: list[float]
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    t_: int
    n_iter_: int
    history_: FitReport
    n_layers_: int
    n_outputs_: int
    out_activation_: str
    n_features_in_: int
    feature_names_in_: Array
    _recipe = Recipe()  # a tabular estimator sets that of its members

    if TYPE_CHECKING:  # scikit-learn's own, which has no types

        def score(self, X: Matrix, y: Matrix, sample_weight: ArrayLike | None = None) -> float: ...

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS)), list, tuple],
        "solver": [StrOptions({"lbfgs", *SOLVERS})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions(set(SCHEDULE_NAMES)), Schedule, callable],
        "learning_rate_init": [Interval(Real, 0, LEARNING_RATE_LIMIT, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "dtype": [StrOptions({"auto", "float32", "float64"})],
        "weight_init": [StrOptions({"auto", *INITIALIZATIONS})],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "max_grad_norm": [None, Interval(Real, 0, None, closed="neither")],
        "gradient_accumulation_steps": [Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left"), "array-like"],
        "scoring": [None, str, callable],
        "restore_best": [None, "boolean"],
        "metrics": [None, str, callable, list, tuple],
    }

    @abstractmethod
    def __init__(self, **params):
        vars(self).update(params)

    # What the two estimators do differently.

    def _learn_targets(self, y, first_pass, incremental, classes):
        """Learn what there is to know about the targets: the classes."""

    @abstractmethod
    def _encode_targets(self, y, dtype, which):
        """Check `y` and return it as the loss takes it, of shape (n_samples, n_targets).

        `which` is "fit", "partial_fit", "y_val" or "y" (of `evaluate`).
        """

    @abstractmethod
    def _make_loss(self, targets):
        """The `Loss` for these targets."""

    @abstractmethod
    def _score_raw(self, raw, loss, targets, sample_weight):
        """The validation score of raw scores."""

    def _class_weights(self, y, incremental):
        """The weight of each sample that its class gives it; None where all have the same."""

    def _strata(self, targets):
        """What an early-stopping split is stratified by, and whether it has to be."""
        return None, False

    def _output_activation(self):
        """What the last layer does to its raw scores, as the parameter `activation`."""
        return "identity"

    # Fitting.

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Matrix,
        y: Matrix,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Matrix | None = None,
        y_val: Matrix | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Fit the model to data matrix X and targets y.

        A `fit` that raises leaves the estimator as it was. Warnings are emitted when the fitted model
        is in place, so that it survives them being turned into errors.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data. A C-ordered array of the model's dtype is not copied, nor is CSR.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The targets: class labels or label indicators in classification, numbers in regression.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, not negative and not all zero. The loss of a mini-batch is
            divided by its rows times the mean weight of the training set.
        X_val : {array-like, sparse matrix} of shape (n_val_samples, n_features), default=None
            Rows to validate on, in place of a random `validation_fraction`: a later period, other
            groups. Loss, score and `metrics` of them are recorded after every epoch, with or without
            `early_stopping`. **A Pipeline passes it on as it is, untransformed**, unless metadata
            routing is enabled and the pipeline was made with ``transform_input=["X_val"]``.
        y_val : array-like of shape (n_val_samples,) or (n_val_samples, n_outputs), default=None
            Their targets; required with `X_val`.
        sample_weight_val : array-like of shape (n_val_samples,), default=None
            Their weights.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If the data or parameters are not usable, a schedule returns no learning rate, or training
            diverged.
        MemoryError
            If the machine cannot hold the network and its training state; the size is named.

        Examples
        --------
        >>> from sklearn_mlp import MLPClassifier
        >>> X, y = [[0.0], [0.2], [0.8], [1.0]], [0, 0, 1, 1]
        >>> model = MLPClassifier((4,), max_iter=1000, random_state=0)
        >>> model = model.fit(X, y, X_val=[[0.1], [0.9]], y_val=[0, 1])
        >>> "val_loss" in model.history_
        True
        """
        tasks = epoch_tasks(self)
        if tasks is not None:
            metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
            tasks = tasks(X, y, metadata, n_epochs=self.max_iter)
        held_out = (X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, incremental=False, held_out=held_out, tasks=tasks)

    def _check_solver(self):
        if self.solver == "lbfgs":
            raise AttributeError(
                "partial_fit is only available for the stochastic solvers "
                f"{', '.join(sorted(SOLVERS))}; solver='lbfgs' is not stochastic."
            )
        return True

    def _fit(self, X, y, sample_weight, *, incremental, classes=None, held_out=(None,) * 3, tasks=None):
        before = vars(self).copy()
        try:
            training, notes = self._prepare(X, y, sample_weight, incremental, classes, held_out, tasks)
            notes += training.run()
            self._attach(training, incremental)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise
        for note in notes:
            note()
        return self

    def _prepare(self, X, y, sample_weight, incremental, classes, held_out, tasks):
        """Validate everything, allocate everything, and only then draw weights and the split."""
        if incremental:
            self._validate_params()  # scikit-learn's decorator does so in the first call alone
        plan = self._plan(incremental, held_out)
        first_pass = not hasattr(self, "_network") or not (self.warm_start or incremental)
        data = self._validate(X, y, sample_weight, first_pass, incremental, classes)
        loss = self._make_loss(data.targets)
        watched = [plan.scoring] if isinstance(plan.scoring, Metric) else []
        for metric in plan.metrics + watched:
            metric.check(loss.link, loss.n_outputs)
        validation = (
            None if held_out[0] is None else self._validate_more(*held_out, "X_val", loss, data.X.dtype)
        )
        if (
            validation
            and plan.scoring is None
            and not is_classifier(self)
            and len(validation.targets) < 2
        ):
            raise ValueError(
                "X_val has one row, for which R2 is not defined; give more, or set scoring='loss'."
            )
        notes = self._parameter_notes(data.X.shape[0], plan, incremental)
        training = self._make_training(data, loss, plan, first_pass, incremental)
        random_state = check_random_state(self.random_state)
        if first_pass:
            lone = hidden_activations(self.activation or "identity", 1) if not plan.hidden else [None]
            training.network.initialize(random_state, self.weight_init, lone[0])
        rows = None
        if plan.splits:
            rows, validation = self._split(random_state, data, notes)
        elif self.shuffle and self.solver != "lbfgs":
            rows = np.arange(data.X.shape[0], dtype=np.intp)
        holdout = validation and self._make_holdout(training.network, loss, validation, plan)
        mean_weight = 1.0 if incremental else _mean_weight(data.weights, rows, "training")
        if tasks is not None:
            tasks.state = partial(
                self._fitted_attributes, training.network, loss, training.record, snapshot=True
            )
        training.take(
            rows=rows,
            mean_weight=mean_weight,
            targets=data.targets,
            sample_weight=data.sample_weight,
            validation=holdout,
            rescore=plan.validated and not first_pass and not self._same_scores(held_out),
            random_state=random_state,
            tasks=tasks,
        )
        self._scored_by = (self.scoring, plan.splits)
        return training, notes

    def _same_scores(self, held_out):
        """Whether validation scores of the fit before can be compared with those of this one."""
        return held_out[0] is None and self._scored_by == (self.scoring, True)

    def _plan(self, incremental, held_out):
        """Check the parameters as far as they can be without the data."""
        if incremental and self.early_stopping:
            raise ValueError(
                "partial_fit does not support early_stopping=True; set it to False, or use fit."
            )
        if held_out[0] is None and (held_out[1] is not None or held_out[2] is not None):
            raise ValueError(
                "y_val and sample_weight_val were given without X_val; give it, or leave them out."
            )
        if held_out[0] is not None and held_out[1] is None:
            raise ValueError("X_val was given without y_val, its targets; give both or neither.")
        hidden = _hidden_layer_sizes(self.hidden_layer_sizes)
        kind = "classifier" if is_classifier(self) else "regressor"
        validated = self.early_stopping or held_out[0] is not None
        plan = Plan(
            hidden=hidden,
            activations=[
                *hidden_activations(self.activation, len(hidden)),
                *hidden_activations(self._output_activation(), 1, "output_activation"),
            ],
            dropout=_dropout_rates(self.dropout, len(hidden)),
            metrics=resolve(self.metrics, kind=kind),
            scoring=_resolve_scoring(self.scoring, kind),
            schedule=make_run(
                self.learning_rate,
                initial=self.learning_rate_init,
                power_t=self.power_t,
                n_epochs=None if incremental else self.max_iter,
            ),
            track_norm=wants_gradient_norm(self.metrics),
            validated=validated,
            splits=self.early_stopping and held_out[0] is None,
            keep_best=self.early_stopping if self.restore_best is None else self.restore_best,
        )
        self._check_use(plan)
        return plan

    def _check_use(self, plan):
        """Refuse parameters that would have no effect."""
        if not plan.validated:
            unused = [("scoring", plan.scoring is not None), ("restore_best=True", plan.keep_best)]
            unused += [(f"{m.name!r} in metrics", not m.on_training) for m in plan.metrics]
            for what, asked in unused:
                if asked:
                    raise ValueError(
                        f"{what} needs validation data: set early_stopping=True or give fit X_val and "
                        "y_val (partial_fit takes none)."
                    )
        if self.solver != "lbfgs":
            return
        if self._recipe != Recipe():
            raise ValueError(
                f"solver='lbfgs' takes no mini-batch steps, for which {self._recipe} is; a member of a "
                f"tabular estimator needs one of {sorted(SOLVERS)}."
            )
        for name, asked in (
            ("dropout", any(plan.dropout)),
            ("max_grad_norm", self.max_grad_norm is not None),
            ("gradient_accumulation_steps", self.gradient_accumulation_steps != 1),
            ("learning_rate", self.learning_rate not in ("constant", "invscaling", "adaptive")),
        ):
            if asked:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} is not for solver='lbfgs', which takes no "
                    f"mini-batch steps; leave it at its default or use one of {sorted(SOLVERS)}."
                )

    def _validate(self, X, y, sample_weight, first_pass, incremental, classes):
        """Check the data; return them as the kernels read them."""
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=isinstance(self, RegressorMixin),
            dtype=self._input_dtype(first_pass),
            order="C",
            reset=first_pass,
        )
        X = kernel_input(X)
        y = _single_column(y)
        self._learn_targets(y, first_pass, incremental, classes)
        targets = self._encode_targets(y, X.dtype, "partial_fit" if incremental else "fit")
        sample_weight = _kernel_weights(sample_weight, X, "sample_weight")
        weights, of_classes = sample_weight, self._class_weights(y, incremental)
        if of_classes is not None:
            weights = of_classes if weights is None else weights * of_classes
            weights = np.ascontiguousarray(weights, dtype=X.dtype)
            if not weights.any():
                raise ValueError(
                    f"class_weight={self.class_weight!r} leaves every sample without weight."
                )
        return Data(X, targets, y, sample_weight, weights)

    def _validate_more(self, X, y, sample_weight, name, loss, dtype):
        """Check rows that are not trained on: those of `X_val`, or of `evaluate`."""
        y_name, weight_name = (
            ("y_val", "sample_weight_val") if name == "X_val" else ("y", "sample_weight")
        )
        try:
            X, y = validate_data(
                self,
                X,
                y,
                accept_sparse=["csr", "csc"],
                multi_output=True,
                y_numeric=isinstance(self, RegressorMixin),
                dtype=dtype,
                order="C",
                reset=False,
            )
            X, y = kernel_input(X), _single_column(y)
            targets = self._encode_targets(y, X.dtype, y_name)
            if targets.shape[1] != loss.n_targets:
                raise ValueError(
                    f"y has {targets.shape[1]} columns and the model {loss.n_targets} outputs; give "
                    "one for each, or fit afresh."
                )
            weights = _kernel_weights(sample_weight, X, weight_name)
        except (TypeError, ValueError) as error:
            if name == "X":
                raise
            raise type(error)(
                f"The validation data ({name}, {y_name}, {weight_name}) are not usable: {error}"
            ) from error
        return Data(X, targets, y, weights)

    def _input_dtype(self, first_pass):
        """What `validate_data` is to convert the input to."""
        if first_pass:
            return [np.float64, np.float32] if self.dtype == "auto" else np.dtype(self.dtype)
        fitted = self._network.dtype
        if self.dtype not in ("auto", fitted.name):
            raise ValueError(
                f"dtype={self.dtype!r}, but the model to go on with was fitted in {fitted.name}; "
                "set dtype='auto' or fit afresh with warm_start=False."
            )
        return fitted

    def _parameter_notes(self, n_rows, plan, incremental):
        """Warnings due about parameters, as functions without arguments."""
        notes = []
        n_train = self._n_train(n_rows, plan)
        if self.solver != "lbfgs" and self.batch_size != "auto" and self.batch_size > n_train:
            notes.append(
                partial(
                    warn,
                    f"Got `batch_size`={self.batch_size}, larger than the {n_train} training "
                    "samples. It is going to be clipped.",
                )
            )
        resumed = incremental and getattr(self, "_optimizer", None) is not None
        if self.solver == "adam" and self.learning_rate in ("invscaling", "adaptive") and not resumed:
            notes.append(
                partial(
                    warn,
                    f"learning_rate={self.learning_rate!r} acts on solver='adam' here; "
                    "scikit-learn applies it to 'sgd' alone and ignores it with 'adam'.",
                )
            )
        return notes

    def _n_train(self, n_rows, plan):
        """Rows left for training (at least 1: the split itself complains about none)."""
        held_out = ceil(self.validation_fraction * n_rows) if plan.splits else 0
        return max(1, n_rows - held_out)

    def _make_training(self, data, loss, plan, first_pass, incremental):
        """Allocate the network and all that training needs."""
        sizes = (data.X.shape[1], *plan.hidden, loss.n_outputs)
        n_train = self._n_train(data.X.shape[0], plan)
        stochastic = self.solver != "lbfgs"
        permuted = plan.splits or (self.shuffle and stochastic)
        gathered = permuted and not issparse(data.X)
        if stochastic:
            batch_rows = min(200 if self.batch_size == "auto" else self.batch_size, n_train)
        else:
            batch_rows = chunk_rows(n_train, max(sizes if permuted else sizes[1:]))
        network = self._make_network(sizes, data, plan, first_pass, incremental, batch_rows, gathered)
        record = self._make_record(first_pass, incremental)
        record.watch(plan.validated, self.early_stopping, self._recipe.last_best)
        common = {
            "network": network,
            "samples": Samples(data.X, data.targets, data.weights),
            "loss": loss,
            "record": record,
            "report": vars(self).get("history_", FitReport()) if incremental else FitReport(),
            "batch_rows": batch_rows,
            "permuted": gathered,
            "keep_best": plan.keep_best,
            "metrics": [metric for metric in plan.metrics if metric.on_training],
            "track_norm": plan.track_norm,
            "alpha": self.alpha,
            "max_iter": 1 if incremental else self.max_iter,
            "tol": self.tol,
            "n_iter_no_change": self.n_iter_no_change,
            "verbose": self.verbose,
        }
        if not stochastic:
            return LBFGSTraining(**common, max_fun=self.max_fun)
        return StochasticTraining(
            **common,
            optimizer=self._make_optimizer(network, plan, incremental),
            shuffle=self.shuffle,
            incremental=incremental,
            dropout=plan.dropout,
            accumulation_steps=min(self.gradient_accumulation_steps, ceil(n_train / batch_rows)),
            max_grad_norm=self.max_grad_norm or 0.0,
            recipe=self._recipe.of_partial_fit() if incremental else self._recipe,
        )

    def _make_network(self, sizes, data, plan, first_pass, incremental, batch_rows, gathered):
        """A new network, a copy of the fitted one, or, for `partial_fit`, the fitted one itself."""
        if not first_pass and sizes != self._network.sizes:
            raise ValueError(
                f"The data and hidden_layer_sizes ask for layers of sizes {sizes}, but the model to "
                f"go on with has {self._network.sizes}; fit afresh with warm_start=False."
            )
        moments = SOLVERS[self.solver].n_moments if self.solver in SOLVERS else 0
        n_values = Network.training_values(
            sizes,
            n_vectors=2 + moments + plan.keep_best,  # parameters, gradient, moments, best
            batch_rows=batch_rows,
            gathered=gathered,
            outputs_of=data.X.shape[0] if any(m.on_training for m in plan.metrics) else 0,
        )
        n_values += self._recipe.scale_values(sizes, moments)
        require_memory(n_values * data.X.dtype.itemsize, f"training a network of layer sizes {sizes}")
        if first_pass:
            return Network(sizes, plan.activations, data.X.dtype)
        # A model that was loaded as a memory map may be read-only: it is trained as a copy.
        own = incremental and self._network.params.flags.writeable
        network = copy(self._network) if own else self._network.copy()
        network.set_activations(plan.activations)
        return network

    def _make_optimizer(self, network, plan, incremental):
        optimizer = getattr(self, "_optimizer", None)
        if incremental and optimizer is not None:
            optimizer.state.make_writeable()
            if getattr(optimizer.schedule, "n_epochs", None) is None:
                return optimizer
            # The schedule of a fit ended with it; partial_fit begins one that has no end.
            return OptimizerRun(optimizer.settings, optimizer.state, plan.schedule)
        kind = SOLVERS[self.solver]
        settings = kind(**{own: getattr(self, name) for own, name in kind.estimator_parameters.items()})
        return OptimizerRun(settings, settings.init(network.params), plan.schedule)

    def _make_record(self, first_pass, incremental):
        if first_pass:
            return Record()
        # Lists are copied, so that a fit which fails leaves them as they were; partial_fit, which
        # may be called any number of times, appends only when its epoch has succeeded.
        copied = [
            values if values is None or incremental else list(values)
            for values in (self.loss_curve_, self.validation_scores_)
        ]
        return Record(
            t=self.t_,
            loss=self.loss_,
            loss_curve=copied[0],
            best_loss=self.best_loss_,
            validation_scores=copied[1],
            best_validation_score=self.best_validation_score_,
            no_improvement_count=self._no_improvement_count,
        )

    def _split(self, random_state, data, notes):
        """The training rows, and the rows to validate on, as scikit-learn draws them."""
        split = partial(
            train_test_split,
            np.arange(data.targets.shape[0], dtype=np.intp),
            test_size=self.validation_fraction,
            random_state=random_state,
        )
        strata, required = self._strata(data.targets)
        try:
            rows, held_out = split(stratify=strata)
        except ValueError:
            if required or strata is None:
                raise
            rows, held_out = split()
            notes.append(
                partial(
                    warn,
                    "A class has too few members for a stratified validation split; the split is "
                    "plainly random.",
                )
            )
        if held_out.size < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                f"your dataset. It has {held_out.size} rows and needs 2."
            )
        weights = None if data.sample_weight is None else data.sample_weight[held_out]
        _mean_weight(weights, None, "validation")
        return rows, Data(data.X, data.targets[held_out], data.labels[held_out], weights, rows=held_out)

    def _make_holdout(self, network, loss, data, plan):
        return Holdout(
            network=network,
            loss=loss,
            X=data.X,
            rows=data.rows,
            targets=data.targets,
            labels=data.labels,
            sample_weight=data.sample_weight,
            fitted=self._as_fitted(self._fitted_attributes(network, loss)),
            score=self._score_raw if plan.scoring is None else plan.scoring,
            metrics=plan.metrics,
        )

    def _as_fitted(self, attributes):
        """A copy with these attributes that predicts from plain arrays, for scorers."""
        fitted = copy(self)
        vars(fitted).update(attributes)
        vars(fitted).pop("feature_names_in_", None)
        return fitted

    def _fitted_attributes(self, network, loss, record=None, snapshot=False):
        """The attributes of a model with `network` as it is now, or with a copy of it."""
        attributes = {
            "_network": network.copy() if snapshot else network,
            "_loss": loss,
            "n_layers_": len(network.sizes),
            "n_outputs_": network.sizes[-1],
            "out_activation_": network.activations[-1][0] if loss.link == "identity" else loss.link,
        }
        if record is not None:
            attributes |= {
                "n_iter_": record.n_iter,
                "t_": record.t,
                "loss_": record.loss,
                "loss_curve_": copy(record.loss_curve) if snapshot else record.loss_curve,
                "best_loss_": record.best_loss,
                "validation_scores_": (
                    copy(record.validation_scores) if snapshot else record.validation_scores
                ),
                "best_validation_score_": record.best_validation_score,
            }
        return attributes

    def _attach(self, training, incremental):
        """Make the outcome of a training the state of the estimator."""
        vars(self).update(self._fitted_attributes(training.network, training.loss, training.record))
        self.history_ = training.report
        self._optimizer = training.optimizer
        self._in_partial_fit = incremental
        self._no_improvement_count = training.record.no_improvement_count

    # The fitted model.

    def evaluate(
        self,
        X: Matrix,
        y: Matrix,
        sample_weight: ArrayLike | None = None,
        metrics: Scores | None = None,
    ) -> dict[str, float]:
        """The loss and metrics of the model on given data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
        metrics : str, callable or list of them, default=None
            As the parameter `metrics`, which None stands for; if that is None too, the accuracy or R2.

        Returns
        -------
        result : dict of str to float
            "loss", the mean over the rows of the loss that was trained with, without the L2 penalty,
            and each metric under its name: what the history holds of validation rows.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError, TypeError
            If the data or metrics are not usable.

        Examples
        --------
        >>> from sklearn_mlp import MLPClassifier
        >>> X, y = [[0.0], [1.0]], ["no", "yes"]
        >>> model = MLPClassifier((2,), solver="lbfgs", random_state=0).fit(X, y)
        >>> sorted(model.evaluate(X, y))
        ['accuracy', 'loss']
        """
        check_is_fitted(self)
        kind = "classifier" if is_classifier(self) else "regressor"
        if metrics is None:
            metrics = default_metric(kind) if self.metrics is None else self.metrics
        elif wants_gradient_norm(metrics):
            raise ValueError("'gradient_norm' is a metric of training, not of a model; leave it out.")
        resolved = resolve(metrics, kind=kind)
        for metric in resolved:
            metric.check(self._loss.link, self._loss.n_outputs)
        data = self._validate_more(X, y, sample_weight, "X", self._loss, self._network.dtype)
        found = Holdout(
            network=self._network,
            loss=self._loss,
            X=data.X,
            rows=None,
            targets=data.targets,
            labels=data.labels,
            sample_weight=data.sample_weight,
            fitted=self._as_fitted({}),
            score=None,
            metrics=resolved,
        ).evaluate()
        return {"loss": found.loss, **found.metrics}

    @property
    def coefs_(self) -> list[Array]:
        """list of ndarray of shape (n_in, n_out): the weights of each layer.

        The arrays are views of the model's parameters. Assigning an item writes into the model;
        assigning the whole list gives the model new parameters. `partial_fit` goes on from them with
        the optimizer that it had, as in scikit-learn.
        """
        return self._fitted_network("coefs_").coefs

    @coefs_.setter
    def coefs_(self, values: Sequence[ArrayLike]) -> None:
        self._replace_parameters("coefs", values)

    @property
    def intercepts_(self) -> list[Array]:
        """list of ndarray of shape (n_out,): the intercepts of each layer; views as `coefs_`."""
        return self._fitted_network("intercepts_").intercepts

    @intercepts_.setter
    def intercepts_(self, values: Sequence[ArrayLike]) -> None:
        self._replace_parameters("intercepts", values)

    def _fitted_network(self, wanted):
        network = vars(self).get("_network")
        if network is None:
            raise AttributeError(
                f"this {type(self).__name__} has no {wanted} before it is fitted; call fit"
            )
        return network

    def _replace_parameters(self, name, values):
        network = self._fitted_network(f"{name}_").copy()
        getattr(network, name)[:] = values
        self._network = network

    def __sklearn_clone__(self):
        other = _clone_parametrized(self)
        if "_recipe" in vars(self):
            other._recipe = self._recipe
        return other

    # Copies in memory go on as the original would; a pickle leaves behind the optimizer's state, which
    # is as large as the parameters twice over, unless partial_fit is under way.

    def __copy__(self):
        other = type(self).__new__(type(self))
        vars(other).update(vars(self))
        return other

    def __deepcopy__(self, memo):
        other = memo[id(self)] = type(self).__new__(type(self))
        vars(other).update(deepcopy(vars(self), memo))
        return other

    def __getstate__(self):
        state = super().__getstate__()
        if not state.get("_in_partial_fit"):
            state = {name: value for name, value in state.items() if name != "_optimizer"}
        return state

    # Prediction.

    def _raw_scores(self, X):
        """Raw scores of shape (n_samples, n_outputs)."""
        return self._predicted(X, RAW)

    def predict_into(self, X: Matrix, out: Array) -> Array:
        """Write what `predict` returns into an array of one's own.

        Up to 16 rows that need no validation (an array in C order, of the model's dtype) are predicted
        without allocating anything; so are any number by a predictor of `make_predictor`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        out : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Of the shape and dtype of what `predict` returns, in C order, and no part of X. For labels
            that are not numbers it may be of dtype intp, and then gets their places in `classes_`.
            Indicators are dense here. Undefined after an error in X.

        Returns
        -------
        out : ndarray

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError, TypeError
            If X is not usable, or `out` is not as described.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_mlp import MLPRegressor
        >>> X, y = np.linspace(0, 1, 40).reshape(20, 2), np.linspace(0, 1, 20)
        >>> model = MLPRegressor(hidden_layer_sizes=3, solver="lbfgs", random_state=0).fit(X, y)
        >>> out = np.empty(20)
        >>> model.predict_into(X, out) is out
        True
        """
        return self._predicted(X, PREDICTION, array_or_error(out))

    def make_predictor(self, max_batch: int = 1) -> Predictor:
        """Make an object that predicts with scratch of its own and allocates nothing.

        For rows that come one by one or a few at a time, from arrays that need no conversion. It has
        `predict` and `predict_into`; that of a classifier also `predict_proba` and
        `predict_proba_into`. Make one per thread.

        It reads the parameters of the model in place, and so sees what `partial_fit` and writes into
        the arrays of `coefs_` do to them. `fit` gives the model new parameters, as does assigning
        `coefs_` or `intercepts_` as a whole: the predictor then stays with the old ones. It knows
        nothing of the names of columns.

        Parameters
        ----------
        max_batch : int, default=1
            Most rows of a call. The scratch stops growing at some hundreds of rows; more are predicted
            in parts.

        Returns
        -------
        predictor : Predictor

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError, TypeError
            If `max_batch` is not an integer from 1 to 2**31 - 1.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_mlp import MLPRegressor
        >>> X = np.linspace(0, 1, 40, dtype=np.float32).reshape(20, 2)
        >>> model = MLPRegressor(solver="lbfgs", random_state=0).fit(X, X.sum(axis=1))
        >>> predictor, out = model.make_predictor(), np.empty(1, np.float32)
        >>> row = X[:1].copy()
        >>> predictor.predict_into(row, out) is out
        True
        >>> bool(out == model.predict(row))
        True
        """
        check_is_fitted(self)
        return make_predictor(self, max_batch)

    def _predicted(self, X, what, out=None):
        """RAW, PREDICTION or PROBA of the rows of `X`, in a new array or in `out`."""
        result = predict_exact(self, X, what, out)
        return self._predicted_validated(X, what, out) if result is None else result

    def _predicted_validated(self, X, what, out):
        check_is_fitted(self)
        network = self._network
        X = validate_data(
            self, X, accept_sparse=["csr", "csc"], dtype=network.dtype, order="C", reset=False
        )
        if not issparse(X):
            return bulk_predictor(self, X.shape[0]).from_validated(X, what, out)
        raw = predict_batches(network.layers, network.params, Samples(kernel_input(X)))
        return Predictor(self).from_raw(raw, what, out)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
