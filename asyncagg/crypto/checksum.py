"""Checksum of a payload: a 16-byte GMAC tag under a key that everyone in the session can compute.

An error-detecting code and NOT authentication: whoever knows the session identifier can make one. It
finds what went wrong on the way (a flipped bit, a cut or swapped slice, bytes of another session or
sender) before a payload is added. GMAC because the processor's AES and carry-less multiplication make it
the fastest good check at hand, several times a CRC-32 or SHA-256 in software.
"""

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TAG_BYTES = 16
Payload = bytes | bytearray | memoryview


def tag(session: bytes, owner: int, node: int, payload: Payload) -> bytes:
    """The tag of an owner's payload for a compute node.

    Args:
        session: an identifier of the session or round, of any length; public.
        owner: index of the sender, below 2^64.
        node: index of the slice, below 2^32.
        payload: less than 2^31 bytes.
    """
    key = hashlib.sha256(b"asyncagg checksum" + session).digest()[:16]
    return gmac(key, owner.to_bytes(8, "big") + node.to_bytes(4, "big"), payload)


def matches(session: bytes, owner: int, node: int, payload: Payload, expected: bytes) -> bool:
    """True if `expected` is the tag of this payload."""
    return hmac.compare_digest(tag(session, owner, node, payload), expected)


def gmac(key: bytes, nonce: bytes, payload: Payload) -> bytes:
    """GMAC (NIST SP 800-38D): the AES-GCM tag of an empty message with `payload` as associated data."""
    return AESGCM(key).encrypt(nonce, b"", payload)
