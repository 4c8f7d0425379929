"""Writes the checkpoint of a run in the process of its model owner: before every attempt, and after every round."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from asyncagg.engines.experiment import Experiment
from asyncagg.engines.runtime.players import RunHooks
from asyncagg.net.clock import now_ns
from asyncagg.players.model_owner import ModelOwnerPlayer
from asyncagg.players.outcome import RoundOutcome
from asyncagg.players.start import Start
from asyncagg.protocols.names import Label
from asyncagg.runs.checkpoint import Checkpoint
from asyncagg.runs.result import RoundResult


class Checkpointer:
    """Keeps one run resumable. CheckpointError, which ends the run, where that cannot be written."""

    def __init__(self, experiment: Experiment, folder: Path, stored: Checkpoint | None, start_ns: int) -> None:
        """`stored`: where a resumed run goes on. `start_ns`: when the run began, by `now_ns`."""
        self._scenario = experiment.scenario.digest()
        self._folder = folder
        self._durable = experiment.durable
        self._rounds = [] if stored is None else list(stored.rounds)
        self._start = None if stored is None else Start.of(stored, experiment.ledger_rules())
        self._start_ns = start_ns
        self.model_owner: ModelOwnerPlayer | None = None

    def hooks(self, tell: Callable[[RoundOutcome], Awaitable[RoundResult]]) -> RunHooks:
        """The model owner's; `tell` makes a result of a round that has ended."""

        async def observe(outcome: RoundOutcome) -> None:
            self.ended(await tell(outcome))

        return RunHooks(observe, self.begins, self._start)

    def begins(self, label: Label) -> None:
        """An attempt is about to be published: its label is never used again."""
        self._write(label.attempt)

    def ended(self, each: RoundResult) -> None:
        """A round has ended; one that failed is played again by a resumed run."""
        if each.status == "failed":
            self._write(each.attempts)  # its ledger has entries that no later attempt may forget
        else:
            self._rounds.append(each)
            self._write(0)

    def _write(self, attempt: int) -> None:
        owner = self.model_owner
        if owner is None:
            raise ValueError("whose checkpoint?")
        Checkpoint(
            scenario=self._scenario,
            round=len(self._rounds),
            attempt=attempt,
            parameters=owner.parameters,
            state=owner.state,
            ledger=None if owner.ledger is None else owner.ledger.to_data(),
            rounds=tuple(self._rounds),
            t=now_ns() - self._start_ns,
            culprits={str(culprit): str(guilt) for culprit, guilt in owner.culprits.items()},
        ).write(self._folder, self._durable)
