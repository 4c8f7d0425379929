"""`asyncagg run`: a scenario from a file, or the rest of a run that was interrupted."""

from __future__ import annotations

import sys
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from asyncagg.cli.commands.recording import Recording
from asyncagg.cli.output.plain import refusing
from asyncagg.cli.output.progress import Progress
from asyncagg.engines.launch import ENGINES, check_engine, run
from asyncagg.scenario.errors import ScenarioError, show
from asyncagg.scenario.reading.load import load


@dataclass(frozen=True, slots=True)
class RunRequest:
    """Options of `asyncagg run`, as parsed from the command line."""

    scenario: str
    overrides: tuple[str, ...]
    engine: str | None
    seed: int | None
    out: Path | None
    as_json: bool
    quiet: bool
    no_expect: bool


def run_scenario(request: RunRequest) -> int:
    """Run it; the exit status. typer.Exit for bad files."""
    with refusing():
        _check_engine(request.engine)
        scenario = load(request.scenario, request.overrides, engine=request.engine, seed=request.seed)
        check_engine(scenario)
        recording = Recording.new(scenario, request.out)
        recording.finished.no_expect = request.no_expect
        return _record(recording, request.as_json, request.quiet)


def resume_run(path: Path, add_rounds: int, as_json: bool, quiet: bool, no_expect: bool) -> int:
    """Go on with it, or with a finished one for more rounds; the exit status. typer.Exit where there is none."""
    with refusing():
        recording = Recording.again(path, add_rounds=add_rounds)
        check_engine(recording.scenario)
        recording.finished.no_expect = no_expect
        return _record(recording, as_json, quiet)


def _check_engine(engine: str | None) -> None:
    if engine is not None and engine not in ENGINES:
        raise ScenarioError([f"--engine {show(engine)}: is none of this command ({', '.join(ENGINES)})"])


def _record(recording: Recording, as_json: bool, quiet: bool) -> int:
    scenario = recording.scenario
    printed = redirect_stdout(sys.stderr) if as_json else nullcontext()  # by the user's code
    with printed:
        recording.during(lambda: run(scenario, record=recording.finished, progress=Progress(scenario, quiet)))
    return recording.tell(as_json)
