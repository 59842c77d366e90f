"""
Several classes
===============

Ten classes take ten outputs, whose softmax is the probability of each. Which digits are confused, and
how sure was the network when it was wrong?
"""

# %%
# The data: 1,797 images of digits, 8 x 8 grey values from 0 to 16. A third is held out.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split

from sklearn_mlp import MLPClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, test_size=1 / 3, stratify=y, random_state=0
)

network = MLPClassifier(
    hidden_layer_sizes=(64,), learning_rate_init=0.01, early_stopping=True, random_state=0
)
network.fit(X_train, y_train)
print(f"held-out accuracy {network.score(X_test, y_test):.3f}")
print(network.evaluate(X_test, y_test, metrics=["top_3_accuracy", "log_loss"]))

# %%
# Rows of the matrix are the true digits, columns what was predicted.

figure, panel = plt.subplots(figsize=(5, 4.6))
ConfusionMatrixDisplay.from_estimator(network, X_test, y_test, cmap="Blues", colorbar=False, ax=panel)
panel.set_title("Digits, and what they were taken for")

# %%
# The mistakes that the network was surest of: the image, and the probability of every digit.

proba = network.predict_proba(X_test)
wrong = np.flatnonzero(proba.argmax(axis=1) != y_test)
worst = wrong[np.argsort(-proba[wrong].max(axis=1))][:4]

figure, panels = plt.subplots(2, 4, figsize=(9, 3.6), height_ratios=(3, 2))
for (image, bars), row in zip(panels.T, worst, strict=True):
    image.imshow(X_test[row].reshape(8, 8), cmap="gray_r")
    image.set_title(f"a {y_test[row]}, taken for {proba[row].argmax()}")
    image.axis("off")
    colors = np.where(np.arange(10) == y_test[row], "#009e73", "#0072b2")
    bars.bar(range(10), proba[row], color=colors)
    bars.set(xticks=range(10), ylim=(0, 1), xlabel="digit")
panels[1, 0].set_ylabel("probability")
plt.show()
