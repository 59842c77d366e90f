"""Every example in a public docstring runs, and what it refers to is there."""

import doctest
import inspect
import re
from pathlib import Path

import pytest

import sklearn_mlp
from sklearn_mlp import preprocessing

DOC = Path(__file__).parents[1] / "doc"
MODULES = [
    sklearn_mlp,
    sklearn_mlp.losses,
    sklearn_mlp.optimizers,
    preprocessing,
    sklearn_mlp.schedules,
]
PUBLIC = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in MODULES
    for name in module.__all__
    if not inspect.ismodule(getattr(module, name))
}


@pytest.mark.parametrize(("name", "public"), PUBLIC.items(), ids=PUBLIC)
def test_examples(name, public):
    tests = doctest.DocTestFinder(exclude_empty=False).find(public, name, globs={})
    results = [doctest.DocTestRunner().run(test) for test in tests]
    assert sum(result.attempted for result in results) > 0
    assert sum(result.failed for result in results) == 0


def methods():
    """The package's own public methods of the estimators, wherever they are inherited from."""
    for estimator in (sklearn_mlp.MLPClassifier, sklearn_mlp.MLPRegressor):
        for name, method in inspect.getmembers(estimator, callable):
            where = getattr(method, "__module__", None) or ""
            if not name.startswith("_") and where.startswith("sklearn_mlp"):
                yield pytest.param(method, id=f"{estimator.__name__}.{name}")


@pytest.mark.parametrize("method", methods())
def test_a_method_of_an_estimator_has_examples(method):
    tests = doctest.DocTestFinder().find(method, method.__name__, globs={})
    results = [doctest.DocTestRunner().run(test) for test in tests]
    assert sum(result.attempted for result in results) > 0
    assert sum(result.failed for result in results) == 0


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(inspect.getdoc(item), id=name)
        for name, item in [*PUBLIC.items(), *((param.id, param.values[0]) for param in methods())]
    ],
)
def test_a_page_of_the_documentation_goes_by_its_title(text):
    """A docstring is read where the package is installed, and the files of the pages are not."""
    assert ".md" not in text
    titles = {path.read_text("utf-8").splitlines()[0] for path in DOC.glob("*.md")}
    named = re.findall(r'the page\s+"([^"]+)"', text)
    assert {"# " + " ".join(name.split()) for name in named} <= titles
