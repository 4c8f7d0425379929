"""Everything one player can say to another: frozen messages, their bytes, and the checks on what a peer sent.

A message is a small msgpack array `[round, attempt, field, …]` (the body) and, for the kinds that carry a vector, a raw
payload. Every field has a type with bounds; `decode` refuses anything else with a `MessageError` that names the field.
`KINDS` lists every kind with the role it is for, its phase, and what its receiver can read in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgpack

from asyncagg.protocols.terms import PHASES, Exposure, Label, Phase

RoleName = Literal["owner", "lead", "node", "receiver"]
Buffer = bytes | bytearray | memoryview


class MessageError(ValueError):
    """A peer's bytes are not the message they claim to be."""


@dataclass(frozen=True, slots=True)
class Size:
    """Bounds of a byte string, a text (in characters) or a tuple."""

    least: int
    most: int | None = None
    """None: bounded by the limit on the body alone."""


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of an integer, both included."""

    least: int
    most: int


Bytes32 = Annotated[bytes, Size(32, 32)]
Bytes64 = Annotated[bytes, Size(64, 64)]
Tag = Annotated[bytes, Size(16, 16)]
Bitmap = Annotated[bytes, Size(1)]
OwnerIndex = Annotated[int, Range(0, 2**31 - 1)]
Text = Annotated[str, Size(0, 512)]
PhaseIndex = Annotated[int, Range(0, len(PHASES) - 1)]
Check = Callable[[object], bool]


@dataclass(frozen=True, slots=True)
class Message:
    """Base of all messages. `payload` is the raw vector of the kinds that carry one, else empty."""

    kind: ClassVar[str]
    to: ClassVar[RoleName]
    phase: ClassVar[Phase]
    exposure: ClassVar[Exposure]
    many: ClassVar[bool] = False
    """Whether a peer may send this kind more than once an attempt."""
    per_owner: ClassVar[int] = 0
    """Bytes of body for each owner of the population, beyond the fixed part: what the limit is made from."""
    vector: ClassVar[bool] = False

    @property
    def payload(self) -> Buffer:
        return b""


@dataclass(frozen=True, slots=True)
class VectorMessage(Message):
    """A message with a raw vector behind its fields."""

    vector: ClassVar[bool] = True
    data: Buffer

    @property
    def payload(self) -> Buffer:
        return self.data


KINDS: dict[str, type[Message]] = {}
_CHECKS: dict[type[Message], tuple[tuple[str, Check, str], ...]] = {}
M = TypeVar("M", bound=Message)


def says(
    kind: str,
    to: RoleName,
    phase: Phase,
    exposure: Exposure = "public",
    *,
    many: bool = False,
    per_owner: int = 0,
) -> Callable[[type[M]], type[M]]:
    """Register a message class under its kind."""

    def register(cls: type[M]) -> type[M]:
        cls.kind, cls.to, cls.phase, cls.exposure = kind, to, phase, exposure
        cls.many, cls.per_owner = many, per_owner
        hints = get_type_hints(cls, include_extras=True)
        names = [field.name for field in fields(cls) if field.name != "data"]
        _CHECKS[cls] = tuple((name, _check(hints[name]), _describe(hints[name])) for name in names)
        KINDS[kind] = cls
        return cls

    return register


def _check(hint: Any) -> Check:
    """The test that a decoded value has to pass to be of the annotated type."""
    if get_origin(hint) is Annotated:
        base, bound = get_args(hint)
        inner = _check(base)
        if isinstance(bound, Range):
            return lambda value: inner(value) and bound.least <= value <= bound.most  # type: ignore[operator]
        most = bound.most if bound.most is not None else 2**63
        return lambda value: inner(value) and bound.least <= len(value) <= most  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        arguments = get_args(hint)
        if arguments[1:] == (Ellipsis,):
            each = _check(arguments[0])
            return lambda value: type(value) is tuple and all(map(each, value))
        checks = [_check(argument) for argument in arguments]
        return lambda value: (
            type(value) is tuple
            and len(value) == len(checks)
            and all(check(item) for check, item in zip(checks, value, strict=True))
        )
    return lambda value: type(value) is hint


def _describe(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        base, bound = get_args(hint)
        limits = f"{bound.least} to {'any' if bound.most is None else bound.most}"
        return f"{_describe(base)} ({limits})"
    if get_origin(hint) is tuple:
        return f"array of {_describe(get_args(hint)[0])}"
    return str(getattr(hint, "__name__", hint))


# -- from the model owner --------------------------------------------------------------------------------------------


@says("publish", "owner", "publish")
@dataclass(frozen=True, slots=True)
class Publish(VectorMessage):
    """The parameters of this round, one array after another; `sealing_key` when the sum is revealed to the sender."""

    arrays: tuple[tuple[Text, tuple[OwnerIndex, ...], Text], ...]
    """Name, shape and dtype of every array in `data`."""
    cohort: Bitmap
    sealing_key: bytes
    signature: bytes
    """Over the round id and the parameter digest (threat `lying`), else empty."""


@says("begin", "node", "publish")
@dataclass(frozen=True, slots=True)
class Begin(Message):
    """The model owner opens an attempt at a compute node."""

    cohort: Bitmap
    digest: Bytes32
    sealing_key: bytes
    signature: bytes


@says("finish", "owner", "reveal")
@dataclass(frozen=True, slots=True)
class Finish(Message):
    """The run is over."""

    reason: Text


# -- owners and the lead ---------------------------------------------------------------------------------------------


@says("joined", "lead", "publish")
@dataclass(frozen=True, slots=True)
class Joined(Message):
    """An owner's vector is ready; the digest of the parameters it was given."""

    digest: Bytes32


