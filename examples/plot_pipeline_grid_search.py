"""
A pipeline tuned by a grid search
=================================

Scaling and a network in one pipeline, tuned by cross-validation. Everything is scikit-learn's but
the network, and the network's parameters have scikit-learn's names.
"""

# %%
# The data: 569 tumours, 30 measurements each, benign or malignant. A quarter is kept for the end.

from joblib import parallel_config
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mlp import MLPClassifier

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

# %%
# A network wants inputs of about the same size. With the scaler inside the pipeline, each fold of
# the cross-validation is scaled by its own training rows, and the held-out rows stay unseen.

pipeline = make_pipeline(
    StandardScaler(),
    MLPClassifier(learning_rate_init=0.01, max_iter=500, random_state=0),
)
grid = {
    "mlpclassifier__hidden_layer_sizes": [(8,), (32,), (32, 16)],
    "mlpclassifier__alpha": [1e-4, 1e-1, 1.0],
}

# %%
# Training releases the GIL, so that fits run side by side in threads of one process: no worker to
# start, and no copy of the data for each.

search = GridSearchCV(pipeline, grid, cv=5, n_jobs=2)
with parallel_config(backend="threading"):
    search.fit(X_train, y_train)

for name, value in search.best_params_.items():
    print(f"{name} = {value}")
print(f"cross-validated accuracy {search.best_score_:.3f}")
print(f"held-out accuracy {search.score(X_test, y_test):.3f}")
