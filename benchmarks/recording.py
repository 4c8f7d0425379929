"""What recording costs: CPU of the same run with the whole trace and with none, in turns in one process.

The trace is recorded, settled and digested, shares and critical path are worked out, the lines are written. At most a
tenth of a round is promised; the least of the turns of each is compared, as whatever else runs only adds to both.
"""

from __future__ import annotations

import gc
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncagg
from benchmarks.table import Row

TURNS = 3
CASES = {
    "three hundred owners, secagg+, d = 1,000": (300, 1000),
    "fifty owners, secagg+, d = 100,000": (50, 100_000),
}


def cpu_seconds(owners: int, dimension: int, keep: str) -> float:
    """Of one round, in `sim`."""
    scenario: dict[str, Any] = {
        "name": "bench",
        "engine": "sim",
        "check": False,
        "owners": {"count": owners},
        "workload": {"kind": "synthetic", "dimension": dimension},
        "network": {"latency": "40 ms"},
        "trace": {"keep": keep},
    }
    gc.collect()
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        asyncagg.run(scenario).trace.write(Path(folder, "trace.jsonl"))
        return time.process_time() - began


def recorded(what: str, owners: int, dimension: int) -> Row:
    """Messages a CPU second of a recorded run, and its cost over that of an unrecorded one."""
    with_it, without = [], []
    for _ in range(TURNS):
        without.append(cpu_seconds(owners, dimension, "none"))
        with_it.append(cpu_seconds(owners, dimension, "all"))
    return Row(what, min(with_it), "CPU s", min(with_it) / min(without), "the same run without a trace (at most 1.1)")


def main() -> list[Row]:
    return [recorded(what, *sizes) for what, sizes in CASES.items()]
