"""
A grid search on a Dask cluster
===============================

scikit-learn's searches run on the machines of a Dask cluster through joblib: one line more than on
the processors of this machine, and the same result to the last bit.
"""

# %%
# What is special to a cluster of processes:
#
# - A script that starts one keeps its work behind ``if __name__ == "__main__"``, since every worker
#   imports the script.
# - joblib would send the data, and the indices of each fold, to one worker, and the search would fail
#   if that worker died. ``scatter`` gives every worker a copy, and with its active memory manager
#   stopped Dask lets them keep it.
# - A worker fits with one thread, which Dask sees to: best while there are more fits than processors.

from itertools import chain

from dask.distributed import Client, LocalCluster
from joblib import parallel_config
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from sklearn_mlp import MLPClassifier

GRID = {
    "mlpclassifier__hidden_layer_sizes": [(16,), (64,)],
    "mlpclassifier__alpha": [1e-4, 1.0],
}


def main():
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    pipeline = make_pipeline(
        MinMaxScaler(),
        MLPClassifier(learning_rate_init=0.005, early_stopping=True, random_state=0),
    )
    folds = list(StratifiedKFold(3).split(X_train, y_train))

    # %%
    # Two workers on this machine. ``Client("scheduler:8786")`` would connect to a cluster elsewhere.

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        client.amm.stop()
        with parallel_config("dask", scatter=[X_train, y_train, *chain(*folds)]):
            search = GridSearchCV(pipeline, GRID, cv=folds).fit(X_train, y_train)

    for name, value in search.best_params_.items():
        print(f"{name} = {value}")
    print(f"cross-validated accuracy {search.best_score_:.3f}")
    print(f"held-out accuracy {search.score(X_test, y_test):.3f}")

    # %%
    # Where a fit runs changes nothing about it.

    here = GridSearchCV(pipeline, GRID, cv=folds).fit(X_train, y_train)
    same = (here.cv_results_["mean_test_score"] == search.cv_results_["mean_test_score"]).all()
    print(f"same scores as without the cluster: {same}")


if __name__ == "__main__":
    main()
