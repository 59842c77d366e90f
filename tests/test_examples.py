"""Every example runs as a script and says what it is there to say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import sklearn

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))

# The line that each must print, and the arguments it is run with.
EXPECTED = {
    "demo": (r"^The weights agree within 1e-06 relative in every row\.$", ["--repeats", "1"]),
    "plot_dask_grid_search": (r"^same scores as without the cluster: True$", []),
    "plot_export_to_c": (r"^same labels in C: True$", []),
    "plot_onnx_pipeline": (r"^same labels: True\nprobabilities agree to 1e-5: True$", []),
    "plot_out_of_core": (r"^held-out accuracy 0\.9", []),
    "plot_own_training_loop": (r"^same weights to 1e-10: True$", []),
    "plot_partial_fit_stream": (r"^accuracy on rows not yet seen.*: 0\.[89]", []),
    "plot_persistence_joblib": (r"^resumed training gives the same model: True$", []),
    "plot_pipeline_grid_search": (r"^held-out accuracy 0\.9", []),
    "plot_save_and_load": (r"^refused: layers\[1\]\.weights\[3\]: 9 numbers, expected 10$", []),
    "plot_schedules": (r"^best .*held-out accuracy 0\.9", []),
    "plot_validation_set": (r"^time-ordered validation set: .*validation R2 0\.[89]", []),
}


def test_examples_are_found():
    assert {path.stem for path in EXAMPLES} == set(EXPECTED)


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "doc/training.md",
        "doc/prediction.md",
        "doc/persistence.md",
        "doc/json.md",
        "doc/onnx.md",
        "doc/c.md",
        "doc/scale_out.md",
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_code_on_a_page_runs(page):
    """The Python blocks of a page, one after the other."""
    text = (Path(__file__).parents[1] / page).read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 3
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
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(line, run.stdout, re.MULTILINE), run.stdout