@says("advertise", "lead", "advertise")
@dataclass(frozen=True, slots=True)
class Advertise(Message):
    """Fresh public keys of one attempt. Source: CCS 2017, round 0."""

    mask_key: Bytes32
    sealing_key: bytes
    digest: Bytes32
    signature: bytes


Entry = tuple[OwnerIndex, Bytes32, bytes, bytes, bytes]
"""One line of a roster: index, mask key, sealing key (may be empty), digest of the parameters where it is not the
roster's (else empty), signature (threat `lying`, else empty)."""


@says("roster", "owner", "advertise", per_owner=220)
@dataclass(frozen=True, slots=True)
class Roster(Message):
    """Who advertised what: U1 as a bitmap, and the entries this owner needs, in order of index."""

    members: Bitmap
    digest: Bytes32
    entries: tuple[Entry, ...]
    root: bytes
    """Root of the hash tree over all entries where not all of them are listed, else empty."""
    beacon: bytes
    """The model owner's 32 fresh bytes (secagg+ against a lying lead), else empty."""
    beacon_signature: bytes


@says("roster-fixed", "receiver", "advertise")
@dataclass(frozen=True, slots=True)
class RosterFixed(Message):
    """The lead tells the model owner the root of the roster, and asks for the beacon."""

    root: Bytes32


@says("beacon", "lead", "advertise")
@dataclass(frozen=True, slots=True)
class Beacon(Message):
    """Fresh randomness, signed with the roster's root: nobody can choose the graph. Once an attempt."""

    value: Bytes32
    signature: Bytes64


@says("sealed-shares", "lead", "share", "sealed")
@dataclass(frozen=True, slots=True)
class SealedShares(VectorMessage):
    """One owner's boxes, each with a share of its two secrets for one holder, in order of holder; and H(b)."""

    commitment: Bytes32


@says("share-boxes", "owner", "share", "sealed")
@dataclass(frozen=True, slots=True)
class ShareBoxes(VectorMessage):
    """The boxes addressed to this owner, in order of sender; U2, and which of its neighbours are in it."""

    sharers: Bitmap


@says("excluded", "owner", "upload")
@dataclass(frozen=True, slots=True)
class Excluded(Message):
    """The lead tells an owner that it is no longer part of this attempt."""

    reason: Text


@says("ready", "lead", "upload")
@dataclass(frozen=True, slots=True)
class Ready(Message):
    """An owner's masked vector is ready: it asks for a permit."""


@says("permit", "owner", "upload")
@dataclass(frozen=True, slots=True)
class Permit(Message):
    """This owner may upload now."""


# -- uploads ---------------------------------------------------------------------------------------------------------


@says("masked-slice", "node", "upload", "masked")
@dataclass(frozen=True, slots=True)
class MaskedSlice(VectorMessage):
    """One owner's masked coordinates for one compute node, packed to the ring's bits; `tag` is their checksum."""

    digest: Bytes32
    tag: Tag


@says("clear-slice", "node", "upload", "clear")
@dataclass(frozen=True, slots=True)
class ClearSlice(MaskedSlice):
    """The same without any mask: protocol `plain`."""


