"""Where a resumed run goes on."""

from __future__ import annotations

from dataclasses import dataclass, field

from asyncagg.learning.owners import Arrays
from asyncagg.protocols.ledger.account import Ledger, Rules
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
