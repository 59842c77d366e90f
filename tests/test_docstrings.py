"""Every example in a public docstring runs."""

import doctest

import pytest

import sklearn_mlp


@pytest.mark.parametrize("name", sklearn_mlp.__all__)
def test_examples(name):
    public = getattr(sklearn_mlp, name)
    tests = doctest.DocTestFinder(exclude_empty=False).find(public, name, globs={})
    results = [doctest.DocTestRunner().run(test) for test in tests]
    assert sum(result.attempted for result in results) > 0
    assert sum(result.failed for result in results) == 0
