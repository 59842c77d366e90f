"""
Keeping a fitted network in a file
==================================

A fitted network is an ordinary scikit-learn estimator: joblib stores it, alone or in a pipeline,
and what comes back predicts the same, to the last bit.
"""

# %%
# A regression on 442 patients: ten measurements each, and how far the disease went in a year.

import tempfile
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mlp import MLPRegressor

X, y = load_diabetes(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

# %%
# Inputs and target are both scaled, and both scalings are part of the model that is stored.

network = MLPRegressor(hidden_layer_sizes=(16,), alpha=1.0, max_iter=500, random_state=0)
model = TransformedTargetRegressor(
    make_pipeline(StandardScaler(), network),
    transformer=StandardScaler(),
)
model.fit(X_train, y_train)
print(f"held-out R2 {model.score(X_test, y_test):.3f}")

# %%
# A pickle can run any code when it is loaded: load only files that you trust, and with the
# versions of scikit-learn and of this package that wrote them.

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "diabetes.joblib"
    joblib.dump(model, path)
    print(f"stored in {path.stat().st_size} bytes")
    restored = joblib.load(path)

same = np.array_equal(model.predict(X_test), restored.predict(X_test))
print(f"restored model predicts the same: {same}")

# %%
# A classifier or regressor that learns by ``partial_fit`` keeps the optimizer's state in the file
# as well, and goes on learning as if it had never been stored.

scaled = StandardScaler().fit_transform(X_train)
target = (y_train - y_train.mean()) / y_train.std()
straight = MLPRegressor(random_state=0)
for _ in range(20):
    straight.partial_fit(scaled, target)

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "half_way.joblib"
    joblib.dump(straight, path)
    resumed = joblib.load(path)

for _ in range(40):
    straight.partial_fit(scaled, target)
    resumed.partial_fit(scaled, target)

same = np.array_equal(straight.predict(scaled), resumed.predict(scaled))
print(f"resumed training gives the same model: {same}")

# %%
# The training loss of both: the second line lies on the first.

figure, panel = plt.subplots(figsize=(8, 3.6))
panel.plot(straight.loss_curve_, color="#0072b2", lw=5, alpha=0.35, label="never stored")
panel.plot(resumed.loss_curve_, color="#0072b2", lw=1.2, label="stored and resumed")
panel.axvline(20, color="0.5", ls=":")
panel.annotate("stored here", (20.5, panel.get_ylim()[1] * 0.9))
panel.set(xlabel="pass over the rows", ylabel="training loss")
panel.legend(frameon=False)
plt.show()
