"""
Two classes
===========

A binary classifier has one output, whose logistic function is the probability of the second class.
Here it is drawn over the plane, for three strengths of the L2 penalty ``alpha``.
"""

# %%
# The data: two interleaved half-moons with noise, a hundred points to learn from and a thousand to
# judge by.

import matplotlib.pyplot as plt
from sklearn.datasets import make_moons
from sklearn.inspection import DecisionBoundaryDisplay

from sklearn_mlp import MLPClassifier

X, y = make_moons(100, noise=0.25, random_state=0)
X_test, y_test = make_moons(1000, noise=0.25, random_state=1)

# %%
# The less penalty, the closer the boundary follows single points. Few rows and few features are what
# L-BFGS is for.

figure, panels = plt.subplots(1, 3, figsize=(9, 3.2), sharex=True, sharey=True)
for panel, alpha in zip(panels, (1e-4, 0.3, 3), strict=True):
    network = MLPClassifier(
        hidden_layer_sizes=(32, 32), solver="lbfgs", alpha=alpha, max_iter=1000, random_state=0
    )
    network.fit(X, y)
    accuracy = network.score(X_test, y_test)
    print(f"alpha {alpha:g}: accuracy {network.score(X, y):.2f}, held-out accuracy {accuracy:.3f}")

    DecisionBoundaryDisplay.from_estimator(
        network,
        X,
        response_method="predict_proba",
        ax=panel,
        cmap="RdBu",
        alpha=0.75,
        levels=20,
        vmin=0,
        vmax=1,
        grid_resolution=150,
        eps=0.4,
    )
    panel.scatter(*X.T, c=y, cmap="RdBu", edgecolors="black", linewidths=0.6, s=22)
    panel.set(title=f"alpha = {alpha:g}: {accuracy:.1%} correct", xticks=[], yticks=[])
    panel.spines[:].set_visible(False)
figure.suptitle("Probability of the second class (blue), and the points learnt from")
plt.show()
