"""The history of a fit: its columns, its copies, what it prints."""

import copy
import doctest
import json
import pickle
import re
import sys

import numpy as np
import pytest

from sklearn_mlp import _report
from sklearn_mlp._report import FitReport

NAMES = [
    "loss",
    "val_loss",
    "val_score",
    "accuracy",
    "log_loss",
    "val_accuracy",
    "val_log_loss",
    "learning_rate",
    "gradient_norm",
    "seconds",
]


def report_of(n_epochs, names=("loss", "val_score", "seconds")):
    report = FitReport()
    for epoch in range(n_epochs):
        report.append({name: epoch + place / 8 for place, name in enumerate(names)})
    return report


def test_examples():
    assert doctest.testmod(_report).failed == 0
    assert FitReport.__doc__.count(">>>") > 3


def test_a_new_report_is_empty():
    report = FitReport()
    assert (len(report), report.columns, report.best_epoch, report.stop_reason) == (0, (), None, None)
    assert "loss" not in report
    assert repr(report) == "FitReport: 0 epochs"
    assert report.to_dict() == {"best_epoch": None, "stop_reason": None}


def test_columns_are_in_order_whatever_the_order_of_the_values():
    report = FitReport()
    report.append({name: NAMES.index(name) for name in reversed(NAMES)})
    swapped = ["accuracy", "log_loss"], ["val_accuracy", "val_log_loss"]
    expected = [*NAMES[:3], *swapped[0][::-1], *swapped[1][::-1], *NAMES[7:]]
    assert report.columns == report.keys() == tuple(report) == tuple(expected)
    report.append(dict.fromkeys(NAMES, 1))
    assert all(report[name] == [NAMES.index(name), 1] for name in NAMES)


@pytest.mark.parametrize(
    "names", [["loss"], ["loss", "x"], ["x", "y"], ["loss", "seconds", "x"], []], ids=" ".join
)
def test_an_epoch_with_other_columns_is_refused(names):
    report = report_of(2, ["loss", "seconds"])
    with pytest.raises(ValueError, match=r"those before it have \['loss', 'seconds'\]") as error:
        report.append(dict.fromkeys(names, 1.0))
    assert str(names) in str(error.value)
    assert report == report_of(2, ["loss", "seconds"])


def test_what_is_refused_leaves_no_trace():
    report = FitReport()
    with pytest.raises(ValueError, match=r"has the values \[\]\."):
        report.append({})
    with pytest.raises(TypeError):
        report.append({"loss": 1.0, "seconds": None})
    assert report == FitReport()
    assert "loss" not in report
    report.append({"loss": 1.0})
    with pytest.raises(TypeError):
        report.append({"loss": None})
    assert report["loss"] == [1.0]


def test_values_are_numbers_of_python():
    report = FitReport()
    report.append({"loss": np.float32(0.5), "accuracy": 1})
    assert [type(value) for name in report for value in report[name]] == [float, float]


def test_a_column_is_a_list_of_its_own():
    report = report_of(2)
    report["loss"].append(3.0)
    assert report["loss"] == [0.0, 1.0]


def test_a_missing_column_is_a_key_error_with_the_columns():
    report = report_of(2)
    assert "loss" in report
    assert "accuracy" not in report
    with pytest.raises(KeyError, match=r"'accuracy' was not recorded.*'loss', 'val_score', 'seconds'"):
        report["accuracy"]


def test_to_dict_goes_through_json():
    report = report_of(2)
    report.best_epoch, report.stop_reason = np.int64(1), "max_iter reached"
    content = report.to_dict()
    assert list(content) == ["loss", "val_score", "seconds", "best_epoch", "stop_reason"]
    assert json.loads(json.dumps(content)) == content
    assert content["val_score"] == [0.125, 1.125]
    assert content["best_epoch"] == 1
    assert content["stop_reason"] == "max_iter reached"


@pytest.mark.parametrize("n_epochs", [0, 3])
def test_to_frame(n_epochs):
    pytest.importorskip("pandas")
    report = report_of(n_epochs)
    frame = report.to_frame()
    assert frame.index.name == "epoch"
    assert list(frame.index) == list(range(n_epochs))
    assert tuple(frame.columns) == report.columns
    assert all(list(frame[name]) == report[name] for name in report)
    assert all(dtype == np.float64 for dtype in frame.dtypes)


