"""A channel over a link: sends late, delivers late, ends late, and does all of it in order.

The sending side applies the line up, the way and the faults, and hands a frame to the channel inside when it
arrives; the receiving side applies the line down. So each knows all it needs, in one process or in two.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple

from asyncagg.net.channel import Buffer, Channel, Sink, closed_reason, flat
from asyncagg.net.clock import now_ns
from asyncagg.net.errors import PeerError
from asyncagg.net.frames import Frame, PairLimits, header_size
from asyncagg.net.links.delay_line import DelayLine
from asyncagg.net.links.faults import RESET, USUAL, ChannelFaults
from asyncagg.net.links.model import HostQueue, Path, stretch
from asyncagg.net.waiters import Waiters

QUEUE_FULL = "connection lost: queue full"
"""Reason given to both sides when a host has more bytes in flight than its `queue_limit`."""

_BROKEN = {closed_reason(reason): reason for reason in (RESET, QUEUE_FULL)}


class Host(NamedTuple):
    """A player's lines, shared by its channels."""

    up: HostQueue
    down: HostQueue


@dataclass(slots=True)
class Common:
    """State that the channels of one network share."""

    limits: PairLimits
    faults: ChannelFaults | None
    ends: dict[tuple[str, str], LinkedChannel] = field(default_factory=dict)
    """By local and remote player, until nothing more happens on them."""
    closing: dict[tuple[str, str], Waiters] = field(default_factory=dict)
    """Tasks that wait until an end that its player has closed is closed for the other side too."""


class LinkedChannel(Channel):
    """One end of a channel, and the sink of the channel inside it. `attach` it before use."""

    __slots__ = (
        "_attached",
        "_closed",
        "_common",
        "_deaf",
        "_host",
        "_inner",
        "_limits",
        "_over",
        "_path",
        "inward",
        "outward",
        "sink",
    )
    sink: Sink
    _inner: Channel

    def __init__(self, common: Common, local: str, remote: str, host: Host, path: Path) -> None:
        super().__init__(local, remote)
        self._common = common
        self._limits = common.limits.between(local, remote)
        self._host = host
        self._path = path
        self._attached = False  # to the channel inside, which may deliver before
        self._closed = False  # to sending: it raises
        self._deaf = False  # the sink must hear nothing more
        self._over = False  # the channel inside has ended: what is sent goes nowhere
        self.outward = DelayLine(host.up)
        self.inward = DelayLine(host.down)

    # --- for the player

    def send(self, kind: str, body: bytes = b"", payload: Buffer = b"") -> int:
        if self._closed:
            raise PeerError(self.remote, "the channel is closed")
        data = flat(payload)
        self._limits.check(kind, len(body), len(data))
        if not self._over and self._host.up.full:
            self.break_off(QUEUE_FULL)
        if self._over:
            return 0
        if self._common.faults is not None:
            body, data = self._common.faults.damage(self.local, kind, body, data)
        size = header_size(self.local, self.remote, kind, len(body), len(data)) + len(body) + len(data)
        self.sent += size
        present_ns = now_ns()
        arrival_ns = self._arrival_ns(present_ns, size)
        self.outward.put(present_ns, arrival_ns, size, self._inner.send, kind, body, data)
        return size

    def close(self, reason: str = "") -> None:
        self._closed = True
        if self._deaf:
            return
        self._deaf = True
        self.inward.clear()
        if self._over:
            self._finish()
        else:
            present_ns = now_ns()
            self.outward.put(present_ns, self._arrival_ns(present_ns, 0), 0, self._hang_up, reason)

    def refuse(self, reason: str) -> None:
        """See `Channel`; what is on its way either way is lost."""
        self._closed = self._deaf = self._over = True
        self.drop()
        self._inner.refuse(reason)
        self._finish()

    # --- for the channel inside

    def deliver(self, frame: Frame) -> None:
        """The frame has arrived and goes down the line."""
        if self._deaf or self._over:
            return
        if self._host.down.full:
            self.break_off(QUEUE_FULL)
            return
        size = frame.size
        present_ns = now_ns()
        taken_ns = self._host.down.serve(present_ns, size)
        self.inward.put(present_ns, taken_ns, size, self._take, frame, size)

    def gone(self, peer: str, reason: str) -> None:
        """The end has arrived, behind what came before."""
        if self._over:
            return
        self._over = True
        self.outward.clear()
        if self._deaf:
            self._finish()
            return
        present_ns = now_ns()
        taken_ns = self._host.down.serve(present_ns, 0)
        self.inward.put(present_ns, taken_ns, 0, self._tell, _BROKEN.get(reason, reason))

    # --- for the network and its faults

    @property
    def is_closing(self) -> bool:
        """True if the player has closed it and the other side does not know yet."""
        return self._deaf and not self._over

    def attach(self, inner: Channel) -> None:
        """Begin on the channel inside."""
        self._inner, self._attached = inner, True
        if self._over:  # it ended before the dialling side had it
            inner.close()
            return
        earlier = self._common.ends.get((self.local, self.remote))
        if earlier is not None:
            earlier.settle()
        self._common.ends[self.local, self.remote] = self
        if self._common.faults is not None:
            self._common.faults.join(self)

    def break_off(self, reason: str) -> None:
        """End at once; what is on its way is lost, and both sides are told."""
        if self._over:
            return
        self._over = True
        self.drop()
        if self._attached:
            self._inner.close(reason)
        asyncio.get_running_loop().call_soon(self._tell, reason)

    def retire(self) -> None:
        """Let the player send no more."""
        self._closed = True

    def settle(self) -> None:
        """Bring what has arrived to its end now: the pair has a new channel."""
        self.inward.flush()
        self._finish()

    def drop(self) -> None:
        """Forget what is on its way."""
        self.outward.clear()
        self.inward.clear()

    # --- the rest

    def _arrival_ns(self, present_ns: int, size: int) -> int:
        """Time at which a message of `size` bytes sent at present would arrive, were there none before it."""
        faults = self._common.faults
        slowness = USUAL if faults is None else faults.slowness(self.local)
        departed_ns = self._host.up.serve(present_ns, size, slowness.factor)
        return departed_ns + stretch(self._path.delay_ns(size), slowness.factor) + slowness.delay_ns

    def _hang_up(self, reason: str) -> None:
        self._over = True
        self._inner.close(reason)
        self._finish()

    def _take(self, frame: Frame, size: int) -> None:
        self.received += size
        self.sink.deliver(frame)

    def _tell(self, reason: str) -> None:
        self._finish()
        if not self._deaf:
            self._deaf = True
            self.sink.gone(self.remote, reason)

    def _finish(self) -> None:
        """Leave the network, and let those dial who waited for it."""
        key = self.local, self.remote
        if self._common.ends.get(key) is self:
            del self._common.ends[key]
            waiters = self._common.closing.pop(key, None)
            if waiters is not None:
                waiters.wake()
        if self._common.faults is not None:
            self._common.faults.leave(self)
