"""
Learning-rate schedules
=======================

``learning_rate`` takes the name of a schedule, an object of ``sklearn_mlp.schedules``, or a function
``f(step, total_steps)``. What it returns is a factor of ``learning_rate_init`` for each step.
"""

# %%
# The data: 1,797 images of digits, 8 x 8 grey values. A quarter is for validation.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split

from sklearn_mlp import MLPClassifier
from sklearn_mlp.schedules import StepDecay, Warmup

X, y = load_digits(return_X_y=True)
X_train, X_val, y_train, y_val = train_test_split(X / 16, y, stratify=y, random_state=0)

# Every fit is to use all of max_iter epochs, and would warn that it has not converged.
warnings.simplefilter("ignore", ConvergenceWarning)

# %%
# One network by eight schedules, at a rate that gets it far soon and is too high to end with.
# ``n_iter_no_change=inf`` lets all of them come to their end: where the rate swings, the loss pauses,
# and training would stop there for want of improvement.


def linear(step, total_steps):
    """Straight down to 0; a function may return any factor >= 0."""
    return 1 - step / total_steps


schedules = {
    "constant": "constant",
    "exponential": "exponential",
    "step": StepDecay(step_size=8, gamma=0.3),
    "cosine": "cosine",
    "one_cycle": "one_cycle",
    "cosine_log": "cosine_log",
    "warm-up, cosine": Warmup(n_epochs=3, after="cosine"),
    "a function": linear,
}
network = MLPClassifier(
    hidden_layer_sizes=(64,),
    solver="sgd",
    batch_size=20,
    learning_rate_init=0.3,
    max_iter=30,
    n_iter_no_change=np.inf,
    metrics="accuracy",
    random_state=0,
)

histories = {}
for name, schedule in schedules.items():
    network.set_params(learning_rate=schedule).fit(X_train, y_train, X_val=X_val, y_val=y_val)
    histories[name] = network.history_

print("at the end:      loss   val_loss   val_accuracy")
for name, history in histories.items():
    last = [history[column][-1] for column in ("loss", "val_loss", "val_accuracy")]
    print("{:15} {:.4f}     {:.4f}         {:.4f}".format(name, *last))

# %%
# The rate at the end of each epoch, and the training loss on a logarithmic scale. Where the rate comes
# down, the loss comes to rest; a warming-up or swinging rate looks like a standstill meanwhile.

figure, panels = plt.subplots(2, len(schedules), figsize=(12, 3.8), sharex=True, sharey="row")
for (rates, losses), (name, history) in zip(panels.T, histories.items(), strict=True):
    rates.fill_between(range(30), history["learning_rate"], color="#0072b2", alpha=0.25, lw=0)
    rates.plot(history["learning_rate"], color="#0072b2")
    rates.set_title(name, fontsize="medium")
    losses.semilogy(history["loss"], color="#d55e00")
    losses.set_xlabel("epoch")
panels[0, 0].set_ylabel("rate")
panels[1, 0].set_ylabel("training loss")
plt.show()

# %%
# ``history_`` has every epoch: of the last network, the first and last five are shown.

print(network.history_)

# %%
# A schedule's parameters can be searched like any others.

network.set_params(learning_rate=StepDecay(step_size=8))
search = GridSearchCV(network, {"learning_rate__gamma": [0.3, 1.0]}, cv=2)
search.fit(X_train, y_train)
print(f"best {search.best_params_}, held-out accuracy {search.score(X_val, y_val):.3f}")
