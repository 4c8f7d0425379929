"""From the survivors' answers to the keys of the masks that are left in the sum, at the lead or the model owner.

For an owner in the sum its self mask is removed (b is rebuilt); for one that shared but did not upload, the masks it
has with the survivors (s_sk is rebuilt). Which of the two follows from U3, so that nobody can ask for both. S
survivors and D dropped leave S + D·S masks on the complete graph; on a k-regular graph S + Σ alive neighbours of the
dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from asyncagg.crypto import reed_solomon, shamir
from asyncagg.crypto.agreement import KeyPair, canonical
from asyncagg.crypto.keystream import SignedKey
from asyncagg.crypto.shamir import ShareError
from asyncagg.protocols.effects import Cost, Rejected
from asyncagg.protocols.names import Player
from asyncagg.protocols.secagg.owner_secrets import commitment
from asyncagg.protocols.secagg.session import Session


@dataclass(slots=True)
class Recovered:
    """Keys of the masks to remove, and who answered with wrong shares."""

    masks: list[SignedKey] = field(default_factory=list)
    """Sign −1: the mask is in the sum and has to be subtracted."""
    culprits: dict[Player, None] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Recovered({len(self.masks)} masks redacted, culprits={list(self.culprits)})"


@dataclass(frozen=True)
class Unmasking:
    """One session at its end: who shared, who is in the sum, and what they had committed to."""

    session: Session
    sharers: tuple[Player, ...]
    """U2, in order."""
    survivors: dict[Player, None]
    """U3, in order."""
    commitments: Mapping[Player, bytes]

    def with_survivors(self, survivors: Mapping[Player, object]) -> Unmasking:
        return replace(self, survivors=dict.fromkeys(survivors))

    def cost(self) -> Cost:
        """Of `recover`."""
        dropped = [player for player in self.sharers if player not in self.survivors]
        agreements = sum(other in self.survivors for player in dropped for other in self.session.neighbours(player))
        return Cost(key_agreements=agreements, shares=self.session.threshold * len(self.sharers))

    def expected(self, owner: Player) -> tuple[Player, ...]:
        """Whose shares this owner answers with, in order: of all sharers whose holder it is."""
        sharing = dict.fromkeys(self.sharers)
        return tuple(player for player in self.session.holders(owner) if player in sharing)

    def answer_bytes(self, owner: Player) -> int:
        return shamir.SHARE_BYTES * len(self.expected(owner))

    def recover(self, answers: Mapping[Player, bytes]) -> Recovered:
        """Rebuild what is needed; Rejected when too few holders of somebody's secret answered, or its shares are bad.

        `answers` maps an owner to its shares, `answer_bytes` long, in order of `expected`.
        """
        shares = self._by_owner(answers)
        recovered = Recovered()
        secrets = self._rebuild(shares, recovered)
        for player in self.sharers:
            if player in self.survivors:
                key = self.session.self_mask_key(player, secrets[player])
                recovered.masks.append((key, -1))
            else:
                recovered.masks += self._pair_masks(player, secrets[player])
        return recovered

    def _by_owner(self, answers: Mapping[Player, bytes]) -> dict[Player, dict[Player, bytes]]:
        """Owner → holder → share."""
        shares: dict[Player, dict[Player, bytes]] = {player: {} for player in self.sharers}
        for holder in sorted(answers, key=self.session.point):
            data = answers[holder]
            for place, player in enumerate(self.expected(holder)):
                shares[player][holder] = data[place * shamir.SHARE_BYTES : (place + 1) * shamir.SHARE_BYTES]
        for player, held in shares.items():
            if len(held) < self.session.threshold:
                raise Rejected(
                    f"{len(held)} holders of the secrets of {player} answered, {self.session.threshold} are needed"
                )
        return shares

    def _rebuild(self, shares: dict[Player, dict[Player, bytes]], recovered: Recovered) -> dict[Player, bytes]:
        """Every sharer's secret: all those with the same holders in one product."""
        groups: dict[tuple[Player, ...], list[Player]] = {}
        for player, held in shares.items():
            groups.setdefault(tuple(held), []).append(player)
        secrets: dict[Player, bytes] = {}
        for holders, players in groups.items():
            points = [self.session.point(holder) for holder in holders]
            try:
                stacked = shamir.shares_from_bytes([shares[player][holder] for player in players for holder in holders])
            except ShareError:
                stacked = None
            if stacked is not None:
                table = stacked.reshape(len(players), len(holders), shamir.LIMBS)
                rebuilt = shamir.reconstruct(points, table, self.session.threshold)
            else:
                rebuilt = [None] * len(players)
            for player, secret in zip(players, rebuilt, strict=True):
                if secret is None or not self._right(player, secret):
                    secret = self._decode(player, shares[player], recovered)
                secrets[player] = secret
        return secrets

    def _right(self, player: Player, secret: bytes) -> bool:
        """Whether this is the secret the owner committed to, or advertised the public half of."""
        if player in self.survivors:
            return commitment(secret, self.session.id) == self.commitments[player]
        return KeyPair(secret).public == canonical(self.session.members[player].mask_key)

    def _decode(self, player: Player, held: dict[Player, bytes], recovered: Recovered) -> bytes:
        """Around wrong shares, naming who sent them; if that gives nothing, it was the dealer."""
        well_formed: dict[Player, bytes] = {}
        for holder, share in held.items():
            try:
                shamir.shares_from_bytes([share])
                well_formed[holder] = share
            except ShareError:
                recovered.culprits[holder] = None
        points = {self.session.point(holder): holder for holder in well_formed}
        try:
            table = shamir.shares_from_bytes(list(well_formed.values()))
            decoded = reed_solomon.decode(list(points), table, self.session.threshold)
        except ShareError:
            raise Rejected(f"the shares of {player} do not make its secret", player) from None
        if not self._right(player, decoded.secret):
            raise Rejected(f"the shares of {player} make another secret than it committed to", player)
        recovered.culprits.update({points[point]: None for point in decoded.wrong})
        return decoded.secret

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
