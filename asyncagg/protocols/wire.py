"""How a message becomes bytes and back, and the checks on what a peer sent; the kinds themselves are in `messages`.

A kind of message says all about itself, with `says` and in the types of its fields: who says it to whom, in which
phase, how often, and how large it can be. Everything that bounds a peer is made from that (`permissions`).

A message is a small msgpack array `[round, attempt, field, …]` (the body) and, for the kinds that carry a vector, a raw
payload. Every field has a type with bounds; `decode` refuses anything else with a `MessageError` that names the field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgpack

from asyncagg.protocols.names import CAUSES, GUILT, PHASES, Exposure, Label, Phase

RoleName = Literal["owner", "lead", "node", "receiver"]
Route = tuple[RoleName, RoleName]
"""Sender and receiver."""
Buffer = bytes | bytearray | memoryview


class MessageError(ValueError):
    """A peer's bytes are not the message they claim to be."""


@dataclass(frozen=True, slots=True)
class Size:
    """Bounds of a byte string, a text (in characters) or a tuple."""

    least: int
    most: int | None = None
    """None: it follows from `bits`."""
    bits: int = 0
    """For each owner of the population."""

    def largest(self, population: int) -> int:
        """The most there may be in a run of so many owners."""
        return self.most if self.most is not None else (self.bits * population + 7) // 8


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of an integer, both included."""

    least: int
    most: int


Bytes32 = Annotated[bytes, Size(32, 32)]
Bytes64 = Annotated[bytes, Size(64, 64)]
Tag = Annotated[bytes, Size(16, 16)]
Bitmap = Annotated[bytes, Size(1, bits=1)]
Key = Annotated[bytes, Size(0, 32)]
"""A public key, digest or root of 32 bytes, or nothing."""
Signature = Annotated[bytes, Size(0, 64)]
"""Empty where the lead is taken to follow the protocol."""
OwnerIndex = Annotated[int, Range(0, 2**31 - 1)]
Text = Annotated[str, Size(0, 512)]
PhaseIndex = Annotated[int, Range(0, len(PHASES) - 1)]
GuiltIndex = Annotated[int, Range(0, len(GUILT) - 1)]
CauseIndex = Annotated[int, Range(0, len(CAUSES) - 1)]
Check = Callable[[object], bool]


@dataclass(frozen=True, slots=True)
class Measures:
    """What the sizes of a run's messages follow from."""

    population: int
    """N: owners in the pinned population."""
    holders: int
    """The most that may hold shares of one owner's secrets."""
    parameter_bytes: int
    """Of the published parameters."""
    description_bytes: int
    """Of their names, shapes and types, in msgpack."""
    slice_bytes: int
    """Of one packed slice of the compute node that says the message or is told."""


Bound = Callable[[Measures], int]
"""The most bytes there may be."""


@dataclass(frozen=True, slots=True)
class Message:
    """Base of all messages. `payload` is the raw vector of the kinds that carry one, else empty."""

    kind: ClassVar[str]
    to: ClassVar[RoleName]
    """The role that it is for, where there is one."""
    routes: ClassVar[tuple[Route, ...]]
    phase: ClassVar[Phase]
    exposure: ClassVar[Exposure]
    many: ClassVar[bool] = False
    """Whether it is about one owner, so that a peer may send it for each of them in one attempt."""
    permitted: ClassVar[bool] = False
    """Whether it needs a permit, where uploads do."""
    vector: ClassVar[bool] = False
    _body: ClassVar[Bound]
    _payload: ClassVar[Bound]

    @classmethod
    def largest(cls, measures: Measures) -> tuple[int, int]:
        """The most bytes of body and payload in such a run."""
        return cls._body(measures), cls._payload(measures)

    @classmethod
    def times(cls, measures: Measures) -> int:
        """How often one peer may send it in one attempt.

        Twice for each owner: a compute node may refuse a slice, and then its owner for sending another.
        """
        return 2 * measures.population if cls.many else 1

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
    sender: RoleName,
    also: tuple[Route, ...] = (),
    many: bool = False,
    permitted: bool = False,
    payload: Bound | None = None,
    body: Bound | None = None,
) -> Callable[[type[M]], type[M]]:
    """Register a message class under its kind: `sender` says it to the role `to`; `also` are its other routes.

    `payload` is the most there may be of the vector, which only vector messages have; `body` of the fields, where that
    does not follow from their types. TypeError where something has no bound.
    """

    def register(cls: type[M]) -> type[M]:
        if cls.vector != (payload is not None):
            raise TypeError(f"{kind}: a message has a bound on its vector if it carries one")
        former = KINDS.get(kind)
        if former is not None and (former.__module__, former.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"the kind {kind!r} is {former.__module__}.{former.__qualname__} already (another kind)")
        cls.kind, cls.to, cls.phase, cls.exposure = kind, to, phase, exposure
        cls.routes = ((sender, to), *also)
        cls.many, cls.permitted = many, permitted
        hints = get_type_hints(cls, include_extras=True)
        names = [field.name for field in fields(cls) if field.name != "data"]
        _CHECKS[cls] = tuple((name, _check(hints[name]), _describe(hints[name])) for name in names)
        cls._payload = payload or (lambda measures: 0)
        cls._body = body or (lambda measures: body_bytes([hints[name] for name in names], measures.population))
        if body is None:
            cls._body(Measures(1, 0, 0, 0, 0))  # here, and not when a run begins, is where a missing bound is told
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


def body_bytes(hints: Iterable[Any], population: int) -> int:
    """The most bytes of a body with fields of these types. TypeError for a type without a bound."""
    return _HEAD + sum(_most(hint, population) for hint in hints)


_HEAD = 3 + 2 * 5
"""Of a body: the array, round and attempt."""


_INTEGERS = ((1, 1 << 7), (2, 1 << 8), (3, 1 << 16), (5, 1 << 32), (9, 1 << 64))
"""Bytes of a non-negative integer below the second number."""


def _most(hint: Any, population: int) -> int:
    """The most bytes of a value of this type in msgpack (specification, "formats"); a list has an item per owner."""
    if get_origin(hint) is tuple:
        arguments = get_args(hint)
        if arguments[1:] == (Ellipsis,):
            return 5 + population * _most(arguments[0], population)
        return 3 + sum(_most(argument, population) for argument in arguments)
    if hint is bool:
        return 1
    base, bound = get_args(hint) if get_origin(hint) is Annotated else (hint, None)
    match bound:
        case Range():
            return next(size for size, limit in _INTEGERS if bound.most < limit)
        case Size():
            return 5 + bound.largest(population) * (4 if base is str else 1)
    raise TypeError(f"{hint} has no bound: a size or a range")


def _describe(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        base, bound = get_args(hint)
        limits = f"{bound.least} to {'any' if bound.most is None else bound.most}"
        return f"{_describe(base)} ({limits})"
    if get_origin(hint) is tuple:
        return f"array of {_describe(get_args(hint)[0])}"
    return str(getattr(hint, "__name__", hint))


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
