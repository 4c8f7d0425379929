"""The checksum finds every small damage, and names session, owner and slice."""

import pytest
from support.known_answers import vectors

from asyncagg.crypto.checksum import TAG_BYTES, gmac, matches, tag

SESSION, PAYLOAD = bytes(range(32)), bytes(range(100))


@pytest.mark.parametrize("vector", vectors("gmac"))
def test_published_vectors(vector):
    key, nonce, payload = (bytes.fromhex(vector[name]) for name in ("key", "nonce", "payload"))
    assert (gmac(key, nonce, payload).hex() == vector["tag"]) is vector["success"]


def test_a_sound_payload_matches_in_any_kind_of_buffer():
    expected = tag(SESSION, 3, 1, PAYLOAD)
    assert len(expected) == TAG_BYTES
    for payload in (PAYLOAD, bytearray(PAYLOAD), memoryview(PAYLOAD)):
        assert matches(SESSION, 3, 1, payload, expected)
    assert matches(SESSION, 0, 0, b"", tag(SESSION, 0, 0, b""))


def test_every_flipped_bit_is_found():
    expected = tag(SESSION, 3, 1, PAYLOAD)
    for bit in range(8 * len(PAYLOAD)):
        damaged = bytearray(PAYLOAD)
        damaged[bit // 8] ^= 1 << bit % 8
        assert not matches(SESSION, 3, 1, damaged, expected)


@pytest.mark.parametrize(
    ("session", "owner", "node", "payload"),
    [
        (bytes(32), 3, 1, PAYLOAD),
        (SESSION, 4, 1, PAYLOAD),
        (SESSION, 3, 2, PAYLOAD),
        (SESSION, 1, 3, PAYLOAD),
        (SESSION, 3, 1, PAYLOAD[:-1]),
        (SESSION, 3, 1, PAYLOAD + b"\0"),
        (SESSION, 3, 1, PAYLOAD[50:] + PAYLOAD[:50]),
        (SESSION, 3, 1, b""),
    ],
)
def test_another_session_owner_slice_or_payload_differs(session, owner, node, payload):
    assert not matches(session, owner, node, payload, tag(SESSION, 3, 1, PAYLOAD))


@pytest.mark.parametrize("expected", [b"", bytes(16), bytes(15), tag(SESSION, 3, 1, PAYLOAD) + b"\0"])
def test_malformed_tags_do_not_match(expected):
    assert not matches(SESSION, 3, 1, PAYLOAD, expected)
