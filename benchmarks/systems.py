"""The systems under comparison behind one face.

Each class is constructed inside a worker process whose environment and affinity already fix the
threads (see worker.py), and imports its library only there. `load` takes a workload and its data;
`fit(calls)` trains for that many epochs, `predict(calls)` predicts all rows and `row(calls, way)` one
row, in one of the `ways` the system has, that many times; each returns the seconds it took. What is
fixed cost of a library's set-up rather than of its work (building the model in PyTorch, moving the
data to a device, compiling in JAX) is left out of the timed part.
"""

import importlib.util
import itertools
import math
import os
import platform
import subprocess
import tempfile
import warnings
from pathlib import Path
from time import perf_counter

import numpy as np

LEARNING_RATE = 1e-3


def timed(function, calls):
    start = perf_counter()
    for _ in range(calls):
        function()
    return perf_counter() - start


class Estimators:
    """scikit-learn's estimators, or those of a package with the same face."""

    jobs = ("fit", "predict")
    ways = ("predict_proba", "predict")
    sparse = True  # takes CSR input
    package = None  # where MLPClassifier and MLPRegressor live
    distribution = None

    def __init__(self, threads, dtype):
        self.classes = importlib.import_module(self.package)
        warnings.simplefilter("ignore")  # a fixed number of epochs never converges
        root = importlib.import_module(self.package.partition(".")[0])
        self.versions = {self.distribution: getattr(root, "__version__", "?"), **_numerics()}

    def load(self, workload, X, y):
        self.X, self.y = X, y
        self.workload = workload

    def estimator(self, epochs):
        w = self.workload
        cls = self.classes.MLPRegressor if w.regression else self.classes.MLPClassifier
        return cls(
            hidden_layer_sizes=w.hidden,
            activation=w.activation,
            batch_size=w.batch,
            learning_rate_init=LEARNING_RATE,
            max_iter=epochs,
            n_iter_no_change=10**9,  # with tol=0 nothing but max_iter ends a fit
            tol=0,
            random_state=0,
        )

    def fit(self, calls):
        self.model = self.estimator(calls)
        return timed(lambda: self.model.fit(self.X, self.y), 1)

    def predict(self, calls):
        return timed(lambda: self.model.predict(self.X), calls)

    def row(self, calls, way):
        function, row = getattr(self.model, way), self.X[:1].copy()
        return timed(lambda: function(row), calls)

    def peak_memory(self, epochs):
        """Bytes beyond the loaded input at the peak of one fit; nan where Linux does not tell."""
        # Late imports and BLAS's own buffers are no part of the fit measured.
        small = np.eye(self.workload.outputs, dtype=self.X.dtype)
        self.estimator(1).set_params(batch_size=1).fit(small, np.arange(len(small)))
        try:
            Path("/proc/self/clear_refs").write_text("5")  # resets the peak, VmHWM
            before = _status_bytes("VmRSS")
            self.estimator(epochs).fit(self.X, self.y)
            return _status_bytes("VmHWM") - before
        except OSError:
            return math.nan


class SklearnMLP(Estimators):
    package = distribution = "sklearn_mlp"
    ways = (
        *Estimators.ways,
        "predict_proba_into",
        "predict_into",
        "predictor.predict_proba",
        "predictor.predict",
        "predictor.predict_proba_into",
        "predictor.predict_into",
    )

    def row(self, calls, way):
        if not way.endswith("_into") and not way.startswith("predictor"):
            return super().row(calls, way)
        owner = self.model.make_predictor() if way.startswith("predictor") else self.model
        function, row = getattr(owner, way.removeprefix("predictor.")), self.X[:1].copy()
        if not way.endswith("_into"):
            return timed(lambda: function(row), calls)
        out = self.model.predict_proba(row) if "proba" in way else self.model.predict(row)
        return timed(lambda: function(row, out), calls)


class ScikitLearn(Estimators):
    package, distribution = "sklearn.neural_network", "scikit-learn"


