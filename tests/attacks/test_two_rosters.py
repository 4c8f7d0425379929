"""Two rosters in one attempt: with the quorum of signatures counted from the round's owners, one session is certified.

N = 50, five of them corrupt, a lying lead. It shows 22 owners one roster of 35 and the other 28, the corrupt among
them, another; each is filled up with names of the other side. Owner u, of the first side, stands in the second as the
dealer of boxes that are bad, and as a survivor. The first side is told that u dropped, and opens its mask key; with it
the sum of the second opens without u, which all of its 28 have signed for. A third sum, of everyone, gives u away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pytest
from support.attack_driver import Played, owners, play, scenario

from asyncagg.crypto import shamir
from asyncagg.crypto.agreement import KeyPair
from asyncagg.crypto.keystream import SignedKey, add_masks
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context, GraphPolicy
from asyncagg.protocols.effects import Abort, Enter, Got, Receive, Role, Send
from asyncagg.protocols.names import Label, Player, index_of
from asyncagg.protocols.secagg import roles
from asyncagg.protocols.secagg.owner_secrets import ENTRY_BYTES, ERASURE
from asyncagg.protocols.secagg.session import Session
from asyncagg.protocols.secagg.unmasking import Unmasking
from asyncagg.protocols.steps.lead import Lead
from asyncagg.protocols.steps.roster import Gate, Member, member_of, root_of
from asyncagg.vectors.packing import unpack
from asyncagg.vectors.ring import RingVector

CORRUPT = owners(*range(5))
U, *REST = FIRST = owners(*range(5, 27))
SECOND = [*CORRUPT, *owners(*range(27, 50))]
NAMES = ([*FIRST, *owners(*range(27, 40))], sorted([*SECOND, *FIRST[:7]], key=index_of))
SHARERS = (FIRST, sorted([*SECOND, U], key=index_of))
SURVIVORS = (REST, SHARERS[1])
FIRST_ATTEMPT = Label(0, 1)


@dataclass
class Side:
    """One of the two sessions, as the lead keeps it."""

    session: Session
    sharers: list[Player]
    survivors: list[Player]
    sealed: dict[Player, m.SealedShares] = field(default_factory=dict)
    signatures: dict[Player, bytes] = field(default_factory=dict)
    answers: dict[Player, bytes] = field(default_factory=dict)

    @property
    def here(self) -> list[Player]:
        """Who really plays on this side."""
        return FIRST if self.sharers == FIRST else sorted(SECOND, key=index_of)

    def secret(self, dealer: Player) -> bytes | None:
        """From the shares that were answered, if they are enough."""
        place = self.sharers.index(dealer)
        size = shamir.SHARE_BYTES
        shares = {holder: answer[place * size : (place + 1) * size] for holder, answer in self.answers.items()}
        if len(shares) < self.session.threshold:
            return None
        points = [self.session.point(holder) for holder in shares]
        table = shamir.shares_from_bytes(list(shares.values()))[np.newaxis]
        return shamir.reconstruct(points, table, self.session.threshold)[0]

    def self_masks(self) -> list[SignedKey]:
        """Those of everybody who really is on this side and in its sum."""
        there = [player for player in self.survivors if player in self.here]
        keys = []
        for player in there:
            secret = self.secret(player)
            assert secret is not None
            keys.append((self.session.self_mask_key(player, secret), -1))
        return keys

    def masks_with(self, dead: Player, secret: bytes) -> list[SignedKey]:
        there = dict.fromkeys(player for player in self.survivors if player in self.here and player != dead)
        return Unmasking(self.session, tuple(self.sharers), there, {}).pair_masks(dead, secret)


class TwoRosters:
    """The lead of the first attempt; the second attempt is an honest one."""

    def __init__(self) -> None:
        self.sides: list[Side] = []

    def lead(self, context: Context) -> Role[None]:
        yield from self.attack(context) if context.label == FIRST_ATTEMPT else roles.lead(context)

    def attack(self, context: Context) -> Role[None]:
        lead = Lead(context)
        yield from lead.gather("publish", m.Joined, lead.same_parameters)
        adverts = yield from lead.gather("advertise", m.Advertise, Gate(context).refusal)
        members = {player: member_of(player, advert) for player, advert in adverts.items()}
        for names, sharers, survivors in zip(NAMES, SHARERS, SURVIVORS, strict=True):
            yield from self.show(context, {player: members[player] for player in names}, sharers, survivors)
        sealed = yield from lead.gather("share", m.SealedShares, lambda player, message: None)
        for side in self.sides:
            side.sealed = {player: sealed[player] for player in side.here}
            yield from self.relay(context, side)
        yield Enter("certify")
        for side in self.sides:
            yield from self.certify(context, side)
        yield Enter("unmask")
        for side in self.sides:
            yield from self.unmask(context, side)
        yield Abort("once more", exposed=True)

    def show(
        self, context: Context, members: dict[Player, Member], sharers: list[Player], survivors: list[Player]
    ) -> Role[None]:
        root = root_of(members.values())
        session = Session.establish(context, tuple(members), members, root, b"")
        side = Side(session, sharers, survivors)
        self.sides.append(side)
        entries = tuple(member.entry(context.digest) for member in members.values())
        for player in side.here:
            yield Send(player, m.Roster(context.bitmap_of(members), context.digest, entries, b"", b"", b""))

    def relay(self, context: Context, side: Side) -> Role[None]:
        for holder in side.here:
            boxes = [self.box(side, dealer, holder) for dealer in side.sharers if dealer != holder]
            yield Send(holder, m.ShareBoxes(b"".join(boxes), context.bitmap_of(side.sharers), b""))

    @staticmethod
    def box(side: Side, dealer: Player, holder: Player) -> bytes:
        """What the dealer sealed in this session; u sealed in the other one."""
        if dealer not in side.sealed:
            return bytes(ENTRY_BYTES)
        place = side.session.neighbours(dealer).index(holder)
        return bytes(side.sealed[dealer].data[place * ENTRY_BYTES : (place + 1) * ENTRY_BYTES])

    @staticmethod
    def certify(context: Context, side: Side) -> Role[None]:
        asked = [player for player in side.survivors if player in side.here]
        for player in asked:
            yield Send(player, m.CertifyRequest(context.bitmap_of(side.survivors)))
        for player, message in (yield from collect_from(m.Certify, asked)).items():
            side.signatures[player] = message.signature

    @staticmethod
    def unmask(context: Context, side: Side) -> Role[None]:
        signatures = tuple((index_of(player), signature) for player, signature in side.signatures.items())
        for player in side.signatures:
            yield Send(player, m.UnmaskRequest(context.bitmap_of(side.survivors), signatures))
        for player, message in (yield from collect_from(m.UnmaskShares, side.signatures)).items():
            side.answers[player] = bytes(message.data)


def collect_from(kind: type, peers: Iterable[Player]) -> Role[dict]:
    """What each of them says, unless it leaves."""
    waiting, said = dict.fromkeys(peers), {}
    while waiting:
        event = yield Receive((kind,), waiting)
        del waiting[event.peer]
        if isinstance(event, Got):
            said[event.peer] = event.message
    return said


def run(monkeypatch: pytest.MonkeyPatch) -> tuple[TwoRosters, Played]:
    attack = TwoRosters()
    values = scenario(
        50, "secagg", threat="lying", corrupt=0.1, dropout=0.3, on_failure="retry", retries=1, compute_nodes=1
    )
    return attack, play(values, lead=attack.lead)


def sum_of(played: Played, players: list[Player], masks: list[SignedKey]) -> RingVector:
    """What these owners uploaded in the first attempt, without these masks."""
    context = next(kept.session.context for (label, _), kept in played.kept.items() if label == FIRST_ATTEMPT)
    ring, length = context.terms.ring, context.terms.plan.length
    total = ring.zeros(length)
    for each in played.of(m.MaskedSlice):
        if each.label == FIRST_ATTEMPT and each.sender in players:
            total += unpack(each.message.data, length, ring.bits)  # type: ignore[attr-defined]
    add_masks(total, masks)
    ring.cut(total)
    return total


def test_with_the_quorum_from_the_roster_two_are_certified_and_one_owner_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: every check but that one stands."""

    def from_the_roster(policy: GraphPolicy, members: int) -> int:
        return max(policy.parameters(members).threshold, (members + policy.population.corrupt_owners) // 2 + 1)

    monkeypatch.setattr(GraphPolicy, "quorum", from_the_roster)
    attack, played = run(monkeypatch)
    first, second = attack.sides
    assert (len(first.answers), len(second.answers)) == (21, 28)
    key_of_u = first.secret(U)
    assert key_of_u is not None
    assert KeyPair(key_of_u).public == first.session.members[U].mask_key
    of_first = sum_of(played, REST, [*first.self_masks(), *first.masks_with(U, key_of_u)])
    of_second = sum_of(played, SECOND, [*second.self_masks(), *second.masks_with(U, key_of_u)])
    ring = first.session.context.terms.ring
    assert played.round.exact
    assert len(played.round.survivors) == 50
    everyone = ring.zeros(len(of_first))
    for player in played.round.survivors:
        everyone += played.inputs[Label(0, 2), Player(player)]
    opened = everyone - of_first - of_second
    ring.cut(opened)
    assert (opened == played.inputs[FIRST_ATTEMPT, U]).all()


def test_with_the_quorum_from_the_cohort_only_one_of_two_rosters_is_certified(monkeypatch: pytest.MonkeyPatch) -> None:
    attack, played = run(monkeypatch)
    first, second = attack.sides
    assert (len(first.signatures), len(second.signatures)) == (21, 28)
    assert first.answers == {}
    assert len(second.answers) == 28
    place = second.sharers.index(U) * shamir.SHARE_BYTES
    assert {answer[place : place + shamir.SHARE_BYTES] for answer in second.answers.values()} == {ERASURE}
    refused = [
        each.message for each in played.of(m.UnmaskShares) if each.label == FIRST_ATTEMPT and each.sender in REST
    ]
    assert refused == []
    assert played.round.exact


def test_why_the_first_side_does_not_answer() -> None:
    values = scenario(50, "secagg", threat="lying", corrupt=0.1, dropout=0.3, compute_nodes=1)
    played = play(values, lead=TwoRosters().lead)
    troubles = {played.troubles[player] for player in REST}
    assert troubles == {"21 members signed this set of survivors, 28 are needed (in unmask)"}
