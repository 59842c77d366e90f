"""
A pipeline for mixed data, tuned by a grid search
=================================================

Numbers, some of them missing, and categories in one table: they are prepared and learnt in one
pipeline, which a grid search tunes by cross-validation. Everything is scikit-learn's but the network.
"""

# %%
# The data: made-up rents of 3,000 flats. What a square metre costs goes by the district and the year of
# building, and not every owner has stated all.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from joblib import parallel_config
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_mlp import MLPRegressor

rng = np.random.default_rng(0)
n = 3000
flats = pd.DataFrame(
    {
        "area": rng.gamma(8, 9, n).round(),
        "year": rng.integers(1900, 2025, n).astype(float),
        "floor": rng.integers(0, 6, n),
        "district": rng.choice(["harbour", "hill", "centre", "north"], n, p=[0.2, 0.2, 0.25, 0.35]),
        "heating": rng.choice(["gas", "district", "electric"], n),
    }
)
per_metre = flats["district"].map({"harbour": 14, "hill": 17, "centre": 19, "north": 11})
per_metre += 0.0012 * (flats["year"] - 1960) ** 2 * (flats["district"] != "hill")
per_metre -= 1.5 * (flats["heating"] == "electric")
rent = (per_metre * flats["area"] ** 0.95 * rng.lognormal(0, 0.08, n)).round()
flats.loc[rng.random(n) < 0.1, "year"] = np.nan

X_train, X_test, y_train, y_test = train_test_split(flats, rent, random_state=0)
print(X_train.head(3))

# %%
# Numbers are filled in and scaled, categories become columns of zeros and ones. All of it is learnt
# from the training rows of each fold alone, since it is part of the pipeline. Rents are learnt as their
# logarithm, whose errors are percentages.

prepared = make_column_transformer(
    (
        make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()),
        ["area", "year", "floor"],
    ),
    (OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ["district", "heating"]),
)
network = MLPRegressor(
    learning_rate_init=0.005, early_stopping=True, max_iter=1000, dtype="float32", random_state=0
)
model = make_pipeline(
    prepared,
    TransformedTargetRegressor(network, func=np.log, inverse_func=np.exp, check_inverse=False),
)

# %%
# Training releases the GIL, so that fits run side by side in threads of one process: no worker to
# start, and no copy of the data for each.

GRID = {
    "hidden_layer_sizes": [(16,), (64,), (64, 64)],
    "alpha": [1e-4, 1e-2, 1.0],
}
prefix = "transformedtargetregressor__regressor__"
search = GridSearchCV(model, {prefix + name: values for name, values in GRID.items()}, cv=3, n_jobs=2)
with parallel_config(backend="threading"):
    search.fit(X_train, y_train)

for name, value in search.best_params_.items():
    print(f"{name.removeprefix(prefix)} = {value}")
print(f"cross-validated R2 {search.best_score_:.3f}")
print(f"held-out R2 {search.score(X_test, y_test):.3f}")

# %%
# Left: what was tried. Right: how much worse the chosen model does on held-out rows when a column is
# shuffled, that is, what it relies on.

table = pd.DataFrame(search.cv_results_).pivot_table(
    "mean_test_score", f"param_{prefix}alpha", f"param_{prefix}hidden_layer_sizes", sort=False
)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
image = left.imshow(table, cmap="Blues", aspect="auto")
left.set_xticks(range(3), [str(sizes) for sizes in table.columns])
left.set_yticks(range(3), table.index)
left.set(xlabel="hidden layers", ylabel="alpha", title="cross-validated R2")
for (i, j), score in np.ndenumerate(table.to_numpy()):
    dark = score > (table.min().min() + table.max().max()) / 2
    left.text(j, i, f"{score:.3f}", ha="center", va="center", color="white" if dark else "black")
left.spines[:].set_visible(False)

importance = permutation_importance(search, X_test, y_test, n_repeats=5, random_state=0)
right.barh(flats.columns, importance.importances_mean, xerr=importance.importances_std, color="#0072b2")
right.invert_yaxis()
right.set(xlabel="R2 lost when shuffled", title="what the model relies on")
plt.show()
