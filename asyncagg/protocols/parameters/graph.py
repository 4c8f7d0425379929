"""Masking graph: the complete graph, or a Harary ring over labels that everyone shuffles alike.

Members are positions 0 … n − 1 in the roster. On the ring each is linked to the k/2 next and the k/2 previous
labels (Bell et al., CCS 2020); the labels are drawn from the session id, so that nobody chooses its
neighbours.

The shuffle, exactly: the key is the first 16 bytes of SHA-256("asyncagg masking graph 1" ‖ session), the
words are the little-endian 32-bit words of AES-128-CTR under it from block 0. Fisher–Yates from the identity:
for i = n − 1 down to 1 take the next word w, skipping those at or above the largest multiple of i + 1 that
fits 2^32; swap entries i and w mod (i + 1). Entry p of the result is the member at place p of the ring.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from asyncagg.crypto.keystream import keystream

Words = npt.NDArray[np.uint32]
WordStream = Callable[[int, int], Words]
"""(first word, how many) → that many words of a stream."""

_LABEL = b"asyncagg masking graph 1"
_BLOCK = 2**16
"""Words drawn at a time: a rejected word repeats at most one block."""


@dataclass(frozen=True, slots=True)
class CompleteGraph:
    """Everyone with everyone."""

    members: int

    @property
    def degree(self) -> int:
        """k: neighbours of each member."""
        return self.members - 1

    def neighbours(self, member: int) -> tuple[int, ...]:
        """Members linked to this one, ascending. IndexError if there is no such member."""
        _check_member(member, self.members)
        return (*range(member), *range(member + 1, self.members))


@dataclass(frozen=True, slots=True, eq=False)
class RingGraph:
    """Everyone with the k/2 next and the k/2 previous members on a ring."""

    degree: int
    """k, even, below the number of members."""
    order: tuple[int, ...]
    """Members by place on the ring: a permutation of 0 … n − 1."""
    places: tuple[int, ...]
    """Its inverse: each member's place."""

    @property
    def members(self) -> int:
        return len(self.order)

    def neighbours(self, member: int) -> tuple[int, ...]:
        """Members linked to this one, ascending. IndexError if there is no such member."""
        _check_member(member, self.members)
        place, half = self.places[member], self.degree // 2
        around = range(place - half, place + half + 1)
        return tuple(sorted(self.order[each % self.members] for each in around if each != place))


Graph = CompleteGraph | RingGraph


def masking_graph(members: int, neighbours: int, session: bytes) -> Graph:
    """The graph of a session: complete if `neighbours` is n − 1, else the ring drawn from `session`.

    ValueError unless `neighbours` is n − 1 or even and between 2 and n − 2.
    """
    if members < 1 or not (neighbours == members - 1 or (neighbours % 2 == 0 and 2 <= neighbours < members)):
        raise ValueError(
            f"{neighbours} neighbours among {members} members: must be {members - 1}, or even and at least 2"
        )
    if neighbours == members - 1:
        return CompleteGraph(members)
    return RingGraph(neighbours, *_labels(members, session))


@lru_cache(maxsize=4)
def _labels(members: int, session: bytes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Order and places of a session. Kept, because all owners of one process draw the same graph."""
    key = hashlib.sha256(_LABEL + session).digest()[:16]
    order = shuffled(members, lambda first, count: _words(key, first, count))
    places = np.argsort(np.array(order, dtype=np.int64))
    return tuple(order), tuple(places.tolist())


def _words(key: bytes, first: int, count: int) -> Words:
    return np.frombuffer(keystream(key, 4 * first, 4 * count), dtype="<u4")


def shuffled(members: int, words: WordStream) -> list[int]:
    """0 … members − 1, permuted as specified above by a stream of uniform 32-bit words."""
    order = list(range(members))
    for i, j in zip(range(members - 1, 0, -1), _draws(members, words), strict=True):
        order[i], order[j] = order[j], order[i]
    return order


def _draws(members: int, words: WordStream) -> list[int]:
    """Uniform draws below members, members − 1, …, 2, by rejection; whole blocks at a time."""
    below = np.arange(members, 1, -1, dtype=np.uint64)
    limits = np.uint64(2**32) - np.uint64(2**32) % below
    draws: list[int] = []
    position = 0
    while (done := len(draws)) < len(below):
        block = words(position, min(_BLOCK, len(below) - done)).astype(np.uint64)
        rejected = np.flatnonzero(block >= limits[done : done + len(block)])
        good = int(rejected[0]) if len(rejected) else len(block)
        draws += (block[:good] % below[done : done + good]).tolist()
        position += good + (good < len(block))
    return draws


def _check_member(member: int, members: int) -> None:
    if not 0 <= member < members:
        raise IndexError(f"member {member} of {members}")
