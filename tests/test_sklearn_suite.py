"""scikit-learn's own test file, run on our two classes in place of its own.

The file that is installed with scikit-learn is read, its import of the two classes is pointed at
this package, and the result is run by pytest in a process of its own, in a temporary directory.
Nothing of it is kept here.
"""

import ast
import importlib.util
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from importlib.metadata import version
from pathlib import Path

import pytest

CLASSES = {"MLPClassifier", "MLPRegressor"}

# Tests that cannot pass, since they reach into private attributes. Each must exist and fail.
PRIVATE = {
    "test_fit": "assigns coefs_, intercepts_ and private gradients piecemeal to an unfitted model",
    "test_gradient": "calls the private _loss_grad_lbfgs with its lists of scratch arrays",
}

# The temporary conftest: scikit-learn's own fixture lives in a conftest that pytest only finds
# inside scikit-learn's tree. The hook makes sure that it is our classes that are tested.
CONFTEST = """
import os

import pytest

import sklearn_mlp


@pytest.fixture
def global_random_seed():
    return int(os.environ.get("SKLEARN_TESTS_GLOBAL_RANDOM_SEED", 42))


def pytest_collection_modifyitems(items):
    for item in items:
        assert item.module.MLPClassifier is sklearn_mlp.MLPClassifier
        assert item.module.MLPRegressor is sklearn_mlp.MLPRegressor
"""


def with_our_classes(source):
    """The source with ``from sklearn.neural_network import`` our classes, line for line."""
    lines = source.splitlines()
    swapped = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom) or node.module != "sklearn.neural_network":
            continue
        names = {alias.name for alias in node.names}
        assert names <= CLASSES, f"the test file imports more than the two classes: {names}"
        swapped |= names
        first, last = node.lineno - 1, node.end_lineno
        lines[first] = f"from sklearn_mlp import {', '.join(sorted(names))}"
        lines[first + 1 : last] = [""] * (last - first - 1)
    assert swapped == CLASSES
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Run the suite once: test id -> "" if it passed, else what went wrong."""
    spec = importlib.util.find_spec("sklearn.neural_network.tests")
    installed = Path(next(iter(spec.submodule_search_locations))) / "test_mlp.py" if spec else None
    if installed is None or not installed.exists():
        pytest.skip("this scikit-learn is installed without its tests")
    directory = tmp_path_factory.mktemp("sklearn_suite")
    (directory / "test_mlp.py").write_text(with_our_classes(installed.read_text("utf-8")), "utf-8")
    (directory / "conftest.py").write_text(CONFTEST, "utf-8")
    (directory / "pytest.ini").write_text("[pytest]\n", "utf-8")
    report = directory / "report.xml"
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-c", "pytest.ini", "--rootdir", "."]
    command += ["-p", "no:cacheprovider", "-p", "no:xdist", "--junitxml", str(report)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    run = subprocess.run(
        [*command, "test_mlp.py"], cwd=directory, env=environment, capture_output=True, text=True
    )
    assert report.exists(), run.stdout + run.stderr
    results = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        wrong = [child for child in case if child.tag in {"failure", "error", "skipped"}]
        results[case.get("name")] = "\n".join(f"{child.tag}: {child.text}" for child in wrong)
    assert results, run.stdout + run.stderr
    return results


def test_enough_tests_were_collected(outcomes):
    assert len(outcomes) >= 50
    if version("scikit-learn").startswith("1.9."):
        assert len(outcomes) == 59


def test_every_test_passes_but_the_private_ones(outcomes):
    failed = {name: text for name, text in outcomes.items() if text and name not in PRIVATE}
    assert not failed, "\n\n".join(f"{name}\n{text}" for name, text in failed.items())


@pytest.mark.parametrize("name", PRIVATE)
def test_listed_exceptions_exist_and_fail(outcomes, name):
    if name not in outcomes:
        assert not version("scikit-learn").startswith("1.9."), f"{name} is no longer a test"
        pytest.skip("not a test of this scikit-learn")
    assert outcomes[name].startswith(("failure", "error")), f"{name} passes: take it off the list"


def test_the_exceptions_are_few():
    assert len(PRIVATE) <= 6


def test_swapping_imports():
    source = "import os\nfrom sklearn.neural_network import (\n    MLPRegressor, MLPClassifier\n)"
    expected = "import os\nfrom sklearn_mlp import MLPClassifier, MLPRegressor\n\n\n"
    assert with_our_classes(source) == expected
    with pytest.raises(AssertionError):
        with_our_classes("from sklearn.neural_network import MLPClassifier")
