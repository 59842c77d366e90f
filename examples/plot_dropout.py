"""
Dropout against none
====================

Dropout leaves out a random part of the hidden units in every step, so that no unit can rely on
another. It trains longer and overfits less: the difference is drawn here.
"""

# %%
# The data: few rows, many weights, and a fifth of the labels wrong, which is what overfitting lives on.
# 500 images of digits to learn from and the rest to validate with, whose labels are right.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from sklearn_mlp import LossCurveDisplay, MLPClassifier

X, y = load_digits(return_X_y=True)
X_train, X_val, y_train, y_val = train_test_split(X / 16, y, train_size=500, stratify=y, random_state=0)
rng = np.random.default_rng(0)
y_train = np.where(rng.random(500) < 0.2, rng.integers(10, size=500), y_train)

# Every fit is to use all of max_iter epochs, and would warn that it has not converged.
warnings.simplefilter("ignore", ConvergenceWarning)

# %%
# The training loss is that of the thinned-out network, so it is larger with dropout; the validation
# loss is that of the whole network.

networks = {}
for rate in (0, 0.2, 0.5):
    network = MLPClassifier(
        hidden_layer_sizes=(256, 256),
        dropout=rate,
        metrics="accuracy",
        max_iter=100,
        n_iter_no_change=np.inf,
        random_state=0,
    )
    network.fit(X_train, y_train, X_val=X_val, y_val=y_val)
    networks[f"dropout {rate}" if rate else "none"] = network
    accuracy, loss = (network.history_[f"val_{name}"] for name in ("accuracy", "loss"))
    print(
        f"dropout {rate}: validation loss {min(loss):.3f} at best and {loss[-1]:.3f} at the end,",
        f"accuracy {accuracy[-1]:.3f}",
    )

# %%
# Without dropout the network learns the wrong labels by heart: its training accuracy passes the part of
# labels that are right, and on the validation rows it gets worse.

LossCurveDisplay.from_estimator(networks, metrics="accuracy")
plt.show()
