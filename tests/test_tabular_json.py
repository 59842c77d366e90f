"""Tabular estimators as JSON: what comes back, what is refused, golden files, hostile ones."""

import copy
import json
import math
import re
import runpy
from importlib.resources import files
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from referencing import Registry, Resource
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler, TargetEncoder

from sklearn_mlp import (
    MLPClassifier,
    ModelFormatError,
    TabularMLPClassifier,
    TabularMLPRegressor,
    _serialize,
    _tabular_json,
    from_json,
    load_json,
    preprocessing,
)
from sklearn_mlp._columns import Converted
from sklearn_mlp.preprocessing import CategoryEncoder, RobustSmoothScaler, tabular_preprocessor

FOLDER = Path(__file__).parent / "golden" / "tabular"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
GOLDEN = runpy.run_path(str(FOLDER / "regenerate.py"))
CASES = GOLDEN["CASES"]


def schema(name):
    return json.loads((files("sklearn_mlp") / name).read_text(encoding="utf-8"))


SCHEMA = schema("tabular.schema.json")
REGISTRY = Registry().with_resource(
    "model.schema.json", Resource.from_contents(schema("model.schema.json"))
)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA, registry=REGISTRY)

F, L, U, R, M = (
    "v1-classifier-frame",
    "v1-classifier-labels",
    "v1-classifier-unprepared",
    "v1-regressor-frame",
    "v1-regressor-outputs",
)


def golden(name):
    return (FOLDER / f"{name}.json").read_text(encoding="utf-8")


def parsed(name):
    return json.loads(golden(name))


@pytest.fixture(scope="module")
def models():
    return {name: GOLDEN["make"](name) for name in CASES}


def rows_of(name):
    """Rows that training has seen, and others: gaps, levels and dates that are new."""
    X = CASES[name][1]
    if not hasattr(X, "columns"):
        return np.concatenate([X, -3 * X, 100 * X])
    other = X.sample(frac=1, random_state=0).reset_index(drop=True)
    other.loc[:5, ["colour", "place"]] = "unknown"
    other.loc[3:9, "place"], other.loc[6:9, "number"] = None, 1e9
    return pd.concat([X, other.assign(day=other["day"] + pd.Timedelta("400D"))], ignore_index=True)


# ---- there and back ----


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", CASES)
def test_predictions_are_the_same_to_the_bit(name, models):
    model, rows = models[name], rows_of(name)
    again = from_json(model.to_json())
    assert type(again) is type(model)
    for method in ("predict", "predict_proba", "predict_log_proba"):
        if hasattr(model, method):
            found, expected = getattr(again, method)(rows), getattr(model, method)(rows)
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", CASES)
def test_what_was_read_is_written_as_it_was(name, models):
    text = models[name].to_json()
    assert from_json(text).to_json() == text
    document = json.loads(text)
    VALIDATOR.validate(document)
    assert list(document)[:4] == ["format_version", "library_version", "estimator", "parameters"]


@pytest.mark.parametrize("name", CASES)
def test_fitted_attributes_come_back(name, models):
    model = models[name]
    again = from_json(model.to_json())
    assert vars(again).keys() == vars(model).keys()
    for attribute in ("target_mean_", "target_scale_", "target_range_", "classes_", "n_features_in_"):
        expected, found = getattr(model, attribute, None), getattr(again, attribute, None)
        assert type(found) is type(expected)
        np.testing.assert_array_equal(found, expected)
        assert getattr(found, "dtype", None) == getattr(expected, "dtype", None)
    assert list(vars(again).get("feature_names_in_", [])) == list(
        vars(model).get("feature_names_in_", [])
    )
    assert again.n_iter_ == model.n_iter_
    assert again.history_["loss"] == model.history_["loss"]
    assert again.get_params().keys() == model.get_params().keys()


@pytest.mark.parametrize("name", [name for name in CASES if name != U])
def test_the_preprocessor_is_one_of_scikit_learn(name, models):
    expected, found = models[name].preprocessor_, from_json(models[name].to_json()).preprocessor_
    assert vars(found).keys() == vars(expected).keys()
    assert found.output_indices_ == {
        part: place for part, place in expected.output_indices_.items() if part in found.output_indices_
    }
    assert found.get_feature_names_out().tolist() == expected.get_feature_names_out().tolist()
    kept = [name for name, _, columns in expected.transformers_ if len(columns)]
    assert list(found.named_transformers_) == kept


