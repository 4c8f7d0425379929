"""Row 6: intersecting the sets of survivors over rounds, retries and weights. Every owner keeps its own ledger."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import asyncagg
from asyncagg.engines.experiment import prepare
from asyncagg.engines.launch import begin, play
from asyncagg.engines.record.run_record import RunRecord
from asyncagg.players.ledger_store import LedgerStore, StoreError
from asyncagg.protocols.ledger.account import Rules
from asyncagg.protocols.messages import to_bitmap
from asyncagg.protocols.names import Label
from asyncagg.scenario.reading.load import parse

OWNERS = 6
RULES = Rules(owners=OWNERS, minimum_cohort=2, strict=True, weights=False)


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


@pytest.mark.parametrize("protocol", ["secagg", "secagg+"])
@pytest.mark.parametrize("against", [{"threat": "lying"}, {"ledger": "strict"}])
def test_a_strict_ledger_refuses_the_second_sum_and_nothing_is_opened(
    tmp_path: Path, protocol: str, against: dict[str, str]
) -> None:
    result = asyncagg.run(scenario(tmp_path, protocol=protocol, retries=0, **against))
    assert result["status"] == "failed"
    assert [each["status"] for each in result["rounds"]] == ["ok", "failed"]
    opened = [record for record in result.trace.records if record.round == 1 and record.kind == "unmask-shares"]
    assert not opened, "an owner answered although its ledger had to refuse"
    refusals = [record.detail for record in result.trace.records if record.event in ("drop", "refuse", "abort")]
    assert any("privacy ledger" in detail and "data-owner-1" in detail for detail in refusals)


def test_the_weights_of_all_rounds_are_one_scope_whatever_the_parameters() -> None:
    store = LedgerStore(Rules(owners=OWNERS, minimum_cohort=2, strict=True, weights=True))
    everyone = to_bitmap(list(range(OWNERS)), OWNERS)
    assert not store.ledger.settled(Label(0, 1), b"p" * 32, everyone).refused
    verdict = store.ledger.settled(Label(1, 1), b"q" * 32, to_bitmap(list(range(1, OWNERS)), OWNERS))
    assert verdict.refused
    assert "weight of data-owner-0" in verdict.reason


def test_the_ledger_is_on_disk_before_the_upload_and_survives_a_restart(tmp_path: Path) -> None:
    written: list[dict[str, Any]] = []
    path = tmp_path / "data-owner-0.json"
    store = LedgerStore(RULES, path)
    store.ledger.uploaded(Label(0, 1), b"p" * 32, to_bitmap(list(range(OWNERS)), OWNERS), 4)
    store.save()
    written.append(json.loads(path.read_text()))
    assert written[0]["entries"][0]["state"] == "possible"
    again = LedgerStore(RULES, path)
    assert again.ledger.entries == store.ledger.entries
    verdict = again.ledger.settled(Label(0, 2), b"p" * 32, to_bitmap([0, 1, 2, 3, 4], OWNERS))
    assert verdict.refused, "after a restart the same inputs may not enter another sum"


@pytest.mark.parametrize("engine", ["tcp"])
def test_every_owner_of_a_tcp_run_leaves_its_ledger_beside_it(tmp_path: Path, engine: str) -> None:
    ready = parse(scenario(tmp_path) | {"engine": engine, "rounds": 1})
    finished: RunRecord = begin(ready)
    finished.folder = tmp_path
    play(prepare(ready), finished, lambda _: None)
    assert finished.result.status == "ok"
    for index in range(OWNERS):
        entries = json.loads((tmp_path / "ledgers" / f"data-owner-{index}.json").read_text())["entries"]
        assert [entry["state"] for entry in entries] == ["known"]


def played(values: dict[str, Any], folder: Path) -> RunRecord:
    """A run whose owners keep their ledgers in this folder."""
    ready = parse(values)
    finished: RunRecord = begin(ready)
    finished.folder = folder
    play(prepare(ready), finished, lambda _: None)
    return finished


@pytest.mark.parametrize("against", [{"threat": "lying"}, {"ledger": "strict"}, {}])
def test_an_attempt_is_not_played_again_by_owners_that_were_restarted(tmp_path: Path, against: dict[str, str]) -> None:
    """A model owner with an old checkpoint, or one that lies, publishes a label again: an entry must never change."""
    values = scenario(tmp_path, retries=0, **against) | {"engine": "tcp", "rounds": 1, "faults": []}
    assert played(values, tmp_path).result.status == "ok"
    kept = {path: path.read_bytes() for path in (tmp_path / "ledgers").iterdir()}
    again = played(values | {"faults": [{"kind": "drop", "players": ["data-owner-5"], "phase": "upload"}]}, tmp_path)
    assert again.result.status == "failed"
    assert "not newer than round 0, attempt 1, of this owner's privacy ledger" in (again.result.reason or "")
    assert {path: path.read_bytes() for path in (tmp_path / "ledgers").iterdir()} == kept


CRASHES = [
    {"kind": "crash", "players": ["compute-node-1"], "phase": "reveal", "rounds": [0], "lasts": "1 s"},
    {"kind": "crash", "players": ["data-owner-5"], "phase": "reveal", "rounds": [0]},
]


def test_a_sum_that_reached_the_model_owner_in_part_is_not_struck_from_its_ledger(tmp_path: Path) -> None:
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
    values = scenario(tmp_path, protocol="pairwise", threat="lying") | {"rounds": 1, "faults": CRASHES}
    (each,) = asyncagg.run(values)["rounds"]
    assert (each["status"], each["attempts"]) == ("failed", 1)
    assert "no retry once an upload began" in each["reason"]


@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_a_ledger_outlives_the_memory_of_its_owner(tmp_path: Path, engine: str) -> None:
    """Owners that come back without state know what they put in before; in virtual time too."""
    everyone = [f"data-owner-{index}" for index in range(OWNERS - 1)]
    faults = [
        {"kind": "crash", "players": ["compute-node-1"], "phase": "unmask", "lasts": "300 ms"},
        {"kind": "crash", "players": [*everyone, "data-owner-5"], "phase": "unmask"},
        {"kind": "restart", "players": everyone, "at": "100 ms", "state": False},
    ]
    values = scenario(tmp_path, ledger="strict") | {"engine": engine, "rounds": 1, "faults": faults}
    result = asyncagg.run(values)
    assert result["status"] == "failed"
    assert "privacy ledger: round 0, attempt 2 may give away the input of one owner" in result["reason"]


def test_two_processes_do_not_write_one_ledger(tmp_path: Path) -> None:
    path = tmp_path / "new" / "data-owner-0.json"
    first, second = LedgerStore(RULES, path, durable=True), LedgerStore(RULES, path, durable=True)
    everyone = to_bitmap(list(range(OWNERS)), OWNERS)
    first.ledger.settled(Label(0, 1), b"p" * 32, everyone)
    first.save()
    first.save()
    second.ledger.settled(Label(0, 2), b"p" * 32, everyone)
    with pytest.raises(StoreError, match=r"another process writes this privacy ledger"):
        second.save()
    assert LedgerStore(RULES, path).ledger.entries == first.ledger.entries
