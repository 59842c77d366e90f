"""
Losses and activations, drawn
=============================

The functions that a network is built of, as the package computes them: the activations with their
derivatives, and the losses of a prediction that is wrong by so much.
"""

# %%
# A network of one unit, whose weight is 1 and whose intercept is 0, computes its output activation.
# With the absolute error and targets below all outputs, the gradient of a row's loss by the intercept
# is the derivative of the activation.

import matplotlib.pyplot as plt
import numpy as np

from sklearn_mlp import Network
from sklearn_mlp.losses import Loss

FORMULAS = {
    "identity": "$x$",
    "logistic": r"$1\,/\,(1 + e^{-x})$",
    "tanh": r"$\tanh\,x$",
    "relu": r"$\max(0, x)$",
    "leaky_relu": r"$x$ or $s\,x$, here $s = 0.1$",
    "elu": "$x$ or $e^x - 1$",
    "selu": r"$1.05\,x$ or $1.76\,(e^x - 1)$",
    "softplus": r"$\log(1 + e^x)$",
    "gelu": r"$x\;\Phi(x)$",
    "silu": r"$x\,/\,(1 + e^{-x})$",
    "mish": r"$x\,\tanh(\log(1 + e^x))$",
}
x = np.linspace(-4, 4, 401)


def activation_and_derivative(activation):
    network = Network.from_sizes([1, 1], output_activation=activation, dtype="float64")
    network.params[:] = 1, 0
    far_below = np.array([-10.0])
    slopes = [
        network.loss_and_gradient(row, far_below, "absolute_error")[1][1] for row in x[:, None, None]
    ]
    return network.forward(x[:, None]).ravel(), np.array(slopes)


value, slope = activation_and_derivative("relu")
print(f"relu, at 1: {np.interp(1, x, value):g} with slope {np.interp(1, x, slope):g}")

figure, panels = plt.subplots(3, 4, figsize=(9, 7), sharex=True, sharey=True)
for panel, (name, formula) in zip(panels.flat, FORMULAS.items(), strict=False):
    value, slope = activation_and_derivative((name, 0.1) if name == "leaky_relu" else name)
    panel.axhline(0, color="0.85", lw=0.8)
    panel.axvline(0, color="0.85", lw=0.8)
    panel.plot(x, slope, color="#e69f00", lw=1.5, label="derivative")
    panel.plot(x, value, color="#0072b2", lw=2, label="activation")
    panel.set_title(f"{name}\n{formula}", fontsize="medium")
    panel.set(ylim=(-2, 4), xticks=[-4, 0, 4])
handles, labels = panels[0, 0].get_legend_handles_labels()
panels[2, 3].legend(handles[::-1], labels[::-1], frameon=False, loc="center")
panels[2, 3].set_axis_off()

# %%
# The losses of a regression, by how much the prediction is above the target. Those of the
# classifiers and the Poisson loss, by the raw score.


def values(loss, scores, target):
    """The loss of each score."""
    target = np.array([[target]], dtype=np.int32 if loss.takes_codes else np.float64)
    return [loss.total(score, target) for score in scores[:, None, None]]


REGRESSION = {
    "squared_error": r"squared_error: $r^2 / 2$",
    "absolute_error": r"absolute_error: $|r|$",
    "huber": r"huber: $r^2 / 2$, from $\delta = 1$ on linear",
    "quantile": r"quantile, here $q = 0.9$",
}
COLORS = "#0072b2", "#e69f00", "#009e73", "#d55e00"
r = np.linspace(-3, 3, 301)

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9, 3.6))
for (name, label), color in zip(REGRESSION.items(), COLORS, strict=True):
    loss = Loss(name, 1, 0.9 if name == "quantile" else None)
    left.plot(r, values(loss, r, 0.0), color=color, lw=1.8, label=label)
left.set(title="regression", xlabel="prediction - target", ylabel="loss", ylim=(0, 6))
left.legend(frameon=False, fontsize="x-small", loc="upper center")

for smoothing, color in zip((0, 0.1, 0.3), COLORS, strict=False):
    loss = Loss("binary_log_loss", 1, smoothing)
    middle.plot(x, values(loss, x, 1), color=color, lw=1.8, label=f"smoothing {smoothing}")
middle.set(title="log loss, target 1", xlabel="raw score: the log-odds")
middle.set_ylim(0, None)
middle.legend(frameon=False, fontsize="x-small")

for target, color in zip((0, 1, 3), COLORS, strict=False):
    values_of_target = values(Loss("poisson", 1), x[x < 2.5], float(target))
    right.plot(x[x < 2.5], values_of_target, color=color, lw=1.8, label=f"target {target}")
right.set(title="poisson", xlabel="raw score: the log of the mean", ylim=(0, 6))
right.legend(frameon=False, fontsize="x-small")
plt.show()
