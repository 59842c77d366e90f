"""The estimators among what they are used with: one test for each neighbour, and nothing mocked."""

import matplotlib.pyplot as plt
import numpy as np
import optuna
import pandas as pd
import polars as pl
import pytest
import sklearn
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline as make_imbalanced_pipeline
from joblib import Parallel, delayed, parallel_config
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.datasets import load_iris, make_classification, make_regression
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import RFE
from sklearn.inspection import PartialDependenceDisplay, permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score, get_scorer, log_loss, recall_score
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    train_test_split,
)
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_mlp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

plt.switch_backend("Agg")
BOTH = pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
X, Y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
PERMUTATION = np.random.RandomState(0).permutation(len(X))
X, Y = X[PERMUTATION], Y[PERMUTATION]
NAMES = ["a", "b", "c", "d"]

# One class in ten, and half of what tells it apart is noise.
RARE_X, RARE_Y = make_classification(400, 6, weights=[0.9], flip_y=0.05, random_state=1)


def parameters(estimator):
    return np.concatenate([w.ravel() for w in estimator.coefs_ + estimator.intercepts_])


def same_model(a, b):
    return np.array_equal(parameters(a), parameters(b)) and a.loss_curve_ == b.loss_curve_


def small(cls, **params):
    fixed = {"hidden_layer_sizes": 8, "max_iter": 20, "learning_rate_init": 0.02}
    return cls(**{**fixed, "random_state": 0, **params})


# ---- pipelines and frames ----


@BOTH
def test_pipeline(cls):
    raw, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), small(cls)).fit(raw, y)
    scaled = StandardScaler().fit_transform(raw)
    alone = small(cls).fit(scaled, y)
    assert same_model(pipeline[-1], alone)
    np.testing.assert_array_equal(pipeline.predict(raw), alone.predict(scaled))
    assert pipeline.score(raw, y) == alone.score(scaled, y)


@BOTH
def test_column_transformer_with_pandas_output(cls):
    colours = np.array(["red", "green", "blue"])[np.arange(len(X)) % 3]
    frame = pd.DataFrame(X, columns=NAMES).assign(colour=colours)
    columns = make_column_transformer(
        (StandardScaler(), NAMES),
        (OneHotEncoder(sparse_output=False), ["colour"]),
        verbose_feature_names_out=False,
    )
    pipeline = make_pipeline(columns, small(cls)).set_output(transform="pandas").fit(frame, Y)
    seen = [*NAMES, "colour_blue", "colour_green", "colour_red"]
    assert list(pipeline[-1].feature_names_in_) == seen
    arrays = clone(columns).set_output(transform="default").fit_transform(frame)
    assert same_model(pipeline[-1], small(cls).fit(arrays, Y))
    shuffled = frame[frame.columns[::-1]]  # the transformer puts the columns in order by their names
    np.testing.assert_array_equal(pipeline.predict(shuffled), pipeline.predict(frame))


