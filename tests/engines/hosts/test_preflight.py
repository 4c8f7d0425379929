"""Who is waited for before a run on many hosts, and what is said of those who are not there."""

from __future__ import annotations

import asyncio

import pytest
from support.hosts import SECOND, small

from asyncagg.engines.experiment import prepare
from asyncagg.engines.hosts.compatibility import facts, objection, parting
from asyncagg.engines.hosts.join_tracker import JoinTracker, diallers, peers, role_table
from asyncagg.engines.hosts.preflight import Preflight
from asyncagg.net.clock import now_ns
from asyncagg.net.virtual.loop import VirtualLoop
from asyncagg.protocols.names import Player
from asyncagg.runs.trace import Record
from asyncagg.scenario.hosts_config import HostEntry
from asyncagg.scenario.reading.load import parse

LEADER = HostEntry("model-owner", ("model-owner",), "10.0.0.1", 4440)
NODES = [HostEntry(f"compute-node-{n}", (f"compute-node-{n}",), f"10.0.0.{n + 1}", 4441) for n in range(3)]
FLEET = HostEntry("data-owner-0..2", ("data-owner-0", "data-owner-1", "data-owner-2"), "10.0.0.9", 0)
ALL = [LEADER, *NODES, FLEET]


def names(found: list[HostEntry]) -> list[str]:
    return [entry.name for entry in found]


def without(entry: HostEntry) -> list[HostEntry]:
    return [each for each in ALL if each is not entry]


class Waiting:
    """A preflight under way in virtual time."""

    def __init__(self, seconds: float = 60) -> None:
        self.said: list[str] = []
        self.objections: dict[str, str] = {}
        self.preflight = Preflight([*NODES, FLEET], self.said.append, self.objections)
        self.began = now_ns()
        self.task = asyncio.create_task(self.preflight.run(self.began + round(seconds * SECOND)))

    def join(self, *entries: HostEntry) -> None:
        for entry in entries:
            for player in entry.players:
                self.preflight.joined("model-owner", player)

    @property
    def seconds(self) -> float:
        return (now_ns() - self.began) / SECOND


def test_the_table_says_where_everyone_is() -> None:
    assert list(role_table(ALL, ["compute-node-1"])) == [
        "model-owner      at 10.0.0.1:4440",
        "compute-node-0   at 10.0.0.1:4441",
        "compute-node-1   this process",
        "compute-node-2   at 10.0.0.3:4441",
        "data-owner-0..2  on 10.0.0.9",
    ]


@pytest.mark.parametrize(
    ("me", "others", "dial"),
    [
        (LEADER, "compute-node-0 compute-node-1 compute-node-2 data-owner-0..2", None),
        (NODES[0], "model-owner compute-node-1 compute-node-2 data-owner-0..2",
         "compute-node-1 compute-node-2 data-owner-0..2"),
        (NODES[2], "model-owner compute-node-0 data-owner-0..2", "data-owner-0..2"),
        (FLEET, "model-owner compute-node-0 compute-node-1 compute-node-2", None),
    ],
)  # fmt: skip
def test_who_talks_to_whom(me: HostEntry, others: str, dial: str | None) -> None:
    player = Player(me.players[0])
    assert names(peers(player, without(me))) == others.split()
    if dial is not None:
        assert names(diallers(player, ALL)) == dial.split()


async def test_it_ends_when_everyone_is_there() -> None:
    waiting = Waiting()
    await asyncio.sleep(1)
    waiting.join(*NODES)
    await asyncio.sleep(1)
    waiting.join(FLEET)
    assert await waiting.task == []
    assert waiting.seconds == 2
    assert waiting.said == ["waiting up to 60 s for 4 other processes"]


async def test_reminders_name_who_is_waited_for() -> None:
    waiting = Waiting(25)
    waiting.join(NODES[0], NODES[2], FLEET)
    await asyncio.sleep(21)
    assert waiting.said[1:] == [
        "waiting for compute-node-1 at 10.0.0.2:4441; 15 s left",
        "waiting for compute-node-1 at 10.0.0.2:4441; 5 s left",
    ]
    waiting.join(NODES[1])
    assert await waiting.task == []


