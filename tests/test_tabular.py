"""TabularMLPClassifier and TabularMLPRegressor: the contract, what their parameters do, real tables."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, make_classification, make_regression
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_mlp import MLPClassifier, MLPRegressor, TabularMLPClassifier, TabularMLPRegressor

QUICK = {"hidden_layer_sizes": (32, 32), "max_iter": 60, "n_members": 1, "random_state": 0}
WEIGHTS = (
    "repeating a row and doubling its weight put different rows into the batches, the validation split "
    "and the quartiles of the preprocessing"
)
EXPECTED = {"check_sample_weight_equivalence_on_dense_data": WEIGHTS}


@parametrize_with_checks(
    [TabularMLPClassifier(**QUICK), TabularMLPRegressor(**QUICK)],
    expected_failed_checks=lambda estimator: EXPECTED,
)
@pytest.mark.filterwarnings("ignore")
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def mixed_frame():
    """A table with gaps, text, a date and a boolean, with labels and numbers that depend on them."""
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    n = 400
    number, colour = rng.normal(size=n), rng.choice(["red", "green", "blue"], size=n)
    X = pd.DataFrame(
        {
            "number": np.where(rng.random(n) < 0.1, np.nan, number),
            "colour": np.where(rng.random(n) < 0.1, None, colour),
            "flag": rng.random(n) < 0.5,
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 700, n), unit="D"),
        }
    )
    value = number + 2.0 * (colour == "red") + X["flag"].to_numpy()
    return X, np.where(value > 1.2, "high", "low"), 1000.0 + 50.0 * value


def test_a_frame_as_it_comes(mixed_frame):
    X, labels, numbers = mixed_frame
    classifier = TabularMLPClassifier(**QUICK).fit(X[:300], labels[:300])
    assert classifier.score(X[300:], labels[300:]) > 0.8
    assert classifier.feature_names_in_.tolist() == list(X.columns)
    regressor = TabularMLPRegressor(**QUICK).fit(X[:300], numbers[:300])
    assert regressor.score(X[300:], numbers[300:]) > 0.6
    with pytest.raises(ValueError, match="feature names"):
        classifier.predict(X.rename(columns={"flag": "other"}))


def test_members_are_averaged_and_differ():
    X, y = load_iris(return_X_y=True)
    model = TabularMLPClassifier(**QUICK | {"n_members": 3}).fit(X, y)
    rows = model.preprocessor_.transform(X)
    each = [member.predict_proba(rows) for member in model.members_]
    np.testing.assert_allclose(
        model.predict_proba(X), np.mean(each, axis=0, dtype=np.float64), rtol=1e-6
    )
    assert np.abs(each[0] - each[1]).max() > 1e-3
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X))
    assert model.n_iter_ == 60
    assert model.history_ is model.members_[0].history_


@pytest.mark.parametrize("n_jobs", [1, 2, None])
def test_threads_change_nothing(n_jobs):
    X, y = load_iris(return_X_y=True)
    alone = TabularMLPClassifier(**QUICK | {"n_members": 2}, n_jobs=1).fit(X, y)
    other = TabularMLPClassifier(**QUICK | {"n_members": 2}, n_jobs=n_jobs).fit(X, y)
    np.testing.assert_array_equal(alone.predict_proba(X), other.predict_proba(X))


def test_predictions_stay_within_the_range_of_targets():
    X, y = make_regression(300, 5, random_state=0)
    far = 20 * X
    clipped = TabularMLPRegressor(**QUICK, preprocessor=None).fit(X, y)
    free = clone(clipped).set_params(clip=False).fit(X, y)
    assert clipped.predict(far).max() == y.max()
    assert clipped.predict(far).min() == y.min()
    assert free.predict(far).max() > y.max()
    np.testing.assert_allclose(np.clip(free.predict(far), y.min(), y.max()), clipped.predict(far))


def test_targets_far_from_zero():
    X, y = load_diabetes(return_X_y=True)
    plain = TabularMLPRegressor(**QUICK).fit(X, y)
    moved = TabularMLPRegressor(**QUICK).fit(X, 1e9 + 1e3 * y)
    np.testing.assert_allclose((moved.predict(X) - 1e9) / 1e3, plain.predict(X), rtol=0.02)


def test_several_targets():
    X, y = make_regression(200, 5, n_targets=3, random_state=0)
    y[:, 2] = 7.0
    model = TabularMLPRegressor(**QUICK).fit(X, y)
    assert model.predict(X).shape == (200, 3)
    np.testing.assert_allclose(model.predict(X)[:, 2], 7.0)
    assert model.target_scale_[2] == 1.0


@pytest.mark.parametrize(
    ("scoring", "smoothing"),
    [
        (None, 0.1),
        ("accuracy", 0.1),
        ("f1_macro", 0.1),
        ("loss", 0.0),
        ("neg_log_loss", 0.0),
        ("roc_auc_ovr", 0.0),
        ("neg_brier_score", 0.0),
    ],
)
def test_smoothing_goes_by_what_is_scored(scoring, smoothing):
    X, y = load_iris(return_X_y=True)
    model = TabularMLPClassifier(**QUICK | {"max_iter": 2}, scoring=scoring).fit(X, y)
    assert model.members_[0].label_smoothing == smoothing
    model.set_params(label_smoothing=0.25).fit(X, y)
    assert model.members_[0].label_smoothing == 0.25


def test_rows_of_ones_own_to_validate_on():
    X, y = load_iris(return_X_y=True)
    model = TabularMLPClassifier(**QUICK).fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    best = max(model.history_["val_score"])
    assert model.score(X[1::2], y[1::2]) == pytest.approx(best)
    with pytest.raises(ValueError, match="go together"):
        TabularMLPClassifier(**QUICK).fit(X, y, X_val=X)


@pytest.mark.parametrize("n_rows", [6, 12, 30])
def test_few_rows(n_rows):
    X, y = load_iris(return_X_y=True)
    rows = np.arange(0, 150, 150 // n_rows)[:n_rows]
    classifier = TabularMLPClassifier(**QUICK).fit(X[rows], y[rows])
    assert classifier.members_[0].early_stopping == (n_rows >= 25)
    assert classifier.score(X, y) > 0.6
    assert np.isfinite(TabularMLPRegressor(**QUICK).fit(X[rows], X[rows, 0]).predict(X)).all()


def test_a_class_with_one_member():
    X, y = make_classification(60, random_state=0)
    y[:] = 0
    y[0] = 1
    model = TabularMLPClassifier(**QUICK).fit(X, y)
    assert model.classes_.tolist() == [0, 1]
    assert not model.members_[0].early_stopping


def test_one_class():
    X, _ = load_iris(return_X_y=True)
    model = TabularMLPClassifier((4,), max_iter=1, random_state=0).fit(X, np.full(len(X), "only"))
    assert model.predict_proba(X)[:, 1].max() > 0.5
    assert set(model.predict(X)) == {"only"}


def test_epochs_and_batches_go_by_the_rows():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200_000, 2)).astype(np.float32), np.tile([0, 1], 100_000)
    small = TabularMLPClassifier((4,), random_state=0).fit(X[:125], y[:125])
    assert (small.n_iter_, small.members_[0].batch_size) == (256, 16)
    large = TabularMLPClassifier((4,), random_state=0).fit(X, y)
    assert (large.n_iter_, large.members_[0].batch_size) == (18, 256)


def test_preprocessor_of_ones_own():
    X, y = load_iris(return_X_y=True)
    model = TabularMLPClassifier(**QUICK, preprocessor=StandardScaler()).fit(X, y)
    assert isinstance(model.preprocessor_, StandardScaler)
    scaled = StandardScaler().fit_transform(X)
    none = TabularMLPClassifier(**QUICK, preprocessor=None).fit(scaled, y)
    np.testing.assert_allclose(none.predict_proba(scaled), model.predict_proba(X))


TINY = {"hidden_layer_sizes": (2,), "max_iter": 1, "n_members": 1, "random_state": 0}
EACH_CLASS = pytest.mark.parametrize("cls", [TabularMLPClassifier, TabularMLPRegressor])


@EACH_CLASS
def test_as_many_members_as_rows_are_few(cls):
    X = np.random.default_rng(0).normal(size=(14_000, 1))
    y = (X[:, 0] > 0).astype(int)
    model = cls(**TINY | {"n_members": "auto"}, preprocessor=None)
    rows = [20, 4_444, 4_445, 8_000, 13_333, 13_334, 14_000]
    counts = [len(model.fit(X[:n], y[:n]).members_) for n in rows]
    assert counts == [5, 5, 4, 2, 2, 1, 1]


def bins_of(model):
    """The bins of each column, None where there are none."""
    encoder = model.preprocessor_.named_transformers_.get("bins")
    return None if encoder is None else encoder[-1].n_bins_.tolist()


def test_bins_by_the_task():
    X = np.random.default_rng(0).normal(size=(200, 2))
    y = (X[:, 0] > 0).astype(int)
    assert bins_of(TabularMLPClassifier(**TINY).fit(X, y)) is None
    for bins in ("quantile", "tree"):
        assert min(bins_of(TabularMLPClassifier(**TINY, bins=bins).fit(X, y))) >= 1
    assert bins_of(TabularMLPRegressor(**TINY, bins=None).fit(X, X[:, 0])) is None
    models = [TabularMLPRegressor(**TINY, bins=bins).fit(X, X[:, 0]) for bins in ("auto", "quantile")]
    edges = [model.preprocessor_.named_transformers_["bins"][-1].bin_edges_ for model in models]
    np.testing.assert_array_equal(*edges)
    assert bins_of(models[0]) == [3, 3]
    assert models[0].members_[0].n_features_in_ == 2 + 6


@pytest.mark.parametrize(("n_rows", "n_bins"), [(10, 2), (191, 2), (192, 3), (3_072, 48), (5_000, 48)])
def test_bins_go_by_the_rows(n_rows, n_bins):
    X = np.random.default_rng(0).normal(size=(n_rows, 1))
    assert bins_of(TabularMLPRegressor(**TINY).fit(X, X[:, 0])) == [n_bins]


@EACH_CLASS
@pytest.mark.parametrize(
    ("n_rows", "n_columns", "n_bins"), [(150, 1, 2), (640, 1, 10), (17_000, 1, 256), (8_000, 20, 102)]
)
def test_bins_of_trees_go_by_rows_and_columns(cls, n_rows, n_columns, n_bins):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n_rows, n_columns)), rng.integers(0, 2, n_rows)
    model = cls(**TINY, bins="tree").fit(X, y)
    assert bins_of(model) == [n_bins] * n_columns
    for x, edges in zip(
        X.T, model.preprocessor_.named_transformers_["bins"][-1].bin_edges_, strict=True
    ):
        assert 8 <= np.histogram(x, edges)[0].min() < 64


@pytest.mark.parametrize(
    ("cls", "n_rows", "n_columns", "n_bins"),
    [
        (TabularMLPClassifier, 255, 2, None),  # fewer than 64 rows for each class and column
        (TabularMLPClassifier, 256, 2, 2),
        (TabularMLPClassifier, 1_536, 2, 6),
        (TabularMLPClassifier, 13_000, 1, 48),
        (TabularMLPRegressor, 1_000, 100, 10),
        (TabularMLPRegressor, 20, 512, 2),
        (TabularMLPRegressor, 20, 513, None),
    ],
)
def test_bins_of_their_own_accord_go_by_rows_and_columns(cls, n_rows, n_columns, n_bins):
    X = np.random.default_rng(0).normal(size=(n_rows, n_columns)).astype(np.float32)
    model = cls(**TINY).fit(X, (X[:, 0] > 0).astype(int))
    assert bins_of(model) == (n_bins and [n_bins] * n_columns)


@pytest.mark.parametrize(("n_rows", "n_bins"), [(639, None), (640, [2, 2])])
def test_bins_of_their_own_accord_go_by_the_classes(n_rows, n_bins):
    X = np.random.default_rng(0).normal(size=(n_rows, 2))
    model = TabularMLPClassifier(**TINY).fit(X, np.arange(n_rows) % 5)
    assert bins_of(model) == n_bins


def test_columns_of_other_kinds_do_not_count():
    pd = pytest.importorskip("pandas")
    numbers = np.random.default_rng(0).normal(size=300)
    X = pd.DataFrame(
        {"a": numbers, "b": numbers, **{name: np.resize(["u", "v"], 300) for name in "cde"}}
    )
    assert bins_of(TabularMLPClassifier(**TINY).fit(X, numbers > 0)) == [2, 2]


@EACH_CLASS
@pytest.mark.parametrize("preprocessor", [None, StandardScaler()])
def test_bins_are_for_the_preprocessing_that_is_made_here(cls, preprocessor):
    X = np.random.default_rng(0).normal(size=(200, 2))
    y = (X[:, 0] > 0).astype(int)
    for bins in ("auto", None):
        model = cls(**TINY, preprocessor=preprocessor, bins=bins).fit(X, y)
        assert model.members_[0].n_features_in_ == 2
    for bins in ("quantile", "tree"):
        with pytest.raises(ValueError, match=f"bins='{bins}' is for preprocessor='auto'"):
            cls(**TINY, preprocessor=preprocessor, bins=bins).fit(X, y)


# ---- the best epoch ----

PAIRS = pytest.mark.parametrize(
    ("cls", "plain"), [(TabularMLPClassifier, MLPClassifier), (TabularMLPRegressor, MLPRegressor)]
)


def scored(scores):
    """A scorer that gives these scores, one in each epoch."""
    scores = iter(scores)
    return lambda member, X, y: next(scores)


@PAIRS
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("scores", "last", "first"), [([0.5] * 4, 3, 0), ([0, 1, 1, 0], 2, 1), ([0, 2, 1, 1], 1, 1)]
)
def test_the_last_of_the_best_epochs_is_kept(cls, plain, scores, last, first):
    X = np.random.default_rng(0).normal(size=(40, 2))
    y = (X[:, 0] > 0).astype(int)
    tabular = cls(**TINY | {"max_iter": 4}, scoring=scored(scores)).fit(X, y)
    assert tabular.members_[0].validation_scores_ == scores
    assert tabular.history_.best_epoch == last
    other = plain(hidden_layer_sizes=(2,), max_iter=4, early_stopping=True, scoring=scored(scores))
    assert other.fit(X, y).history_.best_epoch == first


@EACH_CLASS
def test_the_parameters_are_those_of_the_last_best_epoch(cls):
    X = np.random.default_rng(0).normal(size=(40, 2))
    y = (X[:, 0] > 0).astype(int)
    model = cls(**TINY | {"max_iter": 4}, validation_fraction=0, scoring=scored([]))
    at_the_end = model.fit(X, y).members_[0]
    for scores, same in [([0.5] * 4, True), ([1, 0, 0, 0], False)]:
        model.set_params(scoring=scored(scores)).fit(X, y, X_val=X, y_val=y)
        assert np.array_equal(model.members_[0].coefs_[0], at_the_end.coefs_[0]) == same


def test_a_fit_that_fails_leaves_the_estimator_as_it_was():
    X, y = load_iris(return_X_y=True)
    model = TabularMLPClassifier(**QUICK).fit(X, y)
    before = model.predict_proba(X)
    with pytest.raises(ValueError, match="scoring"):
        model.set_params(scoring="no such").fit(X[:, :2], y)
    np.testing.assert_array_equal(model.predict_proba(X), before)


def test_neighbours_of_scikit_learn():
    X, y = load_iris(return_X_y=True)
    model = TabularMLPClassifier(**QUICK)
    search = GridSearchCV(make_pipeline(FunctionTransformer(), model), _grid(), cv=2).fit(X, y)
    assert search.best_score_ > 0.85
    assert (cross_val_predict(model, X, y, cv=2) == y).mean() > 0.85
    fitted = clone(model).fit(X, y)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))


def _grid():
    return {"tabularmlpclassifier__dropout": [0.0, 0.1]}


def test_labels_of_several_kinds_at_once():
    X, y = load_iris(return_X_y=True)
    indicators = np.c_[y == 0, y == 2, y > 0].astype(int)
    model = TabularMLPClassifier(**QUICK | {"n_members": 2}).fit(X, indicators)
    assert model.predict(X).shape == indicators.shape
    assert (model.predict(X) == indicators).mean() > 0.9


def test_not_fitted_has_no_record():
    with pytest.raises(AttributeError, match="history_"):
        _ = TabularMLPClassifier().history_
