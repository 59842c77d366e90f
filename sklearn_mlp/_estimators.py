"""MLPClassifier and MLPRegressor: labels, probabilities and documentation."""

from __future__ import annotations

from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from scipy.special import log_expit, log_softmax
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels

from sklearn_mlp._activations import ACTIVATIONS
from sklearn_mlp._base import BaseMultilayerPerceptron
from sklearn_mlp._loss import LOSSES, Loss, apply_link
from sklearn_mlp._predict import PREDICTION, PROBA, array_or_error
from sklearn_mlp._typing import (
    Activation,
    Activations,
    Array,
    Matrix,
    RandomState,
    Rates,
    ScheduleFunction,
    Score,
    Scores,
    Sizes,
    available_if,
    fit_context,
)
from sklearn_mlp.schedules import Schedule


class MLPClassifier(ClassifierMixin, BaseMultilayerPerceptron):
    """Multi-layer perceptron classifier: `sklearn.neural_network.MLPClassifier`, compiled.

    The parameters, attributes and methods are scikit-learn's, and so are the numbers for the same
    `random_state`, but for a short list: the page "Differences from scikit-learn" of the documentation.
    It minimises the log loss: the softmax cross-entropy of several classes, one logistic loss for two
    classes or for each label of a multilabel target.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Units of each hidden layer; ``()`` for a linear model.
    activation : str, (str, float) or list of them, default='relu'
        Activation of the hidden layers, or a list with one for each: 'identity', 'logistic', 'tanh',
        'relu', 'leaky_relu', 'elu', 'selu', 'gelu', 'silu', 'softplus' or 'mish'.
        ``("leaky_relu", 0.2)`` sets the slope below zero, which is 0.01 otherwise.
    solver : {'lbfgs', 'sgd', 'adam', 'adamw'}, default='adam'
        'adam' (Kingma and Ba 2014), 'adamw' (Loshchilov and Hutter 2019) and 'sgd' train on
        mini-batches; 'lbfgs' runs SciPy's L-BFGS-B on all rows at once, which suits small data.
    alpha : float, default=0.0001
        Strength of the L2 penalty on the weights: ``0.5 * alpha * sum(weights ** 2)``, divided by
        the number of samples, is added to the loss. All solvers.
    batch_size : int or 'auto', default='auto'
        Rows of a mini-batch; 'auto' is ``min(200, n_samples)``. Not used by 'lbfgs'.
    learning_rate : str, Schedule or callable, default='constant'
        Schedule of the learning rate, for all solvers but 'lbfgs'. 'constant': `learning_rate_init`
        throughout; 'invscaling': that divided by ``t ** power_t`` after t samples; 'adaptive': divided
        by 5 each time `n_iter_no_change` epochs in a row brought no improvement of `tol`. (With
        'adam', where scikit-learn ignores these two, a warning says that they act.) 'step',
        'exponential', 'cosine', 'one_cycle', 'cosine_log' or an object of `sklearn_mlp.schedules`: a
        factor of `learning_rate_init` for every step; so does a callable
        ``f(step, total_steps) -> factor``. A fit starts its schedule afresh, a warm-started one too.
    learning_rate_init : float, default=0.001
        Initial learning rate, below 1e9. Not used by 'lbfgs'.
    power_t : float, default=0.5
        Exponent of the 'invscaling' schedule.
    max_iter : int, default=200
        Most epochs, or iterations of 'lbfgs'.
    shuffle : bool, default=True
        Whether to take the rows in a new order in each epoch. Not used by 'lbfgs'.
    random_state : int, RandomState instance or None, default=None
        Draws the initial parameters, the validation split and the order of rows, from the same stream
        as scikit-learn does.
    tol : float, default=1e-4
        Improvement of the loss (or validation score) that counts as one; for 'lbfgs' also the
        tolerance on the gradient.
    verbose : bool, default=False
        Whether to print a line after each epoch or iteration: losses, score and learning rate.
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
        All solvers; not in `partial_fit`. With rows given to `fit` as `X_val` nothing is held out, and
        they are watched; `scoring` says by what.
    validation_fraction : float, default=0.1
        Share of the rows to hold out when `early_stopping` is set and there is no `X_val`.
    beta_1, beta_2 : float, default=0.9 and 0.999
        Decay rates of the moments of 'adam' and 'adamw', in [0, 1).
    epsilon : float, default=1e-8
        Added to the root of the second moment: by 'adam' before its bias is corrected, as in
        scikit-learn; by 'adamw' after, as in PyTorch.
    n_iter_no_change : int or inf, default=10
        Epochs without improvement after which training stops.
    max_fun : int, default=15000
        Most evaluations of the loss by 'lbfgs'.
    dtype : {'auto', 'float32', 'float64'}, default='auto'
        Type of the parameters and of all computation. 'auto': float32 for float32 input, otherwise
        float64. A fitted model keeps its dtype in `partial_fit`, a warm start and prediction.
    weight_init : str, default='auto'
        Distribution of the initial weights. 'auto': scikit-learn's for its four activations (uniform,
        intercepts too), 'he_normal' for 'leaky_relu', 'elu', 'gelu', 'silu' and 'mish',
        'lecun_normal' for 'selu', 'glorot_uniform' for 'softplus'; the output layer follows the last
        hidden one. Or by name: 'glorot_uniform', 'glorot_normal', 'he_uniform', 'he_normal',
        'lecun_normal', 'zeros', with intercepts of zero.
    dropout : float or list of float, default=0.0
        Share of the units of each hidden layer that training leaves out at random, in [0, 1), or a
        list with one for each; the others are scaled up by 1 / (1 - dropout) (Srivastava et al.
        2014). Which ones depends on the seed, the epoch, the row and the unit alone. Refused with
        'lbfgs'.
    label_smoothing : float, default=0.0
        Share s of the target, in [0, 1), that is spread over the classes (Szegedy et al. 2016): of K
        classes y (1 - s) + s / K, of two or of labels y (1 - s) + s / 2.
    class_weight : dict, list of dict, 'balanced' or None, default=None
        Weights of the classes, which multiply `sample_weight` in training and not in validation
        scores. A dict {label: weight}, where a class left out counts 1; a list of {0: weight, 1:
        weight}, one per label, for multilabel targets; 'balanced': ``n_samples / (n_classes *
        np.bincount(y))`` of all of y, before any split, and not in `partial_fit`.
    weight_decay : float, default=0.01
        Decoupled decay of 'adamw', of weights and not of intercepts: each step multiplies them by
        1 - rate * weight_decay. Used by 'adamw' alone; `alpha` stays the L2 penalty in the loss.
    max_grad_norm : float or None, default=None
        Scales a step's gradient, the L2 term included, down to this Euclidean norm if it is longer
        (Pascanu et al. 2013). Refused with 'lbfgs'.
    gradient_accumulation_steps : int, default=1
        Mini-batches whose gradients are added up for one step, which is then that of a batch so many
        times as large. What is left at the end of an epoch makes a smaller step. Refused with 'lbfgs'.
    scoring : str, callable or None, default=None
        What early stopping and `restore_best` watch: a scorer of scikit-learn's by name or object, a
        callable ``f(estimator, X, y)``, the greater the better, or "loss", for the validation loss with
        its sign turned. None: the accuracy. Needs validation data.
    restore_best : bool or None, default=None
        Whether to keep the parameters with the best validation score instead of the last. None: with
        `early_stopping`. True needs validation data.
    metrics : str, callable or list of them, default=None
        What to record in `history_` after each epoch, beside the losses: "accuracy",
        "balanced_accuracy", "top_3_accuracy" (or another number), "log_loss", "gradient_norm" (the
        mean over the steps, before clipping; of the last evaluation by 'lbfgs'), and, for
        validation rows alone, any scorer of scikit-learn's or callable ``f(estimator, X, y)``. Those of
        training rows are running ones: from the epoch's own forward passes, while the parameters move.

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
        The accuracy of the validation rows, or what `scoring` says, after each epoch.
    best_validation_score_ : float or None
        The best of them.
    t_ : int
        Samples seen; 0 with 'lbfgs'.
    n_iter_ : int
        Epochs or iterations of the last `fit`.
    history_ : FitReport
        Record of the last `fit` and the calls of `partial_fit` since: losses, metrics, learning rate
        and seconds per epoch, the best epoch and why training stopped. It begins anew where a call
        records other things than the one before.
    n_layers_ : int
        Layers, input and output included.
    n_outputs_ : int
        Units of the output layer.
    out_activation_ : str
        The function from raw scores to predictions: 'softmax' or 'logistic'.
    n_features_in_ : int
        Features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where X has names that are all strings.

    See Also
    --------
    MLPRegressor : The same for numbers.

    References
    ----------
    Kingma and Ba (2014), "Adam: A method for stochastic optimization", arXiv:1412.6980.
    Loshchilov and Hutter (2019), "Decoupled weight decay regularization", arXiv:1711.05101.
    Srivastava et al. (2014), "Dropout: a simple way to prevent neural networks from overfitting".
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

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012
        **BaseMultilayerPerceptron._parameter_constraints,
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "class_weight": [None, dict, list, StrOptions({"balanced"})],
    }

    loss = "log_loss"
    classes_: Array

    def __init__(
        self,
        hidden_layer_sizes: Sizes = (100,),
        activation: Activations = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str | Schedule | ScheduleFunction = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: RandomState = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dtype: str = "auto",
        weight_init: str = "auto",
        dropout: Rates = 0.0,
        label_smoothing: float = 0.0,
        class_weight: dict[Any, float] | list[dict[int, float]] | str | None = None,
        weight_decay: float = 0.01,
        max_grad_norm: float | None = None,
        gradient_accumulation_steps: int = 1,
        scoring: Score | None = None,
        restore_best: bool | None = None,
        metrics: Scores | None = None,
    ) -> None:
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
            weight_init=weight_init,
            dropout=dropout,
            label_smoothing=label_smoothing,
            class_weight=class_weight,
            weight_decay=weight_decay,
            max_grad_norm=max_grad_norm,
            gradient_accumulation_steps=gradient_accumulation_steps,
            scoring=scoring,
            restore_best=restore_best,
            metrics=metrics,
        )

    @available_if(lambda est: est._check_solver())
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: Matrix,
        y: Matrix,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> Self:
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

        Examples
        --------
        >>> from sklearn_mlp import MLPClassifier
        >>> model = MLPClassifier((4,), random_state=0)
        >>> for X, y in [([[0.0], [0.2]], ["no", "no"]), ([[1.0]], ["yes"])]:
        ...     model = model.partial_fit(X, y, classes=["no", "yes"])
        >>> model.t_
        3
        """
        return self._fit(X, y, sample_weight, incremental=True, classes=classes)

    def _learn_targets(self, y, first_pass, incremental, classes):
        if incremental and _check_partial_fit_first_call(self, classes):
            multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if multilabel else classes)
        elif first_pass and not incremental:
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_

    def _encode_targets(self, y, dtype, which):
        self._check_labels(y, which)
        if not self._multilabel():
            return np.searchsorted(self.classes_, y).astype(np.int32).reshape(-1, 1)
        return np.ascontiguousarray((y.toarray() if issparse(y) else y) != 0, dtype=np.int32)

    def _multilabel(self):
        return self._label_binarizer.y_type_.startswith("multilabel")

    def _check_labels(self, y, which):
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
                f"`y` has {y.shape[1]} labels per sample; the classes are {self.classes_}. Give a "
                "column for each."
            )
        if which == "fit" and (unknown.size or labels.size != self.classes_.size):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {self.classes_}, `y` has {labels}; fit afresh with "
                "warm_start=False."
            )
        if unknown.size:
            known = {
                "partial_fit": "given to the first call of partial_fit or found by fit",
                "y_val": "in the training data",
                "y": "that the model was fitted on",
            }[which]
            raise ValueError(
                f"`{'y_val' if which == 'y_val' else 'y'}` has the classes {unknown}, which are not "
                f"among those {known}: {self.classes_}. Leave these rows out, or fit afresh with them."
            )

    def _class_weights(self, y, incremental):
        if self.class_weight is None:
            return None
        if incremental and isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' needs all of y to count the classes, and partial_fit sees a "
                "part of it; give a dict, for example of "
                "sklearn.utils.class_weight.compute_class_weight('balanced', classes=..., y=...)."
            )
        tables = [self.class_weight] if isinstance(self.class_weight, dict) else self.class_weight
        if not isinstance(tables, str):
            self._check_class_weights(tables)
        y = y.toarray() if issparse(y) else y
        # Classes that a dict leaves out count 1; compute_sample_weight wants none left out of a chunk
        # that has other classes only.
        return compute_sample_weight(self._whole(self.class_weight), y)

    def _whole(self, weight):
        """`weight` with a number for every class, where it is a dict or a list of them."""
        if isinstance(weight, str):
            return weight
        if self._multilabel():
            return [{0: 1.0, 1: 1.0, **table} for table in weight]
        return {label: weight.get(label, 1.0) for label in self.classes_.tolist()}

    def _check_class_weights(self, tables):
        """Check the dict of each target: one for classes, or one for each label."""
        if self._multilabel() != isinstance(self.class_weight, list) or not all(
            isinstance(table, dict) for table in tables
        ):
            raise ValueError(
                "class_weight must be a list of one dict per label for multilabel targets, and a dict "
                f"or 'balanced' for others; got {self.class_weight!r}."
            )
        if self._multilabel() and len(tables) != self.classes_.size:
            raise ValueError(
                f"class_weight has {len(tables)} dicts for {self.classes_.size} labels; give one "
                "for each."
            )
        known = [0, 1] if self._multilabel() else self.classes_.tolist()
        for table in tables:
            unknown = [label for label in table if label not in known]
            if unknown:
                raise ValueError(
                    f"class_weight has weights for the classes {unknown}; there are {known}. Leave the "
                    "others out."
                )
            for label, weight in table.items():
                if not isinstance(weight, Real) or not 0 <= weight < np.inf:
                    raise ValueError(
                        f"class_weight must hold numbers >= 0; got {weight!r} for class {label!r}."
                    )

    def _make_loss(self, targets):
        if self._label_binarizer.y_type_ == "multiclass":
            return Loss("log_loss", self.classes_.size, self.label_smoothing)
        return Loss("binary_log_loss", targets.shape[1], self.label_smoothing)

    def _strata(self, targets):
        if self._label_binarizer.y_type_ == "multiclass":
            return targets, False
        # scikit-learn's rules: binary targets must be stratified, label indicators never are.
        return (None, False) if self._multilabel() else (targets.astype(bool), True)

    def _score_raw(self, raw, loss, targets, sample_weight):
        codes = raw.argmax(axis=1) if loss.name == "log_loss" else raw > 0
        return accuracy_score(targets, codes, sample_weight=sample_weight)

    # Prediction.

    def decision_function(self, X: Matrix) -> Array:
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

        Examples
        --------
        >>> from sklearn_mlp import MLPClassifier
        >>> X, y = [[0.0], [1.0]], ["no", "yes"]
        >>> model = MLPClassifier((2,), solver="lbfgs", random_state=0).fit(X, y)
        >>> model.decision_function(X) > 0
        array([False,  True])
        """
        raw = self._raw_scores(X)
        return raw.ravel() if raw.shape[1] == 1 else raw

    def predict(self, X: Matrix) -> Array:
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

        Examples
        --------
        >>> from sklearn_mlp import MLPClassifier
        >>> X, y = [[0.0], [1.0]], ["no", "yes"]
        >>> model = MLPClassifier((2,), solver="lbfgs", random_state=0).fit(X, y)
        >>> model.predict([[0.9]])
        array(['yes'], dtype='<U3')
        """
        binarizer = vars(self).get("_label_binarizer")
        if binarizer is not None and binarizer.sparse_input_:  # indicators, as they were in fit
            return binarizer.inverse_transform(self._raw_scores(X), threshold=0.0)
        return self._predicted(X, PREDICTION)

    def predict_proba(self, X: Matrix) -> Array:
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

        Examples
        --------
        >>> from sklearn_mlp import MLPClassifier
        >>> X, y = [[0.0], [1.0]], ["no", "yes"]
        >>> model = MLPClassifier((2,), solver="lbfgs", random_state=0).fit(X, y)
        >>> model.predict_proba(X).round(1)
        array([[1., 0.],
               [0., 1.]])
        """
        return self._predicted(X, PROBA)

    def predict_proba_into(self, X: Matrix, out: Array) -> Array:
        """Write what `predict_proba` returns into an array of one's own.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        out : ndarray of shape (n_samples, n_classes)
            Of the model's dtype, in C order, and no part of X. Undefined after an error in X.

        Returns
        -------
        out : ndarray

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError, TypeError
            If X is not usable, or `out` is not as described.

        See Also
        --------
        predict_into : What is allocated, and when nothing is.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_mlp import MLPClassifier
        >>> X, y = [[0.0], [1.0]], ["no", "yes"]
        >>> model = MLPClassifier((2,), solver="lbfgs", random_state=0).fit(X, y)
        >>> out = np.empty((2, 2))
        >>> model.predict_proba_into(X, out) is out
        True
        """
        return self._predicted(X, PROBA, array_or_error(out))

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

    def predict_log_proba(self, X: Matrix) -> Array:
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

        Examples
        --------
        >>> from sklearn_mlp import MLPClassifier
        >>> X, y = [[0.0], [1.0]], ["no", "yes"]
        >>> model = MLPClassifier((2,), solver="lbfgs", random_state=0).fit(X, y)
        >>> model.predict_log_proba(X).argmax(axis=1)
        array([0, 1])
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
    `random_state`, but for a short list: the page "Differences from scikit-learn" of the documentation.

    Parameters
    ----------
    loss : str, default='squared_error'
        With r = prediction - y: 'squared_error', r ** 2 / 2; 'absolute_error', abs(r); 'huber',
        r ** 2 / 2 up to `huber_delta` and linear from there (Huber 1964); 'quantile', the pinball loss
        of the level `quantile` (Koenker and Bassett 1978); 'poisson', half the Poisson deviance with a
        log link, which needs ``y >= 0`` and predicts positive numbers. Of several outputs the sum is
        minimised; for 'squared_error' their mean is reported, as by scikit-learn.
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Units of each hidden layer; ``()`` for a linear model.
    activation : str, (str, float) or list of them, default='relu'
        Activation of the hidden layers, or a list with one for each: 'identity', 'logistic', 'tanh',
        'relu', 'leaky_relu', 'elu', 'selu', 'gelu', 'silu', 'softplus' or 'mish'.
        ``("leaky_relu", 0.2)`` sets the slope below zero, which is 0.01 otherwise.
    solver : {'lbfgs', 'sgd', 'adam', 'adamw'}, default='adam'
        'adam' (Kingma and Ba 2014), 'adamw' (Loshchilov and Hutter 2019) and 'sgd' train on
        mini-batches; 'lbfgs' runs SciPy's L-BFGS-B on all rows at once, which suits small data.
    alpha : float, default=0.0001
        Strength of the L2 penalty on the weights: ``0.5 * alpha * sum(weights ** 2)``, divided by
        the number of samples, is added to the loss. All solvers.
    batch_size : int or 'auto', default='auto'
        Rows of a mini-batch; 'auto' is ``min(200, n_samples)``. Not used by 'lbfgs'.
    learning_rate : str, Schedule or callable, default='constant'
        Schedule of the learning rate, for all solvers but 'lbfgs'. 'constant': `learning_rate_init`
        throughout; 'invscaling': that divided by ``t ** power_t`` after t samples; 'adaptive': divided
        by 5 each time `n_iter_no_change` epochs in a row brought no improvement of `tol`. (With
        'adam', where scikit-learn ignores these two, a warning says that they act.) 'step',
        'exponential', 'cosine', 'one_cycle', 'cosine_log' or an object of `sklearn_mlp.schedules`: a
        factor of `learning_rate_init` for every step; so does a callable
        ``f(step, total_steps) -> factor``. A fit starts its schedule afresh, a warm-started one too.
    learning_rate_init : float, default=0.001
        Initial learning rate, below 1e9. Not used by 'lbfgs'.
    power_t : float, default=0.5
        Exponent of the 'invscaling' schedule.
    max_iter : int, default=200
        Most epochs, or iterations of 'lbfgs'.
    shuffle : bool, default=True
        Whether to take the rows in a new order in each epoch. Not used by 'lbfgs'.
    random_state : int, RandomState instance or None, default=None
        Draws the initial parameters, the validation split and the order of rows, from the same stream
        as scikit-learn does.
    tol : float, default=1e-4
        Improvement of the loss (or validation score) that counts as one; for 'lbfgs' also the
        tolerance on the gradient.
    verbose : bool, default=False
        Whether to print a line after each epoch or iteration: losses, score and learning rate.
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
        All solvers; not in `partial_fit`. With rows given to `fit` as `X_val` nothing is held out, and
        they are watched; `scoring` says by what.
    validation_fraction : float, default=0.1
        Share of the rows to hold out when `early_stopping` is set and there is no `X_val`.
    beta_1, beta_2 : float, default=0.9 and 0.999
        Decay rates of the moments of 'adam' and 'adamw', in [0, 1).
    epsilon : float, default=1e-8
        Added to the root of the second moment: by 'adam' before its bias is corrected, as in
        scikit-learn; by 'adamw' after, as in PyTorch.
    n_iter_no_change : int or inf, default=10
        Epochs without improvement after which training stops.
    max_fun : int, default=15000
        Most evaluations of the loss by 'lbfgs'.
    dtype : {'auto', 'float32', 'float64'}, default='auto'
        Type of the parameters and of all computation. 'auto': float32 for float32 input, otherwise
        float64. A fitted model keeps its dtype in `partial_fit`, a warm start and prediction.
    output_activation : str or (str, float), default='identity'
        Applied to the raw scores to bound the predictions, as one of `activation`: 'softplus' for
        positive numbers, 'logistic' for numbers in (0, 1), and so on. The loss is that of what comes
        out. Refused with the Poisson loss, whose log link is in its place.
    huber_delta : float, default=1.0
        Error from which the 'huber' loss is linear. Used by that loss alone.
    quantile : float, default=0.5
        Level of the 'quantile' loss, in (0, 1): 0.9 for the number that nine of ten targets stay below.
        Used by that loss alone.
    weight_init : str, default='auto'
        Distribution of the initial weights. 'auto': scikit-learn's for its four activations (uniform,
        intercepts too), 'he_normal' for 'leaky_relu', 'elu', 'gelu', 'silu' and 'mish',
        'lecun_normal' for 'selu', 'glorot_uniform' for 'softplus'; the output layer follows the last
        hidden one. Or by name: 'glorot_uniform', 'glorot_normal', 'he_uniform', 'he_normal',
        'lecun_normal', 'zeros', with intercepts of zero.
    dropout : float or list of float, default=0.0
        Share of the units of each hidden layer that training leaves out at random, in [0, 1), or a
        list with one for each; the others are scaled up by 1 / (1 - dropout) (Srivastava et al.
        2014). Which ones depends on the seed, the epoch, the row and the unit alone. Refused with
        'lbfgs'.
    weight_decay : float, default=0.01
        Decoupled decay of 'adamw', of weights and not of intercepts: each step multiplies them by
        1 - rate * weight_decay. Used by 'adamw' alone; `alpha` stays the L2 penalty in the loss.
    max_grad_norm : float or None, default=None
        Scales a step's gradient, the L2 term included, down to this Euclidean norm if it is longer
        (Pascanu et al. 2013). Refused with 'lbfgs'.
    gradient_accumulation_steps : int, default=1
        Mini-batches whose gradients are added up for one step, which is then that of a batch so many
        times as large. What is left at the end of an epoch makes a smaller step. Refused with 'lbfgs'.
    scoring : str, callable or None, default=None
        What early stopping and `restore_best` watch: a scorer of scikit-learn's by name or object, a
        callable ``f(estimator, X, y)``, the greater the better, or "loss", for the validation loss with
        its sign turned. None: R2. Needs validation data.
    restore_best : bool or None, default=None
        Whether to keep the parameters with the best validation score instead of the last. None: with
        `early_stopping`. True needs validation data.
    metrics : str, callable or list of them, default=None
        What to record in `history_` after each epoch, beside the losses: "mse", "rmse", "mae", "mape",
        "r2", "median_absolute_error", "max_error", "gradient_norm" (the mean over the steps,
        before clipping; of the last evaluation by 'lbfgs'), and, for
        validation rows alone, any scorer of scikit-learn's or callable ``f(estimator, X, y)``. Those of
        training rows are running ones: from the epoch's own forward passes, while the parameters move.

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
        The R2 of the validation rows, or what `scoring` says, after each epoch.
    best_validation_score_ : float or None
        The best of them.
    t_ : int
        Samples seen; 0 with 'lbfgs'.
    n_iter_ : int
        Epochs or iterations of the last `fit`.
    history_ : FitReport
        Record of the last `fit` and the calls of `partial_fit` since: losses, metrics, learning rate
        and seconds per epoch, the best epoch and why training stopped. It begins anew where a call
        records other things than the one before.
    n_layers_ : int
        Layers, input and output included.
    n_outputs_ : int
        Units of the output layer.
    out_activation_ : str
        The function from raw scores to predictions: `output_activation`, or 'exp' for the Poisson
        loss.
    n_features_in_ : int
        Features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, where X has names that are all strings.

    See Also
    --------
    MLPClassifier : The same for class labels.

    References
    ----------
    Kingma and Ba (2014), "Adam: A method for stochastic optimization", arXiv:1412.6980.
    Loshchilov and Hutter (2019), "Decoupled weight decay regularization", arXiv:1711.05101.
    Srivastava et al. (2014), "Dropout: a simple way to prevent neural networks from overfitting".
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

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012
        **BaseMultilayerPerceptron._parameter_constraints,
        "loss": [StrOptions({name for name, row in LOSSES.items() if not row[2]})],
        "huber_delta": [Interval(Real, 0, None, closed="neither")],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
        "output_activation": [StrOptions(set(ACTIVATIONS)), tuple, list],
    }

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Sizes = (100,),
        activation: Activations = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str | Schedule | ScheduleFunction = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: RandomState = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dtype: str = "auto",
        output_activation: Activation = "identity",
        huber_delta: float = 1.0,
        quantile: float = 0.5,
        weight_init: str = "auto",
        dropout: Rates = 0.0,
        weight_decay: float = 0.01,
        max_grad_norm: float | None = None,
        gradient_accumulation_steps: int = 1,
        scoring: Score | None = None,
        restore_best: bool | None = None,
        metrics: Scores | None = None,
    ) -> None:
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
            output_activation=output_activation,
            huber_delta=huber_delta,
            quantile=quantile,
            weight_init=weight_init,
            dropout=dropout,
            weight_decay=weight_decay,
            max_grad_norm=max_grad_norm,
            gradient_accumulation_steps=gradient_accumulation_steps,
            scoring=scoring,
            restore_best=restore_best,
            metrics=metrics,
        )

    @available_if(lambda est: est._check_solver())
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Matrix, y: Matrix, sample_weight: ArrayLike | None = None) -> Self:
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

        Examples
        --------
        >>> from sklearn_mlp import MLPRegressor
        >>> model = MLPRegressor(hidden_layer_sizes=(4,), random_state=0)
        >>> for X, y in [([[0.0], [0.2]], [0.0, 0.4]), ([[1.0]], [2.0])]:
        ...     model = model.partial_fit(X, y)
        >>> model.t_
        3
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def _encode_targets(self, y, dtype, which):
        y = y.toarray() if issparse(y) else y
        with np.errstate(over="ignore"):
            targets = np.ascontiguousarray(y.reshape(y.shape[0], -1), dtype=dtype)
        if not np.isfinite(targets).all():
            raise ValueError(
                f"`y` has values too large for {dtype}; scale them (TransformedTargetRegressor) or use "
                "a wider dtype."
            )
        loss = self._loss.name if which == "y" else self.loss
        if loss == "poisson" and (targets < 0).any():
            raise ValueError(
                f"loss='poisson' requires y >= 0; some values of `y` are negative, down to "
                f"{targets.min()}. Use another loss."
            )
        return targets

    def _make_loss(self, targets):
        parameter = {"huber": self.huber_delta, "quantile": self.quantile}.get(self.loss)
        return Loss(self.loss, targets.shape[1], parameter)

    def _output_activation(self):
        if self.loss == "poisson" and self.output_activation != "identity":
            raise ValueError(
                f"output_activation={self.output_activation!r} does not go with loss='poisson', whose "
                "log link makes predictions positive already; leave it at 'identity'."
            )
        return self.output_activation

    def _score_raw(self, raw, loss, targets, sample_weight):
        apply_link(loss.link, raw)
        if not np.isfinite(raw).all():
            return np.nan
        return r2_score(targets, raw, sample_weight=sample_weight)

    def predict(self, X: Matrix) -> Array:
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

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_mlp import MLPRegressor
        >>> X, y = np.linspace(0, 1, 40).reshape(20, 2), np.linspace(0, 1, 20)
        >>> model = MLPRegressor(hidden_layer_sizes=3, solver="lbfgs", random_state=0).fit(X, y)
        >>> bool(abs(model.predict(X) - y).max() < 0.1)
        True
        """
        return self._predicted(X, PREDICTION)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = self.loss == "poisson"
        return tags
