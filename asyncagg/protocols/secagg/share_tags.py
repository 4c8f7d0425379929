"""Share tags: eight bytes by which a dealer commits to each share that it deals, so that a wrong share has a culprit.

    tag = SHA-256("asyncagg share tag" ‖ session ‖ dealer ‖ holder ‖ which ‖ share), its first 8 bytes

over `encode_fields`. A dealer sends the lead two tags with every box; the lead keeps them and relays them with the box.
The holder compares them when it opens the box, whoever rebuilds secrets when one comes out wrong. They hide a share as
SHA-256 hides 256 unknown bits; to forge one takes 2^64 hashes and gains an attempt that fails.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final, Literal

from asyncagg.crypto.kdf import encode_fields
from asyncagg.crypto.shamir import SHARE_BYTES
from asyncagg.protocols.names import Player, index_of

TAG_BYTES: Final = 8
MASK_KEY: Final = 0
"""Number of the secret s_sk, the key behind an owner's pairwise masks."""
SELF_MASK: Final = 1
"""b, from which its own mask follows."""
Which = Literal[0, 1]

_SHARE_HEAD: Final = encode_fields(bytes(SHARE_BYTES))[:-SHARE_BYTES]


def share_tag(session: bytes, dealer: Player, holder: Player, which: Which, share: bytes) -> bytes:
    """The tag of one share, `SHARE_BYTES` long, of one of the dealer's secrets for one holder."""
    tag = _dealt_by(session, dealer).copy()
    tag.update(_held_by(holder)[which] + share)
    return tag.digest()[:TAG_BYTES]


def both_tags(session: bytes, dealer: Player, holder: Player, shares: bytes) -> bytes:
    """The two tags that go with a box whose content is `shares`: of the share of s_sk, then of that of b."""
    begun, heads = _dealt_by(session, dealer), _held_by(holder)
    first, second = begun.copy(), begun.copy()
    first.update(heads[MASK_KEY] + shares[:SHARE_BYTES])
    second.update(heads[SELF_MASK] + shares[SHARE_BYTES:])
    return first.digest()[:TAG_BYTES] + second.digest()[:TAG_BYTES]


@lru_cache(maxsize=2048)
def _dealt_by(session: bytes, dealer: Player) -> hashlib._Hash:
    """Hash of the beginning of all tags of a dealer; to be copied."""
    return hashlib.sha256(encode_fields("asyncagg share tag", session, index_of(dealer)))


@lru_cache(maxsize=2**14)
def _held_by(holder: Player) -> tuple[bytes, bytes]:
    """The fields of a tag between its dealer and the share's own bytes, for either secret."""
    index = index_of(holder)
    return encode_fields(index, MASK_KEY) + _SHARE_HEAD, encode_fields(index, SELF_MASK) + _SHARE_HEAD