@says("node-key", "owner", "publish")
@dataclass(frozen=True, slots=True)
class NodeKey(Message):
    """A compute node's fresh public key, to seal an owner's seed to (protocol `additive`)."""

    public: Bytes32
    signature: bytes


@says("sealed-seed", "node", "upload", "sealed")
@dataclass(frozen=True, slots=True)
class SealedSeed(Message):
    """The seed of one additive share, sealed to one compute node."""

    digest: Bytes32
    public: Bytes32
    box: Annotated[bytes, Size(32, 32)]


@says("held", "lead", "upload", many=True)
@dataclass(frozen=True, slots=True)
class Held(Message):
    """A compute node holds this owner's complete, checked slice, and has not added it."""

    owner: OwnerIndex


@says("faulty", "lead", "upload", many=True)
@dataclass(frozen=True, slots=True)
class Faulty(Message):
    """A compute node refuses this owner's slice."""

    owner: OwnerIndex
    reason: Text


@says("commit", "node", "upload", many=True)
@dataclass(frozen=True, slots=True)
class Commit(Message):
    """Every compute node holds this owner's slice: add it."""

    owner: OwnerIndex


@says("discard", "node", "upload", many=True)
@dataclass(frozen=True, slots=True)
class Discard(Message):
    """This owner is out: forget its slice, and take none from it."""

    owner: OwnerIndex


@says("survivors", "node", "upload", per_owner=1)
@dataclass(frozen=True, slots=True)
class Survivors(Message):
    """The one set, fixed for every slice, whose vectors are in the sum."""

    members: Bitmap


# -- opening the sum -------------------------------------------------------------------------------------------------

Signatures = tuple[tuple[OwnerIndex, Bytes64], ...]


@says("certify-request", "owner", "certify", per_owner=1)
@dataclass(frozen=True, slots=True)
class CertifyRequest(Message):
    """The lead shows an owner U3, to be signed (threat `lying`)."""

    members: Bitmap


@says("certify", "lead", "certify")
@dataclass(frozen=True, slots=True)
class Certify(Message):
    """An owner's signature on the session, U1 and U3."""

    signature: Bytes64


@says("certificate", "node", "certify", per_owner=72)
@dataclass(frozen=True, slots=True)
class Certificate(Message):
    """Enough signatures on one U3: a compute node releases nothing without them (threat `lying`)."""

    session: Bytes32
    roster: Bitmap
    signatures: Signatures


@says("unmask-request", "owner", "unmask", per_owner=72)
@dataclass(frozen=True, slots=True)
class UnmaskRequest(Message):
    """The lead asks the survivors for shares: of b for who is in U3, of the mask key for who is in U2 only."""

    members: Bitmap
    signatures: Signatures


@says("unmask-shares", "lead", "unmask", "share")
@dataclass(frozen=True, slots=True)
class UnmaskShares(VectorMessage):
    """One share for every owner whose shares the sender holds, in order of index: which of the two follows from U3."""


@says("unmask-box", "lead", "unmask", "sealed")
@dataclass(frozen=True, slots=True)
class UnmaskBox(VectorMessage):
    """The same, sealed to the model owner (reveal `model-owner`)."""


@says("mask-keys", "node", "unmask", "share")
@dataclass(frozen=True, slots=True)
class MaskKeys(VectorMessage):
    """16-byte keys of the masks to be removed: `added` of them are added to the sum, the others subtracted."""

    added: Annotated[int, Range(0, 2**40)]


@says("opening", "receiver", "unmask", "sealed")
@dataclass(frozen=True, slots=True)
class Opening(VectorMessage):
    """All that the model owner needs to remove the masks itself; `data` holds the boxes of those who answered."""

    roster: Bitmap
    sharers: Bitmap
    members: Bitmap
    answered: Bitmap
    entries: tuple[Entry, ...]
    commitments: bytes
    """H(b) of every sharer, in order."""
    signatures: Signatures


# -- the end of an attempt -------------------------------------------------------------------------------------------


@says("sum-slice", "receiver", "reveal", "sum")
@dataclass(frozen=True, slots=True)
class SumSlice(VectorMessage):
    """A compute node's sum over the survivors, packed to the ring's bits."""

    tag: Tag


@says("sum-share", "receiver", "reveal", "share")
@dataclass(frozen=True, slots=True)
class SumShare(SumSlice):
    """An additive share of the sum: worthless without those of all other compute nodes."""


@says("masked-sum", "receiver", "reveal", "masked")
@dataclass(frozen=True, slots=True)
class MaskedSum(SumSlice):
    """A sum that still carries masks, which only the model owner can remove."""


