"""Time training and prediction of sklearn_mlp against other systems, and print the bars: see README.md.

python benchmarks/compare.py [--workloads tiny,adult] [--threads 1,2] [--quick]
"""

import argparse
import contextlib
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

from report import print_results, print_setting
from systems import SYSTEMS
from worker import Unavailable, Worker
from workloads import NEEDED, WORKLOADS

JOBS = ("fit", "predict", "row")
# Epochs of a fit whose fixed cost should not count; the C loops' figures, medians of epochs, have none.
FEWEST_CALLS = {"fit": 5}
MOST_CALLS = {"fit": 4_000, "predict": 4_000, "row": 400_000}
# OpenBLAS's idle threads spin for a tenth of a second: not into the next system's run.
SETTLE = 0.15


def common_arguments(description):
    """The arguments that all scripts have which start workers."""
    parser = argparse.ArgumentParser(description=description)
    listed = {"type": lambda text: text.split(",")}
    parser.add_argument("--threads", default=["1", "2"], help="1, 2 or 1,2", **listed)
    parser.add_argument("--systems", default=list(SYSTEMS), help="names, by commas", **listed)
    parser.add_argument("--repeats", type=int, help="rounds, default 5; medians are over them")
    parser.add_argument("--seconds", type=float, help="length of one run, default 0.5")
    parser.add_argument("--quick", action="store_true", help="3 short rounds: a rough picture")
    parser.add_argument(
        "--yardstick",
        type=Path,
        default=os.environ.get("YARDSTICK", ""),
        help="folder of the C loops and their run.py (or set YARDSTICK)",
    )
    parser.add_argument("--json", type=Path, help="write every timing here")
    return parser, listed


def complete(options, parser):
    options.repeats = options.repeats or (3 if options.quick else 5)
    options.seconds = options.seconds or (0.1 if options.quick else 0.5)
    options.threads = [int(t) for t in options.threads]
    if unknown := set(options.systems) - set(SYSTEMS):
        parser.error(f"unknown: {', '.join(unknown)}; there is {', '.join(SYSTEMS)}")
    return options


def parse_arguments():
    parser, listed = common_arguments(__doc__.splitlines()[0])
    parser.add_argument("--workloads", default=list(WORKLOADS), help="names, by commas", **listed)
    parser.add_argument("--jobs", default=list(JOBS), help=", ".join(JOBS), **listed)
    parser.add_argument(
        "--dtype",
        default="bars",
        choices=["bars", "float32", "float64"],
        help="bars, the default: float32, and of float64 what has a bar",
    )
    parser.add_argument("--only-bars", action="store_true", help="nothing that has no bar")
    parser.add_argument("--used-heap", action="store_true", help="see README.md, The heap")
    options = parser.parse_args()
    for given, known in ((options.workloads, WORKLOADS), (options.jobs, JOBS)):
        if unknown := set(given) - set(known):
            parser.error(f"unknown: {', '.join(unknown)}; there is {', '.join(known)}")
    return complete(options, parser)


