"""Look for files that crash the reader of models, or that it takes for models and cannot write again.

    pip install atheris
    python tests/fuzz_json.py --seconds 60

Guided by the coverage of the package's Python code and starting from the golden files, libFuzzer makes
inputs by changing bytes and, with a mutator of ours, by changing values of the JSON document. Each must
be a model or raise `ModelFormatError`. A model must predict, train or refuse to, and come back from its
own text. Anything else ends the run with an exit code that is not 0, and the input is kept in the
folder that is printed.

Not collected by pytest; atheris has no wheels for Windows.
"""

import argparse
import contextlib
import copy
import json
import random
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import atheris
import numpy as np
import pandas as pd
import sklearn.base

with atheris.instrument_imports(include=["sklearn_mlp"]):
    from sklearn_mlp import ModelFormatError, from_json

GOLDEN = Path(__file__).parent / "golden"
ODD = [None, True, 0, -1, 2**31, 2**64, 0.5, -0.0, 1e308, "", "x", "nan", [], {}, [[]], [0], ["a"]]
ODD += [
    {"tuple": []},
    {"float": "inf"},
    {"dict": [[1, 2]]},
    {"schedule": "StepDecay", "parameters": {}},
]
FILES = sorted([*GOLDEN.glob("*.json"), *GOLDEN.glob("tabular/*.json")])
pool = [json.loads(path.read_text(encoding="utf-8")) for path in FILES]


def containers(value):
    """All arrays and objects within a value that hold something."""
    if isinstance(value, dict | list) and value:
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from containers(item)


def mutate(data, max_size, seed):
    """Half of the time change a value of the document, otherwise bytes."""
    rng = random.Random(seed)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if rng.random() < 0.5 or not isinstance(document, dict | list) or not document:
        return atheris.Mutate(data, len(data))
    for _ in range(rng.randint(1, 3)):
        change(document, rng)
    changed = json.dumps(document).encode()
    return changed if len(changed) <= max_size else data


def change(document, rng):
    target = rng.choice(list(containers(document)) or [document])
    if not target:
        return
    place = rng.choice(list(target) if isinstance(target, dict) else range(len(target)))
    kind = rng.choice(["put", "take", "delete", "double"])
    if kind == "put":
        target[place] = copy.deepcopy(rng.choice(ODD))
    elif kind == "take":  # a part of another model
        other = rng.choice(list(containers(rng.choice(pool))))
        other = list(other.values()) if isinstance(other, dict) else other
        target[place] = copy.deepcopy(rng.choice(other))
    elif kind == "double" and isinstance(target, list):
        target.append(copy.deepcopy(target[place]))
    else:
        target.pop(place)


def test_one_input(data):
    try:
        model = from_json(data)
    except ModelFormatError:
        return
    text = model.to_json()
    assert from_json(text).to_json() == text, "it does not come back from its own text"
    rows = np.linspace(-1, 1, 4 * model.n_features_in_).reshape(4, -1)
    if hasattr(model, "members_"):
        with contextlib.suppress(TypeError, ValueError):  # text where numbers are wanted
            model.predict(pd.DataFrame(rows, columns=vars(model).get("feature_names_in_")))
        return
    model.predict(rows)
    if model.solver == "lbfgs" or max(model._network.sizes) > 1000:
        return
    targets = np.zeros((4, model.n_outputs_))
    if sklearn.base.is_classifier(model):
        targets = model.classes_[[0] * 4] if not model._multilabel() else targets.astype(int)
    try:
        model.partial_fit(rows, targets)
    except (TypeError, ValueError):  # parameters that only a training looks at, or a divergence
        return


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0, help="of libFuzzer; 0: another one each time")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fuzz_json_"))
    print(f"inputs that fail, and those that reached new code, are kept in {folder}", flush=True)
    for path in FILES:
        shutil.copy(path, folder)
    warnings.simplefilter("ignore")
    options = [f"-max_total_time={arguments.seconds}", f"-seed={arguments.seed}", "-timeout=20"]
    options += ["-max_len=20000", "-rss_limit_mb=2048", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], *options, str(folder)], test_one_input, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
