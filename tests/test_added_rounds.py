"""Rounds that are added to a finished run: the same as if it had had them from the beginning, or refused in words."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cli import invoke
from support.runs import DIMENSION, Arrays, Nothing, Vector, scenario

import asyncagg
from asyncagg.runs.checkpoint import CheckpointError
from asyncagg.scenario.errors import ScenarioError
from asyncagg.scenario.reading.load import load, parse


class Momentum(Nothing):
    """Steps that depend on all means so far, through what the model keeps beside its parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.velocity = np.zeros(DIMENSION)

    def initial_parameters(self) -> Arrays:
        return {"vector": np.zeros(DIMENSION)}

    def apply(self, parameters: Arrays, mean: Arrays) -> Arrays:
        ((name, values),) = mean.items()
        self.velocity = 0.5 * self.velocity + values
        return {name: np.asarray(parameters[name]) - 0.1 * self.velocity}

    def state(self) -> Arrays:
        return {"velocity": self.velocity}

    def restore(self, state: Arrays) -> None:
        self.velocity = np.array(state["velocity"])


class Drifting(Vector):
    """Hands in another vector in each round."""

    def compute_gradient(self, parameters: Arrays, round: int) -> tuple[Arrays, int]:
        gradients, weight = super().compute_gradient(parameters, round)
        return {name: np.asarray(each) * (1 + round) / 16 for name, each in gradients.items()}, weight


def given() -> dict[str, Any]:
    owners = [Drifting(np.full(DIMENSION, 0.1 * index)) for index in range(4)]
    return {"owners": owners, "model_owner": Momentum()}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_run_with_added_rounds_is_the_run_that_had_them_from_the_beginning(tmp_path: Path) -> None:
    whole = asyncagg.run(scenario("secagg", engine="tcp", rounds=5), out=tmp_path / "whole", **given())
    asyncagg.run(scenario("secagg", engine="tcp", rounds=2), out=tmp_path / "run", **given())
    again = asyncagg.run(resume=tmp_path / "run", add_rounds=2, **given())
    assert [each["round"] for each in again["rounds"]] == list(range(4))
    last = asyncagg.run(resume=tmp_path / "run", add_rounds=1, **given())
    assert last["status"] == "ok"
    assert list(last.means) == list(whole.means) == list(range(5))
    for index in range(5):
        np.testing.assert_array_equal(last.means[index], whole.means[index])
    for name, each in whole.model.items():
        np.testing.assert_array_equal(last.model[name], each)
    assert load(tmp_path / "run" / "scenario.toml").rounds == 5
    records = map(json.loads, (tmp_path / "run" / "trace.jsonl").read_text().splitlines())
    assert sorted({each["round"] for each in records}) == list(range(5))
    labels = [json.loads(line) for line in (tmp_path / "run" / "account.jsonl").read_text().splitlines()]
    assert len(labels) == len({json.dumps(each) for each in labels})


def test_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text('name="small"\nengine="tcp"\nrounds=2\nowners.count=3\nworkload.kind="synthetic"\n')
    assert invoke("run", path, "--out", tmp_path / "run").exit_code == 0
    done = invoke("run", "--resume", tmp_path / "run")
    assert done.exit_code == 2
    assert done.stderr == f"{tmp_path / 'run'}: the run has ended, with all of its 2 rounds (--rounds +N adds some)\n"
    assert invoke("run", "--resume", tmp_path / "run", "--rounds", "+2").exit_code == 0
    assert len(json.loads((tmp_path / "run" / "result.json").read_text())["rounds"]) == 4
    for wrong in ("2", "+0", "-1", "+", "some"):
        assert f"{wrong} is not so many more (+50)" in invoke("run", "--resume", tmp_path, "--rounds", wrong).stderr
    assert "goes with --resume (a new run: --set rounds=N)" in invoke("run", path, "--rounds", "+2").stderr


class Stops(Exception):
    """Raised by a test in the middle of a run."""


def test_one_that_has_rounds_to_go_gets_no_more(tmp_path: Path) -> None:
    def stop(each: dict[str, Any]) -> None:
        raise Stops

    with pytest.raises(Stops):
        asyncagg.run(scenario("plain", engine="tcp", rounds=3), out=tmp_path / "run", on_round=stop)
    before = contents(tmp_path)
    with pytest.raises(CheckpointError, match=r"of its 3 rounds are still to be played \(resume it as it is first\)"):
        asyncagg.run(resume=tmp_path / "run", add_rounds=1)
    assert contents(tmp_path) == before
    assert asyncagg.run(resume=tmp_path / "run")["status"] == "ok"


def test_where_there_is_no_data_for_more_rounds(tmp_path: Path) -> None:
    np.savez(tmp_path / "vectors.npz", vectors=np.zeros((2, 3, 4)))
    values = {"name": "data", "engine": "tcp", "rounds": 2, "owners": {"count": 3}}
    values["workload"] = {"kind": "vectors", "file": str(tmp_path / "vectors.npz")}
    asyncagg.run(values, out=tmp_path / "run")
    before = contents(tmp_path)
    with pytest.raises(ScenarioError, match="`vectors` is for 2 rounds, the scenario has 3"):
        asyncagg.run(resume=tmp_path / "run", add_rounds=1)
    assert contents(tmp_path) == before


LYING = {"protocol": "secagg+", "threat": "lying", "corrupt": 0.1, "dropout": 0.1}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"engine": "sim"}, "is a run in virtual time, which keeps no checkpoint"),
        ({"engine": "hosts"}, "no rounds can be added on hosts: each has their number in its own scenario"),
        ({"owners": {"count": 12, "per_round": 8}, "aggregation": LYING}, "so that 2 rounds together are safe"),
    ],
)
def test_where_the_number_of_rounds_is_part_of_the_run(changes: dict[str, Any], why: str, tmp_path: Path) -> None:
    played = parse(scenario("secagg+", engine="tcp", rounds=2))
    asyncagg.run(played, out=tmp_path / "run")
    values = played.normalised()
    values.pop("workload")
    values = {**values, **changes}
    (tmp_path / "run" / "scenario.toml").write_text(parse(values).normalised_toml())
    with pytest.raises(CheckpointError, match=why):
        asyncagg.run(resume=tmp_path / "run", add_rounds=1)


def test_add_rounds_goes_with_resume(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="add_rounds goes with resume"):
        asyncagg.run(scenario("plain"), add_rounds=2)
    for wrong in (-1, 1.5, True):
        with pytest.raises(TypeError, match="add_rounds must be a number of rounds"):
            asyncagg.run(resume=tmp_path, add_rounds=wrong)  # type: ignore[arg-type]
