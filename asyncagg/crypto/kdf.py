"""Keys from shared secrets (HKDF-SHA256, RFC 5869), and the one injective encoding of fields.

`encode_fields` is what every digest, identifier, signature and key of a session is computed over. Each
field is a byte for its type, its length in 8 bytes, and its content, so that no two different lists of
fields have the same encoding.
"""

from functools import lru_cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Field = bytes | bytearray | memoryview | str | int
KEY_LENGTHS = (16, 32)
_BYTES = (bytes, bytearray, memoryview)


def encode_fields(*fields: Field) -> bytes:
    """The canonical encoding of some fields, in order; injective over their types and values.

    Bytes stand for themselves, text is UTF-8, an integer of n bits is two's complement in ⌊n/8⌋ + 1 bytes,
    big-endian.

    Raises:
        TypeError: a field of another type; bool and float have no canonical form here.
    """
    return b"".join(map(_encode, fields))


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """HKDF-SHA256 as in RFC 5869, sections 2.2 and 2.3."""
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


def derive(secret: bytes, salt: bytes, label: str, *fields: Field, length: int = 32) -> bytes:
    """A key for one purpose.

    Args:
        secret: uniform or a Diffie–Hellman output; never used as a key itself.
        salt: the session identifier.
        label: names the purpose; two purposes never share a label.
        fields: everything else the key is for: parties, direction, vector. Bound with `encode_fields`.
        length: of the key in bytes, 16 or 32.

    Raises:
        ValueError: another length.
    """
    if length not in KEY_LENGTHS:
        raise ValueError(f"keys have 16 or 32 bytes, not {length}")
    return hkdf(secret, salt, encode_fields(label, *fields), length)


def _encode(field: Field) -> bytes:
    if isinstance(field, str):
        return _encode_text(field)
    if isinstance(field, _BYTES):
        return b"b" + len(content := bytes(field)).to_bytes(8, "big") + content
    if isinstance(field, bool):
        raise TypeError("a bool has no canonical encoding: say in bytes, text or an integer what it means")
    if isinstance(field, int):
        content = field.to_bytes(field.bit_length() // 8 + 1, "big", signed=True)
        return b"i" + len(content).to_bytes(8, "big") + content
    raise TypeError(f"a field is bytes, text or an integer, not {type(field).__name__}")


@lru_cache(maxsize=2**14)
def _encode_text(text: str) -> bytes:
    """Labels and names, the same few in every key of a session."""
    content = text.encode()
    return b"s" + len(content).to_bytes(8, "big") + content
