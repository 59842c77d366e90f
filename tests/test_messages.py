"""Error messages that no other test reads: what was given, what is allowed, what to do."""

import re

import numpy as np
import pytest
from scipy.sparse import coo_array

from sklearn_mlp import MLPClassifier, MLPRegressor, Network
from sklearn_mlp._activations import activate, backpropagate
from sklearn_mlp.losses import Loss

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.linspace(-1, 1, 24).reshape(12, 2)
Y = np.arange(12) % 3


def classifier(**parameters):
    return MLPClassifier((3,), max_iter=1, random_state=0, **parameters)


def regressor(**parameters):
    return MLPRegressor(hidden_layer_sizes=(3,), max_iter=1, random_state=0, **parameters)


def predictor():
    return regressor().fit(X, X[:, 0]).make_predictor(max_batch=2)


def network():
    return Network.from_sizes([2, 3, 3], random_state=0, dtype="float64")


def warm_started():
    return classifier(warm_start=True).fit(X, Y)


def gradient(X=np.ones((5, 2)), y=np.ones((5, 3)), **parameters):  # noqa: B008
    return network().loss_and_gradient(X, y, check=False, **parameters)


# Of the low level, which hands arrays to the kernels as they are with check=False.
UNCHECKED = [
    (lambda: network().forward([[0.0, 0.0]], check=False), "X must be an ndarray; got list. Use numpy"),
    (
        lambda: network().forward(np.ones(2), check=False),
        r"X must have two dimensions; got shape \(2,\)",
    ),
    (lambda: network().forward(np.ones((5, 3)), check=False), "X has 3 features; the network takes 2"),
    (
        lambda: network().forward(np.ones((2, 5)).T, check=False),
        r"X must be C-contiguous and float64; got float64, strides \(8, 40\). Convert",
    ),
    (
        lambda: network().forward(X, out=np.ones((3, 12)).T),
        r"out must be C-contiguous; got strides \(8, 96\)",
    ),
    (lambda: gradient(y=[[1.0] * 3] * 5), "y must be an ndarray; got list"),
    (lambda: gradient(y=np.ones(5)), r"y must have two dimensions; got shape \(5,\). y.reshape"),
    (lambda: gradient(y=np.ones((4, 3))), r"y has shape \(4, 3\) and X 5 rows; give as many"),
    (lambda: gradient(y=np.ones((5, 1))), "y has 1 columns; loss 'squared_error' of 3 outputs takes 3"),
    (lambda: gradient(y=np.ones((5, 3), "i4")), "'squared_error' takes float64 as y; convert it"),
    (
        lambda: gradient(y=np.ones((5, 1), "i8"), loss="log_loss"),
        "y must be C-contiguous and int32; got int64, .* Convert it",
    ),
    (
        lambda: gradient(y=np.ones((5, 2)), loss=Loss("squared_error", 2)),
        "has 2 outputs and the network 3; make it with n_outputs=3",
    ),
    (lambda: gradient(sample_weight=np.ones(4)), r"sample_weight has shape \(4,\) and X 5 rows"),
    (
        lambda: gradient(sample_weight=np.ones((5, 1))),
        r"sample_weight must have one dimension; got shape \(5, 1\)",
    ),
    (lambda: gradient(np.ones((0, 2)), np.ones((0, 3))), "X has no rows; give at least one"),
    (lambda: gradient(out=[0.0]), "out must be an ndarray; got list"),
    (lambda: gradient(out=np.ones(3)), r"out has shape \(3,\); the network has 21 parameters"),
    (lambda: gradient(out=np.ones(42)[::2]), "out must be C-contiguous and float64; .* Convert it"),
    (
        lambda: gradient(out=np.broadcast_to(0.0, (21,))),
        "out is written to and read-only; pass a copy",
    ),
    (lambda: gradient(scratch=7), r"scratch must be what scratch\(\) returns; got int"),
    (
        lambda: gradient(scratch=Network.from_sizes([2, 4, 3]).scratch(5)),
        r"made for another network or dtype; use this one's scratch\(\)",
    ),
    (lambda: network().scratch(0), "max_batch must be an integer > 0; got 0"),
    (
        lambda: network().set_activations([]),
        r"one for each of 1 hidden layers, and may have one for the output; got \[\]",
    ),
    (
        lambda: network().set_activations([("relu", 0)] * 3),
        r"one for each of 1 hidden layers, .* got \[\('relu', 0.0\), .*\]",
    ),
    (
        lambda: network().set_activations([("softmax", 0)]),
        r"activations must be of \['elu', .*\]; got 'softmax'",
    ),
    (
        lambda: network().layers_with_dropout([0.5, 0.5]),
        r"a rate in \[0, 1\) for each hidden layer of \[2, 3, 3\]; got \[0.5, 0.5\]",
    ),
]

