"""
Intervals by quantiles
======================

``loss="quantile"`` predicts not the mean but a number that a given share of the targets stays below.
Two of them make an interval, which is wide where the target is uncertain.
"""

# %%
# The data: how long a delivery takes by its distance. Not only the mean grows, but the spread with it,
# and there are more late ones than early ones.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mlp import MLPRegressor

rng = np.random.default_rng(0)
distance = rng.uniform(1, 20, 3000)
minutes = 10 + 2.5 * distance + 4 * np.sin(distance / 2) + rng.gamma(1.5, 0.25 + distance / 4)
X_train, X_test, y_train, y_test = train_test_split(distance[:, None], minutes, random_state=0)

# %%
# A network for each level. A scaler of the target changes nothing about what is a quantile.

levels = 0.05, 0.5, 0.95
models = {}
for level in levels:
    network = MLPRegressor(
        loss="quantile",
        quantile=level,
        hidden_layer_sizes=(32, 32),
        activation="silu",
        learning_rate="cosine",
        learning_rate_init=0.01,
        max_iter=100,
        n_iter_no_change=np.inf,
        random_state=0,
    )
    models[level] = TransformedTargetRegressor(
        make_pipeline(StandardScaler(), network), transformer=StandardScaler()
    ).fit(X_train, y_train)
    below = np.mean(y_test < models[level].predict(X_test))
    print(f"level {level:.2f}: {below:.3f} of the held-out targets are below")

low, _, high = (models[level].predict(X_test) for level in levels)
inside = np.mean((low <= y_test) & (y_test <= high))
print(f"held-out targets in the interval of nine tenths: {inside:.3f}")

# %%

grid = np.linspace(1, 20, 300)
low, middle, high = (models[level].predict(grid[:, None]) for level in levels)
figure, panel = plt.subplots(figsize=(8, 4))
panel.plot(X_test, y_test, ".", color="0.6", ms=3, label="held out")
panel.fill_between(grid, low, high, color="#0072b2", alpha=0.2, lw=0, label="5 % to 95 %")
panel.plot(grid, middle, color="#0072b2", lw=2, label="median")
panel.set(
    xlabel="distance, km",
    ylabel="minutes",
    title=f"{inside:.0%} of the rows held out lie in the interval",
)
panel.legend(frameon=False, loc="upper left")
plt.show()
