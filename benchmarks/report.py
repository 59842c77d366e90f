"""What compare.py prints: the setting before the runs, after them the tables of ratios and the bars.

python benchmarks/report.py out.json prints the tables of a run kept with --json again.
"""

import contextlib
import json
import os
import platform
import sys
from itertools import groupby
from pathlib import Path
from statistics import median

from workloads import BARS, DENSE, OURS, WORKLOADS, most_bytes

TITLES = {
    "fit": "Training: seconds per epoch",
    "predict": "Bulk prediction: seconds for all rows",
}
SHAPE = ("rows", "features", "hidden", "outputs", "batch", "activation", "regression", "density")


def print_setting(versions, options):
    """What is measured, where, and with which versions."""
    facts = [
        ("processor", f"{cpu_model()}, {os.cpu_count()} visible"),
        ("platform", platform.platform()),
        ("load", load()),
        ("heap", "used: a large array was freed before" if options.used_heap else "fresh"),
        ("rounds", f"{options.repeats}, each run about {options.seconds} s or five epochs"),
    ]
    for worker, packages in versions.items():
        facts.append((worker, ", ".join(f"{name} {version}" for name, version in packages.items())))
    print_columns(facts)
    print()
    shapes = [[str(getattr(WORKLOADS[w], c)) for c in SHAPE] for w in options.workloads]
    lines = [[name, *shape] for name, shape in zip(options.workloads, shapes, strict=True)]
    print_columns([["workload", *SHAPE], *lines])


def print_results(report):
    """All tables. `times` has the seconds of each round by workload, job, system, threads, dtype."""
    times = {
        (r["workload"], r["job"], r["system"], r["threads"], r["dtype"]): r["seconds"]
        for r in report["results"]
    }
    for job, title in TITLES.items():
        if lines := list(ratios(times, job)):
            print(f"\n{title} of {OURS}, then OTHER's seconds / ours\n")
            others = others_of(times, job)
            print_columns([("workload", "threads", "dtype", OURS, *others), *lines])
    if lines := list(one_row(times)):
        print("\nOne row, 20-64-64-2, float32, one thread: seconds per call, then OTHER's / ours\n")
        print_columns([("", OURS, *others_of(times, "row predict_proba")), *lines])
    verdicts = print_bars(times) + print_memory(report["peak_bytes"])
    if verdicts:
        print(f"\nbars met: {sum(verdicts)} of {len(verdicts)}")
    if report["left_out"]:
        print("\nLeft out\n")
        print_columns(one_line_per_reason(report["left_out"]))


def others_of(times, job):
    return list(dict.fromkeys(key[2] for key in times if key[1] == job and key[2] != OURS))


def ratios(times, job):
    """A line per workload, number of threads and dtype: our median, then each ratio."""
    for workload, kind, system, *where in times:
        if (kind, system) == (job, OURS):
            ours = times[workload, job, OURS, *where]
            yield (
                workload,
                *map(str, where),
                show_seconds(median(ours)),
                *(
                    show(ratio(times.get((workload, job, s, *where)), ours))
                    for s in others_of(times, job)
                ),
            )


def one_row(times):
    for (workload, job, system, *where), ours in times.items():
        if workload == "row" and system == OURS:
            same = "row predict_proba" if "proba" in job else "row predict"
            theirs = [
                times.get((workload, same, s, *where)) for s in others_of(times, "row predict_proba")
            ]
            cells = [show(ratio(other, ours)) for other in theirs]
            yield (job.removeprefix("row "), show_seconds(median(ours)), *cells)


def print_bars(times):
    """A table in markdown, then a line for each other bar; returns whether each is met."""
    verdicts = []

    def cell(bar, workload):
        ours, found = times.get(bar.ours(workload)), [times.get(key) for key in bar.theirs(workload)]
        found = [ratio(other, ours) for other in found if other and ours]
        if not found:
            return "-"
        least = bar.least.get(workload)
        if least is None:
            return show(min(found))
        verdicts.append(min(found) >= least)
        return f"{show(min(found))} ({least} {'met' if verdicts[-1] else 'MISSED'})"

    tables = groupby(BARS, lambda bar: tuple(set(bar.least) & set(DENSE)) != ())
    for dense, bars in tables:
        bars = list(bars)
        columns = list(DENSE) if dense else []
        lines = [[bar.title, *(cell(bar, name) for name in columns)] for bar in bars]
        if any(set(line[1:]) - {"-"} for line in lines):
            print("\nThe bars: OTHER's seconds / ours; in brackets the least it is to be\n")
            print_columns(["| " + " | ".join(line) + " |"] for line in markdown(["", *columns], lines))
        others = [
            (name, bar, cell(bar, name)) for bar in bars for name in bar.least if name not in DENSE
        ]
        lines = [(f"{name}, {bar.title}", text) for name, bar, text in others if text != "-"]
        if lines:
            print()
            print_columns(lines)
    return verdicts


def markdown(head, lines):
    """The cells of head and lines, padded, with the rule between them."""
    lines = [head, *lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines = [[cell.ljust(n) for cell, n in zip(line, widths, strict=True)] for line in lines]
    return [lines[0], ["-" * n for n in widths], *lines[1:]]


def print_memory(peak_bytes):
    verdicts = []
    for workload, peaks in peak_bytes.items():
        print(f"\nPeak memory of a fit beyond its input, {workload}, one thread\n")
        lines = []
        for name, peak in peaks.items():
            system, dtype = name.split(", ")
            most, verdict = most_bytes(WORKLOADS[workload], dtype), ""
            if system == OURS and dtype == "float32":
                verdicts.append(peak <= most)
                verdict = f"(at most {most / 1e6:.1f} {'met' if verdicts[-1] else 'MISSED'})"
            lines.append((system, dtype, f"{peak / 1e6:.1f} MB {verdict}"))
        print_columns(lines)
    return verdicts


def one_line_per_reason(left_out):
    """A system that is not installed is left out of every workload: said once."""
    reasons = {}
    for name, why in left_out.items():
        workload, system = name.split(", ")
        reasons.setdefault((system, why), []).append(workload)
    return [(system, " ".join(names), why) for (system, why), names in reasons.items()]


def ratio(other, ours):
    """The median over rounds of the ratio within a round."""
    return median(a / b for a, b in zip(other, ours, strict=True)) if other else None


def show(value):
    if value is None:
        return "-"
    return f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


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


def load():
    return f"{os.getloadavg()[0]:.2f} when this started" if hasattr(os, "getloadavg") else "?"


def cpu_model():
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    print_results(json.loads(Path(sys.argv[1]).read_text()))
