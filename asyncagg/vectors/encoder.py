"""From real values to ring elements and back: clip, shift, scale, round, weigh.

A value x in [−clip, clip] becomes u = (x + clip)·q with q = (2^bits − 2)/(2·clip), rounded to an integer
from 0 to 2^bits − 2; an owner of weight w contributes w·u. The number of steps is even, so that 0 falls on
one: it comes back as 0 in every rounding, and what is frozen or sparse does not drift. From z = Σ w·u and
W = Σ w the mean is (z − W·(2^(bits−1) − 1))/(q·W). Whole numbers have q = 1: they are not rounded at all.

How rounding is done. The fixed-point number F = u·2^16 is formed for a block of values at once: x·q·2^16
in float64 plus the constant 2^52 + (2^bits − 2)·2^15 leaves F, rounded to an integer, in the low bits of
the float's own significand. Stochastic rounding is then (F + r) >> 16 for a uniform 16-bit r, which is
exactly unbiased for F; F itself is within 2^−17 of u plus the float64 error of the product, below 2^−20
at every permitted width. Integers are fixed points of both roundings and both are monotone, so the
result is one of the two integers around u and the error stays below one quantum, 1/q. Values of up to
16 bits have F below 2^32 and finish in 32-bit words; wider ones finish in 64-bit words.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from asyncagg.vectors.ring import Ring, RingVector, smallest_ring

Rounding = Literal["stochastic", "nearest", "none"]
"""Between two steps: drawn without bias, the nearer one, or never, where values are whole numbers."""
Reals = NDArray[np.floating[Any]]
Draws = Callable[[int], NDArray[np.uint16]]
"""`draws(count)` gives the next `count` uniform 16-bit numbers; the array may be reused by the next call."""

MIN_BITS = 2  # one step below 0 and one above
MAX_BITS = 32
FRACTION_BITS = 16
BLOCK = 1 << 16  # values a block: float64, words and draws together stay in the cache
_INTEGER_FROM = float(1 << 52)  # from here to 2^53 a float64's low 52 bits are an integer
_INTEGER_BITS = (1 << 52) - 1
_EXACT = 1 << 53  # no float64 beyond stands for every integer


class EncodingError(ValueError):
    """An input that cannot be encoded; the text gives counts and positions, never values."""


class ValueRefused(EncodingError):
    """A value that is `what` and should be `right`, the first of them at `index` of its vector."""

    def __init__(self, what: str, right: str, index: int) -> None:
        super().__init__(f"the vector holds {what}, first at index {index} ({right})")
        self.what = what
        self.right = right
        self.index = index


class DecodingError(ValueError):
    """A total that no set of honest inputs can have."""


class Encoded(NamedTuple):
    """One owner's contribution: words (d,) holding w·u, and how many values were clipped."""

    words: RingVector
    clipped: int


class Small(NamedTuple):
    """How many values other than 0 lie below one step, and how many such values there are."""

    below: int
    nonzero: int


