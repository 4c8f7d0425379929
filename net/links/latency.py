"""Distributions of one-way latency: a uniform draw in, integer nanoseconds out.

Each model is its inverse cumulative distribution function, so that a delay needs nothing but `random()` of a
stream, the one draw that Python promises to keep from version to version. Parameters ending in `_ns` are
nanoseconds. Draws outside `min_ns` … `max_ns` are moved to the nearer bound, and so is the tail of a normal
distribution below zero.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import NormalDist
from typing import ClassVar

from asyncagg.net.durations import SECOND_NS

MAX_NS = 3_600 * SECOND_NS
"""The longest latency, one hour: what no message waits for, and a bound on the heaviest tails."""

_SMALLEST = 2.0**-54  # stands for a draw of 0: half of the smallest other value of random()
_STANDARD = NormalDist()


def _require(holds: bool, rule: str, model: Latency) -> None:
    if not holds:
        raise ValueError(f"a latency needs {rule}, got {model!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(ABC):
    """Base of all latency models. ValueError from the constructor for parameters out of range."""

    varies: ClassVar[bool] = True
    """True if the delay depends on the draw."""

    min_ns: int = 0
    max_ns: int = MAX_NS

    def __post_init__(self) -> None:
        _require(0 <= self.min_ns <= self.max_ns <= MAX_NS, "0 <= min <= max <= 1 hour", self)
        self.check()

    @abstractmethod
    def check(self) -> None:
        """ValueError unless the model's own parameters are in range."""

    @abstractmethod
    def quantile(self, u: float) -> float:
        """Quantile function, in nanoseconds, before rounding and clamping; 0 < u < 1."""

    def delay_ns(self, u: float) -> int:
        """The latency for a draw `u` of `random()`, 0 <= u < 1."""
        return min(max(round(self.quantile(u or _SMALLEST)), self.min_ns), self.max_ns)

    def between(self, draw: Callable[[], float]) -> Latency:
        """The model for one pair of players; `draw` gives what is drawn once for the pair."""
        return self


@dataclass(frozen=True, slots=True)
class Constant(Latency):
    """Always the same."""

    varies: ClassVar[bool] = False
    ns: int

    def check(self) -> None:
        _require(0 <= self.ns <= MAX_NS, "0 <= ns <= 1 hour", self)

    def quantile(self, u: float) -> float:
        return self.ns


NO_LATENCY = Constant(0)


@dataclass(frozen=True, slots=True)
class Uniform(Latency):
    """Equally likely everywhere from low to high."""

    low_ns: int
    high_ns: int

    def check(self) -> None:
        _require(0 <= self.low_ns <= self.high_ns <= MAX_NS, "0 <= low <= high <= 1 hour", self)

    def quantile(self, u: float) -> float:
        return self.low_ns + (self.high_ns - self.low_ns) * u


@dataclass(frozen=True, slots=True)
class Normal(Latency):
    """Mean and standard deviation; what would be negative is zero."""

    mean_ns: int
    deviation_ns: int

    def check(self) -> None:
        _require(0 <= self.mean_ns <= MAX_NS, "0 <= mean <= 1 hour", self)
        _require(0 <= self.deviation_ns <= MAX_NS, "0 <= deviation <= 1 hour", self)

    def quantile(self, u: float) -> float:
        return self.mean_ns + self.deviation_ns * _STANDARD.inv_cdf(u)


@dataclass(frozen=True, slots=True)
class Lognormal(Latency):
    """Its logarithm is normal, with the median's logarithm as mean and `sigma` as standard deviation."""

    median_ns: int
    sigma: float

    def check(self) -> None:
        _require(0 < self.median_ns <= MAX_NS, "0 < median <= 1 hour", self)
        _require(0 <= self.sigma <= 10, "0 <= sigma <= 10", self)

    def quantile(self, u: float) -> float:
        return self.median_ns * math.exp(self.sigma * _STANDARD.inv_cdf(u))


