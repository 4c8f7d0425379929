"""What a round costs late in a long run, against an early one: computing, memory, bytes written.

A run directory is kept, and no trace. Computing is of this process alone, as the machine may be shared; it takes a
quarter of an hour.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncagg
from benchmarks.table import Row

DIMENSION = 100
SPAN = 1000
"""Rounds at the beginning and at the end that are compared."""
CASES = (("sim", 3, 5000), ("tcp", 3, 5000), ("tcp", 10, 10_000))
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Mark:
    """What this process had used when a round ended."""

    cpu_seconds: float
    resident_bytes: int
    written_bytes: int
    """To files; bytes on sockets are not among them."""

    @classmethod
    def now(cls) -> Mark:
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
        fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        return cls(time.process_time(), resident, int(fields["wchar"]))


def marks(engine: str, owners: int, rounds: int, protocol: str = "secagg+") -> list[Mark]:
    """One for the end of each round."""
    scenario: dict[str, Any] = {
        "name": "long",
        "engine": engine,
        "rounds": rounds,
        "check": False,
        "owners": {"count": owners},
        "aggregation": {"protocol": protocol},
        "workload": {"kind": "synthetic", "dimension": DIMENSION},
        "trace": {"keep": "none"},
    }
    found: list[Mark] = []
    with tempfile.TemporaryDirectory() as folder:
        asyncagg.run(scenario, out=Path(folder, "run"), on_round=lambda each: found.append(Mark.now()))
    return found


def written(found: Sequence[Mark], first: int, last: int) -> float:
    """Bytes a round, of the rounds from `first` to `last`."""
    return (found[last].written_bytes - found[first].written_bytes) / (last - first)


def compared(engine: str, owners: int, rounds: int) -> list[Row]:
    """The last thousand rounds against the first."""
    found = marks(engine, owners, rounds)
    what = f"{engine}, {owners} owners, {rounds} rounds"
    early, late = (
        (found[last].cpu_seconds - found[last - SPAN + 1].cpu_seconds) / (SPAN - 1) for last in (SPAN - 1, rounds - 1)
    )
    begun, ended = (found[at].resident_bytes for at in (SPAN - 1, rounds - 1))
    rows = [
        Row(f"{what}: a late round", late * 1e3, "CPU ms", late / early, f"one of the first {SPAN} (at most 1.2)"),
        Row(f"{what}: memory", ended / 2**20, "MiB", ended / begun, f"memory after {SPAN} rounds"),
    ]
    if engine != "sim":  # which writes nothing before its end
        bytes_late = written(found, 390, 410)
        ratio = bytes_late / written(found, 90, 110)
        rows.append(Row(f"{what}: files, round 400", bytes_late, "bytes", ratio, "round 100 (at most 1.3)"))
    return rows


def main() -> list[Row]:
    return [row for case in CASES for row in compared(*case)]
