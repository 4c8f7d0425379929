"""Secrets from the survivors' shares, and who is at fault where one comes out wrong.

All secrets with the same holders are rebuilt in one product, and compared with what their dealers committed to or
advertised. Only for those that differ tags are looked at: a share that is not what its dealer tagged is its holder's
fault, since it had not complained of the box, and is left out; if all are what was tagged and the secret is wrong all
the same, it is the dealer's. Then once more with the shares that are left: as many may be wrong as are to spare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from asyncagg.crypto import shamir
from asyncagg.crypto.agreement import KeyPair, canonical
from asyncagg.crypto.field import PRIME
from asyncagg.protocols.effects import Rejected
from asyncagg.protocols.names import Player
from asyncagg.protocols.secagg.complaints import Standing
from asyncagg.protocols.secagg.owner_secrets import commitment
from asyncagg.protocols.secagg.share_tags import TAG_BYTES, share_tag

if TYPE_CHECKING:
    from asyncagg.protocols.secagg.unmasking import Unmasking

AnswerTags = Callable[[Player], bytes]
"""Holder → the tags of the shares in its answer, in their order."""


class Rebuilding:
    """One session's answers, and what has been found out about those who gave them."""

    def __init__(self, unmasking: Unmasking, answers: Mapping[Player, bytes]) -> None:
        self.unmasking = unmasking
        self.session = unmasking.session
        self.standing = Standing(self.session.dealing(unmasking.sharers))
        self._answers = {holder: answers[holder] for holder in sorted(answers, key=self.session.point)}
        self._shares: dict[Player, dict[Player, bytes]] = {}
        """Dealer → holder → the share it answered with, holders in order of their points."""

    def secrets(self, tags: AnswerTags) -> dict[Player, bytes]:
        """The secret of every sharer that U3 asks for; Rejected, with culprits, where one cannot be had."""
        self._hear_complaints()
        self._require_holders("answered")
        self._shares = self._by_dealer()
        secrets = self._rebuild(self.unmasking.sharers)
        failed = dict.fromkeys(dealer for dealer in self.unmasking.sharers if dealer not in secrets)
        if failed:
            self._compare_tags(failed, tags)
            secrets |= self._rebuild_tagged(failed)
        return secrets

    def _hear_complaints(self) -> None:
        for holder, dealers in self.unmasking.complaints.items():
            self.standing.complain(holder, dealers)
        for holder in self.unmasking.sharers:
            if holder not in self._answers:
                self.standing.lose(holder)

    def _require_holders(self, answered: str) -> None:
        if self.standing.doomed:
            dealer = next(iter(self.standing.doomed))
            left, needed = self.standing.left(dealer), self.session.threshold
            reason = f"{left} holders of the secrets of {dealer} {answered}, {needed} are needed"
            raise Rejected(reason, self.standing.excluded())

    def _by_dealer(self) -> dict[Player, dict[Player, bytes]]:
        """All shares but those that their holder complained of."""
        shares: dict[Player, dict[Player, bytes]] = {dealer: {} for dealer in self.unmasking.sharers}
        for holder, data in self._answers.items():
            without = self.unmasking.complaints.get(holder, ())
            for place, dealer in enumerate(self.unmasking.expected(holder)):
                if dealer not in without:
                    shares[dealer][holder] = data[place * shamir.SHARE_BYTES : (place + 1) * shamir.SHARE_BYTES]
        return shares

    def _rebuild(self, dealers: Iterable[Player]) -> dict[Player, bytes]:
        """The secrets that are what was committed to: all those with the same holders in one product."""
        groups: dict[tuple[Player, ...], list[Player]] = {}
        for dealer in dealers:
            groups.setdefault(tuple(self._shares[dealer]), []).append(dealer)
        secrets: dict[Player, bytes] = {}
        for holders, group in groups.items():
            points = [self.session.point(holder) for holder in holders]
            data = b"".join(share for dealer in group for share in self._shares[dealer].values())
            table = np.frombuffer(data, "<u4").astype(np.uint32).reshape(len(group), len(holders), shamir.LIMBS)
            well_formed = np.flatnonzero(~(table >= PRIME).any(axis=(1, 2)))
            rebuilt = shamir.reconstruct(points, table[well_formed], self.session.threshold)
            for place, secret in zip(well_formed, rebuilt, strict=True):
                if secret is not None and self._right(group[place], secret):
                    secrets[group[place]] = secret
        return secrets

    def _right(self, dealer: Player, secret: bytes) -> bool:
        """True if this is the secret the owner committed to, or advertised the public half of."""
        if dealer in self.unmasking.survivors:
            return commitment(secret, self.session.id) == self.unmasking.commitments[dealer]
        return KeyPair(secret).public == canonical(self.session.members[dealer].mask_key)

    def _compare_tags(self, failed: Mapping[Player, None], tags: AnswerTags) -> None:
        """Leave out what is not as it was tagged of the shares of `failed`."""
        for holder in self._answers:
            told = tags(holder)
            for place, dealer in enumerate(self.unmasking.expected(holder)):
                share = self._shares[dealer].get(holder) if dealer in failed else None
                if share is None:
                    continue
                tag = share_tag(self.session.id, dealer, holder, self.unmasking.which(dealer), share)
                if tag != told[place * TAG_BYTES : (place + 1) * TAG_BYTES]:
                    del self._shares[dealer][holder]
                    self.standing.answered_wrong(holder, dealer)

    def _rebuild_tagged(self, failed: Mapping[Player, None]) -> dict[Player, bytes]:
        """The secrets of `failed` from the shares that are left, all of which are what was tagged."""
        within_reach = [dealer for dealer in failed if dealer not in self.standing.doomed]
        secrets = self._rebuild(within_reach)
        wrong = [dealer for dealer in within_reach if dealer not in secrets]
        for dealer in wrong:
            self.standing.dealt_wrong(dealer)
        if wrong:
            reason = f"the shares of {wrong[0]} do not make the secret it committed to"
            raise Rejected(reason, self.standing.excluded())
        self._require_holders("answered rightly")
        return secrets
