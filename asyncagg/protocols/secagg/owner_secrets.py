"""An owner's secrets in one session: two key pairs, the self-mask secret b, and the shares it holds for others.

They live in memory for one attempt and are wiped when it ends. Source: CCS 2017, rounds 0 to 2 and 4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from asyncagg.crypto import shamir
from asyncagg.crypto.agreement import KeyPair
from asyncagg.crypto.field import PRIME
from asyncagg.crypto.kdf import encode_fields
from asyncagg.crypto.keystream import SignedKey
from asyncagg.crypto.randomness import Randomness
from asyncagg.crypto.sealing import OVERHEAD, SealError, open_box, seal
from asyncagg.protocols.effects import Rejected
from asyncagg.protocols.names import Player, index_of
from asyncagg.protocols.secagg.session import Session
from asyncagg.protocols.secagg.share_tags import MASK_KEY, SELF_MASK, TAG_BYTES, both_tags
from asyncagg.protocols.steps.key_exchange import shared

SECRET_BYTES = 32
PLAIN_BYTES = 2 * shamir.SHARE_BYTES
BOX_BYTES = PLAIN_BYTES + OVERHEAD
ENTRY_BYTES = BOX_BYTES + 2 * TAG_BYTES
"""A box and the tags of the shares in it."""
ERASURE = b"\xff" * shamir.SHARE_BYTES
"""Stands for a share that did not come: no share has a number so large."""
LABEL = "share box"
ANSWER_LABEL = "unmask box"


def commitment(secret: bytes, session: bytes) -> bytes:
    """H(b), to which an owner commits before anyone can ask for shares of it."""
    return hashlib.sha256(encode_fields("asyncagg self mask", session, secret)).digest()


def survivors_digest(members: bytes) -> bytes:
    """H(U3): a box opens for one set of survivors only."""
    return hashlib.sha256(b"asyncagg survivors" + members).digest()


class OwnerSecrets:
    """Made at advertise, used until unmask; shows nothing of itself."""

    def __init__(self, randomness: Randomness) -> None:
        self.mask = KeyPair.generate(randomness)
        self.sealing = KeyPair.generate(randomness)
        self._b = bytearray(randomness.bytes(SECRET_BYTES))
        self._randomness = randomness
        self._agreed: dict[Player, bytes] = {}
        self._held: dict[Player, tuple[bytes, bytes]] = {}
        """Owner → its share of s_sk and of b that this owner holds."""

    def __repr__(self) -> str:
        return "OwnerSecrets(redacted)"

    # -- share ------------------------------------------------------------------------------------------------------

    def seal_shares(self, session: Session, me: Player) -> tuple[bytes, bytes]:
        """`(entries, H(b))`: a box with its tags for each holder, in order.

        What this owner holds itself, on the complete graph, needs no box: its tags stand at the end.
        """
        holders = session.holders(me)
        points = [session.point(holder) for holder in holders]
        both = shamir.share([self.mask.secret(), bytes(self._b)], points, session.threshold, self._randomness)
        entries, own = [], b""
        for place, holder in enumerate(holders):
            shares = shamir.share_to_bytes(both[:, place])
            tags = both_tags(session.id, me, holder, shares)
            if holder == me:
                self._keep(me, shares)
                own = tags
                continue
            secret = shared(self.sealing, holder, session.members[holder].sealing_key)
            self._agreed[holder] = secret
            key = session.box_key(secret, me, holder, LABEL)
            entries += [seal(key, session.binding(me, holder, LABEL), shares), tags]
        return b"".join([*entries, own]), commitment(bytes(self._b), session.id)

    def open_shares(
        self, session: Session, me: Player, senders: tuple[Player, ...], entries: memoryview
    ) -> tuple[Player, ...]:
        """Take the boxes of `senders`, in order; whose are bad. Rejected for bytes that are not so many boxes.

        A box is bad if it does not open, or holds what is no share or is not what its tags say: for those shares an
        erasure is kept.
        """
        if len(entries) != ENTRY_BYTES * len(senders):
            raise Rejected(f"{len(entries)} bytes of boxes from {len(senders)} owners")
        plain = [
            self._open(session, me, sender, bytes(entries[place * ENTRY_BYTES : (place + 1) * ENTRY_BYTES]))
            for place, sender in enumerate(senders)
        ]
        limbs = np.frombuffer(b"".join(plain), "<u4").reshape(len(senders), PLAIN_BYTES // 4)
        bad = tuple(senders[place] for place in np.flatnonzero((limbs >= PRIME).any(axis=1)))
        for sender, shares in zip(senders, plain, strict=True):
            self._keep(sender, 2 * ERASURE if sender in bad else shares)
        return bad

    def _open(self, session: Session, me: Player, sender: Player, entry: bytes) -> bytes:
        """Both shares in a box; erasures if it does not open, or not on what was tagged."""
        key = session.box_key(self._agreed[sender], sender, me, LABEL)
        try:
            shares = open_box(key, session.binding(sender, me, LABEL), entry[:BOX_BYTES])
        except SealError:
            return 2 * ERASURE
        return shares if both_tags(session.id, sender, me, shares) == entry[BOX_BYTES:] else 2 * ERASURE

    def _keep(self, dealer: Player, shares: bytes) -> None:
        self._held[dealer] = (shares[: shamir.SHARE_BYTES], shares[shamir.SHARE_BYTES :])

    # -- upload -----------------------------------------------------------------------------------------------------

    def masks(self, session: Session, me: Player, partners: tuple[Player, ...]) -> list[SignedKey]:
        """Keys and signs of all masks of this owner's upload: with each partner, and its own."""
        keys = [session.pair_mask_key(self.mask, me, other, session.members[other].mask_key) for other in partners]
        keys.append((session.self_mask_key(me, bytes(self._b)), 1))
        return keys

    # -- unmask -----------------------------------------------------------------------------------------------------

    def answer(self, survivors: Mapping[Player, object]) -> bytes:
        """One share for each owner whose shares are held, in order: of b for survivors, of s_sk for the dropped."""
        held = sorted(self._held, key=index_of)
        return b"".join(self._held[player][SELF_MASK if player in survivors else MASK_KEY] for player in held)

    def seal_answer(self, session: Session, me: Player, receiver: Player, public: bytes, members: bytes) -> bytes:
        """The same for U3 = `members` (a bitmap), sealed to `receiver` and bound to this one set."""
        survivors = dict.fromkeys(session.context.players_in(members))
        key = session.box_key(shared(self.sealing, receiver, public), me, receiver, ANSWER_LABEL)
        aad = session.binding(me, receiver, ANSWER_LABEL, survivors_digest(members))
        return seal(key, aad, self.answer(survivors))

    def wipe(self) -> None:
        """Forget everything, as far as Python lets."""
        self.mask.wipe()
        self.sealing.wipe()
        self._b[:] = bytes(SECRET_BYTES)
        self._agreed.clear()
        self._held.clear()
