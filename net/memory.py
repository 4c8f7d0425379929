"""All players in one process: frames go from sink to sink through the event loop and are never serialised.

Limits, sizes, order and ends are those of `TcpNetwork`. Nothing but the loop's `call_soon` and timers is
used, so it runs in virtual time as it does in real time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from asyncagg.net.channel import REFUSED, Accept, Buffer, Channel, Network, Sink, closed_reason, flat
from asyncagg.net.clock import call_at_ns, now_ns
from asyncagg.net.errors import ConnectFailed, NotNow, PeerError
from asyncagg.net.exclusion import Exclusions
from asyncagg.net.frames import Frame, Limits, PairLimits, count_size, header_size, require_name


class MemoryNetwork(Network):
    """Channels between players of this process, first in, first out over the whole network."""

    def __init__(self, limits: PairLimits) -> None:
        self._limits = limits
        self._exclusions = Exclusions()
        self._accepts: dict[str, Accept] = {}
        self._waiting: dict[str, dict[asyncio.Future[None], None]] = {}
        self._ends: dict[tuple[str, str], _MemoryChannel] = {}
        self._closed = False

    async def listen(self, player: str, accept: Accept) -> None:
        """Let others dial `player`. ValueError when it listens already."""
        if player in self._accepts:
            raise ValueError(f"{player} listens already")
        self._accepts[require_name(player)] = accept
        _wake(self._waiting.pop(player, {}))

    def unlisten(self, player: str) -> None:
        self._accepts.pop(player, None)

    async def dial(self, local: str, remote: str, sink: Sink, deadline_ns: int | None = None) -> Channel:
        if require_name(local) == require_name(remote):
            raise ValueError(f"{local} cannot dial itself")
        started_ns = now_ns()
        if remote not in self._accepts and not self._closed:
            await self._listening(remote, deadline_ns)
        await asyncio.sleep(0)  # what was sent before now arrives first, such as the end of an earlier channel
        if self._closed:
            raise PeerError(remote, "the network is closed")
        if remote not in self._accepts:
            raise ConnectFailed(remote, "", now_ns() - started_ns, "nobody listens there")
        if (local, remote) in self._ends:
            raise NotNow(remote, f"{local} is already connected")
        for here, there in ((remote, local), (local, remote)):
            objection = self._exclusions.objection(here, there, now_ns())
            if objection is not None:
                raise NotNow(remote, objection)
        return self._connect(local, remote, sink)

    def pardon(self, player: str) -> None:
        """See `Network`."""
        self._exclusions.pardon(player)

    async def close(self) -> None:
        """Close everything. What was sent is delivered; nobody is told `gone`, since all ends close at once."""
        self._closed = True
        for waiters in self._waiting.values():
            _wake(waiters)
        await asyncio.sleep(0)
        for end in list(self._ends.values()):
            end.shut()
        self._accepts.clear()

    async def _listening(self, remote: str, deadline_ns: int | None) -> None:
        """Return when `remote` listens, the deadline has passed, or the network is closed."""
        waiter = asyncio.get_running_loop().create_future()
        waiters = self._waiting.setdefault(remote, {})
        waiters[waiter] = None
        timer = None if deadline_ns is None else call_at_ns(deadline_ns, _wake, (waiter,))
        try:
            await waiter
        finally:
            waiters.pop(waiter, None)
            if timer is not None:
                timer.cancel()

    def _connect(self, local: str, remote: str, sink: Sink) -> Channel:
        loop = asyncio.get_running_loop()
        here, there = self._limits.between(local, remote), self._limits.between(remote, local)
        ours = _MemoryChannel(here, loop, self._ends, self._exclusions, local, remote)
        theirs = _MemoryChannel(there, loop, self._ends, self._exclusions, remote, local)
        ours.meet(theirs)
        theirs.meet(ours)
        ours.sink = sink
        theirs.sink = self._accepts[remote](theirs)
        return ours


class _MemoryChannel(Channel):
    """One end of a channel, in the network's table `ends` until it is closed or gone."""

    __slots__ = ("_closed", "_ends", "_exclusions", "_fixed", "_limits", "_loop", "_other", "sink")
    sink: Sink

    def __init__(
        self,
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
        ends: dict[tuple[str, str], _MemoryChannel],
        exclusions: Exclusions,
        local: str,
        remote: str,
    ) -> None:
        super().__init__(local, remote)
        self._limits = limits
        self._loop = loop
        self._ends = ends
        self._exclusions = exclusions
        self._other: _MemoryChannel | None = None
        self._closed = False
        self._fixed = header_size(local, remote, "", 0, 0) - 3  # less the empty kind and two sizes, a byte each

    def meet(self, other: _MemoryChannel) -> None:
        """Open this end towards `other`."""
        self._other = other
        self._ends[self.local, self.remote] = self

    def send(self, kind: str, body: bytes = b"", payload: Buffer = b"") -> int:
        if self._closed:
            raise PeerError(self.remote, "the channel is closed")
        data = flat(payload)
        body_size, payload_size = len(body), len(data)
        name = self._limits.check(kind, body_size, payload_size).packed
        other = self._other
        if other is None:
            return 0
        counts = count_size(body_size) + count_size(payload_size)
        size = self._fixed + len(name) + counts + body_size + payload_size
        self.sent += size
        self._loop.call_soon(other.arrive, Frame(self.local, self.remote, kind, body, data), size)
        return size

    def close(self, reason: str = "") -> None:
        other = self._other
        self.shut()
        if other is not None:
            self._loop.call_soon(other.end, closed_reason(reason))

    def refuse(self, reason: str) -> None:
        """See `Channel`."""
        self._exclusions.refuse(self.local, self.remote, now_ns())
        self.close(f"{REFUSED}{reason}")

    def arrive(self, frame: Frame, size: int) -> None:
        """Take a frame of `size` bytes from the other end."""
        if self._other is not None:
            self.received += size
            self.sink.deliver(frame)

    def end(self, reason: str) -> None:
        """Learn that the other end is closed."""
        if self._other is not None:
            self._part()
            self.sink.gone(self.remote, reason)

    def shut(self) -> None:
        """Close this end and tell nobody."""
        self._closed = True
        self._part()

    def _part(self) -> None:
        """Leave the other end and the network's table."""
        if self._other is not None:
            self._other = None
            del self._ends[self.local, self.remote]


def _wake(waiters: Iterable[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
