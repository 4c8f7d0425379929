"""Players by name, and ranges of data owners: how `data-owner-0..49` reads, and the origin's names for the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from asyncagg.scenario.errors import suggestion

MODEL_OWNER = "model-owner"
COMPUTE_NODE = "compute-node"
DATA_OWNER = "data-owner"
MOST = {COMPUTE_NODE: 1_000, DATA_OWNER: 1_000_000}
"""Of a role, as in a scenario."""

_NUMBERED = re.compile(r"(?P<role>[a-z-]*[a-z])-?(?P<first>[0-9]+)(?:\.\.(?P<last>[0-9]+))?")
_SPELLINGS = {
    "compute-node-": COMPUTE_NODE,
    "server": COMPUTE_NODE,
    "data-owner-": DATA_OWNER,
    "train-data-owner-": DATA_OWNER,
}
_EXAMPLES = ("model-owner", "compute-node-0", "server0", "data-owner-0", "train-data-owner-0", "data-owner-0..49")


@dataclass(frozen=True, slots=True)
class PlayerRange:
    """Players of a role whose indices follow each other, both ends included; the model owner has the index 0."""

    role: str
    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> PlayerRange:
        """`model-owner`, `compute-node-0`, `data-owner-7`, `data-owner-0..49`, `server0`, `train-data-owner-7`.

        Raises ValueError, whose text says what the name is and what would be right.
        """
        if text == MODEL_OWNER:
            return cls(MODEL_OWNER, 0, 0)
        found = _NUMBERED.fullmatch(text)
        role = None if found is None else _SPELLINGS.get(text[: found.start("first")])
        if found is None or role is None:
            raise ValueError(f"is no player ({suggestion(text, _EXAMPLES) or ', '.join(_EXAMPLES)})")
        first = _index(found["first"], role)
        if found["last"] is None:
            return cls(role, first, first)
        if role != DATA_OWNER:
            raise ValueError("is a range of compute nodes (one by one: each listens at an address of its own)")
        last = _index(found["last"], role)
        if last < first:
            raise ValueError(f"is a range that ends before it starts ({role}-{last}..{first})")
        return cls(role, first, last)

    @property
    def name(self) -> str:
        """Name as it is written: a player, or a range."""
        if self.role == MODEL_OWNER:
            return MODEL_OWNER
        return f"{self.role}-{self.first}" + (f"..{self.last}" if self.last > self.first else "")

    def players(self) -> tuple[str, ...]:
        """Every player in it, by index."""
        if self.role == MODEL_OWNER:
            return (MODEL_OWNER,)
        return tuple(f"{self.role}-{index}" for index in range(self.first, self.last + 1))

    def overlap(self, other: PlayerRange) -> PlayerRange | None:
        """The players in both; None where there are none."""
        first, last = max(self.first, other.first), min(self.last, other.last)
        return PlayerRange(self.role, first, last) if self.role == other.role and first <= last else None


def without(span: PlayerRange, others: Iterable[PlayerRange]) -> Iterator[PlayerRange]:
    """Ranges that are left of the span when the players of the others are taken away, by index."""
    next_index = span.first
    for other in sorted((other for other in others if span.overlap(other)), key=lambda other: other.first):
        if other.first > next_index:
            yield PlayerRange(span.role, next_index, other.first - 1)
        next_index = max(next_index, other.last + 1)
    if next_index <= span.last:
        yield PlayerRange(span.role, next_index, span.last)


def _index(digits: str, role: str) -> int:
    if digits != "0" and digits.startswith("0"):
        raise ValueError(f"has an index with leading zeros, {digits[:20]} (without)")
    if len(digits) > len(str(MOST[role])) or int(digits) >= MOST[role]:
        raise ValueError(f"has the index {digits[:20]} (0 to {MOST[role] - 1})")
    return int(digits)
