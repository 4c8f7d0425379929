"""From real values to ring elements and back: clip, shift, scale, round, weigh.

A value x in [−clip, clip] becomes u = (x + clip)·q with q = (2^bits − 1)/(2·clip), rounded to an integer
of `bits` bits; an owner of weight w contributes w·u. From z = Σ w·u and W = Σ w the mean is
z/(q·W) − clip.

How rounding is done. The fixed-point number F = u·2^16 is formed for a block of values at once: x·q·2^16
in float64 plus the constant 2^52 + (2^bits − 1)·2^15 leaves F, rounded to an integer, in the low bits of
the float's own significand. Stochastic rounding is then (F + r) >> 16 for a uniform 16-bit r, which is
exactly unbiased for F; F itself is within 2^−17 of u plus the float64 error of the product, below 2^−20
at every permitted width. Integers are fixed points of both roundings and both are monotone, so the
result is one of the two integers around u and the error stays below one quantum, 1/q. Values of up to
16 bits have F below 2^32 and finish in 32-bit words; wider ones finish in 64-bit words.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from asyncagg.vectors.ring import Ring, RingVector, smallest_ring

Rounding = Literal["stochastic", "nearest"]
Reals = NDArray[np.floating[Any]]
Draws = Callable[[int], NDArray[np.uint16]]
"""`draws(count)` gives the next `count` uniform 16-bit numbers; the array may be reused by the next call."""

MAX_BITS = 32
FRACTION_BITS = 16
BLOCK = 1 << 16  # values a block: float64, words and draws together stay in the cache
_INTEGER_FROM = float(1 << 52)  # from here to 2^53 a float64's low 52 bits are an integer
_INTEGER_BITS = (1 << 52) - 1


class EncodingError(ValueError):
    """An input that cannot be encoded; the text gives counts and positions, never values."""


class DecodingError(ValueError):
    """A total that no set of honest inputs can have."""


class Encoded(NamedTuple):
    """One owner's contribution: words (d,) holding w·u, and how many values were clipped."""

    words: RingVector
    clipped: int


