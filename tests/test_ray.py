"""Searches on a local Ray cluster, through joblib."""

import os
import signal

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_validate

from sklearn_mlp import MLPClassifier

ray = pytest.importorskip("ray")
register_ray = pytest.importorskip("ray.util.joblib").register_ray

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True, as_frame=True)
NETWORK = MLPClassifier(8, max_iter=20, learning_rate_init=0.02, random_state=0)


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.getbasetemp())  # workers import from it first: not the source tree
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.delenv("OMP_NUM_THREADS", raising=False)  # Ray sets it where nobody has
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        register_ray()
        yield
        ray.shutdown()


def split_scores(search):
    return np.array([search.cv_results_[f"split{i}_test_score"] for i in range(3)])


def parameters(estimator):
    return np.concatenate([w.ravel() for w in estimator.coefs_ + estimator.intercepts_])


def test_search_gives_the_scores_of_a_local_one():
    search = GridSearchCV(NETWORK, {"alpha": [1e-4, 1.0], "solver": ["adam", "sgd"]}, cv=3)
    with parallel_config("ray", n_jobs=2):
        there = clone(search).fit(X, Y)
    here = search.fit(X, Y)
    np.testing.assert_array_equal(split_scores(there), split_scores(here))
    assert len(np.unique(split_scores(here))) > 3


def test_models_fitted_by_workers_come_back_as_they_were():
    with parallel_config("ray", n_jobs=2):
        there = cross_validate(NETWORK, X, Y, cv=3, return_estimator=True)["estimator"]
    here = cross_validate(NETWORK, X, Y, cv=3, return_estimator=True)["estimator"]
    for a, b in zip(there, here, strict=True):
        np.testing.assert_array_equal(parameters(a), parameters(b))


def test_fits_run_in_other_processes_with_one_thread_each():
    def process(estimator, X, y):
        return os.getpid()

    def threads(estimator, X, y):
        from sklearn_mlp._threads import n_threads_for

        return n_threads_for(10**15)

    scoring = {"process": process, "threads": threads}
    with parallel_config("ray", n_jobs=2):
        found = cross_validate(NETWORK, X, Y, cv=4, scoring=scoring)
    assert os.getpid() not in found["test_process"]
    assert set(found["test_threads"]) == {1}


def test_search_outlives_a_process_that_is_killed(tmp_path):
    grave, this_process = tmp_path / "killed", os.getpid()

    def score(estimator, X, y):
        """The accuracy, but the first fit with this alpha takes its process down."""
        assert os.getpid() != this_process
        if estimator.alpha == 1.0 and not grave.exists():
            grave.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return estimator.score(X, y)

    search = GridSearchCV(NETWORK, {"alpha": [1e-4, 1.0]}, cv=3, error_score="raise")
    again = {"max_restarts": -1, "max_task_retries": -1}
    with parallel_config("ray", n_jobs=2, ray_remote_args=again):
        there = clone(search).set_params(scoring=score, refit=False).fit(X, Y)
    assert grave.exists()
    np.testing.assert_array_equal(split_scores(there), split_scores(search.fit(X, Y)))
