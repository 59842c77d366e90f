"""
A model as a text file
======================

``save_json`` writes a fitted network as JSON: text that people can read, compare and keep under
version control, and that is safe to load whoever wrote it.
"""

# %%
# A small network learns handwritten digits from a stream, chunk by chunk.

import json
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import sklearn_mlp
from sklearn_mlp import MLPClassifier, ModelFormatError

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)
chunks = np.array_split(np.arange(len(y_train)), 20)


def learn(model, chunks):
    for rows in chunks:
        model.partial_fit(X_train[rows], y_train[rows], classes=np.arange(10))


model = MLPClassifier((32,), learning_rate_init=0.01, random_state=0)
learn(model, chunks[:10])

# %%
# It is saved half-way: the new file takes the place of an old one in a single step, so that a crash
# leaves one or the other. Numbers are the shortest decimals that are read back to the same bits.

path = Path(tempfile.mkdtemp()) / "digits.json"
model.save_json(path)
text = path.read_text(encoding="utf-8")
print(f"{len(text)} characters; the first lines:")
print("\n".join(text.splitlines()[:8]))

# %%
# What comes back predicts the same and, since training was under way, goes on with it as if it had
# never been stored.

again = sklearn_mlp.load_json(path)
same = np.array_equal(model.predict_proba(X_test), again.predict_proba(X_test))
print(f"same probabilities: {same}")

learn(model, chunks[10:])
learn(again, chunks[10:])
same = np.array_equal(model.predict_proba(X_test), again.predict_proba(X_test))
print(f"same after the rest of the stream: {same}; accuracy {again.score(X_test, y_test):.3f}")

# %%
# It is an ordinary JSON document: any program can look into it, without this package.

document = json.loads(text)
print(f"layers {document['layer_sizes']}, loss after each chunk:")
print(" ".join(f"{loss:.2f}" for loss in document["training"]["loss_curve"]))

# %%
# A file that is damaged or forged is refused, with the place of what is wrong.

document["layers"][1]["weights"][3].pop()
try:
    sklearn_mlp.from_json(json.dumps(document))
except ModelFormatError as error:
    print(f"refused: {error}")