@dataclass(frozen=True, slots=True)
class Exponential(Latency):
    """Memoryless, with this mean. `min_ns` bounds it below; it does not shift it."""

    mean_ns: int

    def check(self) -> None:
        _require(0 < self.mean_ns <= MAX_NS, "0 < mean <= 1 hour", self)

    def quantile(self, u: float) -> float:
        return -self.mean_ns * math.log1p(-u)


@dataclass(frozen=True, slots=True)
class Pareto(Latency):
    """Never less than `scale_ns`; P(latency > x) = (scale / x) ** alpha. No mean exists for alpha <= 1."""

    scale_ns: int
    alpha: float

    def check(self) -> None:
        _require(0 < self.scale_ns <= MAX_NS, "0 < scale <= 1 hour", self)
        _require(0.1 <= self.alpha <= 1000, "0.1 <= alpha <= 1000", self)

    def quantile(self, u: float) -> float:
        return self.scale_ns * math.pow(1 - u, -1 / self.alpha)


@dataclass(frozen=True, slots=True)
class Cubic(Latency):
    """The cubic model of the ABIDES simulator: least + (a / x**3) * (least / unit), x uniform in (clip, 1].

    The least latency belongs to the pair: for each direction it is drawn once, uniformly in low … high.
    ABIDES takes such a matrix as input; Flamingo draws it so. Equal bounds make it the same for all pairs.

    Source: Byrd, Hybinette, Balch, "ABIDES: Towards High-Fidelity Market Simulation for AI Research" (2019)
    and the latency model of its code, where a, clip and unit are jitter, jitter_clip and jitter_unit.
    """

    low_ns: int
    high_ns: int
    a: float = 0.5
    clip: float = 0.1
    unit: float = 10.0

    def check(self) -> None:
        _require(0 <= self.low_ns <= self.high_ns <= MAX_NS, "0 <= low <= high <= 1 hour", self)
        _require(0 <= self.a <= 1e6, "0 <= a <= 1e6", self)
        _require(1e-6 <= self.clip <= 1, "1e-6 <= clip <= 1", self)
        _require(1e-6 <= self.unit <= 1e6, "1e-6 <= unit <= 1e6", self)

    def quantile(self, u: float) -> float:
        """Of the pair with the lowest least latency, unless `between` has drawn another."""
        x = 1 - (1 - self.clip) * u
        return self.low_ns * (1 + self.a / (x**3 * self.unit))

    def between(self, draw: Callable[[], float]) -> Latency:
        if self.low_ns == self.high_ns:
            return self
        least_ns = round(self.low_ns + (self.high_ns - self.low_ns) * draw())
        return replace(self, low_ns=least_ns, high_ns=least_ns)


@dataclass(frozen=True, slots=True)
class Empirical(Latency):
    """Measured: quantiles at equal steps of probability from 0 to 1, straight lines between them.

    `quantiles_ns` holds at least two, none less than the one before. A sorted sample is such a list.
    """

    quantiles_ns: tuple[int, ...]

    def check(self) -> None:
        _require(len(self.quantiles_ns) >= 2, "two quantiles or more", self)
        _require(self.quantiles_ns[0] >= 0, "quantiles of 0 or more", self)
        _require(self.quantiles_ns[-1] <= MAX_NS, "quantiles of at most 1 hour", self)
        _require(all(a <= b for a, b in pairwise(self.quantiles_ns)), "quantiles in ascending order", self)

    def quantile(self, u: float) -> float:
        place = u * (len(self.quantiles_ns) - 1)
        below = min(int(place), len(self.quantiles_ns) - 2)
        low, high = self.quantiles_ns[below], self.quantiles_ns[below + 1]
        return low + (high - low) * (place - below)

    def __repr__(self) -> str:
        return f"Empirical({len(self.quantiles_ns)} quantiles)"
