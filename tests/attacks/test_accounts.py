"""Row 6: intersecting the sets of survivors over rounds, retries and weights. All keep account of what became known.

What holds an intersection off is the cut into batches; accounts say what there was to learn, and keep old labels away.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import asyncagg
from asyncagg.engines.experiment import prepare
from asyncagg.engines.launch import begin, play
from asyncagg.engines.record.run_record import RunRecord
from asyncagg.players.data_owner import DataOwnerPlayer, OwnerPart
from asyncagg.protocols.names import Label
from asyncagg.scenario.reading.load import parse

OWNERS = 6


def scenario(folder: Path, **aggregation: Any) -> dict[str, Any]:
    """Two rounds on the same (empty) parameters; owner 1 is missing from the second."""
    np.savez(folder / "v.npz", vectors=np.linspace(-1, 1, OWNERS * 8).reshape(OWNERS, 8))
    return {
        "name": "two-sums",
        "engine": "sim",
        "rounds": 2,
        "owners": {"count": OWNERS},
        "aggregation": {
            "protocol": "secagg",
            "compute_nodes": 2,
            "corrupt": 0.1,
            "weighting": "uniform",
            **aggregation,
        },
        "encoding": {"clip": 1.0},
        "workload": {"kind": "vectors", "file": str(folder / "v.npz")},
        "faults": [{"kind": "drop", "players": ["data-owner-1"], "phase": "upload", "rounds": [1]}],
    }


def test_two_sums_that_differ_by_one_owner_are_a_named_warning(tmp_path: Path) -> None:
    result = asyncagg.run(scenario(tmp_path))
    assert result["status"] == "ok"
    (warning,) = result["privacy"]["ledger"]
    assert "data-owner-1" in warning
    assert "round 0, attempt 1" in warning


def entries(path: Path) -> list[dict[str, Any]]:
    """What an account says, without its first line."""
    return [json.loads(line) for line in path.read_text().splitlines()[1:]]


@pytest.mark.parametrize("protocol", ["secagg", "additive"])
@pytest.mark.parametrize("threat", ["curious", "lying"])
def test_with_batches_it_is_a_batch_that_is_given_away_and_nothing_is_refused(
    tmp_path: Path, protocol: str, threat: str
) -> None:
    """The lost owner takes its mates along: no owner refuses, whatever the sums before, and the warning says whose."""
    values = scenario(tmp_path, protocol=protocol, threat=threat, batch=2, dropout=0.34, corrupt=0.0)
    result = asyncagg.run(values | {"encoding": {"clip": 1.0, "rounding_draws": "system"}})
    assert result["status"] == "ok", result["reason"]
    assert [len(each["survivors"]) for each in result["rounds"]] == [6, 4]
    gone = {"data-owner-1", *result["rounds"][1]["with_their_batch"]}
    (warning,) = result["privacy"]["ledger"]
    number = prepare(parse(values)).batches.batch_of(1)
    assert f"gives away the sum of batch {number} ({len(gone)} owners), and no single owner's input" in warning


@pytest.mark.parametrize("engine", ["tcp"])
def test_everyone_in_a_tcp_run_leaves_an_account_beside_it(tmp_path: Path, engine: str) -> None:
    ready = parse(scenario(tmp_path) | {"engine": engine, "rounds": 1})
    finished: RunRecord = begin(ready)
    finished.folder = tmp_path
    play(prepare(ready), finished, lambda _: None)
    assert finished.result.status == "ok"
    for index in range(OWNERS):
        noted = entries(tmp_path / "ledgers" / f"data-owner-{index}.jsonl")
        assert [entry["state"] for entry in noted] == ["possible", "known"]
    assert [entry["state"] for entry in entries(tmp_path / "account.jsonl")] == ["possible", "known"]


def played(values: dict[str, Any], folder: Path) -> RunRecord:
    """A run whose owners keep their accounts in this folder."""
    ready = parse(values)
    finished: RunRecord = begin(ready)
    finished.folder = folder
    play(prepare(ready), finished, lambda _: None)
    return finished


@pytest.mark.parametrize("against", [{"threat": "lying", "batch": 1}, {}])
def test_an_attempt_is_not_played_again_by_owners_that_were_restarted(tmp_path: Path, against: dict[str, str]) -> None:
    """A model owner with an old checkpoint, or one that lies, publishes a label again: an entry must never change."""
    values = scenario(tmp_path, retries=0, **against) | {"engine": "tcp", "rounds": 1, "faults": []}
    assert played(values, tmp_path).result.status == "ok"
    kept = {path: path.read_bytes() for path in (tmp_path / "ledgers").iterdir()}
    drop = [{"kind": "drop", "players": ["data-owner-5"], "phase": "upload"}]
    soon = {name: {"deadline": "1 s"} for name in ("publish", "advertise")}  # for the dropped one, which says nothing
    again = played(values | {"faults": drop, "phases": soon}, tmp_path)
    assert again.result.status == "failed"
    assert "not newer than round 0, attempt 1, of this owner's account" in (again.result.reason or "")
    assert {path: path.read_bytes() for path in (tmp_path / "ledgers").iterdir()} == kept


CRASHES = [
    {"kind": "crash", "players": ["compute-node-1"], "phase": "reveal", "rounds": [0], "lasts": "1 s"},
    {"kind": "crash", "players": ["data-owner-5"], "phase": "reveal", "rounds": [0]},
]


def test_a_sum_that_reached_the_model_owner_in_part_is_not_struck_from_its_account(tmp_path: Path) -> None:
    values = scenario(tmp_path) | {"rounds": 1, "faults": CRASHES}
    result = asyncagg.run(values)
    (each,) = result["rounds"]
    assert (result["status"], each["attempts"]) == ("ok", 2)
    assert "data-owner-5" not in each["survivors"]
    (warning,) = result["privacy"]["ledger"]
    assert "may give away the input of one owner" in warning
    assert "round 0, attempt 1" in warning


def test_pairwise_says_so_as_well_and_does_not_retry_when_the_lead_may_lie(tmp_path: Path) -> None:
    values = scenario(tmp_path, protocol="pairwise") | {"rounds": 1, "faults": CRASHES}
    (each,) = asyncagg.run(values)["rounds"]
    assert each["attempts"] == 2
    assert any("a late vector would complete its sum" in warning for warning in each["warnings"])
    values = scenario(tmp_path, protocol="pairwise", threat="lying", batch=1) | {"rounds": 1, "faults": CRASHES}
    (each,) = asyncagg.run(values)["rounds"]
    assert (each["status"], each["attempts"]) == ("failed", 1)
    assert "no retry once an upload began" in each["reason"]


@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_an_account_outlives_the_memory_of_its_owner(
    tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Owners that come back without state know what they took part in before; in virtual time too."""
    faults = [
        {"kind": "crash", "players": ["data-owner-5"], "phase": "unmask", "rounds": [0]},
        {"kind": "restart", "players": ["data-owner-5"], "phase": "publish", "rounds": [1], "state": False},
    ]
    found: list[Label | None] = []
    begin_with = DataOwnerPlayer.begin_with

    def noted(player: DataOwnerPlayer, part: OwnerPart) -> None:
        begin_with(player, part)
        assert part.store is not None
        found.append(part.store.account.newest)

    monkeypatch.setattr(DataOwnerPlayer, "begin_with", noted)
    finished = played(scenario(tmp_path) | {"engine": engine, "faults": faults}, tmp_path)
    assert finished.result.status == "ok"
    assert found == [None] * OWNERS + [Label(0, 1)]
