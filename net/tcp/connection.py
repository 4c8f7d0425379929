"""One TCP connection as bytes and time: frames in and out, signs of life, an orderly end or a quick one.

Which players talk over it is the business of `session`, which fills in the hooks.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from asyncagg.net.clock import now_ns
from asyncagg.net.durations import SECOND_NS
from asyncagg.net.errors import FrameError, Refusal, describe_os_error, host_port
from asyncagg.net.frames import Frame, FrameRules
from asyncagg.net.keepalive import Counts, Keepalive, Sign
from asyncagg.net.options import TcpOptions
from asyncagg.net.tcp.buffers import BufferPool
from asyncagg.net.tcp.decoder import Decoder
from asyncagg.net.tcp.hello import PING, REFUSE, pack_reason
from asyncagg.net.tcp.send_queue import SendQueue

_DISCARD_AT_MOST = 64 << 20
_discarded = memoryview(bytearray(64 * 1024))  # where bytes go that nobody will read


class Connection(asyncio.BufferedProtocol, ABC):
    """The asyncio side of a connection; `lost` is done when its socket is closed.

    It is of use until it `has_ended`. After that it may linger: send what is queued, discard what still
    comes and wait for the other side to close, which so reads our last word before its own writes fail.
    """

    def __init__(self, options: TcpOptions, pool: BufferPool, rules: FrameRules) -> None:
        self.options = options
        self.decoder = Decoder(rules, pool.take)
        self.lingers = False
        self.has_ended = False
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self.send_queue: SendQueue
        self._received = 0
        self._probed_ns = -SECOND_NS
        self._discard_from = 0
        self._keepalive = Keepalive(now_ns(), options.keepalive_ns, options.stall_ns)
        self._look_timer: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None

    # --- hooks for the session

    @abstractmethod
    def made(self) -> None:
        """The connection stands."""

    @abstractmethod
    def arrived(self, frame: Frame) -> None:
        """A frame that the rules let through. FrameError refuses the peer."""

    @abstractmethod
    def note_refusal(self, error: FrameError) -> None:
        """The peer is refused for what it sent."""

    @abstractmethod
    def control(self, kind: str, body: bytes = b"") -> None:
        """Send a control frame that concerns the whole connection."""

    @abstractmethod
    def ended(self, reason: str) -> None:
        """The connection is of no more use. Called once."""

    # --- what a session can do

    @property
    def is_made(self) -> bool:
        """True if there ever was a connection."""
        return hasattr(self, "transport")

    @property
    def address(self) -> str:
        """Address of the other side, as `host:port`."""
        peer = self.transport.get_extra_info("peername")
        return host_port(*peer[:2]) if peer else "an unknown address"

    def refuse(self, error: FrameError) -> None:
        """Tell the peer what it did wrong and end the connection."""
        self.note_refusal(error)
        self.control(REFUSE, pack_reason(reason=str(error)))
        self.finish(f"refused: {error}")

    def finish(self, reason: str) -> None:
        """End in order: send what is queued, then close. Whoever takes that long to take it all is cut."""
        self._end(reason)
        self.set_deadline(self.options.stall_ns, self.transport.abort)  # a byte now and then is no stall
        self.send_queue.when_empty(self._half_close if self.lingers else self.transport.close)

    def cut(self, reason: str) -> None:
        """End at once."""
        self._end(reason)
        self._stop_looking()
        self.send_queue.drop()
        self.transport.abort()

    def set_deadline(self, after_ns: int, callback: Callable[[], None]) -> None:
        """Call `callback` after this time, unless another deadline is set or the connection ends before."""
        self.clear_deadline()
        self._deadline = asyncio.get_running_loop().call_later(after_ns / SECOND_NS, callback)

    def clear_deadline(self) -> None:
        """Forget the deadline, if there is one."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def probe(self) -> None:
        """Say something that a lost connection is noticed by; not more than once a second, however often asked."""
        if now_ns() - self._probed_ns >= SECOND_NS:
            self._probed_ns = now_ns()
            self.control(PING)

    def is_doubtful(self) -> bool:
        """True if the peer should have been heard by now, so that a newer connection may replace this one."""
        self._keepalive.look(now_ns(), self._counts())
        return self._keepalive.doubtful(now_ns())

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.send_queue = SendQueue(self.transport)
        self.transport.set_write_buffer_limits(high=1, low=0)  # with 0 and 0, TLS would pause us when it is empty
        self._look_later()
        self.made()

    def get_buffer(self, sizehint: int) -> memoryview:
        return _discarded if self.has_ended else self.decoder.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        self._received += nbytes
        if self.has_ended:
            self._discard()
            return
        try:
            for frame in self.decoder.buffer_updated(nbytes):
                self.arrived(frame)
                if self.has_ended:
                    return
        except FrameError as error:
            self.refuse(error)

    def eof_received(self) -> None:
        """Refuse a peer whose stream ends inside a frame; the transport closes itself."""
        if not self.has_ended and self.decoder.inside_frame:
            self.note_refusal(FrameError(Refusal.TRUNCATED, "the connection ended inside a frame"))
            self._end("connection lost inside a frame")

    def pause_writing(self) -> None:
        self.send_queue.pause()

    def resume_writing(self) -> None:
        self.send_queue.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(_lost_reason(exc))
        self.send_queue.drop()
        self.clear_deadline()
        self._stop_looking()
        self.lost.set_result(None)

    # --- the rest

    def _end(self, reason: str) -> None:
        if not self.has_ended:
            self.has_ended = True
            self._discard_from = self._received
            self.clear_deadline()
            self.ended(reason)

    def _half_close(self) -> None:
        """All is sent: say so, and leave the other side some time to close as well."""
        self._stop_looking()
        if self.transport.is_closing():
            return
        self.set_deadline(self.options.linger_ns, self.transport.abort)
        if self.transport.can_write_eof():
            with suppress(OSError):  # the other side has reset the connection, which we will read in a moment
                self.transport.write_eof()
        else:
            self.transport.close()

    def _discard(self) -> None:
        if self._received - self._discard_from > _DISCARD_AT_MOST:
            self.transport.abort()

    def _counts(self) -> Counts:
        return Counts(self._received, self.send_queue.given, self.send_queue.taken, self.send_queue.waiting)

    def _look(self) -> None:
        """Look whether the connection lives, now and again."""
        sign = self._keepalive.look(now_ns(), self._counts())
        if sign in (Sign.SILENT, Sign.STALLED):
            self.cut(self._keepalive.describe(sign))
            return
        if sign is Sign.PING and not self.has_ended:
            self.control(PING)
        self._look_later()

    def _look_later(self) -> None:
        interval = self._keepalive.interval_ns / SECOND_NS
        self._look_timer = asyncio.get_running_loop().call_later(interval, self._look)

    def _stop_looking(self) -> None:
        if self._look_timer is not None:
            self._look_timer.cancel()
            self._look_timer = None


def _lost_reason(exc: Exception | None) -> str:
    if exc is None:
        return "connection lost"
    if isinstance(exc, ConnectionResetError | BrokenPipeError):
        return "connection reset"
    if isinstance(exc, OSError):
        return f"connection lost: {describe_os_error(exc)}"
    return f"connection lost: {type(exc).__name__} here"
