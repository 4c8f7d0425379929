"""Frames: what one player says to another, their size on the wire, and the limits that each must keep.

A frame is four parts, one after the other:

    prefix    magic (2 bytes), length of the header (u16, big-endian)
    header    msgpack array [from, to, kind, body size, payload size] in its shortest form, at most 1 KiB
    body      bytes whose meaning is the kind's; small
    payload   raw bytes, a vector as it is; large

Sizes follow from the five header fields alone, so a network that never serialises counts the very same bytes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

import msgpack

from asyncagg.net.errors import FrameError, Refusal, printable

MAGIC = b"\xa6\x67"
PREFIX = struct.Struct(">2sH")
MAX_HEADER = 1024
MAX_NAME = 64
CONTROL = "!"
"""First character of the kinds that connections use among themselves; users cannot send them."""

_FIXED = PREFIX.size + 1 + 3  # with the byte that says "array of five" and those before the three names
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_NAME - 1}}}")


class Frame(NamedTuple):
    """One message. `payload` is flat, and read-only by agreement; `buffers.release` gives its memory back.

    A named tuple because a frozen dataclass takes half a microsecond longer to make, of about three in all.
    """

    sender: str
    receiver: str
    kind: str
    body: bytes = b""
    payload: memoryview | bytes = b""

    @property
    def size(self) -> int:
        """Bytes on the wire, prefix and header included."""
        body, payload = len(self.body), len(self.payload)
        return header_size(self.sender, self.receiver, self.kind, body, payload) + body + payload

    def __repr__(self) -> str:
        route = f"{self.sender} -> {self.receiver}"
        return f"Frame({route}, {self.kind}, body {len(self.body)} B, payload {len(self.payload)} B)"


class Header(NamedTuple):
    """A frame's header: who says what to whom, and how much follows."""

    sender: str
    receiver: str
    kind: str
    body: int
    payload: int


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of frame: the most that its body and payload may hold, and its name as the header has it."""

    name: str
    max_body: int
    max_payload: int
    packed: bytes


R = TypeVar("R")


class PairLimits(Protocol):
    """Limits on what any two players may say to each other."""

    def between(self, sender: str, receiver: str) -> Limits:
        """The limits of what `sender` says to `receiver`; the same object for the same two."""


class Limits:
    """Largest body and payload by kind of frame; a kind that is not named is refused.

    The same check serves what is sent (a mistake of ours, raised to the sender) and what is received, there
    before any memory is taken for it.
    """

    __slots__ = ("_kinds",)

    def __init__(self, sizes: Mapping[str, tuple[int, int]]) -> None:
        self._kinds = {name: _kind(require_name(name), *most) for name, most in sizes.items()}

    @classmethod
    def control(cls, sizes: Mapping[str, tuple[int, int]]) -> Limits:
        """Limits of the connections' own kinds, which begin with `!`."""
        limits = cls({})
        limits._kinds = {name: _kind(name, *most) for name, most in sizes.items()}
        return limits

    def __contains__(self, kind: str) -> bool:
        """True if there is such a kind."""
        return kind in self._kinds

    def between(self, sender: str, receiver: str) -> Limits:
        """See `PairLimits`: everybody may say the same to everybody."""
        return self

    def check(self, kind: str, body: int, payload: int) -> Kind:
        """The kind's entry; FrameError when it is unknown, or `body` or `payload` (bytes) too large."""
        known = self._kinds.get(kind)
        if known is None:
            raise FrameError(Refusal.UNKNOWN_KIND, f"{_shown(kind)} is not a kind of frame here")
        if body > known.max_body:
            raise FrameError(Refusal.TOO_LARGE, f"{kind}: body of {body} bytes, at most {known.max_body}")
        if payload > known.max_payload:
            detail = f"{kind}: payload of {payload} bytes, at most {known.max_payload}"
            raise FrameError(Refusal.TOO_LARGE, detail)
        return known


class RoleLimits(Generic[R]):
    """Limits that follow from the roles of the two who speak, which is for the caller to say."""

    def __init__(self, role: Callable[[str], R | None], limits: Callable[[R, R], Limits]) -> None:
        """`role`: name → what players with the same rights share; None for somebody who has none.

        `limits` is asked once for each two roles.
        """
        self._role = role
        self._limits = limits
        self._known: dict[tuple[R, R], Limits] = {}

    def between(self, sender: str, receiver: str) -> Limits:
        """See `PairLimits`; who has no role says nothing, and is told nothing."""
        one, other = self._role(sender), self._role(receiver)
        if one is None or other is None:
            return NOTHING
        limits = self._known.get((one, other))
        if limits is None:
            limits = self._known[one, other] = self._limits(one, other)
        return limits