def test_a_clone_of_what_was_read_is_fitted_to_the_same(models):
    again = clone(from_json(models[F].to_json())).fit(*CASES[F][1:])
    np.testing.assert_array_equal(
        again.predict_proba(CASES[F][1]), models[F].predict_proba(CASES[F][1])
    )


OF_PARAMETERS = [
    ("n_members", "auto"),
    ("bins", "auto"),
    ("layer_rates", "fan_in"),
    ("layer_rates", [2.0, 0.5]),
    ("layer_rates", (2, 1)),
    ("intercept_rate", 0.1),
    ("feature_scale", True),
    ("feature_scale", False),
    ("feature_scale", 2.5),
]


@pytest.mark.parametrize(("name", "value"), OF_PARAMETERS, ids=str)
@pytest.mark.parametrize("cls", [TabularMLPClassifier, TabularMLPRegressor])
def test_parameters_come_back(cls, name, value):
    X = np.random.default_rng(0).normal(size=(40, 2))
    model = cls(hidden_layer_sizes=(2,), max_iter=1, random_state=0, **{name: value})
    again = from_json(model.fit(X, np.arange(40) % 2).to_json())
    assert again.get_params() == model.get_params()
    assert type(again.get_params()[name]) is type(value)
    assert len(again.members_) == len(model.members_)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    np.testing.assert_array_equal(clone(again).fit(X, np.arange(40) % 2).predict(X), model.predict(X))


def test_a_frame_of_polars_to_the_bit():
    X = pl.from_pandas(CASES[R][1].drop(columns="day"))
    model = TabularMLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0).fit(X, CASES[R][2])
    again = from_json(model.to_json())
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_columns_whose_names_are_no_strings():
    X = CASES[F][1].set_axis(range(CASES[F][1].shape[1]), axis=1)
    model = TabularMLPClassifier((4,), max_iter=2, random_state=0).fit(X, CASES[F][2])
    assert set(json.loads(model.to_json())["columns"]) == {None}
    np.testing.assert_array_equal(from_json(model.to_json()).predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["b", "a"], object),
        np.array([True, False]),
        np.array([2.0, 1.0]),
        np.array([3, 7], "i1"),
    ],
    ids=lambda labels: labels.dtype.name,
)
def test_classes_keep_their_type(labels):
    X = np.random.default_rng(0).normal(size=(40, 2))
    model = TabularMLPClassifier((4,), max_iter=2, random_state=0).fit(X, labels[np.arange(40) % 2])
    again = from_json(model.to_json())
    assert again.classes_.dtype == model.classes_.dtype
    assert again.classes_.tolist() == model.classes_.tolist()
    assert again.predict(X).dtype == model.predict(X).dtype
    assert all(member.classes_.dtype == model.classes_.dtype for member in model.members_)


def test_the_history_may_be_left_out(models):
    document = json.loads(models[F].to_json(history=False))
    assert [member["history"] for member in document["members"]] == [None, None]


def test_files_and_classes(tmp_path, models):
    path = tmp_path / "model.json"
    models[F].save_json(path)
    assert path.read_text(encoding="utf-8") == models[F].to_json() + "\n"
    for loaded in (load_json(path), TabularMLPClassifier.load_json(path)):
        np.testing.assert_array_equal(loaded.predict(CASES[F][1]), models[F].predict(CASES[F][1]))
    with pytest.raises(ModelFormatError, match="a TabularMLPClassifier, not an MLPClassifier"):
        MLPClassifier.load_json(path)
    with pytest.raises(ModelFormatError, match="a TabularMLPClassifier, not a TabularMLPRegressor"):
        TabularMLPRegressor.from_json(path.read_bytes())

    class Mine(TabularMLPClassifier):
        pass

    assert type(Mine.load_json(path)) is Mine


def test_scaling_to_unit_variance():
    """Not a part of today's preprocessing, and known to the format."""
    X = np.random.default_rng(0).normal(3, 2, size=(50, 2))
    for scaler in (StandardScaler(), StandardScaler(with_mean=False), StandardScaler(with_std=False)):
        model = TabularMLPRegressor(
            hidden_layer_sizes=(4,), max_iter=2, random_state=0, preprocessor=scaler
        )
        model.fit(X, X[:, 0]).set_params(preprocessor="auto")
        again = from_json(model.to_json())
        np.testing.assert_array_equal(again.predict(X), model.predict(X))
        assert json.loads(again.to_json()) == json.loads(model.to_json())