async def test_at_the_deadline_there_is_a_line_for_each_who_is_missing() -> None:
    waiting = Waiting(5)
    waiting.join(NODES[0], FLEET)
    assert names(await waiting.task) == ["compute-node-1", "compute-node-2"]
    assert waiting.said[1:] == [
        "compute-node-1: did not join within 5.0 s (asyncagg serve compute-node-1, at 10.0.0.2:4441)",
        "compute-node-2: did not join within 5.0 s (asyncagg serve compute-node-2, at 10.0.0.3:4441)",
    ]


async def test_owners_who_cannot_get_past_a_missing_node_are_not_blamed() -> None:
    waiting = Waiting(5)
    waiting.join(NODES[0], NODES[1])
    assert names(await waiting.task) == ["compute-node-2"]
    assert len(waiting.said) == 2


async def test_a_part_of_a_fleet_is_counted() -> None:
    waiting = Waiting(5)
    waiting.join(*NODES)
    waiting.preflight.joined("model-owner", "data-owner-1")
    assert names(await waiting.task) == ["data-owner-0..2"]
    assert waiting.said[1:] == [
        "data-owner-0..2: did not join within 5.0 s (2 of 3 players) (asyncagg serve data-owner-0..2, on 10.0.0.9)"
    ]


async def test_it_says_why_who_was_refused_or_lost_is_missing() -> None:
    waiting = Waiting(5)
    waiting.join(NODES[0], NODES[1], NODES[2], FLEET)
    waiting.preflight.gone("model-owner", "compute-node-1", "connection reset")
    waiting.objections["compute-node-2"] = "has another scenario"
    waiting.preflight.gone("model-owner", "compute-node-2", "connection lost")
    await waiting.task
    assert waiting.said[1:] == [
        "compute-node-1: did not join within 5.0 s: connection reset",
        "compute-node-2: did not join within 5.0 s: has another scenario",
    ]


async def test_who_gave_up_may_come_back_before_the_deadline() -> None:
    waiting = Waiting(30)
    waiting.join(*NODES)
    waiting.objections["data-owner-0"] = "gave up: cannot reach compute-node-1"
    await asyncio.sleep(7)
    waiting.objections.clear()
    waiting.join(FLEET)
    assert await waiting.task == []
    assert waiting.seconds == 7


async def test_nobody_is_waited_for_once_a_round_has_begun() -> None:
    tracker = JoinTracker([Player("compute-node-0")], [LEADER, FLEET])
    task = asyncio.create_task(tracker.complete(now_ns() + 60 * SECOND))
    await asyncio.sleep(3)
    tracker.record(Record(0, 0, 1, "publish", "phase", "compute-node-0", "", "", 0, "", ""))
    assert await task
    assert asyncio.get_running_loop().time() == 3


async def test_every_pair_of_players_must_meet() -> None:
    tracker = JoinTracker([Player(player) for player in FLEET.players], [LEADER, NODES[0]])
    for player in FLEET.players:
        tracker.joined(player, "model-owner")
    tracker.joined("data-owner-0", "compute-node-0")
    assert names(tracker.missing()) == ["compute-node-0"]
    assert isinstance(asyncio.get_running_loop(), VirtualLoop)
    assert not await tracker.complete(now_ns() + SECOND)


# -- what processes must have in common --------------------------------------------------------------------------------

OURS = facts(prepare(parse(small())))


def test_the_same_scenario_is_no_objection() -> None:
    assert objection(OURS, facts(prepare(parse(small() | {"name": "other", "description": "and text"})))) is None


@pytest.mark.parametrize(
    ("theirs", "found"),
    [
        (OURS | {"asyncagg": "0.0.9"}, "runs asyncagg '0.0.9', and here it is"),
        (OURS | {"dimension": 61}, "has vectors of dimension 61, and here it is 60"),
        (facts(prepare(parse(small(seed=7)))), "has another scenario, which differs in seed ("),
        (facts(prepare(parse(small(rounds=3, aggregation={"retries": 4})))), "which differs in aggregation, rounds ("),
        ({}, "runs asyncagg None"),
        (parting(OURS, "cannot reach compute-node-1"), "gave up: cannot reach compute-node-1"),
    ],
)
def test_what_differs_is_named(theirs: dict[str, str | int | bytes], found: str) -> None:
    assert found in (objection(OURS, theirs) or "")
