"""The one record of everything said and done in a run: typed records, their JSON lines, and their digest.

Progress, result, page and live view are readers of it. It holds names, kinds, sizes and times; never a secret, a vector
or a parameter. Its format is that of the run, which `result.json` beside it says from the first moment: a line of the
file is a record and nothing else, so that the digest is of what happened.

Who says a message records it, who hears it notes its arrival, perhaps in another process; `settle` brings the two
together. Between two players messages arrive in the order in which they left, so one that arrives means that those
before it, of which nothing was heard, never will.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, NamedTuple, get_args

from asyncagg.runs.atomic import replace
from asyncagg.runs.checkpoint import CheckpointError

FILE = "trace.jsonl"
"""Name of the trace in the run directory."""

Event = Literal["message", "span", "phase", "deadline", "round", "drop", "fault", "abort", "refuse"]
EVENTS: Final[tuple[Event, ...]] = get_args(Event)

Keep = Literal["all", "rounds", "none"]
"""all: everything; rounds: no messages and no spans once their round is over; none: nothing."""

_THINNED = ("message", "span")


@dataclass(slots=True)
class Record:
    """One line of `trace.jsonl`. Times are in nanoseconds since the start of the run.

    message   left its sender at `t` and came to its receiver at `arrived`: None where it never did, or nobody can tell
    span      the sender computed `kind` from `t` until `until`
    phase     the lead began a phase, which it closes at `until` at the latest
    deadline  that time has come; with a receiver, it is that owner's permit that has run out
    round     from `t` until `until`, at the model owner; `kind` says how it ended, `attempt` the last attempt
    """

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
    detail: str = ""
    arrived: int | None = None
    until: int | None = None

    def line(self) -> str:
        """The record as one line of JSON; everything but the detail is made of plain names and numbers."""
        detail = f',"detail":{json.dumps(self.detail)}' if self.detail else ""
        until = "" if self.until is None else f',"until":{self.until}'
        arrived = "null" if self.arrived is None else self.arrived
        return (
            f'{{"t":{self.t},"arrived":{arrived}{until},"round":{self.round},"attempt":{self.attempt}'
            f',"phase":"{self.phase}","event":"{self.event}","from":"{self.sender}","to":"{self.receiver}"'
            f',"kind":"{self.kind}","bytes":{self.bytes},"class":"{self.exposure}"{detail}}}'
        )

    def values(self) -> tuple[Any, ...]:
        """Its fields in order: `Record(*values)` is equal to it."""
        return (
            self.t,
            self.round,
            self.attempt,
            self.phase,
            self.event,
            self.sender,
            self.receiver,
            self.kind,
            self.bytes,
            self.exposure,
            self.detail,
            self.arrived,
            self.until,
        )


class Arrival(NamedTuple):
    """A message has come to its receiver."""

    t: int
    sender: str
    receiver: str
    round: int
    """-1 where the bytes were no message, so that they do not say which round they are of."""
    attempt: int
    kind: str
    bytes: int

    def is_of(self, record: Record) -> bool:
        """True if this message, between the same two players, may be the one that came."""
        same = self.kind == record.kind and self.bytes == record.bytes
        return same and (self.round < 0 or (self.round, self.attempt) == (record.round, record.attempt))


class Trace:
    """Records in the order in which they were made, or, where they come from several processes, of their times."""

    def __init__(self, watch: Callable[[Record], None] | None = None, keep: Keep = "all") -> None:
        self.watch = watch
        """Told of each record as it is made here, whether it is kept or not."""
        self.keep: Keep = keep
        self.records: list[Record] = []
        self.arrivals: list[Arrival] = []
        """Those that `settle` has not brought to their records."""
        self._under_way: dict[tuple[str, str], deque[Record]] = {}
        """Sender and receiver → messages of which no arrival is known."""
        self._looked_at = 0
        """Records that `_under_way` has been told of."""
        self._earlier: list[str] = []
        """Lines of the run before it was interrupted."""
        self._written = 0

    def add(self, record: Record) -> None:
        if self.keep != "none":
            self.records.append(record)
        if self.watch is not None:
            self.watch(record)

    def arrived(self, arrival: Arrival) -> None:
        """A message has been heard here."""
        if self.keep != "none":
            self.arrivals.append(arrival)

    def take(self, records: Iterable[Record], arrivals: Iterable[Arrival] = ()) -> None:
        """Those of another process, which keep their times."""
        self.records += records
        self.arrivals += arrivals

    def hand_over(self) -> tuple[list[Record], list[Arrival]]:
        """All there is, for the trace of the whole run, and none of it stays here."""
        handed = self.records, self.arrivals
        self.records, self.arrivals = [], []
        return handed

    def settle(self, last: bool = True) -> None:
        """Write the arrivals into the records of their messages.

        `last`: an arrival that finds none is forgotten; else it stays, as what was said may become known later.
        """
        for record in self.records[self._looked_at :]:
            if record.event == "message" and record.arrived is None:
                self._under_way.setdefault((record.sender, record.receiver), deque()).append(record)
        self._looked_at = len(self.records)
        left = [arrival for arrival in self.arrivals if not self._settled(arrival)]
        self.arrivals = [] if last else left

    def _settled(self, arrival: Arrival) -> bool:
        under_way = self._under_way.get((arrival.sender, arrival.receiver))
        for place, record in enumerate(under_way or ()):
            if under_way is not None and arrival.is_of(record):
                record.arrived = max(record.t, arrival.t)  # loops of two processes may differ by a millisecond
                for _ in range(place + 1):
                    under_way.popleft()
                return True
        return False

    def thin(self) -> None:
        """Forget what is not to be kept, now that a round is over."""
        if self.keep == "rounds":
            self.records = [record for record in self.records if record.event not in _THINNED]
            self._under_way, self._looked_at = {}, len(self.records)

    def digest(self) -> str | None:
        """SHA-256 over the lines; None where nothing is kept."""
        return None if self.keep == "none" else digest(self.lines())

    def write(self, path: Path) -> None:
        """All lines, in order, in one step: until then the file keeps what `extend` saved."""
        self.settle()
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
        file.writelines(line.encode() + b"\n" for line in self.lines())

    def lines(self) -> Iterator[str]:
        """As they are written."""
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
