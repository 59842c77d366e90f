"""The stubs agree with the compiled modules, and typical code has the types that it should."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("mypy")

COMPILED = ["_activations", "_blas", "_dense", "_epoch", "_loss", "_optim", "_predict"]

# Cython's own names, and what a module imports for itself.
NOT_IN_STUBS = r"""
.*\.__(pyx_capi|test|reduce_cython|setstate_cython)__
sklearn_mlp\._(activations|dense|loss|optim)\.INSTRUCTION_SET
sklearn_mlp\._dense\.ACTIVATIONS
"""

SETTINGS = "[mypy]\nstrict = True\nignore_missing_imports = True\n"

CODE = """
from typing import assert_type

import numpy as np
from sklearn_mlp import LossCurveDisplay, show_versions
from sklearn_mlp.losses import Loss
from sklearn_mlp.optimizers import AdamW, OptimizerState

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
from sklearn_mlp.losses import Loss
from sklearn_mlp.optimizers import Adam
Adam(beta_1="0.9")
Loss("huber", n_outputs="1")
Adam().init_state
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
    assert [line.split(":")[1] for line in result.stdout.splitlines() if ": error:" in line] == [
        "4",
        "5",
        "6",
    ]
