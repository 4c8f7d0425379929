"""A run and its directory: made before the run begins, written however it ends."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from asyncagg.engines.experiment import prepare
from asyncagg.engines.launch import begin
from asyncagg.engines.record.added_rounds import checkpoint_digest, objection
from asyncagg.engines.record.checkpointer import check_account
from asyncagg.engines.record.run_record import RunRecord
from asyncagg.learning.errors import WorkloadError
from asyncagg.report.page import FILE as PAGE
from asyncagg.report.page import page
from asyncagg.report.story import Story
from asyncagg.runs.checkpoint import Checkpoint, CheckpointError
from asyncagg.runs.directory import RESULT, RunDirectory
from asyncagg.runs.result import INTERRUPTED
from asyncagg.runs.trace import FILE as TRACE
from asyncagg.scenario.errors import ScenarioError
from asyncagg.scenario.reading.load import load
from asyncagg.scenario.schema.scenario import Scenario

_MORE = "--rounds +N adds some"


class KeptRun:
    """One run in progress. Raises DirectoryError where its files cannot be written."""

    blames: ClassVar[str] = "stopped by"
    """Words of the result before the type of an exception that ended the run."""

    def __init__(self, scenario: Scenario, finished: RunRecord, directory: RunDirectory) -> None:
        self.scenario = scenario
        self.finished = finished
        self._directory = directory
        finished.folder = directory.path
        directory.write_result(finished.result)

    @property
    def path(self) -> Path:
        """The run directory."""
        return self._directory.path

    @classmethod
    def new(cls, scenario: Scenario, out: Path | None) -> Self:
        """In a new directory."""
        kept = cls(scenario, begin(scenario), RunDirectory.create(out, scenario.name, scenario.seed))
        kept._directory.write_scenario(scenario.normalised_toml())
        return kept

    @classmethod
    def again(cls, path: Path, scenario: Scenario | None = None, add_rounds: int = 0) -> Self:
        """In the directory of a run that was interrupted, from its checkpoint; `scenario` must be that run's.

        With `add_rounds` the run must be finished, and goes on for so many more. Raises ScenarioError, DirectoryError
        or CheckpointError; the directory is then as it was.
        """
        RunDirectory.check_format(path)  # first of all: another version's scenario may not even load
        played = scenario or load(path / "scenario.toml")
        if played.engine == "sim":
            raise CheckpointError(
                f"{path}: is a run in virtual time, which keeps no checkpoint (run its scenario again)"
            )
        if add_rounds and (reason := objection(played)) is not None:
            raise CheckpointError(f"{path}: {reason}")
        directory, stored = RunDirectory.reopen(path, checkpoint_digest(played))
        try:
            if add_rounds:
                played = _longer(path, played, stored, add_rounds)
            elif stored.round >= played.rounds and _went_well(path):
                raise CheckpointError(f"{path}: the run has ended, with all of its {stored.round} rounds ({_MORE})")
        except BaseException:
            directory.release()
            raise
        finished = begin(played)
        finished.resumed = stored
        finished.result.rounds = stored.finished_rounds(path)
        check_account(stored, path, played.owners.count)
        directory.cut_back(stored)
        finished.trace.resume(path / TRACE, stored.t)
        if add_rounds:
            directory.write_scenario(played.normalised_toml())
        return cls(played, finished, directory)

    def release(self) -> None:
        """The run has stopped, or never begins: another may go on with it."""
        self._directory.release()

    def during(self, work: Callable[[], object]) -> None:
        """Do the run's work, to its end or to an interruption, and write down how it went.

        Raises ScenarioError where files or the user's classes are bad, CheckpointError where a run cannot be gone on
        with: a directory that was new is then gone again. What else `work` raises is raised again.
        """
        try:
            self._play(work)
        except ScenarioError:
            if self.finished.resumed is None:
                shutil.rmtree(self._directory.path)
            raise
        except CheckpointError:
            raise  # the run does not go on: what is left of it stays as it was
        except (KeyboardInterrupt, asyncio.CancelledError):
            self._write()
            raise
        except Exception as error:  # ours, or of what was called after a round: said loudly, and written down
            self.finished.result.reason = f"{self.blames} {type(error).__name__}: {error}"
            self._write()
            raise
        else:
            self._write()
        finally:
            self.release()

    def _play(self, work: Callable[[], object]) -> None:
        try:
            work()
        except WorkloadError as error:
            self.scenario.refuse(error.key, error.message)

    def _was_interrupted(self) -> bool:
        """True if it was, though `work` has returned."""
        return False

    def _write(self) -> None:
        """Everything; the result comes last, so that until then it says `interrupted`, and first where it is so."""
        finished, directory = self.finished, self._directory
        if finished.result.status != "ok":
            directory.write_result(finished.result)
        directory.write_trace(finished.trace)
        if self.scenario.engine == "sim":
            directory.write_means(finished.means)
        else:
            directory.gather_means()
        directory.write_model({name: np.asarray(array, order="C") for name, array in finished.model.items()})
        if self._was_interrupted():
            finished.result.status, finished.result.reason = "failed", INTERRUPTED
        directory.write_result(finished.result)
        if not self._was_interrupted():  # whoever does not wait for the run does not wait for its page
            directory.write_page(PAGE, page(Story.read(directory.path)))
        if finished.result.status == "ok":
            directory.tidy(may_grow=objection(self.scenario) is None)


def _longer(path: Path, played: Scenario, stored: Checkpoint, add_rounds: int) -> Scenario:
    """The scenario of a finished run with more rounds. CheckpointError, ScenarioError where it can have none."""
    if stored.round < played.rounds:
        left = f"{played.rounds - stored.round} of its {played.rounds} rounds are still to be played"
        raise CheckpointError(f"{path}: {left} (resume it as it is first)")
    longer = load(path / "scenario.toml", rounds=played.rounds + add_rounds)
    if longer.workload.kind != "given":
        prepare(longer)  # before anything is written: there may be data for fewer rounds only
    return longer


def _went_well(path: Path) -> bool:
    try:
        result = json.loads((path / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(result, dict) and result.get("status") == "ok"