def progress(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def jobs_of(name, system, threads, dtype, options):
    """What this system is to do with this workload."""
    kind, shape = SYSTEMS[system], WORKLOADS[name]
    if shape.density < 1 and not kind.sparse:
        return []
    jobs = [f"row {way}" for way in kind.ways] if name == "row" else kind.jobs
    if name == "row" and threads > 1:  # there is nothing to share
        return []
    only_bars = options.only_bars or (options.dtype == "bars" and dtype == "float64")
    return [
        job
        for job in jobs
        if job.split()[0] in options.jobs
        and (not only_bars or (name, job, system, threads, dtype) in NEEDED)
    ]


def start_workers(plan, workload, yardstick, used_heap=False):
    """A process per (system, threads, dtype), ready to be timed; and why others are not."""
    starting = [Worker(*key, yardstick) for key in plan]
    workers, left_out = [], {}
    for worker in starting:
        try:
            worker.prepare(workload, used_heap)
            workers.append(worker)
        except Unavailable as reason:
            left_out[worker.system] = str(reason)
            worker.close()
    return workers, left_out


def call(worker, job, count):
    job, _, way = job.partition(" ")
    return worker.ask(job, calls=count, **({"way": way} if way else {}))


def calls_per_run(worker, job, seconds):
    """How many epochs or calls make a run of about that many seconds, fixed costs diluted."""
    kind = job.split()[0]
    count, most = FEWEST_CALLS.get(kind, 1), MOST_CALLS[kind]
    while True:
        spent = call(worker, job, count)
        if spent > seconds / 2 or count >= most:
            return count
        count = min(most, max(2 * count, int(count * seconds / spent)))


def measure(pairs, options):
    """Seconds per epoch or call for each (worker, job), one for each round; they take turns."""
    for worker, job in pairs:
        if job != "fit":  # of that, `prepare` has done one
            call(worker, job, 1)  # compiles or allocates what later calls find ready
    counts = {pair: calls_per_run(*pair, options.seconds) for pair in pairs}
    timings = {pair: [] for pair in pairs}
    for _ in range(options.repeats):
        for worker, job in pairs:
            count = counts[worker, job]
            timings[worker, job].append(call(worker, job, count) / count)
            time.sleep(SETTLE if worker.threads > 1 else 0)
    return [
        {
            "job": job,
            "system": worker.system,
            "threads": worker.threads,
            "dtype": worker.dtype,
            "seconds": seconds,
            "calls": counts[worker, job],
        }
        for (worker, job), seconds in timings.items()
    ]


def measure_memory(workload, options):
    """Peak bytes of a fit beyond its input, each in a fresh process with nothing to reuse."""
    peaks = {}
    for dtype in ("float32", "float64") if options.dtype == "bars" else (options.dtype,):
        for system in options.systems:
            if SYSTEMS[system].sparse:
                worker = Worker(system, 1, dtype, options.yardstick)
                with contextlib.suppress(Unavailable):
                    worker.answer()
                    worker.ask("load", workload=asdict(workload), used_heap=False)
                    peaks[f"{system}, {dtype}"] = worker.ask("peak_memory", epochs=1)
                worker.close()
    return peaks


def run_workload(name, report, options):
    """Add all jobs of one workload to the report, from processes of their own."""
    progress(f"{name}: start, load {os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else name)
    plan = {
        (system, threads, dtype): jobs_of(name, system, threads, dtype, options)
        for dtype in (("float32", "float64") if options.dtype == "bars" else (options.dtype,))
        for threads in options.threads
        for system in options.systems
    }
    plan = {key: jobs for key, jobs in plan.items() if jobs}
    workers, left_out = start_workers(plan, WORKLOADS[name], options.yardstick, options.used_heap)
    if not report["versions"]:
        report["versions"] = {f"{w.system}, threads={w.threads}": w.versions for w in workers}
        print_setting(report["versions"], options)
    report["left_out"] |= {f"{name}, {system}": why for system, why in left_out.items()}
    pairs = [(w, job) for w in workers for job in plan[w.system, w.threads, w.dtype]]
    for kind in options.jobs:
        if chosen := [pair for pair in pairs if pair[1].split()[0] == kind]:
            progress(f"{name}: {kind}")
            report["results"] += [{"workload": name, **r} for r in measure(chosen, options)]
    for worker in workers:
        worker.close()
    if WORKLOADS[name].density < 1:
        report["peak_bytes"][name] = measure_memory(WORKLOADS[name], options)


def main():
    options = parse_arguments()
    kept = {name: value for name, value in vars(options).items() if not isinstance(value, Path)}
    report = {"versions": {}, "options": kept, "left_out": {}}
    report |= {"results": [], "peak_bytes": {}}
    for name in options.workloads:
        run_workload(name, report, options)
        if options.json:  # after each workload, so that an interrupted run leaves something
            options.json.write_text(json.dumps(report, indent=1) + "\n")
    print_results(report)


if __name__ == "__main__":
    main()