@dataclass(frozen=True, slots=True)
class Encoder:
    """Encodes values of one experiment and decodes their sum.

    Attributes:
        clip: largest magnitude of a value; anything beyond is clamped and counted.
        bits: of one value before weighing and summing, 2 to 32.
        ring: where the sum lives; `Encoder.for_population` chooses it.
        max_weight: largest weight an owner may have.
        rounding: stochastic (unbiased, error below 1/q), nearest (error at most 1/(2q)), or none: for whole
            numbers, with a clip of 2^(bits−1) − 1, where whatever lies beyond or between is refused.

    Raises:
        EncodingError: a combination that cannot work, saying which.
    """

    clip: float
    bits: int
    ring: Ring
    max_weight: int = 1
    rounding: Rounding = "stochastic"

    def __post_init__(self) -> None:
        if not MIN_BITS <= self.bits <= MAX_BITS:
            raise EncodingError(f"bits must be {MIN_BITS} to {MAX_BITS}, not {self.bits}")
        if not (self.clip > 0 and math.isfinite(self.clip * 2) and math.isfinite(self.scale * 2**17)):
            raise EncodingError(f"clip must be a positive number of ordinary size, not {self.clip}")
        if self.max_weight < 1 or self.max_weight * self.steps > self.ring.mask:
            raise EncodingError(
                f"max_weight {self.max_weight} at {self.bits} bits a value does not fit a ring of {self.ring.bits} bits"
            )
        if self.rounding not in get_args(Rounding):
            raise EncodingError(f"rounding must be one of {', '.join(get_args(Rounding))}, not {self.rounding!r}")
        if self.rounding == "none" and self.clip != self.zero:
            raise EncodingError(f"whole numbers of {self.bits} bits have a clip of {self.zero}, not {self.clip}")

    @classmethod
    def for_population(
        cls, population: int, clip: float, bits: int, max_weight: int = 1, rounding: Rounding = "stochastic"
    ) -> "Encoder":
        """The encoder over the smallest ring in which `population` owners cannot wrap.

        Raises:
            EncodingError, RingError: as the encoder and `smallest_ring` do.
        """
        return cls(clip, bits, smallest_ring(population, max_weight, bits), max_weight, rounding)

    @classmethod
    def of_whole(cls, bits: int, ring: Ring, max_weight: int = 1) -> "Encoder":
        """The encoder of whole numbers from −(2^(bits−1) − 1) to 2^(bits−1) − 1, which come back exactly."""
        return cls((1 << bits - 1) - 1, bits, ring, max_weight, "none")

    @property
    def steps(self) -> int:
        """The largest encoded value, 2^bits − 2: from −clip to clip."""
        return (1 << self.bits) - 2

    @property
    def zero(self) -> int:
        """The encoded value that stands for 0, 2^(bits−1) − 1: as many steps below as above."""
        return self.steps // 2

    @property
    def scale(self) -> float:
        """q: encoded units in one unit of the input."""
        return self.steps / (2 * self.clip)

    @property
    def quantum(self) -> float:
        """One step, in input units: 1/q."""
        return 2 * self.clip / self.steps

    def error_bound(self) -> float:
        """Largest error of a mean in input units (clipping apart): 1/q, 1/(2q) to nearest, none of whole numbers.

        Beside it stands the rounding of the mean itself to a float64.
        """
        return {"stochastic": 1.0, "nearest": 0.5, "none": 0.0}[self.rounding] * self.quantum

    def encode(self, values: Reals, weight: int, draws: Draws | None = None) -> Encoded:
        """Encode one owner's vector.

        Args:
            values: (d,) float16, float32 or float64; finite.
            weight: 1 to `max_weight`.
            draws: uniform 16-bit numbers, called block after block; needed for stochastic rounding only.

        Returns:
            Words of w·u in the ring's word type, (d,), and the number of clipped values.

        Raises:
            EncodingError: not a flat float vector, a weight out of range, or no draws for stochastic rounding.
            ValueRefused: a NaN or infinity, a whole number beyond the clip, or one that is not whole.
        """
        self.check_weight(weight)
        words = np.empty(values.size, self.ring.dtype)
        return Encoded(words, self.encode_into(words, values, weight, draws))

    def encode_into(self, words: RingVector, values: Reals, weight: int, draws: Draws | None = None) -> int:
        """As `encode`, into words (d,) that are there, by a weight that has been checked; how many were clipped."""
        _check_vector(values)
        if draws is None and self.rounding == "stochastic":
            raise EncodingError("stochastic rounding needs draws")
        scratch = np.empty(min(BLOCK, values.size))
        clipped = 0
        for start in range(0, values.size, BLOCK):
            part, out = values[start : start + BLOCK], words[start : start + BLOCK]
            clamped, beyond = _clamp(part, self.clip, start)
            clipped += beyond
            if self.rounding == "none":
                self._check_whole(part, clamped, start)
            if draws is None or self.rounding != "stochastic":
                self._round_to_nearest(clamped, scratch[: part.size], out)
            else:
                self._round_stochastically(clamped, draws(part.size), scratch[: part.size], out)
            if weight != 1:
                np.multiply(out, out.dtype.type(weight), out=out)
        return clipped

    def clamp(self, values: Reals) -> NDArray[np.float64]:
        """The values as they are before any rounding, (d,): clipped, as float64."""
        return np.clip(values.astype(np.float64), -self.clip, self.clip)

    def tame(self, values: Reals) -> NDArray[np.float64]:
        """The values with none that would be refused, (d,): NaN is 0, infinity ±clip; whole numbers are rounded too."""
        tamed = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=self.clip, neginf=-self.clip)
        return self.clamp(np.rint(tamed)) if self.rounding == "none" else tamed

    def count_small(self, values: Reals) -> Small:
        """How many values other than 0 there are, and how many of them are below one step."""
        zeros = int(np.count_nonzero(values == 0))
        small = int(np.count_nonzero(np.abs(values.astype(np.float64)) < self.quantum))
        return Small(small - zeros, values.size - zeros)

    def decode(self, total: RingVector, total_weight: int) -> NDArray[np.float64]:
        """The mean from the sum of encoded vectors: (z − W·zero)/(q·W), float64 (d,).

        The offset is subtracted in integers, so that wide sums lose nothing to cancellation; the mean of
        whole numbers is the float64 nearest to sum/W. Bits above the ring are ignored.

        Raises:
            DecodingError: a total weight that is not positive or overflows the ring, or a coordinate
                beyond W·(2^bits − 2), which no inputs add up to.
        """
        largest = total_weight * self.steps
        if total_weight < 1 or largest > self.ring.mask:
            raise DecodingError(f"a total weight of {total_weight} does not fit {self.ring.bits} bits")
        elements = np.bitwise_and(total, total.dtype.type(self.ring.mask)).astype(np.uint64)
        beyond = int(np.count_nonzero(elements > largest))
        if beyond:
            raise DecodingError(
                f"{beyond} of {elements.size} coordinates exceed the largest sum of weight {total_weight}"
            )
        # Half the largest sum is the value zero; what lies below it wraps, and reads as negative when signed.
        np.subtract(elements, np.uint64(largest // 2), out=elements)
        sums = elements.view(np.int64)
        if self.rounding == "none":
            return _divided(sums, total_weight)
        mean = sums.astype(np.float64)
        mean *= 2 * self.clip / largest
        return mean

    def check_weight(self, weight: int) -> None:
        """EncodingError unless it is an integer from 1 to `max_weight`."""
        if isinstance(weight, bool) or not isinstance(weight, int | np.integer):
            raise EncodingError(f"weight must be an integer, not {type(weight).__name__}")
        if not 1 <= weight <= self.max_weight:
            raise EncodingError(f"weight must be 1 to {self.max_weight}, the published bound")

    def _check_whole(self, part: Reals, clamped: Reals, start: int) -> None:
        for wrong, what, right in (
            (part != clamped, f"whole numbers beyond {self.zero}", f"the most at {self.bits} bits a value: more bits"),
            (part != np.rint(part), "numbers that are not whole", "whole ones"),
        ):
            if wrong.any():
                raise ValueRefused(what, f"{right}, or floats in the model", start + int(np.argmax(wrong)))

    def _round_stochastically(
        self, values: Reals, draws: NDArray[np.uint16], scratch: NDArray[np.float64], out: RingVector
    ) -> None:
        """`out` receives (F + r) >> 16."""
        np.multiply(values, self.scale * (1 << FRACTION_BITS), out=scratch, dtype=np.float64)
        np.add(scratch, _INTEGER_FROM + (self.zero << FRACTION_BITS), out=scratch)
        significand = scratch.view(np.uint64)
        fixed: RingVector
        if self.bits + FRACTION_BITS <= 32:
            fixed = significand.astype(np.uint32)  # the low half: exactly F
        else:
            fixed = np.bitwise_and(significand, np.uint64(_INTEGER_BITS), out=significand)
        np.add(fixed, draws, out=fixed)
        np.right_shift(fixed, FRACTION_BITS, out=out, casting="same_kind")

    def _round_to_nearest(self, values: Reals, scratch: NDArray[np.float64], out: RingVector) -> None:
        """`out` receives u rounded; of two as near the even one, so that x and −x come out alike."""
        np.multiply(values, self.scale, out=scratch, dtype=np.float64)
        np.add(scratch, _INTEGER_FROM + self.zero, out=scratch)
        np.bitwise_and(scratch.view(np.uint64), np.uint64(_INTEGER_BITS), out=out, casting="same_kind")


def _check_vector(values: Reals) -> None:
    if values.ndim != 1 or values.dtype.kind != "f" or values.dtype.itemsize > 8:
        raise EncodingError(
            f"values must be a flat float16, float32 or float64 vector, not {values.dtype} of shape {values.shape}"
        )


def _clamp(part: Reals, clip: float, start: int) -> tuple[Reals, int]:
    """A block of values clamped to ±clip, and how many lay beyond; most blocks come back as they are.

    Minimum and maximum carry a NaN along, so one comparison each clears an ordinary block, whose first value is
    number `start` of its vector.
    """
    low, high = float(part.min()), float(part.max())
    if low >= -clip and high <= clip:
        return part, 0
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueRefused("NaN or infinity", "finite numbers", start + int(np.argmin(np.isfinite(part))))
    # In float64: rounded to a narrower type, clip itself could lie beyond clip.
    wide = part.astype(np.float64)
    return np.clip(wide, -clip, clip), int(np.count_nonzero(np.abs(wide) > clip))


def _divided(sums: NDArray[np.int64], total_weight: int) -> NDArray[np.float64]:
    """The float64 nearest to every sum over the weight."""
    if max(total_weight, int(np.abs(sums).max(initial=0))) <= _EXACT:
        return sums / total_weight
    return np.array([value / total_weight for value in sums.tolist()])  # Python rounds once, whatever the size
