"""The fault injector alone: what strikes whom and when, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest
from support.runs import scenario

from asyncagg.engines.runtime.faults import FaultInjector, channel_faults, follows_phases, slowness
from asyncagg.net.clock import now_ns
from asyncagg.net.waiters import sleep_until
from asyncagg.protocols.names import MODEL_OWNER, Label, Player, node_name, owner_name
from asyncagg.runs.trace import Trace
from asyncagg.scenario.reading.load import parse

S = 1_000_000_000
O1, O2, N1 = owner_name(1), owner_name(2), node_name(1)


class Target:
    """Players that know whether they are there, and with what memory they came back."""

    def __init__(self) -> None:
        self.stopped: dict[Player, None] = {}
        self.back: list[tuple[Player, bool]] = []

    def crash(self, player: Player) -> bool:
        there = player not in self.stopped
        self.stopped[player] = None
        return there

    def restart(self, player: Player, state: bool) -> bool:
        if player not in self.stopped:
            return False
        del self.stopped[player]
        self.back.append((player, state))
        return True


class Injected:
    """An injector at work from this moment on, and all that can be seen of it."""

    def __init__(self, *faults: dict[str, Any], narrates: bool = True, protocol: str = "secagg") -> None:
        values = parse(scenario(protocol, 4, rounds=3, faults=list(faults)))
        self.target, self.trace = Target(), Trace()
        self.channels = channel_faults(values)
        self.injector = FaultInjector(values, self.target, self.channels, self.trace, narrates)
        self.injector.begin(now_ns())

    def phases(self, label: Label, *phases: Any) -> list[str]:
        """What is said while the lead begins these phases."""
        before = len(self.trace.records)
        for phase in phases:
            self.injector.phase_began(label, phase)
        return [record.detail for record in self.trace.records[before:]]

    @property
    def said(self) -> list[tuple[float, str, str]]:
        return [(record.t / S, record.sender, record.detail) for record in self.trace.records]


def crash(**keys: Any) -> dict[str, Any]:
    return {"kind": "crash", "players": [str(O1)], **keys}


# -- phases ----------------------------------------------------------------------------------------------------------


async def test_a_fault_strikes_at_its_phase_once_in_each_of_its_rounds() -> None:
    run = Injected(crash(phase="upload", rounds=[0, 2]), {"kind": "restart", "phase": "publish"})
    assert run.phases(Label(0, 1), "publish", "advertise", "share") == []
    assert run.phases(Label(0, 1), "upload") == ["crash"]
    assert run.phases(Label(0, 2), "publish", "upload") == [], "the attempt is repeated, not what happened in it"
    assert run.phases(Label(1, 1), "publish", "advertise", "upload") == ["restart"]
    assert run.phases(Label(2, 1), "publish", "upload") == ["crash"]


async def test_an_attempt_that_gets_so_far_for_the_first_time_is_struck() -> None:
    run = Injected(crash(phase="upload"))
    assert run.phases(Label(0, 1), "publish", "advertise") == []
    assert run.phases(Label(0, 2), "publish", "advertise", "share", "upload") == ["crash"]


async def test_a_phase_that_the_protocol_lacks_means_its_next_one() -> None:
    run = Injected(crash(phase="share"), protocol="plain")
    assert run.phases(Label(0, 1), "publish") == []
    assert run.phases(Label(0, 1), "upload") == ["crash"]
    assert [(record.phase, record.round, record.attempt) for record in run.trace.records] == [("upload", 0, 1)]


async def test_what_has_a_time_follows_no_phase_and_nothing_happens_after_the_end() -> None:
    run = Injected(crash(at="2 s", lasts="3 s"), crash(at="9 s"))
    assert run.phases(Label(0, 1), "publish", "upload", "reveal") == []
    await sleep_until(now_ns() + 8 * S)
    assert run.said == [(2, O1, "crash"), (5, O1, "restart")]
    run.injector.end()
    await sleep_until(now_ns() + 100 * S)
    assert len(run.said) == 2


async def test_what_lasts_ends_with_the_run() -> None:
    run = Injected(crash(at="1 s", lasts="3 s"))
    await sleep_until(now_ns() + 2 * S)
    run.injector.end()
    await sleep_until(now_ns() + 100 * S)
    assert (run.said, run.target.back) == ([(1, O1, "crash")], [])


# -- who is struck -----------------------------------------------------------------------------------------------------


async def test_a_restart_of_nobody_in_particular_brings_everyone_back_but_the_model_owner() -> None:
    players = [str(O1), str(N1), str(MODEL_OWNER)]
    run = Injected(crash(players=players, phase="upload"), {"kind": "restart", "phase": "unmask", "state": False})
    assert run.phases(Label(0, 1), "upload") == ["crash"] * 3
    assert run.phases(Label(0, 1), "unmask") == ["restart without state"] * 2
    assert run.target.back == [(O1, False), (N1, False)]


async def test_a_player_that_lives_elsewhere_is_nobodys_crash_here() -> None:
    run = Injected(crash(players=[str(O1), str(O2)], phase="upload"), {"kind": "restart", "phase": "unmask"})
    run.target.stopped[O2] = None  # as a player of another process: this target never has it running
    assert run.phases(Label(0, 1), "upload") == ["crash"]
    assert run.phases(Label(0, 1), "unmask") == ["restart"]
    assert run.said == [(0, O1, "crash"), (0, O1, "restart")]


async def test_whom_a_number_strikes_follows_from_seed_and_round() -> None:
    def struck() -> list[list[str]]:
        run = Injected(crash(players={"count": 2}, phase="upload"), {"kind": "restart", "phase": "publish"})
        found = []
        for number in range(3):
            run.phases(Label(number, 1), "publish")
            before = len(run.said)
            run.phases(Label(number, 1), "upload")
            found.append([player for _, player, _ in run.said[before:]])
        return found

    assert struck() == struck()
    assert [len(each) for each in struck()] == [2, 2, 2]


# -- channels ----------------------------------------------------------------------------------------------------------


async def test_every_process_acts_on_its_channels_and_one_says_so() -> None:
    slow = {"kind": "slow", "players": [str(O1)], "phase": "upload", "factor": 3, "lasts": "1 s"}
    cut = {"kind": "partition", "players": [str(O2)], "phase": "upload"}
    runs = Injected(slow, cut, crash(phase="upload")), Injected(slow, cut, crash(phase="upload"), narrates=False)
    for run in runs:
        run.phases(Label(0, 1), "upload")
        assert run.channels is not None
        assert run.channels.slowness(O1).factor == 3
        assert slowness(run.channels, O1)() == 3
        assert slowness(run.channels, O2)() == 1
        assert run.channels.stop(O2, "compute-node-0")
    await sleep_until(now_ns() + 2 * S)
    narrated, silent = ([detail.partition(":")[0] for _, _, detail in run.said] for run in runs)
    assert narrated == ["slow", "partition", "crash", "slow"]
    assert silent == ["crash"], "a crash is told by the process of whom it struck"


@pytest.mark.parametrize(
    ("faults", "acts", "follows"),
    [
        ([], False, False),
        ([{"kind": "drop", "players": [str(O1)], "phase": "upload"}], False, False),
        ([crash(at="1 s")], False, False),
        ([crash(phase="upload")], False, True),
        ([{"kind": "hold", "players": [str(O1)], "at": "1 s"}], True, False),
        ([{"kind": "heal", "phase": "upload"}, {"kind": "partition", "players": [str(O1)], "at": "1 s"}], True, True),
    ],
)
def test_a_process_knows_beforehand_what_it_has_to_act_out(
    faults: list[dict[str, Any]], acts: bool, follows: bool
) -> None:
    values = parse(scenario("plain", 4, faults=faults))
    assert (channel_faults(values) is not None, follows_phases(values)) == (acts, follows)
    assert slowness(None, O1)() == 1.0
