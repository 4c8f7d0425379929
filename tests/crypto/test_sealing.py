"""Sealed boxes against published AES-GCM vectors; one error whatever is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.known_answers import vectors

from asyncagg.crypto.sealing import OVERHEAD, SealError, open_box, seal

KEY, AAD = bytes(range(16)), b"session sender receiver kind"
BOX = seal(KEY, AAD, b"a share")


@pytest.mark.parametrize("vector", vectors("aes_gcm"))
def test_published_vectors(vector):
    key, aad, box = (bytes.fromhex(vector[name]) for name in ("key", "aad", "box"))
    if vector["success"]:
        plaintext = bytes.fromhex(vector["plaintext"])
        assert seal(key, aad, plaintext) == box
        assert open_box(key, aad, box) == plaintext
    else:
        with pytest.raises(SealError):
            open_box(key, aad, box)


@given(st.binary(min_size=16, max_size=16) | st.binary(min_size=32, max_size=32), st.binary(), st.binary())
def test_what_is_sealed_can_be_opened(key, aad, plaintext):
    box = seal(key, aad, plaintext)
    assert len(box) == len(plaintext) + OVERHEAD
    assert open_box(key, aad, box) == plaintext
    assert seal(key, aad, plaintext) == box  # a resend repeats the same bytes


def broken_boxes():
    yield bytes(16), AAD, BOX
    yield KEY, AAD + b"x", BOX
    yield KEY, b"", BOX
    yield KEY, AAD, b""
    yield KEY, AAD, BOX[:-1]
    yield KEY, AAD, BOX + b"\0"
    yield KEY, AAD, BOX[:OVERHEAD]
    for index in range(len(BOX)):
        yield KEY, AAD, BOX[:index] + bytes([BOX[index] ^ 1]) + BOX[index + 1 :]


def test_every_broken_box_gives_the_same_error():
    texts = set()
    for arguments in broken_boxes():
        with pytest.raises(SealError) as caught:
            open_box(*arguments)
        texts.add((str(caught.value), caught.value.__cause__))
    assert texts == {("a sealed box does not open", None)}
