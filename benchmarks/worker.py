"""One system in a process of its own: jobs come as JSON lines on stdin, each is answered by one.

    python worker.py SYSTEM THREADS DTYPE

The parent sets the variables that fix thread pools; `Worker` below is its end of the pipe. This
end pins itself to THREADS processors before anything is imported that could count them.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


class Unavailable(Exception):
    """A system, or one of its jobs, that this machine or this workload does not have."""


class Worker:
    """The parent's handle on a worker process."""

    def __init__(self, system, threads, dtype, yardstick):
        self.system, self.threads, self.dtype = system, threads, dtype
        env = dict(os.environ, **{name: str(threads) for name in THREAD_VARIABLES})
        env |= {"YARDSTICK": str(yardstick), "JAX_PLATFORMS": "cpu"}
        if threads == 1:
            env["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__), system, str(threads), dtype],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def prepare(self, workload, used_heap=False):
        """Wait for the imports, load the data, do a first fit that does not count."""
        self.answer()
        self.versions = self.ask("versions")
        self.ask("load", workload=asdict(workload), used_heap=used_heap)
        self.ask("fit", calls=1)

    def ask(self, job, **arguments):
        self.process.stdin.write(json.dumps({"job": job, **arguments}) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise Unavailable(f"worker ended with code {self.process.wait()}")
        reply = json.loads(line)
        if "unavailable" in reply:
            raise Unavailable(reply["unavailable"])
        return reply["value"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def main(name, threads, dtype):
    if hasattr(os, "sched_setaffinity"):
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, processors[-threads:])
    # What a library prints must not end up between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(function):
        try:
            reply = {"value": function()}
        except ModuleNotFoundError as error:
            reply = {"unavailable": f"not installed ({error})"}
        except Exception as error:
            reply = {"unavailable": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(reply) + "\n")

    serve(name, threads, dtype, answer)


def serve(name, threads, dtype, answer):
    from systems import SYSTEMS
    from workloads import Workload, make_data

    system = None

    def start():
        nonlocal system
        system = SYSTEMS[name](threads, dtype)

    def load(workload, used_heap):
        workload = Workload(**workload | {"hidden": tuple(workload["hidden"])})
        system.load(workload, *make_data(workload, dtype))
        if used_heap:
            # Freeing a mapped block makes glibc keep blocks up to that size (32 MB at most).
            bytearray(31 << 20)

    answer(start)
    for line in sys.stdin:
        request = json.loads(line)
        job = request.pop("job")
        if job == "versions":
            answer(lambda: system.versions)
        elif job == "load":
            answer(lambda request=request: load(**request))
        else:
            answer(lambda job=job, request=request: getattr(system, job)(**request))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
