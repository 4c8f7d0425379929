"""What a result says of its scenario beyond its rounds: notes in its last warnings, and memory that was not there."""

from __future__ import annotations

import pytest

import asyncagg
from asyncagg.engines.experiment import prepare
from asyncagg.engines.launch import begin, told
from asyncagg.runs.result import RoundResult
from asyncagg.scenario import parse

SMALL = {"name": "x", "engine": "sim", "workload": {"kind": "synthetic", "dimension": 20}}


def test_a_fault_that_never_struck_is_noted_with_the_last_round():
    fault = {"kind": "drop", "players": ["data-owner-1"], "phase": "upload", "rounds": [7]}
    first, last = asyncagg.run({**SMALL, "rounds": 2, "faults": [fault]})["rounds"]
    assert first["warnings"] == []
    assert last["warnings"] == ["faults.0.rounds: the fault never strikes (rounds are 0 to 1)"]


@pytest.mark.parametrize("exact", [True, False])
def test_on_hosts_nobody_judges_whether_a_run_is_exact_and_that_is_no_warning(exact):
    experiment = prepare(parse({**SMALL, "engine": "hosts", "expect": {"exact": exact}}))
    finished = begin(experiment.scenario)
    with told(experiment, finished):
        finished.result.rounds.append(RoundResult(0, "ok"))
        finished.result.status, finished.result.reason = "ok", None
    assert finished.result.rounds[-1].warnings == []
    assert (finished.result.status, finished.result.to_json()["expect"]) == ("ok", {"exact": None})


def test_a_run_without_enough_memory_says_so():
    experiment = prepare(parse(SMALL))
    finished = begin(experiment.scenario)
    with told(experiment, finished):
        raise MemoryError("Unable to allocate 8 GiB")
    assert (finished.result.status, finished.result.reason) == ("failed", "out of memory: Unable to allocate 8 GiB")
