"""The history of speed and memory, for airspeed velocity: see benchmarks/README.md."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))  # workloads.py and systems.py