class PyTorch:
    """A plain eager loop: index_select of a random permutation, autograd, torch.optim.Adam."""

    jobs = ("fit", "predict")
    ways = ("predict_proba",)
    sparse = False

    def __init__(self, threads, dtype):
        import torch

        torch.set_num_threads(threads)
        self.torch = torch
        self.versions = {"PyTorch": f"{torch.__version__} x{torch.get_num_threads()}"}

    def load(self, workload, X, y):
        torch = self.torch
        self.workload, self.array, self.one = workload, X, X[:1]
        self.X = torch.from_numpy(X)
        self.y = torch.from_numpy(y).reshape(-1, 1) if workload.regression else torch.from_numpy(y)
        self.loss = torch.nn.MSELoss() if workload.regression else torch.nn.CrossEntropyLoss()

    def build(self):
        nn, w = self.torch.nn, self.workload
        activation = {"relu": nn.ReLU, "tanh": nn.Tanh}[w.activation]
        sizes = (w.features, *w.hidden, w.outputs)
        layers = []
        for n_in, n_out in itertools.pairwise(sizes):
            layers += [nn.Linear(n_in, n_out, dtype=self.X.dtype), activation()]
        return nn.Sequential(*layers[:-1])

    def fit(self, calls):
        self.model = self.build()
        self.optimizer = self.torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE)
        return timed(self.epoch, calls)

    def epoch(self):
        batch = self.workload.batch
        order = self.torch.randperm(len(self.X))
        for start in range(0, len(self.X), batch):
            rows = order[start : start + batch]
            scores = self.model(self.X.index_select(0, rows))
            loss = self.loss(scores, self.y.index_select(0, rows))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def predict(self, calls):
        def labels():
            scores = self.model(self.torch.from_numpy(self.array))
            return (scores if self.workload.regression else scores.argmax(1)).numpy()

        with self.torch.inference_mode():
            return timed(labels, calls)

    def row(self, calls, way):
        def probabilities():
            scores = self.model(self.torch.from_numpy(self.one))
            return (scores if self.workload.regression else scores.softmax(1)).numpy()

        with self.torch.inference_mode():
            return timed(probabilities, calls)


class JAX:
    """An epoch is one jitted scan over the permuted batches, Adam written out by hand.

    A last short batch has a shape of its own, so it is one more step after the scan, in the same
    compiled function. Permutations come from NumPy: JAX's sort by random keys is far slower.
    """

    jobs = ("fit", "predict")
    ways = ("predict_proba",)
    sparse = False

    def __init__(self, threads, dtype):
        import jax
        import jaxlib

        jax.config.update("jax_enable_x64", dtype == "float64")
        self.jax, self.jnp = jax, jax.numpy
        self.versions = {"JAX": jax.__version__, "jaxlib": jaxlib.__version__}

    def load(self, workload, X, y):
        jax, jnp = self.jax, self.jnp
        self.workload, self.one = workload, X[:1]
        self.X = jnp.asarray(X)
        self.y = jnp.asarray(y.reshape(-1, 1) if workload.regression else y.astype(np.int32))
        self.epoch = jax.jit(self.scan_epoch, donate_argnums=0)
        head = {True: lambda z: z, False: lambda z: jnp.argmax(z, axis=1)}[workload.regression]
        link = {True: lambda z: z, False: jax.nn.softmax}[workload.regression]
        self.labels = jax.jit(lambda p, X: head(self.forward(p, X)))
        self.probabilities = jax.jit(lambda p, X: link(self.forward(p, X)))

    def initial_state(self):
        """Parameters, Adam's two moments and the count of steps."""
        w, jnp = self.workload, self.jnp
        rng = np.random.default_rng(0)
        sizes = (w.features, *w.hidden, w.outputs)
        params = []
        for n_in, n_out in itertools.pairwise(sizes):
            bound = math.sqrt(6 / (n_in + n_out))
            weights = rng.uniform(-bound, bound, (n_in, n_out))
            params.append((jnp.asarray(weights, self.X.dtype), jnp.zeros(n_out, self.X.dtype)))
        zeros = [self.jax.tree.map(jnp.zeros_like, params) for _ in range(2)]
        return params, *zeros, jnp.zeros((), jnp.int32)

    def forward(self, params, X):
        activation = {"relu": self.jax.nn.relu, "tanh": self.jnp.tanh}[self.workload.activation]
        for weights, bias in params[:-1]:
            X = activation(X @ weights + bias)
        weights, bias = params[-1]
        return X @ weights + bias

    def loss(self, params, X, y):
        scores = self.forward(params, X)
        if self.workload.regression:
            return self.jnp.mean((scores - y) ** 2) / 2
        log_probabilities = self.jax.nn.log_softmax(scores)
        return -self.jnp.mean(self.jnp.take_along_axis(log_probabilities, y[:, None], axis=1))

    def step(self, state, X, y):
        jnp, tree_map = self.jnp, self.jax.tree.map
        params, first, second, count = state
        gradients = self.jax.grad(self.loss)(params, X, y)
        count = count + 1
        b1, b2 = 0.9, 0.999
        time = count.astype(X.dtype)
        rate = LEARNING_RATE * jnp.sqrt(1 - b2**time) / (1 - b1**time)
        first = tree_map(lambda m, g: b1 * m + (1 - b1) * g, first, gradients)
        second = tree_map(lambda v, g: b2 * v + (1 - b2) * g * g, second, gradients)
        params = tree_map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-8), params, first, second)
        return params, first, second, count

    def scan_epoch(self, state, X, y, order):
        batch = self.workload.batch
        whole = len(order) // batch * batch

        def body(state, rows):
            return self.step(state, X[rows], y[rows]), None

        state, _ = self.jax.lax.scan(body, state, order[:whole].reshape(-1, batch))
        return body(state, order[whole:])[0] if whole < len(order) else state

    def fit(self, calls):
        self.state = self.jax.block_until_ready(self.initial_state())
        rng = np.random.default_rng(0)

        def one_epoch():
            order = rng.permutation(self.workload.rows).astype(np.int32)
            self.state = self.epoch(self.state, self.X, self.y, order)

        seconds = timed(one_epoch, calls)
        return seconds + timed(lambda: self.jax.block_until_ready(self.state), 1)

    def predict(self, calls):
        return timed(lambda: np.asarray(self.labels(self.state[0], self.X)), calls)

    def row(self, calls, way):
        return timed(lambda: np.asarray(self.probabilities(self.state[0], self.one)), calls)


