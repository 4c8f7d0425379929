"""The ring: the smallest that cannot wrap, word types, addition in place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncagg.vectors.ring import Ring, RingError, add_into, smallest_ring


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 24))
def test_no_smaller_ring_holds_every_sum(population, max_weight, bits):
    largest = population * max_weight * (2**bits - 1)
    ring = smallest_ring(population, max_weight, bits)
    assert largest <= ring.mask
    assert ring.bits == 8 or largest > ring.mask >> 1


@pytest.mark.parametrize(
    ("population", "max_weight", "bits", "expected"),
    [
        (1, 1, 1, 8),
        (1, 1, 8, 8),
        (2, 1, 8, 9),
        (3, 1, 16, 18),
        (32768, 1, 16, 31),
        (65537, 1, 16, 32),  # 2^32 - 1, exactly full
        (65538, 1, 16, 33),
        (641, 6700417, 32, 64),  # 2^64 - 1
    ],
)
def test_ring_at_its_boundaries(population, max_weight, bits, expected):
    assert smallest_ring(population, max_weight, bits).bits == expected


def test_a_sum_that_needs_more_than_64_bits_is_refused_with_the_numbers():
    numbers = r"1000 owners of weight up to 100000 at 40 bits .* ring of 67 bits.*takes 37 bits a value"
    with pytest.raises(RingError, match=numbers):
        smallest_ring(1000, 100_000, 40)
    assert smallest_ring(1000, 100_000, 37).bits == 64
    with pytest.raises(RingError, match="takes 31 bits"):
        smallest_ring(642, 6700417, 32)


@pytest.mark.parametrize("arguments", [(0, 1, 16), (3, 0, 16), (3, 1, 0), (-1, 1, 16)])
def test_nothing_to_sum_is_refused(arguments):
    with pytest.raises(RingError, match="at least 1"):
        smallest_ring(*arguments)


@pytest.mark.parametrize("bits", [7, 65, 0, -1])
def test_rings_have_8_to_64_bits(bits):
    with pytest.raises(RingError, match="8 to 64"):
        Ring(bits)


@pytest.mark.parametrize(("bits", "dtype", "size"), [(8, "<u4", 4), (32, "<u4", 4), (33, "<u8", 8), (64, "<u8", 8)])
def test_words(bits, dtype, size):
    ring = Ring(bits)
    assert (ring.dtype, ring.word_bytes) == (np.dtype(dtype), size)
    assert ring.modulus == ring.mask + 1 == 2**bits
    assert ring.zeros(3).tolist() == [0, 0, 0]
    assert ring.cut(np.full(2, ~ring.dtype.type(0))).tolist() == [ring.mask] * 2


def test_addition_wraps_in_place():
    total = np.array([1, 2**32 - 1], "<u4")
    add_into(total, np.array([2, 2], "<u4"))
    assert total.tolist() == [3, 1]


@pytest.mark.parametrize("words", [np.zeros(3, "<u4"), np.zeros(2, "<u8"), np.zeros((2, 1), "<u4")])
def test_words_of_another_kind_are_not_added(words):
    with pytest.raises(RingError, match="cannot add"):
        add_into(np.zeros(2, "<u4"), words)
