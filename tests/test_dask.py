"""Searches, training and prediction on a real Dask cluster: processes of this machine."""

import os
import signal
from contextlib import contextmanager
from itertools import chain

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.distributed import Client, LocalCluster
from joblib import parallel_config
from sklearn.base import clone
from sklearn.datasets import load_digits, make_regression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from threadpoolctl import threadpool_limits

from sklearn_mlp import MLPClassifier, MLPRegressor
from sklearn_mlp._epoch import largest_team

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_digits(return_X_y=True)
X, Y = X[:600] / 16, np.array([f"digit {digit}" for digit in Y[:600]])
CLASSES = np.unique(Y)
FOLDS = list(StratifiedKFold(3).split(X, Y))
GRID = {"alpha": [1e-4, 1e-2, 1.0, 10.0]}
PER_BLOCK = 200
THREADS = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"]


@contextmanager
def cluster(folder, n_workers=2):
    """A client of a new cluster of processes with one thread each, whatever the environment says."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in THREADS:
            patch.delenv(variable, raising=False)
        with (
            dask.config.set({"distributed.comm.timeouts.connect": 60}),
            LocalCluster(
                n_workers=n_workers,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                local_directory=str(folder),
            ) as processes,
            Client(processes) as client,
        ):
            yield client


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("dask")) as client:
        yield client


def small(cls=MLPClassifier, **params):
    fixed = {"hidden_layer_sizes": 16, "max_iter": 10, "learning_rate_init": 0.01}
    return cls(**{**fixed, "random_state": 0, **params})


def parameters(estimator):
    return np.concatenate([w.ravel() for w in estimator.coefs_ + estimator.intercepts_])


def blocks(*arrays):
    """Dask arrays, in blocks of rows."""
    return [da.from_array(a, chunks=(PER_BLOCK, *a.shape[1:])) for a in arrays]


def split_scores(search):
    return np.array([search.cv_results_[f"split{i}_test_score"] for i in range(len(FOLDS))])


# ---- searches ----


def test_search_gives_the_scores_and_the_model_of_a_local_one(client):
    search = GridSearchCV(small(), GRID, cv=FOLDS)
    with parallel_config("dask"):
        there = clone(search).fit(X, Y)
    here = search.fit(X, Y)
    np.testing.assert_array_equal(split_scores(there), split_scores(here))
    assert len(np.unique(split_scores(here))) > 3
    assert there.best_params_ == here.best_params_
    np.testing.assert_array_equal(parameters(there.best_estimator_), parameters(here.best_estimator_))


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_models_fitted_by_workers_come_back_as_they_were(client, cls):
    data = (X, Y) if cls is MLPClassifier else make_regression(300, 10, n_targets=2, random_state=0)
    model = make_pipeline(MinMaxScaler(), small(cls, early_stopping=True))
    with parallel_config("dask"):
        there = cross_validate(model, *data, cv=3, return_estimator=True)["estimator"]
    here = cross_validate(model, *data, cv=3, return_estimator=True)["estimator"]
    for a, b in zip(there, here, strict=True):
        np.testing.assert_array_equal(parameters(a[-1]), parameters(b[-1]))
        assert a[-1].validation_scores_ == b[-1].validation_scores_
        np.testing.assert_array_equal(a.predict(data[0]), b.predict(data[0]))


def test_fits_run_in_the_processes_of_the_cluster(client):
    def process(estimator, X, y):
        return os.getpid()

    with parallel_config("dask"):
        found = cross_validate(small(max_iter=1), X, Y, cv=4, scoring=process)["test_score"]
    assert set(found) <= set(client.run(os.getpid).values())


def test_search_outlives_a_worker_that_is_killed(tmp_path):
    grave, this_process = tmp_path / "killed", os.getpid()

    def score(estimator, X, y):
        """The accuracy, but the first fit with this alpha takes its worker down."""
        assert os.getpid() != this_process
        if estimator.alpha == 1.0:
            try:
                with open(grave, "x") as file:
                    file.write(str(os.getpid()))
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return estimator.score(X, y)

    with cluster(tmp_path) as client:
        workers = set(client.run(os.getpid).values())
        client.amm.stop()
        with parallel_config("dask", scatter=[X, Y, *chain(*FOLDS)]):
            search = GridSearchCV(small(), GRID, cv=FOLDS, scoring=score, error_score="raise")
            search.fit(X, Y)
    assert int(grave.read_text()) in workers
    here = GridSearchCV(small(), GRID, cv=FOLDS).fit(X, Y)
    np.testing.assert_array_equal(split_scores(search), split_scores(here))


# ---- threads ----


def threads_for_large_fits(client):
    """What each worker allows: threads of a large fit, threads of OpenMP, and processors."""

    def ask():
        from joblib import cpu_count

        from sklearn_mlp._epoch import largest_team
        from sklearn_mlp._threads import n_threads_for

        return n_threads_for(10**15), largest_team(), cpu_count()

    return client.run(ask).values()


def test_a_worker_fits_with_one_thread(client):
    assert {n_threads for n_threads, *_ in threads_for_large_fits(client)} == {1}


def test_a_worker_fits_with_the_threads_that_dask_gives_it(tmp_path):
    prefix = "distributed.nanny.pre-spawn-environ"
    with (
        dask.config.set({f"{prefix}.{variable}": 2 for variable in THREADS}),
        cluster(tmp_path, n_workers=1) as client,
    ):
        ((n_threads, openmp, processors),) = threads_for_large_fits(client)
    with threadpool_limits(2, user_api="openmp"):
        assert openmp == largest_team()  # 1 in a build without OpenMP
    assert n_threads == min(openmp, processors)


# ---- training on blocks ----


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_learning_block_by_block_is_learning_from_slices(client, cls):
    targets, more = (Y, {"classes": CLASSES}) if cls is MLPClassifier else (X @ X[:3].T, {})
    blocked_X, blocked_y = blocks(X, targets)
    there, here = small(cls), small(cls)
    for number in [2, 0, 1, 1, 0, 2]:
        block = dask.compute(blocked_X.blocks[number], blocked_y.blocks[number])
        there.partial_fit(*block, **more)
        rows = slice(number * PER_BLOCK, (number + 1) * PER_BLOCK)
        here.partial_fit(X[rows], targets[rows], **more)
    np.testing.assert_array_equal(parameters(there), parameters(here))


def test_incremental_learns_block_by_block(client):
    wrappers = pytest.importorskip("dask_ml.wrappers")
    wrapped = wrappers.Incremental(small(), shuffle_blocks=False).fit(*blocks(X, Y), classes=CLASSES)
    wrapped.partial_fit(*blocks(X, Y))
    here = small()
    for start in [*range(0, len(X), PER_BLOCK)] * 2:
        rows = slice(start, start + PER_BLOCK)
        here.partial_fit(X[rows], Y[rows], classes=CLASSES)
    np.testing.assert_array_equal(parameters(wrapped.estimator_), parameters(here))


# ---- prediction ----


@pytest.fixture(scope="module")
def classifier():
    return small().fit(X, Y)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba"])
def test_prediction_of_blocks(client, classifier, method):
    (blocked,) = blocks(X)
    predict = getattr(classifier, method)
    shape = {"drop_axis": 1} if method == "predict" else {"chunks": (blocked.chunks[0], CLASSES.size)}
    expected = predict(X)
    predicted = blocked.map_blocks(predict, dtype=expected.dtype, **shape)
    assert (predicted.shape, predicted.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(predicted.compute(), expected)


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_parallel_post_fit_predicts_blocks(client, classifier, method):
    wrappers = pytest.importorskip("dask_ml.wrappers")
    predicted = getattr(wrappers.ParallelPostFit(classifier), method)(*blocks(X))
    np.testing.assert_array_equal(predicted.compute(), getattr(classifier, method)(X))


def test_regression_of_several_outputs_over_blocks(client):
    model = small(MLPRegressor, dtype="float32").fit(X, X[:, :3])
    (blocked,) = blocks(X)
    predicted = blocked.map_blocks(model.predict, dtype="float32", chunks=(blocked.chunks[0], 3))
    np.testing.assert_array_equal(predicted.compute(), model.predict(X))


def test_prediction_of_a_frame_with_an_empty_partition(client):
    table = pd.DataFrame(X, columns=[f"pixel_{i}" for i in range(X.shape[1])])
    model = make_pipeline(MinMaxScaler(), small()).fit(table, Y)

    def predict(part):
        labels = model.predict(part) if len(part) else model.classes_[:0]
        return pd.Series(labels, index=part.index, name="label")

    kept = table.index < 250
    frame = dd.from_pandas(table.assign(kept=kept), npartitions=3)
    frame = frame[frame["kept"]].drop(columns="kept")
    assert 0 in frame.map_partitions(len).compute().to_list()
    predicted = frame.map_partitions(predict, meta=predict(table[:0]))
    expected = pd.Series(model.predict(table[kept]), index=table.index[kept], name="label")
    pd.testing.assert_series_equal(predicted.compute(), expected, check_dtype=False)
