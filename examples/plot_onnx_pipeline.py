"""
A pipeline in ONNX
==================

A scaler and a network become one ONNX graph, which runs without scikit-learn and without this
package: in onnxruntime, from C++, Java, JavaScript or Python.
"""

# %%
# The data: 178 wines, 13 measurements each, from three growers, whose labels are words here.

import matplotlib.pyplot as plt
import numpy as np
import skl2onnx
from onnxruntime import InferenceSession
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mlp import MLPClassifier, register_skl2onnx

X, y = load_wine(return_X_y=True)
y = np.array(["first", "second", "third"])[y]
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

# %%
# The network computes in float32, as the graph will.

network = MLPClassifier((32,), activation="silu", dtype="float32", max_iter=500, random_state=0)
model = make_pipeline(StandardScaler(), network).fit(X_train, y_train)
print(f"held-out accuracy {model.score(X_test, y_test):.3f}")

# %%
# ``register_skl2onnx`` tells skl2onnx of the network. The one row given shows the type of the input;
# with ``zipmap`` off, probabilities come as an array and not as a dictionary for each row.

register_skl2onnx()
graph = skl2onnx.to_onnx(model, X_train[:1].astype(np.float32), options={"zipmap": False})
print("operators:", ", ".join(node.op_type for node in graph.graph.node))
print(f"bytes: {graph.ByteSize()}")

# %%
# onnxruntime takes any number of rows and answers with labels and probabilities.

session = InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
label, probabilities = session.run(None, {"X": X_test.astype(np.float32)})
difference = np.abs(probabilities - model.predict_proba(X_test)).max()
print(f"same labels: {np.array_equal(label, model.predict(X_test))}")
print(f"probabilities agree to 1e-5: {difference < 1e-5}")

# %%
# The probability of each grower for every wine held out, as the pipeline (rings) and as the graph
# (dots) give it.

figure, panel = plt.subplots(figsize=(8, 3.4))
order = np.argsort(y_test)
expected = model.predict_proba(X_test)[order]
for column, color in enumerate(("#0072b2", "#e69f00", "#009e73")):
    panel.plot(expected[:, column], "o", mfc="none", ms=9, color=color, label=model.classes_[column])
    panel.plot(probabilities[order, column], ".", color=color)
panel.set(xlabel="wine, in the order of its grower", ylabel="probability of a grower")
panel.legend(title="grower", bbox_to_anchor=(1, 1), loc="upper left", frameon=False)
plt.show()

# %%
# The network alone needs neither skl2onnx nor registration.

alone = model[-1].to_onnx()
print([output.name for output in alone.graph.output], "opset", alone.opset_import[0].version)