CASES = [
    *UNCHECKED,
    (
        lambda: activate("tanh", np.ones((2, 3)), np.ones(4)),
        "4 intercepts for 3 units; give one for each",
    ),
    (
        lambda: backpropagate("gelu", np.ones((2, 3)), np.ones((2, 3))),
        "derivative of gelu .*'tanh'.*slopes",
    ),
    (
        lambda: backpropagate("tanh", np.ones((2, 3)), np.ones((1, 3))),
        r"\(2, 3\).*\(1, 3\); give them the same",
    ),
    (lambda: predictor().predict([[0.0, 0.0]]), r"got list. Use numpy.asarray"),
    (
        lambda: predictor().predict(X[:2].astype("f")),
        r"float64; got float32. Convert it with X.astype\('float64'\)",
    ),
    (lambda: predictor().predict(X[:0]), r"no rows; give from 1 to max_batch=2"),
    (lambda: predictor().predict(X[:3]), r"3 rows.*max_batch=2. Make one with a larger"),
    (
        lambda: predictor().predict(X[:4:2]),
        r"C order; got strides \(32, 8\) for shape \(2, 2\). X.copy\(\) is",
    ),
    (
        lambda: predictor().predict_into(X[:2].copy(), np.empty(4)[::2]),
        r"C order; got writeable=True, strides \(16,\)",
    ),
    (
        lambda: regressor(early_stopping=True).partial_fit(X, Y),
        "early_stopping=True; set it to False, or use fit",
    ),
    (lambda: regressor().fit(X, Y, y_val=Y), "without X_val; give it, or leave"),
    (lambda: regressor().fit(X, Y, X_val=X), "without y_val, its targets; give both"),
    (
        lambda: regressor().fit(X, Y).evaluate(X, X),
        "2 columns and the model 1 outputs; give one for each",
    ),
    (
        lambda: regressor(early_stopping=True).fit(X[:3], Y[:3]),
        "too small. .* It has 1 rows and needs 2",
    ),
    (lambda: regressor().coefs_, "before it is fitted; call fit"),
    (lambda: regressor(dtype="float32").fit(X, Y * 1e300), "too large for float32; scale them"),
    (lambda: regressor(loss="poisson").fit(X, Y - 1.0), "negative, down to -1.0. Use another loss"),
    (lambda: warm_started().fit(X, Y % 2), r"Previously got .*\[0 1\]; fit afresh"),
    (
        lambda: classifier().fit(X, Y, X_val=X, y_val=Y + 1),
        r"classes \[3\].*\[0 1 2\]. Leave these rows out",
    ),
    (lambda: classifier(class_weight={7: 1.0}).fit(X, Y), r"\[7\]; there are \[0, 1, 2\]. Leave"),
    (
        lambda: network().loss_and_gradient(X, Y + 1, "log_loss"),
        r"0 to 2 as y; got \[1, 2, 3\]. Number the classes",
    ),
    (lambda: network().coefs.__setitem__(slice(None), []), "0 arrays for 2 layers; give one for each"),
    (
        lambda: classifier(metrics=["accuracy", "accuracy"]).fit(X, Y),
        "'accuracy' comes more than once. Leave it out",
    ),
    (lambda: MLPRegressor.from_json(3), "str or bytes; got int. For a file use load_json"),
    (
        lambda: regressor(solver="sgd", learning_rate_init=1e8, batch_size=1).fit(X, Y * 1e150),
        "Scale the data .*learning_rate_init",
    ),
    (
        lambda: classifier().fit(X, Y / 2 + 0.0).to_c(),
        "Unknown label type|must be integers .* Fit with such labels",
    ),
    (lambda: network().forward(coo_array(X), check=False), r"csr format; got coo. X.tocsr\(\) is"),
]


@pytest.mark.parametrize(("act", "message"), CASES, ids=[message for _, message in CASES])
def test_message(act, message):
    with pytest.raises((ValueError, TypeError, AttributeError)) as caught:
        act()
    text = " ".join(str(caught.value).split())
    assert re.search(message, text), text
