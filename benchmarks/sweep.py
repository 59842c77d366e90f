"""Seconds per epoch against width and batch size, for each system: measured and drawn.

python benchmarks/sweep.py --json sweep.json [--plot doc/performance/sweep.svg]
python benchmarks/sweep.py --draw sweep.json --plot doc/performance/sweep.svg

Drawing needs matplotlib, which nothing else here does.
"""

import json
from dataclasses import asdict
from pathlib import Path
from statistics import median

from compare import common_arguments, complete, measure, progress, start_workers
from workloads import OURS, Workload

ROWS = 4096
SWEEPS = {
    "width": {w: Workload(ROWS, 64, (w, w), 10, 128) for w in (8, 16, 32, 64, 128, 256, 512, 1024)},
    "batch": {b: Workload(ROWS, 64, (128, 128), 10, b) for b in (1, 4, 16, 64, 256, 1024, 4096)},
}
AXES = {
    "width": "units in each of two hidden layers (batch 128)",
    "batch": "rows of a batch (two hidden layers of 128)",
}
# By system, so that a system missing leaves the others' colours as they are.
COLORS = {
    OURS: "#0072b2",
    "scikit-learn": "#e69f00",
    "PyTorch": "#d55e00",
    "JAX": "#009e73",
    "C loop": "#000000",
    "C sharded": "#999999",
}


def run(options):
    """The timings of all points: a process per system for all of them, the systems taking turns."""
    plan = [(s, threads, "float32") for threads in options.threads for s in options.systems]
    first = next(iter(SWEEPS["width"].values()))
    workers, left_out = start_workers(plan, first, options.yardstick)
    for system, why in left_out.items():
        progress(f"left out: {system}, {why}")
    results = []
    for axis, points in SWEEPS.items():
        for value, workload in points.items():
            progress(f"{axis} {value}")
            for worker in workers:
                worker.ask("load", workload=asdict(workload), used_heap=False)
                worker.ask("fit", calls=1)
            found = measure([(worker, "fit") for worker in workers], options)
            results += [{"axis": axis, "value": value, **result} for result in found]
    for worker in workers:
        worker.close()
    return results


def draw(results, path):
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "sweep", "font.size": 9})
    from matplotlib import pyplot

    threads = sorted({r["threads"] for r in results})
    size = (9, 0.4 + 3.4 * len(threads))
    figure, panels = pyplot.subplots(len(threads), 2, figsize=size, sharey=True, squeeze=False)
    for row, n_threads in zip(panels, threads, strict=True):
        for panel, (axis, label) in zip(row, AXES.items(), strict=True):
            here = [r for r in results if (r["axis"], r["threads"]) == (axis, n_threads)]
            for system, color in COLORS.items():
                points = [(r["value"], median(r["seconds"])) for r in here if r["system"] == system]
                if points:
                    width, front = (2.2, 3) if system == OURS else (1.3, 2)
                    x, y = zip(*points, strict=True)
                    panel.plot(x, y, "o-", ms=3, lw=width, color=color, label=system, zorder=front)
            panel.set_xscale("log", base=2)
            panel.set_yscale("log")
            panel.set_xticks(list(SWEEPS[axis]), [str(value) for value in SWEEPS[axis]])
            panel.minorticks_off()
            panel.set_xlabel(label)
            panel.grid(color="#dddddd", lw=0.6)
            for side in ("top", "right"):
                panel.spines[side].set_visible(False)
        what = "one thread" if n_threads == 1 else f"{n_threads} threads"
        row[0].set_ylabel(f"seconds per epoch, {what}")
    panels[0][0].legend(frameon=False)
    figure.suptitle(f"{ROWS:,} rows of 64 features, 10 classes, relu, Adam, float32", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main():
    parser, _ = common_arguments(__doc__.splitlines()[0])
    parser.set_defaults(threads=["1"], repeats=3, seconds=0.2)
    parser.add_argument("--draw", type=Path, help="do not measure: draw what --json has written")
    parser.add_argument("--plot", type=Path, help="draw here, .svg or .png")
    options = complete(parser.parse_args(), parser)
    if options.draw:
        results = json.loads(options.draw.read_text())["results"]
    else:
        results = run(options)
        if options.json:
            options.json.write_text(json.dumps({"results": results}, indent=1) + "\n")
    if options.plot:
        draw(results, options.plot)


if __name__ == "__main__":
    main()
