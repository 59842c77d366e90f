"""
Regression
==========

A network learns a curve from noisy points: how a pendulum's swing dies away. Input and target are
scaled, which is most of what a regression by a network asks for.
"""

# %%
# The data: 400 moments and the deflection measured then, in degrees, with an error of 3 degrees.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mlp import MLPRegressor


def deflection(t):
    return 30 * np.exp(-t / 8) * np.cos(2 * t)


rng = np.random.default_rng(0)
t = rng.uniform(0, 12, 400)
measured = deflection(t) + rng.normal(0, 3, 400)
t_train, t_test, y_train, y_test = train_test_split(t[:, None], measured, random_state=0)

# %%
# The smooth activation tanh suits a smooth curve, and L-BFGS, which looks at all rows at once, suits
# data as small as these. ``TransformedTargetRegressor`` scales the target for training and scales
# predictions back, so that they are in degrees.

network = MLPRegressor(
    hidden_layer_sizes=(32, 32),
    activation="tanh",
    solver="lbfgs",
    alpha=0.1,
    max_iter=2000,
    random_state=0,
)
model = TransformedTargetRegressor(
    make_pipeline(StandardScaler(), network), transformer=StandardScaler()
)
model.fit(t_train, y_train)

error = np.sqrt(np.mean((model.predict(t_test) - y_test) ** 2))
print(f"held-out R2 {model.score(t_test, y_test):.3f}")
print(f"held-out error {error:.2f} degrees, of which 3 are of the measurement")

# %%
# Left: the curve. Right: what is predicted for rows that were held out, against what was measured.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), width_ratios=(3, 2))
grid = np.linspace(0, 12, 600)
left.plot(t_train, y_train, ".", color="0.7", ms=4, label="measured")
left.plot(grid, deflection(grid), "--", color="black", lw=1, label="true")
left.plot(grid, model.predict(grid[:, None]), color="#0072b2", lw=2, label="network")
left.set(xlabel="seconds", ylabel="degrees", title="Deflection of a pendulum")
left.legend(frameon=False)

right.axline((0, 0), slope=1, color="0.7", lw=1)
right.plot(y_test, model.predict(t_test), ".", color="#0072b2")
right.set(xlabel="measured, degrees", ylabel="predicted, degrees", title="Rows held out")
right.set_aspect("equal")
plt.show()
