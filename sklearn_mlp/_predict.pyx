"""Prediction: rows through a network and what follows the raw scores, without Python in between.

A ``Predictor`` holds the scratch; it is what `make_predictor` returns. ``predict_exact`` is the way
past scikit-learn's validation for arrays that need none. The predictor that it uses for a few rows is
kept by the network, which leaves it out of its pickles and copies, and not by the estimator. Many rows
are shared out among threads, each with scratch of its own.

Every row has the same bits alone and among others, but for the portable instruction set, where the
products are BLAS's.
"""
from numbers import Integral
from weakref import ref

import numpy as np
from sklearn.utils import assert_all_finite

cimport numpy as cnp
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cython cimport floating
from libc.float cimport DBL_EPSILON, DBL_MIN, FLT_EPSILON, FLT_MIN
from libc.math cimport log
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from sklearn_mlp._threads import n_threads_to_predict, team

from sklearn_mlp._blas cimport GEMM_WORK
from sklearn_mlp._dense cimport LayerTable, all_finite, apply_layer
from sklearn_mlp._types cimport LayerSpec
from sklearn_mlp._vmath cimport exp, logistic

cdef extern from "_team.h" nogil:
    ctypedef void (*team_function)(void* context, int thread, int n_threads) noexcept nogil
    void team_run(team_function function, void* context, int n_threads)

cnp.import_array()

# What is wanted of the rows.
cdef enum:
    RAW_         # raw scores
    PREDICTION_  # values of a regression; labels of classes, or indicators
    PROBA_       # probabilities
    CODES_       # the places of labels among the classes

RAW, PREDICTION, PROBA, CODES = RAW_, PREDICTION_, PROBA_, CODES_

cdef enum:
    REGRESSION
    BINARY
    MULTICLASS
    MULTILABEL

cdef:
    # Values per block of scratch, and bounds on its rows: blocks stay in the second-level cache, and a
    # pass over the weights serves enough rows.
    Py_ssize_t BLOCK_VALUES = 1 << 16, LEAST_ROWS = 384, MOST_ROWS = 2040, STEP = 12
    Py_ssize_t KEPT_ROWS = 16  # what the scratch that a network keeps is for
    double LONG = 1e5  # multiplications from which the GIL is released

cdef enum:
    LINE = 64  # bytes of a line of the cache

MOST_BATCH = 2**31 - 1


# What the loops without the GIL read.
cdef struct PredictorSpec:
    const LayerSpec* layers
    int n_layers
    const void* params
    int kind
    bint exponential, single
    Py_ssize_t n_features, n_outputs, n_columns, n_labels, label_bytes
    const char* label_values
    Py_ssize_t capacity
    # Scratch, a part per thread: two blocks, the work of products, raw scores; at the end a place per
    # thread for where it stopped.
    char* scratch
    Py_ssize_t part_bytes, block_bytes, work_bytes
    Py_ssize_t* stopped
    # Of a call.
    const char* rows
    char* out
    Py_ssize_t done, n_rows
    int what
    bint check


