"""An owner's secrets in one session: two key pairs, the self-mask secret b, and the shares it holds for others.

They live in memory for one attempt and are wiped when it ends. Source: CCS 2017, rounds 0 to 2 and 4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from asyncagg.crypto import shamir
from asyncagg.crypto.agreement import KeyPair
from asyncagg.crypto.kdf import encode_fields
from asyncagg.crypto.keystream import SignedKey
from asyncagg.crypto.randomness import Randomness
from asyncagg.crypto.sealing import OVERHEAD, SealError, open_box, seal
from asyncagg.protocols.effects import Rejected
from asyncagg.protocols.names import Player, index_of
from asyncagg.protocols.secagg.session import Session
from asyncagg.protocols.steps.key_exchange import shared

SECRET_BYTES = 32
PLAIN_BYTES = 2 * shamir.SHARE_BYTES
BOX_BYTES = PLAIN_BYTES + OVERHEAD
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
        """`(boxes, H(b))`: one box a holder, in order, without one for this owner itself."""
        holders = session.holders(me)
        points = [session.point(holder) for holder in holders]
        both = shamir.share([self.mask.secret(), bytes(self._b)], points, session.threshold, self._randomness)
        boxes = []
        for place, holder in enumerate(holders):
            shares = tuple(shamir.share_to_bytes(both[which, place]) for which in (0, 1))
            if holder == me:
                self._held[me] = (shares[0], shares[1])
                continue
            secret = shared(self.sealing, holder, session.members[holder].sealing_key)
            self._agreed[holder] = secret
            key = session.box_key(secret, me, holder, LABEL)
            boxes.append(seal(key, session.binding(me, holder, LABEL), b"".join(shares)))
        return b"".join(boxes), commitment(bytes(self._b), session.id)

    def open_shares(self, session: Session, me: Player, senders: tuple[Player, ...], boxes: memoryview) -> None:
        """Take the boxes of `senders`, in order; Rejected if one does not open."""
        if len(boxes) != BOX_BYTES * len(senders):
            raise Rejected(f"{len(boxes)} bytes of boxes from {len(senders)} owners")
        for place, sender in enumerate(senders):
            box = bytes(boxes[place * BOX_BYTES : (place + 1) * BOX_BYTES])
            key = session.box_key(self._agreed[sender], sender, me, LABEL)
            try:
                plain = open_box(key, session.binding(sender, me, LABEL), box)
            except SealError as error:
                raise Rejected(f"{sender}: {error}") from None
            self._held[sender] = (plain[: shamir.SHARE_BYTES], plain[shamir.SHARE_BYTES :])

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
        return b"".join(self._held[player][1 if player in survivors else 0] for player in held)

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
