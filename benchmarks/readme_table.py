"""Print the table of speed that stands in README.md from a run of compare.py kept with --json.

python benchmarks/readme_table.py out.json [--threads 1] [--dtype float32]
"""

import argparse
import json
from pathlib import Path
from statistics import median

from report import ratio, show, show_seconds
from workloads import DENSE, OURS

OTHERS = {"scikit-learn": ["scikit-learn"], "PyTorch": ["PyTorch"], "JAX": ["JAX"]}
OTHERS["better C loop"] = ["C loop", "C sharded"]
GAP, TIMES = "\u00a0", "\u00d7"  # no line breaks at the gap
SHAPE = "workload", f"rows{GAP}{TIMES} features", "hidden", "outputs", "batch"


def line(name, times):
    """The cells of a workload: its shapes, our seconds, and the ratio of each other system."""
    w = DENSE[name]
    ours = times[name, OURS]
    best = [
        min(filter(None, (ratio(times.get((name, s)), ours) for s in systems)), default=None)
        for systems in OTHERS.values()
    ]
    return [
        name + (" (tanh)" if w.activation == "tanh" else ""),
        f"{w.rows:,}{GAP}{TIMES}{GAP}{w.features}",
        ", ".join(map(str, w.hidden)),
        str(w.outputs),
        str(w.batch),
        show_seconds(median(ours)).replace("us", "µs"),
        *("-" if value is None else f"{show(value)}{GAP}{TIMES}" for value in best),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    options = parser.parse_args()
    times = {
        (r["workload"], r["system"]): r["seconds"]
        for r in json.loads(options.file.read_text())["results"]
        if (r["job"], r["threads"], r["dtype"]) == ("fit", options.threads, options.dtype)
    }
    lines = [line(name, times) for name in DENSE if (name, OURS) in times]
    head = [*SHAPE, OURS, *OTHERS]
    for cells in (head, ["---"] * len(head), *lines):
        print("|" + "|".join(f" {cell} " if cell != "---" else cell for cell in cells) + "|")


if __name__ == "__main__":
    main()
