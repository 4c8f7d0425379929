"""An accepted connection until it has said who it is: a bare socket, then a transport, perhaps with TLS.

The bare socket costs next to nothing. Only first bytes that an honest peer would send bring it the transport, the
TLS and the memory to receive frames that come next.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field

from asyncagg.net.channel import Accept
from asyncagg.net.clock import now_ns
from asyncagg.net.durations import SECOND_NS
from asyncagg.net.errors import FrameError, Refusal, seconds
from asyncagg.net.frames import MAGIC, Frame, pack_frame
from asyncagg.net.rate_limit import RateLimiter
from asyncagg.net.tcp.hello import REFUSE, pack_reason
from asyncagg.net.tcp.inbound import STRANGER, Admission, Inbound
from asyncagg.net.tcp.session import NetworkState
from asyncagg.net.tls.transport import TlsLayer

_TLS = b"\x16\x03"  # a handshake record, RFC 8446 5.1


@dataclass(slots=True, eq=False)
class ConnectionTable:
    """The connections that one network accepted: those who wait, longest first, and how many are in."""

    state: NetworkState
    context: ssl.SSLContext | None
    waiting: dict[PendingConnection, None] = field(default_factory=dict)
    inside: int = 0
    openings: RateLimiter = field(init=False)
    """Limit on how often each player opens a channel."""
    tasks: dict[asyncio.Task[None], None] = field(default_factory=dict)
    """Sockets on their way to becoming transports."""

    def __post_init__(self) -> None:
        self.openings = RateLimiter(self.state.options.opening_burst, self.state.options.openings_per_second)

    @property
    def is_full(self) -> bool:
        """True if there are as many as there may be."""
        return self.inside + len(self.waiting) >= self.state.options.max_connections

    def make_room(self) -> bool:
        """Make room, if anyone waits: honest peers say hello at once."""
        oldest = next(iter(self.waiting), None)
        if oldest is not None:
            oldest.make_room()
        return oldest is not None


class PendingConnection(Admission):
    """One connection from `where` to a player that listens."""

    def __init__(
        self, table: ConnectionTable, player: str, accept: Accept, accepted: socket.socket, where: str
    ) -> None:
        self.player = player
        self._table = table
        self._accept = accept
        self._socket = accepted
        self._where = where
        self._session: Inbound | None = None
        self._transport: asyncio.Transport | None = None
        self._inside = self._refused = self._over = False
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.call_later(table.state.options.hello_ns / SECOND_NS, self._no_hello)

    def begin(self) -> None:
        """Wait for the first bytes, which may be there already."""
        self._table.waiting[self] = None
        if len(self._table.waiting) > self._table.state.options.max_waiting:
            self._table.make_room()
        self._loop.add_reader(self._socket, self._look)
        self._look()

    # --- the threshold of the session

    def let_in(self) -> None:
        self._deadline.cancel()
        del self._table.waiting[self]
        self._table.inside += 1
        self._inside = True

    def may_open(self, player: str) -> bool:
        return self._table.openings.take(f"{self.player} {player}", now_ns())

    def refused(self) -> None:
        self._refused = True

    def left(self) -> None:
        self._over = True
        self._deadline.cancel()
        self._table.waiting.pop(self, None)
        if self._inside:
            self._inside = False
            self._table.inside -= 1

    # --- the end

    @property
    def is_heard(self) -> bool:
        """True if there is a session, which can be told things."""
        return self._session is not None and self._session.is_made

    def dismiss(self, error: FrameError) -> None:
        """Refuse one who waits, and say why; who was refused before, and lingers, is cut."""
        if self._session is not None and self._session.is_made and not self._refused:
            self._session.refuse(error)
            return
        self._note(error)
        if self._session is None:
            self._say(error)
        self.abort()

    def make_room(self) -> None:
        """Leave without a word: whoever is told of a refusal does not come back, and this one may be honest."""
        self._note(FrameError(Refusal.TOO_MANY_WAITING, "made room for another connection"))
        self.abort()

    def abort(self) -> None:
        """Close the socket at once."""
        if self._over:
            return
        self.left()
        if self._session is not None and self._session.is_made:
            self._session.cut("made room for another connection")
        elif self._transport is not None:
            self._transport.abort()
        elif self._session is None:
            self._loop.remove_reader(self._socket)
            self._socket.close()  # otherwise there will be a transport in a moment, see `_hand_over`

    # --- the beginning

    def _look(self) -> None:
        """Judge the first bytes, if there are any, and leave them where they are."""
        try:
            start = self._socket.recv(len(MAGIC), socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            start = b""
        objection = self._judge(start)
        if not start:
            self.abort()
        elif objection is not None:
            self.dismiss(objection)
        else:
            self._loop.remove_reader(self._socket)
            self._session = Inbound(self._table.state, self.player, self._accept, self, self._where)
            task = self._loop.create_task(self._hand_over(self._session), name=f"accept {self._where}")
            self._table.tasks[task] = None
            task.add_done_callback(self._table.tasks.pop)

    def _judge(self, start: bytes) -> FrameError | None:
        encrypted = self._table.context is not None
        if (_TLS if encrypted else MAGIC).startswith(start):
            return None
        if MAGIC.startswith(start):
            return FrameError(Refusal.NOT_TLS, "only TLS is spoken here")
        if _TLS.startswith(start):
            return FrameError(Refusal.NOT_PLAIN, "TLS is not spoken here")
        return FrameError(Refusal.GARBAGE, f"does not begin like {'TLS' if encrypted else 'a frame'}")

    def _note(self, error: FrameError) -> None:
        if not self._refused:
            self._table.state.note_refusal(self._where, error)

    async def _hand_over(self, session: Inbound) -> None:
        """Give the socket to the loop's own transport, with or without TLS."""
        context = self._table.context
        protocol = session if context is None else TlsLayer(context, session, server_side=True)
        try:
            self._transport, _ = await self._loop.connect_accepted_socket(lambda: protocol, self._socket)
        except OSError:
            self._socket.close()
            self.left()
        if self._over and self._transport is not None:
            self._transport.abort()

    def _no_hello(self) -> None:
        self.dismiss(FrameError(Refusal.NO_HELLO, f"within {seconds(self._table.state.options.hello_ns)}"))

    def _say(self, error: FrameError) -> None:
        """Tell one who speaks frames, or may, why it is refused: as much as a bare socket takes at once."""
        if self._table.context is None or error.code is Refusal.NOT_TLS:
            reason = pack_frame(Frame(self.player, STRANGER, REFUSE, pack_reason(reason=str(error))))
            with suppress(OSError):
                self._socket.send(reason)
                self._socket.recv(64 * 1024)  # what is unread when a socket is closed makes the system say reset
