"""The ring every masked value lives in: integers modulo 2^bits, held in whole unsigned words.

Words are little-endian uint32 for rings of up to 32 bits and uint64 above. Sums and masks use plain
word arithmetic, which wraps modulo 2^32 or 2^64, a multiple of the ring's modulus; the bits above the
ring are cut once, when words are packed or decoded, and not after every addition.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MIN_BITS = 8
MAX_BITS = 64

type_of_words = np.unsignedinteger[Any]
RingVector = NDArray[type_of_words]
"""A vector of ring elements, dtype '<u4' or '<u8' as `Ring.dtype` says."""


class RingError(ValueError):
    """A ring that cannot hold what is asked of it, or words that do not belong to it."""


@dataclass(frozen=True, slots=True)
class Ring:
    """Integers modulo 2^bits.

    Attributes:
        bits: 8 to 64.

    Raises:
        RingError: `bits` outside that range.
    """

    bits: int

    def __post_init__(self) -> None:
        if not MIN_BITS <= self.bits <= MAX_BITS:
            raise RingError(f"a ring has {MIN_BITS} to {MAX_BITS} bits, not {self.bits}")

    @property
    def dtype(self) -> np.dtype[type_of_words]:
        """The word that holds one element: '<u4' up to 32 bits, '<u8' above."""
        return np.dtype("<u4" if self.bits <= 32 else "<u8")

    @property
    def word_bytes(self) -> int:
        """Bytes of one word: 4 or 8."""
        return 4 if self.bits <= 32 else 8

    @property
    def modulus(self) -> int:
        return 1 << self.bits

    @property
    def mask(self) -> int:
        """The largest element; `word & mask` cuts a word to the ring."""
        return self.modulus - 1

    def zeros(self, count: int) -> RingVector:
        """`count` zero elements."""
        return np.zeros(count, self.dtype)

    def cut(self, words: RingVector) -> RingVector:
        """Cut every word to the ring, in place; returns the same array."""
        return np.bitwise_and(words, words.dtype.type(self.mask), out=words)


def smallest_ring(population: int, max_weight: int, bits: int) -> Ring:
    """The smallest ring in which no sum of encoded values can wrap.

    Args:
        population: owners that may be in the sum.
        max_weight: largest weight of one owner.
        bits: of one encoded value before summing, b_in.

    Returns:
        The ring of b bits, b ≥ 8 minimal with 2^b ≥ population · max_weight · (2^bits − 1) + 1.

    Raises:
        RingError: more than 64 bits would be needed, or an argument below 1.
    """
    if min(population, max_weight, bits) < 1:
        raise RingError(f"population {population}, max_weight {max_weight} and bits {bits} must each be at least 1")
    largest_sum = population * max_weight * ((1 << bits) - 1)
    needed = largest_sum.bit_length()
    if needed > MAX_BITS:
        fitting = (((1 << MAX_BITS) - 1) // (population * max_weight) + 1).bit_length() - 1
        raise RingError(
            f"{population} owners of weight up to {max_weight} at {bits} bits a value need a ring of {needed}"
            f" bits, and the largest has {MAX_BITS} (which takes {fitting} bits a value)"
        )
    return Ring(max(needed, MIN_BITS))


def add_into(accumulator: RingVector, words: RingVector) -> None:
    """Add `words` to `accumulator` in place; both (d,) and of one word type. Wraps.

    Raises:
        RingError: the two differ in shape or word type.
    """
    if accumulator.shape != words.shape or accumulator.dtype != words.dtype:
        raise RingError(
            f"cannot add {words.dtype} words of shape {words.shape}"
            f" to {accumulator.dtype} words of shape {accumulator.shape}"
        )
    np.add(accumulator, words, out=accumulator)
