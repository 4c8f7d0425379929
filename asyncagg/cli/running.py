"""`asyncagg run`: load, make the run directory, play, write down how it went; whatever happens in between."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from asyncagg.cli import interrupts
from asyncagg.cli.plain import complain, refusing
from asyncagg.engines.cast import Finished
from asyncagg.engines.experiment import prepare
from asyncagg.engines.launch import begin, play
from asyncagg.learning.errors import WorkloadError
from asyncagg.runs.directory import RunDirectory
from asyncagg.runs.result import INTERRUPTED
from asyncagg.scenario.errors import ScenarioError
from asyncagg.scenario.load import load
from asyncagg.scenario.schema import Scenario

OK, FAILED = 0, 1


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for on the command line."""

    scenario: str
    overrides: tuple[str, ...]
    engine: str | None
    seed: int | None
    out: Path | None
    as_json: bool
    quiet: bool


def run_scenario(request: Request) -> int:
    """Run it; the exit status. typer.Exit for bad files; KeyboardInterrupt once everything is written down."""
    with refusing():
        scenario = load(request.scenario, request.overrides, engine=request.engine, seed=request.seed)
        finished = begin(scenario)
        directory = RunDirectory.create(request.out, scenario.name, scenario.seed)
        directory.write_result(finished.result)
        directory.write_scenario(scenario.normalised_toml())
        try:
            _play(scenario, finished, request.quiet)
        except ScenarioError:  # a file that the scenario names, or the user's own classes: nothing has been run
            directory.discard()
            raise
        finally:
            interrupts.hold()
            if directory.path.is_dir():
                _write(directory, finished)
    if interrupts.noted():
        raise KeyboardInterrupt
    return _tell(finished, directory, request.as_json)
