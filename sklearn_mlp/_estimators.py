"""MLPClassifier and MLPRegressor: parameters, validation, labels and fitted attributes."""

from abc import ABC, abstractmethod
from copy import deepcopy
from functools import partial
from math import ceil
from numbers import Integral, Real
from warnings import warn

import numpy as np
from scipy.sparse import issparse
from scipy.special import log_expit, log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    type_of_target,
    unique_labels,
)
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from sklearn_mlp._activations import ACTIVATIONS
from sklearn_mlp._epoch import Samples, chunk_rows, predict_batches
from sklearn_mlp._loss import Loss, apply_link
from sklearn_mlp._memory import require_memory
from sklearn_mlp._network import Network
from sklearn_mlp._optim import SOLVERS
from sklearn_mlp._schedules import SCHEDULES
from sklearn_mlp._training import LBFGSTraining, OptimizerRun, Record, StochasticTraining

# Above this no step of any solver means anything; scikit-learn's own limit is infinity.
LEARNING_RATE_LIMIT = 1e9


def _kernel_input(X):
    """`X` as the kernels read it: a C-ordered array as it is, a sparse matrix as checked CSR."""
    if not issparse(X):
        return X
    # Nothing has looked at these arrays yet, and the kernels follow them without a check. (SciPy's
    # own check_format skips them where the last pointer is 0.)
    n_major, n_minor = X.shape if X.format == "csr" else X.shape[::-1]
    pointers, n_entries = X.indptr, min(X.indices.size, X.data.size)
    if (
        pointers.shape != (n_major + 1,)
        or pointers[0] != 0
        or (np.diff(pointers) < 0).any()
        or pointers[-1] > n_entries
    ):
        raise ValueError(
            f"X is not a valid {X.format.upper()} matrix: indptr must hold {n_major + 1} numbers "
            f"that begin with 0, never fall, and end with at most the {n_entries} stored entries."
        )
    indices = X.indices[: pointers[-1]]
    if indices.size and not 0 <= indices.min() <= indices.max() < n_minor:
        raise ValueError(
            f"X is not a valid {X.format.upper()} matrix: its indices reach from {indices.min()} to "
            f"{indices.max()}, and they must lie between 0 and {n_minor - 1}."
        )
    return X.tocsr()


def _hidden_layer_sizes(value):
    sizes = list(value) if hasattr(value, "__iter__") else [value]
    if not all(isinstance(size, Integral) and not isinstance(size, bool) for size in sizes):
        raise TypeError(f"hidden_layer_sizes must be integers, got {value!r}.")
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [int(size) for size in sizes]


def _mean_weight(weights, which):
    """The mean of sample weights, 1 where there are none."""
    if weights is None:
        return 1.0
    if not weights.any():
        raise ValueError(f"sample_weight is zero for every {which} row; give some a weight.")
    return float(weights.mean(dtype=np.float64))


