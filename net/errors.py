"""Errors of a channel, each with a name.

Errors of the operating system are translated into these once, here and in `tcp`; nothing above `net` sees an
`OSError`. A `PeerError` carries the player it is about, so that it ends that player's part and no one else's.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from enum import StrEnum
from typing import Final

from asyncagg.net.durations import SECOND_NS


class Refusal(StrEnum):
    """Reason why bytes from a peer, or the peer itself, were refused; networks count refusals by these names."""

    GARBAGE = "garbage"
    BAD_HEADER = "bad-header"
    UNKNOWN_KIND = "unknown-kind"
    TOO_LARGE = "too-large"
    UNKNOWN_SENDER = "unknown-sender"
    UNKNOWN_RECEIVER = "unknown-receiver"
    TRUNCATED = "truncated"
    BAD_CONTROL = "bad-control"
    BAD_HELLO = "bad-hello"
    WRONG_VERSION = "wrong-version"
    WRONG_RUN = "wrong-run"
    NOT_ADMITTED = "not-admitted"
    NO_HELLO = "no-hello"
    TOO_MANY_WAITING = "too-many-waiting"
    TOO_MANY_CONNECTIONS = "too-many-connections"
    TOO_FAST = "too-fast"
    ALREADY_CONNECTED = "already-connected"
    BAD_MESSAGE = "bad-message"
    EXCLUDED = "excluded"
    NOT_TLS = "not-tls"
    NOT_PLAIN = "not-plain"
    TLS_FAILED = "tls-failed"
    NO_CERTIFICATE = "no-certificate"
    BAD_CERTIFICATE = "bad-certificate"
    OUR_CERTIFICATE = "our-certificate"
    WRONG_NAME = "wrong-name"
    DISTRUSTED = "distrusted"


PASSING: Final = frozenset(
    {
        Refusal.NO_HELLO,
        Refusal.TOO_MANY_WAITING,
        Refusal.TOO_MANY_CONNECTIONS,
        Refusal.TOO_FAST,
        Refusal.ALREADY_CONNECTED,
        Refusal.EXCLUDED,
    }
)
"""Refusals that say something of the moment, not of who is refused."""


class NetError(Exception):
    """Anything this package raises on purpose."""


class FrameError(NetError):
    """A frame that must not be sent, or bytes that no honest peer sends. `code` is its `Refusal`."""

    def __init__(self, code: Refusal, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class ListenFailed(NetError):
    """A player cannot listen where it was told to."""

    def __init__(self, player: str, where: str, reason: str) -> None:
        super().__init__(f"{player} cannot listen on {where}: {reason}")
        self.reason = reason


class PeerError(NetError):
    """Something about one peer; `peer` is its name and `reason` says what."""

    def __init__(self, peer: str, reason: str, message: str | None = None) -> None:
        super().__init__(message or f"{peer}: {reason}")
        self.peer = peer
        self.reason = reason


class Refused(PeerError):
    """The peer was reached and will not have us. Trying again would not help."""

    def __init__(self, peer: str, reason: str) -> None:
        super().__init__(peer, reason, f"refused by {peer}: {reason}")


class NotNow(Refused):
    """The peer was reached and will not have us at present. Trying again later may help."""


class Untrusted(Refused):
    """The peer was reached and it is we who will not have it: trying again would not help either."""

    def __init__(self, peer: str, reason: str) -> None:
        PeerError.__init__(self, peer, reason, f"will not talk to {peer}: {reason}")


class ConnectFailed(PeerError):
    """The peer was not reached before the deadline. `where` is its address, or empty in memory."""

    def __init__(self, peer: str, where: str, after_ns: int, reason: str) -> None:
        at = f" at {where}" if where else ""
        super().__init__(peer, reason, f"cannot reach {peer}{at} after {seconds(after_ns)}: {reason}")


def refused(peer: str, reason: str) -> Refused:
    """Exception for the side that dialled `peer`, from a listener's refusal, `code: detail`."""
    return (NotNow if reason.partition(":")[0] in PASSING else Refused)(peer, reason)


def seconds(duration_ns: int) -> str:
    """A duration as people write it: `10 s`, `0.25 s`."""
    return f"{duration_ns / SECOND_NS:.3g} s"


def describe_os_error(error: OSError) -> str:
    """An `OSError` in a few words, without numbers, addresses and what Python wraps around them."""
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "reason", None) or str(error)  # only errors of OpenSSL's have a reason
        return f"TLS: {reason.replace('_', ' ').lower()}"
    if isinstance(error, socket.gaierror):
        return f"unknown host ({error.strerror})"
    number = error.errno or _first_number(str(error))
    if number is None:
        return "timed out" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
    return os.strerror(number).lower()


def _first_number(text: str) -> int | None:
    """The first error number in the one text that asyncio makes of the failures of several addresses."""
    found = re.search(r"\[Errno (\d+)\]", text)
    return int(found[1]) if found else None


def host_port(host: str, port: int) -> str:
    """An address as people write it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def printable(text: str, limit: int = 200) -> str:
    """A peer's text made safe to show: one line, at most `limit` characters, nothing that moves a cursor."""
    return "".join(c if c.isprintable() else "?" for c in text[:limit])
