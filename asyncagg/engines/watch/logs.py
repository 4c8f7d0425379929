"""The log of a process: one line for each thing that happened, as text or as JSON.

Messages are not logged, they are in the trace. A line holds names, numbers and reasons; never a secret, a vector or a
parameter. What peers make us say is made printable, and cannot fill a disk.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TextIO

from asyncagg.engines.watch.interface import Observer, Status
from asyncagg.net.errors import printable
from asyncagg.players.outcome import OwnNote
from asyncagg.runs.result import RoundResult, finite
from asyncagg.runs.trace import Event, Record

LogForm = Literal["text", "json"]
Level = Literal["info", "warning", "error"]

LONGEST: Final = 500
"""Characters of a peer's or a user's text."""
LONGEST_OWN: Final = 2000
"""Characters of a line in the traceback of an owner that runs here."""
REFUSALS: Final = 20
"""Lines about refusals in a `WINDOW`; others are counted, and told of in the next."""
WINDOW: Final = timedelta(seconds=10)
COMINGS: Final = 20
"""Lines about one player's coming to another and going, in a `LONG_WINDOW`: all of a fleet may come at once."""
PAIRS: Final = 100_000
"""Of players whose lines are counted; more of them have no lines in that window."""
LONG_WINDOW: Final = timedelta(minutes=10)

_LEVELS: Final[Mapping[Event, Level]] = {"phase": "info", "drop": "warning", "fault": "warning", "abort": "warning"}
_OUTCOMES: Final[Mapping[str, Level]] = {"ok": "info", "skipped": "warning", "failed": "error"}
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:/+-]+")


def utc_now() -> datetime:
    return datetime.now(UTC)


class _Limit:
    """At most so many `lines` about each of so many `subjects` in a window of time; the rest is counted."""

    def __init__(self, window: timedelta, lines: int, subjects: int = 1) -> None:
        self._window, self._lines, self._subjects = window, lines, subjects
        self._began = datetime.min.replace(tzinfo=UTC)
        self._said: dict[tuple[str, ...], int] = {}
        self._unsaid = 0

    def turn(self, now: datetime) -> int:
        """How many lines were left out of the last window, said once: when `now` is in another one."""
        if timedelta() <= now - self._began < self._window:
            return 0
        unsaid, self._unsaid, self._began = self._unsaid, 0, now
        self._said.clear()
        return unsaid

    def admits(self, *subject: str) -> bool:
        """Whether there may be one more line about this subject."""
        said = self._said.get(subject, 0)
        if said >= self._lines or (not said and len(self._said) >= self._subjects):
            self._unsaid += 1
            return False
        self._said[subject] = said + 1
        return True


class Log(Observer):
    """Writes to `stream`, a line at a time, about the players of the site `name`.

    Every line has time (UTC), level, player and event; round, attempt, phase, peer, detail and others where they say
    something. A stream that fails, as when the disk is full or nobody reads any more, ends the log and not the run.
    """

    def __init__(self, stream: TextIO, form: LogForm, name: str, clock: Callable[[], datetime] = utc_now) -> None:
        self._stream = stream
        self._for_machines = form == "json"
        self._form = _as_json if self._for_machines else _as_text
        self._name = name
        self._clock = clock
        self._works = True
        self._refusals = _Limit(WINDOW, REFUSALS)
        self._comings = _Limit(LONG_WINDOW, COMINGS, PAIRS)

    def record(self, record: Record) -> None:
        if record.event == "message":
            return
        player = record.sender or self._name
        about = {
            **({"round": record.round, "attempt": record.attempt} if record.attempt else {}),
            "phase": record.phase,
            "peer": record.receiver if record.receiver != record.sender else "",
            "detail": record.detail,
        }
        if record.event == "refuse":
            self._refusal(player, **about)
        else:
            self._write(_LEVELS[record.event], player, record.event, **about)

    def round_ended(self, result: RoundResult) -> None:
        self._write(
            _OUTCOMES.get(result.status, "error"),
            self._name,
            "round",
            round=result.round,
            outcome=result.status,
            attempts=result.attempts,
            survivors=len(result.survivors),
            dropped=len(result.dropped),
            seconds=round(result.seconds.get("total", 0.0), 6),
            metrics={printable(name): finite(value) for name, value in result.metrics.items()},
            detail=result.reason or "",
        )
        for warning in result.warnings:
            self._write("warning", self._name, "warning", round=result.round, detail=warning)

    def refused(self, address: str, reason: str) -> None:
        self._refusal(self._name, address=address, detail=reason)

    def joined(self, local: str, remote: str) -> None:
        self._coming("info", local, "joined", remote)

    def gone(self, local: str, remote: str, reason: str) -> None:
        self._coming("info" if reason.startswith("closed") else "warning", local, "gone", remote, reason)

    def noted(self, note: OwnNote) -> None:
        """A line each time, and the traceback the first time."""
        trace = [] if note.again else [printable(line, LONGEST_OWN) for line in note.trace.splitlines()]
        about = {"traceback": trace} if self._for_machines and trace else {}
        self._write("warning", note.player, "failed", round=note.round, detail=note.text, **about)
        if not self._for_machines:
            for line in trace:
                self._put(line)

    def turned(self, status: Status, detail: str = "") -> None:
        self._write("error" if status == "failed" else "info", self._name, status, detail=detail)

    def said(self, line: str) -> None:
        """Write a line of the program's own, which people read as it is."""
        if self._for_machines:
            self._write("info", self._name, "note", detail=" ".join(line.split()))
        else:
            self._put(printable(line, LONGEST))

    def _refusal(self, player: str, **about: Any) -> None:
        """Strangers can cause as many as they like."""
        if unsaid := self._refusals.turn(self._clock()):
            self._write("warning", self._name, "refuse", detail=f"{unsaid} more were refused and are not listed")
        if self._refusals.admits():
            self._write("warning", player, "refuse", **about)

    def _coming(self, level: Level, local: str, event: str, remote: str, detail: str = "") -> None:
        """Players who were let in can come and go as often as they like."""
        if unsaid := self._comings.turn(self._clock()):
            self._write("warning", self._name, "gone", detail=f"{unsaid} more came or went and are not listed")
        if self._comings.admits(local, remote):
            self._write(level, local, event, peer=remote, detail=detail)

    def _write(self, level: Level, player: str, event: str, **about: Any) -> None:
        time = self._clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        said = {"time": time, "level": level, "player": player, "event": event, **about}
        self._put(self._form({key: _safe(value) for key, value in said.items() if value not in ("", {})}))

    def _put(self, line: str) -> None:
        if not self._works:
            return
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: it is closed
            self._works = False


def _safe(value: Any) -> Any:
    return printable(value, LONGEST) if isinstance(value, str) else value


def _as_json(said: Mapping[str, Any]) -> str:
    return json.dumps(said, separators=(",", ":"), allow_nan=False)


def _as_text(said: Mapping[str, Any]) -> str:
    """`time level player event`, then `key=value`, the value in quotes where it is more than a word."""
    flat = {**said, **said.get("metrics", {})}
    flat.pop("metrics", None)
    head = f"{flat.pop('time')} {flat.pop('level'):<7} {flat.pop('player')} {flat.pop('event')}"
    return " ".join([head, *(f"{_word(key)}={_word(value)}" for key, value in flat.items())])


def _word(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
