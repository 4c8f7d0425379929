"""Key agreement: X25519 (RFC 7748) key pairs, shared secrets, and the canonical form of public keys."""

import hmac

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from asyncagg.crypto.errors import CryptoError
from asyncagg.crypto.randomness import Randomness

KEY_BYTES = 32
_PRIME = 2**255 - 19
_REDUCED_BELOW = 0x7F
"""A coordinate whose highest byte is smaller is below the prime."""


class AgreementError(CryptoError):
    """A public key that no agreement is made with, or a key pair that is gone."""


def canonical(public: bytes) -> bytes:
    """The one form of a public key under which equal keys are equal bytes.

    X25519 ignores the top bit and reduces the coordinate modulo 2^255 − 19 (RFC 7748, section 5), so that
    several encodings agree on the same secret: compare keys for distinctness in this form only.

    Raises:
        AgreementError: not 32 bytes.
    """
    _check_length(public)
    if public[-1] < _REDUCED_BELOW:
        return bytes(public)
    coordinate = int.from_bytes(public, "little") & (1 << 255) - 1
    return (coordinate % _PRIME).to_bytes(KEY_BYTES, "little")


class KeyPair:
    """An X25519 key pair. Its `repr` shows neither half; `wipe` makes it useless.

    Attributes:
        public: 32 bytes, canonical.
    """

    __slots__ = ("_private", "_secret", "public")

    def __init__(self, secret: bytes) -> None:
        """The pair of a 32-byte secret key, as rebuilt from shares.

        Raises:
            AgreementError: not 32 bytes.
        """
        _check_length(secret)
        self._secret = bytearray(secret)
        self._private: X25519PrivateKey | None = X25519PrivateKey.from_private_bytes(secret)
        self.public = self._private.public_key().public_bytes_raw()

    @classmethod
    def generate(cls, randomness: Randomness) -> "KeyPair":
        """A fresh pair."""
        return cls(randomness.bytes(KEY_BYTES))

    def secret(self) -> bytes:
        """The 32-byte secret key, for sharing.

        Raises:
            AgreementError: the pair was wiped.
        """
        self._usable()
        return bytes(self._secret)

    def shared(self, public: bytes) -> bytes:
        """The 32-byte secret shared with the holder of `public`; input for `derive`, never a key itself.

        Raises:
            AgreementError: not 32 bytes, a point of small order (the secret would be zero, RFC 7748
                section 6.1), this pair's own key in any encoding, or the pair was wiped.
        """
        private = self._usable()
        if hmac.compare_digest(canonical(public), self.public):
            raise AgreementError("a public key that is this player's own was reflected")
        try:
            return private.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError:
            raise AgreementError("a public key of small order") from None

    def wipe(self) -> None:
        """Forget the secret, as far as Python lets: our copy is overwritten, the library's is dropped."""
        self._secret[:] = bytes(KEY_BYTES)
        self._private = None

    def __repr__(self) -> str:
        return "KeyPair(redacted)"

    def _usable(self) -> X25519PrivateKey:
        if self._private is None:
            raise AgreementError("this key pair was wiped")
        return self._private


def _check_length(key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise AgreementError(f"an X25519 key has {KEY_BYTES} bytes, not {len(key)}")
