"""show_versions says what is installed and in use."""

import os
import subprocess
import sys
from importlib.metadata import version

import pytest
import sklearn

import sklearn_mlp
from sklearn_mlp import _versions
from sklearn_mlp._blas import INSTRUCTION_SET
from sklearn_mlp._build_config import INSTRUCTION_SETS, OPENMP
from sklearn_mlp._epoch import largest_team


def printed(**environment):
    """The lines that a process of its own prints, as a dict."""
    program = "import sklearn_mlp; sklearn_mlp.show_versions()"
    text = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return dict(line.strip().split(": ", 1) for line in text.splitlines() if ": " in line)


def test_versions(capsys):
    sklearn_mlp.show_versions()
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == f"sklearn_mlp: {sklearn_mlp.__version__}"
    assert f"scikit-learn: {sklearn.__version__}" in lines
    assert f"threadpoolctl: {version('threadpoolctl')}" in lines
    assert any(
        line.startswith(f"instruction set: {INSTRUCTION_SET} (built: portable") for line in lines
    )
    assert any("blas" in line and "threads" in line for line in lines)
    assert not any(sys.prefix in line for line in lines)


def test_what_is_not_installed_is_named(monkeypatch, capsys):
    monkeypatch.setattr(_versions, "OPTIONAL", ("a-package-that-does-not-exist",))
    sklearn_mlp.show_versions()
    assert "a-package-that-does-not-exist: not installed" in capsys.readouterr().out


def test_the_instruction_set_in_use():
    shown = printed(SKLEARN_MLP_INSTRUCTION_SET="portable")
    assert shown["instruction set"].startswith("portable ")
    assert shown["matrix products"] == "BLAS"


@pytest.mark.skipif(not OPENMP, reason="built without OpenMP")
def test_threads_follow_openmp():
    assert printed(OMP_NUM_THREADS="1")["threads of a large fit"] == "1"


def test_the_build_is_described():
    assert INSTRUCTION_SET in INSTRUCTION_SETS
    assert OPENMP or largest_team() == 1
