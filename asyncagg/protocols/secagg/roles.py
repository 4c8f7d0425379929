"""`secagg` (Bonawitz et al., CCS 2017) and `secagg+` (Bell et al., CCS 2020): one conversation over a graph.

    phase      owner → lead                              lead → owner
    advertise  public keys [lying: signed]               roster of U1 [secagg+, lying: and the beacon]
    share      to each holder box(share of s_sk, of b),  the boxes addressed to it, and their tags; U2
               a tag of either share; H(b)               [secagg+, lying: signed by the model owner]
               if a box is bad: whose
    upload     y_u = x_u + PRG(b_u) ± Σ PRG(s_uv) over v in U2, slice j to compute node j
    certify    [lying] signature on (session, U1, U3)    —
    unmask     one share per owner: of b if in U3,       [lying: with the certificate]
               of s_sk if in U2 but not in U3

The lead rebuilds secrets and gives the nodes keys of the masks to remove, never s_sk or b (reveal `compute-nodes`); or
the answers are sealed to the model owner, which does all that itself, and the nodes only ever add (`model-owner`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from asyncagg.crypto.keystream import SignedKey, add_masks
from asyncagg.crypto.sealing import OVERHEAD
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import Cost, Enter, Rejected, Role, Send, compute, receive
from asyncagg.protocols.interface import Protocol
from asyncagg.protocols.names import LEAD, MODEL_OWNER, Player, index_of
from asyncagg.protocols.secagg import beacon, certificate, sharers_signature
from asyncagg.protocols.secagg.forecast import SecaggForecaster
from asyncagg.protocols.secagg.opening import open_sums, refuse_culprits
from asyncagg.protocols.secagg.owner import owner
from asyncagg.protocols.secagg.relay import entries_by_holder, sealed_bytes, tags_by_holder
from asyncagg.protocols.secagg.session import Session
from asyncagg.protocols.secagg.unmasking import Unmasking, pack_masks, unpack_masks
from asyncagg.protocols.secagg.upload_rules import ComplaintRules
from asyncagg.protocols.steps.lead import Lead
from asyncagg.protocols.steps.reveal import Revealed, Sums, check_sum, receive_slices, send_sum
from asyncagg.protocols.steps.roster import Gate, Member, member_of, root_of
from asyncagg.protocols.steps.upload import SliceHolder
from asyncagg.vectors.ring import RingVector

# -- lead ------------------------------------------------------------------------------------------------------------


def lead(context: Context) -> Role[None]:
    lead = Lead(context)
    yield from lead.guard(_conversation(lead))


def _conversation(lead: Lead) -> Role[None]:
    context = lead.context
    yield from lead.gather("publish", m.Joined, lead.same_parameters)
    session, members = yield from _roster(lead)
    tags, unmasking = yield from _shares(lead, session)
    rules = ComplaintRules(session, unmasking.sharers)
    yield from lead.upload(_upload_floor(session), rules)
    rules.require_holders()
    unmasking = unmasking.with_survivors(lead.survivors, rules.complaints)
    yield from lead.announce()
    signatures = yield from _certify(lead, session)
    answers = yield from _unmask(lead, unmasking, signatures)
    if context.terms.reveal == "compute-nodes":
        yield from _give_masks(lead, unmasking, answers, tags)
    else:
        yield from _give_opening(lead, unmasking, members, answers, tags, signatures)
    yield from lead.report()


def _roster(lead: Lead) -> Role[tuple[Session, tuple[Member, ...]]]:
    """Take the adverts, fix U1, and show every owner what it needs of it."""
    context = lead.context
    gate = Gate(context)
    adverts = yield from lead.gather("advertise", m.Advertise, gate.refusal)
    members = {player: member_of(player, advert) for player, advert in adverts.items()}
    root = root_of(members.values())
    _check_floor(context, len(members))
    value, signature = b"", b""
    if beacon.is_needed(context, len(members)):
        yield Send(MODEL_OWNER, m.RosterFixed(root))
        given = yield from receive(m.Beacon, MODEL_OWNER)
        value, signature = given.value, given.signature
    session = Session.establish(context, tuple(members), members, root, value)
    bitmap = lead.bitmap(lead.alive)
    entries = {player: member.entry(context.digest) for player, member in members.items()}
    whole = session.parameters.complete or context.terms.threat == "lying"
    everything = m.Roster(bitmap, context.digest, tuple(entries.values()), b"", value, signature)
    for player in members:
        if whole:
            yield Send(player, everything)
        else:
            near = sorted((player, *session.neighbours(player)), key=index_of)
            shown = tuple(entries[each] for each in near)
            yield Send(player, m.Roster(bitmap, context.digest, shown, root, value, signature))
    return session, tuple(members.values())


def _check_floor(context: Context, members: int) -> None:
    least = max(context.roster_floor, context.terms.minimum_cohort)
    if members < least:
        raise Rejected(f"{members} owners advertised, at least {least} are needed")


def _shares(lead: Lead, session: Session) -> Role[tuple[dict[Player, bytes], Unmasking]]:
    """Relay the boxes; who shared is U2. Returns, beside the session so far, the tags of what each of U2 holds."""

    def refusal(player: Player, message: m.SealedShares) -> str | None:
        wanted = sealed_bytes(session, player)
        return None if len(message.data) == wanted else f"{len(message.data)} bytes of boxes, must be {wanted}"

    sealed = yield from lead.gather("share", m.SealedShares, refusal)
    uncovered = session.check_covered(sealed, sealed)
    if uncovered is not None:
        raise Rejected(uncovered)
    data = {player: message.data for player, message in sealed.items()}
    entries = entries_by_holder(session, data)
    bitmap = lead.bitmap(lead.alive)
    signature = b""
    if sharers_signature.is_signed(session):
        yield Send(MODEL_OWNER, m.SharersFixed(sharers_signature.digest(bitmap)))
        signature = (yield from receive(m.SharersSigned, MODEL_OWNER)).signature
    for player in sealed:
        yield Send(player, m.ShareBoxes(entries[player], bitmap, signature))
    commitments = {player: message.commitment for player, message in sealed.items()}
    return tags_by_holder(session, data, entries), Unmasking(session, tuple(sealed), {}, commitments)


def _upload_floor(session: Session) -> int:
    """Fewest survivors with which anything can be opened, or anybody can sign for it."""
    if session.context.terms.threat == "curious":
        return session.survivors_floor()
    return max(session.survivors_floor(), certificate.quorum(session.context, len(session.names)))


def _certify(lead: Lead, session: Session) -> Role[m.Signatures]:
    """Against a lying lead: enough signatures on the one U3, for owners, nodes and the model owner."""
    context = lead.context
    if context.terms.threat == "curious":
        return ()
    members, roster = lead.bitmap(lead.survivors), context.bitmap_of(session.names)

    def refusal(player: Player, message: m.Certify) -> str | None:
        right = certificate.is_signed(context, session.id, roster, members, player, message.signature)
        return None if right else "its signature on the survivors is wrong"

    signatures = yield from lead.poll("certify", m.CertifyRequest(members), m.Certify, refusal)
    collected = tuple((index_of(player), message.signature) for player, message in signatures.items())
    certificate.check(context, session.id, roster, members, collected)
    for each in context.terms.nodes:
        yield Send(each, m.Certificate(session.id, roster, collected))
    return collected


def _unmask(lead: Lead, unmasking: Unmasking, signatures: m.Signatures) -> Role[dict[Player, bytes]]:
    """Ask the survivors for the shares that follow from U3."""
    to_model_owner = lead.terms.reveal == "model-owner"
    seal = OVERHEAD if to_model_owner else 0

    def refusal(player: Player, message: m.VectorMessage) -> str | None:
        wanted = unmasking.answer_bytes(player) + seal
        return None if len(message.data) == wanted else f"{len(message.data)} bytes of shares, must be {wanted}"

    request = m.UnmaskRequest(lead.bitmap(lead.survivors), signatures)
    kind: type[m.VectorMessage] = m.UnmaskBox if to_model_owner else m.UnmaskShares
    answers = yield from lead.poll("unmask", request, kind, refusal)
    return {player: bytes(message.data) for player, message in answers.items()}


def _give_masks(
    lead: Lead, unmasking: Unmasking, answers: Mapping[Player, bytes], tags: Mapping[Player, bytes]
) -> Role[None]:
    """Rebuild the secrets and tell every node which masks to remove from its slice."""

    def answer_tags(holder: Player) -> bytes:
        return unmasking.answer_tags(holder, tags[holder])

    recovered = yield from compute(unmasking.cost(), lambda: unmasking.recover(answers, answer_tags), "unmask")
    lead.culprits.update(recovered.culprits)
    yield from refuse_culprits(recovered)
    added, keys = pack_masks(recovered.masks)
    for each in lead.terms.nodes:
        yield Send(each, m.MaskKeys(keys, added))


def _give_opening(
    lead: Lead,
    unmasking: Unmasking,
    members: tuple[Member, ...],
    answers: Mapping[Player, bytes],
    tags: Mapping[Player, bytes],
    signatures: m.Signatures,
) -> Role[None]:
    context = lead.context
    answer_tags = [unmasking.answer_tags(holder, tags[holder]) for holder in answers]
    yield Send(
        MODEL_OWNER,
        m.Opening(
            b"".join([*answers.values(), *answer_tags]),
            context.bitmap_of(unmasking.session.names),
            context.bitmap_of(unmasking.sharers),
            context.bitmap_of(unmasking.survivors),
            context.bitmap_of(answers),
            tuple(member.entry(context.digest) for member in members),
            b"".join(unmasking.commitments[player] for player in unmasking.sharers),
            signatures,
            tuple((index_of(each), context.bitmap_of(dealers)) for each, dealers in unmasking.complaints.items()),
        ),
    )


# -- compute node ----------------------------------------------------------------------------------------------------


def node(context: Context) -> Role[None]:
    holder = SliceHolder(context, m.MaskedSlice)
    survivors = yield from holder.gather()
    if context.terms.threat == "lying":
        yield Enter("certify")
        shown = yield from receive(m.Certificate, LEAD)
        yield from compute(
            Cost(signatures=len(shown.signatures)),
            lambda: certificate.check(
                context, shown.session, shown.roster, context.bitmap_of(survivors), shown.signatures
            ),
            "certificate",
        )
    if context.terms.reveal == "model-owner":
        yield from send_sum(context, survivors, holder.sum, m.MaskedSum)
        return
    yield Enter("unmask")
    keys = yield from receive(m.MaskKeys, LEAD)
    masks = unpack_masks(keys.added, bytes(keys.data))
    yield from remove_masks(holder.sum, masks, context.terms.slice_bounds(holder.node)[0])
    yield from send_sum(context, survivors, holder.sum, m.SumSlice)


def remove_masks(words: RingVector, masks: list[SignedKey], start: int) -> Role[None]:
    """Expand the masks over these elements of the extended vector, the first of which is `start`; in place."""
    cost = Cost(keystream_bytes=len(masks) * words.nbytes, expanded=len(masks) * len(words))
    yield from compute(cost, lambda: add_masks(words, masks, start), "unmask")


# -- receiver --------------------------------------------------------------------------------------------------------


def receiver(context: Context) -> Role[Revealed]:
    """The model owner: gives the beacon when asked; then takes the sums, or the masked sums and what opens them."""
    if context.terms.reveal == "compute-nodes":
        return (yield from receive_slices(context, m.SumSlice))
    sums = Sums(context, m.MaskedSum)
    report = yield from sums.collect()
    recovered = yield from open_sums(context, report, sums)
    slices = []
    for index, each in enumerate(context.terms.nodes):
        words = sums.slices[each]
        yield from remove_masks(words, recovered.masks, context.terms.slice_bounds(index)[0])
        slices.append(words)
    revealed = yield from check_sum(context, report, slices)
    return replace(revealed, culprits={**revealed.culprits, **recovered.culprits})


# -- the two protocols -----------------------------------------------------------------------------------------------


SECAGG = Protocol(
    name="secagg",
    phases=("publish", "advertise", "share", "upload", "certify", "unmask", "reveal"),
    owner=owner,
    lead=lead,
    node=node,
    receiver=receiver,
    forecaster=SecaggForecaster(),
    kinds=(
        m.Advertise,
        m.Roster,
        m.RosterFixed,
        m.Beacon,
        m.SealedShares,
        m.SharersFixed,
        m.SharersSigned,
        m.Complaint,
        m.ShareBoxes,
        m.MaskedSlice,
        m.CertifyRequest,
        m.Certify,
        m.Certificate,
        m.UnmaskRequest,
        m.UnmaskShares,
        m.UnmaskBox,
        m.MaskKeys,
        m.Opening,
        m.SumSlice,
        m.MaskedSum,
    ),
    graph="secagg",
    reveals=("compute-nodes", "model-owner"),
)
SECAGG_PLUS = replace(SECAGG, name="secagg+", graph="secagg+")
