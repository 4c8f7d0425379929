"""The one interface that players talk through, whatever carries it: channels, the networks that make them,
sinks.

A channel joins one local player and one remote player and delivers frames in order, whole, at most once. A
pair has one channel, dialled by one side. Its end is told to the other side's sink exactly once:

    closed: <reason>            the other player closed it
    connection lost, …          the connection broke: lost, reset, cut inside a frame, stalled, silent
    refused: <code>: <detail>   one of the two sides sent what must not be sent
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from asyncagg.net.errors import printable
from asyncagg.net.frames import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

Buffer: TypeAlias = "bytes | bytearray | memoryview | NDArray[Any]"


class Sink(Protocol):
    """Receiver of a player's frames. Both calls come from the event loop; they must be quick."""

    def deliver(self, frame: Frame) -> None:
        """A frame for this player. Frames may arrive before `dial` has returned to its caller."""

    def gone(self, peer: str, reason: str) -> None:
        """The channel to `peer` ended, and not by our own `close`; nothing more will come over it."""


class Channel(ABC):
    """One local player's line to one remote player. `sent` and `received` count bytes, headers included."""

    __slots__ = ("local", "received", "remote", "sent")

    def __init__(self, local: str, remote: str) -> None:
        self.local = local
        self.remote = remote
        self.sent = 0
        self.received = 0

    @abstractmethod
    def send(self, kind: str, body: bytes = b"", payload: Buffer = b"") -> int:
        """Queue a frame and return its size on the wire; never blocks.

        `payload` is sent by reference: it must be C-contiguous and must not change any more. Several
        channels may be given the same payload. Returns 0, and sends nothing, once the channel is gone: its
        sink is told, or is about to be. FrameError for a kind or size that the limits do not allow;
        PeerError after our own `close`.
        """

    @abstractmethod
    def close(self, reason: str = "") -> None:
        """End the channel after what was sent. The other side's sink is told, ours hears nothing more."""

    @abstractmethod
    def refuse(self, reason: str) -> None:
        """End the channel at once, because of what the other player said, and hear no more of it.

        The other side's sink is told `refused: …`, ours nothing. The pair gets no new channel before
        `Network.pardon`, and then not at once: after 1 s, and twice as long each time, up to 60 s.
        """


Accept: TypeAlias = Callable[[Channel], Sink]
"""Listener's callback for a new channel: called once for each, returns the sink for its frames."""


class Network(ABC):
    """Makes channels between players."""

    @abstractmethod
    async def listen(self, player: str, accept: Accept) -> None:
        """Let others dial `player`. ListenFailed when its address cannot be had."""

    @abstractmethod
    def unlisten(self, player: str) -> None:
        """Let nobody dial `player` any more, until it listens again; channels that are there stay."""

    @abstractmethod
    async def dial(self, local: str, remote: str, sink: Sink, deadline_ns: int | None = None) -> Channel:
        """A channel from `local` to `remote`, which must be listening before the deadline.

        `deadline_ns` is a time of `clock.now_ns()`; None waits for ever. ConnectFailed when it passes;
        Refused, at once, when the remote side will not have us, which is `NotNow` where it may have us later: one
        of the two has refused the other, or the pair already has a channel here. Where only the other side knows
        of one, which may have been lost, that is not said before it would have been noticed.
        """

    @abstractmethod
    def pardon(self, player: str) -> None:
        """Let whoever this local player has refused have a channel to it again, once enough time has passed."""

    @abstractmethod
    async def close(self) -> None:
        """Close all channels in order, what was sent before them, and stop listening."""


def flat(payload: Buffer) -> memoryview | bytes:
    """`payload` as bytes one after the other, without copying. ValueError unless it is C-contiguous."""
    if isinstance(payload, bytes):
        return payload
    view = memoryview(payload)  # type: ignore[arg-type]  # arrays have no __buffer__ in 3.11's type stubs
    if not view.c_contiguous:
        raise ValueError("a payload must be C-contiguous: its bytes are sent as they lie in memory")
    if not view.nbytes:
        return b""
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")


REFUSED = "refused: "
"""Prefix of a refusal's reason."""


def closed_reason(reason: str) -> str:
    """Reason that a sink is given when the other player closed the channel; a refusal is passed on as it is."""
    if reason.startswith(REFUSED):
        return printable(reason)
    return f"closed: {printable(reason)}" if reason else "closed"
