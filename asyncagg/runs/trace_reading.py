"""Reads the trace that a run has left, of schema 1 or 2: what it does not have is None, what is no record is refused.

Nothing of it is believed but its form: whoever shows it escapes what it says.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asyncagg.runs.trace import EVENTS, Record

_TEXTS = ("phase", "event", "from", "to", "kind", "class")
_COUNTS = ("t", "round", "attempt", "bytes")
_TIMES = ("arrived", "until")
"""Absent, or null, in schema 1 and where there is none."""
MOST = 2**63


class TraceError(ValueError):
    """The file is no trace; the text says which line is wrong, and why."""


def read_trace(path: Path) -> list[Record]:
    """Its records in order. TraceError for a line that is none, OSError where it cannot be read."""
    records = []
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, 1):
            try:
                records.append(read_line(line))
            except ValueError as error:
                raise TraceError(f"{path}:{number}: {error} (a record of a trace)") from None
    return records


def read_line(line: str) -> Record:
    """The record that a line is. ValueError, saying what is wrong, for any other."""
    try:
        said = json.loads(line)
    except RecursionError:
        raise ValueError("is nested too deep") from None
    if not isinstance(said, dict):
        raise ValueError("is no object")
    for name in _TEXTS:
        if not isinstance(said.get(name), str):
            raise ValueError(f"{name} is no text")
    for name in (*_COUNTS, *(name for name in _TIMES if said.get(name) is not None)):
        if not _count(said.get(name)):
            raise ValueError(f"{name} is no count")
    if said["event"] not in EVENTS or not isinstance(said.get("detail", ""), str):
        raise ValueError("event or detail is none that there is")
    return Record(
        said["t"],
        said["round"],
        said["attempt"],
        said["phase"],
        said["event"],
        said["from"],
        said["to"],
        said["kind"],
        said["bytes"],
        said["class"],
        said.get("detail", ""),
        said.get("arrived"),
        said.get("until"),
    )


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < MOST
