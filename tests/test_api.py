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


# -- secure_mean chooses what fits, and speaks of its own keywords -----------------------------------------------------

OTHERS_WORDS = ("encoding", "aggregation", "scenario")


@pytest.mark.parametrize("keywords", [{}, {"bits": 22}, {"bits": 8}])
def test_token_counts_as_weights_leave_the_bits_that_they_leave(keywords: dict[str, int]) -> None:
    rows = np.linspace(-1, 1, 12).reshape(3, 4)
    mean, report = asyncagg.secure_mean(rows, weights=[1, 2**40, 1], **keywords)
    assert report["parameters"]["bits"] == keywords.get("bits", 22)
    wanted = np.average(rows, axis=0, weights=[1, 2**40, 1])
    assert np.abs(mean - wanted).max() <= report["rounds"][0]["error_bound"]


@pytest.mark.parametrize("clip", [2.0, 2, np.float32(2)])
def test_a_clip_can_be_given(clip: Any) -> None:
    mean, report = asyncagg.secure_mean([[1.0, -9.0], [1.0, 5.0]], clip=clip)
    assert mean == pytest.approx([1, 0], abs=1e-6)
    assert report["rounds"][0]["clipped"] == 2


def test_huge_and_tiny_values_have_the_clip_that_they_need() -> None:
    for size in (1e30, 1e-12, 1e-25):
        mean, report = asyncagg.secure_mean(np.array([[1.0, 0.5], [0.0, 0.5]]) * size)
        assert mean == pytest.approx(np.array([0.5, 0.5]) * size, rel=1e-6)
        assert report["rounds"][0]["warnings"] == []


def test_dicts_of_arrays_come_back_as_one_with_a_clip_for_each() -> None:
    owners = [{"n": np.array(391 + i), "w": np.full((2, 2), 0.5 * i), "lora": [1e-6 * i, 0]} for i in range(3)]
    reordered = [owners[0], dict(reversed(owners[1].items())), owners[2]]
    for protocol in ("additive", "secagg+"):
        mean, report = asyncagg.secure_mean(reordered, weights=[1, 1, 2], protocol=protocol)
        assert list(mean) == ["n", "w", "lora"]
        assert (mean["n"].shape, mean["n"].item()) == ((), 392.25)
        assert mean["w"] == pytest.approx(np.full((2, 2), 0.625), abs=2e-7)
        assert mean["lora"] == pytest.approx([1.25e-6, 0], abs=4e-13)
        assert report["parameters"]["clip_by"] == {"w": 1.0, "lora": 2e-6}
    mean, _ = asyncagg.secure_mean(owners, clip={"w": 0.5})
    assert mean["w"] == pytest.approx(np.full((2, 2), 1 / 3), abs=1e-7)
    assert mean["lora"] == pytest.approx([1e-6, 0], abs=4e-13)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"vectors": np.full((3, 4), 1e31)}, ValueError, "vectors hold numbers beyond 1e+30, must be at most that, or"),
        ({"vectors": [{"w": [1e31]}] * 3}, ValueError, "vectors hold, in 'w', numbers beyond 1e+30, must be at most"),
        ({"bits": 33}, ValueError, "bits must be a whole number from 2 to 32, not 33"),
        ({"bits": 1}, ValueError, "bits must be a whole number from 2 to 32, not 1"),
        ({"bits": 8.0}, ValueError, "bits must be a whole number from 2 to 32, not 8.0"),
        (
            {"weights": [1, 2**40, 1], "bits": 23},
            ValueError,
            "bits must be fewer than 23: 3 owners of weight up to 1099511627776 leave 22 bits a number",
        ),
        (
            {"weights": [1, 2**50, 1]},
            ValueError,
            "weights must be smaller: 3 owners of weight up to 1125899906842624 leave 12 bits a number, and numbers",
        ),
        (
            {"vectors": np.full((3, 4), 10**6), "bits": 16},
            ValueError,
            "bits must be more than 16: whole numbers up to 1000000 take at least 21",
        ),
        (
            {"vectors": np.full((3, 4), -(2**31))},
            ValueError,
            "vectors hold whole numbers up to 2147483648, must be at most 2147483647, or floats",
        ),
        (
            {"vectors": np.ones((3, 4), int), "clip": 2},
            ValueError,
            "vectors hold whole numbers, which are never clipped",
        ),
        ({"clip": 0}, ValueError, "clip must be a number from 1e-30 to 1e+30, or such numbers by name, not 0"),
        ({"clip": "8"}, ValueError, "clip must be a number from 1e-30 to 1e+30, or such numbers by name, not '8'"),
        ({"clip": {"w": 1.0}}, ValueError, "clip: 'w' is no array of floats (a name such as 'vector'"),
        (
            {"vectors": {"w": np.ones((3, 4))}},
            ValueError,
            "vectors must be a list with a dict of arrays for each owner",
        ),
        ({"vectors": [{"w": [1.0]}, [1.0]]}, ValueError, "vectors must be a dict of arrays from every owner, or an"),
        (
            {"vectors": [{"w": [1.0]}, {"v": [1.0]}, {"w": [1.0]}]},
            ValueError,
            "vectors must have the same arrays from every owner: of owner 1, 'w' is missing (shape (1,)); 'v' is unk",
        ),
        (
            {"vectors": [{"w": [1.0]}, {"w": ["a"]}]},
            ValueError,
            "vectors must be real numbers: of owner 1, 'w' holds text (",
        ),
        (
            {"vectors": [{"w": [1.0]}, {"w": [np.nan]}]},
            ValueError,
            "vectors hold NaN or Inf in 'w' of owner 1, must be",
        ),
        ({"vectors": [{"w": []}] * 3}, ValueError, "vectors must have at least one number"),
        ({"bitz": 8}, TypeError, "secure_mean takes no keyword 'bitz' (did you mean 'bits'?)"),
        ({"rounding": "nearest"}, TypeError, "secure_mean takes no keyword 'rounding' ("),
        ({"dropped": {"uplaod": [1]}}, ValueError, "dropped has the phase 'uplaod' (did you mean 'upload'?)"),
        (
            {"protocol": "secag"},
            ValueError,
            "there is no protocol 'secag' (plain, pairwise, additive, secagg, secagg+)",
        ),
        ({"threshold": 99}, ScenarioError, "threshold: is 99, but a round has 3 owners (at most 3)"),
        ({"weights": [1, 5, 1], "max_weight": 3}, ScenarioError, "max_weight: is 3"),
    ],
)
def test_errors_of_secure_mean_name_what_its_caller_can_set(
    arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error) as caught:
        asyncagg.secure_mean(**{"vectors": np.ones((3, 4)), **arguments})
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)
    assert not any(word in str(caught.value) for word in OTHERS_WORDS)