class BaseMultilayerPerceptron(BaseEstimator, ABC):
    """What `MLPClassifier` and `MLPRegressor` share."""

    _parameter_constraints: dict = {  # noqa: RUF012
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "solver": [StrOptions({"lbfgs", *SOLVERS})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions(set(SCHEDULES))],
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
    }

    @abstractmethod
    def __init__(self, **params):
        vars(self).update(params)

    # What the two estimators do differently.

    @abstractmethod
    def _validate_targets(self, y, dtype, first_pass, incremental, classes):
        """Check y and return it as the loss takes it, of shape (n_samples, n_columns)."""

    @abstractmethod
    def _make_loss(self, targets):
        """The `Loss` for these targets."""

    @abstractmethod
    def _score_raw(self, raw, loss, targets, sample_weight):
        """The validation score of raw scores."""

    def _strata(self, targets):
        """What an early-stopping split is stratified by, and whether it has to be."""
        return None, False

    # Fitting.

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
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

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If the data or parameters are not usable, or training diverged.
        MemoryError
            If the machine cannot hold the network and its training state; the size is named.
        """
        return self._fit(X, y, sample_weight, incremental=False)

    def _check_solver(self):
        if self.solver == "lbfgs":
            raise AttributeError(
                "partial_fit is only available for the stochastic solvers sgd and adam; "
                "solver='lbfgs' is not stochastic."
            )
        return True

    def _fit(self, X, y, sample_weight, *, incremental, classes=None):
        before = vars(self).copy()
        try:
            training, notes = self._prepare(X, y, sample_weight, incremental, classes)
            notes += training.run()
            self._attach(training, incremental)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise
        for note in notes:
            note()
        return self

    def _prepare(self, X, y, sample_weight, incremental, classes):
        """Validate everything, allocate everything, and only then draw weights and the split."""
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        if incremental:
            self._validate_params()  # scikit-learn's decorator does so in the first call alone
        first_pass = not hasattr(self, "_network") or not (self.warm_start or incremental)
        hidden = _hidden_layer_sizes(self.hidden_layer_sizes)
        X, targets, weights = self._validate(X, y, sample_weight, first_pass, incremental, classes)
        loss = self._make_loss(targets)
        notes = self._parameter_notes(X.shape[0], incremental)
        training = self._make_training(
            Samples(X, targets, weights),
            (X.shape[1], *hidden, loss.n_outputs),
            loss,
            first_pass,
            incremental,
        )
        random_state = check_random_state(self.random_state)
        if first_pass:
            training.network.initialize(random_state)
        self._choose_rows(training, random_state, targets, weights, incremental, notes)
        return training, notes

    def _validate(self, X, y, sample_weight, first_pass, incremental, classes):
        """Check the data; return X, targets and weights as the kernels read them."""
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
        X = _kernel_input(X)
        if issparse(y) and y.shape[1] == 1:
            y = y.toarray()
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        targets = self._validate_targets(y, X.dtype, first_pass, incremental, classes)
        if sample_weight is not None:
            sample_weight = np.ascontiguousarray(
                _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
            )
            if not sample_weight.any():
                raise ValueError("sample_weight is zero for every sample; give some a weight.")
        return X, targets, sample_weight

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

    def _parameter_notes(self, n_rows, incremental):
        """Warnings due about parameters, as functions without arguments."""
        notes = []
        n_train = self._n_train(n_rows)
        if self.solver != "lbfgs" and self.batch_size != "auto" and self.batch_size > n_train:
            notes.append(
                partial(
                    warn,
                    f"Got `batch_size`={self.batch_size}, larger than the {n_train} training "
                    "samples. It is going to be clipped.",
                )
            )
        resumed = incremental and getattr(self, "_optimizer", None) is not None
        if self.solver == "adam" and self.learning_rate != "constant" and not resumed:
            notes.append(
                partial(
                    warn,
                    f"learning_rate={self.learning_rate!r} acts on solver='adam' here; "
                    "scikit-learn applies it to 'sgd' alone and ignores it with 'adam'.",
                )
            )
        return notes

    def _n_train(self, n_rows):
        """Rows left for training (at least 1: the split itself complains about none)."""
        held_out = ceil(self.validation_fraction * n_rows) if self.early_stopping else 0
        return max(1, n_rows - held_out)

    def _make_training(self, samples, sizes, loss, first_pass, incremental):
        """Allocate the network and all that training it needs."""
        n_train = self._n_train(samples.n_rows)
        stochastic = self.solver != "lbfgs"
        permuted = self.early_stopping or (self.shuffle and stochastic)
        if stochastic:
            batch_rows = min(200 if self.batch_size == "auto" else self.batch_size, n_train)
        else:
            batch_rows = chunk_rows(n_train, max(sizes if permuted else sizes[1:]))
        network = self._make_network(sizes, samples, first_pass, incremental, batch_rows, permuted)
        common = {
            "network": network,
            "samples": samples,
            "loss": loss,
            "record": self._make_record(first_pass, incremental),
            "batch_rows": batch_rows,
            "permuted": permuted and not samples.sparse,
            "validating": self.early_stopping,
            "alpha": self.alpha,
            "max_iter": self.max_iter,
            "tol": self.tol,
            "n_iter_no_change": self.n_iter_no_change,
            "verbose": self.verbose,
        }
        if not stochastic:
            return LBFGSTraining(**common, max_fun=self.max_fun)
        return StochasticTraining(
            **common,
            optimizer=self._make_optimizer(network, incremental),
            shuffle=self.shuffle,
            loss_scale=1 / loss.n_outputs if loss.name == "squared_error" else 1,
            incremental=incremental,
        )

    def _make_network(self, sizes, samples, first_pass, incremental, batch_rows, permuted):
        """A new network, a copy of the fitted one, or, for `partial_fit`, the fitted one itself."""
        if not first_pass and sizes != self._network.sizes:
            raise ValueError(
                f"The data and hidden_layer_sizes ask for layers of sizes {sizes}, but the model to "
                f"go on with has {self._network.sizes}; fit afresh with warm_start=False."
            )
        moments = SOLVERS[self.solver].n_moments if self.solver in SOLVERS else 0
        n_bytes = Network.training_bytes(
            sizes,
            samples.dtype.itemsize,
            n_vectors=2 + moments + self.early_stopping,  # parameters, gradient, moments, best
            batch_rows=batch_rows,
            gathered=permuted and not samples.sparse,
        )
        require_memory(n_bytes, f"training a network of layer sizes {sizes}")
        if first_pass:
            return Network(sizes, self.activation, samples.dtype)
        network = self._network if incremental else self._network.copy()
        network.set_activation(self.activation)
        return network

    def _make_optimizer(self, network, incremental):
        optimizer = getattr(self, "_optimizer", None)
        if incremental and optimizer is not None:
            return optimizer
        kind = SOLVERS[self.solver]
        settings = kind(**{own: getattr(self, name) for own, name in kind.estimator_parameters.items()})
        schedule = SCHEDULES[self.learning_rate](self.learning_rate_init, self.power_t)
        return OptimizerRun(settings, settings.init(network.params), schedule)

    def _make_record(self, first_pass, incremental):
        if first_pass:
            record = Record()
        else:
            # Lists are copied, so that a fit which fails leaves them as they were; partial_fit, which
            # may be called any number of times, appends only when its epoch has succeeded.
            copied = [
                values if values is None or incremental else list(values)
                for values in (self.loss_curve_, self.validation_scores_)
            ]
            record = Record(
                t=self.t_,
                loss=self.loss_,
                loss_curve=copied[0],
                best_loss=self.best_loss_,
                validation_scores=copied[1],
                best_validation_score=self.best_validation_score_,
                no_improvement_count=self._no_improvement_count,
            )
        record.watch(self.early_stopping)
        return record

    def _choose_rows(self, training, random_state, targets, weights, incremental, notes):
        """Split off validation rows and tell `training` which rows are left."""
        rows = validate = None
        if self.early_stopping:
            rows, held_out = self._split(random_state, targets, notes)
            held_out_weights = None if weights is None else weights[held_out]
            _mean_weight(held_out_weights, "validation")
            # Not bound to `training`, which will hold it: a cycle would keep the data alive.
            validate = partial(
                self._validation_score,
                training.network,
                training.loss,
                training.samples,
                held_out,
                targets[held_out],
                held_out_weights,
            )
        elif self.shuffle and self.solver != "lbfgs":
            rows = np.arange(targets.shape[0], dtype=np.intp)
        if weights is None or incremental:
            mean_weight = 1.0
        else:
            mean_weight = _mean_weight(weights if rows is None else weights[rows], "training")
        training.take(rows, mean_weight, validate, random_state)

    def _split(self, random_state, targets, notes):
        """Training and validation rows, as scikit-learn draws them."""
        split = partial(
            train_test_split,
            np.arange(targets.shape[0], dtype=np.intp),
            test_size=self.validation_fraction,
            random_state=random_state,
        )
        strata, required = self._strata(targets)
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
                "your dataset."
            )
        return rows, held_out

    def _validation_score(self, network, loss, samples, rows, targets, sample_weight):
        raw = predict_batches(network.layers, network.params, samples, rows)
        return self._score_raw(raw, loss, targets, sample_weight)

    def _attach(self, training, incremental):
        """Make the outcome of a training the state of the estimator."""
        record, network = training.record, training.network
        self._network = network
        self._optimizer = training.optimizer
        self._in_partial_fit = incremental
        self._no_improvement_count = record.no_improvement_count
        self.n_layers_ = len(network.sizes)
        self.n_outputs_ = network.sizes[-1]
        self.out_activation_ = training.loss.link
        self.n_iter_ = record.n_iter
        self.t_ = record.t
        self.loss_ = record.loss
        self.loss_curve_ = record.loss_curve
        self.best_loss_ = record.best_loss
        self.validation_scores_ = record.validation_scores
        self.best_validation_score_ = record.best_validation_score

    # The fitted model.

    @property
    def coefs_(self):
        """list of ndarray of shape (n_in, n_out): the weights of each layer.

        The arrays are views of the model's parameters. Assigning an item writes into the model;
        assigning the whole list gives the model new parameters.
        """
        return self._fitted_network("coefs_").coefs

    @coefs_.setter
    def coefs_(self, values):
        self._replace_parameters("coefs", values)

    @property
    def intercepts_(self):
        """list of ndarray of shape (n_out,): the intercepts of each layer; views as `coefs_`."""
        return self._fitted_network("intercepts_").intercepts

    @intercepts_.setter
    def intercepts_(self, values):
        self._replace_parameters("intercepts", values)

    def _fitted_network(self, wanted):
        network = vars(self).get("_network")
        if network is None:
            raise AttributeError(f"this {type(self).__name__} has no {wanted} before it is fitted")
        return network

    def _replace_parameters(self, name, values):
        network = self._fitted_network(f"{name}_").copy()
        getattr(network, name)[:] = values
        self._network = network

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

    def _raw_scores(self, X):
        """Raw scores of shape (n_samples, n_outputs)."""
        check_is_fitted(self)
        network = self._network
        X = validate_data(
            self, X, accept_sparse=["csr", "csc"], dtype=network.dtype, order="C", reset=False
        )
        return predict_batches(network.layers, network.params, Samples(_kernel_input(X)))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class MLPClassifier(ClassifierMixin, BaseMultilayerPerceptron):
    """Multi-layer perceptron classifier: `sklearn.neural_network.MLPClassifier`, compiled.

    The parameters, attributes and methods are scikit-learn's, and so are the numbers for the same
    `random_state`, but for a short list of differences (``doc/differences.md``). It minimises the log
    loss: the softmax cross-entropy of several classes, one logistic loss for two classes or for each
    label of a multilabel target.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Units of each hidden layer; ``()`` for a linear model.
    activation : {'identity', 'logistic', 'tanh', 'relu'}, default='relu'
        Activation of the hidden layers: x, 1 / (1 + exp(-x)), tanh(x) or max(0, x).
    solver : {'lbfgs', 'sgd', 'adam'}, default='adam'
        'adam' (Kingma and Ba 2014) and 'sgd' train on mini-batches; 'lbfgs' runs SciPy's L-BFGS-B on
        all rows at once, which suits small data.
    alpha : float, default=0.0001
        Strength of the L2 penalty on the weights: ``0.5 * alpha * sum(weights ** 2)``, divided by
        the number of samples, is added to the loss. All solvers.
    batch_size : int or 'auto', default='auto'
        Rows of a mini-batch; 'auto' is ``min(200, n_samples)``. Not used by 'lbfgs'.
    learning_rate : {'constant', 'invscaling', 'adaptive'}, default='constant'
        Schedule of the learning rate, for 'sgd' and 'adam': `learning_rate_init` throughout; that
        divided by ``t ** power_t`` after t samples; or divided by 5 each time `n_iter_no_change`
        epochs in a row brought no improvement of `tol`. With 'adam', where scikit-learn ignores it, a
        warning says so.
    learning_rate_init : float, default=0.001
        Initial learning rate, below 1e9. Used by 'sgd' and 'adam'.
    power_t : float, default=0.5
        Exponent of the 'invscaling' schedule.
    max_iter : int, default=200
        Most epochs ('sgd', 'adam') or iterations ('lbfgs').
    shuffle : bool, default=True
        Whether to take the rows in a new order in each epoch. Used by 'sgd' and 'adam'.
    random_state : int, RandomState instance or None, default=None
        Draws the initial parameters, the validation split and the order of rows, from the same stream
        as scikit-learn does.
    tol : float, default=1e-4
        Improvement of the loss (or validation score) that counts as one; for 'lbfgs' also the
        tolerance on the gradient.
    verbose : bool, default=False
        Whether to print the loss of each epoch or iteration.
    warm_start : bool, default=False
        Whether `fit` goes on from the previous solution.
    momentum : float, default=0.9
        Momentum of 'sgd', from 0 to 1.
    nesterovs_momentum : bool, default=True
        Whether 'sgd' uses Nesterov's momentum.
    early_stopping : bool, default=False
        Whether to hold out `validation_fraction` of the rows, stop when their accuracy has not
        improved by `tol` for `n_iter_no_change` epochs or iterations, and keep the best parameters.
        The split is stratified for two classes; for more where each class has members enough, with a
        warning where it has not; never for multilabel targets.
        All solvers; not in `partial_fit`.
    validation_fraction : float, default=0.1
        Share of the rows to hold out when `early_stopping` is set.
    beta_1, beta_2 : float, default=0.9 and 0.999
        Decay rates of the moments of 'adam', in [0, 1).
    epsilon : float, default=1e-8
        Added to the root of the second moment by 'adam'.
    n_iter_no_change : int or inf, default=10
        Epochs without improvement after which training stops.
    max_fun : int, default=15000
        Most evaluations of the loss by 'lbfgs'.
    dtype : {'auto', 'float32', 'float64'}, default='auto'
        Type of the parameters and of all computation. 'auto': float32 for float32 input, otherwise
        float64. A fitted model keeps its dtype in `partial_fit`, a warm start and prediction.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted.
    coefs_ : list of ndarray of shape (n_in, n_out)
        Weights of each layer: views into the model. Assigning an item writes into the model.
    intercepts_ : list of ndarray of shape (n_out,)
        Intercepts of each layer; views, as `coefs_`.
    loss_ : float
        Loss of the last epoch or iteration.
    best_loss_ : float or None
        Smallest loss so far; None with `early_stopping`.
    loss_curve_ : list of float
        Loss of each epoch or iteration, those of earlier warm-started fits included.
    validation_scores_ : list of float or None
        The accuracy of the held-out rows after each epoch, with `early_stopping`.
    best_validation_score_ : float or None
        The best of them.
    t_ : int
        Samples seen by 'sgd' or 'adam'.
    n_iter_ : int
        Epochs or iterations of the last `fit`.
    n_layers_ : int
        Layers, input and output included.
    n_outputs_ : int
        Units of the output layer.
    out_activation_ : str
        The function from raw scores to predictions: 'softmax' or 'logistic'.
    n_features_in_ : int
        Features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X has names that are all strings.

    See Also
    --------
    MLPRegressor : The same for numbers.

    References
    ----------
    Kingma and Ba (2014), "Adam: A method for stochastic optimization", arXiv:1412.6980.
    Glorot and Bengio (2010), "Understanding the difficulty of training deep feedforward neural
    networks" (the initial weights).

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_mlp import MLPClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    >>> model = make_pipeline(StandardScaler(), MLPClassifier(max_iter=300, random_state=0))
    >>> model.fit(X_train, y_train).score(X_test, y_test) > 0.95
    True
    """

    loss = "log_loss"

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        dtype="auto",
    ):
        super().__init__(
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            max_iter=max_iter,
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            verbose=verbose,
            warm_start=warm_start,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
            max_fun=max_fun,
            dtype=dtype,
        )

    @available_if(lambda est: est._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None, classes=None):
        """Update the model with one pass over the given data.

        Everything is validated before the model is touched. If training diverges, ValueError is
        raised and the parameters are not rolled back.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The class labels or label indicators.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples. The loss of a mini-batch is divided by its rows, so that a chunk
            of weight 100 counts 100 times.
        classes : array-like of shape (n_classes,), default=None
            All classes that any call will see. Required in the first call, and the same, if given,
            in later ones.

        Returns
        -------
        self : object
            The updated estimator.

        Raises
        ------
        ValueError, TypeError
            If the data or parameters are not usable, `early_stopping` is set, or training diverged.
        AttributeError
            If the solver is "lbfgs".
        """
        return self._fit(X, y, sample_weight, incremental=True, classes=classes)

    def _validate_targets(self, y, dtype, first_pass, incremental, classes):
        if incremental and _check_partial_fit_first_call(self, classes):
            multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if multilabel else classes)
        elif first_pass:
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        self._check_labels(y, incremental)
        if not self._multilabel():
            return np.searchsorted(self.classes_, y).astype(np.int32).reshape(-1, 1)
        return np.ascontiguousarray((y.toarray() if issparse(y) else y) != 0, dtype=np.int32)

    def _multilabel(self):
        return self._label_binarizer.y_type_.startswith("multilabel")

    def _check_labels(self, y, incremental):
        """Check `y` against the kind of target and the classes that the model knows."""
        target = type_of_target(y)
        if target.startswith("multilabel") != self._multilabel():
            raise ValueError(
                f"The model is for {self._label_binarizer.y_type_} targets and `y` is {target}; "
                "fit afresh with warm_start=False."
            )
        labels = unique_labels(y)
        unknown = np.setdiff1d(labels, self.classes_, assume_unique=True)
        if self._multilabel() and y.shape[1] != self.classes_.size:
            raise ValueError(
                f"`y` has {y.shape[1]} labels per sample; the classes are {self.classes_}."
            )
        if unknown.size and incremental:
            raise ValueError(
                f"`y` has the classes {unknown}, which are not among those given to the first call "
                f"of partial_fit or found by fit: {self.classes_}."
            )
        if not incremental and (unknown.size or labels.size != self.classes_.size):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {self.classes_}, `y` has {labels}"
            )

    def _make_loss(self, targets):
        if self._label_binarizer.y_type_ == "multiclass":
            return Loss("log_loss", self.classes_.size)
        return Loss("binary_log_loss", targets.shape[1])

    def _strata(self, targets):
        if self._label_binarizer.y_type_ == "multiclass":
            return targets, False
        # scikit-learn's rules: binary targets must be stratified, label indicators never are.
        return (None, False) if self._multilabel() else (targets.astype(bool), True)

    def _score_raw(self, raw, loss, targets, sample_weight):
        codes = raw.argmax(axis=1) if loss.name == "log_loss" else raw > 0
        return accuracy_score(targets, codes, sample_weight=sample_weight)

    # Prediction.

    def decision_function(self, X):
        """Raw scores: what the last layer computes, before softmax or the logistic function.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
            For binary targets the log-odds of the second class; otherwise a score per class.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        """
        raw = self._raw_scores(X)
        return raw.ravel() if raw.shape[1] == 1 else raw

    def predict(self, X):
        """Predict class labels, or label indicators.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_classes)
            The class with the highest score; in multilabel classification the indicators of the
            labels that are more probable than not.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        """
        return self._labels(self._raw_scores(X))

    def _labels(self, raw):
        return self._label_binarizer.inverse_transform(raw, threshold=0.0)

    def predict_proba(self, X):
        """Predict the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`. Rows sum to 1, except in multilabel classification,
            where each column is the probability of its label. Never 0: a probability below the
            smallest normal number of the dtype is between half of that and all of it, in the order
            of the scores. In multilabel classification within [tiny, 1 - eps] of the dtype.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        """
        raw = self._two_sided(self._raw_scores(X))
        if self._multilabel():
            return self._clipped_proba(raw)
        proba = raw.copy()
        apply_link(self.out_activation_, proba)
        limits = np.finfo(proba.dtype)
        low = proba < limits.tiny
        if low.any():
            # Too small for the dtype, but not 0 and in order: from tiny down to tiny / 2.
            share = np.log(limits.tiny) / self._log_proba(raw)[low]
            proba[low] = limits.tiny * (0.5 + 0.5 * share)
        return proba

    def _clipped_proba(self, raw):
        """Probabilities of a multilabel target, within [tiny, 1 - eps]."""
        proba = raw.copy()
        apply_link(self.out_activation_, proba)
        limits = np.finfo(proba.dtype)
        return np.clip(proba, limits.tiny, 1 - limits.eps, out=proba)

    def _two_sided(self, raw):
        """Raw scores with a column per class: a binary classifier's one score stands for two."""
        if raw.shape[1] > 1 or self._multilabel():
            return raw
        return np.hstack([-raw, raw])

    def predict_log_proba(self, X):
        """Predict the logarithm of the probability of each class, from the raw scores.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        log_proba : ndarray of shape (n_samples, n_classes)
            Exact even where `predict_proba` reaches the limits of the dtype.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        """
        return self._log_proba(self._two_sided(self._raw_scores(X)))

    def _log_proba(self, raw):
        if self.out_activation_ == "softmax":
            return log_softmax(raw, axis=1)
        log_proba = log_expit(raw)
        if self._multilabel():
            # Labels that predict_proba rounds to the same number near 1 must tie here as well.
            proba = self._clipped_proba(raw)
            np.log(proba, out=log_proba, where=proba > 0.5)
        return log_proba

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, BaseMultilayerPerceptron):
    """Multi-layer perceptron regressor: `sklearn.neural_network.MLPRegressor`, compiled.

    The parameters, attributes and methods are scikit-learn's, and so are the numbers for the same
    `random_state`, but for a short list of differences (``doc/differences.md``).

    Parameters
    ----------
    loss : {'squared_error', 'poisson'}, default='squared_error'
        Half the squared error, or half the Poisson deviance with a log link, which needs ``y >= 0``
        and predicts positive numbers.
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Units of each hidden layer; ``()`` for a linear model.
    activation : {'identity', 'logistic', 'tanh', 'relu'}, default='relu'
        Activation of the hidden layers: x, 1 / (1 + exp(-x)), tanh(x) or max(0, x).
    solver : {'lbfgs', 'sgd', 'adam'}, default='adam'
        'adam' (Kingma and Ba 2014) and 'sgd' train on mini-batches; 'lbfgs' runs SciPy's L-BFGS-B on
        all rows at once, which suits small data.
    alpha : float, default=0.0001
        Strength of the L2 penalty on the weights: ``0.5 * alpha * sum(weights ** 2)``, divided by
        the number of samples, is added to the loss. All solvers.
    batch_size : int or 'auto', default='auto'
        Rows of a mini-batch; 'auto' is ``min(200, n_samples)``. Not used by 'lbfgs'.
    learning_rate : {'constant', 'invscaling', 'adaptive'}, default='constant'
        Schedule of the learning rate, for 'sgd' and 'adam': `learning_rate_init` throughout; that
        divided by ``t ** power_t`` after t samples; or divided by 5 each time `n_iter_no_change`
        epochs in a row brought no improvement of `tol`. With 'adam', where scikit-learn ignores it, a
        warning says so.
    learning_rate_init : float, default=0.001
        Initial learning rate, below 1e9. Used by 'sgd' and 'adam'.
    power_t : float, default=0.5
        Exponent of the 'invscaling' schedule.
    max_iter : int, default=200
        Most epochs ('sgd', 'adam') or iterations ('lbfgs').
    shuffle : bool, default=True
        Whether to take the rows in a new order in each epoch. Used by 'sgd' and 'adam'.
    random_state : int, RandomState instance or None, default=None
        Draws the initial parameters, the validation split and the order of rows, from the same stream
        as scikit-learn does.
    tol : float, default=1e-4
        Improvement of the loss (or validation score) that counts as one; for 'lbfgs' also the
        tolerance on the gradient.
    verbose : bool, default=False
        Whether to print the loss of each epoch or iteration.
    warm_start : bool, default=False
        Whether `fit` goes on from the previous solution.
    momentum : float, default=0.9
        Momentum of 'sgd', from 0 to 1.
    nesterovs_momentum : bool, default=True
        Whether 'sgd' uses Nesterov's momentum.
    early_stopping : bool, default=False
        Whether to hold out `validation_fraction` of the rows, stop when their R2 has not
        improved by `tol` for `n_iter_no_change` epochs or iterations, and keep the best parameters.
        The split is random.
        All solvers; not in `partial_fit`.
    validation_fraction : float, default=0.1
        Share of the rows to hold out when `early_stopping` is set.
    beta_1, beta_2 : float, default=0.9 and 0.999
        Decay rates of the moments of 'adam', in [0, 1).
    epsilon : float, default=1e-8
        Added to the root of the second moment by 'adam'.
    n_iter_no_change : int or inf, default=10
        Epochs without improvement after which training stops.
    max_fun : int, default=15000
        Most evaluations of the loss by 'lbfgs'.
    dtype : {'auto', 'float32', 'float64'}, default='auto'
        Type of the parameters and of all computation. 'auto': float32 for float32 input, otherwise
        float64. A fitted model keeps its dtype in `partial_fit`, a warm start and prediction.

    Attributes
    ----------
    coefs_ : list of ndarray of shape (n_in, n_out)
        Weights of each layer: views into the model. Assigning an item writes into the model.
    intercepts_ : list of ndarray of shape (n_out,)
        Intercepts of each layer; views, as `coefs_`.
    loss_ : float
        Loss of the last epoch or iteration.
    best_loss_ : float or None
        Smallest loss so far; None with `early_stopping`.
    loss_curve_ : list of float
        Loss of each epoch or iteration, those of earlier warm-started fits included.
    validation_scores_ : list of float or None
        The R2 of the held-out rows after each epoch, with `early_stopping`.
    best_validation_score_ : float or None
        The best of them.
    t_ : int
        Samples seen by 'sgd' or 'adam'.
    n_iter_ : int
        Epochs or iterations of the last `fit`.
    n_layers_ : int
        Layers, input and output included.
    n_outputs_ : int
        Units of the output layer.
    out_activation_ : str
        The function from raw scores to predictions: 'identity', or 'exp' for the Poisson loss.
    n_features_in_ : int
        Features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X has names that are all strings.

    See Also
    --------
    MLPClassifier : The same for class labels.

    References
    ----------
    Kingma and Ba (2014), "Adam: A method for stochastic optimization", arXiv:1412.6980.
    Glorot and Bengio (2010), "Understanding the difficulty of training deep feedforward neural
    networks" (the initial weights).

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_mlp import MLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    >>> network = MLPRegressor(
    ...     learning_rate_init=0.01, early_stopping=True, max_iter=2000, random_state=0
    ... )
    >>> model = make_pipeline(StandardScaler(), network)
    >>> model.fit(X_train, y_train).score(X_test, y_test) > 0.25
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        **BaseMultilayerPerceptron._parameter_constraints,
        "loss": [StrOptions({"squared_error", "poisson"})],
    }

    def __init__(
        self,
        loss="squared_error",
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        dtype="auto",
    ):
        super().__init__(
            loss=loss,
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            max_iter=max_iter,
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            verbose=verbose,
            warm_start=warm_start,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
            max_fun=max_fun,
            dtype=dtype,
        )

    @available_if(lambda est: est._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """Update the model with one pass over the given data.

        Everything is validated before the model is touched. If training diverges, ValueError is
        raised and the parameters are not rolled back.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples. The loss of a mini-batch is divided by its rows, so that a chunk
            of weight 100 counts 100 times.

        Returns
        -------
        self : object
            The updated estimator.

        Raises
        ------
        ValueError, TypeError
            If the data or parameters are not usable, `early_stopping` is set, or training diverged.
        AttributeError
            If the solver is "lbfgs".
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def _validate_targets(self, y, dtype, first_pass, incremental, classes):
        y = y.toarray() if issparse(y) else y
        with np.errstate(over="ignore"):
            targets = np.ascontiguousarray(y.reshape(y.shape[0], -1), dtype=dtype)
        if not np.isfinite(targets).all():
            raise ValueError(f"`y` has values too large for {dtype}.")
        if self.loss == "poisson" and (targets < 0).any():
            raise ValueError("loss='poisson' requires y >= 0; some values of `y` are negative.")
        return targets

    def _make_loss(self, targets):
        return Loss(self.loss, targets.shape[1])

    def _score_raw(self, raw, loss, targets, sample_weight):
        apply_link(loss.link, raw)
        if not np.isfinite(raw).all():
            return np.nan
        return r2_score(targets, raw, sample_weight=sample_weight)

    def predict(self, X):
        """Predict targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The predicted values, in the dtype of the model.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        """
        raw = self._raw_scores(X)
        apply_link(self.out_activation_, raw)
        return raw.ravel() if raw.shape[1] == 1 else raw

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = self.loss == "poisson"
        return tags
