"""Fresh keys of all owners through the lead: everyone advertises one, and is shown all of them.

owner → lead    Advertise (a fresh X25519 key; signed where the lead may lie)
lead  → owners  Roster with everybody's entry
"""

from __future__ import annotations

from dataclasses import dataclass

from asyncagg.crypto.agreement import AgreementError, KeyPair
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import Cost, Enter, Rejected, Role, Send, compute, receive
from asyncagg.protocols.names import LEAD, Player
from asyncagg.protocols.steps.lead import Lead
from asyncagg.protocols.steps.roster import Gate, Member, member_of, read_roster, root_of, signed


@dataclass(frozen=True, slots=True)
class Exchanged:
    """Result of the key exchange at an owner."""

    pair: KeyPair
    """Its own."""
    members: dict[Player, Member]
    """Everyone in the roster, itself included, in order of index."""
    bitmap: bytes
    """The roster as a bitmap over the population."""
    session: bytes
    """Session id: the attempt and all that was advertised in it."""


def exchange_keys(context: Context) -> Role[Exchanged]:
    """Exchange keys at an owner: advertise a fresh key, take the roster. Rejected for one it must not accept."""
    yield Enter("advertise")
    pair = yield from compute(Cost(key_pairs=1), lambda: KeyPair.generate(context.randomness), "keys")
    bare = Member(context.me, pair.public, b"", context.digest, b"")
    own = Member(bare.player, bare.mask_key, b"", bare.digest, signed(context, bare))
    yield Send(LEAD, m.Advertise(own.mask_key, own.sealing_key, own.digest, own.signature))
    roster = yield from receive(m.Roster, LEAD)
    names, members = read_roster(context, roster, own)
    if len(members) != len(names):
        raise Rejected("the roster does not list all its members: masks with some of them alone protect nothing")
    return Exchanged(pair, members, roster.members, context.session_id(root_of(members.values())))


def show_keys(lead: Lead) -> Role[tuple[Player, ...]]:
    """Show the keys at the lead: take the adverts and send everyone all of them; returns who is in the roster."""
    context = lead.context
    adverts = yield from lead.gather("advertise", m.Advertise, Gate(context).refusal)
    entries = tuple(member_of(player, advert).entry(context.digest) for player, advert in adverts.items())
    roster = m.Roster(lead.bitmap(lead.alive), context.digest, entries, b"", b"", b"")
    for player in adverts:
        yield Send(player, roster)
    return tuple(adverts)


def shared(pair: KeyPair, other: Player, public: bytes) -> bytes:
    """The X25519 secret with another player; Rejected, with its name, for a key that no agreement is made with."""
    try:
        return pair.shared(public)
    except AgreementError as error:
        raise Rejected(f"{other}: {error}") from None
