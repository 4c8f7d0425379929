"""Disclosures by honest players, read from what they were told and said.

The reader knows the messages of `secagg` and `secagg+`: whose vector went out under which masks, who gave a share of
which secret, who signed or released the sum of which set. Of a protocol that says other things nothing is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from asyncagg.protocols import effects as e
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context
from asyncagg.protocols.names import Player, index_of
from asyncagg.protocols.secagg import beacon, certificate
from asyncagg.protocols.secagg.session import Session
from asyncagg.protocols.steps.roster import read_entry, root_of
from asyncagg.testing.explore.behaviour import Deed

MASK_KEY, SELF_MASK = "mask key", "self mask"


@dataclass(frozen=True, slots=True, order=True)
class Secret:
    """One of the two secrets of an owner in an attempt. Nobody else may ever know both."""

    owner: Player
    name: str


@dataclass(frozen=True, slots=True)
class Mask:
    """A mask of an upload."""

    name: str
    """The same in every upload that has it."""
    sign: int
    opened_by: tuple[Secret, ...]
    """Secrets any one of which is enough to compute it."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """This owner's vector went out under these masks, since it had been told of these sets (bit i: owner i)."""

    masks: tuple[Mask, ...]
    roster: int
    sharers: int


@dataclass(frozen=True, slots=True)
class Share:
    """This player has a share of a secret, of which `threshold` make it, and gave it to those that unmask, or not."""

    secret: Secret
    threshold: int
    given: bool


@dataclass(frozen=True, slots=True)
class Signed:
    """This owner signed that the sum of exactly these owners (bit i: owner i) is to be opened."""

    members: int


@dataclass(frozen=True, slots=True)
class Released:
    """This player gave what it has to give towards the sum of exactly these owners."""

    members: int
    signers: int
    """Owners whose right signatures on this set it had been shown."""


Fact = Uploaded | Share | Signed | Released


def facts_of(context: Context, role: m.RoleName, deeds: Iterable[Deed]) -> tuple[Fact, ...]:
    """All that follows from what one role was told and said."""
    match role:
        case "owner":
            return tuple(dict.fromkeys(_OwnerReader(context).read(deeds)))
        case "node":
            return tuple(_of_node(context, deeds))
    return ()


class _OwnerReader:
    """Reads what an owner was told and said, from its beginning."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.session: Session | None = None
        self.sharers: tuple[Player, ...] = ()
        self.to_sign = b""
        self.asked: m.UnmaskRequest | None = None

    def read(self, deeds: Iterable[Deed]) -> Iterator[Fact]:
        for deed in deeds:
            match deed:
                case e.Got(_, message):
                    self._told(message)
                case e.Send(_, message):
                    yield from self._said(message)

    def _told(self, message: m.Message) -> None:
        match message:
            case m.Roster():
                self.session = _session(self.context, message)
            case m.ShareBoxes(sharers=sharers):
                self.sharers = self.context.players_in(sharers)
            case m.CertifyRequest(members):
                self.to_sign = members
            case m.UnmaskRequest():
                self.asked = message

    def _said(self, message: m.Message) -> Iterator[Fact]:
        session = self.session
        if session is None:
            return
        match message:
            case m.MaskedSlice():
                sets = _set(self.context.bitmap_of(session.names)), _set(self.context.bitmap_of(self.sharers))
                yield Uploaded(tuple(self._masks(session)), *sets)
                yield from self._shares(session, (MASK_KEY, SELF_MASK), self.sharers, given=False)
            case m.Certify():
                yield Signed(_set(self.to_sign))
            case m.UnmaskShares() | m.UnmaskBox() if self.asked is not None:
                survivors = dict.fromkeys(self.context.players_in(self.asked.members))
                lost = tuple(player for player in self.sharers if player not in survivors)
                yield from self._shares(session, (SELF_MASK,), tuple(survivors), given=True)
                yield from self._shares(session, (MASK_KEY,), lost, given=True)
                yield Released(_set(self.asked.members), self._signers(session, self.asked))

    def _masks(self, session: Session) -> Iterator[Mask]:
        me = self.context.me
        yield Mask(f"self {me}", 1, (Secret(me, SELF_MASK),))
        for other in session.neighbours(me):
            if other in self.sharers:
                low, high = sorted((me, other), key=index_of)
                name = f"pair {low} {high} in {session.id.hex()}"
                yield Mask(name, 1 if other == low else -1, (Secret(me, MASK_KEY), Secret(other, MASK_KEY)))

    def _shares(
        self, session: Session, names: tuple[str, ...], owners: tuple[Player, ...], given: bool
    ) -> Iterator[Share]:
        for owner in owners:
            if owner in session.positions and self.context.me in session.holders(owner):
                yield from (Share(Secret(owner, name), session.threshold, given) for name in names)

    def _signers(self, session: Session, asked: m.UnmaskRequest) -> int:
        roster = self.context.bitmap_of(session.names)
        return _signed_by(self.context, session.id, roster, asked.members, asked.signatures)


def _of_node(context: Context, deeds: Iterable[Deed]) -> Iterator[Fact]:
    """A compute node releases its slice of the sum of the set that it was told, on the certificate it was shown."""
    members, shown = b"", None
    for deed in deeds:
        match deed:
            case e.Got(_, m.Survivors(bitmap)):
                members = bitmap
            case e.Got(_, m.Certificate() as certificate_):
                shown = certificate_
            case e.Send(_, m.SumSlice()):
                signers = 0
                if shown is not None:
                    signers = _signed_by(context, shown.session, shown.roster, members, shown.signatures)
                yield Released(_set(members), signers)


def _session(context: Context, roster: m.Roster) -> Session | None:
    """The session that an owner takes a roster for; None where it cannot be one."""
    members = {each.player: each for each in (read_entry(entry, roster.digest) for entry in roster.entries)}
    names = context.players_in(roster.members)
    root = roster.root or root_of(members.values())
    try:
        value = roster.beacon if beacon.is_needed(context, len(names)) else b""
        return Session.establish(context, names, members, root, value)
    except e.Rejected:
        return None


def _signed_by(context: Context, session: bytes, roster: bytes, members: bytes, signatures: m.Signatures) -> int:
    """Owners of the set whose signatures on it are right, as a set."""
    signers = 0
    for player in context.players_in(members):
        for index, signature in signatures:
            if index == index_of(player) and certificate.is_signed(
                context, session, roster, members, player, signature
            ):
                signers |= 1 << index
    return signers


def _set(bitmap: bytes) -> int:
    return int.from_bytes(bitmap, "little")
