"""The cut of the identity list into batches, of which only whole ones are ever added up.

A sum that is a union of whole batches tells no more than one sum for each batch, however many such sums there are:
the 0/1 rows of all of them lie in the span of B disjoint rows. So `whole` is asked of every set of owners by whoever
would sign, answer, release or open it, each for itself and for the whole set: were it asked of one's own batch only,
the owners of other batches could open a set that tears this one.

The cut, exactly: owner i has the key SHA-256("asyncagg batches" ‖ seed ‖ i), with the label in ASCII, the seed of 32
bytes, and i as 4 bytes little-endian. Owners in ascending order of their keys are cut into B = ⌊N/T⌋ consecutive runs,
of which the first N mod B have ⌊N/B⌋ + 1 owners and the others ⌊N/B⌋. It must be made once for an identity list, with a
seed drawn after all keys are in it: sums over two cuts differ by parts of batches.

Sets of owners are integers here, bit i for owner i; of a bitmap that is `int.from_bytes(bitmap, "little")`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from asyncagg.crypto.kdf import encode_fields
from asyncagg.protocols.names import owner_name

SEED_BYTES: Final = 32
_LABEL: Final = b"asyncagg batches"


@dataclass(frozen=True, slots=True)
class Batches:
    """One cut of a population. With T = 1 there are no batches: every set is whole."""

    owners: int
    """N."""
    size: int
    """T: each batch has at least so many owners, 1 to N."""
    seed: bytes
    """32 bytes, public, pinned beside the identities."""

    def __post_init__(self) -> None:
        """ValueError for a size outside the population, or a seed of another length."""
        if not 1 <= self.size <= self.owners:
            raise ValueError(f"batches of {self.size} among {self.owners} owners: must be 1 to {self.owners}")
        if len(self.seed) != SEED_BYTES:
            raise ValueError(f"a seed of {len(self.seed)} bytes: must be {SEED_BYTES}")

    @property
    def count(self) -> int:
        """B = ⌊N/T⌋."""
        return self.owners // self.size

    @property
    def everyone(self) -> int:
        """All owners."""
        return (1 << self.owners) - 1

    @property
    def largest(self) -> int:
        """Owners in the first batch; none has more, and none fewer than one less."""
        return -(-self.owners // self.count)

    @property
    def digest(self) -> bytes:
        """SHA-256 over all that the cut follows from, 32 bytes."""
        return hashlib.sha256(encode_fields("asyncagg cut", self.owners, self.size, self.seed)).digest()

    def batch(self, number: int) -> int:
        """Owners of a batch, 0 to B − 1."""
        return 1 << number if self.size == 1 else _cut(self).batches[number]

    def batch_of(self, owner: int) -> int:
        """Number of an owner's batch."""
        return owner if self.size == 1 else _cut(self).numbers[owner]

    def mates(self, owner: int) -> int:
        """The other owners of an owner's batch."""
        return self.batch(self.batch_of(owner)) & ~(1 << owner)

    def inside(self, members: int) -> int:
        """The union of all batches that a set holds whole."""
        return members & self.everyone if self.size == 1 else _inside(self, members)

    def whole(self, members: int) -> bool:
        """True if every batch is inside a set or disjoint from it, and the set has nobody else."""
        return members == self.inside(members)

    def refusal(self, members: int) -> str | None:
        """None if a set is whole, or why not: an owner that is in it and a mate that is not."""
        if self.whole(members):
            return None
        if members & ~self.everyone:
            return f"the set has owners beyond the population of {self.owners}"
        owner, missing = next(iter(self.with_their_batch(members).items()))
        return (
            f"{owner_name(owner)} is in the set and its batch mate {owner_name(missing[0])} is not "
            "(only whole batches are added up)"
        )

    def with_their_batch(self, members: int) -> dict[int, tuple[int, ...]]:
        """Owners that must leave a set of members because mates of theirs are not in it: each with those mates."""
        torn = members & self.everyone & ~self.inside(members)
        return {owner: indices_in(self.mates(owner) & ~members) for owner in indices_in(torn)}


def indices_in(members: int) -> tuple[int, ...]:
    """Indices of the owners in a set, ascending."""
    return tuple(index for index, bit in enumerate(reversed(f"{members:b}")) if bit == "1")


def set_of(owners: Iterable[int]) -> int:
    """The set of some owners."""
    members = 0
    for owner in owners:
        members |= 1 << owner
    return members


@lru_cache(maxsize=64)
def _inside(batches: Batches, members: int) -> int:
    """Kept, because all players of one process are asked about the same sets."""
    union = 0
    for batch in _cut(batches).batches:
        if members & batch == batch:
            union |= batch
    return union


@dataclass(frozen=True, slots=True)
class _Cut:
    batches: tuple[int, ...]
    """Owners by batch."""
    numbers: tuple[int, ...]
    """Batch by owner."""


@lru_cache(maxsize=8)
def _cut(batches: Batches) -> _Cut:
    """Kept, because all players of one process make the same cut."""
    prefix = _LABEL + batches.seed
    order = sorted(
        range(batches.owners), key=lambda index: hashlib.sha256(prefix + index.to_bytes(4, "little")).digest()
    )
    size, larger = divmod(batches.owners, batches.count)
    numbers, sets, start = [0] * batches.owners, [], 0
    for number in range(batches.count):
        stop = start + size + (number < larger)
        sets.append(set_of(order[start:stop]))
        for owner in order[start:stop]:
            numbers[owner] = number
        start = stop
    return _Cut(tuple(sets), tuple(numbers))
