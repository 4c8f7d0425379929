"""Whole runs on the engines: right sums, the same on both, the same again, within the bounds that are stated."""

import os
import subprocess
import sys

import numpy as np
import pytest
from support.runs import given, run, scenario

import asyncagg

PROTOCOLS = ["plain", "pairwise", "additive", "secagg", "secagg+"]
protocols = pytest.mark.parametrize("protocol", PROTOCOLS)


@protocols
def test_tcp_and_sim_give_bit_identical_means(protocol: str) -> None:
    both = [run(protocol, engine=engine, rounds=3, seed=7) for engine in ("sim", "tcp")]
    for result in both:
        assert result["status"] == "ok", result["reason"]
        assert [each["exact"] for each in result["rounds"]] == [True] * 3
        assert [len(each["survivors"]) for each in result["rounds"]] == [4] * 3
    for index in range(3):
        assert both[0].means[index].tobytes() == both[1].means[index].tobytes()


@protocols
def test_two_runs_in_virtual_time_leave_one_trace(protocol: str) -> None:
    faults = [{"kind": "drop", "players": {"count": 1}, "phase": "upload"}]
    first, second, other = (run(protocol, rounds=2, seed=seed, faults=faults) for seed in (5, 5, 6))
    assert first["trace_digest"] == second["trace_digest"] != other["trace_digest"]
    of_a_machine = ("seconds", "peak_rss_bytes", "started")
    assert {key: first[key] for key in first if key not in of_a_machine} == {
        key: second[key] for key in second if key not in of_a_machine
    }


def test_the_trace_does_not_depend_on_the_hash_seed() -> None:
    values = scenario("secagg+", 6, faults=[{"kind": "drop", "players": {"count": 2}, "phase": "share"}], seed=3)
    here = asyncagg.run(values)["trace_digest"]
    program = f"import asyncagg; print(asyncagg.run({values!r})['trace_digest'])"
    there = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "4242")
    ]
    assert there == [here, here]


@protocols
def test_fifty_owners_with_values_at_and_beyond_the_clip(protocol: str) -> None:
    draw = np.random.default_rng(1)
    vectors = draw.normal(0, 0.5, (50, 100_000)).astype(np.float32).clip(-0.99, 0.99)
    vectors[:, :100] = 0
    vectors[:, 100:200] = 1
    vectors[:, 200:300] = -1
    vectors[3, 300:307] = [1.5, -1.5, 40, -40, 1.0001, -1e9, 1e30]
    result = given(vectors, protocol, encoding={"clip": 1.0})
    (each,) = result["rounds"]
    assert result["status"] == "ok", result["reason"]
    assert each["exact"] is True
    assert each["clipped"] == 7
    mean = vectors.astype(np.float64).clip(-1, 1).mean(axis=0)
    assert np.abs(result.means[0] - mean).max() <= each["error_bound"] == 2 / (2**16 - 2)
    assert each["error_max"] == pytest.approx(np.abs(result.means[0] - mean).max(), rel=1e-6)


@pytest.mark.parametrize("rounding", ["stochastic", "nearest"])
def test_weights_count(rounding: str) -> None:
    vectors = np.random.default_rng(2).uniform(-1, 1, (4, 60))
    weights = [1, 2, 30, 1000]
    for protocol in PROTOCOLS:
        result = given(vectors, protocol, weights, encoding={"clip": 1.0, "rounding": rounding})
        (each,) = result["rounds"]
        assert (each["total_weight"], each["exact"]) == (1033, True)
        mean = np.average(vectors, axis=0, weights=weights)
        assert np.abs(result.means[0] - mean).max() <= each["error_bound"]


def test_uniform_weighting_forgets_the_weights() -> None:
    vectors = np.random.default_rng(2).uniform(-1, 1, (3, 60))
    result = given(vectors, "secagg", [1, 5, 9], aggregation={"weighting": "uniform"}, encoding={"clip": 1.0})
    assert result["rounds"][0]["total_weight"] == 3
    assert np.abs(result.means[0] - vectors.mean(axis=0)).max() <= result["rounds"][0]["error_bound"]


@pytest.mark.parametrize("protocol", ["pairwise", "secagg", "additive"])
def test_a_slice_of_a_million_costs_little_more_than_its_bits(protocol: str) -> None:
    dimension = 1_000_000
    result = run(protocol, 3, workload={"dimension": dimension}, check=False)
    bits = result["parameters"]["ring_bits"]
    slices = [record for record in result.trace.records if record.kind in ("masked-slice", "share-slice")]
    shares = protocol == "additive"
    assert len(slices) == (3 if shares else 9)
    coordinates = dimension if shares else dimension // 3
    for record in slices:
        assert coordinates * bits / 8 < record.bytes <= 1.01 * (coordinates + 1) * bits / 8
    for record in result.trace.records:
        if record.kind == "sealed-seed":
            assert record.bytes < 300


@protocols
def test_rows_of_a_cohort_are_drawn_for_each_round(protocol: str) -> None:
    result = run(protocol, 9, rounds=4, owners_table={"per_round": 4}, seed=2)
    assert result["status"] == "ok", result["reason"]
    cohorts = [tuple(each["survivors"]) for each in result["rounds"]]
    assert {len(cohort) for cohort in cohorts} == {4}
    assert len(set(cohorts)) > 1
    assert all(each["exact"] for each in result["rounds"])


SMALL_COHORTS: dict[str, object] = {"batch": "auto", "threat": "lying", "compute_nodes": 1, "corrupt": 0.0}
"""Of nine owners in four batches one batch is drawn for a round: two owners, or three."""


def test_cohorts_of_whole_batches_that_differ_in_size_each_have_a_floor_of_their_own() -> None:
    values = scenario("plain", 9, rounds=8, owners_table={"per_round": 3}, aggregation=SMALL_COHORTS)
    result = asyncagg.run(values)
    assert result["status"] == "ok", result["reason"]
    assert {len(each["survivors"]) for each in result["rounds"]} == {2, 3}


def test_a_minimum_cohort_that_the_smallest_draw_does_not_reach_is_refused() -> None:
    values = scenario("plain", 9, owners_table={"per_round": 3}, aggregation={**SMALL_COHORTS, "minimum_cohort": 3})
    with pytest.raises(asyncagg.ScenarioError, match=r"the whole batches that are drawn .* may have only 2 owners"):
        asyncagg.run(values)
