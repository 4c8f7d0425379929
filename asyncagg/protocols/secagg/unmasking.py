"""Unmasking at the lead or the model owner: from the survivors' answers to the keys of the masks left in the sum.

For an owner in the sum its self mask is removed (b is rebuilt); for one that shared but did not upload, the masks it
has with the survivors (s_sk is rebuilt). Which of the two follows from U3, so that nobody can ask for both. S
survivors and D dropped leave S + D·S masks on the complete graph; on a k-regular graph S + Σ alive neighbours of the
dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from asyncagg.crypto import shamir
from asyncagg.crypto.agreement import KeyPair
from asyncagg.crypto.keystream import SignedKey
from asyncagg.protocols.effects import Cost, Rejected
from asyncagg.protocols.names import Guilt, Player
from asyncagg.protocols.secagg.rebuilding import AnswerTags, Rebuilding
from asyncagg.protocols.secagg.session import Session
from asyncagg.protocols.secagg.share_tags import MASK_KEY, SELF_MASK, TAG_BYTES, Which


@dataclass(slots=True)
class Recovered:
    """Keys of the masks to remove, and who is not to be invited again."""

    masks: list[SignedKey] = field(default_factory=list)
    """Sign −1: the mask is in the sum and has to be subtracted."""
    culprits: dict[Player, Guilt] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Recovered({len(self.masks)} masks redacted, culprits={list(self.culprits)})"


@dataclass(frozen=True)
class Unmasking:
    """One session at its end: who shared, who is in the sum, what they had committed to, who complained of whom."""

    session: Session
    sharers: tuple[Player, ...]
    """U2, in order."""
    survivors: dict[Player, None]
    """U3, in order."""
    commitments: Mapping[Player, bytes]
    complaints: Mapping[Player, tuple[Player, ...]] = field(default_factory=dict)
    """Holder → the dealers whose boxes it could not use."""

    def with_survivors(
        self, survivors: Mapping[Player, object], complaints: Mapping[Player, tuple[Player, ...]]
    ) -> Unmasking:
        return replace(self, survivors=dict.fromkeys(survivors), complaints=complaints)

    def cost(self) -> Cost:
        """Of `recover`."""
        dropped = [player for player in self.sharers if player not in self.survivors]
        agreements = sum(other in self.survivors for player in dropped for other in self.session.neighbours(player))
        return Cost(key_agreements=agreements, shares=self.session.threshold * len(self.sharers))

    def expected(self, owner: Player) -> tuple[Player, ...]:
        """Owners whose shares this owner answers with, in order: all sharers whose holder it is."""
        if self.session.parameters.complete:
            return self.sharers
        return tuple(player for player in self.session.holders(owner) if player in self._sharing)

    @cached_property
    def _sharing(self) -> dict[Player, None]:
        return dict.fromkeys(self.sharers)

    def which(self, dealer: Player) -> Which:
        """The secret that is rebuilt: b of a survivor, s_sk of who shared and is not in the sum."""
        return SELF_MASK if dealer in self.survivors else MASK_KEY

    def answer_bytes(self, owner: Player) -> int:
        return shamir.SHARE_BYTES * len(self.expected(owner))

    def answer_tags(self, owner: Player, dealt: bytes) -> bytes:
        """The tags of this owner's answer, out of both that each of its dealers sent it."""
        which = np.array([self.which(dealer) for dealer in self.expected(owner)], np.intp)
        pairs = np.frombuffer(dealt, np.uint8).reshape(len(which), 2, TAG_BYTES)
        return pairs[np.arange(len(which)), which].tobytes()

    def recover(self, answers: Mapping[Player, bytes], tags: AnswerTags) -> Recovered:
        """The masks to remove; Rejected, with culprits, when a secret is out of reach or not what was committed to.

        `answers` maps an owner to its shares, `answer_bytes` long, in order of `expected`. `tags` are asked for only
        where a secret comes out wrong.
        """
        rebuilding = Rebuilding(self, answers)
        secrets = rebuilding.secrets(tags)
        recovered = Recovered(culprits=rebuilding.standing.guilty)
        for player in self.sharers:
            if player in self.survivors:
                key = self.session.self_mask_key(player, secrets[player])
                recovered.masks.append((key, -1))
            else:
                recovered.masks += self.pair_masks(player, secrets[player])
        return recovered

    def pair_masks(self, dropped: Player, secret: bytes) -> list[SignedKey]:
        """The masks a dropped owner has with the survivors, with the sign that removes them."""
        pair = KeyPair(secret)
        masks = []
        for other in self.session.neighbours(dropped):
            if other in self.survivors:
                key, sign = self.session.pair_mask_key(pair, dropped, other, self.session.members[other].mask_key)
                masks.append((key, sign))
        pair.wipe()
        return masks


def pack_masks(masks: list[SignedKey]) -> tuple[int, bytes]:
    """Number of keys whose masks are to be added, and all keys with those first."""
    added = [key for key, sign in masks if sign == 1]
    return len(added), b"".join([*added, *(key for key, sign in masks if sign == -1)])


def unpack_masks(added: int, data: bytes) -> list[SignedKey]:
    """The inverse; Rejected for bytes that are no keys."""
    keys, rest = divmod(len(data), 16)
    if rest or added > keys:
        raise Rejected(f"{len(data)} bytes are not the keys of {added} masks and more")
    return [(bytes(data[16 * place : 16 * place + 16]), 1 if place < added else -1) for place in range(keys)]
