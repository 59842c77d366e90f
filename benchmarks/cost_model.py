"""What an epoch costs by the shapes: constants fitted to measurements, and how well they predict.

python benchmarks/cost_model.py out.json [sweep.json] [--threads 1] [--dtype float32]

takes our timings of training that compare.py and sweep.py have kept with --json.
"""

import argparse
import json
from itertools import pairwise
from math import ceil
from pathlib import Path
from statistics import median

import numpy as np
from report import print_columns, show_seconds
from scipy.optimize import nnls
from sweep import SWEEPS
from workloads import DENSE, OURS

TERMS = {
    "multiplication": ("ps", 1e12),
    "activated value": ("ns", 1e9),
    "parameter and step": ("ns", 1e9),
    "step": ("us", 1e6),
    "epoch": ("us", 1e6),
}


def counts(workload):
    """How often each term occurs in an epoch."""
    sizes = (workload.features, *workload.hidden, workload.outputs)
    layers = list(pairwise(sizes))
    # Forward, the gradient of the weights, and the way back, which the first layer does not need.
    products = sum((2 if i == 0 else 3) * n_in * n_out for i, (n_in, n_out) in enumerate(layers))
    steps = ceil(workload.rows / workload.batch)
    n_params = sum((n_in + 1) * n_out for n_in, n_out in layers)
    return [
        workload.rows * products,
        workload.rows * sum(sizes[1:]),
        steps * n_params,
        steps,
        1,
    ]


def measured(paths, threads, dtype):
    """(name, workload, median seconds of an epoch) of all timings of ours."""
    for path in paths:
        for r in json.loads(path.read_text())["results"]:
            if (r["system"], r["job"], r["threads"], r["dtype"]) != (OURS, "fit", threads, dtype):
                continue
            if "axis" in r:
                yield f"{r['axis']} {r['value']}", SWEEPS[r["axis"]][r["value"]], median(r["seconds"])
            elif r["workload"] in DENSE:
                yield r["workload"], DENSE[r["workload"]], median(r["seconds"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    options = parser.parse_args()
    names, workloads, seconds = zip(
        *measured(options.files, options.threads, options.dtype), strict=True
    )
    seconds = np.array(seconds)
    table = np.array([counts(workload) for workload in workloads], dtype=float)
    # Relative errors are made small, so that the short epochs count as much as the long ones.
    constants, _ = nnls(table / seconds[:, None], np.ones(len(seconds)))
    for (term, (unit, factor)), value in zip(TERMS.items(), constants, strict=True):
        print(f"{value * factor:8.3g} {unit} per {term}")
    if constants[0]:
        print(f"({2e-9 / constants[0]:.0f} GFLOP/s)")
    print()
    predicted = table @ constants
    shares = table * constants / predicted[:, None]
    lines = [("", "measured", "predicted", "ratio", "GFLOP/s", *TERMS)]
    for name, m, p, share, n in zip(names, seconds, predicted, shares, table[:, 0], strict=True):
        parts = [f"{100 * part:.0f} %" for part in share]
        rate = f"{2e-9 * n / m:.0f}"
        lines.append((name, show_seconds(m), show_seconds(p), f"{p / m:.2f}", rate, *parts))
    print_columns(lines)


if __name__ == "__main__":
    main()
