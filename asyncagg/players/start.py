"""Start of the model owner's run, its hooks as it goes on, and its state for a checkpoint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from asyncagg.learning.owners import Arrays
from asyncagg.players.outcome import RoundOutcome
from asyncagg.protocols.ledger.comparison import Rules
from asyncagg.protocols.ledger.entries import Entry
from asyncagg.protocols.ledger.sums import SumAccount
from asyncagg.protocols.names import GUILT, Guilt, Label, Player
from asyncagg.runs.checkpoint import Checkpoint, CheckpointError


@dataclass(frozen=True, slots=True)
class RunState:
    """The state of a run between two rounds, or within one that has not ended."""

    round: int
    """The next round to finish, from 0."""
    attempt: int
    """The last attempt at it that was begun; 0: none."""
    parameters: Arrays
    """Parameters that this round publishes."""
    state: Arrays
    """Arrays that the model keeps beside them, see `ModelOwner.state`."""
    noted: tuple[Entry, ...]
    """Entries that the model owner noted in its account since it handed out a state before."""
    culprits: Mapping[Player, Guilt] = field(default_factory=dict)
    """Owners that are not invited again, and why."""


@dataclass(frozen=True, slots=True)
class Start:
    """The state in which a resumed run begins; see `RunState`."""

    round: int
    attempt: int
    parameters: Arrays
    state: Arrays = field(default_factory=dict)
    account: SumAccount | None = None
    """The model owner's; None where nothing is protected."""
    culprits: Mapping[Player, Guilt] = field(default_factory=dict)
    """Owners that are not invited again, and why."""

    @classmethod
    def of(cls, checkpoint: Checkpoint, rules: Rules | None, entries: Iterable[Entry]) -> Start:
        """Start at a checkpoint; CheckpointError if the account's entries, or the culprits, are none."""
        account = None
        if rules is not None:
            try:
                account = SumAccount.again(rules, entries)
            except ValueError as error:
                raise CheckpointError(f"account: {error} (the account of this run)") from None
        parameters, state = dict(checkpoint.parameters), dict(checkpoint.state)
        culprits = {Player(owner): _guilt(why) for owner, why in checkpoint.culprits.items()}
        return cls(checkpoint.round, checkpoint.attempt, parameters, state, account, culprits)


def _guilt(why: str) -> Guilt:
    for guilt in GUILT:
        if guilt == why:
            return guilt
    raise CheckpointError(f"checkpoint: culprits: {why!r} is no guilt ({', '.join(GUILT)})")


@dataclass(frozen=True, slots=True)
class RunHooks:
    """Hooks of a model owner's run: its start, and callbacks for each attempt and each round."""

    observe: Callable[[RoundOutcome, RunState], Awaitable[None]]
    """A round has ended; waited for before the next one is published."""
    begins: Callable[[RunState], None] = lambda run_state: None
    """An attempt is about to be published."""
    start: Start | None = None
    refusing: Callable[[Label], Collection[Player]] = lambda label: ()
    """Owners that left for what no other attempt can change, where that is known without being told by a peer:
    an experiment, under `lying`."""
