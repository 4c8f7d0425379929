"""The trace of a run that is interrupted and goes on: every line whole, in order, and none that was saved is lost."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from asyncagg.runs.checkpoint import CheckpointError
from asyncagg.runs.trace import FILE, Arrival, Record, Trace, digest


def record(t: int, attempt: int = 1, detail: str = "") -> Record:
    return Record(t, 2, attempt, "upload", "message", "data-owner-1", "compute-node-0", "joined", 9, "public", detail)


def trace(*times: int, attempt: int = 1) -> Trace:
    made = Trace()
    made.take(record(t, attempt) for t in times)
    return made


def resumed(path: Path, until: int, *times: int, attempt: int = 2) -> Trace:
    """A run that goes on from there, and has saved some more."""
    made = Trace()
    made.resume(path, until)
    made.take(record(t, attempt) for t in times)
    made.extend(path)
    return made


def stored(path: Path) -> list[tuple[int, int]]:
    """Time and attempt of each line."""
    text = path.read_text(encoding="utf-8")
    assert text == "" or text.endswith("\n")
    return [(each["t"], each["attempt"]) for each in map(json.loads, text.splitlines())]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE


def test_what_is_played_again_is_not_there_twice(path: Path) -> None:
    """Ctrl-C in an attempt, which writes all there is; a kill in a later one; and both times the run goes on."""
    trace(1, 2, 5, 6).write(path)
    resumed(path, 3, 4, 7)
    assert stored(path) == [(1, 1), (2, 1), (4, 2), (7, 2)]
    last = resumed(path, 8, 9, attempt=3)
    last.write(path)
    assert stored(path) == [(1, 1), (2, 1), (4, 2), (7, 2), (9, 3)]
    assert last.digest() == digest(path.read_text().splitlines())


def test_a_torn_line_goes_and_nothing_grows_together_with_it(path: Path) -> None:
    trace(1, 2, 3).write(path)
    os.truncate(path, path.stat().st_size - 60)
    resumed(path, 9, 4)
    assert stored(path) == [(1, 1), (2, 1), (4, 2)]
    resumed(path, 9, 5)
    assert stored(path) == [(1, 1), (2, 1), (4, 2), (5, 2)]


@pytest.mark.parametrize(
    "line",
    [
        '{"t":1,"round":0,"attempt":1,"phase":"up{"t":4,"round":0}',
        '{"t":1,"detail":"half',
        '{"t":true}',
        '{"t":-1}',
        '{"round":1}',
        "[" * 100_000,
        "[1]",
        "",
    ],
)
def test_only_whole_records_are_taken_over(path: Path, line: str) -> None:
    path.write_text(f"{record(1).line()}\n{line}\n{record(2).line()}\n")
    resumed(path, 9)
    assert stored(path) == [(1, 1), (2, 1)]


def test_a_detail_of_any_kind_is_one_line(path: Path) -> None:
    details = ["a\nb", "\u2028\x85\x1c", '"}{', "é"]
    made = Trace()
    made.take(record(t, detail=detail) for t, detail in enumerate(details))
    made.write(path)
    resumed(path, 9)
    assert [json.loads(line)["detail"] for line in path.read_text().split("\n")[:-1]] == details


def test_records_of_several_processes_are_in_order_of_their_times(path: Path) -> None:
    made = trace(3, 1)
    made.extend(path)
    made.take([record(2)])
    made.extend(path)
    again = resumed(path, 9)
    assert stored(path) == [(1, 1), (2, 1), (3, 1)]
    assert again.digest() == made.digest()


@pytest.mark.parametrize("step", ["write", "resume"])
def test_what_was_saved_stays_until_all_is_written(path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    class Killed(BaseException):
        """The process ends here."""

    def killed(*_: Any) -> None:
        raise Killed

    made = trace(1, 2, 3)
    made.extend(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(Killed):
        made.write(path) if step == "write" else Trace().resume(path, 2)
    assert path.read_bytes() == before


def test_no_room_to_go_on_is_one_clear_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    trace(1).write(path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"trace.jsonl: No space left on device \(a file that can be replaced"):
        Trace().resume(path, 2)
    assert stored(path) == [(1, 1)]


def test_a_run_without_a_trace_begins_one(path: Path) -> None:
    resumed(path, 5, 6)
    assert stored(path) == [(6, 2)]


# -- arrivals ----------------------------------------------------------------------------------------------------------


def came(t: int, attempt: int = 1, kind: str = "joined", size: int = 9, round_index: int = 2) -> Arrival:
    return Arrival(t, "data-owner-1", "compute-node-0", round_index, attempt, kind, size)


def settled(records: list[Record], *arrivals: Arrival) -> list[int | None]:
    """When each arrived."""
    made = Trace()
    made.take(records, arrivals)
    made.settle()
    return [each.arrived for each in made.records]


def test_messages_arrive_in_the_order_in_which_they_left() -> None:
    assert settled([record(1), record(2), record(3)], came(5), came(6)) == [5, 6, None]


def test_one_that_arrives_means_that_those_before_it_never_will() -> None:
    first, second = record(1), record(2, attempt=2)
    assert settled([first, second], came(5, attempt=2), came(6)) == [None, 5]


def test_bytes_that_were_no_message_are_known_by_kind_and_size() -> None:
    assert settled([record(1), record(2)], came(5, size=8, round_index=-1), came(6, round_index=-1)) == [6, None]


def test_what_nobody_said_arrives_nowhere() -> None:
    other = came(5)._replace(sender="data-owner-2")
    assert settled([record(1)], other, came(6, kind="advertise"), came(7, attempt=3)) == [None]


def test_an_arrival_may_be_told_of_before_its_message() -> None:
    made = Trace()
    made.take([], [came(5)])
    made.settle(last=False)
    made.take([record(1)])
    made.settle(last=False)
    assert ([each.arrived for each in made.records], made.arrivals) == ([5], [])


def test_no_message_arrives_before_it_has_left() -> None:
    """Two processes may read their clocks a millisecond apart."""
    assert settled([record(10)], came(9)) == [10]


def test_what_is_handed_over_is_the_others() -> None:
    made = Trace()
    made.add(record(1))
    made.arrived(came(2))
    assert made.hand_over() == ([record(1)], [came(2)])
    assert made.hand_over() == ([], [])
