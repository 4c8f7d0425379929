"""What the two ends of a connection say to each other, apart from what their players say.

The side that dialled sends a hello: version, run, the players it carries. The listener answers welcome, or
refuse with the reason. Each carried player then opens its own channel, which the listener confirms, and
closes it with bye. Opens are numbered, so that what belonged to an earlier channel of the same pair is
never taken for the next.

    kind       direction      body (msgpack)
    !hello     to listener    {version, run, players, auth}
    !welcome   from listener  {auth}
    !refuse    both           [reason]          ends the connection
    !open      to listener    [number]          from: the player
    !opened    from listener  [number]          to: the player
    !bye       both           [number, reason]  before !opened: the channel is refused
    !ping      both           nothing
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgpack

from net.errors import FrameError, Refusal, printable
from net.frames import MAX_NAME, Limits, is_name

VERSION = 1
HELLO, WELCOME, REFUSE = "!hello", "!welcome", "!refuse"
OPEN, OPENED, BYE, PING = "!open", "!opened", "!bye", "!ping"

_AUTH_PER_PLAYER = 192  # room for a signature by every player, under its name
_REASON = 1024  # bytes; 200 characters at most
_ENDS = {REFUSE: (_REASON, 0), PING: (0, 0)}
_CHANNELS = _ENDS | {BYE: (_REASON, 0)}
GREETING = Limits.control(_ENDS | {WELCOME: (4096, 0)})
"""What the dialling side accepts before the welcome."""
FROM_LISTENER = Limits.control(_CHANNELS | {OPENED: (16, 0)})
TO_LISTENER = Limits.control(_CHANNELS | {OPEN: (16, 0)})


@dataclass(frozen=True, slots=True)
class Hello:
    """Who dials: protocol version, run nonce, the players carried, and room for proofs of who they are."""

    run: bytes
    players: Sequence[str]
    auth: Mapping[str, Any] = field(default_factory=dict)
    version: int = VERSION


def stranger_limits(max_players: int) -> Limits:
    """What a listener accepts before the hello: the hello, as large as `max_players` can make it."""
    return Limits.control({HELLO: (4096 + max_players * (MAX_NAME + 2 + _AUTH_PER_PLAYER), 0)})


def pack_hello(hello: Hello) -> bytes:
    """The body of a hello."""
    fields = {"version": hello.version, "run": hello.run, "players": list(hello.players), "auth": hello.auth}
    return pack(fields)


def parse_hello(body: bytes, run: bytes, max_players: int) -> Hello:
    """The hello in `body`; FrameError with what is wrong, the version before all that depends on it."""
    fields = _unpack(body, Refusal.BAD_HELLO)
    if not isinstance(fields, dict) or type(fields.get("version")) is not int:
        raise FrameError(Refusal.BAD_HELLO, "no map with a version")
    if fields["version"] != VERSION:
        raise FrameError(Refusal.WRONG_VERSION, f"version {fields['version']}, here it is {VERSION}")
    if fields.get("run") != run:
        raise FrameError(Refusal.WRONG_RUN, "the hello is for another run")
    players, auth = fields.get("players"), fields.get("auth")
    if not isinstance(auth, dict) or not isinstance(players, list):
        raise FrameError(Refusal.BAD_HELLO, "players must be a list and auth a map")
    _check_players(players, max_players)
    return Hello(run, tuple(players), auth)


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


def parse_auth(body: bytes) -> Mapping[str, Any]:
    """What the listener proves about itself in its welcome; FrameError when that is not a map."""
    fields = _unpack(body, Refusal.BAD_HELLO)
    auth = fields.get("auth") if isinstance(fields, dict) else None
    if not isinstance(auth, dict):
        raise FrameError(Refusal.BAD_HELLO, "a welcome without auth")
    return auth


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
