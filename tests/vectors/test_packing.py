"""Bit packing: every width, odd sizes and block borders, against the format written out bit by bit."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.known_answers import vectors

from asyncagg.vectors import packing
from asyncagg.vectors.packing import PackingError, add_packed, pack, packed_size, unpack
from asyncagg.vectors.ring import Ring, RingError

WIDTHS = range(8, 65)
LENGTHS = [*range(34), 63, 64, 65, 100]


def reference_block(words, bits):
    """One block as the format describes it, one bit after the other."""
    planes, low = b"", 0
    widths = [64] if bits == 64 else [width for width in (32, 16, 8) if bits & width]
    for width in widths:
        planes += b"".join((word >> low & (1 << width) - 1).to_bytes(width // 8, "little") for word in words)
        low += width
    for width in (width for width in (4, 2, 1) if bits & width):
        stride = math.ceil(len(words) * width / 8)
        plane = bytearray(stride)
        for index, word in enumerate(words):
            plane[index % stride] |= (word >> low & (1 << width) - 1) << index // stride * width
        planes += plane
        low += width
    return planes


def random_words(count, bits, seed=0):
    words = np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)
    return Ring(bits).cut(words.astype(Ring(bits).dtype))


@pytest.mark.parametrize("bits", WIDTHS)
def test_every_width_and_short_length_matches_the_reference(bits):
    for count in LENGTHS:
        words = random_words(count, bits, count)
        packed = pack(words, bits)
        assert packed == reference_block(words.tolist(), bits)
        assert math.ceil(count * bits / 8) <= len(packed) == packed_size(count, bits)
        assert len(packed) <= math.ceil(count * bits / 8) + 2
        assert np.array_equal(unpack(packed, count, bits), words)


@pytest.mark.parametrize("bits", WIDTHS)
def test_block_borders(bits, monkeypatch):
    monkeypatch.setattr(packing, "BLOCK", 256)
    monkeypatch.setattr(packing, "SMALL", 128)
    for count, blocks in [
        (127, [127]),
        (128, [128]),
        (191, [128, 63]),
        (256, [256]),
        (257, [256, 1]),
        (611, [256, 256, 99]),
        (700, [256, 256, 128, 60]),
    ]:
        words = random_words(count, bits, count)
        edges = np.cumsum([0, *blocks]).tolist()
        wanted = b"".join(reference_block(words[edges[i] : edges[i + 1]].tolist(), bits) for i in range(len(blocks)))
        assert pack(words, bits) == wanted
        assert len(wanted) == packed_size(count, bits) <= math.ceil(count * bits / 8) + 2
        assert np.array_equal(unpack(wanted, count, bits), words)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 5_000), st.sampled_from(WIDTHS), st.integers(0, 2**32))
def test_round_trip_and_addition(count, bits, seed):
    words, before = random_words(count, bits, seed), random_words(count, bits, seed + 1)
    packed = pack(words, bits)
    assert np.array_equal(unpack(packed, count, bits), words)
    total = before.copy()
    add_packed(total, packed, bits)
    assert np.array_equal(total, before + words)


@pytest.mark.parametrize("bits", [8, 18, 31, 32, 33, 47, 64])
def test_large_vectors_over_full_blocks(bits):
    count = packing.BLOCK + 64 * 70 + 13
    words = random_words(count, bits)
    packed = pack(words, bits)
    assert len(packed) == packed_size(count, bits) <= math.ceil(count * bits / 8) + 2
    assert np.array_equal(unpack(packed, count, bits), words)
    total = words.copy()
    add_packed(total, packed, bits)
    assert np.array_equal(total, words + words)


@pytest.mark.parametrize("bits", [9, 18, 33, 63])
def test_bits_above_the_ring_are_cut(bits):
    words = np.full(101, ~Ring(bits).dtype.type(0))
    assert unpack(pack(words, bits), 101, bits).tolist() == [Ring(bits).mask] * 101


@pytest.mark.parametrize("bits", WIDTHS)
def test_any_bytes_of_the_right_size_are_a_vector_within_the_ring(bits):
    packed = np.random.default_rng(bits).bytes(packed_size(77, bits))
    assert int(unpack(packed, 77, bits).max()) <= Ring(bits).mask


def test_given_arrays_are_written_to_and_returned():
    words = random_words(50, 18)
    place, target = bytearray(packed_size(50, 18)), Ring(18).zeros(50)
    assert pack(words, 18, place) is place
    assert unpack(place, 50, 18, target) is target
    assert np.array_equal(target, words)


def test_slices_and_unaligned_buffers_are_taken_as_they_are():
    words = random_words(103, 23)
    packed = b"x" + bytes(pack(words[1:], 23))
    assert np.array_equal(unpack(memoryview(packed)[1:], 102, 23), words[1:])
    strided = np.repeat(words, 2)[::2]
    assert pack(strided, 23) == pack(words, 23)


@pytest.mark.parametrize("size", [0, 22, 24])
def test_a_buffer_of_the_wrong_size_is_refused_with_both_sizes(size):
    with pytest.raises(PackingError, match=f"10 elements of 18 bits take 23 bytes, not {size}"):
        unpack(bytes(size), 10, 18)
    with pytest.raises(PackingError, match="take 23 bytes"):
        add_packed(Ring(18).zeros(10), bytes(size), 18)
    with pytest.raises(PackingError, match="10 elements do not go into 9 words"):
        unpack(bytes(23), 10, 18, Ring(18).zeros(9))
    with pytest.raises(PackingError, match="take 23 bytes"):
        pack(Ring(18).zeros(10), 18, bytearray(size))


@pytest.mark.parametrize("bits", [7, 65, 0, -8])
def test_widths_out_of_range_are_refused(bits):
    with pytest.raises(RingError, match="8 to 64"):
        packed_size(10, bits)


@pytest.mark.parametrize("words", [np.zeros(10, "<u8"), np.zeros((2, 5), "<u4"), np.zeros(10, "<i4")])
def test_words_of_another_type_are_refused(words):
    with pytest.raises(RingError, match="flat uint32 words"):
        pack(words, 18)


@pytest.mark.parametrize("vector", vectors("packing"))
def test_known_answers(vector):
    bits, words, packed = vector["bits"], vector["words"], bytes.fromhex(vector["packed"])
    if vector["success"]:
        assert pack(np.array(words, Ring(bits).dtype), bits).hex() == packed.hex()
        assert unpack(packed, len(words), bits).tolist() == words
    else:
        with pytest.raises(PackingError):
            unpack(packed, len(words), bits)
