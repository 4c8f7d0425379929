"""One line for each thing that happened, whatever peers say; and nothing secret in it."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from support.observed import Watched, noted
from support.tap import Tap

from asyncagg.engines.watch.health import health
from asyncagg.engines.watch.interface import View
from asyncagg.engines.watch.logs import COMINGS, LONG_WINDOW, LONGEST, PAIRS, REFUSALS, WINDOW, Log, _Limit
from asyncagg.engines.watch.observers import Observers
from asyncagg.players.outcome import OwnNote
from asyncagg.runs.result import RoundResult
from asyncagg.studies.swarm.watch import Watch

DROP = [{"kind": "drop", "phase": "upload", "players": ["data-owner-1"]}]
NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
HOSTILE = 'a\nb\r\x1b[2J\u202e"=\x00 \ud800 level=error'


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def log(form: str = "json", name: str = "compute-node-0") -> tuple[Log, io.StringIO, Clock]:
    stream, clock = io.StringIO(), Clock()
    return Log(stream, form, name, clock), stream, clock


def lines(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_run_is_told_from_who_joined_to_how_rounds_ended(monkeypatch):
    watched = Watched()
    result = watched.run(monkeypatch, "secagg", 4, rounds=2, faults=DROP)
    watched.observation.turned("finished")
    told = lines(watched.stream)
    events = [each["event"] for each in told]
    assert events[0] == "joined"
    assert events[-1] == "finished"
    assert "message" not in events
    joined = {(each["player"], each["peer"]) for each in told if each["event"] == "joined"}
    assert {("compute-node-0", "data-owner-2"), ("data-owner-2", "compute-node-0")} <= joined
    rounds = [each for each in told if each["event"] == "round"]
    assert [(each["round"], each["survivors"], each["dropped"]) for each in rounds] == [(0, 3, 1), (1, 3, 1)]
    assert [each["seconds"] for each in rounds] == [round(each.seconds["total"], 6) for each in result.rounds]
    drop = told[events.index("drop")]
    assert (drop["level"], drop["player"], drop["peer"]) == ("warning", "compute-node-0", "data-owner-1")
    phases = [each["phase"] for each in told if each["event"] == "phase" and each["round"] == 0]
    assert phases == ["publish", "advertise", "share", "upload", "unmask", "reveal"]


def test_no_secret_is_in_log_metrics_or_health(monkeypatch):
    """Everything that the players drew, in any usual spelling; and no line has a field that could hold a vector."""
    tap, drawn = Tap().install(monkeypatch), Watch()
    watched = Watched()
    result = watched.run(monkeypatch, "secagg", 4, faults=DROP, aggregation={"threat": "lying"})
    assert result.status == "ok"
    for secret in tap.drawn:
        drawn.drawn(secret)
    assert drawn.secrets_in(max(tap.drawn, key=len).hex()) == 1
    shown = watched.stream.getvalue() + watched.metrics.text().decode() + health(watched.view).body.decode()
    assert drawn.secrets_in(shown) == 0
    known = {"time", "level", "player", "event", "round", "attempt", "phase", "peer", "detail", "outcome"}
    known |= {"attempts", "survivors", "dropped", "seconds", "metrics"}
    for each in lines(watched.stream):
        assert each.keys() <= known
        assert len(json.dumps(each)) < 400


def test_json_lines_say_when_who_and_what():
    written, stream, _ = log()
    written.record(noted("phase", round=3, attempt=2, phase="share"))
    written.joined("compute-node-0", "data-owner-7")
    written.gone("compute-node-0", "data-owner-7", "connection lost: reset by peer")
    head = {"time": "2026-01-02T03:04:05.678Z", "player": "compute-node-0"}
    assert lines(stream) == [
        {**head, "level": "info", "event": "phase", "round": 3, "attempt": 2, "phase": "share"},
        {**head, "level": "info", "event": "joined", "peer": "data-owner-7"},
        {
            **head,
            "level": "warning",
            "event": "gone",
            "peer": "data-owner-7",
            "detail": "connection lost: reset by peer",
        },
    ]


def test_text_lines_say_the_same():
    written, stream, _ = log("text", "model-owner")
    written.round_ended(
        RoundResult(1, "skipped", reason="too few", attempts=3, seconds={"total": 1.5}, metrics={"loss": 0.25})
    )
    written.gone("model-owner", "data-owner-0", "closed: done")
    assert stream.getvalue().splitlines() == [
        "2026-01-02T03:04:05.678Z warning model-owner round round=1 outcome=skipped attempts=3 survivors=0 dropped=0"
        ' seconds=1.5 detail="too few" loss=0.25',
        '2026-01-02T03:04:05.678Z info    model-owner gone peer=data-owner-0 detail="closed: done"',
    ]


NOTE = OwnNote("data-owner-1", 3, "ValueError at mine.py:20", "Traceback\n  line 20\nValueError: \x1b[2Jsecret\n")


def test_what_is_for_an_owners_own_eyes_is_told_in_full_the_first_time():
    written, stream, _ = log("text", "data-owner-0..3")
    written.noted(NOTE)
    written.noted(replace(NOTE, round=4, again=True))
    first = '2026-01-02T03:04:05.678Z warning data-owner-1 own-code round=3 detail="ValueError at mine.py:20"'
    again = first.replace("round=3", "round=4")
    assert stream.getvalue().splitlines() == [first, "Traceback", "  line 20", "ValueError: ?[2Jsecret", again]


def test_for_machines_the_traceback_is_a_list_of_lines():
    written, stream, _ = log("json", "data-owner-0..3")
    written.noted(NOTE)
    written.noted(replace(NOTE, again=True))
    first, again = lines(stream)
    assert first["traceback"] == ["Traceback", "  line 20", "ValueError: ?[2Jsecret"]
    assert (first["player"], first["event"], first["level"]) == ("data-owner-1", "own-code", "warning")
    assert "traceback" not in again


@pytest.mark.parametrize("form", ["text", "json"])
def test_hostile_text_stays_on_one_line_and_in_its_field(form):
    written, stream, _ = log(form)
    written.record(noted("refuse", receiver=HOSTILE, detail=HOSTILE * 1000))
    written.refused(HOSTILE, HOSTILE)
    written.gone("compute-node-0", HOSTILE, HOSTILE)
    written.turned("failed", HOSTILE)
    written.round_ended(RoundResult(0, "ok", metrics={HOSTILE: 1.0}, warnings=[HOSTILE]))
    told = stream.getvalue()
    assert told.count("\n") == 6
    assert told.isascii()
    assert all(character.isprintable() or character == "\n" for character in told)
    assert max(map(len, told.splitlines())) < 4 * LONGEST
    if form == "json":
        levels = [each["level"] for each in lines(stream)]
        assert levels == ["warning", "warning", "warning", "error", "info", "warning"]
    else:
        outside = [re.sub(r'"(\\.|[^"\\])*"', "", line) for line in told.splitlines()]
        assert not any('"' in line or "level=error" in line for line in outside)


def test_figures_that_are_no_numbers_are_null():
    written, stream, _ = log()
    written.round_ended(RoundResult(0, "ok", metrics={"loss": float("nan"), "accuracy": float(np.float64(0.5))}))
    assert lines(stream)[0]["metrics"] == {"loss": None, "accuracy": 0.5}


def test_strangers_cannot_fill_a_disk():
    written, stream, clock = log()
    for number in range(1000):
        written.refused(f"10.0.0.1:{number}", "garbage: no frame")
        written.record(noted("refuse", receiver="data-owner-1", detail="again"))
    assert len(lines(stream)) == REFUSALS
    clock.now += WINDOW
    written.refused("10.0.0.1:1", "garbage: no frame")
    assert len(lines(stream)) == REFUSALS + 2
    assert lines(stream)[-2]["detail"] == f"{2000 - REFUSALS} more were refused and are not listed"
    clock.now -= timedelta(days=1)  # somebody set the clock back
    written.refused("10.0.0.1:1", "garbage: no frame")
    assert len(lines(stream)) == REFUSALS + 3


def test_who_comes_and_goes_all_the_time_cannot_fill_a_disk_either():
    written, stream, clock = log()
    for _ in range(1000):
        written.joined("compute-node-0", "data-owner-1")
        written.gone("compute-node-0", "data-owner-1", "closed")
    written.gone("compute-node-0", "data-owner-2", "connection lost")
    written.joined("compute-node-1", "data-owner-1")
    told = lines(stream)
    assert [each["event"] for each in told[:COMINGS]] == ["joined", "gone"] * (COMINGS // 2)
    pairs = [(each["player"], each["peer"]) for each in told[COMINGS:]]
    assert pairs == [("compute-node-0", "data-owner-2"), ("compute-node-1", "data-owner-1")]
    clock.now += LONG_WINDOW
    written.joined("compute-node-0", "data-owner-1")
    *_, left_out, joined = lines(stream)
    assert len(lines(stream)) == COMINGS + 4
    assert left_out["detail"] == f"{2000 - COMINGS} more came or went and are not listed"
    assert (joined["event"], joined["peer"]) == ("joined", "data-owner-1")


def test_a_large_fleet_that_comes_at_once_is_listed_whole():
    written, stream, _ = log("text")
    for number in range(10_000):
        written.joined("compute-node-0", f"data-owner-{number}")
    assert stream.getvalue().count("\n") == 10_000 < PAIRS


def test_no_more_players_are_counted_than_there_is_memory_for():
    limit = _Limit(WINDOW, lines=2, subjects=3)
    assert limit.turn(NOW) == 0
    assert [limit.admits(name) for name in "abcdabca"] == [True] * 3 + [False] + [True] * 3 + [False]
    assert limit.turn(NOW) == 0
    assert limit.turn(NOW + WINDOW) == 2
    assert limit.admits("d")


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(28, "No space left on device"), ValueError("closed")])
def test_a_stream_that_fails_ends_the_log_and_not_the_run(error):
    class Broken(io.StringIO):
        writes = 0

        def write(self, text: str) -> int:
            self.writes += 1
            raise error

    stream = Broken()
    written = Log(stream, "text", "compute-node-0")
    for _ in range(3):
        written.turned("ok")
    assert stream.writes == 1


@pytest.mark.parametrize(
    ("form", "end"),
    [("text", "model-owner  at 10.0.0.1:4440\n"), ("json", '"detail":"model-owner at 10.0.0.1:4440"}\n')],
)
def test_what_is_said_is_for_people_as_it_is_and_for_machines_an_event(form, end):
    stream = io.StringIO()
    Log(stream, form, "compute-node-0").said("model-owner  at 10.0.0.1:4440")
    assert stream.getvalue().endswith(end)
    assert stream.getvalue().count("\n") == 1


def test_nobody_is_told_of_those_who_leave_once_the_run_is_over():
    stream, view = io.StringIO(), View("model-owner")
    observation = Observers(view, [view, Log(stream, "text", "model-owner")], None)
    observation.gone("model-owner", "data-owner-0", "connection lost")
    view.over = True
    observation.gone("model-owner", "data-owner-1", "closed: the network is closed")
    (line,) = stream.getvalue().splitlines()
    assert line.endswith(' gone peer=data-owner-0 detail="connection lost"')
