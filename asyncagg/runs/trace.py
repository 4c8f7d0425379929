"""The one record of everything said and done in a run: typed records, their JSON lines, and their digest.

Progress, result, page and live view are readers of it. It holds names, kinds, sizes and times; never a secret, a vector
or a parameter. Its format is that of the run, which `result.json` beside it says from the first moment: a line of the
file is a record and nothing else, so that the digest is of what happened.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from asyncagg.runs.atomic import replace
from asyncagg.runs.checkpoint import CheckpointError

FILE = "trace.jsonl"
"""Name of the trace in the run directory."""

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
    """Records in the order in which they were made, or, where they come from several processes, of their times."""

    def __init__(self, watch: Callable[[Record], None] | None = None) -> None:
        self.watch = watch
        """Told of each record as it is made here."""
        self.records: list[Record] = []
        self._earlier: list[str] = []
        """Lines of the run before it was interrupted."""
        self._written = 0

    def add(self, record: Record) -> None:
        self.records.append(record)
        if self.watch is not None:
            self.watch(record)

    def take(self, records: Iterable[Record]) -> None:
        """Records of another process, each of which keeps its time."""
        self.records += records

    def digest(self) -> str:
        """SHA-256 over the lines."""
        return digest(self._lines())

    def write(self, path: Path) -> None:
        """All lines, in order, in one step: until then the file keeps what `extend` saved."""
        replace(path, self._fill)

    def extend(self, path: Path) -> None:
        """Add to the file what is new, so that not all is lost with this process; `write` replaces it by all."""
        fresh = self.records[self._written :]
        self._written += len(fresh)
        with path.open("a", encoding="utf-8") as file:
            file.writelines(record.line() + "\n" for record in fresh)

    def resume(self, path: Path, until: int) -> None:
        """Go on behind the lines of a run that was interrupted, up to the time `until` in ns.

        The file is left with these alone, whole and in order of their times: what was torn, or came later and is played
        again, would otherwise stand before what `extend` adds. CheckpointError where it cannot be read or replaced.
        """
        if not path.exists():
            return
        try:
            timed = [(_time(line), line) for line in path.read_text(encoding="utf-8", errors="replace").split("\n")]
            kept = sorted((each for each in timed if 0 <= each[0] <= until), key=lambda each: each[0])
            self._earlier = [line for _, line in kept]
            replace(path, self._fill)
        except OSError as error:
            raise CheckpointError(f"{path}: {error.strerror} (a file that can be replaced, with room)") from None

    def _fill(self, file: BinaryIO) -> None:
        file.writelines(line.encode() + b"\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield from self._earlier
        for record in sorted(self.records, key=lambda record: record.t):  # stable, and cheap where it is so already
            yield record.line()


def _time(line: str) -> int:
    """Of a record, in ns; -1 for what is none."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return -1
    t = record.get("t") if isinstance(record, dict) else None
    return t if type(t) is int else -1


def digest(lines: Iterable[str]) -> str:
    """`sha256:…` over lines, each ended by a newline."""
    total = hashlib.sha256()
    for line in lines:
        total.update(line.encode() + b"\n")
    return f"sha256:{total.hexdigest()}"
