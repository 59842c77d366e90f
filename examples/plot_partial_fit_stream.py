"""
Learning from a stream
======================

``partial_fit`` makes one pass over the rows it is given and keeps the optimizer's state for the
next call, so that a network can learn from data that arrives in pieces or does not fit in memory.
"""

# %%
# The stream: 1,797 images of digits, 8 x 8 grey values from 0 to 16, in pieces of 100.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.utils import gen_batches

from sklearn_mlp import MLPClassifier

X, y = load_digits(return_X_y=True)
X = X / 16.0

# %%
# The first call must name every class, since the first piece need not hold all of them. Each piece
# is predicted before it is learnt: every row is unseen when it counts.

network = MLPClassifier(
    hidden_layer_sizes=(64,), batch_size=10, learning_rate_init=0.005, random_state=0
)
hits = np.zeros(len(X), dtype=bool)

for number, piece in enumerate(gen_batches(len(X), 100)):
    if number > 0:
        hits[piece] = network.predict(X[piece]) == y[piece]
        if number % 4 == 0:
            print(f"piece {number:2}: accuracy before learning it {hits[piece].mean():.2f}")
    network.partial_fit(X[piece], y[piece], classes=np.arange(10))

print(f"accuracy on rows not yet seen, after the first piece: {hits[100:].mean():.3f}")

# %%
# Rows can be weighted. ``partial_fit`` takes weights as they are: a piece of weight 2 counts twice
# as much as one of weight 1, which is how a stream can favour what is recent or rare.

recent = slice(len(X) - 100, len(X))
network.partial_fit(X[recent], y[recent], sample_weight=np.full(100, 2.0))
print(f"rows seen by the solver: {network.t_}")

# %%
# How the accuracy on rows not yet seen grows with the rows seen.

seen = np.arange(100, len(X), 100)
accuracy = [hits[start : start + 100].mean() for start in seen]

figure, panel = plt.subplots(figsize=(8, 3.4))
panel.step(seen, accuracy, where="post", color="#0072b2", lw=2, label="the next piece")
panel.plot(
    seen, np.cumsum(accuracy) / np.arange(1, len(seen) + 1), color="#e69f00", lw=2, label="all so far"
)
panel.set(xlabel="rows seen", ylabel="accuracy before learning", ylim=(0, 1))
panel.legend(frameon=False, loc="lower right")
panel.grid(axis="y", color="0.92")
plt.show()
