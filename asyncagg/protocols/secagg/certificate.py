"""Signatures on one set of survivors: against a lying lead, nothing is opened without enough of them.

An owner signs (round id, session, U1, U3) once an attempt. A certificate has signatures of at least
⌊(n + n_c)/2⌋ + 1 distinct members of U3 (and never fewer than t on the complete graph), where n is the size of the
round's cohort, however small the roster: two different sets cannot both have as many, even if the corrupt owners sign
both. So one session of an attempt is certified, with one U3. From the roster's size two rosters could be, and owners of
one could stand in the other as dealers of bad boxes, whose mask keys the first opens. Owners, compute nodes and the
model owner check it.
"""

from __future__ import annotations

from asyncagg.crypto.kdf import encode_fields
from asyncagg.crypto.signing import verify_cached
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import Rejected
from asyncagg.protocols.names import Player, owner_name
from asyncagg.protocols.parameters.population import Infeasible


def text(context: Context, session: bytes, roster: bytes, members: bytes) -> bytes:
    """Text that an owner signs: U1 (`roster`) and U3 (`members`) as bitmaps."""
    return encode_fields("asyncagg certify", context.round_id, session, roster, members)


def is_signed(
    context: Context, session: bytes, roster: bytes, members: bytes, player: Player, signature: bytes
) -> bool:
    """True if this pinned owner signed these sets in this session."""
    public = context.terms.identities.get(player)
    return public is not None and verify_cached(public, text(context, session, roster, members), signature)


def quorum(context: Context, members: int) -> int:
    """Signatures that a certificate of a roster of so many needs. Rejected where there are no parameters for it."""
    policy = context.graph
    if policy is None:
        raise Rejected("a certificate in a protocol that has none")
    try:
        return policy.quorum(members)
    except Infeasible as refusal:
        raise Rejected(str(refusal)) from None


def check(context: Context, session: bytes, roster: bytes, members: bytes, signatures: m.Signatures) -> None:
    """Rejected unless enough distinct members of U3 signed this U3."""
    names, survivors = context.players_in(roster), dict.fromkeys(context.players_in(members))
    if len(names) < context.roster_floor:
        raise Rejected(f"a certificate for a roster of {len(names)}, must be at least {context.roster_floor}")
    needed = quorum(context, len(names))
    good = {
        owner_name(index): None
        for index, signature in signatures
        if owner_name(index) in survivors and is_signed(context, session, roster, members, owner_name(index), signature)
    }
    if len(good) < needed:
        raise Rejected(f"{len(good)} members signed this set of survivors, {needed} are needed")
