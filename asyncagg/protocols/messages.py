"""Everything one player can say to another: every kind of message, who says it to whom, in which phase, what can be
read, and how large it can be.

This is the vocabulary of the protocols. How messages become bytes, and what is checked on the way back, is in `wire`,
whose names are here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from asyncagg.protocols.wire import KINDS as KINDS
from asyncagg.protocols.wire import Bitmap as Bitmap
from asyncagg.protocols.wire import Bound as Bound
from asyncagg.protocols.wire import Buffer as Buffer
from asyncagg.protocols.wire import Bytes32 as Bytes32
from asyncagg.protocols.wire import Bytes64 as Bytes64
from asyncagg.protocols.wire import CauseIndex as CauseIndex
from asyncagg.protocols.wire import GuiltIndex as GuiltIndex
from asyncagg.protocols.wire import Key as Key
from asyncagg.protocols.wire import Measures as Measures
from asyncagg.protocols.wire import Message as Message
from asyncagg.protocols.wire import MessageError as MessageError
from asyncagg.protocols.wire import OwnerIndex as OwnerIndex
from asyncagg.protocols.wire import PhaseIndex as PhaseIndex
from asyncagg.protocols.wire import Range as Range
from asyncagg.protocols.wire import RoleName as RoleName
from asyncagg.protocols.wire import Signature as Signature
from asyncagg.protocols.wire import Size as Size
from asyncagg.protocols.wire import Tag as Tag
from asyncagg.protocols.wire import Text as Text
from asyncagg.protocols.wire import VectorMessage as VectorMessage
from asyncagg.protocols.wire import body_bytes as body_bytes
from asyncagg.protocols.wire import decode as decode
from asyncagg.protocols.wire import encode as encode
from asyncagg.protocols.wire import from_bitmap as from_bitmap
from asyncagg.protocols.wire import says as says
from asyncagg.protocols.wire import to_bitmap as to_bitmap

# -- how large vectors can be ----------------------------------------------------------------------------------------

_BOX = 128
"""No less than a box with both shares for one holder, and what goes with it."""
_SHARE = 64
"""No less than an answered share, and what goes with it."""
_KEY = 16


def parameters(measures: Measures) -> int:
    """What the model owner publishes."""
    return measures.parameter_bytes


def described(measures: Measures) -> int:
    """The fields of a publication."""
    return measures.description_bytes + body_bytes((Bitmap, Key, Signature), measures.population)


def a_slice(measures: Measures) -> int:
    """One compute node's part of a vector, packed: whole, where nodes hold shares."""
    return measures.slice_bytes


def boxes(measures: Measures) -> int:
    """A box for, or from, everyone who holds shares of one owner's secrets."""
    return _BOX * measures.holders


def answers(measures: Measures) -> int:
    """A share for each owner whose holder one is, perhaps sealed."""
    return _SHARE * (measures.holders + 1)


def all_answers(measures: Measures) -> int:
    """Those of everybody."""
    return measures.population * answers(measures)


