"""The owner of `secagg` and `secagg+`: five phases, each of which it leaves only on its own terms.

What the lead says is never enough: the roster, U2, U3 and the certificate are checked against the pinned population,
thresholds are computed here, and one session answers one unmask request. See `secagg` for the whole conversation.
"""

from __future__ import annotations

from asyncagg.crypto.keystream import add_masks
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import Cost, Enter, Rejected, Role, Send, compute, receive
from asyncagg.protocols.names import LEAD, MODEL_OWNER, Player
from asyncagg.protocols.secagg import beacon, certificate, sharers_signature
from asyncagg.protocols.secagg.owner_secrets import OwnerSecrets
from asyncagg.protocols.secagg.session import Session
from asyncagg.protocols.steps.ledger import before_answer, before_upload
from asyncagg.protocols.steps.roster import Member, read_roster, root_of, signed
from asyncagg.protocols.steps.upload import join, upload
from asyncagg.vectors.ring import RingVector


def owner(context: Context, words: RingVector) -> Role[None]:
    yield from join(context)
    yield Enter("advertise")
    secrets = yield from compute(Cost(key_pairs=2), lambda: OwnerSecrets(context.randomness), "keys")
    try:
        session = yield from advertise(context, secrets)
        sharers = yield from share(context, session, secrets)
        yield from mask(context, session, secrets, sharers, words)
        yield from before_upload(context, context.bitmap_of(sharers), min(session.survivors_floor(), len(sharers)))
        yield from upload(context, words, m.MaskedSlice)
        yield from unmask(context, session, secrets, sharers)
    finally:
        secrets.wipe()


def advertise(context: Context, secrets: OwnerSecrets) -> Role[Session]:
    """Publish fresh keys and take the roster, which has to be one this owner can accept."""
    bare = Member(context.me, secrets.mask.public, secrets.sealing.public, context.digest, b"")
    own = Member(bare.player, bare.mask_key, bare.sealing_key, bare.digest, signed(context, bare))
    yield Send(LEAD, m.Advertise(own.mask_key, own.sealing_key, own.digest, own.signature))
    roster = yield from receive(m.Roster, LEAD)
    names, members = yield from compute(
        Cost(signatures=len(roster.entries) if context.terms.threat == "lying" else 0),
        lambda: read_roster(context, roster, own),
        "roster",
    )
    whole = len(members) == len(names)
    if context.terms.threat == "lying" and not whole:
        raise Rejected("a lying lead has to show the whole roster")
    root = root_of(members.values()) if whole else roster.root
    value = beacon.check(context, root, len(names), roster.beacon, roster.beacon_signature)
    session = Session.establish(context, names, members, root, value)
    missing = [player for player in session.neighbours(context.me) if player not in members]
    if missing:
        raise Rejected(f"the roster lacks the entry of {missing[0]}, a neighbour of this owner")
    return session


def share(context: Context, session: Session, secrets: OwnerSecrets) -> Role[tuple[Player, ...]]:
    """Share both secrets among the holders, take theirs; U2 is final before anything is uploaded.

    A bad box ends nothing: this owner masks with its dealer as U2 says, complains of it, and answers with an erasure.
    """
    yield Enter("share")
    neighbours = session.neighbours(context.me)
    cost = Cost(key_agreements=len(neighbours), shares=2 * len(neighbours), boxes=len(neighbours))
    boxes, commitment = yield from compute(cost, lambda: secrets.seal_shares(session, context.me), "shares")
    yield Send(LEAD, m.SealedShares(boxes, commitment))
    answer = yield from receive(m.ShareBoxes, LEAD)
    sharers = context.players_in(answer.sharers)
    check_sharers(context, session, sharers)
    sharers_signature.check(session, answer.sharers, answer.signature)
    sharing = dict.fromkeys(sharers)
    senders = tuple(player for player in neighbours if player in sharing)
    bad = yield from compute(
        Cost(boxes=len(senders)),
        lambda: secrets.open_shares(session, context.me, senders, memoryview(answer.data)),
        "boxes",
    )
    check_boxes(session, bad)
    if bad:
        yield Send(LEAD, m.Complaint(context.bitmap_of(bad)))
    return sharers


