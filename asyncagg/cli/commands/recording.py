"""A run and its directory on the command line: made before it begins, written however it ends."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from asyncagg.cli import interrupts
from asyncagg.cli.output.plain import answer, complain
from asyncagg.cli.output.summary import summary
from asyncagg.engines.launch import begin
from asyncagg.engines.record.checkpointer import check_account
from asyncagg.engines.record.run_record import RunRecord
from asyncagg.learning.errors import WorkloadError
from asyncagg.report.page import FILE as PAGE
from asyncagg.report.page import page
from asyncagg.report.story import Story
from asyncagg.runs.checkpoint import CheckpointError
from asyncagg.runs.directory import RunDirectory
from asyncagg.runs.result import INTERRUPTED
from asyncagg.runs.trace import FILE as TRACE
from asyncagg.scenario.errors import ScenarioError
from asyncagg.scenario.reading.load import load
from asyncagg.scenario.schema.scenario import Scenario

OK, FAILED = 0, 1
_WAY_OUT = " (--no-expect runs without)"


class Recording:
    """One run in progress. Raises DirectoryError where its files cannot be written."""

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
    def new(cls, scenario: Scenario, out: Path | None) -> Recording:
        """Record a run in a new directory."""
        recording = cls(scenario, begin(scenario), RunDirectory.create(out, scenario.name, scenario.seed))
        recording._directory.write_scenario(scenario.normalised_toml())
        return recording

    @classmethod
    def again(cls, path: Path, scenario: Scenario | None = None) -> Recording:
        """Record in the directory of an interrupted run, from its checkpoint; `scenario` must be that run's.

        Raises ScenarioError, DirectoryError or CheckpointError.
        """
        RunDirectory.check_format(path)  # first of all: another version's scenario may not even load
        played = scenario or load(path / "scenario.toml")
        if played.engine == "sim":
            raise CheckpointError(
                f"{path}: is a run in virtual time, which keeps no checkpoint (run its scenario again)"
            )
        directory, stored = RunDirectory.reopen(path, played.digest())
        finished = begin(played)
        finished.resumed = stored
        finished.result.rounds = stored.finished_rounds(path)
        check_account(stored, path, played.owners.count)
        directory.cut_back(stored)
        finished.trace.resume(path / TRACE, stored.t)
        return cls(played, finished, directory)

    def during(self, work: Callable[[], object]) -> None:
        """Do the run's work, to its end or to a signal, and write down how it went.

        Raises ScenarioError where files or the user's classes are bad, CheckpointError where a run cannot be gone on
        with: a directory that was new is then gone again.
        """
        try:
            self._released(work)
        except ScenarioError:
            if self.finished.resumed is None:
                shutil.rmtree(self._directory.path)
            raise
        except CheckpointError:
            raise  # the run does not go on: what is left of it stays as it was
        except Exception as error:  # ours: said loudly, and written down as what it is
            self.finished.result.reason = f"internal error: {type(error).__name__}: {error}"
            self._write()
            raise
        self._write()

    def tell(self, as_json: bool, *, complains: bool = True, way_out: str = _WAY_OUT) -> int:
        """Print how the run went to stdout and what is wrong to stderr, and return the exit status.

        With `complains` false nothing goes to stderr: a log says it there.

        `way_out` is what helps where only an expectation is not met.
        """
        result, path = self.finished.result, self.path
        if interrupts.noted():
            if complains:
                complain([f"{result.name}: {INTERRUPTED}, what there is of the run is in {path}"])
            return interrupts.status()
        if as_json:
            answer((path / "result.json").read_text(encoding="utf-8").splitlines())
        else:
            answer(summary(result, path))
        if result.status == "ok":
            return OK
        if complains:
            unmet = result.reason == result.unmet
            what = f"expectation not met{way_out}" if unmet else "the run failed"
            complain([f"{result.name}: {what}: {result.reason}"])
        return FAILED

    def _released(self, work: Callable[[], object]) -> None:
        try:
            interrupts.release()
            work()
        except WorkloadError as error:
            self.scenario.refuse(error.key, error.message)
        except KeyboardInterrupt:
            interrupts.note()
        finally:
            interrupts.hold()

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
        if interrupts.noted():
            finished.result.status, finished.result.reason = "failed", INTERRUPTED
        directory.write_result(finished.result)
        if not interrupts.noted():  # whoever does not wait for the run does not wait for its page
            directory.write_page(PAGE, page(Story.read(directory.path)))
        if finished.result.status == "ok":
            directory.remove_checkpoint()
