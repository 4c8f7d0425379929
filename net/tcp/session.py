"""The players on one TCP connection: their channels, and the routing of frames between them.

A session is the connection seen from one end: `outbound.Outbound` where it was dialled, `inbound.Inbound`
where it was accepted. Each channel is filed under the player that the connection carries, the dialling one.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from asyncagg.net.channel import REFUSED, Buffer, Channel, Sink, closed_reason, flat
from asyncagg.net.clock import now_ns
from asyncagg.net.errors import FrameError, PeerError, Refusal
from asyncagg.net.exclusion import Exclusions
from asyncagg.net.frames import CONTROL, Frame, FrameRules, PairLimits, pack_header, pack_stem
from asyncagg.net.options import TcpOptions
from asyncagg.net.rate_limit import RateLimiter
from asyncagg.net.tcp.buffers import BufferPool
from asyncagg.net.tcp.connection import Connection
from asyncagg.net.tcp.hello import BYE, PING, REFUSE, Facts, Hello, pack_reason, parse_fields
from asyncagg.net.tls.transport import SecuredProtocol

Admit: TypeAlias = Callable[[Hello, asyncio.BaseTransport], str | None]
"""Callback that admits the players of a hello: None, or the reason why not. The transport knows their certificate."""

Recognise: TypeAlias = Callable[[str, Facts], str | None]
"""Callback that accepts the player that was dialled, from the facts of its welcome: None, or the reason why not."""

OnRefusal: TypeAlias = Callable[[str, str], None]
"""Told the address and the reason whenever a connection or a channel is refused."""


@dataclass(slots=True)
class NetworkState:
    """State that the sessions of one network share."""

    players: tuple[str, ...]
    run: bytes | None
    limits: PairLimits
    options: TcpOptions
    admit: Admit | None = None
    recognise: Recognise | None = None
    on_refusal: OnRefusal | None = None
    facts: Facts = field(default_factory=dict)
    tells_run: bool = False
    wire_format: int = 0
    pool: BufferPool = field(default_factory=BufferPool)
    channels: dict[tuple[str, str], TcpChannel] = field(default_factory=dict)
    """By local and remote player, from when they are dialled or accepted until they are closed or gone."""
    sessions: dict[TcpSession, None] = field(default_factory=dict)
    """Every connection whose socket is open."""
    refusals: dict[str, int] = field(default_factory=dict)
    exclusions: Exclusions = field(default_factory=Exclusions)
    unasked: RateLimiter = field(init=False)
    """Limit on how often each player sends something without effect."""
    closed: bool = False

    def __post_init__(self) -> None:
        self.unasked = RateLimiter(self.options.unasked_burst, self.options.unasked_per_second)

    def require_run(self) -> bytes:
        """The nonce of the run. ValueError before it is known."""
        if self.run is None:
            raise ValueError("the run is not known yet: learn it first")
        return self.run

    def note_refusal(self, address: str, error: FrameError) -> None:
        """Count a refusal and pass it on."""
        self.refusals[error.code] = self.refusals.get(error.code, 0) + 1
        if self.on_refusal is not None:
            self.on_refusal(address, str(error))


class TcpChannel(Channel):
    """One player's channel over a session; `number` tells it from earlier channels of the same pair."""

    __slots__ = ("_closed", "_limits", "_state", "_stem", "number", "player", "session", "sink")
    player: str
    number: int
    sink: Sink

    def __init__(self, state: NetworkState, local: str, remote: str) -> None:
        super().__init__(local, remote)
        self._state = state
        self._limits = state.limits.between(local, remote)
        self._stem = pack_stem(local, remote)
        self._closed = False
        self.session: TcpSession | None = None
        state.channels[local, remote] = self

    def send(self, kind: str, body: bytes = b"", payload: Buffer = b"") -> int:
        if self._closed:
            raise PeerError(self.remote, "the channel is closed")
        data = flat(payload)
        known = self._limits.check(kind, len(body), len(data))
        if self.session is None:
            return 0
        head = pack_header(self._stem, known, len(body), len(data))
        size = len(head) + len(body) + len(data)
        self.sent += size
        self.session.send_queue.put(head + body, data)
        return size

    def close(self, reason: str = "") -> None:
        self._closed = True
        session = self.session
        self.part()
        if session is not None:
            session.close_channel(self, reason)

    def refuse(self, reason: str) -> None:
        """See `Channel`."""
        self._closed = True
        session = self.session
        self.part()
        if session is None:
            self._state.exclusions.refuse(self.local, self.remote, now_ns())
        else:
            session.refuse_channel(self, FrameError(Refusal.BAD_MESSAGE, reason))

    def join(self, session: TcpSession, player: str, number: int) -> None:
        """Be the channel of `player`, which the session's connection carries."""
        self.session, self.player, self.number = session, player, number
        session.channels[player] = self

    def part(self) -> None:
        """Leave the session and the network's table."""
        self.session = None
        if self._state.channels.get((self.local, self.remote)) is self:
            del self._state.channels[self.local, self.remote]


