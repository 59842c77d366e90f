"""The stubs agree with the compiled modules, and typical code has the types that it should."""

import inspect
import os
import subprocess
import sys

import pytest

import sklearn_mlp
from sklearn_mlp import losses, optimizers, preprocessing, schedules

pytest.importorskip("mypy")

COMPILED = ["_activations", "_blas", "_dense", "_encode", "_epoch", "_loss", "_optim", "_predict"]

# Cython's own names, and what a module imports for itself.
NOT_IN_STUBS = r"""
.*\.__(pyx_capi|test|reduce_cython|setstate_cython)__
sklearn_mlp\._(activations|dense|loss|optim)\.INSTRUCTION_(SET|LEVEL)
sklearn_mlp\._dense\.ACTIVATIONS
"""

SETTINGS = "[mypy]\nstrict = True\nignore_missing_imports = True\n"

CODE = """
from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray
from sklearn_mlp import FitReport, LossCurveDisplay, MLPClassifier, MLPRegressor, Network
from sklearn_mlp import TabularMLPClassifier, TabularMLPRegressor
from sklearn_mlp import from_json, load_json, register_skl2onnx, show_versions
from sklearn_mlp.losses import Loss
from sklearn_mlp.optimizers import AdamW, OptimizerState
from sklearn_mlp.schedules import CosineAnnealing, Schedule, Warmup

X, y = np.ones((20, 2)), np.arange(20) % 2
classifier = MLPClassifier((10, 5), "tanh", learning_rate=Warmup(2, after="cosine"), random_state=0)
assert_type(classifier.fit(X, y, X_val=X, y_val=y), MLPClassifier)
assert_type(classifier.partial_fit(X, y, classes=[0, 1]), MLPClassifier)
assert_type(classifier.predict(X), NDArray[Any])
assert_type(classifier.predict_proba(X.tolist()), NDArray[Any])
assert_type(classifier.predict_log_proba(X), NDArray[Any])
assert_type(classifier.predict_proba_into(X, np.empty((20, 2))), NDArray[Any])
assert_type(classifier.decision_function(X), NDArray[Any])
assert_type(classifier.score(X, y), float)
assert_type(classifier.evaluate(X, y, metrics=["log_loss"]), dict[str, float])
assert_type(classifier.classes_, NDArray[Any])
assert_type(classifier.history_, FitReport)
assert_type(classifier.history_["loss"], list[float])
assert_type(classifier.history_.best_epoch, int | None)
assert_type([name for name in classifier.history_], list[str])

regressor = MLPRegressor("huber", hidden_layer_sizes=[8], activation=("leaky_relu", 0.2), dropout=[0.1])
assert_type(regressor.fit(X, y, sample_weight=np.ones(20)).predict(X), NDArray[Any])
assert_type(regressor.partial_fit(X, y), MLPRegressor)
assert_type(regressor.predict_into(X, np.empty(20)), NDArray[Any])
assert_type(regressor.make_predictor(max_batch=4).max_batch, int)
assert_type(regressor.coefs_, list[NDArray[Any]])
assert_type(regressor.validation_scores_, list[float] | None)
assert_type(regressor.n_iter_, int)
regressor.save_json(Path("model.json"), history=False)
AnyModel = MLPClassifier | MLPRegressor | TabularMLPClassifier | TabularMLPRegressor
assert_type(load_json("model.json"), AnyModel)
assert_type(MLPRegressor.load_json("model.json"), MLPRegressor)
assert_type(from_json(regressor.to_json()), AnyModel)
assert_type(TabularMLPClassifier.load_json("model.json"), TabularMLPClassifier)
regressor.export_weights("weights.npz")
assert_type(regressor.load_weights("weights.npz"), MLPRegressor)
assert_type(regressor.to_c(name="net", dtype="float32"), str)
regressor.to_onnx("model.onnx", target_opset=15)
register_skl2onnx()


class Halving(Schedule):
    def factors(
        self, epochs: NDArray[Any], n_epochs: float | None, steps_per_epoch: int
    ) -> NDArray[Any]:
        return np.ones(epochs.shape)


def by_hand(step: int, total_steps: int | None) -> float:
    return 1.0 / (1 + step)


MLPRegressor(learning_rate=Halving())
MLPClassifier(learning_rate=by_hand, scoring="accuracy", metrics=["log_loss", "accuracy"])
assert_type(CosineAnnealing(min_factor=0.1).factors(np.arange(3.0), 3, 1), NDArray[Any])

network = Network.from_sizes([2, 4, 1], activation=["relu"], random_state=0, dtype="float64")
assert_type(network, Network)
assert_type(network.forward(X), NDArray[Any])
value, gradient = network.loss_and_gradient(X, y, loss="squared_error", scratch=network.scratch(20))
assert_type(value, float)
assert_type(gradient, NDArray[Any])
assert_type(network.params, NDArray[Any])
assert_type(network.coefs, list[NDArray[Any]])

params = np.zeros(3)
optimizer = AdamW(weight_decay=0.1)
state = optimizer.init(params)
assert_type(state, OptimizerState)
assert_type(optimizer.step(params, np.ones(3), state, lr=0.1, max_norm=1.0), float | None)
loss = Loss("quantile", n_outputs=1, parameter=0.9)
assert_type(loss.total(np.ones((2, 1)), np.ones((2, 1))), float)
assert_type(loss.link, str)
assert_type(LossCurveDisplay({}).plot(learning_rate=False), LossCurveDisplay)
show_versions()
"""

