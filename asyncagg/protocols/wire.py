"""How a message becomes bytes and back, and the checks on what a peer sent; the kinds themselves are in `messages`.

A message is a small msgpack array `[round, attempt, field, …]` (the body) and, for the kinds that carry a vector, a raw
payload. Every field has a type with bounds; `decode` refuses anything else with a `MessageError` that names the field.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgpack

from asyncagg.protocols.names import GUILT, PHASES, Exposure, Label, Phase

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
GuiltIndex = Annotated[int, Range(0, len(GUILT) - 1)]
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