class CLoop:
    """A hand-written C training loop, built and timed by the functions of its own run.py.

    It trains on data of its own, drawn like ours. The figure is what the program prints: the
    median over its rounds of (seconds of a round / epochs of a round), process start excluded.
    """

    jobs = ("fit",)
    ways = ()
    sparse = False
    program = None

    def __init__(self, threads, dtype):
        if dtype != "float32":
            raise ValueError("computes in float32 only")
        source = Path(os.environ["YARDSTICK"], "run.py")
        if not source.is_file():
            raise FileNotFoundError(f"no {source.name} in the yardstick folder")
        spec = importlib.util.spec_from_file_location("yardstick_run", source)
        self.run = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.run)
        self.threads = threads
        self.folder = tempfile.TemporaryDirectory()
        self.run.build(self.folder.name)
        gcc = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True)
        self.versions = {"gcc": gcc.stdout.strip()}

    def load(self, workload, X, y):
        shape = (workload.rows, workload.features, workload.outputs, workload.batch)
        flags = (int(workload.activation == "tanh"), int(workload.regression))
        wanted = (*shape, *flags, workload.hidden)
        for name, (*numbers, epochs, hidden) in self.run.WORKLOADS.items():
            if (*numbers, hidden) == wanted:
                self.name, self.epochs = name, epochs
                return
        # A shape of our own: run.py takes it from the same table.
        self.name, self.epochs = "own", 1
        self.run.WORKLOADS["own"] = (*shape, *flags, 1, workload.hidden)

    def fit(self, calls):
        rounds = min(99, max(1, round(calls / self.epochs)))
        per_epoch = self.run.seconds_per_epoch(
            self.folder.name, self.program, self.name, self.threads, rounds
        )
        return per_epoch * calls


class CLoopBLASThreads(CLoop):
    program = "loop"


class CLoopSharded(CLoop):
    program = "loop_sharded"


SYSTEMS = {
    "sklearn_mlp": SklearnMLP,
    "scikit-learn": ScikitLearn,
    "PyTorch": PyTorch,
    "JAX": JAX,
    "C loop": CLoopBLASThreads,
    "C sharded": CLoopSharded,
}


def _numerics():
    """Versions of what the computing rests on; "x2" after a pool is the threads it really has."""
    import scipy
    import threadpoolctl

    versions = {"Python": platform.python_version(), "NumPy": np.__version__}
    versions["SciPy"] = scipy.__version__
    pools = threadpoolctl.threadpool_info()
    for pool in sorted(pools, key=lambda pool: pool["filepath"]):
        library = Path(pool["filepath"]).name.split("-")[0]
        versions[library] = f"{pool['version'] or ''} x{pool['num_threads']}".strip()
    return versions


def _status_bytes(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{field} is not in /proc/self/status")
