"""The one record of everything said and done in a run: typed records, their JSON lines, and their digest.

Progress, result, page and live view are readers of it. It holds names, kinds, sizes and times; never a secret, a vector
or a parameter.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

Event = Literal["message", "phase", "drop", "fault", "abort", "refuse"]


class Record(NamedTuple):
    """One line of `trace.jsonl`. `t` is in nanoseconds since the start of the run."""

    t: int
    round: int
    attempt: int
    phase: str
    event: Event
    sender: str
    receiver: str
    kind: str
    bytes: int
    exposure: str
    detail: str

    def line(self) -> str:
        """The record as one line of JSON; everything but the detail is made of plain names and numbers."""
        detail = f',"detail":{json.dumps(self.detail)}' if self.detail else ""
        return (
            f'{{"t":{self.t},"round":{self.round},"attempt":{self.attempt},"phase":"{self.phase}"'
            f',"event":"{self.event}","from":"{self.sender}","to":"{self.receiver}","kind":"{self.kind}"'
            f',"bytes":{self.bytes},"class":"{self.exposure}"{detail}}}'
        )


class Trace:
    """Records in the order in which they were made."""

    def __init__(self, watch: Callable[[Record], None] | None = None) -> None:
        self.records: list[Record] = []
        self._watch = watch

    def add(self, record: Record) -> None:
        self.records.append(record)
        if self._watch is not None:
            self._watch(record)

    def digest(self) -> str:
        """SHA-256 over the lines."""
        return digest(record.line() for record in self.records)

    def write(self, path: Path) -> None:
        with path.open("w", encoding="utf-8") as file:
            file.writelines(record.line() + "\n" for record in self.records)


def digest(lines: Iterable[str]) -> str:
    """`sha256:…` over lines, each ended by a newline."""
    total = hashlib.sha256()
    for line in lines:
        total.update(line.encode() + b"\n")
    return f"sha256:{total.hexdigest()}"
