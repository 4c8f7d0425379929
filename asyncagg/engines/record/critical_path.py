"""Critical path of a round: the chain of causes that ends with it, cut into pieces that add up to it.

The way back begins with the model owner at the end of the round. At each player it looks for the last thing that
happened there before: a message that came, work that ended, a deadline. A message leads to its sender at the time it
left, work and deadlines to their beginning. What lies between two of these is a piece of waiting. Where several things
happened at once, one of them is taken; so a chain is one that explains the time, not always the only one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from asyncagg.net.durations import SECOND_NS
from asyncagg.protocols.names import LEAD, MODEL_OWNER
from asyncagg.runs.result import PathKind, PathPiece
from asyncagg.runs.trace import Record

_UNKNOWN = "waiting for a processor or handling messages"
_GATHERING = "waiting until enough players were there"
_PUBLISHES = ("begin", "publish")
_BACK = ("restart", "back")


@dataclass(frozen=True, slots=True)
class _Happening:
    """Something that ended at a player at a time, and may be why the player went on."""

    end_ns: int
    rank: int
    """Of what ends at the same time, the highest is taken for the cause."""
    place: int
    """Of its record in order of time: a cause stands before what it causes."""
    record: Record

    @property
    def key(self) -> tuple[int, int, int]:
        return self.end_ns, self.rank, self.place


@dataclass(slots=True)
class _Way:
    """Position on the way back from the end of a round."""

    player: str
    t: int
    place: int
    """Causes stand before this record."""
    why: str = _UNKNOWN
    """Cause of a wait that ends here."""


def critical_path(round_record: Record, records: Iterable[Record]) -> list[PathPiece]:
    """The pieces of a round in order of time, from the record of the round and all records, settled.

    Together they last as long as the round, to the nanosecond; what takes no time is left out.
    """
    return _Walk(round_record, records).pieces()


class _Walk:
    """One way back through one round."""

    def __init__(self, round_record: Record, records: Iterable[Record]) -> None:
        self._began_ns = round_record.t
        self._ended_ns = round_record.t if round_record.until is None else round_record.until
        mine = [record for record in records if record.round == round_record.round]
        self._records = sorted(mine, key=lambda record: record.t)
        self._happened: dict[str, list[_Happening]] = {}
        self._phases: list[tuple[int, Record]] = []
        """Place and record of each phase of the lead."""
        for place, record in enumerate(self._records):
            self._note(place, record)
        for happened in self._happened.values():
            happened.sort(key=lambda each: each.key)

    def pieces(self) -> list[PathPiece]:
        found: list[PathPiece] = []
        way = _Way(MODEL_OWNER, self._ended_ns, len(self._records))
        while way.t > self._began_ns:
            found += self._step(way)
        return found[::-1]

    def _note(self, place: int, record: Record) -> None:
        player, end_ns, rank = record.sender, record.t, 2
        match record.event:
            case "message" if record.arrived is not None:
                player, end_ns, rank = record.receiver, record.arrived, 0
            case "span" if record.until is not None and record.until > record.t:
                end_ns, rank = record.until, 1
            case "phase":
                self._phases.append((place, record))
                rank = 3
            case "deadline" | "drop":
                pass
            case "abort" if record.sender == MODEL_OWNER:
                pass
            case "fault" if record.detail.startswith(_BACK):
                pass
            case _:
                return
        self._happened.setdefault(player, []).append(_Happening(end_ns, rank, place, record))

    # -- one step back: latest piece first --------------------------------------------------------------------------

    def _step(self, way: _Way) -> Iterator[PathPiece]:
        cause = self._cause(way)
        if cause is None:
            yield from self._back(way, self._began_ns, "waiting", way.why)
            return
        yield from self._back(way, cause.end_ns, "waiting", way.why)
        record, way.place, way.why = cause.record, cause.place, _UNKNOWN
        match record.event:
            case "message":
                who = f"{record.sender} → {record.receiver}"
                yield from self._back(way, record.t, "line", f"{record.kind} on its way", who, record.phase)
                way.player = record.sender
                way.why = _GATHERING if record.kind in _PUBLISHES else _UNKNOWN
            case "span":
                yield from self._back(way, record.t, "computing", f"computing {record.kind}", phase=record.phase)
            case "phase":
                yield from self._closed(way, cause)
            case "deadline" if not record.receiver:
                yield from self._waited(way, cause)
            case _:
                way.why = _reason(record)

    def _cause(self, way: _Way) -> _Happening | None:
        """The last thing that happened to a player and stands before what it did."""
        happened = self._happened.get(way.player, [])
        for at in range(bisect_right(happened, way.t, key=lambda each: each.end_ns) - 1, -1, -1):
            if happened[at].place < way.place:
                return happened[at]
        return None

    def _closed(self, way: _Way, phase: _Happening) -> Iterator[PathPiece]:
        """A phase begins: if the deadline of the one before has ended that one, nothing else has."""
        before = [each for each in self._phases if each[0] < phase.place]
        if not before or before[-1][1].attempt != phase.record.attempt:
            return
        place = before[-1][0]
        ends = [
            each
            for each in self._happened[LEAD]
            if each.record.event == "deadline" and not each.record.receiver and place < each.place < phase.place
        ]
        if ends:
            yield from self._back(way, ends[-1].end_ns, "waiting", "closing the phase", phase=before[-1][1].phase)
            yield from self._waited(way, ends[-1])

    def _waited(self, way: _Way, deadline: _Happening) -> Iterator[PathPiece]:
        """From the beginning of a phase until its deadline."""
        place, began = next(each for each in reversed(self._phases) if each[0] < deadline.place)
        what = f"waiting for the {began.phase} deadline"
        yield from self._back(way, began.t, "deadline", what, phase=began.phase)
        way.place = place

    def _back(
        self, way: _Way, t: int, kind: PathKind, what: str, who: str | None = None, phase: str | None = None
    ) -> Iterator[PathPiece]:
        """The piece from `t`, or the beginning of the round, until where the way is, which comes to stand there."""
        t = max(t, self._began_ns)
        if t < way.t:
            yield PathPiece(
                kind, what, way.player if who is None else who, phase or self._phase_at(t), (way.t - t) / SECOND_NS
            )
        way.t = min(t, way.t)

    def _phase_at(self, t: int) -> str:
        """The lead's phase at a time."""
        began = [record for _, record in self._phases if record.t <= t]
        return began[-1].phase if began else "publish"


def _reason(record: Record) -> str:
    """Cause of a wait that ended with this."""
    match record.event:
        case "deadline":
            return f"waiting until the permit of {record.receiver} ran out"
        case "drop":
            return f"waiting until {record.receiver} was given up"
        case "abort":
            return "waiting until the attempt was given up"
        case _:
            return "away"
