"""PiecewiseLinearEncoder's kernel beside the same encoding in NumPy.

python benchmarks/encoding.py [--rows 100000] [--features 10] [--bins 8,48]

NumPy encodes a column at a time: the difference to the lower edges divided by the widths, clipped into
[0, 1], into the same array. Medians of rounds that take turns; a ratio is NumPy's time / ours.
"""

import argparse
from statistics import median
from timeit import timeit

import numpy as np
from report import print_columns, show

from sklearn_mlp.preprocessing import PiecewiseLinearEncoder


def encode_with_numpy(X, bin_edges, out):
    first = 0
    for column, edges in zip(X.T, bin_edges, strict=True):
        part = out[:, first : first + len(edges) - 1]
        np.subtract(column[:, np.newaxis], edges[:-1], out=part)
        part /= np.diff(edges)
        np.clip(part, 0, 1, out=part)
        first += len(edges) - 1
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=10)
    parser.add_argument("--bins", default=[8, 48], type=lambda text: [int(n) for n in text.split(",")])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    lines = [("dtype", "bins", "ours ms", "NumPy ms", "ratio")]
    for dtype in (np.float32, np.float64):
        X = np.random.default_rng(0).normal(size=(options.rows, options.features)).astype(dtype)
        for n_bins in options.bins:
            encoder = PiecewiseLinearEncoder(n_bins).fit(X)
            edges = [e.astype(dtype) for e in encoder.bin_edges_]
            shape = options.rows, encoder.n_bins_.sum()

            def ours(encoder=encoder, X=X):
                return encoder.transform(X)

            def theirs(edges=edges, X=X, shape=shape):
                return encode_with_numpy(X, edges, np.empty(shape, X.dtype))

            np.testing.assert_allclose(ours(), theirs(), atol=1e-4)
            rounds = [(timeit(ours, number=1), timeit(theirs, number=1)) for _ in range(options.rounds)]
            here, there = (median(column) for column in zip(*rounds, strict=True))
            ratio = show(median(b / a for a, b in rounds))
            cells = [np.dtype(dtype).name, str(n_bins), f"{1e3 * here:.1f}", f"{1e3 * there:.1f}"]
            lines.append((*cells, ratio))
    print(f"{options.rows:,} rows, {options.features} features\n")
    print_columns(lines)


if __name__ == "__main__":
    main()
