"""LossCurveDisplay: what is drawn is what was recorded."""

import sys

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sklearn_mlp
from sklearn_mlp import LossCurveDisplay, MLPClassifier, MLPRegressor

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
pyplot = pytest.importorskip("matplotlib.pyplot")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).normal(size=(60, 3))
y = (X[:, 0] > 0).astype(int)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    pyplot.close("all")


def fitted(**parameters):
    return MLPClassifier(**{"hidden_layer_sizes": 4, "max_iter": 6, "random_state": 0, **parameters})


def validated(model):
    return model.fit(X[:40], y[:40], X_val=X[40:], y_val=y[40:])


@pytest.mark.parametrize("solver", ["adam", "adamw", "sgd", "lbfgs"])
@pytest.mark.parametrize("with_validation", [False, True])
def test_the_lines_are_the_history(solver, with_validation):
    model = fitted(solver=solver)
    model = validated(model) if with_validation else model.fit(X, y)
    display = LossCurveDisplay.from_estimator(model)
    assert list(display.lines_["fit"]) == ["loss", "val_loss"][: 1 + with_validation]
    for column, line in display.lines_["fit"].items():
        np.testing.assert_array_equal(line.get_xdata(), np.arange(len(model.history_)))
        np.testing.assert_array_equal(line.get_ydata(), model.history_[column])
    assert display.ax_.get_xlabel() == ("iteration" if solver == "lbfgs" else "epoch")
    assert display.figure_ is display.ax_.figure
    assert display.rate_ax_ is None
    assert len(display.best_epochs_["fit"]) == with_validation


def test_the_best_epoch_is_marked_on_each_line_of_validation_rows():
    model = validated(fitted(metrics=["accuracy", "log_loss"], max_iter=20))
    history, best = model.history_, model.history_.best_epoch
    display = LossCurveDisplay.from_estimator(model, metrics=["accuracy", "log_loss"])
    marks = [mark.get_xydata().tolist() for mark in display.best_epochs_["fit"]]
    columns = ["val_loss", "val_accuracy", "val_log_loss"]
    assert marks == [[[best, history[column][best]]] for column in columns]
    assert not LossCurveDisplay.from_estimator(model, mark_best=False).best_epochs_["fit"]


def test_metrics_have_axes_of_their_own():
    model = validated(fitted(metrics=["accuracy", "gradient_norm"]))
    names = ["accuracy", "val_log_loss", "score", "gradient_norm"]
    with pytest.raises(
        ValueError, match=r"metric 'val_log_loss' was not recorded.*there are \['val_sc"
    ):
        LossCurveDisplay.from_estimator(model, metrics=names)
    names.pop(1)
    display = LossCurveDisplay.from_estimator(model, metrics=names)
    assert [ax.get_ylabel() for ax in display.axes_] == ["loss", "accuracy", "score", "gradient norm"]
    columns = ["loss", "val_loss", "accuracy", "val_accuracy", "val_score", "gradient_norm"]
    assert list(display.lines_["fit"]) == columns
    assert [display.lines_["fit"][column].axes for column in columns] == [
        display.axes_[i] for i in (0, 0, 1, 1, 2, 3)
    ]
    assert display.axes_[-1].get_xlabel() == "epoch"


@pytest.mark.parametrize(("schedule", "scale"), [("constant", "linear"), ("exponential", "log")])
def test_the_learning_rate_has_a_second_axis(schedule, scale):
    model = fitted(learning_rate=schedule, max_iter=80, n_iter_no_change=np.inf).fit(X, y)
    display = LossCurveDisplay.from_estimator(model, learning_rate=True)
    line = display.lines_["fit"]["learning_rate"]
    np.testing.assert_array_equal(line.get_ydata(), model.history_["learning_rate"])
    assert line.axes is display.rate_ax_ is not display.ax_
    assert display.rate_ax_.get_yscale() == scale


def test_lbfgs_has_no_learning_rate():
    fits = {"lbfgs": fitted(solver="lbfgs").fit(X, y), "adam": fitted().fit(X, y)}
    with pytest.raises(ValueError, match="solver='lbfgs' has none"):
        LossCurveDisplay.from_estimator(fits["lbfgs"], learning_rate=True)
    display = LossCurveDisplay.from_estimator(fits, learning_rate=True)
    assert [name for name in fits if "learning_rate" in display.lines_[name]] == ["adam"]
    assert display.ax_.get_xlabel() == "epoch, iteration"


def test_a_warm_start_is_drawn_from_its_beginning():
    model = fitted(warm_start=True, scoring="loss", max_iter=5, n_iter_no_change=np.inf)
    validated(validated(model))
    display = LossCurveDisplay.from_estimator(model)
    np.testing.assert_array_equal(display.lines_["fit"]["loss"].get_ydata(), model.loss_curve_)
    np.testing.assert_array_equal(display.lines_["fit"]["val_loss"].get_xdata(), np.arange(5, 10))
    best = 5 + model.history_.best_epoch
    assert display.best_epochs_["fit"][0].get_xdata() == [best]
    assert display.best_epochs_["fit"][0].get_label() == f"best epoch: {best}"


def test_partial_fit_grows_by_an_epoch_a_call():
    model = fitted()
    for n in (1, 2, 3):
        model.partial_fit(X, y, classes=[0, 1])
        line = LossCurveDisplay.from_estimator(model).lines_["fit"]["loss"]
        assert line.get_ydata().tolist() == model.loss_curve_
        assert (line.get_marker() == ".") == (n == 1)  # one point alone would not be seen