# ---- what is not written ----


def refused(preprocessor, match):
    X = pd.DataFrame({"a": np.arange(40) % 7, "b": np.arange(40) % 3})
    model = TabularMLPClassifier((4,), max_iter=2, random_state=0, preprocessor=preprocessor)
    model.fit(X, np.arange(40) % 2)
    with pytest.raises(ValueError, match=match) as error:
        model.to_json()
    if preprocessor is not None:
        assert "fit with preprocessor=None, or use joblib" in str(error.value)
        return model.set_params(preprocessor="auto")
    return model


def test_preprocessors_of_ones_own_are_refused():
    for preprocessor in (StandardScaler(), tabular_preprocessor()):
        name = type(preprocessor).__name__
        refused(preprocessor, rf"parameters\.preprocessor: it is a {name}\. JSON holds the preproc")


@pytest.mark.parametrize(
    ("preprocessor", "match"),
    [
        (MinMaxScaler(), "preprocessor: it has a MinMaxScaler"),
        (make_pipeline(StandardScaler(), MinMaxScaler()), r"preprocessor.steps\[1\]: it has a MinMaxS"),
        (ColumnTransformer([("a", MinMaxScaler(), ["b"])]), "preprocessor.a: it has a MinMaxScaler"),
        (
            ColumnTransformer([("a", RobustSmoothScaler(), ["b"])], remainder="passthrough"),
            "transformer_weights or a remainder",
        ),
        (
            ColumnTransformer([("a", RobustSmoothScaler(), ["b"])], transformer_weights={"a": 2}),
            "transformer_weights or a remainder",
        ),
        (SimpleImputer(), "a SimpleImputer of another kind"),
        (SimpleImputer(missing_values=1, keep_empty_features=True), "a SimpleImputer of another kind"),
        (TargetEncoder(target_type="binary"), "TargetEncoder of levels that are not text"),
        (make_pipeline(Converted(), CategoryEncoder()), None),
    ],
)
def test_what_the_format_does_not_know_is_refused(preprocessor, match):
    """The parameter is set back after the fit: it is the fitted preprocessing that is refused."""
    model = refused(preprocessor, "parameters.preprocessor")
    if match is None:
        assert from_json(model.to_json()).predict(pd.DataFrame({"a": [1], "b": [2]})).shape == (1,)
        return
    with pytest.raises(ValueError, match=match):
        model.to_json()


def test_a_callable_is_refused_by_name():
    X = np.random.default_rng(0).normal(size=(40, 2))
    model = TabularMLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0).fit(X, X[:, 0])
    with pytest.raises(ValueError, match=r"parameters\.scoring: JSON cannot hold"):
        model.set_params(scoring=lambda m, X, y: 0.0).to_json()


def test_a_weight_that_is_not_finite_is_refused(models):
    model = copy.deepcopy(models[M])
    model.members_[1].coefs_[0][0, 0] = np.nan
    with pytest.raises(ValueError, match=r"members\[1\]: layers\[0\]\.weights: 1 of"):
        model.to_json()


def test_text_that_is_not_unicode_is_refused():
    X = np.array([["x"], ["\ud800"]], object)[np.arange(40) % 2]
    X = pd.DataFrame(X, columns=["a"], dtype=object)
    model = TabularMLPClassifier((4,), max_iter=2, random_state=0).fit(X, np.arange(40) % 2)
    with pytest.raises(ValueError, match=r"preprocessor\.category.*half of a surrogate pair"):
        model.to_json()
    model.feature_names_in_ = np.array(["\ud800"], object)
    with pytest.raises(ValueError, match=r"columns\[0\]: half of a surrogate pair"):
        model.to_json()


def test_what_is_not_fitted_is_refused():
    with pytest.raises(NotFittedError):
        TabularMLPRegressor().to_json()


# ---- golden files ----


