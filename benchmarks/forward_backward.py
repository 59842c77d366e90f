"""Forward and backward alone, by batch size, beside NumPy's matrix products of the same shapes.

python benchmarks/forward_backward.py [--threads 2] [--workloads adult,mnist] [--dtype float64]

Microseconds of `Network.forward` and of `Network.loss_and_gradient`, there and back. NumPy does the
products alone: one for each layer forward, and two more for each on the way back (one for the first).
A ratio is NumPy's time / ours, so 1 means that bias, activation and loss are free.
"""

import argparse
from itertools import pairwise
from statistics import median
from timeit import timeit

import numpy as np
from report import print_columns, show
from threadpoolctl import threadpool_limits
from workloads import DENSE

from sklearn_mlp import Network

BATCHES = (1, 8, 32, 128, 1024)


def products(sizes, batch, draw):
    """Functions that do the matrix products of a forward pass, and of one there and back."""
    layers = [(draw(batch, n), draw(n, m), draw(batch, m)) for n, m in pairwise(sizes)]
    outs = [[np.empty_like(array) for array in layer] for layer in layers]

    def forward():
        for (a, w, _), (_, _, out) in zip(layers, outs, strict=True):
            np.matmul(a, w, out=out)

    def both():
        forward()
        for i, ((a, w, d), (out_a, out_w, _)) in enumerate(zip(layers, outs, strict=True)):
            np.matmul(a.T, d, out=out_w)
            if i > 0:
                np.matmul(d, w.T, out=out_a)

    return forward, both


def passes(workload, sizes, batch, draw, dtype):
    """Functions that do our forward pass, and the one there and back."""
    network = Network.from_sizes(sizes, workload.activation, random_state=0, dtype=dtype)
    X, out = draw(batch, sizes[0]), np.empty((batch, sizes[-1]), dtype)
    gradient, scratch = np.empty_like(network.params), network.scratch(batch)
    loss, y = "log_loss", np.arange(batch, dtype=np.int32).reshape(-1, 1) % sizes[-1]
    if workload.regression:
        loss, y = "squared_error", draw(batch, sizes[-1])
    return (
        lambda: network.forward(X, out=out, check=False),
        lambda: network.loss_and_gradient(X, y, loss, out=gradient, scratch=scratch, check=False),
    )


def seconds_of(functions, options):
    """The median seconds of a call of each, over rounds in which they take turns."""
    counts = []
    for function in functions:
        function()
        counts.append(max(1, int(options.seconds / timeit(function, number=1))))
    rounds = [
        [timeit(f, number=n) / n for f, n in zip(functions, counts, strict=True)]
        for _ in range(options.rounds)
    ]
    return [median(column) for column in zip(*rounds, strict=True)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    listed = {"type": lambda text: text.split(",")}
    parser.add_argument("--workloads", default=list(DENSE), help="names, by commas", **listed)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.05, help="length of one run")
    options = parser.parse_args()
    rng = np.random.default_rng(0)

    def draw(*shape):
        return (2 * rng.random(shape) - 1).astype(options.dtype)

    lines = [("workload", "batch", "forward us", "NumPy", "ratio", "and back us", "NumPy", "ratio")]
    with threadpool_limits(options.threads):
        for name in options.workloads:
            w = DENSE[name]
            sizes = [w.features, *w.hidden, w.outputs]
            for batch in BATCHES:
                functions = passes(w, sizes, batch, draw, options.dtype)
                functions += products(sizes, batch, draw)
                there, back, their_there, their_back = seconds_of(functions, options)
                cells = [name, str(batch)]
                for ours, theirs in ((there, their_there), (back, their_back)):
                    cells += [f"{1e6 * ours:,.1f}", f"{1e6 * theirs:,.1f}", show(theirs / ours)]
                lines.append(cells)
    print(f"{options.dtype}, threads: {options.threads}\n")
    print_columns(lines)


if __name__ == "__main__":
    main()
