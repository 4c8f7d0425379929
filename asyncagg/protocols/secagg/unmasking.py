"""From the survivors' answers to the keys of the masks that are left in the sum, at the lead or the model owner.

For an owner in the sum its self mask is removed (b is rebuilt); for one that shared but did not upload, the masks it
has with the survivors (s_sk is rebuilt). Which of the two follows from U3, so that nobody can ask for both. S
survivors and D dropped leave S + D·S masks on the complete graph; on a k-regular graph S + Σ alive neighbours of the
dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from asyncagg.crypto import shamir
from asyncagg.crypto.agreement import KeyPair, canonical
from asyncagg.crypto.field import PRIME
from asyncagg.crypto.keystream import SignedKey
from asyncagg.protocols.effects import Cost, Rejected
from asyncagg.protocols.names import Guilt, Player
from asyncagg.protocols.secagg.complaints import Standing
from asyncagg.protocols.secagg.owner_secrets import commitment
from asyncagg.protocols.secagg.session import Session
from asyncagg.protocols.secagg.share_tags import MASK_KEY, SELF_MASK, TAG_BYTES, Which, share_tag

Shares = dict[Player, dict[Player, bytes]]
"""Dealer → holder → the share it answered with, holders in order of their points."""
AnswerTags = Callable[[Player], bytes]
"""Holder → the tags of the shares in its answer, in their order."""


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
        """Whose shares this owner answers with, in order: of all sharers whose holder it is."""
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
        """Rebuild what is needed; Rejected, with culprits, when somebody's secret is out of reach or not what it said.

        `answers` maps an owner to its shares, `answer_bytes` long, in order of `expected`. `tags` are asked for only
        where a secret comes out wrong.
        """
        standing = self._standing(answers)
        if standing.doomed:
            dealer = next(iter(standing.doomed))
            words = f"{standing.left(dealer)} holders of the secrets of {dealer} answered"
            raise Rejected(f"{words}, {self.session.threshold} are needed", standing.excluded())
        shares = self._by_dealer(answers)
        secrets = self._rebuild(shares)
        failed = dict.fromkeys(dealer for dealer in self.sharers if dealer not in secrets)
        if failed:
            secrets |= self._rebuild_tagged(shares, failed, answers, tags, standing)
        recovered = Recovered(culprits=standing.guilty)
        for player in self.sharers:
            if player in self.survivors:
                key = self.session.self_mask_key(player, secrets[player])
                recovered.masks.append((key, -1))
            else:
                recovered.masks += self._pair_masks(player, secrets[player])
        return recovered

    def _standing(self, answers: Mapping[Player, bytes]) -> Standing:
        """Complaints, and who has not answered."""
        standing = Standing(self.session.dealing(self.sharers))
        for holder, dealers in self.complaints.items():
            standing.complain(holder, dealers)
        for holder in self.sharers:
            if holder not in answers:
                standing.lose(holder)
        return standing

    def _by_dealer(self, answers: Mapping[Player, bytes]) -> Shares:
        """All shares but those that their holder complained of."""
        shares: Shares = {dealer: {} for dealer in self.sharers}
        for holder in sorted(answers, key=self.session.point):
            data, without = answers[holder], self.complaints.get(holder, ())
            for place, dealer in enumerate(self.expected(holder)):
                if dealer not in without:
                    shares[dealer][holder] = data[place * shamir.SHARE_BYTES : (place + 1) * shamir.SHARE_BYTES]
        return shares

    def _rebuild(self, shares: Shares) -> dict[Player, bytes]:
        """The secrets that are what was committed to: all those with the same holders in one product."""
        groups: dict[tuple[Player, ...], list[Player]] = {}
        for dealer, held in shares.items():
            groups.setdefault(tuple(held), []).append(dealer)
        secrets: dict[Player, bytes] = {}
        for holders, dealers in groups.items():
            points = [self.session.point(holder) for holder in holders]
            stacked = np.frombuffer(b"".join(share for dealer in dealers for share in shares[dealer].values()), "<u4")
            table = stacked.astype(np.uint32).reshape(len(dealers), len(holders), shamir.LIMBS)
            well_formed = np.flatnonzero(~(table >= PRIME).any(axis=(1, 2)))
            rebuilt = shamir.reconstruct(points, table[well_formed], self.session.threshold)
            for place, secret in zip(well_formed, rebuilt, strict=True):
                if secret is not None and self._right(dealers[place], secret):
                    secrets[dealers[place]] = secret
        return secrets

    def _right(self, player: Player, secret: bytes) -> bool:
        """Whether this is the secret the owner committed to, or advertised the public half of."""
        if player in self.survivors:
            return commitment(secret, self.session.id) == self.commitments[player]
        return KeyPair(secret).public == canonical(self.session.members[player].mask_key)

    def _rebuild_tagged(
        self,
        shares: Shares,
        failed: dict[Player, None],
        answers: Mapping[Player, bytes],
        tags: AnswerTags,
        standing: Standing,
    ) -> dict[Player, bytes]:
        """The secrets of `failed`, once more from the shares that are what their dealers tagged.

        A share that is not is its holder's fault; a secret that is wrong all the same is its dealer's.
        """
        self._compare_tags(shares, failed, answers, tags, standing)
        secrets = self._rebuild({dealer: shares[dealer] for dealer in failed if dealer not in standing.doomed})
        wrong = [dealer for dealer in failed if dealer not in secrets and dealer not in standing.doomed]
        for dealer in wrong:
            standing.dealt_wrong(dealer)
        if wrong:
            raise Rejected(f"the shares of {wrong[0]} do not make the secret it committed to", standing.excluded())
        if standing.doomed:
            dealer = next(iter(standing.doomed))
            words = f"{standing.left(dealer)} right shares of the secrets of {dealer}"
            raise Rejected(f"{words}, {self.session.threshold} are needed", standing.excluded())
        return secrets

    def _compare_tags(
        self,
        shares: Shares,
        failed: dict[Player, None],
        answers: Mapping[Player, bytes],
        tags: AnswerTags,
        standing: Standing,
    ) -> None:
        """Take out of `shares` those of the `failed` that are not what was tagged."""
        for holder in sorted(answers, key=self.session.point):
            told = tags(holder)
            for place, dealer in enumerate(self.expected(holder)):
                share = shares[dealer].get(holder) if dealer in failed else None
                if share is None:
                    continue
                tag = share_tag(self.session.id, dealer, holder, self.which(dealer), share)
                if tag != told[place * TAG_BYTES : (place + 1) * TAG_BYTES]:
                    del shares[dealer][holder]
                    standing.answered_wrong(holder, dealer)

    def _pair_masks(self, dropped: Player, secret: bytes) -> list[SignedKey]:
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
    """How many are to be added, and all keys with those first."""
    added = [key for key, sign in masks if sign == 1]
    return len(added), b"".join([*added, *(key for key, sign in masks if sign == -1)])


def unpack_masks(added: int, data: bytes) -> list[SignedKey]:
    """The inverse; Rejected for bytes that are no keys."""
    keys, rest = divmod(len(data), 16)
    if rest or added > keys:
        raise Rejected(f"{len(data)} bytes are not the keys of {added} masks and more")
    return [(bytes(data[16 * place : 16 * place + 16]), 1 if place < added else -1) for place in range(keys)]
