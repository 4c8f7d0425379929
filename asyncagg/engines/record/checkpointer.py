"""Writes the checkpoint of a run in the process of its model owner: before every attempt, and after every round.

What has happened since the checkpoint before is added to the files beside it first, so that it never counts what is not
there; see `runs.checkpoint`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from asyncagg.engines.experiment import Experiment
from asyncagg.engines.record.added_rounds import checkpoint_digest
from asyncagg.net.clock import now_ns
from asyncagg.players.outcome import RoundOutcome
from asyncagg.players.start import RunHooks, RunState, Start
from asyncagg.protocols.ledger.entries import Entry, check_first_line, first_line, read_line
from asyncagg.runs.checkpoint import ACCOUNT, ROUNDS, Checkpoint, CheckpointError, round_line
from asyncagg.runs.lines import LineFile, OtherWriter
from asyncagg.runs.result import RoundResult


class Checkpointer:
    """Keeps one run resumable. CheckpointError, which ends the run, where that cannot be written."""

    def __init__(self, experiment: Experiment, folder: Path, stored: Checkpoint | None, start_ns: int) -> None:
        """`stored`: where a resumed run goes on. `start_ns`: when the run began, by `now_ns`."""
        self._scenario = checkpoint_digest(experiment.scenario)
        self._owners = experiment.scenario.owners.count
        self._folder = folder
        self._durable = experiment.durable
        self._rounds, self._account = (LineFile(folder / name, self._durable) for name in (ROUNDS, ACCOUNT))
        self._start = None
        if stored is not None:
            entries = stored_entries(stored, folder, self._owners)
            self._start = Start.of(stored, experiment.account_rules(), entries)
        self._start_ns = start_ns

    def hooks(self, tell: Callable[[RoundOutcome], Awaitable[RoundResult]]) -> RunHooks:
        """The model owner's; `tell` makes a result of a round that has ended."""

        async def observe(outcome: RoundOutcome, run_state: RunState) -> None:
            self.ended(await tell(outcome), run_state)

        return RunHooks(observe, self.begins, self._start)

    def begins(self, run_state: RunState) -> None:
        """An attempt is about to be published: its label is never used again."""
        self._write(run_state)

    def ended(self, each: RoundResult, run_state: RunState) -> None:
        """A round has ended; one that failed is played again by a resumed run."""
        if each.status != "failed":
            self._add(self._rounds, round_line(each))
        self._write(run_state)

    def _write(self, run_state: RunState) -> None:
        texts = [entry.line() for entry in run_state.noted]
        if texts and not self._account.size:
            texts.insert(0, first_line(self._owners))
        self._add(self._account, "".join(f"{text}\n" for text in texts))
        Checkpoint(
            scenario=self._scenario,
            round=run_state.round,
            attempt=run_state.attempt,
            parameters=run_state.parameters,
            state=run_state.state,
            rounds_bytes=self._rounds.size,
            account_bytes=self._account.size,
            t=now_ns() - self._start_ns,
            culprits={str(culprit): str(guilt) for culprit, guilt in run_state.culprits.items()},
        ).write(self._folder, self._durable)

    def _add(self, file: LineFile, text: str) -> None:
        if not text:
            return
        try:
            file.add(text)
        except OtherWriter:
            raise CheckpointError(f"{file.path}: another process writes it (one process for a run)") from None
        except OSError as error:
            raise CheckpointError(f"{file.path}: {error.strerror} (room to write)") from None


def check_account(stored: Checkpoint, folder: Path, owners: int) -> None:
    """CheckpointError unless what counts of the model owner's account can be read."""
    for _ in stored_entries(stored, folder, owners):
        pass


def stored_entries(stored: Checkpoint, folder: Path, owners: int) -> Iterator[Entry]:
    """Entries of the model owner's account that count; CheckpointError, naming the line, for one that is none."""
    path = folder / ACCOUNT
    for number, text in enumerate(stored.account(folder), 1):
        try:
            if number == 1:
                check_first_line(text, owners)
            else:
                yield read_line(text, owners)
        except ValueError as error:
            raise CheckpointError(f"{path}:{number}: {error} (the account that asyncagg wrote)") from None