def test_every_golden_model_is_there():
    assert set(NAMES) == set(CASES)
    assert {path.stem for path in (FOLDER / "expected").glob("*.json")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_file_is_read(name):
    model = load_json(FOLDER / f"{name}.json")
    expected = json.loads((FOLDER / "expected" / f"{name}.json").read_text(encoding="utf-8"))
    found = GOLDEN["predictions"](name, model)
    assert found.keys() == expected.keys()
    for method, values in found.items():
        if method == "predict" and hasattr(model, "classes_"):
            assert values == expected[method]
        else:  # instruction sets differ in the last bits
            np.testing.assert_allclose(values, expected[method], rtol=1e-5, atol=1e-6)


def kinds_in(value):
    if isinstance(value, dict):
        found = {value["kind"]} if "kind" in value else set()
        return found.union(*map(kinds_in, value.values()))
    return set().union(*map(kinds_in, value)) if isinstance(value, list) else set()


def test_golden_files_have_every_kind_that_the_preprocessing_has():
    found = set().union(*(kinds_in(parsed(name)["preprocessor"]) for name in NAMES))
    assert found == set(_tabular_json.RECORDS) - {"StandardScaler"}
    ours = {getattr(preprocessing, name) for name in preprocessing.__all__} - {tabular_preprocessor}
    assert ours <= {record.cls for record in _tabular_json.RECORDS.values()}


# ---- hostile files ----


def at(document, place):
    for key in place:
        document = document[key]
    return document


def changed(name, place, value):
    """The document of a golden file with another value at a place; None takes a key away."""
    document = parsed(name)
    *parents, last = place
    target = at(document, parents)
    if value is None and isinstance(last, str):
        del target[last]
    else:
        target[last] = value(target[last]) if callable(value) else value
    return document


def NULL(_):
    return None


def step(part, i):
    """The place of a step in the pipeline of a part."""
    names = [p["name"] for p in parsed(F)["preprocessor"]["parts"]]
    return ["preprocessor", "parts", names.index(part), "transformer", "steps", i, "transformer"]


PARTS = ["preprocessor", "parts"]
SCALER, IMPUTER, BINS = step("number", 1), step("number", 2), step("bins", 1)
TARGET, DATES = step("many_levels", 1), step("date", 0)
CATEGORY = [
    *PARTS,
    [p["name"] for p in parsed(F)["preprocessor"]["parts"]].index("category"),
    "transformer",
]


def less(items):
    return items[:-1]


CHANGES = [
    (F, ["format_version"], 2, "format_version: 2 is not a version that can be read"),
    (F, ["estimator"], "TabularMLPRegressor", "the file: the key 'targets' is missing"),
    (R, ["estimator"], "TabularMLPClassifier", "the file: there is a key 'targets'"),
    (F, ["estimator"], "MLPClassifier", "the file: the key 'dtype' is missing"),
    (F, ["library_version"], 1, "library_version: expected a string"),
    (F, ["members"], None, "the file: the key 'members' is missing"),
    (F, ["extra"], 1, "the file: there is a key 'extra'"),
    (F, ["parameters", "bins"], "many", "parameters: The 'bins' parameter"),
    (F, ["parameters", "preprocessor"], "mine", "parameters: The 'preprocessor' parameter"),
    (F, ["parameters", "preprocessor"], {"dict": []}, "preprocessor: not the value of a parameter"),
    (F, ["parameters", "n_members"], None, "parameters: the key 'n_members' is missing"),
    (F, ["columns"], [], "columns: there are none"),
    (F, ["columns"], lambda names: names[:-2], r"columns\[3\]: expected an integer from 0 to 6, got 7"),
    (F, ["columns", 1], NULL, r"columns\[1\]: expected a string, got None"),
    (U, ["columns"], [None], "preprocessor: it makes 1 columns for members of 3"),
    (U, ["columns"], {}, "columns: expected an array"),
    (R, ["targets", "mean"], [1.0, 2.0], "targets.mean: 2 numbers, expected 1"),
    (R, ["targets", "mean", 0], "1", r"targets.mean\[0\]: expected a finite number"),
    (R, ["targets", "scale"], [0], "targets.scale: expected numbers > 0"),
    (R, ["targets", "range"], [[2.0], [1.0]], "targets.range: a least target is above the largest"),
    (R, ["targets", "range"], [[2.0]], "targets.range: 1 items, expected 2"),
    (R, ["targets", "one_dimensional"], 1, "one_dimensional: expected true or false"),
    (M, ["targets", "one_dimensional"], True, "one_dimensional: true, with 2 outputs"),
    (F, ["members"], [], "members: there are none"),
    (F, ["members", 1], {}, r"members\[1\]: the file: it is not a model"),
    (
        F,
        ["members", 1, "layers", 0, "weights", 2],
        [1],
        r"members\[1\]: layers\[0\]\.weights\[2\]: 1 nu",
    ),
    (F, ["members", 0], lambda _: parsed(M)["members"][0], r"members\[0\]: estimator: an MLPRegressor"),
    (F, ["members", 1], lambda _: parsed(L)["members"][0], r"members\[1\]: it has other inputs"),
    (F, ["members", 0, "estimator"], "TabularMLPClassifier", r"members\[0\]: estimator: a Tabular"),
    (F, ["preprocessor"], [], "preprocessor: expected an object"),
    (F, ["preprocessor"], NULL, "preprocessor: it makes 9 columns for members of"),
    (F, ["preprocessor", "kind"], "os.system", "preprocessor.kind: expected one of 'CategoryEncoder'"),
    (F, ["preprocessor", "kind"], ["Pipeline"], "preprocessor.kind: expected one of"),
    (F, ["preprocessor", "kind"], None, "preprocessor.kind: expected one of .*, got None"),
    (F, ["preprocessor", "kind"], "Pipeline", "preprocessor: the key 'steps' is missing"),
    (F, ["preprocessor", "remainder"], "x", "preprocessor: there is a key 'remainder'"),
    (F, PARTS, [], "preprocessor.parts: there are none"),
    (F, PARTS, less, "preprocessor: it makes .* columns for members of"),
    (F, [*PARTS, 1, "name"], "number", r"parts\[1\].name: the name 'number' occurs twice"),
    (F, [*PARTS, 1, "name"], "a__b", r"parts\[1\].name: 'a__b' is not the name of a part"),
    (F, [*PARTS, 1, "name"], "remainder", r"parts\[1\].name: 'remainder' is not the name of a part"),
    (F, [*PARTS, 0, "columns"], [], r"parts\[0\].columns: there are none"),
    (F, [*PARTS, 0, "columns", 0], -1, r"parts\[0\].columns\[0\]: expected an integer from 0 to 8"),
    (F, [*PARTS, 0, "columns", 0], 2**40, r"parts\[0\].columns\[0\]: expected an integer"),
    (F, [*PARTS, 0, "columns"], less, r"center: 4 numbers, expected 3"),
    (F, [*PARTS, 0, "transformer", "steps"], [], "steps: there are none"),
    (F, [*PARTS, 0, "transformer", "steps", 0, "name"], "steps", "'steps' is not the name of a part"),
    (
        F,
        [*PARTS, 0, "transformer", "steps", 0, "name"],
        "simpleimputer",
        "'simpleimputer' occurs twice",
    ),
    (F, [*step("number", 0), "to"], "text", "to: expected one of 'numbers', 'levels'"),
    (F, [*SCALER, "dtype"], "float16", "dtype: expected one of 'float32', 'float64'"),
    (F, [*SCALER, "center", 0], math.inf, r"center\[0\]: expected a finite number"),
    (F, [*SCALER, "scale"], less, "scale: 3 numbers, expected 4"),
    (F, [*IMPUTER, "strategy"], "constant", "strategy: expected one of 'mean'"),
    (F, [*IMPUTER, "dtype"], NULL, "dtype: expected one of 'float32', 'float64'"),
    (F, [*IMPUTER, "values", 0], 1e300, "values: a number is too large for float32"),
    (F, [*IMPUTER, "indicators"], [2, 1], r"indicators\[1\]: expected integers in ascending order"),
    (F, [*IMPUTER, "indicators"], [4], r"indicators\[0\]: expected an integer from 0 to 3"),
    (F, [*IMPUTER, "indicators"], NULL, "preprocessor: it makes .* columns for members of"),
    (F, [*BINS, "edges", 0], [1.0], r"edges\[0\]: expected none, or two or more numbers in ascending"),
    (F, [*BINS, "edges", 0], [2, 1], r"edges\[0\]: expected none, or two or more numbers in ascending"),
    (F, [*BINS, "edges", 0], ["1", 2], r"edges\[0\]\[0\]: expected a finite number"),
    (F, [*BINS, "edges"], less, "edges: 3 items, expected 4"),
    (F, [*CATEGORY, "levels", 0, "frequent"], ["a", "a"], r"levels\[0\]: a level occurs twice"),
    (F, [*CATEGORY, "levels", 0, "rare"], ["red"], r"levels\[0\]: a level occurs twice"),
    (F, [*CATEGORY, "levels", 0, "rare"], None, r"levels\[0\]: the key 'rare' is missing"),
    (F, [*CATEGORY, "levels", 0, "frequent", 0], 1, r"levels\[0\].frequent\[0\]: expected a string"),
    (F, [*CATEGORY, "dtype"], NULL, "dtype: expected one of 'float32', 'float64'"),
    (F, [*DATES, "parts", 0, 0], "year ", r"parts\[0\]\[0\]: expected one of 'days'"),
    (F, [*DATES, "parts"], [], "parts: 0 items, expected 1"),
    (F, [*TARGET, "target"], "continuous", "target: 'continuous' in an estimator of another kind"),
    (R, [*TARGET, "target"], "multiclass", "target: 'multiclass' in an estimator of another kind"),
    (F, [*TARGET, "target"], "binary", "mean: 3 numbers, expected 1"),
    (F, [*TARGET, "levels", 0, 1], "place 0", r"levels\[0\]\[1\]: levels must be in ascending order"),
    (F, [*TARGET, "levels", 0, 0], NULL, r"levels\[0\]\[0\]: expected a string, got None"),
    (F, [*TARGET, "levels", 0], [], r"levels\[0\]: there are none"),
    (F, [*TARGET, "encodings", 0], less, r"encodings\[0\]: \d+ rows, expected \d+"),
    (F, [*TARGET, "encodings", 0, 3], [1, 2], r"encodings\[0\]\[3\]: 2 numbers, expected 3"),
]


@pytest.mark.parametrize(("name", "place", "value", "message"), CHANGES)
def test_a_change_that_makes_no_model_is_refused_with_its_place(name, place, value, message):
    with pytest.raises(ModelFormatError, match=message) as error:
        from_json(json.dumps(changed(name, place, value)))
    assert len(str(error.value)) < 1000


def test_places_of_the_preprocessing_are_whole():
    place = "preprocessor.parts[0].transformer.steps[1].transformer.center[0]"
    with pytest.raises(ModelFormatError, match=re.escape(place)):
        from_json(json.dumps(changed(F, [*SCALER, "center", 0], "x")))


ODD = st.sampled_from(
    [
        *(None, True, False, 0, 1, -1, 2**31, 2**64, 0.5, 1e308, "", "x", "nan", "float32", "levels"),
        *([], {}, [[]], [0], [0, 1], [[0.0, 1.0]], ["a"], {"kind": "Converted", "to": "numbers"}),
    ]
).map(copy.deepcopy)


def places(value, path=()):
    """Every place in a document but those of the members, which are models that other tests change."""
    if path:
        yield path
    if isinstance(value, dict | list) and "members" not in path:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*path, key))


