"""
A validation set of one's own
=============================

``early_stopping=True`` holds out rows at random. Where rows that are close in time are alike, that
tells little about the future: each row held out has neighbours that were trained on. ``fit`` takes
a validation set instead, ``X_val`` and ``y_val``, chosen as the data need it: here, the last part.
"""

# %%
# The data: three years of a daily quantity that depends on the temperature and the day of the week
# and wanders besides. The number of the day is among the features, as it often is.

import matplotlib.pyplot as plt
import numpy as np
from sklearn import clone, config_context
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mlp import LossCurveDisplay, MLPRegressor

random_state = np.random.RandomState(0)
day = np.arange(3 * 365)
temperature = 10 - 10 * np.cos(2 * np.pi * day / 365) + random_state.normal(0, 3, day.size)
weekend = day % 7 >= 5
level = np.zeros(day.size)  # what wanders, and returns to zero in a month or so
for today in day[1:]:
    level[today] = 0.97 * level[today - 1] + random_state.normal(0, 5)
quantity = 500 - 4 * np.abs(temperature - 15) - 60 * weekend + level

X = np.column_stack([day, temperature, weekend])
y = (quantity - quantity.mean()) / quantity.std()

past, validation, future = slice(0, 730), slice(730, 910), slice(910, None)

# %%
# In a pipeline the validation rows have to be scaled as the training rows are. That takes three
# things: metadata routing is on, the network's step asks for ``X_val`` and ``y_val``, and the
# pipeline is told by ``transform_input`` that ``X_val`` is to go through the steps before.

network = MLPRegressor(
    hidden_layer_sizes=(64, 64),
    learning_rate_init=0.001,
    early_stopping=True,
    n_iter_no_change=30,
    max_iter=1000,
    random_state=0,
)

with config_context(enable_metadata_routing=True):
    chosen = make_pipeline(
        StandardScaler(),
        clone(network).set_fit_request(X_val=True, y_val=True),
        transform_input=["X_val"],
    )
    chosen.fit(X[past], y[past], X_val=X[validation], y_val=y[validation])

print("Stopped by the half year after the training rows:")
print(chosen[-1].history_)

# %%
# The same network, stopped by a tenth of the rows at random, and both on the future. Each has seen
# the same rows: ``past`` and ``validation``, the one to train on, the other some to stop by.

random = make_pipeline(StandardScaler(), clone(network))
random.fit(X[: validation.stop], y[: validation.stop])

for name, model in (("random", random), ("time-ordered", chosen)):
    history = model[-1].history_
    print(
        f"{name} validation set: {len(history)} epochs,",
        f"validation R2 {history['val_score'][history.best_epoch]:.2f},",
        f"R2 on the rows after it {model.score(X[future], y[future]):.2f}",
    )

# %%
# The learning curves. Rows held out at random go on improving for as long as the network learns the
# neighbours by heart; the later half year tells when to stop.

figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
for panel, (name, model) in zip(
    panels, (("at random", random), ("the half year after", chosen)), strict=True
):
    LossCurveDisplay.from_estimator(model, ax=panel)
    panel.set(title=f"Validation rows: {name}", yscale="log")

figure, panel = plt.subplots(figsize=(9, 3))
panel.plot(day[future], y[future], color="0.65", lw=1, label="what came")
panel.plot(day[future], random.predict(X[future]), color="#d55e00", lw=1, label="random validation set")
panel.plot(day[future], chosen.predict(X[future]), color="#0072b2", lw=1, label="time-ordered")
panel.set(
    title="The future, and what both networks make of it", xlabel="day", ylabel="quantity, scaled"
)
panel.legend(frameon=False, ncols=3, loc="upper center")
plt.show()