def check_boxes(session: Session, bad: tuple[Player, ...]) -> None:
    """More bad boxes than there are corrupt dealers: honest ones are among them, so that it is not the dealers."""
    if len(bad) > session.most_corrupt:
        raise Rejected(
            f"{LEAD}: {len(bad)} of the boxes it relayed are bad, and at most {session.most_corrupt} of their dealers "
            "are corrupt: it lies, or the connection to it is broken"
        )


def check_sharers(context: Context, session: Session, sharers: tuple[Player, ...]) -> None:
    """U2 ⊆ U1, this owner in it, and enough holders for its own secrets."""
    if any(player not in session.positions for player in sharers):
        raise Rejected("U2 names an owner that is not in the roster")
    if context.me not in sharers:
        raise Rejected("U2 does not hold this owner")
    torn = context.not_whole(context.bitmap_of(sharers))
    if torn is not None:
        raise Rejected(f"the owners that shared: {torn}")
    floor = session.survivors_floor()
    if len(sharers) < floor:
        raise Rejected(f"{len(sharers)} owners shared their secrets, {floor} are needed")
    uncovered = session.check_covered((context.me,), dict.fromkeys(sharers))
    if uncovered is not None:
        raise Rejected(uncovered)


def mask(
    context: Context, session: Session, secrets: OwnerSecrets, sharers: tuple[Player, ...], words: RingVector
) -> Role[None]:
    """Add the self mask and, over the neighbours in U2, the pairwise masks: in place."""
    sharing = dict.fromkeys(sharers)
    partners = tuple(player for player in session.neighbours(context.me) if player in sharing)
    count = len(partners) + 1
    cost = Cost(key_agreements=len(partners), keystream_bytes=count * words.nbytes, expanded=count * len(words))
    yield from compute(cost, lambda: add_masks(words, secrets.masks(session, context.me, partners)), "masks")


def unmask(context: Context, session: Session, secrets: OwnerSecrets, sharers: tuple[Player, ...]) -> Role[None]:
    """Sign one set of survivors, and answer one request, for that set."""
    signed_set: bytes | None = None
    roster = context.bitmap_of(session.names)
    if context.terms.threat == "lying":
        yield Enter("certify")
        asked = yield from receive(m.CertifyRequest, LEAD)
        signed_set = asked.members
        check_survivors(context, session, sharers, signed_set)
        yield from before_answer(context, signed_set)
        text = certificate.text(context, session.id, roster, signed_set)
        yield Send(LEAD, m.Certify(context.sign(text)))
    yield Enter("unmask")
    request = yield from receive(m.UnmaskRequest, LEAD)
    check_survivors(context, session, sharers, request.members)
    if signed_set is not None:
        if request.members != signed_set:
            raise Rejected("asked to unmask another set of survivors than was signed")
        yield from compute(
            Cost(signatures=len(request.signatures)),
            lambda: certificate.check(context, session.id, roster, request.members, request.signatures),
            "certificate",
        )
    else:
        yield from before_answer(context, request.members)
    yield from answer(context, session, secrets, request.members)


def check_survivors(context: Context, session: Session, sharers: tuple[Player, ...], members: bytes) -> None:
    """U3 ⊆ U2, this owner in it, and not fewer than may be opened."""
    survivors = context.players_in(members)
    sharing = dict.fromkeys(sharers)
    if any(player not in sharing for player in survivors):
        raise Rejected("the survivors include an owner that is not in U2")
    if context.me not in survivors:
        raise Rejected("the survivors do not include this owner, which uploaded")
    torn = context.not_whole(members)
    if torn is not None:
        raise Rejected(f"the survivors: {torn}")
    floor = session.survivors_floor()
    if len(survivors) < floor:
        raise Rejected(f"{len(survivors)} survivors, at least {floor} are needed")


def answer(context: Context, session: Session, secrets: OwnerSecrets, members: bytes) -> Role[None]:
    """One share for each owner whose shares are held; to the lead, or sealed to the model owner."""
    if context.terms.reveal == "compute-nodes":
        survivors = dict.fromkeys(context.players_in(members))
        yield Send(LEAD, m.UnmaskShares(secrets.answer(survivors)))
    else:
        box = yield from compute(
            Cost(key_agreements=1, boxes=1),
            lambda: secrets.seal_answer(session, context.me, MODEL_OWNER, context.sealing_key, members),
            "boxes",
        )
        yield Send(LEAD, m.UnmaskBox(box))