WRONG = """
from sklearn_mlp import MLPClassifier, Network
from sklearn_mlp.losses import Loss
from sklearn_mlp.optimizers import Adam
Adam(beta_1="0.9")
Loss("huber", n_outputs="1")
Adam().init_state
MLPClassifier(max_iter="200")
MLPClassifier().fit([[0.0]], [0]).score([[0.0]], [0]).real_part
Network.from_sizes(10)
MLPClassifier().fit([[0.0]], [0]).history_["loss"]["val_loss"]
"""


def run(module, *arguments, cwd):
    command = [sys.executable, "-P", "-m", module, *arguments]
    environment = {**os.environ, "MYPY_CACHE_DIR": str(cwd / "cache")}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def test_stubs_agree_with_the_compiled_modules(tmp_path):
    (tmp_path / "mypy.ini").write_text(SETTINGS)
    (tmp_path / "allowed").write_text(NOT_IN_STUBS)
    modules = [f"sklearn_mlp.{name}" for name in COMPILED]
    options = ["--mypy-config-file", "mypy.ini", "--allowlist", "allowed", "--ignore-disjoint-bases"]
    result = run("mypy.stubtest", *options, "--ignore-unused-allowlist", *modules, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


def check(tmp_path, code):
    (tmp_path / "mypy.ini").write_text(SETTINGS)
    (tmp_path / "user_code.py").write_text(code)
    return run("mypy", "--config-file", "mypy.ini", "user_code.py", cwd=tmp_path)


def test_typical_code_has_types(tmp_path):
    result = check(tmp_path, CODE)
    assert result.returncode == 0, result.stdout + result.stderr


def test_wrong_code_is_found(tmp_path):
    result = check(tmp_path, WRONG)
    found = [int(line.split(":")[1]) for line in result.stdout.splitlines() if ": error:" in line]
    assert found == list(range(5, 12)), result.stdout


def public_functions():
    modules = [sklearn_mlp, losses, optimizers, preprocessing, schedules]
    for item in [getattr(module, name) for module in modules for name in module.__all__]:
        members = inspect.getmembers(item) if inspect.isclass(item) else [(item, item)]
        for _, member in members:
            function = (
                member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            )
            function = inspect.unwrap(function)
            if inspect.isfunction(function) and function.__module__.startswith("sklearn_mlp"):
                yield function


def test_public_functions_are_annotated():
    functions = {
        f"{function.__module__}.{function.__qualname__}": inspect.signature(function)
        for function in public_functions()
        if not function.__name__.startswith("_") or function.__name__ == "__init__"
    }
    expected = {
        "_network.Network.from_sizes",
        "_estimators.MLPClassifier.partial_fit",
        "schedules.Warmup.factors",
    }
    assert {f"sklearn_mlp.{name}" for name in expected} <= set(functions)
    missing = [
        name
        for name, signature in functions.items()
        if signature.return_annotation is signature.empty
        or any(
            parameter.annotation is parameter.empty
            for parameter in list(signature.parameters.values())
            if parameter.name not in ("self", "cls")
        )
    ]
    assert missing == []