def test_to_frame_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=re.escape('pip install "sklearn-mlp[pandas]"')):
        report_of(1).to_frame()


def pickled(report):
    return pickle.loads(pickle.dumps(report))


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_copies_are_equal_and_independent(copied):
    report = report_of(2)
    report.append({"loss": np.nan, "val_score": np.inf, "seconds": 3})
    report.best_epoch, report.stop_reason = 1, "diverged"
    other = copied(report)
    assert other == report
    other.append({"loss": 1, "val_score": 1, "seconds": 4})
    assert len(report) == 3
    assert other != report


@pytest.mark.parametrize(
    "change",
    [
        lambda report: setattr(report, "best_epoch", 0),
        lambda report: setattr(report, "stop_reason", "interrupted"),
        lambda report: report.append(dict.fromkeys(report, 1)),
    ],
)
def test_reports_differ(change):
    report = report_of(2)
    assert report == report_of(2)
    change(report)
    assert report != report_of(2)


def test_reports_with_other_values_or_names_differ():
    reports = [FitReport() for _ in range(3)]
    reports[0].append({"loss": 1})
    reports[1].append({"loss": 2})
    reports[2].append({"val_loss": 1})
    assert all(a != b for a, b in zip(reports, reports[1:] + reports[:1], strict=True))
    assert reports[0] != {"loss": [1.0]}


def test_a_report_has_no_hash():
    with pytest.raises(TypeError, match="unhashable"):
        hash(FitReport())


def test_repr_of_a_long_report():
    report = report_of(200)
    report.best_epoch, report.stop_reason = 37, "no improvement"
    header, *table = repr(report).splitlines()
    assert header == "FitReport: 200 epochs, 199.2 seconds, best epoch 37, stopped: no improvement"
    assert table[0].split() == ["epoch", "loss", "val_score", "seconds"]
    assert [line.split()[0] for line in table[1:]] == [*"01234", "...", *map(str, range(195, 200))]
    assert table[-1].split() == ["199", "199", "199.12", "199.25"]
    assert len({len(line) for line in table}) == 1  # aligned


@pytest.mark.parametrize(("n_epochs", "n_lines"), [(1, 3), (11, 13), (12, 13)])
def test_the_ellipsis_never_stands_for_one_epoch(n_epochs, n_lines):
    text = repr(report_of(n_epochs))
    assert len(text.splitlines()) == n_lines
    assert ("..." in text) == (n_epochs == 12)
    assert text.startswith(f"FitReport: {n_epochs} epoch{'s' if n_epochs > 1 else ''}, ")


def test_repr_has_as_many_columns_as_there_is_room_for():
    names = ["loss", *(f"a_metric_with_a_name_{i}" for i in range(9))]
    report = report_of(20, names)
    report.stop_reason = "for " + 50 * "good " + "reasons"
    text = repr(report)
    assert max(map(len, text.splitlines())) <= 100
    assert all(name in text for name in names)
    n_shown = len(next(line for line in text.splitlines() if line.startswith("epoch")).split())
    assert 4 <= n_shown < 11
    assert f"and the columns {names[n_shown - 1]}, " in text
    assert "and the columns" not in repr(report_of(20, NAMES[:7]))


@pytest.mark.parametrize(("length", "n_hidden"), [(51, 0), (52, 1)])
def test_repr_fills_the_width(length, n_hidden):
    names = [40 * "a", length * "b"]
    text = repr(report_of(2, names))
    assert len(text.splitlines()[-1]) == (len("and the columns ") + length if n_hidden else 100)
    assert text.count("and the columns b") == n_hidden


def test_repr_has_one_column_at_least():
    name = 120 * "a"
    assert repr(report_of(1, [name])).splitlines()[1] == f"epoch  {name}"


def test_repr_rounds_to_five_digits():
    report = FitReport()
    report.append({"loss": 1 / 3, "val_loss": np.nan, "learning_rate": 1e-3, "gradient_norm": 2e10})
    line = repr(report).splitlines()[-1]
    assert line.split() == ["0", "0.33333", "nan", "0.001", "2e+10"]
