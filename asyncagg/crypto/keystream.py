"""Mask keystream: AES-128 in counter mode, read as ring elements and added to them block by block.

A key is for exactly one vector of one session. The counter block is the 128-bit big-endian number of the
16-byte block (NIST SP 800-38A, section 6.5, from zero), so that element i of word size w starts at byte
i·w: block ⌊i·w/16⌋, skipping i·w mod 16 bytes. Whoever holds a slice expands that slice only. Masks are
uniform over the whole machine word, hence over the ring inside it; the cut to b bits is for packing.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from numpy.typing import NDArray

Words = NDArray[np.unsignedinteger[Any]]
SignedKey = tuple[bytes, int]
"""A mask's key (16 bytes) and +1 to add it or −1 to subtract it."""

KEY_BYTES = 16
CHUNK = 1 << 17  # bytes: zeros, keystream and the words it is added to stay in a 1 MiB cache together
GROUP = 1 << 10  # keys with an open cipher at a time: bounds memory, about 1 kB each
_BLOCK = 16
_WORD_TYPES = (np.dtype("<u4"), np.dtype("<u8"))
_ZEROS = bytes(CHUNK)
_NOTED: ContextVar[list[SignedKey] | None] = ContextVar("noted masks", default=None)


def keystream(key: bytes, start: int, count: int) -> bytes:
    """`count` bytes of the keystream of `key` from byte `start` on; both may be any number from 0."""
    return _opened(key, start).update(bytes(count))


def add_masks(
    words: Words, keys: Sequence[SignedKey], start: int = 0, pool: Executor | None = None, parts: int = 2
) -> None:
    """Add or subtract the keystreams of many keys to `words` in place. Wraps.

    All masks of one chunk are added before the next chunk, so that the words stay in the cache.

    Args:
        words: (d,) contiguous '<u4' or '<u8'.
        keys: each with its sign.
        start: which element of the keys' vector `words[0]` is.
        pool: threads to share the work with; absent: none. Ciphers and additions release the GIL. Not a
            pool that the caller itself runs in: waiting there for its own tasks may never end.
        parts: equal ranges of `words` that `pool` is given; the result does not depend on it.

    Raises:
        ValueError: words of another type, a key that is not 16 bytes or a sign that is not ±1.
    """
    _check(words, keys)
    noted = _NOTED.get()
    if noted is not None:
        noted += keys
    if pool is None or words.nbytes < parts * CHUNK:
        _add_range(words, keys, start)
        return
    edges = [words.size * part // parts for part in range(parts + 1)]
    tasks = [pool.submit(_add_range, words[first:last], keys, start + first) for first, last in pairwise(edges)]
    for task in tasks:
        task.result()


@contextmanager
def noting() -> Iterator[list[SignedKey]]:
    """The masks that are added in the block: for whoever plays all roles in one process and shows what they do."""
    noted: list[SignedKey] = []
    token = _NOTED.set(noted)
    try:
        yield noted
    finally:
        _NOTED.reset(token)


class Uniforms:
    """Uniform 16-bit numbers from a key's keystream, for the encoder's rounding."""

    def __init__(self, key: bytes) -> None:
        self._cipher = _opened(key, 0)
        self._buffer = np.empty(0, np.uint8)

    def __call__(self, count: int) -> NDArray[np.uint16]:
        """The next `count` numbers; the array is overwritten by the next call.

        How a sequence of numbers is cut into calls does not change it.
        """
        if self._buffer.size < 2 * count:
            self._buffer = np.empty(2 * count, np.uint8)
        target = self._buffer[: 2 * count]
        for first in range(0, target.size, CHUNK):
            piece = target[first : first + CHUNK]
            self._cipher.update_into(_zeros(piece.size), piece.data)
        return target.view("<u2")


def _check(words: Words, keys: Sequence[SignedKey]) -> None:
    if words.ndim != 1 or words.dtype not in _WORD_TYPES or not words.flags.c_contiguous:
        raise ValueError(f"masks are added to flat uint32 or uint64 words, not {words.dtype} {words.shape}")
    for key, sign in keys:
        if len(key) != KEY_BYTES or sign not in (1, -1):
            raise ValueError(f"a mask is a key of {KEY_BYTES} bytes and a sign of 1 or -1")


def _add_range(words: Words, keys: Sequence[SignedKey], start: int) -> None:
    for first in range(0, len(keys), GROUP):
        _add_group(words, keys[first : first + GROUP], start)


def _add_group(words: Words, keys: Sequence[SignedKey], start: int) -> None:
    ciphers = [(_opened(key, start * words.itemsize), sign) for key, sign in keys]
    buffer = np.empty(min(CHUNK, words.nbytes), np.uint8)
    for part in _chunks(words):
        mask = buffer[: part.nbytes]
        zeros, target, elements = _zeros(part.nbytes), mask.data, mask.view(words.dtype)
        for cipher, sign in ciphers:
            cipher.update_into(zeros, target)
            if sign == 1:
                np.add(part, elements, out=part)
            else:
                np.subtract(part, elements, out=part)


def _chunks(words: Words) -> Iterator[Words]:
    per_chunk = CHUNK // words.itemsize
    for first in range(0, words.size, per_chunk):
        yield words[first : first + per_chunk]


def _opened(key: bytes, start: int) -> CipherContext:
    """An encryptor whose next byte of output over zeros is byte `start` of the keystream."""
    block, skip = divmod(start, _BLOCK)
    cipher = Cipher(algorithms.AES(key), modes.CTR(block.to_bytes(_BLOCK, "big"))).encryptor()
    if skip:
        cipher.update(_ZEROS[:skip])
    return cipher


def _zeros(count: int) -> memoryview:
    return memoryview(_ZEROS)[:count]