class TcpSession(Connection, SecuredProtocol):
    """Base of both ends of a connection."""

    def __init__(self, state: NetworkState, rules: FrameRules) -> None:
        super().__init__(state.options, state.pool, rules)
        self.state = state
        self.channels: dict[str, TcpChannel] = {}
        self.handlers: dict[str, Callable[[Frame], None]] = {
            BYE: self.on_bye,
            REFUSE: self.on_refuse,
            PING: lambda frame: self.unasked(frame.sender, frame.receiver),
        }

    # --- where the ends differ

    @property
    @abstractmethod
    def pairs(self) -> list[tuple[str, str]]:
        """Local and remote player of every channel that the connection may carry; none before the welcome."""

    @abstractmethod
    def carried(self, frame: Frame) -> str:
        """The player that the connection carries, of the two whom a frame names."""

    @abstractmethod
    def say(self, player: str, kind: str, body: bytes = b"") -> None:
        """Send a control frame between `player`, which the connection carries, and the listener."""

    @abstractmethod
    def on_refuse(self, frame: Frame) -> None:
        """The other side will not go on with us."""

    @abstractmethod
    def unsafe(self, error: OSError) -> None:
        """The TLS handshake below failed, or was cut: the connection will never be made."""

    # --- what they share

    def made(self) -> None:
        """The connection stands: the network must close it."""
        self.state.sessions[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed: the network need not."""
        super().connection_lost(exc)
        self.state.sessions.pop(self, None)

    def arrived(self, frame: Frame) -> None:
        """Deliver a player's frame, or act on one of the connection's own."""
        if frame.kind[0] == CONTROL:
            self.handlers[frame.kind](frame)
            return
        channel = self.channels.get(self.carried(frame))
        if channel is not None:
            channel.received += frame.size
            channel.sink.deliver(frame)
        else:  # it was on its way when the channel was closed
            self.unasked(frame.sender, frame.receiver)

    def unasked(self, sender: str, receiver: str) -> None:
        """Take note of a frame without effect. FrameError for more of them than an honest peer can send."""
        if not self.state.unasked.take(f"{receiver} {sender}", now_ns()):
            limits = f"{self.options.unasked_burst} at once and {self.options.unasked_per_second} a second"
            raise FrameError(Refusal.TOO_FAST, f"{sender} sends more that nobody waits for than {limits}")

    def refuse(self, error: FrameError) -> None:
        """See `Connection`; nobody of this connection comes back at once."""
        for local, remote in self.pairs:
            self.state.exclusions.refuse(local, remote, now_ns())
        super().refuse(error)

    def note_refusal(self, error: FrameError) -> None:
        """Count it under the peer's address."""
        self.state.note_refusal(self.address, error)

    def ended(self, reason: str) -> None:
        """Tell every channel's sink, once none of them can send any more."""
        lost = list(self.channels.values())
        self.channels.clear()
        for channel in lost:
            channel.part()
        for channel in lost:
            channel.sink.gone(channel.remote, reason)

    def close_channel(self, channel: TcpChannel, reason: str) -> None:
        """Close one channel for its local player."""
        del self.channels[channel.player]
        self.say(channel.player, BYE, pack_reason(channel.number, reason=reason))

    def refuse_channel(self, channel: TcpChannel, error: FrameError) -> None:
        """End one channel for what its remote player said; the connection too, if it carries nobody else."""
        del self.channels[channel.player]
        if len(self.pairs) > 1:
            self.state.exclusions.refuse(channel.local, channel.remote, now_ns())
            self.note_refusal(error)
            self.say(channel.player, BYE, pack_reason(channel.number, reason=f"{REFUSED}{error}"))
        else:
            self.refuse(error)

    def close_all(self, reason: str) -> None:
        """Close every channel, then the connection."""
        for channel in list(self.channels.values()):
            channel.close(reason)
        if not self.has_ended:
            self.finish(closed_reason(reason))

    def on_bye(self, frame: Frame) -> None:
        number, reason = parse_fields(frame.body, int, str)
        channel = self.channels.get(self.carried(frame))
        if channel is not None and channel.number == number:
            del self.channels[channel.player]
            channel.part()
            channel.sink.gone(channel.remote, closed_reason(reason))
        else:
            self.unasked(frame.sender, frame.receiver)