cdef class Predictor:
    """Predictions from arrays that need no conversion, with scratch that is allocated once.

    `MLPRegressor.make_predictor` and `MLPClassifier.make_predictor` make one; the latter's predicts
    probabilities as well. The `..._into` methods allocate nothing.

    It reads the parameters of the model in place: it sees what `partial_fit` does to them later, and
    writes into the arrays of `coefs_`. `fit`, with a warm start too, `load_weights`, and assigning
    `coefs_` or `intercepts_` as a whole, give the model new parameters; **the predictor then stays with
    the old ones, and another has to be made.**

    It is for one thread at a time and says so otherwise; make one per thread. It must not be used while
    its model is being trained, and it cannot be pickled or copied.

    Attributes
    ----------
    max_batch : int
        Most rows of a call.
    n_features, n_outputs : int
        Columns of the input; units of the output layer.
    dtype : dtype
        Of the input, and of values and probabilities.
    """
    cdef:
        object model  # a weak reference; None in the predictor that the network keeps
        object owner, loss, binarizer, label_dtype
        LayerTable layers
        cnp.ndarray params, labels
        PredictorSpec spec
        void* memory
        bint busy
        int type_number, n_threads
        double cost
        readonly Py_ssize_t max_batch
        readonly object dtype

    def __cinit__(self, estimator=None, Py_ssize_t max_batch=1, bint kept=False, int n_threads=1):
        state = getattr(estimator, "__dict__", {})
        if "_network" not in state:
            raise TypeError("use the make_predictor method of a fitted estimator")
        network = state["_network"]
        self.owner = type(estimator)
        self.loss, self.binarizer = state["_loss"], state.get("_label_binarizer")
        self.dtype = network.dtype
        self.spec.single = self.dtype == np.float32
        self.type_number = cnp.NPY_FLOAT if self.spec.single else cnp.NPY_DOUBLE
        self._bind(network)
        self.model = None if kept else ref(estimator)
        self.spec.n_features = self.layers.specs[0].n_in
        self.spec.n_outputs = self.layers.specs[self.layers.n_layers - 1].n_out
        self.cost = self.layers.n_weights
        self.max_batch, self.n_threads = max_batch, n_threads
        self._learn_kind()
        self._allocate()

    cdef int _allocate(self) except -1:
        cdef:
            PredictorSpec* s = &self.spec
            Py_ssize_t item = self.dtype.itemsize, widest = self.layers.widest
        s.capacity = min(
            self.max_batch, max(LEAST_ROWS, min(MOST_ROWS, BLOCK_VALUES // widest // STEP * STEP)))
        s.block_bytes = _whole_lines(s.capacity * widest * item)
        s.work_bytes = _whole_lines(GEMM_WORK * item)
        s.part_bytes = (2 * s.block_bytes + s.work_bytes
                        + _whole_lines(s.capacity * s.n_outputs * item))
        self.memory = PyMem_RawMalloc(
            LINE + self.n_threads * (s.part_bytes + <Py_ssize_t> sizeof(Py_ssize_t)))
        if self.memory is NULL:
            raise MemoryError(
                f"a predictor of {self.n_threads} times {s.part_bytes} bytes does not fit into memory; "
                "make it with a smaller max_batch")
        s.scratch = <char*> _whole_lines(<Py_ssize_t> self.memory)
        s.stopped = <Py_ssize_t*> (s.scratch + self.n_threads * s.part_bytes)
        return 0

    @property
    def n_features(self):
        return self.spec.n_features

    @property
    def n_outputs(self):
        return self.spec.n_outputs

    def __dealloc__(self):
        PyMem_RawFree(self.memory)

    def __reduce__(self):
        raise TypeError(
            "a predictor cannot be pickled or copied; call make_predictor of the pickled or copied "
            "estimator")

    cdef int _bind(self, network) except -1:
        """Take layers and parameters as they are now."""
        params = network.params
        if (params.dtype != self.dtype or not params.flags.c_contiguous
                or params.shape != (network.layers.n_params,)):
            raise TypeError(
                f"params of shape {params.shape} and dtype {params.dtype} for a network of "
                f"{network.layers.n_params} parameters of {self.dtype}; give it such an array, in "
                "C order")
        self.params = params
        self.spec.params = cnp.PyArray_DATA(self.params)
        self._take_layers(network.layers)
        return 0

    cdef void _take_layers(self, LayerTable layers):
        self.layers = layers
        self.spec.layers, self.spec.n_layers = layers.specs, layers.n_layers

    cdef int _follow(self) except -1:
        """Take another activation that partial_fit has given to the same parameters."""
        cdef LayerTable layers
        model = self.model()
        network = None if model is None else (<dict> model.__dict__).get("_network")
        if network is not None and network.params is self.params:
            layers = network.layers
            if layers.n_columns == self.layers.n_columns and layers.widest == self.layers.widest:
                self._take_layers(layers)
        return 0

    cdef bint _is_bound(self, network):
        return self.layers is network.layers and self.params is network.params

    cdef int _learn_kind(self) except -1:
        cdef PredictorSpec* s = &self.spec
        s.kind = REGRESSION
        s.n_columns = s.n_outputs
        s.exponential = self.loss.link == "exp"
        if self.binarizer is None:
            return 0
        self.labels = np.ascontiguousarray(self.binarizer.classes_)
        if self.labels.ndim != 1 or self.labels.size == 0:
            raise ValueError(
                f"classes_ of shape {np.shape(self.labels)}; a classifier has one label or more; "
                "fit it again")
        self.label_dtype = self.labels.dtype
        s.n_labels, s.label_bytes = self.labels.size, self.labels.itemsize
        s.label_values = <const char*> cnp.PyArray_DATA(self.labels)
        if self.binarizer.y_type_.startswith("multilabel"):
            s.kind = MULTILABEL
        elif self.loss.link == "logistic":
            s.kind = BINARY
            s.n_columns = 2
        else:
            s.kind = MULTICLASS
        return 0

    def predict(self, X):
        """Predict labels, label indicators or the values of a regression.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            In C order and of the model's dtype, finite, with at most `max_batch` rows.

        Returns
        -------
        y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
            As the estimator's `predict`.
        """
        cdef Py_ssize_t n_rows = self._check_input(X)  # before X becomes the array that _new takes
        return self._new(X, n_rows, PREDICTION_, True)

    def predict_into(self, X, out):
        """Write predictions into `out`, and allocate nothing.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            In C order and of the model's dtype, finite, with at most `max_batch` rows.
        out : ndarray of shape (n_rows,) or (n_rows, n_outputs)
            Of the shape and dtype of what `predict` returns, in C order, and no part of X. For labels
            that are not numbers it may be of dtype intp, and then gets their places in `classes_`.
            Undefined after an error in X.

        Returns
        -------
        out : ndarray
        """
        cdef Py_ssize_t n_rows = self._check_input(X)
        self._into(X, n_rows, self._check_out(out, X, n_rows, PREDICTION_), True, out)
        return out

    # Checks.

    cdef Py_ssize_t _check_input(self, X) except -1:
        """The number of rows."""
        cdef Py_ssize_t n_rows = self._exact_rows(X)
        if not 0 < n_rows <= self.max_batch:
            self._refuse_input(X)
        return n_rows

    def _refuse_input(self, X):
        if type(X) is not np.ndarray:
            raise TypeError(
                f"a predictor takes NumPy arrays as X; got {type(X).__name__}. Use numpy.asarray, or "
                "predict of the estimator")
        if X.dtype != self.dtype or not X.dtype.isnative:
            raise TypeError(
                f"X must have the model's dtype, {self.dtype}; got {X.dtype}. Convert it with "
                f"X.astype({self.dtype.name!r})")
        if X.ndim != 2 or X.shape[1] != self.spec.n_features:
            raise ValueError(f"X must have shape (n_rows, {self.spec.n_features}); got {X.shape}")
        if X.shape[0] == 0:
            raise ValueError(f"X has no rows; give from 1 to max_batch={self.max_batch}")
        if X.shape[0] > self.max_batch:
            raise ValueError(
                f"X has {X.shape[0]} rows; this predictor was made for max_batch={self.max_batch}. "
                "Make one with a larger max_batch, or give fewer rows")
        raise ValueError(
            f"X must be aligned and in C order; got strides {X.strides} for shape {X.shape}. "
            "X.copy() is")

    cdef Py_ssize_t _exact_rows(self, X) noexcept:
        """The rows of an array that can be read as it is, but for numbers that are not finite; or 0."""
        if (
            cnp.PyArray_CheckExact(X)
            and cnp.PyArray_TYPE(<cnp.ndarray> X) == self.type_number
            and cnp.PyArray_NDIM(<cnp.ndarray> X) == 2
            and cnp.PyArray_DIM(<cnp.ndarray> X, 1) == self.spec.n_features
            and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray> X)
        ):
            return cnp.PyArray_DIM(<cnp.ndarray> X, 0)
        return 0

    cdef int _check_out(self, out, cnp.ndarray X, Py_ssize_t n_rows, int what) except -1:
        """Check where results go; return what is to be written, for `out` may ask for codes."""
        cdef:
            cnp.ndarray array
            Py_ssize_t n_columns = self.spec.n_columns if what == PROBA_ else self.spec.n_outputs
            int number = self.type_number, n_dims = 2
            bint right
        array = array_or_error(out)
        if what == PREDICTION_ and self.spec.kind in (BINARY, MULTICLASS):
            n_dims = 1
            descr = <object> cnp.PyArray_DESCR(array)
            right = descr is self.label_dtype or descr == self.label_dtype
            if self.label_dtype.kind == "O":
                right = False
            if not right and self.label_dtype.kind not in "biuf":
                right = _is_native(array, cnp.NPY_INTP)
                what = CODES_
        else:
            if what == PREDICTION_ and self.spec.kind == MULTILABEL:
                number = cnp.NPY_INT64
            elif what == PREDICTION_ and n_columns == 1:
                n_dims = 1
            right = _is_native(array, number)
        if not right:
            raise TypeError(f"out must have dtype {self._out_dtypes(what, n_dims)}; got {out.dtype}")
        if (cnp.PyArray_NDIM(array) != n_dims or cnp.PyArray_DIM(array, 0) != n_rows
                or (n_dims == 2 and cnp.PyArray_DIM(array, 1) != n_columns)):
            raise ValueError(f"out must have shape {(n_rows, n_columns)[:n_dims]}; got {out.shape}")
        if not cnp.PyArray_CHKFLAGS(
            array, cnp.NPY_ARRAY_C_CONTIGUOUS | cnp.NPY_ARRAY_ALIGNED | cnp.NPY_ARRAY_WRITEABLE
        ):
            raise ValueError(
                f"out must be writeable, aligned and in C order; got writeable={out.flags.writeable}, "
                f"strides {out.strides} for shape {out.shape}. numpy.empty makes such an array")
        if _overlap(array, X) or _overlap(array, self.params):
            raise ValueError(
                "out must not share memory with X or with the model's parameters; give an array of its "
                "own")
        return what

    def _out_dtypes(self, int what, int n_dims):
        if what == PROBA_ or self.spec.kind == REGRESSION:
            return self.dtype
        if self.spec.kind == MULTILABEL:
            return np.dtype(np.int64)
        names = [] if self.label_dtype.kind == "O" else [str(self.label_dtype)]
        if self.label_dtype.kind not in "biuf":
            names.append(f"{np.dtype(np.intp)} (places in classes_)")
        return " or ".join(names)

    # Work.

    cdef cnp.ndarray _new_array(self, Py_ssize_t n_rows, int what):
        cdef:
            int number = self.type_number, n_dims = 2
            cnp.npy_intp[2] shape
        shape[0] = n_rows
        shape[1] = self.spec.n_columns if what == PROBA_ else self.spec.n_outputs
        if what == CODES_:
            n_dims, number = 1, cnp.NPY_INTP
        elif what == PREDICTION_ and self.spec.kind == MULTILABEL:
            number = cnp.NPY_INT64
        elif what == PREDICTION_ and self.spec.n_outputs == 1:
            n_dims = 1
        return cnp.PyArray_EMPTY(n_dims, shape, number, 0)

    cdef object _new(self, cnp.ndarray X, Py_ssize_t n_rows, int what, bint check):
        """Results in a new array."""
        cdef cnp.ndarray out
        if what == PREDICTION_ and self.spec.kind in (BINARY, MULTICLASS):
            out = self._new_array(n_rows, CODES_)
            self._into(X, n_rows, CODES_, check, out)
            return self.labels.take(out)
        out = self._new_array(n_rows, what)
        self._into(X, n_rows, what, check, out)
        return out

    cdef int _into(self, cnp.ndarray X, Py_ssize_t n_rows, int what, bint check, cnp.ndarray out
                   ) except -1:
        cdef PredictorSpec* s = &self.spec
        if self.busy:
            raise RuntimeError("a predictor is for one thread at a time; make one for each")
        if self.model is not None:
            self._follow()
        self.busy = True
        try:
            s.rows, s.out = <const char*> cnp.PyArray_DATA(X), <char*> cnp.PyArray_DATA(out)
            s.done, s.n_rows, s.what, s.check = 0, n_rows, what, check
            while True:
                self._run()
                if s.done == n_rows:
                    return 0
                # Not finite. scikit-learn's check raises its error, unless it is switched off.
                assert_all_finite(X, estimator_name=self.owner.__name__, input_name="X")
                s.check = False
        finally:
            self.busy = False

    cdef int _run(self) except -1:
        """Predict from row `done` on, which becomes the first that was not finite, or `n_rows`."""
        cdef:
            PredictorSpec* s = &self.spec
            int thread, n_threads = 1
        for thread in range(self.n_threads):
            s.stopped[thread] = s.n_rows
        if self.n_threads > 1:
            with team(self.n_threads) as share:
                n_threads = share
                with nogil:
                    team_run(_sweep, s, n_threads)
        elif self.cost * s.n_rows < LONG:
            _sweep(s, 0, 1)
        else:
            with nogil:
                _sweep(s, 0, 1)
        s.done = s.n_rows
        for thread in range(n_threads):
            s.done = min(s.done, s.stopped[thread])
        return 0

    def from_validated(self, X, int what, out=None):
        """Results for an array that was validated, in a new array or in `out`."""
        X = np.require(X, None, ["C", "A"])
        cdef Py_ssize_t n_rows = self._exact_rows(X)
        if n_rows == 0:
            self._refuse_input(X)
        if out is None:
            return self._new(X, n_rows, what, False)
        self._into(X, n_rows, self._check_out(out, X, n_rows, what), False, out)
        return out

    def from_raw(self, cnp.ndarray raw, int what, out=None):
        """What `what` makes of raw scores, in a new array or in `out`: for sparse input."""
        cdef:
            Py_ssize_t n_rows = cnp.PyArray_DIM(raw, 0)
            bint labels = out is None and what == PREDICTION_ and self.spec.kind in (BINARY, MULTICLASS)
            cnp.ndarray into = out
        if what == RAW_:
            return raw
        if out is not None:
            what = self._check_out(out, raw, n_rows, what)
        else:
            what = CODES_ if labels else what
            into = self._new_array(n_rows, what)
        if self.spec.single:
            _finish[float](&self.spec, <float*> cnp.PyArray_DATA(raw), n_rows, what,
                           <char*> cnp.PyArray_DATA(into))
        else:
            _finish[double](&self.spec, <double*> cnp.PyArray_DATA(raw), n_rows, what,
                            <char*> cnp.PyArray_DATA(into))
        return self.labels.take(into) if labels else into


cdef class ClassifierPredictor(Predictor):
    __doc__ = Predictor.__doc__.replace("the latter's predicts\n    probabilities as well",
                                        "this is the latter's")

    @property
    def classes(self):
        """ndarray of shape (n_classes,): the labels, as the estimator's `classes_`."""
        return self.labels

    def predict_proba(self, X):
        """Predict the probability of each class.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            In C order and of the model's dtype, finite, with at most `max_batch` rows.

        Returns
        -------
        proba : ndarray of shape (n_rows, n_classes)
            As the estimator's `predict_proba`.
        """
        cdef Py_ssize_t n_rows = self._check_input(X)
        return self._new(X, n_rows, PROBA_, True)

    def predict_proba_into(self, X, out):
        """Write the probability of each class into `out`, and allocate nothing.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            In C order and of the model's dtype, finite, with at most `max_batch` rows.
        out : ndarray of shape (n_rows, n_classes)
            Of the model's dtype, in C order, and no part of X. Undefined after an error in X.

        Returns
        -------
        out : ndarray
        """
        cdef Py_ssize_t n_rows = self._check_input(X)
        self._into(X, n_rows, self._check_out(out, X, n_rows, PROBA_), True, out)
        return out


def predict_exact(estimator, X, int what, out=None):
    """What `what` says of an array that needs no validation; None for anything else.

    Such an array is exactly a NumPy array, of the model's dtype and columns, in C order, aligned and
    finite, and was not fitted with names of columns, which scikit-learn would warn of. Numbers that are
    not finite raise scikit-learn's error, unless it assumes that all are. Safe from many threads.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    X : object
    what : int
        RAW, PREDICTION or PROBA.
    out : ndarray, default=None
        Where to write; None: a new array.

    Returns
    -------
    result : ndarray or None
    """
    cdef:
        dict state
        Predictor predictor
        Py_ssize_t n_rows
    if not cnp.PyArray_CheckExact(X):
        return None
    state = estimator.__dict__
    network = state.get("_network")
    if network is None or "feature_names_in_" in state:
        return None
    predictor = _kept_predictor(estimator, state, network)
    if predictor is None:
        return None
    n_rows = predictor._exact_rows(X)
    if n_rows == 0:
        return None
    if n_rows > KEPT_ROWS or predictor.busy:
        predictor = bulk_predictor(estimator, n_rows)
    if out is None:
        return predictor._new(X, n_rows, what, True)
    predictor._into(X, n_rows, predictor._check_out(out, X, n_rows, what), True, out)
    return out


def bulk_predictor(estimator, Py_ssize_t n_rows):
    """A predictor for one call with `n_rows` rows, by as many threads as they are worth."""
    work = n_rows * (<LayerTable> estimator._network.layers).n_weights
    return Predictor(estimator, n_rows, True, n_threads_to_predict(work))


cdef Predictor _kept_predictor(estimator, dict state, network):
    """The predictor for a few rows that the network keeps."""
    cdef Predictor kept
    cdef dict of_network = network.__dict__
    kept = of_network.get("_predictor")
    if (
        kept is not None
        and kept.owner is type(estimator)
        and kept.loss is state.get("_loss")
        and kept.binarizer is state.get("_label_binarizer")
        and kept._is_bound(network)
    ):
        return kept
    if hasattr(estimator, "__sklearn_is_fitted__"):
        return None  # a subclass's own rule, which check_is_fitted has to ask each time
    kept = Predictor(estimator, KEPT_ROWS, True)
    of_network["_predictor"] = kept
    return kept


cpdef array_or_error(out):
    """`out`, if it is exactly a NumPy array."""
    if not cnp.PyArray_CheckExact(out):
        raise TypeError(f"out must be a NumPy array; got {type(out).__name__}")
    return out


cdef bint _is_native(cnp.ndarray array, int type_number) noexcept:
    return (cnp.PyArray_EquivTypenums(cnp.PyArray_TYPE(array), type_number)
            and cnp.PyArray_ISNOTSWAPPED(array))


cdef bint _overlap(cnp.ndarray a, cnp.ndarray b) noexcept:
    """Whether two contiguous arrays share memory."""
    cdef:
        char* start_a = <char*> cnp.PyArray_DATA(a)
        char* start_b = <char*> cnp.PyArray_DATA(b)
    return start_a < start_b + cnp.PyArray_NBYTES(b) and start_b < start_a + cnp.PyArray_NBYTES(a)


cdef void _sweep(void* context, int thread, int n_threads) noexcept nogil:
    """The part of the rows that is this thread's, of those from `done` on."""
    cdef:
        PredictorSpec* s = <PredictorSpec*> context
        Py_ssize_t steps = (s.n_rows - s.done + STEP - 1) // STEP
        Py_ssize_t start = s.done + steps * thread // n_threads * STEP
        Py_ssize_t stop = min(s.done + steps * (thread + 1) // n_threads * STEP, s.n_rows)
    if s.single:
        s.stopped[thread] = _sweep_rows[float](s, <float*> NULL, thread, start, stop)
    else:
        s.stopped[thread] = _sweep_rows[double](s, <double*> NULL, thread, start, stop)


cdef Py_ssize_t _sweep_rows(
    const PredictorSpec* s, floating* like, int thread, Py_ssize_t done, Py_ssize_t stop,
) noexcept nogil:
    """Predict rows `done` to `stop`, a chunk at a time; return the first of one that is not finite, or
    the number of all rows."""
    cdef:
        Py_ssize_t n, n_features = s.n_features, row_bytes = _row_bytes(s)
        bint in_place = s.what == RAW_ or (s.what == PREDICTION_ and s.kind == REGRESSION)
        const floating* rows = <const floating*> s.rows
        char* scratch = s.scratch + thread * s.part_bytes
        floating* raw = <floating*> (scratch + 2 * s.block_bytes + s.work_bytes)
    while done < stop:
        n = min(s.capacity, stop - done)
        if s.check and not all_finite(rows + done * n_features, n * n_features):
            return done
        if in_place:
            raw = <floating*> (s.out + done * row_bytes)
        _forward(s, scratch, rows + done * n_features, n, raw)
        _finish(s, raw, n, s.what, s.out + done * row_bytes)
        done += n
    return s.n_rows


cdef Py_ssize_t _whole_lines(Py_ssize_t n_bytes) noexcept nogil:
    return (n_bytes + LINE - 1) // LINE * LINE


cdef Py_ssize_t _row_bytes(const PredictorSpec* s) noexcept nogil:
    cdef Py_ssize_t item = sizeof(float) if s.single else sizeof(double)
    if s.what == CODES_:
        return sizeof(Py_ssize_t)
    if s.what == PROBA_:
        return s.n_columns * item
    if s.what == RAW_ or s.kind == REGRESSION:
        return s.n_outputs * item
    if s.kind == MULTILABEL:
        return s.n_outputs * sizeof(int64_t)
    return s.label_bytes


cdef void _forward(
    const PredictorSpec* s, char* scratch, const floating* inputs, Py_ssize_t n_rows,
    floating* raw,  # OUT, (n_rows, n_outputs)
) noexcept nogil:
    cdef:
        int i
        floating* hidden = <floating*> scratch
        floating* spare = <floating*> (scratch + s.block_bytes)
        floating* work = <floating*> (scratch + 2 * s.block_bytes)
        floating* outputs
    for i in range(s.n_layers):
        outputs = raw if i == s.n_layers - 1 else hidden
        apply_layer(s.layers + i, <const floating*> s.params, inputs, n_rows, outputs,
                    <floating*> NULL, work)
        inputs = outputs
        hidden, spare = spare, hidden


cdef void _finish(
    const PredictorSpec* s,
    floating* raw,  # IN, (n_rows, n_outputs); where `out` is the same, OUT
    Py_ssize_t n_rows, int what,
    char* out,      # OUT
) noexcept nogil:
    cdef:
        Py_ssize_t i, j, code, k = s.n_outputs
        Py_ssize_t label_bytes = s.label_bytes
        const char* labels
        floating* numbers = <floating*> out
    if what == RAW_:
        return
    if what == PROBA_:
        for i in range(n_rows):
            if s.kind == MULTICLASS:
                _softmax(raw + i * k, k, numbers + i * k)
            elif s.kind == BINARY:
                numbers[2 * i] = _above_zero(logistic(-raw[i]), -raw[i])
                numbers[2 * i + 1] = _above_zero(logistic(raw[i]), raw[i])
            else:
                for j in range(k):
                    numbers[i * k + j] = _clipped(logistic(raw[i * k + j]))
    elif s.kind == REGRESSION:
        for i in range(n_rows * k):
            numbers[i] = exp(raw[i]) if s.exponential else raw[i]
    elif s.kind == MULTILABEL:
        for i in range(n_rows * k):
            (<int64_t*> out)[i] = raw[i] > 0
    else:
        labels = <const char*> s.label_values
        for i in range(n_rows):
            code = raw[i] > 0 if s.kind == BINARY else _largest(raw + i * k, k)
            if code >= s.n_labels:
                code = s.n_labels - 1
            if what == CODES_:
                (<Py_ssize_t*> out)[i] = code
            else:
                memcpy(out + i * label_bytes, labels + code * label_bytes, label_bytes)


cdef Py_ssize_t _largest(const floating* values, Py_ssize_t n) noexcept nogil:
    """The place of the largest, or of the first NaN: NumPy's argmax."""
    cdef Py_ssize_t i, best = 0
    for i in range(n):
        if values[i] != values[i]:
            return i
        if values[i] > values[best]:
            best = i
    return best


cdef floating _above_zero(floating proba, double log_proba) noexcept nogil:
    """Probabilities too small for the dtype, but not 0 and in order: from tiny down to tiny / 2."""
    cdef double tiny = FLT_MIN if floating is float else DBL_MIN
    if proba < tiny:
        return <floating> (tiny * (0.5 + 0.5 * (log(tiny) / log_proba)))
    return proba


cdef floating _clipped(floating proba) noexcept nogil:
    """Within [tiny, 1 - eps]."""
    cdef:
        floating tiny = FLT_MIN if floating is float else DBL_MIN
        floating most = 1 - (FLT_EPSILON if floating is float else DBL_EPSILON)
    return tiny if proba < tiny else (most if proba > most else proba)


cdef void _softmax(const floating* raw, Py_ssize_t k, floating* proba) noexcept nogil:
    cdef:
        Py_ssize_t j
        floating largest = raw[0], total = 0
        floating least = FLT_MIN if floating is float else DBL_MIN
    for j in range(1, k):
        if raw[j] > largest:
            largest = raw[j]
    for j in range(k):
        proba[j] = exp(raw[j] - largest)
        total += proba[j]
    for j in range(k):
        proba[j] = proba[j] / total
        if not proba[j] >= least:
            proba[j] = _above_zero(proba[j], <double> raw[j] - largest - log(<double> total))


def make_predictor(estimator, max_batch):
    """A predictor for a fitted estimator: see `BaseMultilayerPerceptron.make_predictor`."""
    if not isinstance(max_batch, Integral) or isinstance(max_batch, bool):
        raise TypeError(f"max_batch must be an integer; got {max_batch!r}")
    if not 1 <= max_batch <= MOST_BATCH:
        raise ValueError(f"max_batch must be between 1 and {MOST_BATCH}; got {max_batch}")
    kind = ClassifierPredictor if hasattr(estimator, "_label_binarizer") else Predictor
    return kind(estimator, int(max_batch))
