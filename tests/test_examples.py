"""Every example runs as a script and says what it is there to say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sklearn

TOP = Path(__file__).parents[1]
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = [
    str(path.relative_to(TOP))
    for path in (TOP / "README.md", *sorted((TOP / "doc").glob("*.md")))
    if PYTHON_BLOCK.search(path.read_text("utf-8"))
]
EXAMPLES = sorted((TOP / "examples").glob("*.py"))

# The line that each must print, and the arguments it is run with.
EXPECTED = {
    "plot_binary_classification": (r"^alpha 0\.3: .*held-out accuracy 0\.9", []),
    "plot_class_weights": (r"^class weight balanced : found +9\d% ", []),
    "plot_dropout": (r"^dropout 0\.5: .*accuracy 0\.9", []),
    "plot_multiclass_classification": (r"^held-out accuracy 0\.9", []),
    "plot_quantile_intervals": (r"^held-out targets in the interval of nine tenths: 0\.[89]", []),
    "plot_regression": (r"^held-out R2 0\.9", []),
    "plot_xor_by_hand": (r"^by hand: \[0\. 1\. 1\. 0\.\]\ntrained: \[0 1 1 0\] ", []),
    "plot_losses_and_activations": (r"^relu, at 1: 1 with slope 1$", []),
    "demo": (r"^The weights agree within 1e-06 relative in every row\.$", ["--repeats", "1"]),
    "plot_dask_grid_search": (r"^same scores as without the cluster: True$", []),
    "plot_export_to_c": (r"^same labels in C: True$", []),
    "plot_onnx_pipeline": (r"^same labels: True\nprobabilities agree to 1e-5: True$", []),
    "plot_out_of_core": (r"^held-out accuracy 0\.9", []),
    "plot_own_training_loop": (r"^same weights to 1e-10: True$", []),
    "plot_partial_fit_stream": (r"^accuracy on rows not yet seen.*: 0\.[89]", []),
    "plot_persistence_joblib": (r"^resumed training gives the same model: True$", []),
    "plot_pipeline_grid_search": (r"^held-out R2 0\.9", []),
    "plot_save_and_load": (r"^refused: layers\[1\]\.weights\[3\]: 9 numbers, expected 10$", []),
    "plot_schedules": (r"^best .*held-out accuracy 0\.9", []),
    "plot_validation_set": (r"^time-ordered validation set: .*validation R2 0\.[89]", []),
}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_to_files(page):
    """Those of pages that are read where the repository is browsed; `make doc` checks the others."""
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (TOP / page).read_text("utf-8"))
    files = [link for link in links if "://" not in link]
    assert files
    assert [link for link in files if not (TOP / link).exists()] == []


def test_examples_are_found():
    assert {path.stem for path in EXAMPLES} == set(EXPECTED)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_code_on_a_page_runs(page):
    """The Python blocks of a page, one after the other."""
    blocks = PYTHON_BLOCK.findall((TOP / page).read_text("utf-8"))
    namespace = {}
    with sklearn.config_context():
        for block in blocks:
            exec(compile(block, page, "exec"), namespace)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path, tmp_path):
    line, arguments = EXPECTED[path.stem]
    run = subprocess.run(
        [sys.executable, path, *arguments],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(line, run.stdout, re.MULTILINE), run.stdout
