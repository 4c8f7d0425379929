"""Which single owners can be solved for from the sums over some sets of owners: exact linear algebra.

A sum over a set is a 0/1 row. Owner i's value follows from the sums iff the unit vector of i is in their
span, iff the reduced echelon form has a row with a one at i and nothing else.

Arithmetic is modulo the prime p = 2^61 − 1 instead of over the rationals. The two can differ only where a
non-zero minor of the rows and a unit vector is divisible by p, hence at least p; by Hadamard's bound a 0/1
minor of size s is at most (s + 1)^((s + 1)/2) / 2^s, which is below p for all sets up to `EXACT_UP_TO`. So
for that many independent sets the answers are proven exact; beyond, a given one is wrong only if p happens to
divide the minor it rests on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from asyncagg.crypto.keystream import keystream

PRIME: Final = 2**61 - 1
EXACT_UP_TO: Final = 35
"""Independent sets up to which the answers are those over the rationals."""

Residues = npt.NDArray[np.uint64]
Octets = npt.NDArray[np.uint8]

_HALF = 31
_LOW = 2**_HALF - 1
_ROWS = 64
"""Rows of bits that are spread out to floats at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """The span of some sets of owners, as r independent sets and the inverse of r of their columns."""

    owners: int
    rows: Octets
    """(r, ⌈owners/8⌉): the sets as bits, least significant first."""
    pivots: tuple[int, ...]
    inverse: Residues
    """(r, r): inverse of the pivots' columns; times `rows` it is the reduced echelon form."""

    @classmethod
    def empty(cls, owners: int) -> Span:
        """The span of no set. Up to 2^20 owners."""
        return cls(owners, np.zeros((0, (owners + 7) // 8), np.uint8), (), np.zeros((0, 0), np.uint64))

    def extended(self, members: int) -> Span:
        """With one more set, given as bits; the same span if it adds nothing."""
        octets = np.frombuffer(members.to_bytes(self.rows.shape[1], "little"), dtype=np.uint8)
        row = np.unpackbits(octets, count=self.owners, bitorder="little").astype(np.uint64)
        weights = _vector_times(row[list(self.pivots)], self.inverse)
        rest = _reduce(row + PRIME - _combine(weights, self.rows, self.owners))
        remaining = np.flatnonzero(rest)
        if not len(remaining):
            return self
        pivot = int(remaining[0])
        inverse = self._bordered(self._column(pivot), weights, int(rest[pivot]))
        return Span(self.owners, np.vstack((self.rows, octets)), (*self.pivots, pivot), inverse)

    def exposed(self) -> tuple[int, ...]:
        """Owners whose own value follows from the sums, ascending.

        A row of the echelon form that is zero off the pivots gives zero times any vector there: one fixed
        vector finds the candidates, and each is then looked at whole.
        """
        probe = _probe(self.owners).copy()
        probe[list(self.pivots)] = 0
        images = _times_vector(self.inverse, _spread_times(self.rows, probe, self.owners))
        candidates = np.flatnonzero(images == 0).tolist()
        return tuple(sorted(self.pivots[row] for row in candidates if self._is_unit(row)))

    def _is_unit(self, row: int) -> bool:
        """Whether this row of the echelon form has a single non-zero entry."""
        return int(np.count_nonzero(_combine(self.inverse[row], self.rows, self.owners))) == 1

    def _column(self, owner: int) -> Residues:
        return (self.rows[:, owner >> 3] >> (owner & 7) & 1).astype(np.uint64)

    def _bordered(self, column: Residues, weights: Residues, corner: int) -> Residues:
        """The inverse for one more row and column; `corner` is the Schur complement, not zero."""
        size = len(self.pivots)
        scale = pow(corner, -1, PRIME)
        image = _times_vector(self.inverse, column)
        scaled = _product(image, scale)
        inverse = np.empty((size + 1, size + 1), np.uint64)
        inverse[:size, :size] = _reduce(self.inverse + _product(scaled[:, None], weights[None, :]))
        inverse[:size, size] = _negated(scaled)
        inverse[size, :size] = _negated(_product(weights, scale))
        inverse[size, size] = scale
        return inverse


@lru_cache(maxsize=4)
def _probe(owners: int) -> Residues:
    """A fixed vector without structure."""
    words = np.frombuffer(keystream(bytes(16), 0, 8 * owners), dtype="<u8")
    return _reduce(words >> np.uint64(3))


# -- arithmetic modulo 2^61 − 1 ----------------------------------------------------------------------------


def _reduce(values: Residues) -> Residues:
    """Any uint64 to 0 … p − 1, since 2^61 ≡ 1."""
    folded = (values & PRIME) + (values >> 61)
    return np.where(folded >= PRIME, folded - PRIME, folded)


def _negated(values: Residues) -> Residues:
    return _reduce(PRIME - values)


def _product(left: Residues, right: Residues | int) -> Residues:
    """Elementwise, by halves of 31 and 30 bits: 2^62 ≡ 2, and no partial sum reaches 2^64."""
    other = np.asarray(right, dtype=np.uint64)
    left_high, left_low = left >> _HALF, left & _LOW
    high, low = other >> _HALF, other & _LOW
    middle = left_high * low + left_low * high
    crossed = (middle >> 30) + ((middle & (2**30 - 1)) << _HALF)
    return _reduce(2 * left_high * high + crossed + left_low * low)


def _times_vector(matrix: Residues, vector: Residues) -> Residues:
    """matrix · vector."""
    return _summed(_product(matrix, vector[None, :]), axis=1)


def _vector_times(vector: Residues, matrix: Residues) -> Residues:
    """vector · matrix."""
    return _summed(_product(matrix, vector[:, None]), axis=0)


def _summed(terms: Residues, axis: int) -> Residues:
    return _joined((terms >> _HALF).sum(axis=axis), (terms & _LOW).sum(axis=axis))


def _joined(high: Residues, low: Residues) -> Residues:
    """high · 2^31 + low for halves below 2^53."""
    return _reduce(_product(high, 2**_HALF) + low)


def _combine(weights: Residues, rows: Octets, owners: int) -> Residues:
    """weights · rows for rows of bits: (owners,). Sums of halves stay below 2^53, so float64 is exact."""
    halves = np.stack((weights >> _HALF, weights & _LOW)).astype(np.float64)
    total = np.zeros((2, owners))
    for first in range(0, len(rows), _ROWS):
        total += halves[:, first : first + _ROWS] @ _spread(rows[first : first + _ROWS], owners)
    return _joined(*total.astype(np.uint64))


def _spread_times(rows: Octets, vector: Residues, owners: int) -> Residues:
    """rows · vector for rows of bits: (r,)."""
    halves = np.stack((vector >> _HALF, vector & _LOW), axis=1).astype(np.float64)
    blocks = [_spread(rows[first : first + _ROWS], owners) @ halves for first in range(0, len(rows), _ROWS)]
    total = np.concatenate(blocks) if blocks else np.zeros((0, 2))
    return _joined(*total.T.astype(np.uint64))


def _spread(rows: Octets, owners: int) -> npt.NDArray[np.float64]:
    return np.unpackbits(rows, axis=1, count=owners, bitorder="little").astype(np.float64)
