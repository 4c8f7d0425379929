"""Session of a roster, which everyone derives alike, and the checks an owner makes before it accepts a roster.

The entries enter the session id as the root of a hash tree. On the complete graph every owner is sent all of them; on a
k-regular graph a curious lead sends an owner its neighbours' entries and the root, a lying one has to send all, signed.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from asyncagg.crypto import hashtree
from asyncagg.crypto.agreement import AgreementError, KeyPair, canonical
from asyncagg.crypto.kdf import encode_fields
from asyncagg.crypto.signing import verify_cached
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import Rejected
from asyncagg.protocols.names import Player, index_of, owner_name


class Member(NamedTuple):
    """One owner of a roster, as it advertised itself."""

    player: Player
    mask_key: bytes
    sealing_key: bytes
    digest: bytes
    signature: bytes

    def entry(self, digest: bytes) -> m.Entry:
        """Its line in a roster whose common digest is `digest`."""
        own = b"" if self.digest == digest else self.digest
        return (index_of(self.player), self.mask_key, self.sealing_key, own, self.signature)

    def leaf(self) -> bytes:
        """Its line as it enters the hash tree."""
        return encode_fields(index_of(self.player), self.mask_key, self.sealing_key, self.digest, self.signature)


def member_of(player: Player, advert: m.Advertise) -> Member:
    return Member(player, advert.mask_key, advert.sealing_key, advert.digest, advert.signature)


def read_entry(entry: m.Entry, digest: bytes) -> Member:
    index, mask_key, sealing_key, own, signature = entry
    return Member(owner_name(index), mask_key, sealing_key, own or digest, signature)


def root_of(members: Iterable[Member]) -> bytes:
    """Root of the hash tree over all entries, in order of index, 32 bytes."""
    return _root(tuple(members))


@lru_cache(maxsize=8)
def _root(members: tuple[Member, ...]) -> bytes:
    """Cached: in one process all owners hash the same roster."""
    return hashtree.root([member.leaf() for member in members])


# -- signatures ------------------------------------------------------------------------------------------------------


def advert_text(context: Context, member: Member) -> bytes:
    """Text that an owner signs when it advertises."""
    return encode_fields(
        "asyncagg advertise",
        context.round_id,
        index_of(member.player),
        member.mask_key,
        member.sealing_key,
        member.digest,
    )


def signed(context: Context, member: Member) -> bytes:
    """This player's signature on its own entry; empty where the lead is curious."""
    return context.sign(advert_text(context, member))


def check_signature(context: Context, member: Member) -> str | None:
    """None, or why this entry is not this pinned owner's. Always None where the lead is curious."""
    if context.terms.threat == "curious":
        return None
    public = context.terms.identities.get(member.player)
    if public is None:
        return f"{member.player} has no pinned identity"
    if not verify_cached(public, advert_text(context, member), member.signature):
        return f"the signature of {member.player} on its keys is wrong"
    return None


# -- checks ----------------------------------------------------------------------------------------------------------


class Gate:
    """The lead's checks on one advertisement after another, so that a bad one costs nobody else its round."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._keys: dict[bytes, Player] = {}
        self._probe = KeyPair.generate(context.randomness)

    def refusal(self, player: Player, advert: m.Advertise) -> str | None:
        """None, or why this owner is dropped."""
        if advert.digest != self._context.digest:
            return "parameters-differ"
        member = member_of(player, advert)
        if bool(advert.sealing_key) != (self._context.terms.graph is not None):
            return "its sealing key is missing, or this protocol has none"
        keys = [key for key in (member.mask_key, member.sealing_key) if key]
        try:
            forms = [canonical(key) for key in keys]
            for key in keys:
                self._probe.shared(key)
        except AgreementError as error:
            return str(error)
        if len({*forms}) != len(forms) or any(form in self._keys for form in forms):
            return "its key is somebody's key already"
        reason = check_signature(self._context, member)
        if reason is None:
            self._keys.update(dict.fromkeys(forms, player))
        return reason


def read_roster(context: Context, roster: m.Roster, own: Member) -> tuple[tuple[Player, ...], dict[Player, Member]]:
    """Everyone in the roster by name, and the entries listed in it; Rejected for what an owner must not accept."""
    terms = context.terms
    names = context.players_in(roster.members)
    check_invited(context, names)
    listed = {member.player: member for member in (read_entry(entry, roster.digest) for entry in roster.entries)}
    if len(listed) != len(roster.entries) or any(player not in names for player in listed):
        raise Rejected("the roster lists an owner twice, or one that is not a member")
    if not roster.root and tuple(listed) != names:
        raise Rejected("the roster does not list all its members in order")
    least = max(context.roster_floor, terms.minimum_cohort)
    if len(names) < least:
        raise Rejected(f"a roster of {len(names)} owners, must be at least {least}")
    torn = context.not_whole(roster.members)
    if torn is not None:
        raise Rejected(f"the roster: {torn}")
    if listed.get(own.player) != own:
        raise Rejected("the roster does not hold this owner's own entry")
    if any(member.digest != context.digest for member in listed.values()):
        raise Rejected("parameters-differ: the roster holds owners that were given other parameters")
    check_keys(listed.values())
    for member in listed.values():
        reason = check_signature(context, member) if member.player != own.player else None
        if reason is not None:
            raise Rejected(reason)
    return names, listed


def check_invited(context: Context, names: tuple[Player, ...]) -> None:
    """Rejected if somebody was not invited to this attempt: colluders from elsewhere are not in any threshold."""
    invited = dict.fromkeys(context.cohort)
    strangers = [player for player in names if player not in invited]
    if strangers:
        raise Rejected(f"the roster names {strangers[0]}, which is not invited to this attempt")


def check_keys(members: Iterable[Member]) -> None:
    """Rejected unless all keys in the roster are different, in canonical form."""
    forms: dict[bytes, Player] = {}
    for member in members:
        for key in (member.mask_key, member.sealing_key):
            if not key:
                continue
            try:
                form = canonical(key)
            except AgreementError as error:
                raise Rejected(f"{member.player}: {error}") from None
            if form in forms:
                raise Rejected(f"{member.player} and {forms[form]} have the same key")
            forms[form] = member.player
