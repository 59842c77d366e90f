"""The recipe of the tabular estimators in PyTorch: what their time and accuracy is held against.

Every ingredient is a field of `Recipe`, so that each can be left out in turn. The network takes what
`tabular_preprocessor` has made of a table, as float32; nothing of it is ours. `benchmarks/tabular.py`
calls it.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import nn

ACTIVATIONS = {"selu": nn.SELU, "mish": nn.Mish, "gelu": nn.GELU, "silu": nn.SiLU, "relu": nn.ReLU}


@dataclass
class Recipe:
    """The settings of a fit; the defaults are those of RealMLP (Holzmüller et al. 2024).

    Parameters
    ----------
    hidden : tuple of int
    activation : str
        One of `ACTIVATIONS`.
    rate : float
        Of the weights between layers of 256 units.
    beta_2 : float
    schedule : str
        "cosine_log", "cosine" or "constant".
    label_smoothing : float
        Of classes.
    dropout : float
    weight_decay : float
        Decoupled, of weights; per unit of `rate`.
    decay_dropout : bool
        Whether dropout and weight decay end in a cosine down to zero ("flat_cos").
    scale : bool
        Whether each input feature has a learnable factor.
    scale_rate, intercept_rate : float
        Factors of `rate` for these parameters.
    layer_rates : bool
        Whether the rate of a layer's weights goes with 1 / sqrt(n_in), as under the neural-tangent
        parametrisation.
    clip : bool
        Whether predictions are clipped to the range of the training targets.
    keep_best : bool
        Whether to end with the parameters of the last of the best epochs.
    n_epochs, batch_size : int
    """

    hidden: tuple = (256, 256, 256)
    activation: str = "selu"
    rate: float = 0.0025
    beta_2: float = 0.95
    schedule: str = "cosine_log"
    label_smoothing: float = 0.1
    dropout: float = 0.15
    weight_decay: float = 0.32
    decay_dropout: bool = False
    scale: bool = True
    scale_rate: float = 6.0
    intercept_rate: float = 0.1
    layer_rates: bool = True
    clip: bool = True
    keep_best: bool = True
    n_epochs: int = 256
    batch_size: int = 256


class Network(nn.Module):
    """Dense layers behind a factor for each input feature."""

    def __init__(self, n_in, n_out, recipe):
        super().__init__()
        sizes = [n_in, *recipe.hidden, n_out]
        self.scale = nn.Parameter(torch.ones(n_in)) if recipe.scale else None
        self.linears = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.activation = ACTIVATIONS[recipe.activation]()
        self.dropout = nn.Dropout(recipe.dropout)
        for linear in self.linears:
            nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
            nn.init.zeros_(linear.bias)

    def forward(self, x):
        if self.scale is not None:
            x = x * self.scale
        for linear in self.linears[:-1]:
            x = self.dropout(self.activation(linear(x)))
        return self.linears[-1](x)

    def groups(self, recipe):
        """Parameter groups with the factor of the rate of each."""
        # Under the neural-tangent parametrisation these rates are not divided by sqrt(256), as those of
        # the weights between hidden layers are.
        base = 16 if recipe.layer_rates else 1
        groups = []
        for linear in self.linears:
            rate = (256 / linear.in_features) ** 0.5 if recipe.layer_rates else 1.0
            # RealMLP decays by rate * decay of the unscaled parameters: the same share in each layer.
            decay = recipe.weight_decay / rate
            groups.append({"params": [linear.weight], "factor": rate, "weight_decay": decay})
            bias = recipe.intercept_rate * base
            groups.append({"params": [linear.bias], "factor": bias, "weight_decay": 0.0})
        if self.scale is not None:
            factor = recipe.scale_rate * base
            groups.append({"params": [self.scale], "factor": factor, "weight_decay": 0.0})
        return groups


def schedule_factor(name, t):
    """The factor of the rate when the fraction t of training is done."""
    if name == "cosine_log":
        return (1 - math.cos(2 * math.pi * math.log2(1 + 15 * t))) / 2
    if name == "cosine":
        return (1 + math.cos(math.pi * t)) / 2
    return 1.0


def flat_cosine(t):
    """1 in the first half of training, then half a cosine down to 0."""
    return 1.0 if t < 0.5 else (1 + math.cos(math.pi * (2 * t - 1))) / 2


class Fit:
    """A trained network: `fit` with two sets of rows, then `scores` of others.

    Targets are class numbers (int64, with `n_classes`) or standardised numbers (float32, 2-D).
    """

    def __init__(self, recipe, n_classes=None):
        self.recipe, self.n_classes = recipe, n_classes

    def fit(self, X, y, X_val, y_val, seed):
        recipe = self.recipe
        torch.manual_seed(seed)
        X, y, X_val, y_val = map(torch.from_numpy, (X, y, X_val, y_val))
        self.range = (y.min(), y.max())
        self.network = Network(X.shape[1], self.n_classes or y.shape[1], recipe)
        loss = (
            nn.MSELoss()
            if self.n_classes is None
            else nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
        )
        optimizer = torch.optim.AdamW(
            self.network.groups(recipe), lr=recipe.rate, betas=(0.9, recipe.beta_2)
        )
        decays = [group["weight_decay"] for group in optimizer.param_groups]
        n_rows = len(X)
        n_batches = -(-n_rows // recipe.batch_size)
        self.best, kept = math.inf, None
        for epoch in range(recipe.n_epochs):
            self.network.train()
            order = torch.randperm(n_rows)
            for i, rows in enumerate(order.split(recipe.batch_size)):
                t = (epoch + i / n_batches) / recipe.n_epochs
                self._set_rates(optimizer, decays, t)
                optimizer.zero_grad(set_to_none=True)
                loss(self.network(X[rows]), y[rows]).backward()
                optimizer.step()
            error = self.error(X_val, y_val)
            if error <= self.best:
                self.best, self.best_epoch = error, epoch
                kept = {name: value.clone() for name, value in self.network.state_dict().items()}
        if recipe.keep_best and kept is not None:
            self.network.load_state_dict(kept)
        return self

    def _set_rates(self, optimizer, decays, t):
        recipe = self.recipe
        rate = recipe.rate * schedule_factor(recipe.schedule, t)
        flat = flat_cosine(t) if recipe.decay_dropout else 1.0
        for group, decay in zip(optimizer.param_groups, decays, strict=True):
            group["lr"] = rate * group["factor"]
            group["weight_decay"] = decay * flat
        self.network.dropout.p = recipe.dropout * flat

    @torch.no_grad()
    def _raw(self, X):
        self.network.eval()
        raw = torch.cat([self.network(part) for part in X.split(4096)])
        if self.n_classes is None and self.recipe.clip:
            raw = raw.clamp(*self.range)
        return raw

    def error(self, X, y):
        """The share of wrong classes, or the mean squared error."""
        raw = self._raw(X)
        if self.n_classes is None:
            return float(((raw - y) ** 2).mean())
        return float((raw.argmax(1) != y).double().mean())

    def scores(self, X):
        """Raw scores of rows."""
        return self._raw(torch.from_numpy(np.ascontiguousarray(X, np.float32))).numpy()