def test_a_diverged_fit_is_drawn_up_to_where_it_diverged():
    model = MLPRegressor(
        hidden_layer_sizes=4,
        activation="identity",
        solver="sgd",
        learning_rate=lambda step, total: 1e-4 if step < 2 else 1e8,
        learning_rate_init=1.0,
        early_stopping=True,
        scoring="loss",
        random_state=0,
    )
    with pytest.warns(match="diverged"):
        model.fit(X, X[:, 0] * 10)
    line = LossCurveDisplay.from_estimator(model).lines_["fit"]["loss"]
    assert line.get_ydata().size == len(model.loss_curve_)
    assert np.isnan(line.get_ydata()[-1])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda model: make_pipeline(StandardScaler(), model),
        lambda model: make_pipeline(StandardScaler(), make_pipeline(model)),
        lambda model: GridSearchCV(make_pipeline(model), {"mlpregressor__alpha": [0.1]}, cv=2),
        lambda model: TransformedTargetRegressor(model),
    ],
)
def test_meta_estimators_are_looked_into(wrap):
    outer = wrap(MLPRegressor(hidden_layer_sizes=3, max_iter=4, random_state=0)).fit(X, y)
    inner = getattr(outer, "best_estimator_", getattr(outer, "regressor_", outer))
    while hasattr(inner, "steps"):
        inner = inner[-1]
    display = LossCurveDisplay.from_estimator(outer)
    assert display.lines_["fit"]["loss"].get_ydata().tolist() == inner.loss_curve_


@pytest.mark.parametrize(("container", "names"), [(list, ["fit 1", "fit 2"]), (dict, ["a", "b"])])
def test_several_fits_share_the_axes_and_have_colours_of_their_own(container, names):
    models = [validated(fitted()), validated(fitted(solver="lbfgs"))]
    given = dict(zip(names, models, strict=True)) if container is dict else models
    display = LossCurveDisplay.from_estimator(given)
    colours = [display.lines_[name]["loss"].get_color() for name in names]
    assert colours == ["C0", "C1"]
    assert colours == [display.lines_[name]["val_loss"].get_color() for name in names]
    legend = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert legend == [*names, "training", "validation", "best epoch"]
    again = LossCurveDisplay.from_history(
        {name: m.history_ for name, m in zip(names, models, strict=True)}
    )
    for name in names:
        for column, line in display.lines_[name].items():
            np.testing.assert_array_equal(line.get_xydata(), again.lines_[name][column].get_xydata())


def test_axes_of_ones_own():
    model = fitted(metrics="accuracy").fit(X, y)
    figure, axes = pyplot.subplots(2)
    display = LossCurveDisplay.from_estimator(model, metrics="accuracy", ax=axes, line_kw={"lw": 3})
    assert (display.figure_, list(display.axes_)) == (figure, list(axes))
    assert {line.get_linewidth() for line in display.lines_["fit"].values()} == {3}
    assert display.plot(ax=axes[1]) is display
    assert display.ax_ is axes[1]
    for wrong in (axes[0], [axes[0], "an axis"], np.array([*axes, axes[0]])):
        with pytest.raises(ValueError, match="ax must be 2 matplotlib Axes, one for the losses and"):
            display.plot(ax=wrong, metrics="accuracy")


def test_several_fits_on_axes_of_ones_own_have_their_legend_there():
    _, ax = pyplot.subplots()
    display = LossCurveDisplay.from_estimator([fitted().fit(X, y)] * 2, ax=ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["fit 1", "fit 2", "training"]
    assert not display.figure_.legends


@pytest.mark.parametrize("name", ["loss", "val_loss", "learning_rate"])
def test_what_is_no_metric_is_refused(name):
    with pytest.raises(ValueError, match=f"metrics has '{name}': losses are drawn in any case"):
        LossCurveDisplay.from_estimator(fitted().fit(X, y), metrics=name)


@pytest.mark.parametrize("estimator", [3, "model", [], {}, [1], None])
def test_what_is_no_estimator_is_refused(estimator):
    with pytest.raises(
        TypeError, match="estimator must be one estimator, or a list or dict of at least"
    ):
        LossCurveDisplay.from_estimator(estimator)


def test_names_are_strings():
    with pytest.raises(TypeError, match="the keys of estimator must be names, strings; got 1"):
        LossCurveDisplay.from_estimator({1: fitted().fit(X, y)})


def test_histories_are_reports():
    with pytest.raises(TypeError, match="history must be one history, or a list or dict"):
        LossCurveDisplay.from_history(fitted().fit(X, y).history_.to_dict())


def test_an_estimator_without_a_history_is_refused():
    with pytest.raises(NotFittedError):
        LossCurveDisplay.from_estimator(fitted())
    with pytest.raises(NotFittedError):
        LossCurveDisplay.from_estimator(make_pipeline(StandardScaler(), fitted()))
    forgetful = sklearn_mlp.from_json(fitted().fit(X, y).to_json(history=False))
    for other in (forgetful, LinearRegression().fit(X, y), TheirClassifier(max_iter=2).fit(X, y)):
        with pytest.raises(ValueError, match=f"{type(other).__name__} has no history_"):
            LossCurveDisplay.from_estimator(other)


@pytest.mark.parametrize("method", ["from_estimator", "from_history", "plot"])
def test_without_matplotlib_the_extra_is_named(monkeypatch, method):
    model = fitted().fit(X, y)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    calls = {
        "from_estimator": lambda: LossCurveDisplay.from_estimator(model),
        "from_history": lambda: LossCurveDisplay.from_history(model.history_),
        "plot": lambda: LossCurveDisplay({"fit": model.history_}).plot(),
    }
    message = rf'LossCurveDisplay\.{method} needs matplotlib: pip install "sklearn-mlp\[plot\]"'
    with pytest.raises(ImportError, match=message):
        calls[method]()