DOCUMENTS = [parsed(name) for name in NAMES]
PLACES = [list(places(document)) for document in DOCUMENTS]


@st.composite
def mutants(draw):
    """A golden document with one or two changes."""
    which = draw(st.integers(0, len(DOCUMENTS) - 1))
    document = copy.deepcopy(DOCUMENTS[which])
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(PLACES[which]))
        try:
            change(draw, at(document, path[:-1]), path[-1])
        except (IndexError, KeyError, TypeError):
            continue  # an earlier change took the place away
    return document


def change(draw, target, key):
    kind = draw(st.sampled_from(["put", "put", "delete", "double"]))
    if kind == "put":
        target[key] = draw(ODD)
    elif kind == "delete":
        del target[key]
    elif isinstance(target, list):
        target.append(target[key])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutants())
def test_a_changed_file_is_a_model_or_refused(document):
    try:
        model = from_json(json.dumps(document))
    except ModelFormatError:
        return
    VALIDATOR.validate(document)  # what is read is what the schema allows
    assert from_json(model.to_json()).to_json() == model.to_json()
    rows = np.zeros((2, model.n_features_in_))
    names = vars(model).get("feature_names_in_")
    try:
        model.predict(rows if names is None else pd.DataFrame(rows, columns=names))
    except (ValueError, TypeError):
        assert "levels" in json.dumps(document["preprocessor"])  # text where numbers are wanted


