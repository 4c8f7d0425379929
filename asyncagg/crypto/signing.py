"""Signatures of pinned identities: Ed25519 (RFC 8032)."""

from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from asyncagg.crypto.errors import CryptoError
from asyncagg.crypto.randomness import Randomness

KEY_BYTES = 32
SIGNATURE_BYTES = 64


class IdentityError(CryptoError):
    """A secret that is no identity's."""


class Identity:
    """A player's long-term key: it signs and does nothing else. Its `repr` shows the public half only.

    Attributes:
        public: 32 bytes.
    """

    __slots__ = ("_private", "public")

    def __init__(self, secret: bytes) -> None:
        """The identity of a 32-byte secret, as read from a key file.

        Raises:
            IdentityError: not 32 bytes.
        """
        if len(secret) != KEY_BYTES:
            raise IdentityError(f"an Ed25519 secret has {KEY_BYTES} bytes, not {len(secret)}")
        self._private = Ed25519PrivateKey.from_private_bytes(secret)
        self.public = self._private.public_key().public_bytes_raw()

    @classmethod
    def generate(cls, randomness: Randomness) -> "Identity":
        """A fresh identity."""
        return cls(randomness.bytes(KEY_BYTES))

    def secret(self) -> bytes:
        """The 32-byte secret, for a key file."""
        return self._private.private_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """A 64-byte signature; the same for the same message.

        Messages begin with a label and are made by `encode_fields`, so that none can pass for another.
        """
        return self._private.sign(message)

    def __repr__(self) -> str:
        return f"Identity(public={self.public.hex()})"


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """True if `signature` over `message` is by the holder of `public`; False if either is malformed."""
    if len(public) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):  # ValueError: bytes that are no point of the curve
        return False
    return True


verify_cached = lru_cache(maxsize=1 << 14)(verify)
"""As `verify`, for signatures that all owners of a process check alike."""
