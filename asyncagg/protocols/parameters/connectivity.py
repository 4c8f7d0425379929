"""Probability that corrupt and lost members cut the honest survivors of a masking ring into separate sums.

Two runs of k/2 corrupt or lost members somewhere on a ring of n split it: at most ½·n(n−k−1) pairs of places, each
all gone with probability C(g, k) / C(n, k) when g of n are gone (Bell et al., CCS 2020). Here g = c + D, where D
members are lost and the number c of corrupt ones is itself drawn, with the cohort. With c ~ Hyp(N, A, m) the average
has a closed form of positive terms, since E[C(c, j)] = C(A, j)·C(m, j) / C(N, j):

    E[C(c + D, k)] = Σ_j C(D, k−j) · C(A, j) · C(m, j) / C(N, j).

A lead that lies picks the lost after it has seen the ring. If it can lose whole batches only, which do not depend on
the ring, a union bound over the M sets of batches it may lose covers its choice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache

from asyncagg.protocols.parameters.hypergeometric import Hypergeometric

_DIGITS = Context(prec=60, Emax=MAX_EMAX, Emin=MIN_EMIN)
_ERROR = Decimal("1e-45")
"""Above the relative error of a product of 10^7 factors at that precision, and of a sum of such terms."""


@dataclass(frozen=True, slots=True)
class Connectivity:
    """Masking ring with members missing from it."""

    members: int
    """n: places on the ring."""
    lost: int
    """D: members that drop."""
    corrupt: Hypergeometric
    """Number of corrupt members: the cohort's, all of whom may be in the roster."""
    batch: int | None = None
    """T: after it has seen the ring the lead picks whole batches of at least so many; None: it does not pick."""

    def holds(self, neighbours: int, bits: int) -> bool:
        """True if the survivors stay connected but for a probability below 2^−bits, exactly.

        Then so they do with more neighbours.
        """
        with localcontext(_DIGITS):
            ratio = self.split(neighbours) * (1 << bits)
            if abs(ratio - 1) > _ERROR:
                return ratio < 1
        return self._split_exactly(neighbours) * (1 << bits) < 1

    def split(self, neighbours: int) -> Decimal:
        """Bound on the probability that the survivors are split: M·½·n(n−k−1)·E[C(c+D, k)] / C(n, k)."""
        n, k = self.members, neighbours
        with localcontext(_DIGITS):
            return _choices(*self._batches) * n * (n - k - 1) / 2 * self._missing(k)

    @property
    def _batches(self) -> tuple[int, int]:
        """Number of batches, at most, and number of them that may be lost."""
        return (0, 0) if self.batch is None else (self.members // self.batch, self.lost // self.batch)

    def _missing(self, k: int) -> Decimal:
        """E[C(c+D, k)] / C(n, k): one term from its factors, the others from the one before."""
        lost, drawn = self.lost, self.corrupt
        if drawn.low == drawn.high:  # nothing is drawn: one term is all
            lost, drawn = lost + drawn.low, Hypergeometric(0, 0, 0)
        first, last = max(0, k - lost), min(k, drawn.marked, drawn.drawn)
        if first > last:
            return Decimal(0)
        term = _binomial(lost, k - first) * _binomial(drawn.marked, first) * _binomial(drawn.drawn, first)
        term /= _binomial(drawn.members, first) * _binomial(self.members, k)
        total = term
        for j in range(first, last):
            term *= (k - j) * (drawn.marked - j) * (drawn.drawn - j)
            term /= (lost - k + j + 1) * (j + 1) * (drawn.members - j)
            total += term
        return total

    def _split_exactly(self, k: int) -> Fraction:
        """The same in integers."""
        lost, drawn, n = self.lost, self.corrupt, self.members
        missing = sum(
            Fraction(
                math.comb(lost, k - j) * math.comb(drawn.marked, j) * math.comb(drawn.drawn, j),
                math.comb(drawn.members, j),
            )
            for j in range(min(k, drawn.marked, drawn.drawn) + 1)
        )
        batches, gone = self._batches
        choices = sum(math.comb(batches, each) for each in range(gone + 1))
        return Fraction(choices * n * (n - k - 1), 2) * missing / math.comb(n, k)


@lru_cache(maxsize=64)
def _choices(batches: int, lost: int) -> Decimal:
    """M = Σ C(batches, i) for i up to `lost`: the sets of batches that may be lost."""
    with localcontext(_DIGITS):
        term = total = Decimal(1)
        for i in range(lost):
            term = term * (batches - i) / (i + 1)
            total += term
        return total


def _binomial(of: int, chosen: int) -> Decimal:
    """C(of, chosen) for 0 ≤ chosen ≤ of, in the precision of the context."""
    product = Decimal(1)
    for i in range(min(chosen, of - chosen)):
        product = product * (of - i) / (i + 1)
    return product
