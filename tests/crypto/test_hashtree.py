"""The hash tree: published roots, a proof for every entry, and none for anything else."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.known_answers import vectors

from asyncagg.crypto import hashtree


def reference_root(entries):
    """RFC 9162, section 2.1.1, as it is written."""
    if len(entries) < 2:
        return hashlib.sha256(b"\x00" + entries[0] if entries else b"").digest()
    split = 1
    while 2 * split < len(entries):
        split *= 2
    left, right = reference_root(entries[:split]), reference_root(entries[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


@pytest.mark.parametrize("vector", vectors("hash_tree"))
def test_published_roots(vector):
    entries = [bytes.fromhex(entry) for entry in vector["entries"]]
    assert (hashtree.root(entries).hex() == vector["root"]) is vector["success"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=10), max_size=70))
def test_roots_match_the_reference(entries):
    assert hashtree.root(entries) == reference_root(entries)


@pytest.mark.parametrize("count", [*range(1, 18), 33, 100])
def test_every_entry_has_a_short_proof(count):
    entries = [f"entry {index}".encode() for index in range(count)]
    root = hashtree.root(entries)
    for index, entry in enumerate(entries):
        proof = hashtree.HashTree(entries).path(index)
        assert len(proof) <= (count - 1).bit_length()
        assert hashtree.verify(root, count, index, entry, proof)


def test_a_proof_shows_nothing_else():
    entries = [f"entry {index}".encode() for index in range(11)]
    root, proof = hashtree.root(entries), hashtree.HashTree(entries).path(5)
    assert hashtree.verify(root, 11, 5, b"entry 5", proof)
    assert not hashtree.verify(root, 11, 5, b"entry 6", proof)
    assert not hashtree.verify(bytes(32), 11, 5, b"entry 5", proof)
    for other in [-1, *range(5), *range(6, 12)]:
        assert not hashtree.verify(root, 11, other, b"entry 5", proof)
    assert not hashtree.verify(root, 11, 5, b"entry 5", proof[:-1])
    assert not hashtree.verify(root, 11, 5, b"entry 5", [*proof, bytes(32)])
    assert not hashtree.verify(root, 11, 5, b"entry 5", proof[::-1])
    for index in range(len(proof)):
        assert not hashtree.verify(root, 11, 5, b"entry 5", [*proof[:index], bytes(32), *proof[index + 1 :]])


def test_an_inner_node_does_not_pass_for_an_entry():
    entries = [b"a", b"b", b"c", b"d"]
    left, right = hashtree.root(entries[:2]), hashtree.root(entries[2:])
    assert hashtree.root([left, right]) != hashtree.root(entries)
    assert not hashtree.verify(hashtree.root(entries), 2, 0, left, [right])


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_proof_for_a_missing_entry(index):
    with pytest.raises(IndexError, match=f"no entry {index} among 3"):
        hashtree.HashTree([b"a", b"b", b"c"]).path(index)
