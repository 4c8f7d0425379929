"""`asyncagg run`: load, make the run directory, play, write down how it went; whatever happens in between."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from asyncagg.cli import interrupts
from asyncagg.cli.plain import complain, refusing
from asyncagg.cli.progress import Progress
from asyncagg.cli.summary import summary
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
    """Run it; the exit status. typer.Exit for bad files."""
    with refusing():
        scenario = load(request.scenario, request.overrides, engine=request.engine, seed=request.seed)
        finished = begin(scenario)
        directory = RunDirectory.create(request.out, scenario.name, scenario.seed)
        directory.write_result(finished.result)
        directory.write_scenario(scenario.normalised_toml())
        finished.roster = directory.path / "roster.json"
        finished.ledgers = directory.ledgers() if scenario.engine != "sim" else None
        try:
            _play(scenario, finished, request.quiet)
        except ScenarioError:
            _discard(directory)
            raise
        except Exception as error:  # ours: said loudly, and written down as what it is
            finished.result.reason = f"internal error: {type(error).__name__}: {error}"
            _write(directory, finished)
            raise
        _write(directory, finished)
    if interrupts.noted():
        complain([f"{scenario.name}: {INTERRUPTED}, what there is of the run is in {directory.path}"])
        return interrupts.status()
    return _tell(finished, directory, request.as_json)


def _play(scenario: Scenario, finished: Finished, quiet: bool) -> None:
    """From data files to the last round, or to a signal; ScenarioError where files or the user's classes are bad."""
    try:
        interrupts.release()
        play(prepare(scenario), finished, Progress(scenario, quiet))
    except WorkloadError as error:
        scenario.refuse(error.key, error.message)
    except KeyboardInterrupt:
        interrupts.note()
    finally:
        interrupts.hold()


def _write(directory: RunDirectory, finished: Finished) -> None:
    """Everything; the result comes last, so that until then it says `interrupted`, and first where it is so."""
    if finished.result.status != "ok":
        directory.write_result(finished.result)
    directory.write_trace(finished.trace)
    directory.write_means(finished.means)
    directory.write_model(finished.model)
    if interrupts.noted():
        finished.result.status, finished.result.reason = "failed", INTERRUPTED
    directory.write_result(finished.result)


def _discard(directory: RunDirectory) -> None:
    """Take away the directory of a run that could not begin, so that the same command works once files are right."""
    shutil.rmtree(directory.path)


def _tell(finished: Finished, directory: RunDirectory, as_json: bool) -> int:
    result = finished.result
    if as_json:
        print((directory.path / "result.json").read_text(encoding="utf-8"), end="")
    else:
        print("\n".join(summary(result, directory.path)))
    if result.status == "ok":
        return OK
    complain([f"{result.name}: the run failed: {result.reason}"])
    return FAILED
