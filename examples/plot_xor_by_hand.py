"""
XOR by hand
===========

Whether two numbers differ in sign is the smallest task that a network without a hidden layer cannot
do. With ``Network`` we first write its weights by hand, then let gradient descent find some.
"""

# %%
# Four points. The target is 1 where exactly one of the two inputs is 1.

import matplotlib.pyplot as plt
import numpy as np

from sklearn_mlp import Network
from sklearn_mlp.optimizers import Adam

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float64)
y = np.array([0, 1, 1, 0])

# %%
# Two hidden units are enough: one counts the ones, the other counts those beyond the first, and the
# output takes the second off twice. ``coefs`` and ``intercepts`` are views of the parameters: writing
# into them changes the network.

by_hand = Network.from_sizes([2, 2, 1], activation="relu", dtype="float64", random_state=0)
by_hand.coefs[0] = [[1, 1], [1, 1]]
by_hand.intercepts[0] = [0, -1]
by_hand.coefs[1] = [[1], [-2]]
by_hand.intercepts[1] = [0]
print("by hand:", by_hand.forward(X).ravel())

# %%
# Gradient descent from random weights. The scores go through the logistic function inside the loss,
# so they are log-odds: above 0 means 1. Two units are enough to hold the solution but seldom find it:
# of 30 random starts, two relu units found it in 10, and eight tanh units in all.

trained = Network.from_sizes([2, 8, 1], activation="tanh", dtype="float64", random_state=0)
optimizer, losses = Adam(), []
state = optimizer.init(trained.params)
for _ in range(300):
    loss, gradient = trained.loss_and_gradient(X, y, "binary_log_loss")
    optimizer.step(trained.params, gradient, state, lr=0.05)
    losses.append(loss)
print("trained:", (trained.forward(X).ravel() > 0).astype(int), f"with a loss of {losses[-1]:.4f}")

# %%
# Both solve it, in different ways: the network of two relu units folds the plane once, the trained one
# bends it.

ticks = np.linspace(-0.5, 1.5, 200)
plane = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
scores = {
    "by hand: the score": by_hand.forward(plane) - 0.5,
    "trained: the log-odds": trained.forward(plane),
}
figure, panels = plt.subplots(1, 3, figsize=(9, 3.1))
for panel, (title, score) in zip(panels, scores.items(), strict=False):
    score = score.reshape(200, 200)
    panel.contourf(ticks, ticks, score, 20, cmap="RdBu", vmin=-abs(score).max(), vmax=abs(score).max())
    panel.contour(ticks, ticks, score, [0], colors="black", linewidths=1)
    panel.scatter(*X.T, c=y, cmap="RdBu", s=90, edgecolors="black", zorder=3)
    panel.set(title=title, xticks=[0, 1], yticks=[0, 1], xlabel="first input", aspect="equal")
panels[0].set_ylabel("second input")
panels[2].semilogy(losses, color="#0072b2")
panels[2].set(title="training", xlabel="step", ylabel="log loss")
plt.show()
