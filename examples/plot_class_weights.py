"""
Class weights on skewed data
============================

Where one class is rare, a network that goes for the fewest mistakes hardly ever predicts it.
``class_weight`` makes a miss of the rare class count more; what that buys and costs is drawn here.
"""

# %%
# The data: two measurements of 6,000 parts, of which four in a hundred are faulty.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.metrics import precision_recall_curve, precision_score, recall_score
from sklearn.model_selection import train_test_split

from sklearn_mlp import MLPClassifier

rng = np.random.default_rng(0)
faulty = rng.random(6000) < 0.04
X = rng.normal(0, 1, (6000, 2))
X[faulty] = X[faulty] * 0.6 + [1.2, 1.0]
X_train, X_test, y_train, y_test = train_test_split(X, faulty, stratify=faulty, random_state=0)

# %%
# ``"balanced"`` lets both classes pull equally, here as if a faulty part were 24 parts. A dict says
# it by hand.

WEIGHTS = {"none": None, "{True: 6}": {True: 6.0}, "balanced": "balanced"}
networks = {
    name: MLPClassifier(
        hidden_layer_sizes=(16,),
        class_weight=weight,
        learning_rate_init=0.01,
        max_iter=60,
        tol=0,
        n_iter_no_change=60,
        learning_rate="cosine",
        random_state=0,
    ).fit(X_train, y_train)
    for name, weight in WEIGHTS.items()
}

for name, network in networks.items():
    predicted = network.predict(X_test)
    print(
        f"class weight {name:9}: found {recall_score(y_test, predicted):4.0%} of the faulty parts,",
        f"{precision_score(y_test, predicted):4.0%} of those reported are faulty,",
        f"accuracy {np.mean(predicted == y_test):.3f}",
    )

# %%
# The boundary moves towards the frequent class. Much the same can be had after training, by another
# threshold on the probabilities than one half: the curves of the three networks almost coincide.
# Weights are for where a plain ``predict`` is to be right, or where training hardly learns the rare
# class.

figure, panels = plt.subplots(1, 3, figsize=(9, 3.3))
for panel, name in zip(panels, ("none", "balanced"), strict=False):
    DecisionBoundaryDisplay.from_estimator(
        networks[name], X_test, response_method="predict", ax=panel, cmap="Pastel2_r", alpha=0.6
    )
    panel.plot(*X_test[~y_test].T, ".", color="0.55", ms=2, label="sound")
    panel.plot(*X_test[y_test].T, ".", color="#d55e00", ms=5, label="faulty")
    panel.set(title=f"class weight {name}", xticks=[], yticks=[])
panels[0].legend(loc="lower left", markerscale=2)

for (name, network), color in zip(networks.items(), ("#0072b2", "#e69f00", "#009e73"), strict=True):
    proba = network.predict_proba(X_test)[:, 1]
    precision, recall, _ = precision_recall_curve(y_test, proba)
    panels[2].plot(recall, precision, color=color, lw=1.5, label=name)
    predicted = proba > 0.5
    panels[2].plot(
        recall_score(y_test, predicted), precision_score(y_test, predicted), "o", ms=8, color=color
    )
panels[2].set(title="every threshold; dots: one half", xlabel="recall", ylabel="precision", ylim=(0, 1))
panels[2].legend(frameon=False)
plt.show()
