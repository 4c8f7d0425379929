"""The mask keystream against AES one block at a time, and masking against Python integers."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st
from support.known_answers import vectors

from asyncagg.crypto import keystream as module
from asyncagg.crypto.keystream import Uniforms, add_masks, keystream

KEY = bytes(range(16))


def reference(key, start, count):
    """The keystream from single encryptions of the block's number."""
    encrypt = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update  # noqa: S305
    blocks = range(start // 16, (start + count) // 16 + 1)
    stream = b"".join(encrypt(block.to_bytes(16, "big")) for block in blocks)
    return stream[start % 16 : start % 16 + count]


def reference_masked(words, keys, start):
    size = words.itemsize
    total = words.tolist()
    for key, sign in keys:
        stream = reference(key, start * size, len(total) * size)
        for index in range(len(total)):
            mask = int.from_bytes(stream[index * size : (index + 1) * size], "little")
            total[index] = (total[index] + sign * mask) % 2 ** (8 * size)
    return total


def keys_of(count):
    return [(bytes([7, index]) * 8, 1 if index % 3 else -1) for index in range(count)]


@pytest.mark.parametrize("vector", vectors("aes_128_ctr"))
def test_published_vectors(vector):
    text = bytes.fromhex(vector["plaintext"])
    stream = keystream(bytes.fromhex(vector["key"]), 16 * int(vector["counter"], 16), len(text))
    encrypted = bytes(a ^ b for a, b in zip(text, stream, strict=True))
    assert (encrypted.hex() == vector["ciphertext"]) is vector["success"]


@pytest.mark.parametrize("start", [*range(18), 31, 32, 33, 2**31 - 1, 2**40 + 5, 2**68 + 3])
def test_any_start_and_length_matches_the_reference(start):
    for count in range(34):
        assert keystream(KEY, start, count) == reference(KEY, start, count)


@pytest.mark.parametrize("dtype", ["<u4", "<u8"])
@pytest.mark.parametrize("start", [0, 1, 2, 3, 4, 5, 1023])
def test_masks_match_the_reference(dtype, start):
    for count in range(34):
        words = np.random.default_rng(count).integers(0, 2**32, count, dtype=np.uint64).astype(dtype)
        expected = reference_masked(words, keys_of(4), start)
        add_masks(words, keys_of(4), start)
        assert words.tolist() == expected


@pytest.mark.parametrize("dtype", ["<u4", "<u8"])
def test_chunks_groups_and_threads_change_nothing(dtype, monkeypatch):
    words = np.arange(500, dtype=dtype)
    expected = reference_masked(words, keys_of(7), 3)
    monkeypatch.setattr(module, "CHUNK", 64)
    monkeypatch.setattr(module, "GROUP", 3)
    with ThreadPoolExecutor(2) as pool:
        for arguments in ({}, {"pool": pool}, {"pool": pool, "parts": 3}):
            masked = words.copy()
            add_masks(masked, keys_of(7), 3, **arguments)
            assert masked.tolist() == expected


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.integers(0, 100), st.data())
def test_slices_expanded_apart_are_the_whole(count, start, data):
    whole, apart = np.zeros(count, "<u4"), np.zeros(count, "<u4")
    add_masks(whole, keys_of(3), start)
    cut = data.draw(st.integers(0, count))
    add_masks(apart[:cut], keys_of(3), start)
    add_masks(apart[cut:], keys_of(3), start + cut)
    assert np.array_equal(whole, apart)


def test_opposite_signs_cancel():
    words = np.arange(1000, dtype="<u4")
    add_masks(words, [(KEY, 1)])
    assert not np.array_equal(words, np.arange(1000))
    add_masks(words, [(KEY, -1)])
    assert np.array_equal(words, np.arange(1000))


def test_nothing_to_add_or_to_add_to_is_fine():
    words = np.arange(5, dtype="<u4")
    add_masks(words, [])
    assert words.tolist() == [0, 1, 2, 3, 4]
    add_masks(words[:0], [(KEY, 1)])


@pytest.mark.parametrize("bits", [8, 18, 32])
def test_masked_words_are_uniform_over_the_whole_ring(bits):
    words = np.zeros(1 << 17, "<u4")
    add_masks(words, [(KEY, 1)])
    for low in range(0, bits - 7, 5):
        counts = np.bincount(words >> np.uint32(low) & np.uint32(255), minlength=256)
        chi_square = ((counts - 512.0) ** 2 / 512).sum()
        assert 255 - 4 * 22.6 < chi_square < 255 + 4 * 22.6  # standard deviation √(2·255)


def test_different_keys_give_unrelated_streams():
    streams = [keystream(bytes([index]) * 16, 0, 16) for index in range(50)]
    assert len(set(streams)) == 50


@pytest.mark.parametrize(
    "words",
    [np.zeros(4), np.zeros(4, "<i4"), np.zeros(4, "<u2"), np.zeros((2, 2), "<u4"), np.zeros(8, "<u4")[::2]],
)
def test_only_flat_contiguous_words_are_masked(words):
    with pytest.raises(ValueError, match="flat uint32 or uint64 words"):
        add_masks(words, [(KEY, 1)])


@pytest.mark.parametrize("mask", [(bytes(15), 1), (bytes(32), 1), (bytes(16), 0), (bytes(16), 2)])
def test_masks_are_keys_of_16_bytes_with_a_sign(mask):
    words = np.zeros(4, "<u4")
    with pytest.raises(ValueError, match="a key of 16 bytes and a sign"):
        add_masks(words, [(KEY, 1), mask])
    assert not words.any()


def test_uniforms_are_the_keystream_however_they_are_asked_for():
    wanted = np.frombuffer(keystream(KEY, 0, 2 * 100_000), "<u2")
    whole, parts = Uniforms(KEY), Uniforms(KEY)
    assert np.array_equal(whole(100_000), wanted)
    counts = [1, 0, 7, 70_000, 29_992]
    assert np.array_equal(np.concatenate([parts(count).copy() for count in counts]), wanted)
    assert KEY.hex() not in repr(whole)
