"""The roster file: what is written is what is pinned, and what cannot be pinned is refused with its place."""

import json
from pathlib import Path

import pytest

from asyncagg.engines.experiment import prepare
from asyncagg.engines.launch import begin, play
from asyncagg.runs import roster_file
from asyncagg.runs.roster_file import RosterError
from asyncagg.scenario.reading.load import parse

GOOD = {"data-owner-0": "00" * 32, "model-owner": "ab" * 32}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "roster.json"
    keys = {name: bytes.fromhex(key) for name, key in GOOD.items()}
    roster_file.write(path, keys)
    assert roster_file.read(path) == keys


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "is not an object"),
        ("{", "is not JSON"),
        (json.dumps(GOOD | {"data-owner-1": "abc"}), "data-owner-1: is not a public key"),
        (json.dumps(GOOD | {"data-owner-1": 7}), "data-owner-1: is not a public key"),
        (json.dumps(GOOD | {"data-owner-1": "ab" * 32}), "data-owner-1: has the key of model-owner"),
    ],
)
def test_what_cannot_be_pinned_is_refused(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "roster.json"
    path.write_text(content)
    with pytest.raises(RosterError, match=said):
        roster_file.read(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RosterError, match="No such file"):
        roster_file.read(tmp_path / "none.json")


@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_a_run_against_a_lying_lead_pins_everyone_in_its_roster_file(tmp_path: Path, engine: str) -> None:
    ready = parse(
        {
            "name": "pinned",
            "engine": engine,
            "owners": {"count": 4},
            "aggregation": {"threat": "lying", "corrupt": 0.1, "compute_nodes": 2},
            "workload": {"kind": "synthetic", "dimension": 8},
        }
    )
    finished = begin(ready)
    finished.folder = tmp_path
    play(prepare(ready), finished, lambda _: None)
    assert finished.result.status == "ok"
    pinned = roster_file.read(tmp_path / "roster.json")
    owners = [f"data-owner-{index}" for index in range(4)]
    assert sorted(pinned) == sorted(["model-owner", "compute-node-0", "compute-node-1", *owners])
