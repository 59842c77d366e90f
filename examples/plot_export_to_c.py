"""
A network as C
==============

A network that was trained here becomes one file of C, for a program that is to predict without
Python. Where there is a compiler, this example builds the file and compares it with the model.
"""

# %%
# The data: pictures of digits of 8 x 8 pixels. The pixels are scaled to [0, 1] beforehand, which
# whoever calls the C function then has to do as well.

import ctypes
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_mlp import MLPClassifier

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
model = MLPClassifier((24,), activation="elu", max_iter=300, learning_rate_init=0.01, random_state=0)
model.fit(X_train, y_train)
print(f"held-out accuracy {model.score(X_test, y_test):.3f}")

# %%
# The file says how it is used. The rest of it is the parameters and a page of functions.

source = model.to_c(name="digit")
print(source[: source.index("#include")])
print(f"{len(source)} characters for {sum(w.size for w in model.coefs_)} weights")

# %%
# As a shared library it can be called from here.


def compiled(source, folder):
    """The source as a library, or None where there is no compiler."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return None
    path = Path(folder) / "digit.c"
    path.write_text(source)
    library = path.with_suffix(".so")
    flags = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, path, "-o", library, "-lm"], check=True)
    return ctypes.CDLL(str(library))


def predict(library, row, out):
    """Call `digit_predict` for a row; the place of its class."""
    x = row.ctypes.data_as(ctypes.c_void_p)
    library.digit_predict(x, out.ctypes.data_as(ctypes.c_void_p))
    return library.digit_predict_class(x)


with tempfile.TemporaryDirectory() as folder:
    library = compiled(source, folder)
    if library is None:
        print("there is no C compiler here; what would follow is a comparison")
    else:
        proba = np.empty((len(X_test), 10), np.float32)
        places = [predict(library, row, out) for row, out in zip(X_test, proba, strict=True)]
        same = np.array_equal(model.classes_[places], model.predict(X_test))
        difference = np.abs(proba - model.predict_proba(X_test)).max()
        print(f"same labels in C: {same}")
        print(f"probabilities agree to 1e-5: {difference < 1e-5}")

# %%
# What goes into the C function, and what the model says it is.

figure, panels = plt.subplots(1, 8, figsize=(9, 1.6))
for panel, image, label in zip(panels, X_test, model.predict(X_test), strict=False):
    panel.imshow(image.reshape(8, 8), cmap="gray_r")
    panel.set_title(label)
    panel.axis("off")
plt.show()
