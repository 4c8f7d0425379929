"""Seeded randomness for experiments: one stream per purpose and entity, found by its label.

Not for secrets. Only `Generator.random` is used of numpy's distributions: it is 53 bits of a generator
whose stream is fixed, whereas the other methods may draw differently from one numpy version to the next.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def stream(seed: int, *label: str | int) -> np.random.Generator:
    """The generator of (`seed`, `label`): the same for the same label, unrelated to that of any other."""
    digest = hashlib.sha256(repr((seed, *label)).encode()).digest()
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(int.from_bytes(digest, "big"))))


def permutation(generator: np.random.Generator, count: int) -> NDArray[np.intp]:
    """The integers 0 … `count` − 1 in random order."""
    return np.argsort(generator.random(count), kind="stable")


def uniform(generator: np.random.Generator, shape: tuple[int, ...], bound: float) -> NDArray[np.float32]:
    """Values uniform in [−`bound`, `bound`), rounded to float32."""
    return ((2 * generator.random(shape) - 1) * bound).astype(np.float32)
