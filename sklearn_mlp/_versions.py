"""show_versions: what a report of a problem should say."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from joblib import cpu_count
from threadpoolctl import threadpool_info

from sklearn_mlp._blas import CALLS_BLAS, INSTRUCTION_SET
from sklearn_mlp._build_config import COMPILER, INSTRUCTION_SETS, OPENMP
from sklearn_mlp._threads import WORTH_A_TEAM, n_threads_for

REQUIRED = ("numpy", "scipy", "scikit-learn", "joblib", "threadpoolctl")
OPTIONAL = ("dask", "matplotlib", "onnx", "onnxruntime", "pandas", "polars", "skl2onnx", "skops")


def show_versions() -> None:
    """Print versions, BLAS, threads and instruction set, for reports of problems.

    The package, Python, what it requires and what is installed of its optional extras; how it was
    compiled; the instruction set that its kernels use; the thread pools that are loaded; and how many
    threads a fit would use now.

    Examples
    --------
    >>> import sklearn_mlp
    >>> sklearn_mlp.show_versions()  # doctest: +ELLIPSIS
    sklearn_mlp: ...
    """
    sections: dict[str, Mapping[str, object]] = {
        "": {"sklearn_mlp": version("sklearn-mlp"), **_system()},
        "Required packages": {name: _version(name) for name in REQUIRED},
        "Optional packages": {name: _version(name) for name in OPTIONAL},
        "Kernels": _kernels(),
        "Thread pools": _pools(),
    }
    lines = []
    for title, facts in sections.items():
        lines += ["", title] if title else []
        lines += [f"{'  ' if title else ''}{name}: {fact}" for name, fact in facts.items()]
    print("\n".join(lines))


def _system() -> dict[str, str]:
    python = f"{platform.python_implementation()} {sys.version.split()[0]}"
    return {"python": python, "machine": platform.platform()}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _kernels() -> dict[str, object]:
    return {
        "compiler": COMPILER,
        "instruction set": f"{INSTRUCTION_SET} (built: {', '.join(INSTRUCTION_SETS)})",
        "matrix products": "BLAS" if CALLS_BLAS else "own",
        "OpenMP": "yes" if OPENMP else "no",
        "processors": cpu_count(),
        "threads of a large fit": n_threads_for(WORTH_A_TEAM),
    }


def _pools() -> dict[str, str]:
    """The libraries with threads of their own, among them BLAS, by their place in the process."""
    pools = {}
    for i, pool in enumerate(threadpool_info(), start=1):
        parts = [pool["internal_api"], pool.get("version"), pool.get("architecture")]
        known = " ".join(str(part) for part in parts if part)
        pools[f"{i}. {pool['user_api']}"] = f"{known}, {pool['num_threads']} threads"
    return pools
