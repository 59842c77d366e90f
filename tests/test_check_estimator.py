"""scikit-learn's checks of an estimator, on the defaults and on variants of the parameters.

The defaults must pass every check. The variants too, but for those checks that what the variant
asks for contradicts, listed below one by one; each of these must exist and must fail.
"""

from unittest import SkipTest

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.model_selection import train_test_split
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from sklearn_mlp import MLPClassifier, MLPRegressor

VARIANTS = {
    "defaults": {},
    "sgd": {"solver": "sgd"},
    "lbfgs": {"solver": "lbfgs"},
    "three layers": {"hidden_layer_sizes": (20, 10, 5)},
    "tanh": {"activation": "tanh"},
    "batches of 3": {"batch_size": 3},
    "warm start": {"warm_start": True},
}

WEIGHTS = "repeating a row and doubling its weight put different rows into the batches of 3"
REFITS = "fits one instance twice and expects the second fit to start afresh"
CLASS_WEIGHTS = (
    "of 50 rows of noise 43 and not 44 are predicted to be of the class that has all the weight, as by "
    "scikit-learn's classifier with the same weights as sample_weight"
)
EXPECTED = {
    ("MLPClassifier", "tanh"): {"check_class_weight_classifiers": CLASS_WEIGHTS},
    ("MLPClassifier", "batches of 3"): {
        "check_sample_weight_equivalence_on_dense_data": WEIGHTS,
        "check_sample_weight_equivalence_on_sparse_data": WEIGHTS,
    },
    ("MLPRegressor", "batches of 3"): {
        "check_sample_weight_equivalence_on_dense_data": WEIGHTS,
        "check_sample_weight_equivalence_on_sparse_data": WEIGHTS,
    },
    ("MLPClassifier", "warm start"): {
        "check_supervised_y_2d": REFITS,
        "check_classifiers_multilabel_representation_invariance": REFITS,
    },
    ("MLPRegressor", "warm start"): {"check_supervised_y_2d": REFITS},
}
ESTIMATORS = {
    (cls.__name__, variant): cls(**params)
    for cls in [MLPClassifier, MLPRegressor]
    for variant, params in VARIANTS.items()
}


def expected_failed_checks(estimator):
    name, params = type(estimator).__name__, estimator.get_params()
    for (cls, variant), reasons in EXPECTED.items():
        if cls == name and params == ESTIMATORS[cls, variant].get_params():
            return reasons
    return {}


@parametrize_with_checks(list(ESTIMATORS.values()), expected_failed_checks=expected_failed_checks)
@pytest.mark.filterwarnings("ignore")
def test_check_estimator(estimator, check):
    check(estimator)


def test_nothing_else_is_expected_to_fail():
    expected = {key: set(expected_failed_checks(est)) for key, est in ESTIMATORS.items()}
    assert {key: names for key, names in expected.items() if names} == {
        key: set(names) for key, names in EXPECTED.items()
    }
    for cls in ["MLPClassifier", "MLPRegressor"]:
        assert all("sample_weight_equivalence" in name for name in expected[cls, "batches of 3"])
        assert len(expected[cls, "batches of 3"]) == 2
        assert len(expected[cls, "warm start"]) <= 2
        others = VARIANTS.keys() - {"batches of 3", "warm start", "tanh"}
        assert not any(expected[cls, variant] for variant in others)


@pytest.mark.filterwarnings("ignore")
def test_what_the_check_of_class_weights_sees_is_scikit_learns_model():
    """The reason given for `check_class_weight_classifiers` with tanh, on the data of that check."""
    X, y = make_blobs(centers=3, random_state=0, cluster_std=20)
    X, X_test, y, _ = train_test_split(X, y, test_size=0.5, random_state=0)
    params = {"activation": "tanh", "max_iter": 1000, "n_iter_no_change": 20, "random_state": 0}
    weights = {0: 1000, 1: 0.0001, 2: 0.0001}
    ours = MLPClassifier(**params, class_weight=weights).fit(X, y)
    theirs = neural_network.MLPClassifier(**params).fit(X, y, sample_weight=[weights[c] for c in y])
    np.testing.assert_allclose(ours.predict_proba(X_test), theirs.predict_proba(X_test), atol=1e-6)
    assert (theirs.predict(X_test) == 0).sum() == 43


@pytest.mark.parametrize(
    ("key", "name"), [(key, name) for key, names in EXPECTED.items() for name in names]
)
@pytest.mark.filterwarnings("ignore")
def test_an_expected_failure_fails(key, name):
    """A check that is gone, or that passes, must leave the list."""
    found = {}
    for estimator, check in estimator_checks_generator(clone(ESTIMATORS[key])):
        found[getattr(check, "func", check).__name__] = (estimator, check)
    estimator, check = found[name]
    try:
        check(estimator)
    except SkipTest:
        raise
    except (AssertionError, ValueError):
        return
    pytest.fail(f"{name} passes for {key}")


def test_every_kind_of_check_runs():
    """The decorator has collected the checks: some that every estimator must have are there."""
    names = {
        getattr(check, "func", check).__name__
        for _, check in estimator_checks_generator(MLPClassifier())
    }
    assert {"check_estimators_nan_inf", "check_fit_idempotent", "check_classifiers_train"} <= names
    assert len(names) >= 50
