"""Owners that are there at times: gone and back when the trace says, in the sums of the rounds they stay for."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support.runs import Result, run, scenario

from asyncagg.engines.runtime.availability import AvailabilitySchedule, timetable
from asyncagg.engines.runtime.faults import FaultInjector
from asyncagg.net.clock import call_at_ns, now_ns
from asyncagg.net.virtual.loop import run_virtual
from asyncagg.protocols.names import Player, owner_name
from asyncagg.runs.trace import Trace
from asyncagg.scenario.reading.load import parse

S = 1_000_000_000
BOTH = pytest.mark.parametrize("engine", ["sim", "tcp"])
PROTOCOLS = ["plain", "additive", "secagg+"]


def having(**intervals: str) -> dict[str, Any]:
    """The fault for owners by their number: `o3="0-5"`."""
    named = {f"data-owner-{owner.removeprefix('o')}": text for owner, text in intervals.items()}
    return {"kind": "availability", "intervals": named}


class Stage:
    """Players that can be stopped and brought back, and a note of what was done to them, when."""

    def __init__(self, *down: str) -> None:
        self.down = dict.fromkeys(down)
        self.done: list[tuple[float, str, str]] = []

    def crash(self, player: Player) -> bool:
        return self._do(player, "crash", player not in self.down)

    def restart(self, player: Player, state: bool) -> bool:
        return self._do(player, "restart" if state else "anew", player in self.down)

    def _do(self, player: Player, what: str, possible: bool) -> bool:
        if possible:
            self.done.append((now_ns() / S, player.removeprefix("data-owner-"), what))
            self.down = {each: None for each in self.down if each != player} | (
                {player: None} if what == "crash" else {}
            )
        return possible


def acted(*faults: dict[str, Any], target: Stage | None = None, until: int = 100) -> list[tuple[float, str, str]]:
    """What a director does to the owners up to this second."""
    target = target or Stage()

    async def play() -> None:
        injector = FaultInjector(parse(scenario("plain", 12, faults=list(faults))), target, None, Trace())
        injector.begin(now_ns())
        await _at(until * S)
        injector.end()

    run_virtual(play())
    return target.done


async def _at(when_ns: int) -> None:
    done = asyncio.Event()
    call_at_ns(when_ns, done.set)
    await done.wait()


# -- the clock ---------------------------------------------------------------------------------------------------------


def test_owners_go_and_come_when_the_trace_says() -> None:
    assert acted(having(o3="0-5, 7.5-9", o2="1-5", o10="0-200")) == [
        (0, "2", "crash"),
        (1, "2", "restart"),
        (5, "2", "crash"),
        (5, "3", "crash"),
        (7.5, "3", "restart"),
        (9, "3", "crash"),
    ]


def test_nobody_comes_or_goes_after_the_end() -> None:
    assert acted(having(o3="0-5, 7-9"), until=6) == [(5, "3", "crash")]


def test_who_has_crashed_does_not_come_back_with_its_next_interval() -> None:
    crash = {"kind": "crash", "players": ["data-owner-3"], "at": "2 s", "lasts": "20 s"}
    assert acted(having(o3="0-5, 7-9, 11-30"), crash) == [(2, "3", "crash"), (22, "3", "restart"), (30, "3", "crash")]


@pytest.mark.parametrize(("state", "back"), [(True, "restart"), (False, "anew")])
def test_who_is_away_comes_back_in_its_time_and_not_by_a_restart(state: bool, back: str) -> None:
    crash = {"kind": "crash", "players": ["data-owner-3"], "at": "2 s"}
    restart = {"kind": "restart", "at": "6 s", "state": state}
    assert acted(having(o3="0-5, 7-90"), crash, restart) == [(2, "3", "crash"), (7, "3", back), (90, "3", "crash")]
    assert acted(having(o3="0-5, 7-90"), restart) == [(5, "3", "crash"), (7, "3", "restart"), (90, "3", "crash")]


def test_who_is_away_cannot_crash() -> None:
    crash = {"kind": "crash", "players": ["data-owner-3"], "at": "6 s", "lasts": "50 s"}
    assert acted(having(o3="0-5, 7-90"), crash) == [(5, "3", "crash"), (7, "3", "restart"), (90, "3", "crash")]


def test_times_that_have_passed_at_the_start_are_not_acted_out_one_by_one() -> None:
    """A real clock may be late, and a run may be a resumed one."""
    seen: list[tuple[str, str]] = []

    async def play() -> None:
        await _at(50 * S)
        owners = {owner_name(1): (0, 5 * S, 7 * S, 90 * S), owner_name(2): (0, 40 * S)}
        attendance = AvailabilitySchedule(
            owners, lambda owner: seen.append((owner, "goes")), lambda owner: seen.append((owner, ""))
        )
        attendance.begin(0)
        attendance.end()

    run_virtual(play())
    assert seen == [("data-owner-2", "goes")]


def test_ten_thousand_owners_have_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {f"data-owner-{owner}": "0-10, 20-30, 40-50" for owner in range(10_000)}
    owners = timetable(parse(scenario("plain", 10_000, faults=[{"kind": "availability", "intervals": table}])))
    assert list(owners)[:3] == ["data-owner-0", "data-owner-1", "data-owner-2"]
    turns: list[Player] = []
    timers: list[int] = []

    def armed(when_ns: int, look: Callable[[], None]) -> asyncio.TimerHandle:
        timers.append(when_ns // S)
        return call_at_ns(when_ns, look)

    async def play() -> None:
        AvailabilitySchedule(owners, turns.append, turns.append).begin(0)
        await _at(60 * S)

    monkeypatch.setattr("asyncagg.engines.runtime.availability.call_at_ns", armed)
    run_virtual(play())
    assert len(turns) == 50_000
    assert timers == [10, 20, 30, 40, 50]


# -- whole runs --------------------------------------------------------------------------------------------------------


def there(text: str, start: float, end: float) -> bool:
    """Whether one interval holds all of this time: the slow, obvious way."""
    spans = [tuple(map(float, span.split("-"))) for span in text.split(", ")]
    return any(first <= start and end < last for first, last in spans)


TRACE = {
    "o1": "0-20.05, 40-100",
    "o3": "0-5, 13-36, 47-200",
    "o4": "0-45",
    "o6": "0-1, 2-25, 26-27, 52-55, 56-90",
}
TEN_SECONDS = {"gradient": "10 s"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_survivors_of_a_round_are_those_who_stay_for_it(protocol: str) -> None:
    """An attempt that too many leave is tried again, and has whoever is there by then."""
    result = run(protocol, 9, rounds=7, network={"latency": "20 ms"}, compute=TEN_SECONDS, faults=[having(**TRACE)])
    assert result["status"] == "ok", result["reason"]
    counts = []
    for each in result["rounds"]:
        began, over = _attempt(result, each["round"], each["attempts"])
        wanted = [f"data-owner-{owner}" for owner in range(9) if there(TRACE.get(f"o{owner}", "0-999"), began, over)]
        assert each["survivors"] == wanted
        assert each["exact"]
        counts.append(len(wanted))
    assert len(set(counts)) > 1
    assert "data-owner-4" not in result["rounds"][6]["survivors"]


def _attempt(result: Result, *label: int) -> tuple[float, float]:
    """When the owners were told to begin and when the sum was fixed, in seconds."""
    mine = [record for record in result.trace.records if (record.round, record.attempt) == label]
    told = next(record for record in mine if record.kind == "publish")
    closed = next(record for record in mine if record.event == "phase" and record.phase in ("unmask", "reveal"))
    return told.t / S, closed.t / S


def said(result: Result) -> list[tuple[float, str, str]]:
    """Every fault in the trace: when, who, what."""
    return [(each.t / S, each.sender, each.detail) for each in result.trace.records if each.event == "fault"]


def test_two_runs_leave_one_trace_which_says_who_came_and_went() -> None:
    first, second = (
        run("secagg+", 9, rounds=3, network={"latency": "20 ms"}, compute=TEN_SECONDS, faults=[having(**TRACE)])
        for _ in range(2)
    )
    assert first["trace_digest"] == second["trace_digest"]
    assert said(first) == [
        (1, "data-owner-6", "away"),
        (2, "data-owner-6", "back"),
        (5, "data-owner-3", "away"),
        (13, "data-owner-3", "back"),
        (20.05, "data-owner-1", "away"),
        (25, "data-owner-6", "away"),
        (26, "data-owner-6", "back"),
        (27, "data-owner-6", "away"),
    ]


def test_who_loses_its_memory_while_away_plays_on() -> None:
    crash = {"kind": "crash", "players": ["data-owner-3"], "at": "2 s"}
    restart = {"kind": "restart", "players": ["data-owner-3"], "at": "8 s", "state": False}
    faults = [having(o3="0-5, 9-200"), crash, restart]
    result = run("secagg", 5, rounds=3, network={"latency": "20 ms"}, compute=TEN_SECONDS, faults=faults)
    assert ["data-owner-3" in each["survivors"] for each in result["rounds"]] == [False, True, True]
    assert said(result) == [(2, "data-owner-3", "crash"), (9, "data-owner-3", "back without state")]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_who_is_away_at_the_start_joins_later_or_never(protocol: str) -> None:
    faults = [having(o0="1000-2000", o2="15-1000")]
    tables: dict[str, Any] = {"phases": {"publish": {"deadline": "5 s"}}, "compute": {"gradient": "4 s"}}
    result = run(protocol, 8, rounds=5, network={"latency": "20 ms"}, faults=faults, **tables)
    assert result["status"] == "ok", result["reason"]
    for each in result["rounds"]:
        began, over = _attempt(result, each["round"], each["attempts"])
        late = ["data-owner-2"] if there("15-1000", began, over) else []
        assert each["survivors"] == ["data-owner-1", *late, *(f"data-owner-{owner}" for owner in range(3, 8))]
    assert result["seconds"]["virtual"] < (1 + 5) * 5.5
    assert said(result) == [(0, "data-owner-0", "away"), (0, "data-owner-2", "away"), (15, "data-owner-2", "back")]


@BOTH
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_both_engines_have_the_same_survivors(protocol: str, engine: str) -> None:
    """No race: the run waits for the owner that is away at the start, and the other has long gone when it comes."""
    faults = [having(o2="0-0.5", o5="1-100")]
    tables: dict[str, Any] = {"rounds": 2, "seed": 3, "phases": {"publish": {"deadline": "3 s"}}, "faults": faults}
    result = run(protocol, 8, engine, **tables)
    assert result["status"] == "ok", result["reason"]
    for each in result["rounds"]:
        assert each["survivors"] == [f"data-owner-{owner}" for owner in (0, 1, 3, 4, 5, 6, 7)]
        assert each["exact"]
    other = run(protocol, 8, "sim", **tables)
    assert [result.means[index].tobytes() for index in range(2)] == [other.means[index].tobytes() for index in range(2)]
