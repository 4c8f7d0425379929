"""Sealed boxes: AES-GCM (NIST SP 800-38D) under a key that seals one message in one direction.

The nonce is fixed at zero. That is sound because a key is derived for exactly one session, sender,
receiver and kind and seals one message: a nonce separates messages under one key, and here there are
none to separate. A resend then repeats the same bytes and teaches nothing. Sealing two different
messages under one key would give both away; what names a message must be in its key's derivation.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from asyncagg.crypto.errors import CryptoError

OVERHEAD = 16
"""Bytes by which a box is longer than its content."""

_NONCE = bytes(12)


class SealError(CryptoError):
    """A box that does not open: one text, whatever the cause, so that it teaches the sender nothing."""

    def __init__(self) -> None:
        super().__init__("a sealed box does not open")


def seal(key: bytes, aad: bytes, plaintext: bytes) -> bytes:
    """Encrypt and authenticate the one message of a key.

    Args:
        key: 16 or 32 bytes, for this message only.
        aad: what the box is bound to: session, sender, receiver, kind.

    Returns:
        The box: ciphertext and 16-byte tag.
    """
    return AESGCM(key).encrypt(_NONCE, plaintext, aad)


def open_box(key: bytes, aad: bytes, box: bytes) -> bytes:
    """The content of a box.

    Raises:
        SealError: too short, another key, another binding, or changed on the way.
    """
    if len(box) < OVERHEAD:
        raise SealError
    try:
        return AESGCM(key).decrypt(_NONCE, box, aad)
    except InvalidTag:
        raise SealError from None
