"""Where a resumed run goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from asyncagg.learning.owners import Arrays
from asyncagg.protocols.ledger.account import Ledger, Rules
from asyncagg.protocols.names import GUILT, Guilt, Player
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
    culprits: Mapping[Player, Guilt] = field(default_factory=dict)
    """Owners that are not invited again, and why."""

    @classmethod
    def of(cls, checkpoint: Checkpoint, rules: Rules | None) -> Start:
        """Where a checkpoint goes on; CheckpointError if its ledger is none under these rules, or its culprits none."""
        ledger = None
        if rules is not None:
            try:
                ledger = Ledger.from_data(rules, checkpoint.ledger)
            except ValueError as error:
                raise CheckpointError(f"checkpoint: {error}") from None
        parameters, state = dict(checkpoint.parameters), dict(checkpoint.state)
        culprits = {Player(owner): _guilt(why) for owner, why in checkpoint.culprits.items()}
        return cls(checkpoint.round, checkpoint.attempt, parameters, state, ledger, culprits)


def _guilt(why: str) -> Guilt:
    for guilt in GUILT:
        if guilt == why:
            return guilt
    raise CheckpointError(f"checkpoint: culprits: {why!r} is no guilt ({', '.join(GUILT)})")
