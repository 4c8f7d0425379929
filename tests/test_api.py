"""The Python interface: inside a running loop, awaited, one secure mean; and the example in the repository."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.runs import DIMENSION, Nothing, Vector, run, scenario

import asyncagg
from asyncagg.api import AggregationFailed
from asyncagg.learning.errors import WorkloadError
from asyncagg.scenario.errors import ScenarioError

ROOT = Path(__file__).resolve().parents[1]
VECTORS = np.random.default_rng(3).normal(0, 2, (6, 40))
real = pytest.mark.asyncio(loop_factories=["real"])


@real
async def test_a_run_works_inside_a_running_loop() -> None:
    assert run("secagg", engine="tcp")["status"] == "ok"
    assert run("secagg", engine="sim")["status"] == "ok"


@real
async def test_a_run_can_be_awaited() -> None:
    result = await asyncagg.run_async(scenario("secagg"), seed=3, engine="sim")
    assert (result["status"], result["seed"]) == ("ok", 3)
    assert result.means[0].shape == (DIMENSION,)


@real
async def test_what_goes_wrong_inside_a_loop_is_raised_there() -> None:
    with pytest.raises(ScenarioError, match="protocol"):
        asyncagg.run(scenario("no such"))


def test_given_owners_and_model_owner_go_together() -> None:
    with pytest.raises(TypeError, match="go together"):
        asyncagg.run(scenario("plain"), owners=[Vector(np.zeros(DIMENSION))] * 3)
    owners = [object(), object()]
    with pytest.raises(WorkloadError, match="DataOwner"):
        asyncagg.run(scenario("plain"), owners=owners, model_owner=Nothing())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^owners must be a list of asyncagg\.DataOwner, not generator$"):
        asyncagg.run(scenario("plain"), owners=(each for each in owners), model_owner=Nothing())  # type: ignore[arg-type]


def test_what_is_no_scenario_is_said() -> None:
    with pytest.raises(TypeError, match=r"^scenario must be a path, a mapping or a Scenario, not int$"):
        asyncagg.run(3)  # type: ignore[arg-type]


def test_an_engine_that_cannot_play_this_says_so() -> None:
    owners = [Vector(np.zeros(DIMENSION))] * 3
    with pytest.raises(ScenarioError, match=r'engine: is "processes", which builds owners from the workload'):
        asyncagg.run(scenario("plain"), engine="processes", owners=owners, model_owner=Nothing())
    with pytest.raises(ScenarioError, match=r'engine: is "hosts", which asyncagg serve starts'):
        asyncagg.run(scenario("plain"), engine="hosts")


@pytest.mark.parametrize("protocol", ["plain", "pairwise", "additive", "secagg", "secagg+"])
def test_secure_mean_is_the_weighted_mean(protocol: str) -> None:
    weights = [1, 2, 3, 4, 5, 60]
    mean, report = asyncagg.secure_mean(VECTORS, weights, protocol=protocol)
    assert np.abs(mean - np.average(VECTORS, axis=0, weights=weights)).max() <= report["rounds"][0]["error_bound"]
    assert report["rounds"][0]["exact"] is True


@pytest.mark.parametrize("protocol", ["plain", "additive", "secagg", "secagg+", "pairwise"])
def test_secure_mean_without_an_owner_that_drops(protocol: str) -> None:
    mean, report = asyncagg.secure_mean(VECTORS, protocol=protocol, dropped={"upload": [3]})
    (each,) = report["rounds"]
    assert each["dropped"] == {"data-owner-3": "upload"}
    assert each["attempts"] == (2 if protocol == "pairwise" else 1)
    assert np.abs(mean - np.delete(VECTORS, 3, axis=0).mean(axis=0)).max() <= each["error_bound"]


def test_secure_mean_of_zeros_and_of_one_coordinate() -> None:
    assert asyncagg.secure_mean(np.zeros((3, 4)))[0] == pytest.approx(np.zeros(4), abs=1e-9)
    for protocol in ("plain", "pairwise", "additive", "secagg+"):
        assert asyncagg.secure_mean([[1.0], [2.0], [3.0]], protocol=protocol)[0] == pytest.approx([2.0], abs=1e-4)


def test_secure_mean_without_enough_owners_says_why() -> None:
    with pytest.raises(AggregationFailed, match=r"needed|minimum") as raised:
        asyncagg.secure_mean(VECTORS, dropped={"upload": [0, 1, 2, 3, 4]})
    assert raised.value.result["status"] == "failed"


@pytest.mark.parametrize(
    ("vectors", "weights", "error"),
    [
        (np.zeros(3), None, ValueError),
        (np.zeros((0, 3)), None, ValueError),
        (np.full((3, 3), np.nan), None, ValueError),
        (np.full((3, 3), np.inf), None, ValueError),
        (np.zeros((3, 3)), [1, 2], ValueError),
        (np.zeros((3, 3)), [1, 2, 0], ValueError),
        (np.zeros((3, 3)), [1, 2, 2.5], TypeError),
        ([[1.0, 2.0], [3.0], [4.0, 5.0]], None, ValueError),
        ([["a"], ["b"], ["c"]], None, ValueError),
        (np.ones((3, 3)) + 1j, None, ValueError),
    ],
)
def test_secure_mean_refuses_what_has_no_mean(vectors: Any, weights: list[int], error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^(vectors|weights) (must|hold)"):
        asyncagg.secure_mean(vectors, weights)


@pytest.mark.parametrize(
    ("dropped", "error"),
    [
        ([1], TypeError),
        ({"upload": 1}, TypeError),
        ({"upload": [1.5]}, TypeError),
        ({"upload": [-1]}, ValueError),
        ({"upload": [0], "share": [5]}, ValueError),
    ],
)
def test_secure_mean_says_how_to_name_who_drops(dropped: Any, error: type[Exception]) -> None:
    with pytest.raises(
        error, match=r"^dropped must map phases to lists of owners, 0 to 4, as \{'upload': \[0\]\}, not "
    ):
        asyncagg.secure_mean(np.ones((5, 3)), dropped=dropped)


def test_the_example_of_an_own_owner_runs() -> None:
    done = subprocess.run(
        [sys.executable, "examples/own_owner.py"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith("learnt: [")
    assert done.stderr == ""


def test_nobody_may_drop_in_a_phase() -> None:
    mean, _ = asyncagg.secure_mean(np.eye(4), dropped={"upload": []})
    assert np.abs(mean - 0.25).max() < 1e-4
