"""What became of one round, as the model owner knows it; and what an owner is told of its own part."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asyncagg.protocols.names import Label, Loss, Phase, Player
from asyncagg.protocols.steps.reveal import Revealed

Status = Literal["ok", "failed", "skipped"]


@dataclass(slots=True)
class RoundOutcome:
    """How one round ended, as the model owner knows it."""

    round: int
    status: Status = "failed"
    reason: str | None = None
    attempts: int = 0
    """Begun for this round, before the run was interrupted too."""
    label: Label | None = None
    """Of the attempt that succeeded."""
    revealed: Revealed | None = None
    mean: NDArray[np.float64] | None = None
    """(d,) float64: the decoded mean."""
    dropped: dict[Player, Phase] = field(default_factory=dict)
    """Over all attempts."""
    losses: dict[Player, Loss] = field(default_factory=dict)
    """Why those were, as far as the model owner was told."""
    with_their_batch: list[Player] = field(default_factory=list)
    """Owners that are not in the sum because a mate of their batch is not, in order of index."""
    began_ns: int = 0
    ended_ns: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class OwnNote:
    """Something about a player's own code or data, for the eyes of whoever runs it; it leaves no process."""

    player: Player
    round: int
    text: str
    trace: str = ""
    """The traceback of what was raised, where something was."""
    again: bool = False
    """Whether this owner was told of the same kind before."""
