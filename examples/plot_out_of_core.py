"""
Training on a file larger than memory
=====================================

A table is read in pieces, shuffled on disk and learnt with ``partial_fit``, so that memory holds one
piece of it at a time, however long the file is.
"""

# %%
# The table: 494,021 connections of a computer network, 41 columns, three of them text, and what each
# connection was: normal traffic or one of 22 attacks (KDD Cup 1999, the ten per cent set). It is not
# part of this project. The environment variable ``SKLEARN_MLP_DATA`` names the folder that has
# ``kddcup99_10pct.csv.gz``, with the names of the columns in its first line.

import os
import re
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_mlp import MLPClassifier

workplace = tempfile.TemporaryDirectory()
path = Path(os.environ.get("SKLEARN_MLP_DATA", "")) / "kddcup99_10pct.csv.gz"
rng = np.random.default_rng(0)

# %%
# Where there is no such file, a smaller one is made up, so that the example runs all the same.

if not path.is_file():
    print(f"there is no {path}: a made-up table takes its place")
    path = Path(workplace.name) / "made_up.csv.gz"
    table = pd.DataFrame(rng.exponential(100, (60_000, 20)).round(1)).add_prefix("number_")
    table["service"] = rng.choice(["http", "smtp", "ftp", "dns"], len(table))
    lasting = table["number_0"] > np.where(table["service"] == "http", 50, 150)
    table["label"] = np.where(lasting, "attack", "normal")
    table.to_csv(path, index=False)


def peak_memory():
    """The most that this process has held so far, in MiB; NaN where there is no /proc (not Linux)."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else np.nan


at_start = peak_memory()

# %%
# The first time through the file collects what has to be known before any row can be encoded: the
# classes, which ``partial_fit`` wants to be told, the categories of text columns, and mean and
# deviation of the numbers, whose logarithm is taken since some of them go up to 10⁹.

classes, categories, n_rows = set(), {}, 0
scaler = StandardScaler()
for piece in pd.read_csv(path, chunksize=10_000):
    classes.update(piece.pop("label"))
    numbers = piece.select_dtypes("number")
    scaler.partial_fit(np.log1p(numbers))
    for name in piece.columns.difference(numbers.columns):
        categories.setdefault(name, set()).update(piece[name])
    n_rows += len(piece)

classes = np.array(sorted(classes))
encoder = OneHotEncoder(
    categories=[sorted(values) for values in categories.values()],
    sparse_output=False,
    dtype=np.float32,
).fit(piece[list(categories)])


def encode(table):
    """The columns as numbers of about the same size, float32."""
    numbers = scaler.transform(np.log1p(table.drop(columns=list(categories))))
    return np.hstack([numbers, encoder.transform(table[list(categories)])], dtype=np.float32)


# %%
# The second time through encodes the rows and deals them out at random to files of their own. The
# order of rows matters to a network: this table has stretches of up to 193,127 rows of one class, and
# learning it as it stands leaves four times as many errors. A file of rows dealt out is a random
# sample of all of them. The first such file is kept for the end.

N_FILES = 20

for piece in pd.read_csv(path, chunksize=10_000):
    codes = np.searchsorted(classes, piece.pop("label"))
    X = encode(piece)
    dealt_to = rng.integers(N_FILES, size=len(X))
    for number in range(N_FILES):
        rows = dealt_to == number
        for kind, values in {"X": X[rows], "y": codes[rows]}.items():
            with open(f"{workplace.name}/{kind}{number}", "ab") as file:
                values.tofile(file)


def read_back(number):
    """The rows of a file and their labels."""
    X = np.fromfile(f"{workplace.name}/X{number}", np.float32).reshape(-1, n_columns)
    return X, classes[np.fromfile(f"{workplace.name}/y{number}", codes.dtype)]


n_columns = X.shape[1]
print(f"{n_rows:,} rows, {n_columns} columns once encoded, {len(classes)} classes")

# %%
# Training: each epoch takes the files in a new order.

X_test, y_test = read_back(0)  # never learnt
network = MLPClassifier(hidden_layer_sizes=(64,), dtype="float32", random_state=0)
errors = []
for _ in range(3):
    for number in rng.permutation(np.arange(1, N_FILES)):
        network.partial_fit(*read_back(number), classes=classes)
        errors.append(1 - network.score(X_test, y_test))

# %%
# The rows never seen. Seven of ten rows of this table repeat an earlier one, so that it is easier than
# it looks; what the most frequent class alone would give is printed beside.

most_frequent = pd.Series(y_test).value_counts(normalize=True).max()
print(f"held-out accuracy {network.score(X_test, y_test):.4f}, most frequent class {most_frequent:.4f}")

# %%
# The peak of memory up to here, and after loading and encoding the table as a whole, before any
# training on it.

out_of_core = peak_memory()
print(f"peak memory after the imports {at_start:.0f} MiB")
print(f"peak memory of training out of core {out_of_core:.0f} MiB")

table = pd.read_csv(path)
X = encode(table.drop(columns="label"))
print(f"peak memory of loading it all {peak_memory():.0f} MiB")

# %%
# What was learnt with each file, and what it took of memory.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), width_ratios=(3, 2))
left.semilogy(range(1, len(errors) + 1), errors, color="#0072b2")
for end in (1, 2):
    left.axvline(end * (N_FILES - 1), color="0.7", ls=":")
left.set(xlabel="files learnt; dotted: the end of an epoch", ylabel="held-out error")
bars = {"imports": at_start, "training\nout of core": out_of_core, "loading\nit all": peak_memory()}
right.bar(bars.keys(), bars.values(), color=["0.7", "#0072b2", "#d55e00"])
right.set(ylabel="MiB", title="peak memory of the process")
plt.show()

workplace.cleanup()
