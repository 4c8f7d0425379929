"""Owners whose own code goes wrong: each is dropped by name, and the others go on."""

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.runs import DIMENSION, Bad, Nothing, Vector, run, scenario
from support.tap import Tap
from support.tensors import Tensor

import asyncagg
from asyncagg.api import Result
from asyncagg.runs.directory import RunDirectory

pytestmark = pytest.mark.filterwarnings("ignore::asyncagg.OwnerWarning")

GOOD = np.linspace(-1, 1, DIMENSION)
BAD: dict[str, Any] = {
    "raises": RuntimeError("the data are private: 4711"),
    "raises StopIteration": StopIteration(),
    "exits": SystemExit(0),
    "raises GeneratorExit": GeneratorExit(),
    "nothing": None,
    "a bare array": (GOOD, 1),
    "no weight": ({"vector": GOOD},),
    "ragged lists": ({"vector": [[1.0], [1.0, 2.0]]}, 1),
    "text": ({"vector": "abc"}, 1),
    "NaN": ({"vector": np.full(DIMENSION, np.nan)}, 1),
    "infinity": ({"vector": np.full(DIMENSION, -np.inf, np.float32)}, 1),
    "too short": ({"vector": GOOD[:-1]}, 1),
    "a matrix": ({"vector": GOOD.reshape(2, -1)}, 1),
    "numbers as text": ({"vector": np.full(DIMENSION, "1")}, 1),
    "objects": ({"vector": [None] * DIMENSION}, 1),
    "masked": ({"vector": np.ma.masked_all(DIMENSION)}, 1),
    "a tensor that cannot be read": ({"vector": Tensor(GOOD, requires_grad=True)}, 1),
    "complex": ({"vector": GOOD * 1j}, 1),
    "another name": ({"gradient": GOOD}, 1),
    "one name more": ({"vector": GOOD, "secret": GOOD}, 1),
    "weight 0": ({"vector": GOOD}, 0),
    "negative weight": ({"vector": GOOD}, -3),
    "weight too large": ({"vector": GOOD}, 8),
    "weight a fraction": ({"vector": GOOD}, 1.5),
    "weight false": ({"vector": GOOD}, False),
    "weight NaN": ({"vector": GOOD}, np.nan),
    "weight text": ({"vector": GOOD}, "1"),
    "weight complex": ({"vector": GOOD}, 1 + 0j),
    "weights": ({"vector": GOOD}, [1]),
    "weight none": ({"vector": GOOD}, None),
}


def play(what: Any, protocol: str, engine: str) -> Result:
    owners = [Vector(GOOD, 7), Bad(what), Vector(-GOOD, 2), Vector(GOOD, 1)]
    return asyncagg.run(scenario(protocol, 4, engine), owners=owners, model_owner=Nothing())


@pytest.mark.parametrize("engine", ["sim", "tcp"])
@pytest.mark.parametrize("what", list(BAD))
def test_an_owner_without_a_usable_gradient_is_dropped_by_name(what: str, engine: str) -> None:
    result = play(BAD[what], "secagg", engine)
    (each,) = result["rounds"]
    assert (each["status"], each["exact"], each["attempts"]) == ("ok", True, 1)
    assert each["dropped"] == {"data-owner-1": "publish"}
    assert each["survivors"] == ["data-owner-0", "data-owner-2", "data-owner-3"]
    detail = next(record.detail for record in result.trace.records if record.event == "drop")
    assert each["reasons"] == {"data-owner-1": detail}
    assert re.match(r"compute_gradient (must return|returned) |\w+ at (runs|tensors)\.py:\d+$", detail)
    assert "4711" not in "".join(record.detail for record in result.trace.records)


@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_who_is_lost_otherwise_has_a_reason_too_whoever_comes_later(engine: str) -> None:
    faults = [
        {"kind": "drop", "players": ["data-owner-1"], "phase": "upload"},
        {"kind": "crash", "players": ["data-owner-2"], "phase": "share"},
    ]
    phases = {"upload": {"deadline": "500 ms"}}
    result = run("secagg", 6, engine, rounds=2, faults=faults, phases=phases, aggregation={"dropout": 0.4})
    first, second = result["rounds"]
    assert first["dropped"] == {"data-owner-1": "upload", "data-owner-2": "share"}
    assert first["reasons"] == {"data-owner-1": "silent in upload", "data-owner-2": "closed: crashed"}
    assert second["dropped"] == {"data-owner-1": "upload", "data-owner-2": "publish"}
    assert second["reasons"] == {"data-owner-1": "silent in upload", "data-owner-2": "not connected"}


@pytest.mark.parametrize("protocol", ["plain", "pairwise", "additive", "secagg+"])
def test_so_it_is_in_every_protocol(protocol: str) -> None:
    result = play(BAD["raises"], protocol, "sim")
    assert result["rounds"][0]["dropped"] == {"data-owner-1": "publish"}
    assert result["rounds"][0]["exact"] is True


def test_weights_may_be_numpy_integers_without_wrapping() -> None:
    owners = [Bad(({"vector": GOOD}, np.int8(100))) for _ in range(3)]
    for owner in owners:
        owner.max_weight = 100
    result = asyncagg.run(scenario("secagg", 3), owners=owners, model_owner=Nothing())
    assert (result["rounds"][0]["total_weight"], result["rounds"][0]["exact"]) == (300, True)


