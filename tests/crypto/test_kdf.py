"""HKDF against RFC 5869, and the field encoding against a reader of it."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.known_answers import vectors

from asyncagg.crypto.kdf import derive, encode_fields, hkdf

FIELDS = st.lists(st.binary(max_size=40) | st.text(max_size=20) | st.integers(-(2**80), 2**80), max_size=6)


def read_fields(encoded):
    """The fields of an encoding: that they can be read back is what makes it injective."""
    fields = []
    while encoded:
        size = int.from_bytes(encoded[1:9], "big")
        content, kind = encoded[9 : 9 + size], encoded[:1]
        assert len(content) == size
        readers = {b"b": bytes, b"s": bytes.decode, b"i": lambda c: int.from_bytes(c, "big", signed=True)}
        fields.append(readers[kind](content))
        encoded = encoded[9 + size :]
    return fields


@pytest.mark.parametrize("vector", vectors("hkdf_sha256"))
def test_published_vectors(vector):
    secret, salt, info = (bytes.fromhex(vector[name]) for name in ("secret", "salt", "info"))
    assert (hkdf(secret, salt, info, vector["length"]).hex() == vector["key"]) is vector["success"]


@pytest.mark.parametrize("vector", vectors("fields"))
def test_encodings_stay_what_they_are(vector):
    fields = [bytes.fromhex(value) if kind == "bytes" else value for kind, value in vector["fields"]]
    assert (encode_fields(*fields).hex() == vector["encoding"]) is vector["success"]


@given(FIELDS)
def test_fields_can_be_read_back(fields):
    assert read_fields(encode_fields(*fields)) == fields


@given(FIELDS, FIELDS)
def test_different_fields_have_different_encodings(one, other):
    same = one == other and [type(field) for field in one] == [type(field) for field in other]
    assert (encode_fields(*one) == encode_fields(*other)) is same


def test_borders_and_types_of_fields_matter():
    lists = [(), (b"",), ("",), (0,), (b"", b""), (b"a", b"b"), (b"ab",), ("ab",), (b"a", "b"), (1,), (-1,)]
    lists += [(256,), (b"\x01",), ("1",), (255,), (encode_fields(b"ab"),)]
    assert len({encode_fields(*fields) for fields in lists}) == len(lists)


def test_all_kinds_of_bytes_are_one():
    assert encode_fields(b"ab") == encode_fields(bytearray(b"ab")) == encode_fields(memoryview(b"ab"))


@pytest.mark.parametrize("field", [True, 1.0, None, (1,), ["a"]])
def test_what_has_no_canonical_form_is_refused(field):
    with pytest.raises(TypeError):
        encode_fields(field)


@pytest.mark.parametrize("length", [16, 32])
def test_a_key_is_hkdf_over_label_and_fields(length):
    key = derive(b"secret", b"session", "mask", 3, 5, length=length)
    pseudorandom = hmac.digest(b"session", b"secret", "sha256")
    wanted = hmac.digest(pseudorandom, encode_fields("mask", 3, 5) + b"\x01", hashlib.sha256)
    assert key == wanted[:length]


@pytest.mark.parametrize("length", [0, 15, 24, 64])
def test_keys_of_other_lengths_are_refused(length):
    with pytest.raises(ValueError, match=f"16 or 32 bytes, not {length}"):
        derive(b"secret", b"session", "mask", length=length)


def test_everything_a_key_is_for_makes_it_another():
    keys = [
        derive(b"s", b"session", "box", "data-owner-1", "data-owner-2"),
        derive(b"s", b"session", "box", "data-owner-2", "data-owner-1"),
        derive(b"s", b"session", "mask", "data-owner-1", "data-owner-2"),
        derive(b"s", b"other", "box", "data-owner-1", "data-owner-2"),
        derive(b"t", b"session", "box", "data-owner-1", "data-owner-2"),
        derive(b"s", b"session", "box", "data-owner-1data-owner-2"),
        derive(b"s", b"session", "box"),
    ]
    assert len(set(keys)) == len(keys)
