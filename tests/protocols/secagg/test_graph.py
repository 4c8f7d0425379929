"""The masking graph: the shuffle to the letter, and a ring that is regular, symmetric and connected."""

from __future__ import annotations

import hashlib
import time
from collections import Counter

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st
from support.known_answers import vectors

from asyncagg.protocols.parameters.graph import CompleteGraph, RingGraph, masking_graph, shuffled


def slow_order(members, session):
    """The specification, one word after the other, over another AES-CTR."""
    key = hashlib.sha256(b"asyncagg masking graph 1" + session).digest()[:16]
    stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    order = list(range(members))
    for i in range(members - 1, 0, -1):
        word = 2**32
        while word >= 2**32 - 2**32 % (i + 1):
            word = int.from_bytes(stream.update(bytes(4)), "little")
        order[i], order[word % (i + 1)] = order[word % (i + 1)], order[i]
    return order


@pytest.mark.parametrize("vector", vectors("masking_graph"))
def test_known_answers(vector):
    def draw():
        return masking_graph(vector["members"], vector["neighbours"], bytes.fromhex(vector["session"]))

    if not vector["success"]:
        with pytest.raises(ValueError, match=f"{vector['neighbours']} neighbours among"):
            draw()
    elif "digest" in vector:
        order = np.array(draw().order, dtype="<u4")
        assert hashlib.sha256(order.tobytes()).hexdigest() == vector["digest"]
    else:
        assert draw().order == tuple(vector["order"])
        assert draw().neighbours(0) == tuple(vector["neighbours_of_0"])


@settings(max_examples=50, deadline=None)
@given(st.integers(4, 200), st.binary(max_size=40))
def test_the_shuffle_is_the_one_specified(members, session):
    graph = masking_graph(members, 2, session)
    assert list(graph.order) == slow_order(members, session)
    assert [graph.places[member] for member in graph.order] == list(range(members))


def test_the_shuffle_crosses_blocks_of_words():
    members = 2**16 + 100
    assert list(masking_graph(members, 2, b"long").order) == slow_order(members, b"long")


def slow_shuffle(members, words):
    stream = iter(words)
    order = list(range(members))
    for i in range(members - 1, 0, -1):
        word = next(word for word in stream if word < 2**32 - 2**32 % (i + 1))
        order[i], order[word % (i + 1)] = order[word % (i + 1)], order[i]
    return order


@given(st.integers(1, 12), st.data())
def test_words_at_the_limit_are_rejected(members, data):
    """With 32-bit words a rejection is rare: here most words are within 12 of the largest."""
    close = st.one_of(st.integers(2**32 - 12, 2**32 - 1), st.integers(0, 12))
    drawn = data.draw(st.lists(close, max_size=40))
    words = np.array(drawn + list(range(20)), dtype=np.uint32)
    stream = lambda first, count: np.resize(words[first : first + count], count)  # noqa: E731
    assert shuffled(members, stream) == slow_shuffle(members, drawn + list(range(20)))


def test_a_rejected_word_is_skipped_and_the_next_one_taken():
    words = np.array([2**32 - 1, 0, 2**32 - 1, 1], dtype=np.uint32)
    # 3 members: 2^32 mod 3 = 1, so the largest word is rejected; 2 divides 2^32, so there it counts.
    assert shuffled(3, lambda first, count: words[first : first + count]) == [2, 1, 0]


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, (n - 2) // 2))), st.binary())
def test_rings_are_regular_symmetric_and_connected(shape, session):
    members, half = shape
    graph = masking_graph(members, 2 * half, session)
    around = [graph.neighbours(member) for member in range(members)]
    for member, neighbours in enumerate(around):
        assert len(neighbours) == graph.degree == 2 * half
        assert list(neighbours) == sorted(set(neighbours) - {member})
        assert all(member in around[other] for other in neighbours)
        steps = {(graph.places[member] - graph.places[other]) % members for other in neighbours}
        assert steps == set(range(1, half + 1)) | set(range(members - half, members))


def test_the_complete_graph():
    graph = masking_graph(5, 4, b"any")
    assert graph == CompleteGraph(5)
    assert graph.degree == 4
    assert graph.neighbours(2) == (0, 1, 3, 4)
    assert masking_graph(1, 0, b"").neighbours(0) == ()


@pytest.mark.parametrize("graph", [masking_graph(6, 5, b""), masking_graph(6, 2, b"")])
@pytest.mark.parametrize("member", [-1, 6])
def test_there_is_no_such_member(graph, member):
    with pytest.raises(IndexError, match="of 6"):
        graph.neighbours(member)


def test_every_order_is_equally_likely():
    """24 orders of 4 members over 4,800 sessions: chi-squared of 23 degrees of freedom, not in its tail."""
    counts = Counter(masking_graph(4, 2, session.to_bytes(2, "big")).order for session in range(4800))
    assert len(counts) == 24
    assert sum((count - 200) ** 2 / 200 for count in counts.values()) < 50


def test_sessions_of_equal_beginnings_differ():
    assert masking_graph(100, 4, b"a").order != masking_graph(100, 4, b"a\0").order


def test_ten_thousand_members_in_well_under_a_second():
    started = time.process_time()
    graph = masking_graph(10_000, 108, b"speed")
    around = [graph.neighbours(member) for member in range(1000)]
    assert time.process_time() - started < 0.5
    assert isinstance(graph, RingGraph)
    assert len(around[0]) == 108