def test_a_gradient_that_its_owner_changes_afterwards_is_the_one_it_handed_in() -> None:
    class Restless(Vector):
        def compute_gradient(self, parameters: Any, round: int) -> Any:
            self.values += 1
            return {"vector": self.values}, 1

    owners = [Restless(np.zeros(DIMENSION)) for _ in range(3)]
    result = asyncagg.run(scenario("secagg", 3, rounds=3), owners=owners, model_owner=Nothing())
    assert [each["exact"] for each in result["rounds"]] == [True] * 3
    assert [round(float(result.means[index][0])) for index in range(3)] == [1, 2, 3]


class Odd(Nothing):
    """Publishes parameters that are not the gradient's: more of them, a scalar, integers, of both widths."""

    def initial_parameters(self) -> dict[str, np.ndarray]:
        return {"frozen": np.ones(5000, np.float32), "step": np.array(0.5), "count": np.arange(3)}

    def apply(self, parameters: dict[str, np.ndarray], mean: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {**parameters, "frozen": parameters["frozen"] * np.float64(0.5), "step": parameters["step"] / 2}


@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_parameters_may_be_more_than_what_is_learnt(engine: str) -> None:
    steps = []

    class Reading(Vector):
        def compute_gradient(self, parameters: Any, round: int) -> Any:
            steps.append((float(parameters["step"]), parameters["step"].shape, parameters["count"].tolist()))
            return super().compute_gradient(parameters, round)

    owners = [Reading(GOOD) for _ in range(3)]
    result = asyncagg.run(scenario("plain", 3, engine, rounds=2), owners=owners, model_owner=Odd())
    assert result["status"] == "ok", result["reason"]
    assert sorted(steps) == [(0.25, (), [0, 1, 2])] * 3 + [(0.5, (), [0, 1, 2])] * 3


class _Stumbling(asyncagg.ModelOwner):
    """Its parameters have a name that is also an argument of numpy's; updating or evaluating them fails on demand."""

    def __init__(self, where: str) -> None:
        self.where = where

    def initial_parameters(self) -> dict[str, Any]:
        return {"file": np.zeros(4)}

    def apply(self, parameters: dict[str, Any], mean: dict[str, Any]) -> dict[str, Any]:
        if self.where == "apply":
            raise ValueError("no step")  # in apply
        return {"file": parameters["file"] - mean["file"]}

    def evaluate(self, parameters: dict[str, Any]) -> dict[str, float]:
        if self.where == "evaluate":
            raise ValueError("no step")  # in evaluate
        return {}


class _Ones(asyncagg.DataOwner):
    def compute_gradient(self, parameters: dict[str, Any], round: int) -> tuple[dict[str, Any], int]:
        return {"file": np.ones(4)}, 1


@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_a_model_that_exits_fails_the_run_and_ends_nothing_else(engine: str) -> None:
    class Exits(_Stumbling):
        def evaluate(self, parameters: dict[str, Any]) -> dict[str, float]:
            sys.exit(0)

    owners = [_Ones() for _ in range(3)]
    result = asyncagg.run({"name": "exits", "engine": engine}, owners=owners, model_owner=Exits(""))
    assert result["status"] == "failed"
    place = r"test_owners\.py:\d+"
    assert re.fullmatch(f"round 0: the model owner's evaluate raised SystemExit at {place}: 0", result["reason"])


@pytest.mark.parametrize("where", ["apply", "evaluate"])
def test_a_model_owner_whose_code_raises_fails_the_run_with_its_words_and_the_line(
    where: str, capfd: pytest.CaptureFixture[str]
) -> None:
    result = asyncagg.run(
        {"name": "stumble", "engine": "sim"}, owners=[_Ones() for _ in range(3)], model_owner=_Stumbling(where)
    )
    assert result["status"] == "failed"
    raised = rf"the model owner's {where} raised ValueError at test_owners\.py:\d+: no step"
    assert re.search(raised, result["reason"])
    assert capfd.readouterr().err.count("ValueError: no step") == 1
    lines = Path(__file__).read_text().splitlines()
    number = next(number for number, line in enumerate(lines, 1) if line.endswith(f"# in {where}"))
    assert f" at test_owners.py:{number}: " in result["reason"]


def test_the_words_of_a_model_that_raises_stay_with_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    tap = Tap().install(monkeypatch)
    owners = [_Ones() for _ in range(3)]
    result = asyncagg.run({"name": "stumble", "engine": "sim"}, owners=owners, model_owner=_Stumbling("apply"))
    assert result["reason"].endswith(": no step")
    assert b"the model owner's apply raised ValueError at test_owners.py:" in tap.of("finish")[0].body
    assert not any(b"no step" in frame.body for frame in tap.frames)


def test_a_parameter_called_file_is_written_like_any_other(tmp_path: Path) -> None:
    result = asyncagg.run(
        {"name": "file", "engine": "sim"}, owners=[_Ones() for _ in range(3)], model_owner=_Stumbling("")
    )
    directory = RunDirectory.create(tmp_path / "run", "file", 0)
    directory.write_model(result.model)
    np.testing.assert_array_equal(np.load(directory.path / "model.npz")["file"], result.model["file"])
