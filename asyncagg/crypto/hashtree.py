"""A hash tree over ordered entries: one root for all, a short proof for each (RFC 9162, section 2.1).

A lead that is trusted to follow the protocol shows an owner its neighbours' entries, their proofs and the
root instead of the whole roster. Leaves and inner nodes are hashed with different prefixes, so that
neither passes for the other. The number of entries is not in the root: bind it where the root is used, as
`verify` is given it.
"""

import hashlib
import hmac
from collections.abc import Sequence


class HashTree:
    """The tree over some entries, kept level by level so that every proof is a look-up.

    A level's odd one out moves up unchanged, which makes the same tree as the recursive definition of the
    RFC. Of no entries the root is the hash of nothing.

    Attributes:
        root: 32 bytes.
    """

    __slots__ = ("_levels", "root")

    def __init__(self, entries: Sequence[bytes]) -> None:
        level = [_leaf(entry) for entry in entries]
        self._levels = [level]
        while len(level) > 1:
            paired = [_inner(*level[left : left + 2]) for left in range(0, len(level) - 1, 2)]
            level = paired + level[2 * len(paired) :]
            self._levels.append(level)
        self.root = level[0] if level else hashlib.sha256().digest()

    def path(self, index: int) -> list[bytes]:
        """The proof that an entry is in the tree: at most ⌈log2 n⌉ hashes, from the leaf upwards.

        Raises:
            IndexError: there is no such entry.
        """
        if not 0 <= index < len(self._levels[0]):
            raise IndexError(f"there is no entry {index} among {len(self._levels[0])}")
        proof: list[bytes] = []
        for level in self._levels:
            if index ^ 1 < len(level):
                proof.append(level[index ^ 1])
            index //= 2
        return proof


def root(entries: Sequence[bytes]) -> bytes:
    """The 32-byte root of the tree over `entries`, for whoever needs no proofs."""
    return HashTree(entries).root


def verify(root: bytes, count: int, index: int, entry: bytes, proof: Sequence[bytes]) -> bool:
    """True if `proof` shows that `entry` is at `index` of the `count` entries under `root`."""
    if not 0 <= index < count:
        return False
    rest, node = list(proof), _leaf(entry)
    while count > 1:
        if index ^ 1 < count:  # else it is the odd one out of its level, and moves up unchanged
            if not rest:
                return False
            sibling = rest.pop(0)
            node = _inner(sibling, node) if index & 1 else _inner(node, sibling)
        count, index = (count + 1) // 2, index // 2
    return not rest and hmac.compare_digest(node, root)


def _leaf(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def _inner(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
