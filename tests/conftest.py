"""What the tests share. SciPy reads the variable when it is imported: scikit-learn skips its array-API
checks without it."""

import json
import math
import os

import pytest

os.environ.setdefault("SCIPY_ARRAY_API", "1")

VALUES = [None, True, 0, 1, -1, 2**32, 2**63, 0.5, 1e9, 1e300, "auto", "relu", "adam", "balanced", "x"]
VALUES += ["tree", "huber", [], [0.5], ["relu"], {"tuple": [3]}, {"float": "inf"}, {"float": "nan"}]
VALUES += [{"dict": [["a", 1]]}]
VALUES += [{"schedule": "ExponentialDecay", "parameters": {"gamma": gamma}} for gamma in (0, 1)]


@pytest.fixture(scope="session")
def instruction_sets():
    """Those that this build has and this processor runs."""
    from sklearn_mlp._blas import _choose_instruction_set
    from sklearn_mlp._build_config import INSTRUCTION_SETS

    def runs(name):
        try:
            return _choose_instruction_set(name) == name
        except ImportError:
            return False

    return [name for name in INSTRUCTION_SETS if runs(name)]


@pytest.fixture
def disagreements():
    """Values of a parameter about which the schema and the reader of a JSON document disagree.

    But for integers written as 1.0, which a schema cannot tell from 1.
    """
    from sklearn_mlp import ModelFormatError, from_json

    def reads(document):
        try:
            from_json(json.dumps(document))
        except ModelFormatError:
            return False
        return True

    def find(document, name, validator):
        found = []
        for value in VALUES:
            if isinstance(value, float) and value == math.floor(value):
                continue
            document["parameters"][name] = value
            if validator.is_valid(document["parameters"]) != reads(document):
                found.append(value)
        return found

    return find
