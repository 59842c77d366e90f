"""
A training loop of one's own
============================

The estimators are built on two things that can be had alone: ``Network``, which computes predictions,
losses and gradients, and the optimizers. With them a training loop takes ten lines, and does what
the estimator does, or something that no parameter of the estimator offers.
"""

# %%
# The data: 1,797 images of digits, 8 x 8 grey values. A quarter is kept for the end.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from sklearn_mlp import MLPClassifier, Network
from sklearn_mlp.optimizers import Adam

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, stratify=y, random_state=0)

N_EPOCHS, BATCH, RATE, ALPHA = 30, 50, 0.001, 1e-4

# %%
# The loop. The gradient is a flat vector in the layout of ``network.params``: all weights, then all
# intercepts. It is the mean over the batch, so that the L2 term, which the estimator divides by
# the rows as well, is ``alpha / len(batch)`` times the weights.


def train(X, y, after_step=lambda params: None):
    """Train a network for digits by Adam; call `after_step` with its parameters after each step."""
    random_state = np.random.RandomState(0)
    network = Network.from_sizes([64, 32, 10], random_state=random_state, dtype="float64")
    optimizer, gradient = Adam(), np.empty_like(network.params)
    state, scratch = optimizer.init(network.params), network.scratch(BATCH)
    order = np.arange(len(X))
    for _ in range(N_EPOCHS):
        random_state.shuffle(order)
        for start in range(0, len(X), BATCH):
            batch = order[start : start + BATCH]
            network.loss_and_gradient(X[batch], y[batch], "log_loss", out=gradient, scratch=scratch)
            l2 = ALPHA / len(batch)
            optimizer.step(network.params, gradient, state, RATE, n_weights=network.n_weights, l2=l2)
            after_step(network.params)
    return network


network = train(X_train, y_train)

# %%
# The estimator draws its initial weights and the order of the rows from the same stream of random
# numbers, and so arrives at the same weights.

estimator = MLPClassifier(
    hidden_layer_sizes=(32,),
    max_iter=N_EPOCHS,
    batch_size=BATCH,
    learning_rate_init=RATE,
    alpha=ALPHA,
    n_iter_no_change=np.inf,  # train for all epochs
    random_state=0,
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)  # it says that all epochs were used
    estimator.fit(X_train, y_train)

ours, theirs = (
    np.concatenate([values.ravel() for values in (*model[0], *model[1])])
    for model in ((network.coefs, network.intercepts), (estimator.coefs_, estimator.intercepts_))
)
print(f"largest difference of the weights: {np.abs(ours - theirs).max():.1e}")
print(f"same weights to 1e-10: {np.allclose(ours, theirs, rtol=0, atol=1e-10)}")


# %%
# Something that the estimator does not do: predict with an average of the parameters over the last
# steps. As the parameters are one vector, that is one line. (Whether it helps is for the data to say;
# here it changes little.) ``forward`` returns raw scores, the greatest is that of the predicted class.


def accuracy(network):
    return (network.forward(X_test).argmax(axis=1) == y_test).mean()


average, averaged = np.zeros_like(network.params), network.copy()
curves = {"the last parameters": [], "their running average": []}


def remember(params):
    average[:] += 0.02 * (params - average)
    current.params[:], averaged.params[:] = params, average
    for curve, one in zip(curves.values(), (current, averaged), strict=True):
        curve.append(1 - accuracy(one))


current = network.copy()
train(X_train, y_train, after_step=remember)
for name, curve in curves.items():
    print(f"held-out accuracy with {name} {1 - curve[-1]:.3f}")

# %%
# The average lags behind at first, and is the calmer one later.

figure, panel = plt.subplots(figsize=(8, 3.4))
for (name, curve), color in zip(curves.items(), ("#e69f00", "#0072b2"), strict=True):
    panel.semilogy(curve, color=color, lw=1.5, label=name)
panel.set(xlabel="step", ylabel="held-out error", title="Averaging the parameters over the last steps")
panel.legend(frameon=False)
plt.show()
