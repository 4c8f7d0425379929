"""A fault that ended early and comes again lasts as long as it says: no timer of the former one ends it."""

from __future__ import annotations

from typing import Any

import pytest
from support.runs import scenario

from asyncagg.engines.runtime.faults import FaultInjector, channel_faults
from asyncagg.net.clock import now_ns
from asyncagg.net.virtual.loop import run_virtual
from asyncagg.net.waiters import sleep_until
from asyncagg.protocols.names import Player
from asyncagg.runs.trace import Trace
from asyncagg.scenario.reading.load import parse

S = 1_000_000_000
OWNER = ["data-owner-1"]


class Stage:
    """Players that only know whether they are there."""

    def __init__(self) -> None:
        self.stopped: dict[Player, None] = {}

    def crash(self, player: Player) -> bool:
        there = player not in self.stopped
        self.stopped[player] = None
        return there

    def restart(self, player: Player, state: bool) -> bool:
        return self.stopped.pop(player, False) is None


def told(*faults: dict[str, Any]) -> list[tuple[float, str]]:
    """Seconds and first word of all that happens within 100 s."""
    trace = Trace()

    async def play() -> None:
        values = parse(scenario("plain", faults=list(faults)))
        injector = FaultInjector(values, Stage(), channel_faults(values), trace)
        injector.begin(now_ns())
        await sleep_until(now_ns() + 100 * S)
        injector.end()

    run_virtual(play())
    return [(record.t / S, record.detail.partition(":")[0]) for record in trace.records]


def fault(kind: str, at: int, lasts: int | None = None, **keys: Any) -> dict[str, Any]:
    said = {"kind": kind, "at": f"{at} s", **keys}
    if kind in ("partition", "hold", "crash", "slow"):
        said["players"] = OWNER
    return said if lasts is None else {**said, "lasts": f"{lasts} s"}


@pytest.mark.parametrize(("begin", "end"), [("partition", "heal"), ("hold", "release"), ("crash", "restart")])
def test_one_that_was_ended_does_not_end_the_next(begin: str, end: str) -> None:
    faults = fault(begin, 0, 10), fault(end, 3), fault(begin, 5, 20)
    assert told(*faults) == [(0, begin), (3, end), (5, begin), (25, end)]
    assert told(*faults[:2], fault(begin, 5)) == [(0, begin), (3, end), (5, begin)], "it does not end"


@pytest.mark.parametrize(("begin", "end"), [("partition", "heal"), ("hold", "release"), ("crash", "restart")])
def test_one_that_is_in_force_and_comes_again_lasts_until_the_later_end(begin: str, end: str) -> None:
    assert told(fault(begin, 0, 10), fault(begin, 5, 20)) == [(0, begin), (25, end)]
    assert told(fault(begin, 0, 20), fault(begin, 5, 3)) == [(0, begin), (20, end)]
    assert told(fault(begin, 0, 10), fault(begin, 5)) == [(0, begin)]
    assert told(fault(begin, 0), fault(begin, 5, 3)) == [(0, begin)]
    assert told(fault(begin, 0), fault(begin, 5, 3), fault(end, 9)) == [(0, begin), (9, end)]


def test_who_is_slow_is_so_as_the_newest_fault_says() -> None:
    slow = fault("slow", 0, 10, factor=8), fault("slow", 5, 20, factor=2)
    assert told(*slow) == [(0, "slow"), (5, "slow"), (25, "slow")]
    assert told(slow[0], fault("slow", 5, factor=2)) == [(0, "slow"), (5, "slow")]
    assert told(slow[0], fault("slow", 5, 2, factor=2)) == [(0, "slow"), (5, "slow"), (7, "slow")]


def test_a_crash_of_one_player_leaves_the_end_of_anothers() -> None:
    both = {**fault("crash", 0, 10), "players": ["data-owner-1", "data-owner-2"]}
    back = {**fault("restart", 3), "players": ["data-owner-2"]}
    assert told(both, back, {**fault("crash", 4, 20), "players": ["data-owner-2"]}) == [
        (0, "crash"), (0, "crash"), (3, "restart"), (4, "crash"), (10, "restart"), (24, "restart"),
    ]  # fmt: skip
