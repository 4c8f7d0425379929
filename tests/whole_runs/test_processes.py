"""Every shipped scenario that does not race time comes to the same in one process and in several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.cli import SCENARIOS, invoke, strict_json
from support.spans import environment, means

from asyncagg.scenario.reading.load import load
from asyncagg.scenario.schema.faults import AvailabilityFault, DropFault
from asyncagg.scenario.schema.scenario import Scenario

QUICK = ("weighted",)


def races(scenario: Scenario) -> bool:
    """A fault has a time, or a phase closes before everyone has answered."""
    timed = [
        fault
        for fault in scenario.faults
        if isinstance(fault, AvailabilityFault)
        or (
            not isinstance(fault, DropFault)
            and (fault.at_ns is not None or getattr(fault, "lasts_ns", None) is not None)
        )
    ]
    return bool(timed) or any(scenario.phases[phase].enough < 1 for phase in type(scenario.phases).model_fields)


NAMES = sorted(path.stem for path in SCENARIOS.glob("*.toml") if not races(load(path)))


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in NAMES]
)
def test_means_and_survivors_are_those_of_one_process(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    for key, value in environment().items():
        monkeypatch.setenv(key, value)
    ways: list[tuple[list[Any], dict[str, bytes]]] = []
    for engine in ("tcp", "processes"):
        out = tmp_path / engine
        done = invoke("run", SCENARIOS / f"{name}.toml", "--engine", engine, "--json", "--out", out)
        assert done.exit_code == 0, done.stderr
        keys = ("status", "survivors", "silent_after", "exact", "metrics")  # a slow machine may need more attempts
        rounds = [[each[key] for key in keys] for each in strict_json(done.stdout)["rounds"]]
        ways.append((rounds, means(out)))
    assert ways[0] == ways[1]