@says("report", "receiver", "reveal", per_owner=12)
@dataclass(frozen=True, slots=True)
class Report(Message):
    """The lead's account of the attempt: who is in the sum, who was dropped when, who fell silent after the upload."""

    members: Bitmap
    dropped: tuple[tuple[OwnerIndex, PhaseIndex], ...]
    silent_after: tuple[tuple[OwnerIndex, PhaseIndex], ...]


@says("failed", "receiver", "reveal", per_owner=12)
@dataclass(frozen=True, slots=True)
class Failed(Message):
    """The sender ends the attempt (lead, model owner) or its own part in it (owner, compute node)."""

    reason: Text
    dropped: tuple[tuple[OwnerIndex, PhaseIndex], ...]
    exposed: bool


# -- bytes -----------------------------------------------------------------------------------------------------------


def encode(label: Label, message: Message) -> tuple[str, bytes, Buffer]:
    """`(kind, body, payload)`: what a channel carries."""
    values = [getattr(message, name) for name, _, _ in _CHECKS[type(message)]]
    return message.kind, msgpack.packb([*label, *values]), message.payload


def decode(kind: str, body: Buffer, payload: Buffer) -> tuple[Label, Message]:
    """The label and message of a peer's bytes; MessageError if they are not exactly that."""
    cls = KINDS.get(kind)
    if cls is None:
        raise MessageError(f"unknown kind {kind[:40]!r}")
    try:
        values = msgpack.unpackb(body, use_list=False)
    except (ValueError, msgpack.exceptions.UnpackException, msgpack.exceptions.StackError) as error:
        raise MessageError(f"{kind}: body is not msgpack ({type(error).__name__})") from None
    checks = _CHECKS[cls]
    if type(values) is not tuple or len(values) != 2 + len(checks):
        raise MessageError(f"{kind}: body is not an array of {2 + len(checks)} fields")
    for position in (0, 1):
        if type(values[position]) is not int or not 0 <= values[position] < 2**31:
            raise MessageError(f"{kind}: label is not a round and an attempt")
    for (name, check, wanted), value in zip(checks, values[2:], strict=True):
        if not check(value):
            raise MessageError(f"{kind}.{name}: not {wanted}")
    if not cls.vector and len(payload):
        raise MessageError(f"{kind}: carries {len(payload)} bytes of payload, must carry none")
    arguments = (payload, *values[2:]) if cls.vector else values[2:]
    return Label(values[0], values[1]), cls(*arguments)


def limits(population: int, holders: int, parameter_bytes: int, slice_bytes: int) -> dict[str, tuple[int, int]]:
    """Largest body and payload of every kind in a run: what a channel checks before it allocates.

    `holders` is how many owners may hold shares of one owner's secrets.
    """
    boxes = 128 * (holders + 1)
    payload: dict[type[Message], int] = {
        **{cls: slice_bytes for cls in KINDS.values() if cls.vector},
        Publish: parameter_bytes,
        **dict.fromkeys((SealedShares, ShareBoxes, UnmaskShares, UnmaskBox), boxes),
        MaskKeys: 16 * population * (holders + 1),
        Opening: boxes * population,
    }
    body = {
        Publish: 2**20,
        Opening: 2048 + population * 330,
    }
    return {
        kind: (
            body.get(cls, 2048) + population // 8 + 16 + cls.per_owner * population,
            payload.get(cls, 0),
        )
        for kind, cls in KINDS.items()
    }


# -- sets of owners --------------------------------------------------------------------------------------------------


def to_bitmap(indices: tuple[int, ...] | list[int], population: int) -> bytes:
    """Owners as bits over the pinned population, least significant first."""
    bits = bytearray((population + 7) // 8)
    for index in indices:
        bits[index >> 3] |= 1 << (index & 7)
    return bytes(bits)


def from_bitmap(bitmap: bytes, population: int) -> tuple[int, ...]:
    """Indices in a bitmap, ascending; MessageError unless it is exactly one of this population."""
    if len(bitmap) != (population + 7) // 8:
        raise MessageError(f"bitmap of {len(bitmap)} bytes for a population of {population}")
    value = int.from_bytes(bitmap, "little")
    if value >> population:
        raise MessageError(f"bitmap names owners beyond the population of {population}")
    return tuple(index for index in range(population) if bitmap[index >> 3] >> (index & 7) & 1)