NOTHING = Limits({})
"""Nothing may be said."""


class Everyone:
    """Any well-formed name: who may speak before the hello says who is there."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and is_name(name)


@dataclass(frozen=True, slots=True)
class FrameRules:
    """Rules of a connection at present: senders, receivers, limits, and control kinds it may be sent (`control`)."""

    limits: PairLimits
    senders: Container[str]
    receivers: Container[str]
    control: Limits = NOTHING

    def check(self, header: Header) -> None:
        """FrameError, with the first thing that is wrong with `header`."""
        sender, receiver, kind, body, payload = header
        if sender not in self.senders:
            raise FrameError(Refusal.UNKNOWN_SENDER, f"{_shown(sender)} does not speak on this connection")
        if receiver not in self.receivers:
            raise FrameError(Refusal.UNKNOWN_RECEIVER, f"{_shown(receiver)} is not reached here")
        if kind[:1] == CONTROL:
            self.control.check(kind, body, payload)
            return
        limits = self.limits.between(sender, receiver)
        if kind not in limits:
            raise FrameError(Refusal.UNKNOWN_KIND, f"{_shown(kind)} is not for {sender} to say to {receiver}")
        limits.check(kind, body, payload)


def is_name(name: str) -> bool:
    """True if `name` can name a player or a kind: 1 to 64 of A-Z a-z 0-9 . _ -, a letter or digit first."""
    return _NAME.fullmatch(name) is not None


def require_name(name: str) -> str:
    """`name` itself; ValueError when it cannot name a player or a kind."""
    if not is_name(name):
        raise ValueError(f"{name!r} is no name: 1 to {MAX_NAME} of A-Z a-z 0-9 . _ -, a letter or digit first")
    return name


def header_size(sender: str, receiver: str, kind: str, body: int, payload: int) -> int:
    """Bytes of prefix and header of a frame with these fields.

    A name takes a byte more than its ASCII, or two from 32 on (msgpack specification, "str format family").
    """
    size = _FIXED + len(sender) + len(receiver) + len(kind) + count_size(body) + count_size(payload)
    return size + (len(sender) > 31) + (len(receiver) > 31) + (len(kind) > 31)


def count_size(value: int) -> int:
    """Bytes of a non-negative integer in msgpack (specification, "int format family")."""
    if value < 0x80:
        return 1
    if value < 0x10000:
        return 2 if value < 0x100 else 3
    return 5 if value < 0x1_0000_0000 else 9


def pack_stem(sender: str, receiver: str) -> bytes:
    """The part of a header that all frames of one channel share."""
    return b"\x95" + _packed(sender) + _packed(receiver)


def pack_header(stem: bytes, kind: Kind, body: int, payload: int) -> bytes:
    """Prefix and header of a frame whose body and payload have these sizes in bytes."""
    fields = stem + kind.packed + _packed(body) + _packed(payload)
    return PREFIX.pack(MAGIC, len(fields)) + fields


def pack_frame(frame: Frame) -> bytes:
    """A whole frame in one piece: for small ones that are not sent often."""
    fields = [*frame[:3], len(frame.body), len(frame.payload)]
    header: bytes = msgpack.packb(fields)
    return PREFIX.pack(MAGIC, len(header)) + header + frame.body + frame.payload


def parse_header(packed: bytes) -> Header:
    """The header in these bytes; FrameError unless they are five well-typed fields in their shortest form."""
    try:
        fields = msgpack.unpackb(packed)
    except (ValueError, msgpack.UnpackException):
        fields = None
    if type(fields) is not list or tuple(map(type, fields)) != _HEADER_TYPES:
        raise FrameError(Refusal.BAD_HEADER, "not [from, to, kind, body size, payload size]")
    header = Header(*fields)
    if header.body < 0 or header.payload < 0:
        raise FrameError(Refusal.BAD_HEADER, "a size is negative")
    if not (header.sender + header.receiver + header.kind).isascii():
        raise FrameError(Refusal.BAD_HEADER, "a name is not ASCII")
    if header_size(*header) != PREFIX.size + len(packed):
        raise FrameError(Refusal.BAD_HEADER, "not in its shortest form")
    return header


_HEADER_TYPES = (str, str, str, int, int)


def _kind(name: str, max_body: int, max_payload: int) -> Kind:
    if max_body < 0 or max_payload < 0:
        raise ValueError(f"{name}: limits are sizes in bytes, got {max_body} and {max_payload}")
    return Kind(name, max_body, max_payload, _packed(name))


def _shown(name: str) -> str:
    return repr(printable(name, MAX_NAME))


def _packed(value: str | int) -> bytes:
    packed: bytes = msgpack.packb(value)
    return packed
