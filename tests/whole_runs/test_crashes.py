"""Players that stop and come back: owners lose a round, compute nodes an attempt, the model owner the run."""

import re
from typing import Any

import pytest
from support.runs import Result, run

NETWORK = {"latency": "20 ms"}
PROTOCOLS = ["plain", "pairwise", "additive", "secagg", "secagg+"]
DEADLINES = {phase: {"deadline": "2 s"} for phase in ("publish", "advertise", "share", "upload", "unmask", "reveal")}
BOTH = pytest.mark.parametrize("engine", ["sim", "tcp"])


def crash(player: str, phase: str | None = None, **keys: Any) -> dict[str, Any]:
    return {"kind": "crash", "players": [player], **({} if phase is None else {"phase": phase}), **keys}


def play(protocol: str, *faults: dict[str, Any], engine: str = "sim", rounds: int = 2, **tables: Any) -> Result:
    defaults: dict[str, Any] = {"network": NETWORK, "phases": DEADLINES, "rounds": rounds}
    return run(protocol, 5, engine, faults=list(faults), **{**defaults, **tables})


def said(result: Result) -> list[tuple[int, str, str]]:
    """Every fault in the trace: round, player, what."""
    return [(each.round, each.sender, each.detail) for each in result.trace.records if each.event == "fault"]


@BOTH
@pytest.mark.parametrize("protocol", ["plain", "additive", "secagg+"])
def test_an_owner_that_crashes_loses_the_round_and_is_back_in_the_next_but_one(protocol: str, engine: str) -> None:
    faults = crash("data-owner-1", "publish", rounds=[0]), {"kind": "restart", "phase": "reveal", "rounds": [1]}
    result = play(protocol, *faults, engine=engine, rounds=3)
    assert result["status"] == "ok"
    assert ["data-owner-1" in each["survivors"] for each in result["rounds"]] == [False, False, True]
    assert all(each["exact"] for each in result["rounds"])
    assert said(result) == [(0, "data-owner-1", "crash"), (1, "data-owner-1", "restart")]


def test_an_owner_that_crashes_after_its_upload_stays_in_the_sum() -> None:
    (each, _) = play("secagg", crash("data-owner-1", "unmask", rounds=[0]))["rounds"]
    assert (each["dropped"], each["silent_after"]) == ({}, {"data-owner-1": "unmask"})
    assert len(each["survivors"]) == 5


@BOTH
@pytest.mark.parametrize("node", ["compute-node-0", "compute-node-1"])
@pytest.mark.parametrize("phase", ["upload", "reveal"])
def test_a_compute_node_that_comes_back_lets_the_retry_work(engine: str, node: str, phase: str) -> None:
    result = play("secagg+", crash(node, phase, rounds=[0], lasts="300 ms"), engine=engine)
    first, second = result["rounds"]
    assert (first["status"], second["status"]) == ("ok", "ok")
    assert re.search(rf"{node}(: | gone in \w+: )closed: crashed", first["reason"])
    assert (len(first["survivors"]), first["exact"], second["attempts"]) == (5, True, 1)
    assert said(result) == [(0, node, "crash"), (0, node, "restart")]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("phase", ["publish", "upload"])
def test_every_protocol_survives_a_crash_of_the_lead(protocol: str, phase: str) -> None:
    result = play(protocol, crash("compute-node-0", phase, rounds=[0], lasts="300 ms"))
    assert [each["exact"] for each in result["rounds"]] == [True, True]


def test_a_compute_node_that_stays_away_is_named() -> None:
    result = play("secagg", crash("compute-node-2", "upload"), aggregation={"retries": 1})
    assert (result["status"], len(result["rounds"])) == ("failed", 1)
    assert re.search(r"compute-node-2 gone in \w+: closed: crashed", result["reason"])
    assert result["seconds"]["virtual"] < 2 * sum(2 for _ in DEADLINES)


@BOTH
def test_without_the_model_owner_the_run_ends_with_its_name(engine: str) -> None:
    result = play("secagg", crash("model-owner", "upload", rounds=[1]), engine=engine)
    assert (result["status"], result["reason"]) == ("failed", "round 1: model-owner crashed")
    assert [each["status"] for each in result["rounds"]] == ["ok", "failed"]


def test_a_policy_to_skip_does_not_outlive_the_model_owner() -> None:
    result = play("secagg", crash("model-owner", "upload", rounds=[0]), aggregation={"on_failure": "skip"})
    assert (result["reason"], len(result["rounds"])) == ("round 0: model-owner crashed", 1)


def test_a_crash_at_a_time_and_a_restart_without_state() -> None:
    restart = {"kind": "restart", "players": ["data-owner-3"], "at": "90 ms", "state": False}
    result = play("plain", crash("data-owner-3", at="10 ms"), restart, rounds=3)
    assert ["data-owner-3" in each["survivors"] for each in result["rounds"]] == [False, True, True]
    times = [(each.t, each.detail) for each in result.trace.records if each.event == "fault"]
    assert times == [(10_000_000, "crash"), (90_000_000, "restart without state")]


def test_who_is_down_cannot_crash_again_and_who_is_up_cannot_come_back() -> None:
    faults = crash("data-owner-3", "publish"), {"kind": "restart", "players": ["data-owner-1"], "phase": "upload"}
    assert said(play("plain", *faults)) == [(0, "data-owner-3", "crash")]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_whatever_crashes_whenever_a_round_has_the_right_mean_or_a_named_failure(protocol: str) -> None:
    """Every 5 ms of a round, a player, for a while; never past the deadlines of the attempts."""
    for step, at in enumerate(range(0, 460, 20)):
        player = ("compute-node-1", "data-owner-2", "compute-node-0")[step % 3]
        result = play(protocol, crash(player, at=f"{at} ms", lasts=f"{50 + 7 * step} ms"), rounds=1)
        (each,) = result["rounds"]
        assert each["exact"] if each["status"] == "ok" else each["reason"]
        assert each["seconds"]["total"] <= each["attempts"] * 7 * 30


@pytest.mark.parametrize("crashed", [False, True])
def test_a_lead_that_has_said_everything_may_go_before_the_other_sums_are_there(crashed: bool) -> None:
    """An attempt is not thrown away for nothing: together with the next it may give away an input."""
    late = {"kind": "slow", "players": ["compute-node-1"], "phase": "unmask", "factor": 1.0, "delay": "1 s"}
    after = [{"kind": "crash", "players": ["compute-node-0"], "at": "400 ms"}] if crashed else []
    result = play("secagg", late, *after, rounds=1)
    assert result["seconds"]["virtual"] > 1
    assert [(each["attempts"], len(each["survivors"])) for each in result["rounds"]] == [(1, 5)]
    assert result["privacy"]["ledger"] == []


@BOTH
@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("node", ["data-owner-1", "compute-node-0", "compute-node-1"])
def test_who_stops_and_is_back_in_the_same_moment_has_lost_the_attempt_and_no_more(
    node: str, state: bool, engine: str
) -> None:
    back = {"kind": "restart", "players": [node], "phase": "publish", "rounds": [0], "state": state}
    result = play("secagg", crash(node, "publish", rounds=[0]), back, engine=engine)
    assert result["status"] == "ok"
    assert [each["exact"] for each in result["rounds"]] == [True, True]
    assert len(result["rounds"][1]["survivors"]) == 5
