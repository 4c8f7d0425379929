"""Tails of the hypergeometric distribution, and comparisons with a bound that are never wrong by rounding.

Hyp(n, marked, drawn) is the number of marked members among `drawn` members taken without replacement out of
n. Float64 answers first, with a proven bound on its relative error; where that cannot tell, exact integers
decide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

MEMBERS_MAX = 10**6
"""Products of two counts stay below 2^53, so float64 holds them exactly."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Hypergeometric:
    """Hyp(members, marked, drawn) with 0 ≤ marked, drawn ≤ members ≤ 10^6."""

    members: int
    marked: int
    drawn: int

    @property
    def low(self) -> int:
        """Smallest possible value."""
        return max(0, self.drawn + self.marked - self.members)

    @property
    def high(self) -> int:
        """Largest possible value."""
        return min(self.marked, self.drawn)

    @property
    def error(self) -> float:
        """Bound on the relative error of a tail: at most 6 roundings a term (a ratio, its product, two
        sums)."""
        return 8.0 * (self.high - self.low + 2) * 2.0**-53

    @cached_property
    def _pmf(self) -> Floats:
        """Pr[X = x] for x = low … high.

        Products of neighbouring ratios outwards from the mode, normalised by their sum: all terms are
        positive, so nothing cancels. Terms below 10^-300 may vanish; no bound in use is near the 10^-294 they
        add up to.
        """
        mode = (self.drawn + 1) * (self.marked + 1) // (self.members + 2)
        x = np.arange(self.low, self.high, dtype=np.float64)
        rise = (self.marked - x) * (self.drawn - x)
        fall = (x + 1) * (self.members - self.marked - self.drawn + x + 1)
        split = mode - self.low
        up = np.cumprod(rise[split:] / fall[split:])
        down = np.cumprod((fall[:split] / rise[:split])[::-1])[::-1]
        weights = np.concatenate((down, np.ones(1), up))
        return np.asarray(weights / weights.sum(), dtype=np.float64)

    @cached_property
    def _above(self) -> Floats:
        """Pr[X > x] for x = low − 1 … high; summed from the far end."""
        return np.concatenate((np.cumsum(self._pmf[::-1])[::-1], np.zeros(1)))

    @cached_property
    def _below(self) -> Floats:
        """Pr[X < x] for x = low … high + 1; summed from the far end."""
        return np.concatenate((np.zeros(1), np.cumsum(self._pmf)))

    def above(self, x: int) -> float:
        """Pr[X > x], with relative error below `error`."""
        return float(self._above[min(max(x, self.low - 1), self.high) - self.low + 1])

    def above_each(self, values: range) -> Floats:
        """Pr[X > x] for every x of a range, each with relative error below `error`."""
        positions = np.clip(np.arange(values.start, values.stop), self.low - 1, self.high) - self.low + 1
        return np.asarray(self._above[positions], dtype=np.float64)

    def below(self, x: int) -> float:
        """Pr[X < x], with relative error below `error`."""
        return float(self._below[min(max(x, self.low), self.high + 1) - self.low])

    def least_above(self, bits: int, unions: int) -> int:
        """Least T with Pr[X > T] ≤ 2^−bits / unions, exactly."""
        bound = 2.0**-bits / unions
        position = int(np.searchsorted(-self._above, -bound * (1 + self.error)))
        while not self.rare_above(self.low - 1 + position, bits, unions):
            position += 1
        return self.low - 1 + position

    def most_below(self, bits: int, unions: int) -> int:
        """Largest t with Pr[X < t] ≤ 2^−bits / unions, exactly."""
        bound = 2.0**-bits / unions
        position = int(np.searchsorted(self._below, bound * (1 + self.error), side="right")) - 1
        while not self.rare_below(self.low + position, bits, unions):
            position -= 1
        return self.low + position

    def rare_above(self, x: int, bits: int, unions: int) -> bool:
        """True if Pr[X > x] ≤ 2^−bits / unions, exactly."""
        if x >= self.high:
            return True
        known = compare(self.above(x), 2.0**-bits / unions, self.error)
        return self._exactly_rare(range(max(x + 1, self.low), self.high + 1), bits, unions) if known is None else known

    def rare_below(self, x: int, bits: int, unions: int) -> bool:
        """True if Pr[X < x] ≤ 2^−bits / unions, exactly."""
        if x <= self.low:
            return True
        known = compare(self.below(x), 2.0**-bits / unions, self.error)
        return self._exactly_rare(range(self.low, min(x, self.high + 1)), bits, unions) if known is None else known

    def _exactly_rare(self, values: range, bits: int, unions: int) -> bool:
        """The same in integers: Σ C(marked, x)·C(rest, drawn − x) · unions · 2^bits ≤ C(members, drawn)."""
        rest = self.members - self.marked
        ways = sum(math.comb(self.marked, x) * math.comb(rest, self.drawn - x) for x in values)
        return (ways * unions) << bits <= math.comb(self.members, self.drawn)


def compare(value: float, bound: float, error: float) -> bool | None:
    """True if the number that `value` approximates is at most `bound`; None if rounding could decide it."""
    if value <= bound * (1 - 2 * error):
        return True
    if value >= bound * (1 + 2 * error):
        return False
    return None
