"""Where the model owner's run starts, and who is told as it goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from asyncagg.learning.owners import Arrays
from asyncagg.players.outcome import RoundOutcome
from asyncagg.protocols.ledger.account import Ledger, Rules
from asyncagg.protocols.names import Label
from asyncagg.runs.checkpoint import Checkpoint, CheckpointError


@dataclass(frozen=True, slots=True)
class Start:
    """The state of a run between two rounds, or within one that did not end."""

    round: int
    """The first round to play, from 0."""
    attempt: int
    """The last attempt at it that was begun; 0: none."""
    parameters: Arrays
    """What this round publishes."""
    state: Arrays = field(default_factory=dict)
    """What the model kept, see `ModelOwner.state`."""
    ledger: Ledger | None = None
    """The model owner's privacy ledger; None where nothing is protected."""

    @classmethod
    def of(cls, checkpoint: Checkpoint, rules: Rules | None) -> Start:
        """Where a checkpoint goes on; CheckpointError if its privacy ledger is none under these rules."""
        ledger = None
        if rules is not None:
            try:
                ledger = Ledger.from_data(rules, checkpoint.ledger)
            except ValueError as error:
                raise CheckpointError(f"checkpoint: {error}") from None
        parameters, state = dict(checkpoint.parameters), dict(checkpoint.state)
        return cls(checkpoint.round, checkpoint.attempt, parameters, state, ledger)


@dataclass(frozen=True, slots=True)
class RunHooks:
    """How the run of a model owner goes: where it starts, and who is told of each attempt and each round."""

    observe: Callable[[RoundOutcome], Awaitable[None]]
    begins: Callable[[Label], None] = lambda label: None
    start: Start | None = None