def mask_keys(measures: Measures) -> int:
    """A self mask for each survivor, and those that the lost have with survivors: the most, over how many are lost."""
    lost = min(measures.holders, measures.population // 2)
    return _KEY * (measures.population + lost * (measures.population - lost))


# -- from the model owner --------------------------------------------------------------------------------------------


@says("publish", "owner", "publish", sender="receiver", payload=parameters, body=described)
@dataclass(frozen=True, slots=True)
class Publish(VectorMessage):
    """The parameters of this round, one array after another; `sealing_key` when the sum is revealed to the sender."""

    arrays: tuple[tuple[Text, tuple[OwnerIndex, ...], Text], ...]
    """Name, shape and dtype of every array in `data`."""
    cohort: Bitmap
    sealing_key: Key
    signature: Signature
    """Over the round id and the parameter digest (threat `lying`), else empty."""


@says("begin", "node", "publish", sender="receiver")
@dataclass(frozen=True, slots=True)
class Begin(Message):
    """The model owner opens an attempt at a compute node."""

    cohort: Bitmap
    digest: Bytes32
    sealing_key: Key
    signature: Signature


@says("finish", "owner", "reveal", sender="receiver", also=(("receiver", "node"),))
@dataclass(frozen=True, slots=True)
class Finish(Message):
    """The run is over."""

    reason: Text


# -- owners and the lead ---------------------------------------------------------------------------------------------


@says("joined", "lead", "publish", sender="owner")
@dataclass(frozen=True, slots=True)
class Joined(Message):
    """An owner's vector is ready; the digest of the parameters it was given."""

    digest: Bytes32


@says("advertise", "lead", "advertise", sender="owner")
@dataclass(frozen=True, slots=True)
class Advertise(Message):
    """Fresh public keys of one attempt. Source: CCS 2017, round 0."""

    mask_key: Bytes32
    sealing_key: Key
    digest: Bytes32
    signature: Signature


Entry = tuple[OwnerIndex, Bytes32, Key, Key, Signature]
"""One line of a roster: index, mask key, sealing key (may be empty), digest of the parameters where it is not the
roster's (else empty), signature (threat `lying`, else empty)."""


@says("roster", "owner", "advertise", sender="lead")
@dataclass(frozen=True, slots=True)
class Roster(Message):
    """Who advertised what: U1 as a bitmap, and the entries this owner needs, in order of index."""

    members: Bitmap
    digest: Bytes32
    entries: tuple[Entry, ...]
    root: Key
    """Root of the hash tree over all entries where not all of them are listed, else empty."""
    beacon: Key
    """The model owner's 32 fresh bytes (secagg+ against a lying lead), else empty."""
    beacon_signature: Signature


@says("roster-fixed", "receiver", "advertise", sender="lead")
@dataclass(frozen=True, slots=True)
class RosterFixed(Message):
    """The lead tells the model owner the root of the roster, and asks for the beacon."""

    root: Bytes32


@says("beacon", "lead", "advertise", sender="receiver")
@dataclass(frozen=True, slots=True)
class Beacon(Message):
    """Fresh randomness, signed with the roster's root: nobody can choose the graph. Once an attempt."""

    value: Bytes32
    signature: Bytes64


@says("sealed-shares", "lead", "share", "sealed", sender="owner", payload=boxes)
@dataclass(frozen=True, slots=True)
class SealedShares(VectorMessage):
    """One owner's boxes, each with a share of its two secrets for one holder and their tags, in order; and H(b).

    On the complete graph the tags of the shares that the owner itself holds stand at the end.
    """

    commitment: Bytes32


@says("share-boxes", "owner", "share", "sealed", sender="lead", payload=boxes)
@dataclass(frozen=True, slots=True)
class ShareBoxes(VectorMessage):
    """The boxes addressed to this owner with their tags, in order of sender; and U2."""

    sharers: Bitmap
    signature: Signature
    """The model owner's on H(U2) (secagg+ against a lying lead), else empty."""


@says("sharers-fixed", "receiver", "share", sender="lead")
@dataclass(frozen=True, slots=True)
class SharersFixed(Message):
    """The lead tells the model owner H(U2), and asks it to sign that: all owners are to mask over one U2."""

    digest: Bytes32


@says("sharers-signed", "lead", "share", sender="receiver")
@dataclass(frozen=True, slots=True)
class SharersSigned(Message):
    """The model owner's signature on the session and H(U2). Once an attempt."""

    signature: Bytes64


@says("complaint", "lead", "share", sender="owner")
@dataclass(frozen=True, slots=True)
class Complaint(Message):
    """An owner cannot use the boxes of these owners; said before its upload, and only where there are any."""

    dealers: Bitmap


@says("excluded", "owner", "upload", sender="lead")
@dataclass(frozen=True, slots=True)
class Excluded(Message):
    """The lead tells an owner that it is no longer part of this attempt."""

    reason: Text


@says("ready", "lead", "upload", sender="owner")
@dataclass(frozen=True, slots=True)
class Ready(Message):
    """An owner's masked vector is ready: it asks for a permit."""


@says("permit", "owner", "upload", sender="lead")
@dataclass(frozen=True, slots=True)
class Permit(Message):
    """This owner may upload now."""


# -- uploads ---------------------------------------------------------------------------------------------------------


@says("masked-slice", "node", "upload", "masked", sender="owner", permitted=True, payload=a_slice)
@dataclass(frozen=True, slots=True)
class MaskedSlice(VectorMessage):
    """One owner's masked coordinates for one compute node, packed to the ring's bits; `tag` is their checksum."""

    digest: Bytes32
    tag: Tag


@says("clear-slice", "node", "upload", "clear", sender="owner", permitted=True, payload=a_slice)
@dataclass(frozen=True, slots=True)
class ClearSlice(MaskedSlice):
    """The same without any mask: protocol `plain`."""


@says("share-slice", "node", "upload", "masked", sender="owner", permitted=True, payload=a_slice)
@dataclass(frozen=True, slots=True)
class ShareSlice(MaskedSlice):
    """An owner's vector less its shares for the other compute nodes, to compute node 0 (protocol `additive`)."""

    signature: Signature
    """The owner's (threat `lying`), else empty."""


@says("node-key", "owner", "publish", sender="node")
@dataclass(frozen=True, slots=True)
class NodeKey(Message):
    """A compute node's fresh public key, to seal an owner's seed to (protocol `additive`)."""

    public: Bytes32
    signature: Signature


@says("sealed-seed", "node", "upload", "sealed", sender="owner", permitted=True)
@dataclass(frozen=True, slots=True)
class SealedSeed(Message):
    """The seed of one additive share, sealed to one compute node."""

    digest: Bytes32
    public: Bytes32
    box: Annotated[bytes, Size(32, 32)]
    signature: Signature
    """The owner's (threat `lying`), else empty."""


@says("held", "lead", "upload", sender="node", many=True)
@dataclass(frozen=True, slots=True)
class Held(Message):
    """A compute node holds this owner's complete, checked slice, and has not added it."""

    owner: OwnerIndex


@says("faulty", "lead", "upload", sender="node", many=True)
@dataclass(frozen=True, slots=True)
class Faulty(Message):
    """A compute node refuses this owner's slice."""

    owner: OwnerIndex
    reason: Text


@says("commit", "node", "upload", sender="lead", many=True)
@dataclass(frozen=True, slots=True)
class Commit(Message):
    """Every compute node holds the slices of this whole batch (of this owner, where there are none): add them."""

    batch: OwnerIndex


@says("discard", "node", "upload", sender="lead", many=True)
@dataclass(frozen=True, slots=True)
class Discard(Message):
    """This batch is out (this owner, where there are none): forget its slices, and take none of its owners."""

    batch: OwnerIndex


@says("survivors", "node", "upload", sender="lead")
@dataclass(frozen=True, slots=True)
class Survivors(Message):
    """The one set, fixed for every slice, whose vectors are in the sum."""

    members: Bitmap


# -- opening the sum -------------------------------------------------------------------------------------------------

Signatures = tuple[tuple[OwnerIndex, Bytes64], ...]


@says("certify-request", "owner", "certify", sender="lead")
@dataclass(frozen=True, slots=True)
class CertifyRequest(Message):
    """The lead shows an owner U3, to be signed (threat `lying`)."""

    members: Bitmap


@says("certify", "lead", "certify", sender="owner")
@dataclass(frozen=True, slots=True)
class Certify(Message):
    """An owner's signature on the session, U1 and U3."""

    signature: Bytes64


@says("certificate", "node", "certify", sender="lead")
@dataclass(frozen=True, slots=True)
class Certificate(Message):
    """Enough signatures on one U3: a compute node releases nothing without them (threat `lying`)."""

    session: Bytes32
    roster: Bitmap
    signatures: Signatures


@says("unmask-request", "owner", "unmask", sender="lead")
@dataclass(frozen=True, slots=True)
class UnmaskRequest(Message):
    """The lead asks the survivors for shares: of b for who is in U3, of the mask key for who is in U2 only."""

    members: Bitmap
    signatures: Signatures


@says("unmask-shares", "lead", "unmask", "share", sender="owner", payload=answers)
@dataclass(frozen=True, slots=True)
class UnmaskShares(VectorMessage):
    """One share for every owner whose shares the sender holds, in order of index: which of the two follows from U3.

    Where the box was bad, 36 bytes 0xFF stand for the share.
    """


@says("unmask-box", "lead", "unmask", "sealed", sender="owner", payload=answers)
@dataclass(frozen=True, slots=True)
class UnmaskBox(VectorMessage):
    """The same, sealed to the model owner (reveal `model-owner`)."""


@says("mask-keys", "node", "unmask", "share", sender="lead", payload=mask_keys)
@dataclass(frozen=True, slots=True)
class MaskKeys(VectorMessage):
    """16-byte keys of the masks to be removed: `added` of them are added to the sum, the others subtracted."""

    added: Annotated[int, Range(0, 2**40)]


@says("opening", "receiver", "unmask", "sealed", sender="lead", payload=all_answers)
@dataclass(frozen=True, slots=True)
class Opening(VectorMessage):
    """All that the model owner needs to remove the masks itself.

    `data` holds the boxes of those who answered, then for each of them the tags of the shares in its box, in order.
    """

    roster: Bitmap
    sharers: Bitmap
    members: Bitmap
    answered: Bitmap
    entries: tuple[Entry, ...]
    commitments: Annotated[bytes, Size(0, bits=256)]
    """H(b) of every sharer, in order."""
    signatures: Signatures
    complaints: tuple[tuple[OwnerIndex, Bitmap], ...]
    """Who complained of whose boxes."""


# -- the end of an attempt -------------------------------------------------------------------------------------------


@says("sum-slice", "receiver", "reveal", "sum", sender="node", payload=a_slice)
@dataclass(frozen=True, slots=True)
class SumSlice(VectorMessage):
    """A compute node's sum over the survivors, packed to the ring's bits."""

    tag: Tag


@says("sum-share", "receiver", "reveal", "share", sender="node", payload=a_slice)
@dataclass(frozen=True, slots=True)
class SumShare(SumSlice):
    """An additive share of the sum: worthless without those of all other compute nodes."""


@says("masked-sum", "receiver", "reveal", "masked", sender="node", payload=a_slice)
@dataclass(frozen=True, slots=True)
class MaskedSum(SumSlice):
    """A sum that still carries masks, which only the model owner can remove."""


@says("report", "receiver", "reveal", sender="lead")
@dataclass(frozen=True, slots=True)
class Report(Message):
    """The lead's account of the attempt: who is in the sum, who was dropped when, who fell silent after the upload.

    `culprits` are not to be invited again in this run.
    """

    members: Bitmap
    dropped: tuple[tuple[OwnerIndex, PhaseIndex], ...]
    silent_after: tuple[tuple[OwnerIndex, PhaseIndex], ...]
    culprits: tuple[tuple[OwnerIndex, GuiltIndex], ...]


@says("losses", "receiver", "reveal", sender="lead")
@dataclass(frozen=True, slots=True)
class Losses(Message):
    """The lead tells why owners were dropped, before its report or failure, and only if there were any."""

    losses: tuple[tuple[OwnerIndex, CauseIndex, Text], ...]


FAILURES: tuple[tuple[RoleName, RoleName], ...] = (
    ("lead", "node"),
    ("lead", "owner"),
    ("node", "lead"),
    ("node", "receiver"),
    ("owner", "lead"),
)


@says("failed", "receiver", "reveal", sender="lead", also=FAILURES)
@dataclass(frozen=True, slots=True)
class Failed(Message):
    """The sender ends the attempt (lead, model owner) or its own part in it (owner, compute node).

    `culprits`, which only the lead's word makes, are not to be invited again in this run. `cause` is an owner's alone:
    whether its own computation failed.
    """

    reason: Text
    dropped: tuple[tuple[OwnerIndex, PhaseIndex], ...]
    exposed: bool
    culprits: tuple[tuple[OwnerIndex, GuiltIndex], ...]
    cause: CauseIndex = 0


COMMON: tuple[type[Message], ...] = (
    Publish,
    Begin,
    Finish,
    Joined,
    Excluded,
    Ready,
    Permit,
    Held,
    Faulty,
    Commit,
    Discard,
    Survivors,
    Losses,
    Report,
    Failed,
)
"""What players say to each other whatever the protocol."""
