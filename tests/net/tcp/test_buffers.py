"""Memory that is lent, given back, used again and bounded."""

from __future__ import annotations

import numpy as np

from asyncagg.net.tcp.buffers import BufferPool, release


def address(view: memoryview) -> int:
    return np.frombuffer(view, np.uint8).ctypes.data


def test_memory_given_back_is_used_again() -> None:
    pool = BufferPool()
    first = pool.take(100_000)
    where = address(first)
    release(first)
    assert pool.kept == 100_000
    second = pool.take(100_000)
    assert (address(second), len(second), pool.kept) == (where, 100_000, 0)


def test_only_the_exact_size_is_used_again() -> None:
    pool = BufferPool()
    release(pool.take(100_000))
    assert len(pool.take(99_999)) == 99_999
    assert pool.kept == 100_000


def test_giving_back_twice_is_harmless() -> None:
    pool = BufferPool()
    first = pool.take(100_000)
    release(first)
    second = pool.take(100_000)
    release(first)  # the memory is lent to somebody else by now
    third = pool.take(100_000)
    assert address(second) != address(third)


def test_a_part_of_a_payload_gives_back_the_whole() -> None:
    pool = BufferPool()
    release(pool.take(100_000)[7:])
    assert pool.kept == 100_000


def test_what_no_pool_lent_is_left_alone() -> None:
    for payload in (b"bytes", memoryview(b"bytes"), memoryview(bytearray(8)), np.zeros(8, np.uint8).data):
        release(payload)


def test_no_more_is_kept_than_the_capacity() -> None:
    pool = BufferPool(capacity=1000)
    lent = [pool.take(size) for size in (400, 400, 300, 1001)]
    for view in lent:
        release(view)
    assert pool.kept <= 1000
    release(pool.take(900))
    assert pool.kept == 900  # the older sizes made room


def test_memory_that_is_never_given_back_goes_its_way() -> None:
    pool = BufferPool()
    pool.take(100_000)
    assert pool.kept == 0
