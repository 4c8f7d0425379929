"""Control messages between the two ends of a connection, apart from what their players say.

The side that dialled sends a hello: version, run, the players it carries, facts about itself. The listener
answers welcome, with facts of its own, or refuse with the reason. A hello without a run asks which run it is:
where that is told, the welcome says so and ends the connection. Otherwise each carried player then opens its own
channel, which the listener confirms, and closes it with bye. Opens are numbered, so that what belonged to an
earlier channel of the same pair is never taken for the next.

    kind       direction      body (msgpack)
    !hello     to listener    {version, run, players, facts}
    !welcome   from listener  {run, facts}
    !refuse    both           [reason]          ends the connection
    !open      to listener    [number]          from: the player
    !opened    from listener  [number]          to: the player
    !bye       both           [number, reason]  before !opened: the channel is refused
    !ping      both           nothing
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgpack

from asyncagg.net.errors import FrameError, Refusal, printable
from asyncagg.net.frames import MAX_NAME, Frame, Limits, is_name

HELLO, WELCOME, REFUSE = "!hello", "!welcome", "!refuse"
OPEN, OPENED, BYE, PING = "!open", "!opened", "!bye", "!ping"

MAX_FACTS = 4096
"""Bytes that the facts of one side may take, packed."""
MAX_RUN = 64

_REASON = 1024  # bytes; 200 characters at most
_LAST = {REFUSE: (_REASON, 0), PING: (0, 0)}
_CHANNELS = _LAST | {BYE: (_REASON, 0)}
ENDS = Limits.control(_LAST)
"""Limits for a side that may say no more."""
GREETING = Limits.control(_LAST | {WELCOME: (MAX_FACTS + MAX_RUN + 32, 0)})
"""Limits of what the dialling side accepts before the welcome."""
FROM_LISTENER = Limits.control(_CHANNELS | {OPENED: (16, 0)})
TO_LISTENER = Limits.control(_CHANNELS | {OPEN: (16, 0)})


Facts: TypeAlias = Mapping[str, str | int | bytes]
"""Facts that one side tells the other about itself; what they mean is the business of those who use the network."""


@dataclass(frozen=True, slots=True)
class Hello:
    """First message of who dials: run nonce (empty: not known yet), players carried, facts about them, wire format."""

    run: bytes
    players: Sequence[str]
    facts: Facts = field(default_factory=dict)
    wire_format: int = 0


def stranger_limits(max_players: int) -> Limits:
    """Limits of what a listener accepts before the hello: a hello of at most `max_players`, or a refusal."""
    return Limits.control({REFUSE: (_REASON, 0), HELLO: (MAX_FACTS + MAX_RUN + 64 + max_players * (MAX_NAME + 2), 0)})


def pack_hello(hello: Hello) -> bytes:
    """The body of a hello."""
    return pack(
        {
            "version": hello.wire_format,
            "run": hello.run,
            "players": list(hello.players),
            "facts": dict(hello.facts),
        }
    )


def parse_hello(frame: Frame, runs: Sequence[bytes], max_players: int, wire_format: int) -> Hello:
    """The hello in `frame`, for one of `runs`; FrameError with what is wrong, first of all the format."""
    fields = _unpack(frame.body, Refusal.BAD_HELLO)
    if not isinstance(fields, dict) or type(fields.get("version")) is not int:
        raise FrameError(Refusal.BAD_HELLO, "no map with a version")
    if fields["version"] != wire_format:
        speaks = f"{frame.sender} speaks format {fields['version']}, this side format {wire_format}"
        raise FrameError(Refusal.WRONG_VERSION, f"{speaks}: run the same asyncagg on both")
    run, players, facts = fields.get("run"), fields.get("players"), fields.get("facts")
    if not isinstance(run, bytes) or run not in runs:
        raise FrameError(Refusal.WRONG_RUN, "the hello is for another run" if run else "the run is not told here")
    if not isinstance(players, list):
        raise FrameError(Refusal.BAD_HELLO, "players must be a list")
    _check_players(players, max_players)
    return Hello(run, tuple(players), _checked(facts), wire_format)


def pack(fields: Any) -> bytes:
    """The body of a control frame."""
    packed: bytes = msgpack.packb(fields)
    return packed


def pack_reason(*fields: int, reason: str) -> bytes:
    """The body of a frame that ends with a reason, which is cut to what the other side accepts."""
    return pack([*fields, printable(reason)])


def parse_fields(body: bytes, *types: type) -> list[Any]:
    """The fields of a control frame whose body must be a list of these types; FrameError if it is not."""
    fields = _unpack(body, Refusal.BAD_CONTROL)
    if not isinstance(fields, list) or tuple(map(type, fields)) != types:
        raise FrameError(Refusal.BAD_CONTROL, f"expected {[kind.__name__ for kind in types]}")
    return [printable(value) if isinstance(value, str) else value for value in fields]


def pack_welcome(run: bytes, facts: Facts) -> bytes:
    """The body of a welcome."""
    return pack({"run": run, "facts": dict(facts)})


def parse_welcome(body: bytes, run: bytes | None) -> tuple[bytes, Facts]:
    """The run and the facts of a welcome; FrameError when they are malformed or it is another run than `run`."""
    fields = _unpack(body, Refusal.BAD_HELLO)
    if not isinstance(fields, dict):
        raise FrameError(Refusal.BAD_HELLO, "the welcome is no map")
    said = fields.get("run")
    if not isinstance(said, bytes) or not is_run(said):
        raise FrameError(Refusal.BAD_HELLO, "the welcome names no run")
    if run is not None and said != run:
        raise FrameError(Refusal.WRONG_RUN, "the welcome is for another run")
    return said, _checked(fields.get("facts"))


def is_run(run: bytes) -> bool:
    """True if this can be the nonce of a run."""
    return 1 <= len(run) <= MAX_RUN


def check_facts(facts: object) -> str | None:
    """Error in the facts, or None: they map printable text to printable text, integers or bytes, and are small."""
    if not isinstance(facts, Mapping):
        return "facts must be a map"
    for key, value in facts.items():
        if not isinstance(key, str) or not key.isprintable():
            return "a fact's name must be printable text"
        if type(value) not in (str, int, bytes) or (isinstance(value, str) and not value.isprintable()):
            return f"{printable(key, 64)} must be printable text, an integer or bytes"
    try:
        size = len(pack(dict(facts)))
    except OverflowError:
        return "an integer among the facts has more than 64 bits"
    return None if size <= MAX_FACTS else f"facts of {size} bytes, at most {MAX_FACTS}"


def _checked(facts: Any) -> Facts:
    objection = check_facts(facts)
    if objection is not None:
        raise FrameError(Refusal.BAD_HELLO, objection)
    return dict(facts)


def _check_players(players: list[Any], max_players: int) -> None:
    if not 1 <= len(players) <= max_players:
        raise FrameError(Refusal.BAD_HELLO, f"{len(players)} players, must be 1 to {max_players}")
    if not all(isinstance(name, str) and is_name(name) for name in players):
        raise FrameError(Refusal.BAD_HELLO, "a player's name is not well-formed")
    if len(dict.fromkeys(players)) < len(players):
        raise FrameError(Refusal.BAD_HELLO, "a player is named twice")


def _unpack(body: bytes, code: Refusal) -> Any:
    try:
        return msgpack.unpackb(body)
    except (ValueError, msgpack.UnpackException):
        raise FrameError(code, "the body is not msgpack") from None