def test_a_file_that_claims_many_columns_takes_no_memory_for_them():
    from tracemalloc import get_traced_memory, start, stop

    text = json.dumps(changed(F, [*PARTS, 0, "columns", 0], 10**9))
    start()
    try:
        with pytest.raises(ModelFormatError, match="expected an integer from 0 to 8"):
            from_json(text)
        assert get_traced_memory()[1] < 2e6
    finally:
        stop()


@pytest.mark.parametrize("kind", ["edges", "levels", "columns"])
def test_a_hostile_file_takes_memory_in_proportion(kind):
    from tracemalloc import get_traced_memory, start, stop

    n = 100_000
    transformer = {
        "edges": {"kind": "PiecewiseLinearEncoder", "dtype": "float32", "edges": [[]] * n},
        "levels": {
            "kind": "TargetEncoder",
            "target": "binary",
            "mean": [0.5],
            "levels": [["a"]] * n,
            "encodings": [[[0.5]]] * n,
        },
        "columns": {
            "kind": "ColumnTransformer",
            "parts": [
                {
                    "name": "a",
                    "columns": list(range(n)),
                    "transformer": {"kind": "Converted", "to": "numbers"},
                }
            ],
        },
    }[kind]
    document = {**parsed("v1-classifier-two"), "columns": ["abcdefgh" * 3] * n}
    text = json.dumps({**document, "preprocessor": transformer})
    start()
    try:
        with pytest.raises(ModelFormatError, match="it makes 100000 columns for members of"):
            from_json(text)
        assert get_traced_memory()[1] < 25 * len(text)
    finally:
        stop()


