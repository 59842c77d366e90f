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

import matplotlib.pyplot as plt
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
print(f"layers {document['layer_sizes']}")
weights = np.array(document["layers"][0]["weights"])

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), width_ratios=(2, 3))
left.plot(range(1, 11), document["training"]["loss_curve"], "o-", color="#0072b2")
left.set(xlabel="chunk", ylabel="loss", title="loss_curve in the file")
most = abs(weights).max()
tiles = weights.T.reshape(4, 8, 8, 8).transpose(0, 2, 1, 3).reshape(32, 64)
right.imshow(tiles, cmap="RdBu", vmin=-most, vmax=most)
right.set(title="first layer: what each of 32 units looks for", xticks=[], yticks=[])
right.hlines(np.arange(7.5, 31, 8), -0.5, 63.5, color="white")
right.vlines(np.arange(7.5, 63, 8), -0.5, 31.5, color="white")
plt.show()

# %%
# A file that is damaged or forged is refused, with the place of what is wrong.

document["layers"][1]["weights"][3].pop()
try:
    sklearn_mlp.from_json(json.dumps(document))
except ModelFormatError as error:
    print(f"refused: {error}")
