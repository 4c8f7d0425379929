"""Partitions, holds, resets, corruption and slowness in a run: on both engines, and written down."""

from typing import Any

import pytest
from support.runs import Result, run

NETWORK = {"latency": "20 ms"}
SECONDS = {phase: {"deadline": "1 s"} for phase in ("publish", "advertise", "share", "upload", "unmask", "reveal")}
BOTH = pytest.mark.parametrize("engine", ["sim", "tcp"])


def play(fault: dict[str, Any], *more: dict[str, Any], engine: str = "sim", protocol: str = "secagg+") -> Result:
    """Two rounds; faults strike in the first unless they say otherwise."""
    faults = [{"phase": "upload", "rounds": [0], **each} if "at" not in each else each for each in (fault, *more)]
    return run(protocol, 5, engine, faults=faults, network=NETWORK, phases=SECONDS, rounds=2)


def survivors(result: Result) -> list[int]:
    return [len(each["survivors"]) for each in result["rounds"]]


def said(result: Result) -> list[str]:
    return [each.detail for each in result.trace.records if each.event == "fault"]


@BOTH
def test_a_partition_that_heals_in_time_costs_time_only(engine: str) -> None:
    result = play({"kind": "partition", "players": ["compute-node-1"], "lasts": "300 ms"}, engine=engine)
    assert survivors(result) == [5, 5]
    assert [each["attempts"] for each in result["rounds"]] == [1, 1]
    assert result["rounds"][0]["seconds"]["total"] > 0.3
    assert said(result) == ["partition: compute-node-1 | everyone else", "heal: compute-node-1 | everyone else"]


def test_a_partition_that_does_not_heal_costs_an_attempt_with_a_name() -> None:
    fault = {"kind": "partition", "players": ["compute-node-1"], "peers": ["compute-node-0"]}
    first, second = play(fault, {"kind": "heal", "at": "1400 ms"})["rounds"]
    assert first["reason"] == "0 owners uploaded, at least 3 are needed"
    assert (first["attempts"], len(first["survivors"]), second["attempts"]) == (2, 5, 1)


@BOTH
def test_an_owner_that_is_cut_off_for_good_misses_all_that_follows(engine: str) -> None:
    result = play({"kind": "partition", "players": ["data-owner-1"]}, engine=engine)
    assert result["status"] == "ok"
    assert [each["dropped"] for each in result["rounds"]] == [{"data-owner-1": "upload"}, {"data-owner-1": "publish"}]


def test_what_is_held_is_late_and_the_owner_is_back_when_it_is_released() -> None:
    hold = {"kind": "hold", "players": ["data-owner-1"]}
    result = play(hold, {"kind": "release", "phase": "unmask"})
    assert [each["dropped"] for each in result["rounds"]] == [{"data-owner-1": "upload"}, {}]
    assert said(result) == ["hold: data-owner-1 -> everyone else", "release: data-owner-1 -> everyone else"]


@BOTH
def test_owners_and_nodes_dial_again_what_was_reset(engine: str) -> None:
    result = play({"kind": "reset", "players": ["compute-node-1"], "rounds": [0], "phase": "reveal",
                   "peers": ["data-owner-0", "data-owner-1", "compute-node-0"]}, engine=engine)  # fmt: skip
    assert survivors(result) == [5, 5]
    assert result["rounds"][0]["attempts"] == 2
    assert "compute-node-1 gone" in result["rounds"][0]["reason"] or "connection reset" in result["rounds"][0]["reason"]


def test_who_loses_the_model_owner_is_out_of_the_run() -> None:
    result = play({"kind": "reset", "players": ["data-owner-1"]})
    assert survivors(result) == [4, 4]


@BOTH
def test_a_corrupted_upload_is_noticed_and_drops_its_owner(engine: str) -> None:
    result = play({"kind": "corrupt", "players": ["data-owner-1"], "message": "masked-slice"}, engine=engine)
    assert [each["dropped"] for each in result["rounds"]] == [{"data-owner-1": "upload"}, {}]
    assert said(result) == ["corrupt: the next 1 masked-slice from data-owner-1"]


@pytest.mark.parametrize("protocol", ["plain", "pairwise", "additive", "secagg", "secagg+"])
def test_whatever_is_corrupted_never_ends_in_a_wrong_mean(protocol: str) -> None:
    for player in ("data-owner-1", "compute-node-0", "compute-node-1", "model-owner"):
        for phase in ("publish", "share", "upload", "reveal"):
            fault = {"kind": "corrupt", "players": [player], "phase": phase, "frames": 2}
            for each in play(fault, protocol=protocol)["rounds"]:
                assert each["exact"] if each["status"] == "ok" else each["reason"]


@BOTH
def test_who_is_slow_is_late_by_the_factor_and_the_delay_until_it_is_over(engine: str) -> None:
    fault = {"kind": "slow", "players": ["data-owner-1"], "phase": "publish", "factor": 8, "lasts": "700 ms"}
    result = play(fault, engine=engine)
    first, second = (each["seconds"]["total"] for each in result["rounds"])
    assert survivors(result) == [5, 5]
    assert first > second + 3 * 7 * 0.02
    assert said(result)[0] == "slow: data-owner-1 takes 8 times as long and 0 s more"


def test_who_is_too_slow_loses_the_round() -> None:
    fault = {"kind": "slow", "players": ["data-owner-1"], "phase": "publish", "delay": "2 s", "lasts": "3 s"}
    assert play(fault)["rounds"][0]["dropped"] == {"data-owner-1": "publish"}


def test_a_slow_player_computes_longer_too() -> None:
    fault = {"kind": "slow", "players": ["data-owner-1"], "at": "0 s", "factor": 3}
    tables = {"compute": {"gradient": "100 ms"}, "network": {"latency": "10 ms"}, "rounds": 1}
    usual, slow = (run("plain", 3, faults=faults, **tables) for faults in ([], [fault]))
    times = [round(each["rounds"][0]["seconds"]["total"] * 1e9) for each in (usual, slow)]
    assert times == [150_000_000, 370_000_000]  # its answer takes 30 ms in place of 10


def test_a_phase_that_the_protocol_lacks_means_its_next_one() -> None:
    result = play({"kind": "slow", "players": ["data-owner-1"], "phase": "share", "delay": "1 ms"}, protocol="plain")
    (fault,) = [record for record in result.trace.records if record.event == "fault"]
    assert (fault.phase, fault.round, fault.attempt) == ("upload", 0, 1)


def test_every_fault_happens_once_a_round_also_when_the_attempt_is_repeated() -> None:
    fault = {"kind": "crash", "players": ["compute-node-1"], "lasts": "100 ms", "rounds": "all"}
    result = play(fault)
    assert [each["status"] for each in result["rounds"]] == ["ok", "ok"]
    assert said(result) == ["crash", "restart"] * 2