# ---- the schema ----


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", NAMES)
def test_golden_files_follow_the_schema(name):
    VALIDATOR.validate(parsed(name))


@pytest.mark.parametrize("cls", [TabularMLPClassifier, TabularMLPRegressor])
def test_the_schema_knows_every_parameter(cls):
    """A parameter that is added belongs into LATER_PARAMETERS, and is not required by the schema."""
    own = SCHEMA["$defs"]["classifier" if cls is TabularMLPClassifier else "regressor"]
    shared = SCHEMA["$defs"]["parameters"]
    assert {*own["properties"], *shared["properties"]} == set(cls._get_param_names())
    required = {*own["required"], *shared["required"]}
    assert required == set(cls._get_param_names()) - _serialize.LATER_PARAMETERS


PLAIN = {TabularMLPClassifier: U, TabularMLPRegressor: M}
PARAMETERS = [(cls, name) for cls in PLAIN for name in cls._get_param_names()]


@pytest.mark.parametrize(("cls", "name"), PARAMETERS, ids=[f"{c.__name__}-{n}" for c, n in PARAMETERS])
def test_schema_and_reader_agree_about_a_parameter(cls, name, disagreements):
    own = SCHEMA["$defs"]["classifier" if cls is TabularMLPClassifier else "regressor"]
    validator = VALIDATOR.evolve(schema={**own, "$defs": SCHEMA["$defs"]})
    assert disagreements(parsed(PLAIN[cls]), name, validator) == []


def test_the_schema_knows_every_kind_of_transformer():
    rows = SCHEMA["$defs"]["transformer"]["oneOf"]
    keys = {row["properties"]["kind"]["const"]: row["required"] for row in rows}
    assert keys == {name: ["kind", *record.keys] for name, record in _tabular_json.RECORDS.items()}
    assert all(set(row["required"]) == set(row["properties"]) for row in rows)


def test_the_schema_refuses_what_the_reader_refuses_for_its_form():
    missed = []
    for name, place, value, message in CHANGES:
        document = changed(name, place, value)
        if value is not math.inf and VALIDATOR.is_valid(document):
            missed.append(message)
    assert [message for message in missed if not re.search(BEYOND_A_SCHEMA, message)] == []


# Sizes and names that disagree, order, and what a kind of estimator or a dtype allows.
BEYOND_A_SCHEMA = "|".join(
    [
        "numbers, expected|rows, expected|items, expected|makes|from 0 to|columns.*an integer",
        "occurs twice|is not the name|ascending|of another kind|too large|above the largest",
        r"other inputs|with 2 outputs|: 1 nu|levels\\\[0\\\]\\\[0\\\]: expected a string, got None",
    ]
)