@BOTH
def test_column_transformer_with_sparse_output(cls):
    frame = pd.DataFrame({"x": X[:, 0], "code": np.arange(len(X)) % 30})
    columns = make_column_transformer(
        (StandardScaler(), ["x"]), (OneHotEncoder(), ["code"]), sparse_threshold=1.0
    )
    transformed = columns.fit_transform(frame)
    assert transformed.format == "csr"
    estimator = small(cls, max_iter=5)
    pipeline = make_pipeline(columns, estimator).fit(frame, Y)
    dense = clone(estimator).fit(transformed.toarray(), Y)
    np.testing.assert_allclose(parameters(pipeline[-1]), parameters(dense), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("frames", [pd, pl], ids=["pandas", "polars"])
@pytest.mark.parametrize("early_stopping", [False, True])
@BOTH
def test_data_frames(cls, frames, early_stopping):
    frame = frames.DataFrame({name: X[:, i] for i, name in enumerate(NAMES)})
    if not hasattr(StandardScaler().fit(frame), "feature_names_in_"):
        pytest.skip(f"this scikit-learn does not read the names of this {frames.__name__}")
    target = frames.Series(Y)
    estimator = small(cls, early_stopping=early_stopping).fit(frame, target)
    assert list(estimator.feature_names_in_) == NAMES
    plain = small(cls, early_stopping=early_stopping).fit(X, Y)
    assert not hasattr(plain, "feature_names_in_")
    assert same_model(estimator, plain)
    np.testing.assert_array_equal(estimator.predict(frame), plain.predict(X))
    if not early_stopping:
        estimator.partial_fit(frame, target)
    wrong = frames.DataFrame({name: X[:, i] for i, name in enumerate(reversed(NAMES))})
    for method in [estimator.predict, lambda f: estimator.score(f, target)]:
        with pytest.raises(ValueError, match="feature names"):
            method(wrong)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        estimator.predict(X)
    with pytest.warns(UserWarning, match="without feature names"):
        plain.predict(frame)


@pytest.mark.parametrize("frames", [pd, pl], ids=["pandas", "polars"])
def test_a_column_of_strings_as_target(frames):
    names = np.array(["setosa", "versicolor", "virginica"])
    target = frames.Series(names[Y])
    target = target.astype("category") if frames is pd else target
    estimator = small(MLPClassifier, early_stopping=True, max_iter=60).fit(X, target)
    assert list(estimator.classes_) == list(names)
    assert set(estimator.predict(X)) <= set(names)
    assert estimator.best_validation_score_ > 0.5


@pytest.mark.parametrize("frames", [pd, pl], ids=["pandas", "polars"])
def test_a_frame_of_targets(frames):
    targets = frames.DataFrame({"one": X[:, 0], "other": X[:, 1]})
    estimator = small(MLPRegressor).fit(X, targets)
    assert same_model(estimator, small(MLPRegressor).fit(X, X[:, :2]))


def test_transformed_targets():
    target = np.exp(X[:, 0])
    meta = TransformedTargetRegressor(small(MLPRegressor), func=np.log, inverse_func=np.exp)
    alone = small(MLPRegressor).fit(X, np.log(target))
    assert same_model(meta.fit(X, target).regressor_, alone)
    np.testing.assert_array_equal(meta.predict(X), np.exp(alone.predict(X)))


# ---- searches and validation ----


@pytest.mark.parametrize("backend", ["loky", "threading"])
@BOTH
def test_grid_search_in_parallel(cls, backend):
    pipeline = Pipeline([("scale", StandardScaler()), ("mlp", small(cls, solver="sgd"))])
    grid = {"mlp__hidden_layer_sizes": [(4,), (4, 3)], "mlp__alpha": [1e-4, 1.0]}
    with parallel_config(backend):
        search = GridSearchCV(pipeline, grid, cv=3, n_jobs=2).fit(X, Y)
    alone = GridSearchCV(pipeline, grid, cv=3).fit(X, Y)
    for name in ["mean_test_score", "rank_test_score"]:
        np.testing.assert_array_equal(search.cv_results_[name], alone.cv_results_[name])
    assert len(set(search.cv_results_["mean_test_score"])) > 1
    assert same_model(search.best_estimator_[-1], alone.best_estimator_[-1])


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_fits_in_joblib_give_the_bits_of_fits_in_turn(backend):
    models = [small(MLPClassifier, random_state=seed) for seed in range(4)]
    with parallel_config(backend, n_jobs=2):
        fitted = Parallel()(delayed(model.fit)(X, Y) for model in models)
    for model, other in zip(models, fitted, strict=True):
        assert same_model(clone(model).fit(X, Y), other)


def test_successive_halving_over_epochs():
    grid = {"learning_rate_init": [1e-5, 1e-4, 1e-3, 0.02]}
    search = HalvingGridSearchCV(
        small(MLPClassifier, max_iter=1),
        grid,
        resource="max_iter",
        min_resources=4,
        max_resources=40,
        factor=3,
        cv=3,
        random_state=0,
    ).fit(X, Y)
    assert search.n_resources_ == [4, 12]
    assert search.n_candidates_ == [4, 2]
    assert search.best_params_ == {"learning_rate_init": 0.02, "max_iter": 12}
    assert search.best_estimator_.n_iter_ == 12
    assert same_model(search.best_estimator_, small(MLPClassifier, max_iter=12).fit(X, Y))


def test_cross_val_predict():
    estimator = small(MLPClassifier, max_iter=100)
    probabilities = cross_val_predict(estimator, X, Y, cv=3, method="predict_proba", n_jobs=2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert (probabilities.argmax(axis=1) == Y).mean() > 0.85
    scores = cross_val_predict(estimator, X, Y, cv=3, method="decision_function")
    np.testing.assert_array_equal(scores.argmax(axis=1), probabilities.argmax(axis=1))
    predicted = cross_val_predict(small(MLPRegressor, max_iter=100), X, Y, cv=3)
    assert predicted.shape == Y.shape


def test_scorers_find_what_they_need():
    two = Y < 2
    estimator = small(MLPClassifier, max_iter=100).fit(X[two], Y[two])
    assert get_scorer("roc_auc")(estimator, X[two], Y[two]) == 1.0
    assert get_scorer("neg_log_loss")(estimator, X[two], Y[two]) > -0.2
    assert cross_val_score(estimator, X[two], Y[two], scoring="average_precision").min() > 0.99


@BOTH
def test_clone(cls):
    estimator = small(cls, dtype="float32", alpha=0.5).fit(X, Y)
    other = clone(estimator)
    assert not hasattr(other, "coefs_")
    assert other.get_params() == estimator.get_params()
    assert same_model(other.fit(X, Y), estimator)


@pytest.mark.parametrize("wrap", ["pipeline", "search"])
def test_sample_weight_is_routed(wrap):
    weight = np.random.RandomState(0).uniform(0.1, 3.0, len(X))
    estimator = small(MLPClassifier, solver="lbfgs", max_iter=5)
    expected = clone(estimator).fit(X, Y, sample_weight=weight)
    unweighted = clone(estimator).fit(X, Y)
    assert not np.array_equal(parameters(unweighted), parameters(expected))
    with sklearn.config_context(enable_metadata_routing=True):
        routed = clone(estimator).set_fit_request(sample_weight=True)
        routed.set_score_request(sample_weight=True)
        if wrap == "pipeline":
            meta = make_pipeline(StandardScaler(with_mean=False, with_std=False), routed)
            meta[0].set_fit_request(sample_weight=False)
            fitted = meta.fit(X, Y, sample_weight=weight)[-1]
        else:
            meta = GridSearchCV(routed, {"alpha": [estimator.alpha]}, cv=3)
            fitted = meta.fit(X, Y, sample_weight=weight).best_estimator_
            plain = GridSearchCV(clone(estimator), {"alpha": [estimator.alpha]}, cv=3).fit(X, Y)
            assert plain.best_score_ != meta.best_score_
        np.testing.assert_array_equal(parameters(fitted), parameters(expected))
        weighted_score = meta.score(X, Y, sample_weight=weight)
    assert weighted_score == expected.score(X, Y, sample_weight=weight)


def test_sample_weight_that_nobody_asked_for_is_refused():
    with (
        sklearn.config_context(enable_metadata_routing=True),
        pytest.raises(ValueError, match="sample_weight"),
    ):
        make_pipeline(StandardScaler(), small(MLPClassifier)).fit(X, Y, sample_weight=np.ones(len(X)))


# ---- around a classifier: calibration and thresholds ----


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibration_of_an_overconfident_network(method):
    rows, labels = make_classification(600, 8, flip_y=0.3, random_state=0)
    rows, new, labels, of_new = train_test_split(rows, labels, test_size=0.5, random_state=0)
    network = small(MLPClassifier, hidden_layer_sizes=32, max_iter=150, alpha=0.0)
    calibrated = CalibratedClassifierCV(network, method=method, cv=3).fit(rows, labels)
    probabilities = calibrated.predict_proba(new)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    alone = log_loss(of_new, clone(network).fit(rows, labels).predict_proba(new))
    assert log_loss(of_new, probabilities) < 0.9 * alone


def test_calibration_of_several_classes_with_weights():
    weight = np.where(Y == 2, 5.0, 1.0)
    network = small(MLPClassifier, solver="lbfgs", hidden_layer_sizes=2)
    fits = [CalibratedClassifierCV(network, cv=3).fit(X, Y, sample_weight=w) for w in (None, weight)]
    plain, weighted = (
        [parameters(part.estimator) for part in fit.calibrated_classifiers_] for fit in fits
    )
    assert not any(np.array_equal(a, b) for a, b in zip(plain, weighted, strict=True))
    assert fits[0].score(X, Y) > 0.9


@pytest.mark.parametrize("response", ["predict_proba", "decision_function"])
def test_fixed_threshold(response):
    network = small(MLPClassifier)
    meta = FixedThresholdClassifier(network, threshold=0.3, response_method=response)
    scores = getattr(clone(network).fit(RARE_X, RARE_Y), response)(RARE_X)
    scores = scores[:, 1] if response == "predict_proba" else scores
    expected = (scores >= 0.3).astype(int)
    np.testing.assert_array_equal(meta.fit(RARE_X, RARE_Y).predict(RARE_X), expected)
    assert 0 < expected.mean() < 1


def test_tuned_threshold():
    rows, new, labels, of_new = train_test_split(
        RARE_X, RARE_Y, stratify=RARE_Y, test_size=0.4, random_state=0
    )
    network = small(MLPClassifier)
    meta = TunedThresholdClassifierCV(network, scoring="balanced_accuracy", cv=3, random_state=0)
    meta.fit(rows, labels)
    alone = clone(network).fit(rows, labels)
    assert same_model(meta.estimator_, alone)
    chosen = (alone.predict_proba(new)[:, 1] >= meta.best_threshold_).astype(int)
    np.testing.assert_array_equal(meta.predict(new), chosen)
    assert meta.best_threshold_ < 0.5
    assert balanced_accuracy_score(of_new, chosen) > balanced_accuracy_score(of_new, alone.predict(new))


# ---- ensembles ----


@pytest.mark.parametrize(
    ("bagging", "cls", "response"),
    [
        (BaggingClassifier, MLPClassifier, "predict_proba"),
        (BaggingRegressor, MLPRegressor, "predict"),
    ],
)
def test_bagging(bagging, cls, response):
    meta = bagging(small(cls), n_estimators=3, random_state=0, n_jobs=2).fit(X, Y)
    single = [getattr(member, response)(X) for member in meta.estimators_]
    assert not np.array_equal(single[0], single[1])
    np.testing.assert_allclose(getattr(meta, response)(X), np.mean(single, axis=0), rtol=1e-12)
    assert meta.score(X, Y) > 0.8


def test_the_weights_of_adaboost_reach_the_fit():
    network = small(MLPClassifier, hidden_layer_sizes=2, max_iter=40)
    meta = AdaBoostClassifier(network, n_estimators=2, random_state=0).fit(X, Y)
    first, second = meta.estimators_
    # Hastie, Rosset, Zhu and Zou (2009), "Multi-class AdaBoost", algorithm 2 (SAMME).
    wrong = first.predict(X) != Y
    error = wrong.mean()
    assert 0 < error < 2 / 3
    weight = np.where(wrong, 2 * (1 - error) / error, 1.0)
    expected = clone(second).fit(X, Y, sample_weight=weight / weight.sum())
    np.testing.assert_allclose(parameters(second), parameters(expected), rtol=1e-6)
    unweighted = parameters(clone(second).fit(X, Y))
    assert np.abs(parameters(second) - unweighted).max() > 1e-2


def test_adaboost_for_numbers():
    meta = AdaBoostRegressor(small(MLPRegressor, max_iter=60), n_estimators=5, random_state=0)
    assert meta.fit(X, Y).score(X, Y) > 0.9
    assert len(meta.estimators_) > 1


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_stacking(cls):
    classifies = cls is MLPClassifier
    meta = (StackingClassifier if classifies else StackingRegressor)(
        [("network", small(cls)), ("linear", LogisticRegression() if classifies else Ridge())],
        final_estimator=small(cls, solver="lbfgs", hidden_layer_sizes=()),
        cv=3,
    ).fit(X, Y)
    assert same_model(meta.named_estimators_["network"], small(cls).fit(X, Y))
    assert meta.final_estimator_.n_features_in_ == (6 if classifies else 2)
    assert meta.score(X, Y) > 0.85


def test_voting():
    members = [(f"seed {seed}", small(MLPClassifier, random_state=seed)) for seed in (0, 1)]
    meta = VotingClassifier(members, voting="soft", weights=[1, 2], n_jobs=2).fit(X, Y)
    one, other = (clone(member).fit(X, Y).predict_proba(X) for _, member in members)
    np.testing.assert_allclose(meta.predict_proba(X), (one + 2 * other) / 3, rtol=1e-12)
    members = [(f"seed {seed}", small(MLPRegressor, random_state=seed)) for seed in (0, 1)]
    numbers = [clone(member).fit(X, Y).predict(X) for _, member in members]
    np.testing.assert_allclose(
        VotingRegressor(members).fit(X, Y).predict(X), np.mean(numbers, axis=0), rtol=1e-12
    )


# ---- several outputs ----


def test_one_classifier_for_each_output():
    names = np.array(["low", "high"])
    targets = np.column_stack([np.array(["x", "y", "z"])[Y], names[(X[:, 0] > 0).astype(int)]])
    meta = MultiOutputClassifier(small(MLPClassifier, max_iter=60), n_jobs=2).fit(X, targets)
    assert [list(member.classes_) for member in meta.estimators_] == [["x", "y", "z"], ["high", "low"]]
    assert (meta.predict(X) == targets).mean() > 0.9
    meta = MultiOutputClassifier(small(MLPClassifier))
    for _ in range(3):
        meta.partial_fit(X, targets, classes=[["x", "y", "z"], ["high", "low"]])
    alone = small(MLPClassifier)
    for _ in range(3):
        alone.partial_fit(X, targets[:, 1], classes=["high", "low"])
    assert same_model(meta.estimators_[1], alone)


def test_one_regressor_for_each_output():
    meta = MultiOutputRegressor(small(MLPRegressor)).fit(X, X[:, :2])
    for i, member in enumerate(meta.estimators_):
        assert same_model(member, small(MLPRegressor).fit(X, X[:, i]))


def test_classifier_chain():
    targets = np.column_stack([Y == 0, Y == 1]).astype(int)
    chain = ClassifierChain(small(MLPClassifier, max_iter=60), order=[1, 0], cv=3).fit(X, targets)
    assert [member.n_features_in_ for member in chain.estimators_] == [4, 5]
    assert (chain.predict(X) == targets).mean() > 0.9


# ---- what a model has learned ----


class Ranked(MLPRegressor):
    """A regressor that ranks its features by permutation."""

    def fit(self, X, y):
        super().fit(X, y)
        found = permutation_importance(self, X, y, n_repeats=3, random_state=0)
        self.importances_ = found.importances_mean
        return self


def test_features_eliminated_by_permutation_importance():
    rows, target, slopes = make_regression(150, 6, n_informative=2, coef=True, random_state=0)
    network = small(Ranked, solver="lbfgs", max_iter=50)
    eliminated = RFE(network, n_features_to_select=2, importance_getter="importances_")
    eliminated.fit(rows, target / target.std())
    np.testing.assert_array_equal(eliminated.support_, slopes != 0)
    assert eliminated.estimator_.n_features_in_ == 2


@pytest.mark.parametrize("kind", ["average", "both"])
def test_partial_dependence_display(kind):
    rows = np.random.RandomState(0).uniform(-1, 1, (200, 2))
    target = 2 * rows[:, 0] + rows[:, 1] ** 2
    network = small(MLPRegressor, solver="lbfgs", max_iter=200).fit(rows, target)
    display = PartialDependenceDisplay.from_estimator(
        network, rows, [0, 1], kind=kind, grid_resolution=11
    )
    line, parabola = (found["average"][0] for found in display.pd_results)
    grid = display.pd_results[0]["grid_values"][0]
    np.testing.assert_allclose(np.diff(line), 2 * np.diff(grid), rtol=0.2)
    assert parabola.argmin() in (4, 5, 6)
    plt.close(display.figure_)


def test_partial_dependence_of_a_class_from_a_frame():
    frame = pd.DataFrame(X, columns=NAMES)
    network = small(MLPClassifier, max_iter=60).fit(frame, Y)
    display = PartialDependenceDisplay.from_estimator(
        network, frame, ["d"], target=2, response_method="predict_proba", grid_resolution=5
    )
    assert (np.diff(display.pd_results[0]["average"][2]) > 0).all()
    plt.close(display.figure_)


@pytest.mark.parametrize("kind", ["kernel", "permutation"])
def test_shap_values_add_up_to_the_prediction(kind):
    shap = pytest.importorskip("shap")
    network = small(MLPClassifier, max_iter=60).fit(X, Y)
    network.coefs_[0][1] = 0  # a feature that does not count
    background, rows = X[:20], X[100:103]
    if kind == "kernel":
        explainer = shap.KernelExplainer(network.predict_proba, background, seed=0)
        values, base = explainer.shap_values(rows, silent=True), explainer.expected_value
    else:
        found = shap.PermutationExplainer(network.predict_proba, background, seed=0)(rows, silent=True)
        values, base = found.values, found.base_values[0]
    assert values.shape == (3, 4, 3)
    np.testing.assert_allclose(base, network.predict_proba(background).mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(base + values.sum(axis=1), network.predict_proba(rows), atol=1e-6)
    np.testing.assert_allclose(values[:, 1], 0, atol=1e-6)
    assert (np.abs(values).max(axis=(0, 2))[[0, 2, 3]] > 0.01).all()


# ---- others' pipelines and searches ----


def test_imbalanced_pipeline():
    network = small(MLPClassifier)
    pipeline = make_imbalanced_pipeline(StandardScaler(), RandomOverSampler(random_state=0), network)
    plain = make_pipeline(StandardScaler(), network)
    recalls = [
        recall_score(RARE_Y, cross_val_predict(model, RARE_X, RARE_Y, cv=3))
        for model in (pipeline, plain)
    ]
    assert recalls[0] > recalls[1]
    scaled = StandardScaler().fit_transform(RARE_X)
    rows, labels = RandomOverSampler(random_state=0).fit_resample(scaled, RARE_Y)
    assert len(set(np.bincount(labels))) == 1
    assert same_model(pipeline.fit(RARE_X, RARE_Y)[-1], clone(network).fit(rows, labels))


def test_optuna_prunes_through_partial_fit():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rows, new, labels, of_new = train_test_split(X, Y, stratify=Y, random_state=0)

    def objective(trial):
        rate = trial.suggest_float("learning_rate_init", 1e-6, 0.1, log=True)
        model = small(MLPClassifier, learning_rate_init=rate, batch_size=16)
        for epoch in range(15):
            model.partial_fit(rows, labels, classes=[0, 1, 2])
            trial.report(model.evaluate(new, of_new)["loss"], epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return model.evaluate(new, of_new)["loss"]

    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=2),
    )
    for rate in [0.01, 0.02, 1e-6]:
        study.enqueue_trial({"learning_rate_init": rate})
    study.optimize(objective, n_trials=10)
    states = [trial.state.name for trial in study.trials]
    assert states[:3] == ["COMPLETE", "COMPLETE", "PRUNED"]
    assert len(study.trials[2].intermediate_values) == 3
    assert study.best_value < 0.3
