"""Sources of secrets: the operating system, or, in the simulator only, a seed.

The two are apart by construction: two classes without a common constructor, and `require_secure` for
whoever must not run on the second. Nothing here has a default source.
"""

import hashlib
import secrets
from abc import ABC, abstractmethod
from typing import ClassVar

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from asyncagg.crypto.kdf import Field, encode_fields

Bytes = bytes  # the class attribute `bytes` below hides the builtin where return types are looked up


class InsecureRandomnessError(RuntimeError):
    """Seeded randomness where secrets must be secret."""


class Randomness(ABC):
    """A source of uniform bytes; `secure` says whether nobody can predict them."""

    secure: ClassVar[bool]

    @abstractmethod
    def bytes(self, count: int) -> Bytes:
        """`count` fresh uniform bytes."""


class SystemRandomness(Randomness):
    """The operating system's generator: what every engine but `sim` uses."""

    secure = True

    def bytes(self, count: int) -> Bytes:
        """`count` bytes from the operating system."""
        return secrets.token_bytes(count)


class InsecureSeededRandomness(Randomness):
    """A stream that anyone who knows the seed can repeat: for the simulator, where runs must.

    The stream is AES-128-CTR under a key hashed from seed and labels, so that each entity and purpose has
    its own and adding one shifts no other's. How it is cut into calls makes no difference.
    """

    secure = False

    def __init__(self, seed: int, *labels: Field) -> None:
        key = hashlib.sha256(encode_fields("insecure seeded randomness", seed, *labels)).digest()[:16]
        self._stream = Cipher(algorithms.AES(key), modes.CTR(Bytes(16))).encryptor()

    def bytes(self, count: int) -> Bytes:
        """The next `count` bytes of the stream."""
        return self._stream.update(Bytes(count))


def require_secure(randomness: Randomness) -> None:
    """Refuse a source that is not the operating system's.

    Raises:
        InsecureRandomnessError: `randomness` is seeded.
    """
    if not (randomness.secure and isinstance(randomness, SystemRandomness)):
        raise InsecureRandomnessError(
            "seeded randomness gives away every secret: only the engine sim accepts it (use SystemRandomness)"
        )
