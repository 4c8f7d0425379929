"""Tail of a member's corrupt neighbours where the number of corrupt owners is itself drawn, and all of them stay.

A cohort is drawn from the population, so the number c of corrupt owners in it is hypergeometric. The lead may leave
honest ones out until a roster of `members` remains, which then holds all c (at most `members`). A member's neighbours
are drawn at random from the roster. The tail is the average over c of the tail of Hyp(members, c, neighbours).

Put the roster in random order and let the first c places be the corrupt ones: more than x neighbours are corrupt iff
neighbour number x + 1 stands at a place ≤ c. So the average is Σ_i Pr[it stands at place i]·Pr[c ≥ i]: one pass over
the places, with positive terms only. Floats answer first; where their error could decide, exact integers do.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from asyncagg.protocols.parameters.hypergeometric import Floats, Hypergeometric, compare


@dataclass(frozen=True)
class DrawnTail:
    """Corrupt owners among the neighbours of one member of a roster that holds all corrupt owners of its cohort."""

    corrupt: Hypergeometric
    """Number of corrupt owners in the cohort."""
    members: int
    """n': members of the roster; at most as many as the cohort has."""
    neighbours: int
    """k, at most n'."""

    @property
    def high(self) -> int:
        """Largest possible value."""
        return min(self.corrupt.high, self.neighbours)

    @property
    def error(self) -> float:
        """Bound on the relative error of `above`: at most 8 roundings a place, and those of the cohort's tail."""
        return 8.0 * (self.members + 2) * 2.0**-53 + self.corrupt.error

    def above(self, x: int) -> float:
        """Pr[X > x], with relative error below `error`."""
        if x < 0 or x >= self.high:
            return float(x < 0)
        last = min(self.corrupt.high, self.members - self.neighbours + x + 1)
        return float(self._place(x)[: last - x] @ self.corrupt.above_each(range(x, last)))

    def _place(self, x: int) -> Floats:
        """Pr[neighbour number x + 1 stands at place i] for i = x + 1 … members − neighbours + x + 1.

        Products of neighbouring ratios outwards from the mode, normalised by their sum, as for `Hypergeometric`.
        """
        n, later = self.members, self.neighbours - x - 1
        i = np.arange(x + 1, n - later, dtype=np.float64)
        rise, fall = i * (n - later - i), (i - x) * (n - i)
        split = int(np.count_nonzero(rise > fall))
        up = np.cumprod(rise[split:] / fall[split:])
        down = np.cumprod((fall[:split] / rise[:split])[::-1])[::-1]
        weights = np.concatenate((down, np.ones(1), up))
        return np.asarray(weights / weights.sum(), dtype=np.float64)

    def least_above(self, bits: int, unions: int) -> int:
        """Least T with Pr[X > T] ≤ 2^−bits / unions, exactly.

        The search goes outwards from what it would be with the mean number of corrupt owners, in growing steps, and
        then by halves.
        """
        drawn = self.corrupt
        mean = min(-(-drawn.drawn * drawn.marked // drawn.members), self.members)
        guess = Hypergeometric(self.members, mean, self.neighbours).least_above(bits, unions)
        low, high, at, step = -1, self.high, guess, 1
        while low < at < high:
            if self.rare_above(at, bits, unions):
                high, at = at, at - step
            else:
                low, at = at, at + step
            step *= 2
        return low + 1 + bisect_left(range(low + 1, high), True, key=lambda x: self.rare_above(x, bits, unions))

    def rare_above(self, x: int, bits: int, unions: int) -> bool:
        """True if Pr[X > x] ≤ 2^−bits / unions, exactly."""
        if x >= self.high:
            return True
        known = compare(self.above(x), 2.0**-bits / unions, self.error)
        return self._exactly_rare(x, bits, unions) if known is None else known

    def _exactly_rare(self, x: int, bits: int, unions: int) -> bool:
        """The same in integers, over every number of corrupt owners in the cohort."""
        drawn, n, k = self.corrupt, self.members, self.neighbours
        rest = drawn.members - drawn.marked
        ways = 0
        for c in range(drawn.low, drawn.high + 1):
            stay = min(c, n)
            exposed = sum(math.comb(stay, y) * math.comb(n - stay, k - y) for y in range(max(x + 1, 0), k + 1))
            ways += math.comb(drawn.marked, c) * math.comb(rest, drawn.drawn - c) * exposed
        return (ways * unions) << bits <= math.comb(drawn.members, drawn.drawn) * math.comb(n, k)
