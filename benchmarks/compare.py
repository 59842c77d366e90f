"""Time training and prediction of sklearn_mlp against other systems: see README.md.

python benchmarks/compare.py [--workloads tiny,adult] [--threads 1,2] [--quick]
"""

import argparse
import contextlib
import json
import os
import sys
import time
from pathlib import Path

from report import TITLES, print_results, print_setting
from systems import SYSTEMS
from worker import Unavailable, Worker
from workloads import WORKLOADS

ROOT = Path(__file__).resolve().parent.parent
MAX_CALLS = {"fit": 4_000, "predict": 4_000, "predict_row": 40_000}
# OpenBLAS's idle threads spin for a tenth of a second: not into the next system's run.
SETTLE = 0.15


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    listed = {"type": lambda text: text.split(",")}
    dense = [name for name, w in WORKLOADS.items() if w.density == 1]
    parser.add_argument("--workloads", default=dense, help="names, by commas", **listed)
    parser.add_argument("--sparse", action="store_true", help="the sparse workload as well")
    parser.add_argument("--threads", default=["1", "2"], help="1, 2 or 1,2", **listed)
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--systems", default=list(SYSTEMS), help="names, by commas", **listed)
    parser.add_argument("--jobs", default=list(TITLES), help=", ".join(TITLES), **listed)
    parser.add_argument("--repeats", type=int, help="rounds, default 5; medians are over them")
    parser.add_argument("--seconds", type=float, help="length of one run, default 0.5")
    parser.add_argument("--quick", action="store_true", help="3 short rounds: a rough picture")
    parser.add_argument("--used-heap", action="store_true", help="see README.md, The heap")
    parser.add_argument(
        "--yardstick",
        type=Path,
        default=os.environ.get("YARDSTICK", ROOT.parent / "shared" / "yardstick"),
        help="folder of the C loops and their run.py (or set YARDSTICK)",
    )
    parser.add_argument("--json", type=Path, help="write every timing here")
    options = parser.parse_args()
    options.repeats = options.repeats or (3 if options.quick else 5)
    options.seconds = options.seconds or (0.1 if options.quick else 0.5)
    if options.sparse and "sparse" not in options.workloads:
        options.workloads = [*options.workloads, "sparse"]
    for given, known in ((options.workloads, WORKLOADS), (options.systems, SYSTEMS)):
        if unknown := set(given) - set(known):
            parser.error(f"unknown: {', '.join(unknown)}; there is {', '.join(known)}")
    options.threads = [int(t) for t in options.threads]
    return options


def progress(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def start_workers(workload, options):
    """A process per system and number of threads, ready to be timed; and why others are not."""
    sparse = WORKLOADS[workload].density < 1
    starting = [
        Worker(system, threads, options.dtype, options.yardstick)
        for threads in options.threads
        for system in options.systems
        if SYSTEMS[system].sparse or not sparse
    ]
    workers, left_out = [], {}
    for worker in starting:
        try:
            worker.prepare(workload, options.used_heap)
            workers.append(worker)
        except Unavailable as reason:
            left_out[worker.system] = str(reason)
            worker.close()
    return workers, left_out


def call(worker, job, count):
    return worker.ask(job, **{"epochs" if job == "fit" else "calls": count})


def calls_per_run(worker, job, seconds):
    """How many epochs or calls make a run of about that many seconds, fixed costs diluted."""
    count = 1
    while True:
        spent = call(worker, job, count)
        if spent > seconds / 2 or count >= MAX_CALLS[job]:
            return count
        count = min(MAX_CALLS[job], max(2 * count, int(count * seconds / spent)))


def measure(workers, job, options):
    """Seconds per epoch or call by worker, one for each round; the workers take turns."""
    for worker in workers:
        call(worker, job, 1)  # compiles or allocates what later calls find ready
    counts = {worker: calls_per_run(worker, job, options.seconds) for worker in workers}
    timings = {worker: [] for worker in workers}
    for _ in range(options.repeats):
        for worker in workers:
            timings[worker].append(call(worker, job, counts[worker]) / counts[worker])
            time.sleep(SETTLE if worker.threads > 1 else 0)
    return [
        {"system": w.system, "threads": w.threads, "job": job, "seconds": seconds, "calls": n}
        for (w, seconds), n in zip(timings.items(), counts.values(), strict=True)
    ]


def measure_memory(workload, options):
    """Peak bytes of a fit beyond its input, each in a fresh process with nothing to reuse."""
    peaks = {}
    for system in options.systems:
        if SYSTEMS[system].sparse:
            worker = Worker(system, 1, options.dtype, options.yardstick)
            with contextlib.suppress(Unavailable):
                worker.answer()
                worker.ask("load", workload=workload, used_heap=False)
                peaks[system] = worker.ask("peak_memory", epochs=1)
            worker.close()
    return peaks


def run_workload(workload, report, options):
    """Add all jobs of one workload to the report, from processes of their own."""
    progress(f"{workload}: start")
    workers, left_out = start_workers(workload, options)
    if not report["versions"]:
        report["versions"] = {f"{w.system}, threads={w.threads}": w.versions for w in workers}
        print_setting(report["versions"], options)
    report["left_out"] |= {f"{workload}, {system}": why for system, why in left_out.items()}
    for job in options.jobs:
        progress(f"{workload}: {job}")
        able = [worker for worker in workers if job in SYSTEMS[worker.system].jobs]
        results = measure(able, job, options)
        report["results"] += [{"workload": workload, **result} for result in results]
    for worker in workers:
        worker.close()
    if WORKLOADS[workload].density < 1:
        report["peak_bytes"][workload] = measure_memory(workload, options)


def main():
    options = parse_arguments()
    report = {"versions": {}, "options": vars(options), "left_out": {}}
    report |= {"results": [], "peak_bytes": {}}
    for workload in options.workloads:
        run_workload(workload, report, options)
        if options.json:  # after each workload, so that an interrupted run leaves something
            options.json.write_text(json.dumps(report, indent=1, default=str) + "\n")
    print_results(report, options)


if __name__ == "__main__":
    main()
