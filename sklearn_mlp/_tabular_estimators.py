"""TabularMLPClassifier and TabularMLPRegressor: preprocessing, networks and their average."""

from abc import ABC, abstractmethod
from functools import partial
from math import ceil, log2
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    RegressorMixin,
    clone,
    is_classifier,
    is_regressor,
)
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import (
    _check_y,
    _num_samples,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from sklearn_mlp._activations import ACTIVATIONS
from sklearn_mlp._base import _single_column
from sklearn_mlp._columns import ColumnsOfKind
from sklearn_mlp._estimators import MLPClassifier, MLPRegressor
from sklearn_mlp._html import DocLinkMixin
from sklearn_mlp._report import FitReport
from sklearn_mlp._serialize import JSONMixin
from sklearn_mlp._tabular_onnx import TabularONNXMixin
from sklearn_mlp._training import Recipe
from sklearn_mlp._typing import (
    Activations,
    Array,
    RandomState,
    Rates,
    ScheduleFunction,
    Score,
    Scores,
    Sizes,
    fit_context,
)
from sklearn_mlp.preprocessing import tabular_preprocessor
from sklearn_mlp.schedules import LEARNING_RATE_LIMIT, SCHEDULE_NAMES, Schedule

# A fit sees each row MOST_EPOCHS times, or so often that it has seen ROWS_SEEN of them, but at least
# LEAST_EPOCHS times: what takes minutes on many rows would otherwise take hours.
LEAST_EPOCHS, MOST_EPOCHS, ROWS_SEEN = 16, 256, 3_000_000

# Batches of 256 rows, and smaller ones where an epoch would have fewer than STEPS of them.
SMALLEST_BATCH, LARGEST_BATCH, STEPS = 16, 256, 16

# Members take turns at about MEMBER_ROWS rows, and are at most MOST_MEMBERS: on few rows they differ
# most, and cost least.
MEMBER_ROWS, MOST_MEMBERS = 20_000, 5

# A bin holds about BIN_ROWS rows; a number has at most MOST_BINS bins, and all together ALL_BINS.
BIN_ROWS, MOST_BINS, ALL_BINS = 64, 48, 1024

# Those of trees may be more and smaller: a tree puts them where y changes.
MOST_TREE_BINS, ALL_TREE_BINS, TREE_LEAF = 256, 2048, 8

# In classification bins that nobody asked for are larger, and there are none with fewer rows of a class
# for each number: they would do harm.
CLASS_BIN_ROWS, CLASS_ROWS = 256, 64

# With fewer rows to validate on, their score would say nothing about the epochs.
LEAST_VALIDATION = 5

SMOOTHING = 0.1

# Factor of the rate of a feature's scale, from RealMLP.
SCALE_RATE = 6.0


def _is_frame(X):
    return hasattr(X, "columns") and hasattr(X, "shape")


def _batch_size(n_rows):
    power = 2 ** round(log2(max(n_rows / STEPS, 1)))
    return min(int(np.clip(power, SMALLEST_BATCH, LARGEST_BATCH)), max(n_rows, 1))


def _n_members(n_rows):
    return int(np.clip(round(MEMBER_ROWS / max(n_rows, 1)), 1, MOST_MEMBERS))


def _n_bins(n_rows, n_numbers, bin_rows=BIN_ROWS, most=MOST_BINS, total=ALL_BINS):
    return max(2, min(n_rows // bin_rows, most, total // max(n_numbers, 1)))


def _n_epochs(n_rows):
    return int(np.clip(ROWS_SEEN // max(n_rows, 1), LEAST_EPOCHS, MOST_EPOCHS))


class BaseTabular(DocLinkMixin, JSONMixin, TabularONNXMixin, BaseEstimator, ABC):
    """What `TabularMLPClassifier` and `TabularMLPRegressor` share."""

    _parameter_constraints: dict = {  # noqa: RUF012
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS)), list, tuple],
        "n_members": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "preprocessor": [StrOptions({"auto"}), HasMethods(["fit_transform", "transform"]), None],
        "bins": [StrOptions({"auto", "quantile", "tree"}), None],
        "solver": [StrOptions({"adam", "adamw", "sgd"})],
        "learning_rate": [StrOptions(set(SCHEDULE_NAMES)), Schedule, callable],
        "learning_rate_init": [Interval(Real, 0, LEARNING_RATE_LIMIT, closed="neither")],
        "layer_rates": [None, StrOptions({"fan_in"}), "array-like"],
        "intercept_rate": [Interval(Real, 0, None, closed="left")],
        "feature_scale": ["boolean", Interval(Real, 0, None, closed="neither")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left"), "array-like"],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "max_iter": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "n_iter_no_change": [None, Interval(Integral, 1, None, closed="left")],
        "scoring": [None, str, callable],
        "metrics": [None, str, callable, list, tuple],
        "n_jobs": [None, Integral],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @abstractmethod
    def __init__(self, **params):
        vars(self).update(params)

    @abstractmethod
    def _learn_targets(self, y):
        """Learn what there is to know about the targets; return them as the members take them."""

    @abstractmethod
    def _member_targets(self, y):
        """Targets of rows to validate on, as the members take them."""

    @abstractmethod
    def _own_parameters(self):
        """Parameters of a member that only this task has."""

    def _weights(self, y, sample_weight):
        """Weights of the rows, those that their classes give them included."""
        return sample_weight

    @abstractmethod
    def _smallest_class(self, y):
        """The rows of the rarest class, by which a split has to be possible; None if there is none."""

    @abstractmethod
    def _auto_bins(self, n_rows, n_numbers):
        """How many bins are added to each of so many columns of numbers unasked; 0: none."""

    _member: type

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Any = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Fit the preprocessing and the members.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            A frame of pandas or polars with columns of any type that `preprocessor` takes, or an array
            of numbers. Missing cells (NaN, None) are welcome.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The targets: class labels or label indicators in classification, numbers in regression.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the loss and the validation score, not negative and not all zero.
            The preprocessing does not see them.
        X_val : array-like or frame of shape (n_val_samples, n_features), default=None
            Rows to validate every member on, in place of a random `validation_fraction`. They are
            given as X is, not preprocessed.
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
            If the data or parameters are not usable, or training diverged.
        MemoryError
            If the machine cannot hold a network and its training state.
        """
        before = vars(self).copy()
        try:
            self._fit(X, y, sample_weight, X_val, y_val, sample_weight_val)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        return self

    def _fit(self, X, y, sample_weight, X_val, y_val, sample_weight_val):
        X, y = self._validate(X, y)
        targets = self._learn_targets(y)
        self.preprocessor_ = self._make_preprocessor(X)
        rows = self._rows(X if self.preprocessor_ is None else self.preprocessor_.fit_transform(X, y))
        held_out = {}
        if X_val is not None or y_val is not None or sample_weight_val is not None:
            held_out = self._held_out(X_val, y_val, sample_weight_val)
        splits = not held_out and self._can_split(y)
        weights = self._weights(y, sample_weight)
        n_members = _n_members(len(targets)) if self.n_members == "auto" else self.n_members
        random_state = check_random_state(self.random_state)
        members = [
            self._make_member(seed, len(targets), splits, bool(held_out))
            for seed in random_state.randint(np.iinfo(np.int32).max, size=n_members)
        ]
        # Training holds the GIL only between stretches of batches, so that threads run side by side.
        parallel = Parallel(n_jobs=-1 if self.n_jobs is None else self.n_jobs, require="sharedmem")
        self.members_ = parallel(
            delayed(member.fit)(rows, targets, weights, **held_out) for member in members
        )

    def _validate(self, X, y):
        """Check X as far as the preprocessing does not, and y; learn the names of columns."""
        check_y = partial(_check_y, multi_output=True, y_numeric=is_regressor(self), estimator=self)
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        X = self._validate_rows(X, reset=True)
        y = _single_column(check_y(y))
        check_consistent_length(X, y)
        return X, y

    def _validate_rows(self, X, reset):
        if _is_frame(X):
            validate_data(self, X, skip_check_array=True, reset=reset)
            if X.shape[0] == 0 or X.shape[1] == 0:
                raise ValueError(
                    f"X has {X.shape[0]} rows (sample(s)) and {X.shape[1]} columns (feature(s)), while "
                    "a minimum of 1 of each is required."
                )
            return X
        finite = self.preprocessor is None or "allow-nan"
        return validate_data(self, X, dtype="numeric", ensure_all_finite=finite, reset=reset)

    def _make_preprocessor(self, X):
        if isinstance(self.preprocessor, str):
            task = "classification" if is_classifier(self) else "regression"
            return tabular_preprocessor(task=task, **self._bin_parameters(X))
        if self.bins not in ("auto", None):
            raise ValueError(
                f"bins={self.bins!r} is for preprocessor='auto'; leave it at 'auto', or put a "
                "PiecewiseLinearEncoder into the preprocessor."
            )
        return None if self.preprocessor is None else clone(self.preprocessor)

    def _bin_parameters(self, X):
        """What `tabular_preprocessor` is told about bins."""
        if self.bins is None:
            return {}
        size = _num_samples(X), len(ColumnsOfKind("number")(X))
        if self.bins == "tree":
            n_bins = _n_bins(*size, most=MOST_TREE_BINS, total=ALL_TREE_BINS)
            return {"bins": "tree", "n_bins": n_bins, "min_samples_leaf": TREE_LEAF}
        n_bins = _n_bins(*size) if self.bins == "quantile" else self._auto_bins(*size)
        return {"bins": "quantile", "n_bins": n_bins} if n_bins else {}

    @staticmethod
    def _rows(X):
        """What the preprocessing made, as the members train on it without a copy."""
        X = X.toarray() if hasattr(X, "toarray") else X
        return np.ascontiguousarray(X, dtype=np.float32)

    def _transformed(self, X):
        X = self._validate_rows(X, reset=False)
        return self._rows(X if self.preprocessor_ is None else self.preprocessor_.transform(X))

    def _held_out(self, X_val, y_val, sample_weight_val):
        if X_val is None or y_val is None:
            raise ValueError("X_val and y_val go together; one of them was not given.")
        check_consistent_length(X_val, y_val)
        return {
            "X_val": self._transformed(X_val),
            "y_val": self._member_targets(y_val),
            "sample_weight_val": sample_weight_val,
        }

    def _can_split(self, y):
        """Whether rows can be spared to validate on, those of the rarest class among them."""
        n_held_out = ceil(self.validation_fraction * _num_samples(y))
        smallest = self._smallest_class(y)
        enough = smallest is None or (smallest[0] >= 2 and n_held_out >= smallest[1])
        return n_held_out >= LEAST_VALIDATION and enough

    def _make_member(self, seed, n_rows, splits, held_out):
        n_training = n_rows - (ceil(self.validation_fraction * n_rows) if splits else 0)
        validated = splits or held_out
        member = self._member(
            hidden_layer_sizes=self.hidden_layer_sizes,
            activation=self.activation,
            solver=self.solver,
            alpha=0.0,
            learning_rate=self.learning_rate,
            learning_rate_init=self.learning_rate_init,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            weight_decay=self.weight_decay,
            dropout=self.dropout,
            batch_size=_batch_size(n_training) if self.batch_size == "auto" else self.batch_size,
            max_iter=_n_epochs(n_training) if self.max_iter == "auto" else self.max_iter,
            early_stopping=validated,
            validation_fraction=self.validation_fraction if splits else 0.1,
            n_iter_no_change=np.inf if self.n_iter_no_change is None else self.n_iter_no_change,
            scoring=self.scoring if validated else None,
            metrics=self.metrics,
            dtype="float32",
            random_state=int(seed),
            verbose=self.verbose,
            **self._own_parameters(),
        )
        member._recipe = self._recipe()
        return member

    def _recipe(self):
        """What the members are asked for beyond their parameters."""
        rates, scale = self.layer_rates, float(self.feature_scale)
        if isinstance(self.feature_scale, bool | np.bool_):
            scale *= SCALE_RATE
        return Recipe(
            layer_rates=rates if rates is None or isinstance(rates, str) else tuple(rates),
            intercept_rate=float(self.intercept_rate),
            feature_scale=scale,
            last_best=True,
        )

    @property
    def history_(self) -> FitReport:
        """FitReport of the first member; ``members_[i].history_`` is that of another."""
        return self._first_member("history_").history_

    @property
    def n_iter_(self) -> int:
        """int: the epochs of the member that trained longest."""
        self._first_member("n_iter_")
        return max(member.n_iter_ for member in self.members_)

    def _first_member(self, wanted):
        members = vars(self).get("members_")
        if members is None:
            raise AttributeError(f"this {type(self).__name__} has no {wanted} before it is fitted")
        return members[0]

    def _mean(self, method, X):
        """The mean over the members of what a method returns, in float64."""
        check_is_fitted(self)
        rows = self._transformed(X)
        total = getattr(self.members_[0], method)(rows).astype(np.float64)
        for member in self.members_[1:]:
            total += getattr(member, method)(rows)
        return total / len(self.members_)

    def __sklearn_is_fitted__(self):
        return "members_" in vars(self)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.preprocessor is not None
        tags.non_deterministic = False
        return tags


class TabularMLPClassifier(ClassifierMixin, BaseTabular):
    """Classifier of tables as they come: preprocessing, networks and their average in one estimator.

    Columns are brought into shape by `sklearn_mlp.preprocessing.tabular_preprocessor`. The network that
    follows has settings that do on many tables: the recipe of RealMLP (Holzmüller et al. 2024) as far
    as the networks here have it. A part of the rows is held out, and of all
    epochs the parameters that were best on it are kept. Several members, each with a seed and a split
    of its own, are averaged.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(256, 256, 256)
        Units of each hidden layer.
    activation : str, (str, float) or list of them, default='selu'
        As of `MLPClassifier`.
    n_members : int or 'auto', default='auto'
        Networks, whose probabilities are averaged. They are trained side by side. 'auto':
        20,000 / rows, rounded, from 1 to 5; so 5 up to 4,444 rows, and 1 from 13,334.
    preprocessor : 'auto', transformer or None, default='auto'
        'auto': `tabular_preprocessor()`. Any transformer, fitted on all rows and their targets as a
        clone; its output is taken as float32. None: X is numbers that need no preparation.
    bins : {'auto', 'quantile', 'tree'} or None, default='auto'
        What the preprocessor 'auto' adds to each number: its piecewise-linear encoding on bins of this
        kind (`PiecewiseLinearEncoder`), one for every 64 rows, which makes the table wider and training
        slower. 'quantile': from 2 to 48, and about 1,024 in all at most. 'tree': from 2 to 256 of 8
        rows at least, 2,048 in all; worth trying where thresholds matter. 'auto': with 64 rows or more
        for each class and column of numbers (of three columns and two classes: 384 rows), 'quantile'
        with one bin for every 256 rows; else None.
    solver : {'adamw', 'adam', 'sgd'}, default='adamw'
        As of `MLPClassifier`.
    learning_rate : str, Schedule or callable, default='cosine_log'
        Schedule of the rate over the whole of training, a factor of `learning_rate_init` in each step.
    learning_rate_init : float, default=0.002
        Largest rate.
    layer_rates : 'fan_in', array-like of float or None, default=None
        Factors of the rate of each layer's weights. 'fan_in': sqrt(256 / n_in) for a layer with n_in
        inputs, as the neural-tangent parametrisation of RealMLP has it. Or one number for each layer,
        the output layer included. None: 1.
    intercept_rate : float, default=1.0
        Factor of the rate of the intercepts.
    feature_scale : bool or float, default=True
        Whether a factor for each column of what `preprocessor` returns is learned along with the
        weights, 1 at first and without decay. A number is the factor of its rate; True: 6. After `fit`
        it is part of the first layer's weights.
    beta_1, beta_2 : float, default=0.9 and 0.95
        Decay rates of the moments of 'adamw' and 'adam'.
    weight_decay : float, default=0.5
        Decoupled decay of 'adamw': a step multiplies weights by 1 - rate * weight_decay, whatever the
        factor of their rate.
    dropout : float or list of float, default=0.15
        Share of the units of each hidden layer that training leaves out.
    label_smoothing : float or 'auto', default='auto'
        Share of the target that is spread over the classes. 'auto': 0.1 where `scoring` judges labels,
        as the accuracy does; 0 where it judges probabilities, which smoothing distorts.
    class_weight : dict, list of dict, 'balanced' or None, default=None
        Weights of the classes, as of `MLPClassifier`, but in validation scores too: which epoch is best
        goes by the same weights as training.
    batch_size : int or 'auto', default='auto'
        Rows of a mini-batch. 'auto': the power of two that makes about 16 batches, from 16 to 256.
    max_iter : int or 'auto', default='auto'
        Epochs. 'auto': 256; on more than 11,718 training rows so many that 3,000,000 rows are gone
        through, but at least 16.
    validation_fraction : float, default=0.2
        Share of the rows that a member holds out to choose its best epoch by, stratified by class. With
        fewer than 5 rows, or a class that has one member only or does not find a place in it, none are
        held out and the last epoch is kept; so with 0.
    n_iter_no_change : int or None, default=None
        Epochs without a better validation score after which training stops. None: never, since the
        schedule wants to come to its end.
    scoring : str, callable or None, default=None
        What the best epoch is chosen by, as of `MLPClassifier`; None: the accuracy. Callables are given
        a member and preprocessed rows. Where nothing is held out it only sets the smoothing.
    metrics : str, callable or list of them, default=None
        What to record in `history_` after each epoch, beside the losses, as of `MLPClassifier`.
    n_jobs : int or None, default=None
        Members that are trained at a time, in threads. None: as many as there are processors.
    random_state : int, RandomState instance or None, default=None
        Draws the seeds of the members.
    verbose : bool, default=False
        Whether to print a line after each epoch of each member.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted.
    preprocessor_ : transformer or None
        Fitted.
    members_ : list of MLPClassifier
        The fitted networks, which take what `preprocessor_` returns.
    history_ : FitReport
        Record of the first member's training.
    n_iter_ : int
        Epochs of the member that trained longest.
    n_features_in_ : int
        Columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where X has names that are all strings.

    See Also
    --------
    TabularMLPRegressor : The same for numbers.
    MLPClassifier : A network alone.

    References
    ----------
    Holzmüller, Grinsztajn and Steinwart (2024), "Better by default: Strong pre-tuned MLPs and boosted
    trees on tabular data", arXiv:2407.04491.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn_mlp import TabularMLPClassifier
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    >>> model = TabularMLPClassifier(max_iter=20, random_state=0).fit(X_train, y_train)
    >>> model.score(X_test, y_test) > 0.9
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        **BaseTabular._parameter_constraints,
        "label_smoothing": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
        "class_weight": [None, dict, list, StrOptions({"balanced"})],
    }
    _member = MLPClassifier

    def __init__(
        self,
        hidden_layer_sizes: Sizes = (256, 256, 256),
        activation: Activations = "selu",
        *,
        n_members: int | str = "auto",
        preprocessor: Any = "auto",
        bins: str | None = "auto",
        solver: str = "adamw",
        learning_rate: str | Schedule | ScheduleFunction = "cosine_log",
        learning_rate_init: float = 0.002,
        layer_rates: ArrayLike | str | None = None,
        intercept_rate: float = 1.0,
        feature_scale: bool | float = True,
        beta_1: float = 0.9,
        beta_2: float = 0.95,
        weight_decay: float = 0.5,
        dropout: Rates = 0.15,
        label_smoothing: float | str = "auto",
        class_weight: dict[Any, float] | list[dict[int, float]] | str | None = None,
        batch_size: int | str = "auto",
        max_iter: int | str = "auto",
        validation_fraction: float = 0.2,
        n_iter_no_change: int | None = None,
        scoring: Score | None = None,
        metrics: Scores | None = None,
        n_jobs: int | None = None,
        random_state: RandomState = None,
        verbose: bool | int = False,
    ) -> None:
        super().__init__(
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            n_members=n_members,
            preprocessor=preprocessor,
            bins=bins,
            solver=solver,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            layer_rates=layer_rates,
            intercept_rate=intercept_rate,
            feature_scale=feature_scale,
            beta_1=beta_1,
            beta_2=beta_2,
            weight_decay=weight_decay,
            dropout=dropout,
            label_smoothing=label_smoothing,
            class_weight=class_weight,
            batch_size=batch_size,
            max_iter=max_iter,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            scoring=scoring,
            metrics=metrics,
            n_jobs=n_jobs,
            random_state=random_state,
            verbose=verbose,
        )

    def _learn_targets(self, y):
        check_classification_targets(y)
        self._multilabel = type_of_target(y).startswith("multilabel")
        self.classes_ = np.arange(y.shape[1]) if self._multilabel else unique_labels(y)
        return y

    def _member_targets(self, y):
        return y

    def _auto_bins(self, n_rows, n_numbers):
        if n_rows < CLASS_ROWS * len(self.classes_) * n_numbers:
            return 0
        return _n_bins(n_rows, n_numbers, CLASS_BIN_ROWS)

    def _smallest_class(self, y):
        if self._multilabel:
            return None
        counts = np.unique(y, return_counts=True)[1]
        return counts.min(), counts.size

    def _own_parameters(self):
        smoothing = self.label_smoothing
        if smoothing == "auto":
            smoothing = SMOOTHING if self._judges_labels() else 0.0
        return {"label_smoothing": smoothing}

    def _weights(self, y, sample_weight):
        if self.class_weight is None:
            return sample_weight
        weights = compute_sample_weight(self.class_weight, y)
        return weights if sample_weight is None else weights * np.asarray(sample_weight)

    def _judges_labels(self):
        """Whether `scoring` looks at predicted labels, and not at probabilities or their order."""
        if self.scoring is None:
            return True
        if isinstance(self.scoring, str):
            known = self.scoring in get_scorer_names()
            return known and get_scorer(self.scoring)._response_method == "predict"
        return getattr(self.scoring, "_response_method", None) == "predict"

    def predict_proba(self, X: Any) -> Array:
        """Probabilities of the classes, averaged over the members.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes), dtype float64
            In the order of `classes_`; of several labels, that of each.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        """
        return self._mean("predict_proba", X)

    def predict_log_proba(self, X: Any) -> Array:
        """Logarithms of `predict_proba`.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes), dtype float64

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        """
        tiny = np.finfo(np.float64).tiny
        return np.log(np.maximum(self.predict_proba(X), tiny))

    def predict(self, X: Any) -> Array:
        """The most probable class of each row.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)

        Returns
        -------
        labels : ndarray of shape (n_samples,) or (n_samples, n_labels)
            Of several labels, 1 where the probability is above one half.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        """
        probabilities = self.predict_proba(X)
        if self._multilabel:
            return (probabilities > 0.5).astype(int)
        # Where fit saw one class, its members' probabilities still have two columns.
        place = np.minimum(probabilities.argmax(axis=1), len(self.classes_) - 1)
        return self.classes_[place]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class TabularMLPRegressor(RegressorMixin, BaseTabular):
    """Regressor of tables as they come: preprocessing, networks and their average in one estimator.

    Columns are brought into shape by `sklearn_mlp.preprocessing.tabular_preprocessor`. The network that
    follows has settings that do on many tables: the recipe of RealMLP (Holzmüller et al. 2024) as far
    as the networks here have it. Targets are standardised, and predictions
    clipped to their range. A part of the rows is held out, and of all epochs the parameters that were
    best on it are kept. Several members, each with a seed and a split of its own, are averaged.

    Parameters
    ----------
    loss : {'squared_error', 'absolute_error', 'huber'}, default='squared_error'
        As of `MLPRegressor`, of the standardised targets; Huber's loss has delta = 1.
    hidden_layer_sizes : int or array-like of int, default=(256, 256, 256)
        Units of each hidden layer.
    activation : str, (str, float) or list of them, default='mish'
        As of `MLPRegressor`.
    n_members : int or 'auto', default='auto'
        Networks, whose predictions are averaged. They are trained side by side. 'auto':
        20,000 / rows, rounded, from 1 to 5; so 5 up to 4,444 rows, and 1 from 13,334.
    preprocessor : 'auto', transformer or None, default='auto'
        'auto': `tabular_preprocessor()`. Any transformer, fitted on all rows and their targets as a
        clone; its output is taken as float32. None: X is numbers that need no preparation.
    bins : {'auto', 'quantile', 'tree'} or None, default='auto'
        What the preprocessor 'auto' adds to each number: its piecewise-linear encoding on bins of this
        kind (`PiecewiseLinearEncoder`), one for every 64 rows, which makes the table wider and training
        slower. 'quantile': from 2 to 48, and about 1,024 in all at most. 'tree': from 2 to 256 of 8
        rows at least, 2,048 in all; worth trying where thresholds matter. 'auto': 'quantile', or None
        with more than 512 columns of numbers.
    clip : bool, default=True
        Whether predictions are clipped to the range of the targets in `fit`.
    solver : {'adamw', 'adam', 'sgd'}, default='adamw'
        As of `MLPRegressor`.
    learning_rate : str, Schedule or callable, default='cosine_log'
        Schedule of the rate over the whole of training, a factor of `learning_rate_init` in each step.
    learning_rate_init : float, default=0.003
        Largest rate.
    layer_rates : 'fan_in', array-like of float or None, default=None
        Factors of the rate of each layer's weights. 'fan_in': sqrt(256 / n_in) for a layer with n_in
        inputs, as the neural-tangent parametrisation of RealMLP has it. Or one number for each layer,
        the output layer included. None: 1.
    intercept_rate : float, default=1.0
        Factor of the rate of the intercepts.
    feature_scale : bool or float, default=True
        Whether a factor for each column of what `preprocessor` returns is learned along with the
        weights, 1 at first and without decay. A number is the factor of its rate; True: 6. After `fit`
        it is part of the first layer's weights.
    beta_1, beta_2 : float, default=0.9 and 0.95
        Decay rates of the moments of 'adamw' and 'adam'.
    weight_decay : float, default=0.5
        Decoupled decay of 'adamw': a step multiplies weights by 1 - rate * weight_decay, whatever the
        factor of their rate.
    dropout : float or list of float, default=0.3
        Share of the units of each hidden layer that training leaves out.
    batch_size : int or 'auto', default='auto'
        Rows of a mini-batch. 'auto': the power of two that makes about 16 batches, from 16 to 256.
    max_iter : int or 'auto', default='auto'
        Epochs. 'auto': 256; on more than 11,718 training rows so many that 3,000,000 rows are gone
        through, but at least 16.
    validation_fraction : float, default=0.2
        Share of the rows that a member holds out at random to choose its best epoch by. If that is
        fewer than 5 rows, none are held out and the last epoch is kept; so with 0.
    n_iter_no_change : int or None, default=None
        Epochs without a better validation score after which training stops. None: never, since the
        schedule wants to come to its end.
    scoring : str, callable or None, default=None
        What the best epoch is chosen by, as of `MLPRegressor`; None: R2. It is given a member, with
        preprocessed rows and standardised targets. Without effect where nothing is held out.
    metrics : str, callable or list of them, default=None
        What to record in `history_` after each epoch, beside the losses, as of `MLPRegressor`; in units
        of the targets' standard deviation.
    n_jobs : int or None, default=None
        Members that are trained at a time, in threads. None: as many as there are processors.
    random_state : int, RandomState instance or None, default=None
        Draws the seeds of the members.
    verbose : bool, default=False
        Whether to print a line after each epoch of each member.

    Attributes
    ----------
    preprocessor_ : transformer or None
        Fitted.
    members_ : list of MLPRegressor
        The fitted networks, from what `preprocessor_` returns to standardised targets.
    target_mean_, target_scale_ : ndarray of shape (n_outputs,)
        Mean and standard deviation of the targets, the latter 1 for a target that is constant.
    target_range_ : ndarray of shape (2, n_outputs)
        Least and largest targets.
    history_ : FitReport
        Record of the first member's training.
    n_iter_ : int
        Epochs of the member that trained longest.
    n_features_in_ : int
        Columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where X has names that are all strings.

    See Also
    --------
    TabularMLPClassifier : The same for class labels.
    MLPRegressor : A network alone.

    References
    ----------
    Holzmüller, Grinsztajn and Steinwart (2024), "Better by default: Strong pre-tuned MLPs and boosted
    trees on tabular data", arXiv:2407.04491.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn_mlp import TabularMLPRegressor
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    >>> model = TabularMLPRegressor(max_iter=20, random_state=0).fit(X_train, y_train)
    >>> model.score(X_test, y_test) > 0.2
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        **BaseTabular._parameter_constraints,
        "loss": [StrOptions({"squared_error", "absolute_error", "huber"})],
        "clip": ["boolean"],
    }
    _member = MLPRegressor

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Sizes = (256, 256, 256),
        activation: Activations = "mish",
        *,
        n_members: int | str = "auto",
        preprocessor: Any = "auto",
        bins: str | None = "auto",
        clip: bool = True,
        solver: str = "adamw",
        learning_rate: str | Schedule | ScheduleFunction = "cosine_log",
        learning_rate_init: float = 0.003,
        layer_rates: ArrayLike | str | None = None,
        intercept_rate: float = 1.0,
        feature_scale: bool | float = True,
        beta_1: float = 0.9,
        beta_2: float = 0.95,
        weight_decay: float = 0.5,
        dropout: Rates = 0.3,
        batch_size: int | str = "auto",
        max_iter: int | str = "auto",
        validation_fraction: float = 0.2,
        n_iter_no_change: int | None = None,
        scoring: Score | None = None,
        metrics: Scores | None = None,
        n_jobs: int | None = None,
        random_state: RandomState = None,
        verbose: bool | int = False,
    ) -> None:
        super().__init__(
            loss=loss,
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            n_members=n_members,
            preprocessor=preprocessor,
            bins=bins,
            clip=clip,
            solver=solver,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            layer_rates=layer_rates,
            intercept_rate=intercept_rate,
            feature_scale=feature_scale,
            beta_1=beta_1,
            beta_2=beta_2,
            weight_decay=weight_decay,
            dropout=dropout,
            batch_size=batch_size,
            max_iter=max_iter,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            scoring=scoring,
            metrics=metrics,
            n_jobs=n_jobs,
            random_state=random_state,
            verbose=verbose,
        )

    def _learn_targets(self, y):
        y = np.asarray(y, dtype=np.float64)
        self._one_output = y.ndim == 1
        columns = y.reshape(len(y), -1)
        deviations = columns.std(axis=0)
        self.target_mean_ = columns.mean(axis=0)
        self.target_scale_ = np.where(deviations > 0, deviations, 1.0)
        self.target_range_ = np.array([columns.min(axis=0), columns.max(axis=0)])
        return self._member_targets(columns)

    def _member_targets(self, y):
        y = np.asarray(y, dtype=np.float64)
        y = (y.reshape(len(y), -1) - self.target_mean_) / self.target_scale_
        return (y.ravel() if self._one_output else y).astype(np.float32)

    def _smallest_class(self, y):
        return None

    def _auto_bins(self, n_rows, n_numbers):
        return _n_bins(n_rows, n_numbers) if n_numbers <= ALL_BINS // 2 else 0

    def _own_parameters(self):
        return {"loss": self.loss}

    def predict(self, X: Any) -> Array:
        """Predict targets: the mean over the members, in the units of `y`.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs), dtype float64

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        """
        standard = self._mean("predict", X)
        y = standard.reshape(len(standard), -1) * self.target_scale_ + self.target_mean_
        if self.clip:
            y = np.clip(y, *self.target_range_)
        return y.ravel() if self._one_output else y

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
