"""Names that every part of a protocol shares: players, phases, threats, and the label of one attempt."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal, NamedTuple, NewType

Player = NewType("Player", str)
Threat = Literal["curious", "lying"]
Reveal = Literal["compute-nodes", "model-owner"]
Phase = Literal["publish", "advertise", "share", "upload", "certify", "unmask", "reveal"]
Exposure = Literal["public", "sealed", "masked", "share", "sum", "clear"]
"""Extent to which the receiver of a message can read what is in it; `clear` is a vector without any protection."""
Guilt = Literal["wrong-shares", "false-dealing", "false-complaints", "bad-boxes", "contradiction"]
Cause = Literal["lost", "failed", "refuses"]
"""Cause of an owner's loss: it was lost to the others, by its own computation, or by one that cannot change."""

CAUSES: Final[tuple[Cause, ...]] = ("lost", "failed", "refuses")
PHASES: tuple[Phase, ...] = ("publish", "advertise", "share", "upload", "certify", "unmask", "reveal")
GUILT: Final[dict[Guilt, str]] = {
    "wrong-shares": "answered with wrong shares",
    "false-dealing": "dealt shares that do not make its secret",
    "false-complaints": "complained of more boxes than corrupt owners can have sealed",
    "bad-boxes": "sealed boxes of which more owners complain than can be corrupt",
    "contradiction": "disagrees with another owner about a box, so one of the two is corrupt",
}
"""Reasons why an owner is not invited again, in words."""
MODEL_OWNER = Player("model-owner")
LEAD = Player("compute-node-0")


class Label(NamedTuple):
    """One attempt at one round; a later label cancels an earlier one."""

    round: int
    attempt: int


class Loss(NamedTuple):
    """Reason why an owner is not in a sum, in words that hold nothing of its data."""

    reason: str
    cause: Cause = "lost"


def owner_name(index: int) -> Player:
    """The data owner with this index in the pinned population."""
    return Player(f"data-owner-{index}")


def node_name(index: int) -> Player:
    """The compute node with this index; 0 is the lead."""
    return Player(f"compute-node-{index}")


@lru_cache(maxsize=2**15)
def index_of(player: str) -> int:
    """The index in a data owner's or compute node's name."""
    return int(player.rpartition("-")[2])


def role_of(player: str) -> str:
    """`data-owner`, `compute-node` or `model-owner`: the key of byte and work counts in a result."""
    return player if player == MODEL_OWNER else player.rpartition("-")[0]
