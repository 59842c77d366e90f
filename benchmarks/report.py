"""What compare.py prints: the setting before the runs, the tables of ratios after them."""

import contextlib
import os
import platform
from pathlib import Path
from statistics import median

from systems import SYSTEMS
from workloads import BARS, WORKLOADS

OURS = "sklearn_mlp"
TITLES = {
    "fit": "Training: seconds per epoch",
    "predict": "Bulk prediction: seconds for all rows",
    "predict_row": "One row, predict_proba (predict of a regression): seconds per call",
}
SHAPE = ("rows", "features", "hidden", "outputs", "batch", "activation", "regression", "density")


def print_setting(versions, options):
    """What is measured, where, and with which versions."""
    load = f"{os.getloadavg()[0]:.2f} when this started" if hasattr(os, "getloadavg") else "?"
    facts = [
        ("processor", f"{cpu_model()}, {os.cpu_count()} visible"),
        ("platform", platform.platform()),
        ("load", load),
        ("dtype", options.dtype),
        ("heap", "used: a large array was freed before" if options.used_heap else "fresh"),
        ("rounds", f"{options.repeats}, each run about {options.seconds} s or one epoch"),
    ]
    for worker, packages in versions.items():
        facts.append((worker, ", ".join(f"{name} {version}" for name, version in packages.items())))
    print_columns(facts)
    print()
    shapes = [[str(getattr(WORKLOADS[w], c)) for c in SHAPE] for w in options.workloads]
    lines = [[name, *shape] for name, shape in zip(options.workloads, shapes, strict=True)]
    print_columns([["workload", *SHAPE], *lines])


def print_results(report, options):
    for job in options.jobs:
        print(f"\n{TITLES[job]} of {OURS}, then OTHER's seconds / ours\n")
        print_ratios([r for r in report["results"] if r["job"] == job], job, options)
    for workload, peaks in report["peak_bytes"].items():
        print(f"\nPeak memory of a fit beyond its input, {workload}, one thread\n")
        print_columns([[system, f"{peak / 1e6:.1f} MB"] for system, peak in peaks.items()])
    if report["left_out"]:
        print("\nLeft out\n")
        print_columns(one_line_per_reason(report["left_out"]))


def print_ratios(results, job, options):
    """A line per workload and number of threads: our median, then each ratio and its bar."""
    others = [s for s in options.systems if s != OURS and job in SYSTEMS[s].jobs]
    lines, verdicts = [["workload", "threads", OURS, *others]], []
    for workload in options.workloads:
        for threads in options.threads:
            here = (r for r in results if (r["workload"], r["threads"]) == (workload, threads))
            seconds = {r["system"]: r["seconds"] for r in here}
            if OURS not in seconds:
                continue
            line = [workload, str(threads), show_seconds(median(seconds[OURS]))]
            for system in others:
                bars = BARS.get((job, system, threads, options.dtype), {})
                cell, met = show_ratio(seconds.get(system), seconds[OURS], bars.get(workload))
                line.append(cell)
                verdicts += [met] if met is not None else []
            lines.append(line)
    print_columns(lines)
    if verdicts:
        print(f"\nbars met: {sum(verdicts)} of {len(verdicts)}")


def one_line_per_reason(left_out):
    """A system that is not installed is left out of every workload: said once."""
    reasons = {}
    for name, why in left_out.items():
        workload, system = name.split(", ")
        reasons.setdefault((system, why), []).append(workload)
    return [(system, " ".join(names), why) for (system, why), names in reasons.items()]


def show_ratio(other, ours, bar):
    """The median over rounds of the ratio within a round; and whether it reaches the bar."""
    if other is None:
        return "-", None
    ratio = median(a / b for a, b in zip(other, ours, strict=True))
    if bar is None:
        return f"{ratio:.2f}", None
    return f"{ratio:.2f} (>= {bar}: {'met' if ratio >= bar else 'MISSED'})", ratio >= bar


def show_seconds(seconds):
    for unit, factor in (("s", 1), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def print_columns(lines):
    """Lines of strings, each column as wide as its widest."""
    lines = [tuple(line) for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())


def cpu_model():
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
