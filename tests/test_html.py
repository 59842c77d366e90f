"""What a notebook shows of an estimator."""

import inspect
import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sklearn_mlp
from sklearn_mlp import MLPClassifier, MLPRegressor, preprocessing
from sklearn_mlp._html import MOST_LAYERS, documentation

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

HOSTILE = "<script>alert('&')</script>"
X = np.random.default_rng(0).normal(size=(40, 3))
y = (X[:, 0] > 0).astype(int)


class Elements(HTMLParser):
    """Tags and texts of a page, with the rows of the table of the network."""

    def __init__(self, estimator):
        super().__init__()
        self.tags, self.texts, self.links, self.tables, self.open = [], [], [], [], []
        self.feed(estimator._repr_html_())

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name == "href"]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        self.texts.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data

    @property
    def network(self):
        tables = [table for table in self.tables if table[0][:2] == ["Layer", "Units"]]
        return tables[0][1:] if tables else None

    @property
    def text(self):
        return " ".join(self.texts)


def fitted(cls=MLPClassifier, **parameters):
    parameters = {"hidden_layer_sizes": (5, 4), "max_iter": 3, "random_state": 0, **parameters}
    return cls(**parameters).fit(X, y)


def test_the_address_of_the_documentation_is_that_of_the_project():
    settings = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
    assert documentation() == settings["project"]["urls"]["Documentation"]


@pytest.mark.parametrize("module", [sklearn_mlp, preprocessing], ids=lambda module: module.__name__)
def test_the_link_is_to_our_documentation(module):
    public = [getattr(module, name) for name in module.__all__]
    estimators = [cls for cls in public if inspect.isclass(cls) and issubclass(cls, BaseEstimator)]
    assert len(estimators) == 4
    for cls in estimators:
        page = f"{documentation()}/generated/{module.__name__}.{cls.__name__}.html"
        assert cls()._get_doc_link() == page
        assert page in Elements(cls()).links
        assert not any("scikit-learn.org" in link for link in Elements(cls()).links)


def test_layers_parameters_and_stop_reason_are_shown():
    model = fitted(activation=["gelu", ("leaky_relu", 0.2)])
    shown = Elements(model)
    assert shown.network == [
        ["input", "3", "", ""],
        ["1", "5", "gelu", "20"],
        ["2", "4", "leaky_relu (0.2)", "24"],
        ["output", "1", "logistic", "5"],
    ]
    assert "3 → 5 → 4 → 1, 49 parameters, stopped: max iter" in shown.text
    assert model.history_.stop_reason == "max_iter"
    assert "stopped: callback" in Elements(_stopped_for(model, "callback")).text


def _stopped_for(model, reason):
    model.history_.stop_reason = reason
    return model


def test_the_output_of_a_regressor():
    assert Elements(fitted(MLPRegressor)).network[-1] == ["output", "1", "identity", "5"]
    bounded = fitted(MLPRegressor, output_activation="softplus")
    assert Elements(bounded).network[-1] == ["output", "1", "softplus", "5"]


def test_what_is_not_fitted_shows_no_network():
    shown = Elements(MLPClassifier())
    assert shown.network is None
    assert "stopped" not in shown.text
    assert "MLPClassifier" in shown.text


def test_a_deep_network_is_abridged():
    model = fitted(hidden_layer_sizes=(2,) * 20)
    network = Elements(model).network
    assert len(network) == MOST_LAYERS + 1
    assert network[MOST_LAYERS // 2][:2] == ["…", "10 more"]
    assert (network[0][0], network[-1][0]) == ("input", "output")
    assert "3 → 2 → 2 → … → 2 → 1," in Elements(model).text


def test_pipelines_and_searches_show_it_too():
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((5, 4), max_iter=3, random_state=0))
    assert Elements(pipeline.fit(X, y)).network[1] == ["1", "5", "relu", "20"]
    search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [0.1]}, cv=2).fit(X, y)
    assert "3 → 5 → 4 → 1, 49 parameters" in Elements(search).text


def test_hostile_strings_are_escaped():
    frame = pd.DataFrame(X, columns=[HOSTILE, "<b>", "c"])
    labels = np.array(["<img src=x onerror=alert(1)>", HOSTILE])[y]
    model = MLPClassifier(5, max_iter=2, random_state=0).fit(frame, labels)
    model.history_.stop_reason = HOSTILE
    model.out_activation_ = HOSTILE
    model.set_params(activation=HOSTILE)
    plain = Elements(fitted(hidden_layer_sizes=5)).tags
    shown = Elements(model)
    for tag in ("script", "img", "b"):
        assert shown.tags.count(tag) == plain.count(tag)
    assert HOSTILE not in model._repr_html_()
    assert shown.network[-1][2] == HOSTILE


def test_the_text_is_unchanged():
    assert re.fullmatch(r"MLPClassifier\(.*\)", repr(fitted()), re.DOTALL)
    bundle = fitted()._repr_mimebundle_()
    assert bundle["text/plain"].startswith("MLPClassifier(")
    assert "Network" in bundle["text/html"]
