"""Reveal `model-owner`: the model owner checks what the lead hands it, opens the answers and rebuilds the masks itself.

Boxes are bound to one set of survivors and to this attempt's sealing key, so that those of two sets, or of an earlier
round, cannot be mixed. The compute nodes never hold a seed and never see the sum.
"""

from __future__ import annotations

from dataclasses import dataclass

from asyncagg.crypto.sealing import OVERHEAD, SealError, open_box
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import Cost, Refuse, Rejected, Role, compute
from asyncagg.protocols.names import GUILT, MODEL_OWNER, Player, owner_name
from asyncagg.protocols.secagg import beacon, certificate, sharers_signature
from asyncagg.protocols.secagg.owner_secrets import ANSWER_LABEL, survivors_digest
from asyncagg.protocols.secagg.session import Session
from asyncagg.protocols.secagg.share_tags import TAG_BYTES
from asyncagg.protocols.secagg.unmasking import Recovered, Unmasking
from asyncagg.protocols.steps.key_exchange import shared
from asyncagg.protocols.steps.reveal import Sums
from asyncagg.protocols.steps.roster import Member, check_invited, check_keys, check_signature, read_entry, root_of

COMMITMENT_BYTES = 32


def open_sums(context: Context, report: m.Report, sums: Sums) -> Role[Recovered]:
    """The masks to remove from the masked sums; Rejected when the opening does not hold what it must."""
    opening = sums.opening
    if opening is None or opening.members != report.members:
        raise Rejected("the report and the opening name different survivors")
    unmasking = yield from compute(Cost(), lambda: _unmasking(context, opening, sums), "unmask")
    answered = context.players_in(opening.answered)
    cost = Cost(key_agreements=len(answered), boxes=len(answered))
    given = yield from compute(cost, lambda: _answers(context, opening, unmasking, answered), "boxes")
    for player in given.unopened:
        yield Refuse(player, "its box does not open")
    recovered = yield from compute(
        unmasking.cost(), lambda: unmasking.recover(given.answers, lambda holder: given.tags[holder]), "unmask"
    )
    yield from refuse_culprits(recovered)
    return recovered


def refuse_culprits(recovered: Recovered) -> Role[None]:
    """Say who answered wrongly, at the lead or the model owner."""
    for culprit, guilt in recovered.culprits.items():
        if guilt == "wrong-shares":
            yield Refuse(culprit, GUILT[guilt])


def _unmasking(context: Context, opening: m.Opening, sums: Sums) -> Unmasking:
    """The session out of its roster, and its U2 and U3, checked as an owner would."""
    members = tuple(read_entry(entry, context.digest) for entry in opening.entries)
    names = context.players_in(opening.roster)
    if tuple(member.player for member in members) != names:
        raise Rejected("the opening does not list the roster in order")
    check_invited(context, names)
    _check_members(context, members)
    root = root_of(members)
    value = sums.beacon.value if sums.beacon is not None and beacon.is_needed(context, len(names)) else b""
    session = Session.establish(context, names, {each.player: each for each in members}, root, value)
    if context.terms.threat == "lying":
        certificate.check(context, session.id, opening.roster, opening.members, opening.signatures)
    if sharers_signature.is_signed(session) and sums.sharers != sharers_signature.digest(opening.sharers):
        raise Rejected("the opening names other sharers than those that were signed")
    sharers = context.players_in(opening.sharers)
    survivors = dict.fromkeys(context.players_in(opening.members))
    sharing = dict.fromkeys(sharers)
    if any(player not in session.positions for player in sharers) or any(each not in sharing for each in survivors):
        raise Rejected("the opening names survivors that did not share, or sharers that are not in the roster")
    for what, named in (("roster", opening.roster), ("sharers", opening.sharers), ("survivors", opening.members)):
        torn = context.not_whole(named)
        if torn is not None:
            raise Rejected(f"the {what} of the opening: {torn}")
    if len(survivors) < session.survivors_floor():
        raise Rejected(f"{len(survivors)} survivors, at least {session.survivors_floor()} are needed")
    complaints = _complaints(session, opening, sharers)
    return Unmasking(session, sharers, survivors, _commitments(opening.commitments, sharers), complaints)


def _check_members(context: Context, members: tuple[Member, ...]) -> None:
    if len(members) < max(context.roster_floor, context.terms.minimum_cohort):
        raise Rejected(f"a roster of {len(members)} owners is too small")
    check_keys(members)
    for member in members:
        reason = check_signature(context, member)
        if reason is not None:
            raise Rejected(reason)


def _commitments(data: bytes, sharers: tuple[Player, ...]) -> dict[Player, bytes]:
    if len(data) != COMMITMENT_BYTES * len(sharers):
        raise Rejected(f"{len(data)} bytes of commitments for {len(sharers)} owners")
    return {
        player: data[place * COMMITMENT_BYTES : (place + 1) * COMMITMENT_BYTES] for place, player in enumerate(sharers)
    }


def _complaints(session: Session, opening: m.Opening, sharers: tuple[Player, ...]) -> dict[Player, tuple[Player, ...]]:
    holders = session.dealing(sharers).holders
    complaints: dict[Player, tuple[Player, ...]] = {}
    for index, bitmap in opening.complaints:
        holder, dealers = owner_name(index), session.context.players_in(bitmap)
        given = all(dealer != holder and holder in holders.get(dealer, ()) for dealer in dealers)
        if holder not in holders or holder in complaints or not given:
            raise Rejected("the opening holds complaints about boxes that were not given")
        complaints[holder] = dealers
    return complaints


@dataclass(frozen=True, slots=True, repr=False)
class _Given:
    """Answers of the survivors."""

    answers: dict[Player, bytes]
    tags: dict[Player, bytes]
    unopened: list[Player]
    """Owners whose boxes do not open."""


def _answers(context: Context, opening: m.Opening, unmasking: Unmasking, answered: tuple[Player, ...]) -> _Given:
    """The shares in the boxes, with their tags."""
    if context.sealing_pair is None:
        raise Rejected("this model owner has no sealing key in this attempt")
    session, digest = unmasking.session, survivors_digest(opening.members)
    answers: dict[Player, bytes] = {}
    tags: dict[Player, bytes] = {}
    unopened: list[Player] = []
    data, offset = memoryview(opening.data), 0
    for player in answered:
        if player not in unmasking.survivors:
            raise Rejected(f"{player} answered without being a survivor")
        size = unmasking.answer_bytes(player) + OVERHEAD
        box, offset = bytes(data[offset : offset + size]), offset + size
        secret = shared(context.sealing_pair, player, session.members[player].sealing_key)
        key = session.box_key(secret, player, MODEL_OWNER, ANSWER_LABEL)
        try:
            answers[player] = open_box(key, session.binding(player, MODEL_OWNER, ANSWER_LABEL, digest), box)
        except SealError:
            unopened.append(player)
    for player in answered:
        size = TAG_BYTES * len(unmasking.expected(player))
        tags[player], offset = bytes(data[offset : offset + size]), offset + size
    if offset != len(data):
        raise Rejected(f"{len(data)} bytes of answers and tags, must be {offset}")
    return _Given(answers, tags, unopened)