@dataclass(frozen=True, slots=True)
class Encoder:
    """Encodes values of one experiment and decodes their sum.

    Attributes:
        clip: largest magnitude of a value; anything beyond is clamped and counted.
        bits: of one value before weighing and summing, 1 to 32.
        ring: where the sum lives; `Encoder.for_population` chooses it.
        max_weight: largest weight an owner may have.
        rounding: stochastic (unbiased, error below 1/q) or nearest (error at most 1/(2q)).

    Raises:
        EncodingError: a combination that cannot work, saying which.
    """

    clip: float
    bits: int
    ring: Ring
    max_weight: int = 1
    rounding: Rounding = "stochastic"

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= MAX_BITS:
            raise EncodingError(f"bits must be 1 to {MAX_BITS}, not {self.bits}")
        if not (self.clip > 0 and math.isfinite(self.clip * 2) and math.isfinite(self.scale * 2**17)):
            raise EncodingError(f"clip must be a positive number of ordinary size, not {self.clip}")
        if self.max_weight < 1 or self.max_weight * self.levels > self.ring.mask:
            raise EncodingError(
                f"max_weight {self.max_weight} at {self.bits} bits a value does not fit a ring of {self.ring.bits} bits"
            )
        if self.rounding not in ("stochastic", "nearest"):
            raise EncodingError(f"rounding must be 'stochastic' or 'nearest', not {self.rounding!r}")

    @classmethod
    def for_population(
        cls, population: int, clip: float, bits: int, max_weight: int = 1, rounding: Rounding = "stochastic"
    ) -> "Encoder":
        """The encoder over the smallest ring in which `population` owners cannot wrap.

        Raises:
            EncodingError, RingError: as the encoder and `smallest_ring` do.
        """
        return cls(clip, bits, smallest_ring(population, max_weight, bits), max_weight, rounding)

    @property
    def levels(self) -> int:
        """The largest encoded value, 2^bits − 1."""
        return (1 << self.bits) - 1

    @property
    def scale(self) -> float:
        """q: encoded units in one unit of the input."""
        return self.levels / (2 * self.clip)

    def error_bound(self) -> float:
        """Largest error of a mean in input units (clipping apart): 1/q, or 1/(2q) to nearest."""
        return (1 if self.rounding == "stochastic" else 0.5) / self.scale

    def encode(self, values: Reals, weight: int, draws: Draws | None = None) -> Encoded:
        """Encode one owner's vector.

        Args:
            values: (d,) float16, float32 or float64; finite.
            weight: 1 to `max_weight`.
            draws: uniform 16-bit numbers, called block after block; needed for stochastic rounding only.

        Returns:
            Words of w·u in the ring's word type, (d,), and the number of clipped values.

        Raises:
            EncodingError: not a flat float vector, a NaN or infinity (how many, and where the first
                is), a weight out of range, or no draws for stochastic rounding.
        """
        self._check(values, weight)
        if draws is None and self.rounding == "stochastic":
            raise EncodingError("stochastic rounding needs draws")
        words = np.empty(values.size, self.ring.dtype)
        scratch = np.empty(min(BLOCK, values.size))
        clipped = 0
        for start in range(0, values.size, BLOCK):
            part, out = values[start : start + BLOCK], words[start : start + BLOCK]
            clamped, beyond = _clamp(part, self.clip, values)
            clipped += beyond
            if draws is None or self.rounding == "nearest":
                self._round_to_nearest(clamped, scratch[: part.size], out)
            else:
                self._round_stochastically(clamped, draws(part.size), scratch[: part.size], out)
            if weight != 1:
                np.multiply(out, out.dtype.type(weight), out=out)
        return Encoded(words, clipped)

    def decode(self, total: RingVector, total_weight: int) -> NDArray[np.float64]:
        """The mean from the sum of encoded vectors: (z/q − W·clip)/W, float64 (d,).

        The offset is subtracted in integers, so that wide sums lose nothing to cancellation. Bits above
        the ring are ignored.

        Raises:
            DecodingError: a total weight that is not positive or overflows the ring, or a coordinate
                beyond W·(2^bits − 1), which no inputs add up to.
        """
        largest = total_weight * self.levels
        if total_weight < 1 or largest > self.ring.mask:
            raise DecodingError(f"a total weight of {total_weight} does not fit {self.ring.bits} bits")
        elements = np.bitwise_and(total, total.dtype.type(self.ring.mask)).astype(np.uint64)
        beyond = int(np.count_nonzero(elements > largest))
        if beyond:
            raise DecodingError(
                f"{beyond} of {elements.size} coordinates exceed the largest sum of weight {total_weight}"
            )
        # Half the largest sum is the value zero; what lies below it wraps, and reads as negative when signed.
        np.subtract(elements, np.uint64((largest + 1) // 2), out=elements)
        mean = elements.view(np.int64).astype(np.float64)
        mean += (largest % 2) / 2
        mean *= 2 * self.clip / largest
        return mean

    def _check(self, values: Reals, weight: int) -> None:
        if values.ndim != 1 or values.dtype.kind != "f" or values.dtype.itemsize > 8:
            raise EncodingError(
                f"values must be a flat float16, float32 or float64 vector, not {values.dtype} of shape {values.shape}"
            )
        if isinstance(weight, bool) or not isinstance(weight, int | np.integer):
            raise EncodingError(f"weight must be an integer, not {type(weight).__name__}")
        if not 1 <= weight <= self.max_weight:
            raise EncodingError(f"weight must be 1 to {self.max_weight}, the published bound")

    def _round_stochastically(
        self, values: Reals, draws: NDArray[np.uint16], scratch: NDArray[np.float64], out: RingVector
    ) -> None:
        """`out` receives (F + r) >> 16."""
        np.multiply(values, self.scale * (1 << FRACTION_BITS), out=scratch, dtype=np.float64)
        np.add(scratch, _INTEGER_FROM + (self.levels << (FRACTION_BITS - 1)), out=scratch)
        significand = scratch.view(np.uint64)
        fixed: RingVector
        if self.bits + FRACTION_BITS <= 32:
            fixed = significand.astype(np.uint32)  # the low half: exactly F
        else:
            fixed = np.bitwise_and(significand, np.uint64(_INTEGER_BITS), out=significand)
        np.add(fixed, draws, out=fixed)
        np.right_shift(fixed, FRACTION_BITS, out=out, casting="same_kind")

    def _round_to_nearest(self, values: Reals, scratch: NDArray[np.float64], out: RingVector) -> None:
        """`out` receives u rounded, halves to even."""
        np.multiply(values, self.scale, out=scratch, dtype=np.float64)
        np.add(scratch, self.levels / 2, out=scratch)
        np.add(scratch, _INTEGER_FROM, out=scratch)
        np.bitwise_and(scratch.view(np.uint64), np.uint64(_INTEGER_BITS), out=out, casting="same_kind")


def _clamp(part: Reals, clip: float, whole: Reals) -> tuple[Reals, int]:
    """A block of values clamped to ±clip, and how many lay beyond; most blocks come back as they are.

    Minimum and maximum carry a NaN along, so one comparison each clears an ordinary block.
    """
    low, high = float(part.min()), float(part.max())
    if low >= -clip and high <= clip:
        return part, 0
    if not (math.isfinite(low) and math.isfinite(high)):
        wrong = np.flatnonzero(~np.isfinite(whole))
        raise EncodingError(
            f"{wrong.size} of {whole.size} values are NaN or infinite, the first at index {int(wrong[0])}"
        )
    # In float64: rounded to a narrower type, clip itself could lie beyond clip.
    wide = part.astype(np.float64)
    return np.clip(wide, -clip, clip), int(np.count_nonzero(np.abs(wide) > clip))
