"""Links and faults over any network: the same channels, late, held up or broken as a scenario says.

It works in virtual time, to the nanosecond, as it does in real time. See `model` for what a link does and
`faults` for what can go wrong. Dialling itself takes no time on the link. It waits while a fault cuts
the two players off, and until the end of an earlier channel has reached the other side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from asyncagg.net.channel import Accept, Channel, Network, Sink
from asyncagg.net.clock import now_ns
from asyncagg.net.errors import ConnectFailed, PeerError
from asyncagg.net.frames import PairLimits
from asyncagg.net.links.channel import Common, Host, LinkedChannel
from asyncagg.net.links.delay_line import DelayLine
from asyncagg.net.links.faults import ChannelFaults
from asyncagg.net.links.model import HostQueue, Link, Path
from asyncagg.net.waiters import Waiters, sleep_until

Links: TypeAlias = Callable[[str], Link]
"""The link of each player: the same function in every process of a run."""


class LinkedNetwork(Network):
    """`inner` with a link for each player, and with faults.

    `limits` are those of `inner`, `seed` is that of all draws. A channel whose link does nothing at this end
    is the inner network's own and costs nothing, unless there are `faults`: then any channel may be struck.
    """

    def __init__(
        self, inner: Network, links: Links, limits: PairLimits, seed: int, faults: ChannelFaults | None = None
    ) -> None:
        self._inner = inner
        self._links = links
        self._seed = seed
        self._common = Common(limits, faults)
        self._hosts: dict[str, Host] = {}
        self._paths: dict[tuple[str, str, str], Path] = {}
        self._closed = False

    async def listen(self, player: str, accept: Accept) -> None:

        def accept_inner(channel: Channel) -> Sink:
            return self._accept(channel, accept)

        await self._inner.listen(player, accept_inner)

    def unlisten(self, player: str) -> None:
        self._inner.unlisten(player)

    def pardon(self, player: str) -> None:
        """See `Network`."""
        self._inner.pardon(player)

    async def dial(self, local: str, remote: str, sink: Sink, deadline_ns: int | None = None) -> Channel:
        if not self._matters(local, dialler=local):
            return await self._inner.dial(local, remote, sink, deadline_ns)
        await self._way_clear(local, remote, deadline_ns)
        end = self._end(local, remote, dialler=local)
        end.sink = sink
        end.attach(await self._inner.dial(local, remote, end, deadline_ns))
        return end

    async def close(self) -> None:
        """Close everything. What was sent still takes its time; what a fault holds back is not waited for."""
        self._closed = True
        ends = self._common.ends
        for end in ends.values():
            end.retire()
        for obstacle in self._obstacles():
            obstacle.wake()
        try:
            try:
                await _drained(lambda: (end.outward for end in ends.values()))
            finally:
                await self._inner.close()
            await _drained(lambda: (end.inward for end in ends.values()))
        finally:
            for end in ends.values():
                end.drop()

    def _accept(self, inner: Channel, accept: Accept) -> Sink:
        if not self._matters(inner.local, dialler=inner.remote):
            return accept(inner)
        end = self._end(inner.local, inner.remote, dialler=inner.remote)
        end.attach(inner)
        end.sink = accept(end)
        return end

    def _matters(self, local: str, dialler: str) -> bool:
        """True if there is anything for us to do at this end of a channel."""
        ours = self._links(local)
        has_lines = ours.bandwidth_up is not None or ours.bandwidth_down is not None
        return self._common.faults is not None or has_lines or self._links(dialler).delays

    def _end(self, local: str, remote: str, dialler: str) -> LinkedChannel:
        """A new end. Lines and streams of random draws go on where an earlier channel left them."""
        host = self._hosts.get(local)
        if host is None:
            link = self._links(local)
            up, down = link.bandwidth_up, link.bandwidth_down
            host = Host(HostQueue(up, link.queue_limit), HostQueue(down, link.queue_limit))
            self._hosts[local] = host
        key = dialler, local, remote
        path = self._paths.get(key)
        if path is None:
            path = self._paths[key] = Path(self._links(dialler), self._seed, local, remote)
        return LinkedChannel(self._common, local, remote, host, path)

    async def _way_clear(self, local: str, remote: str, deadline_ns: int | None) -> None:
        """Return when nothing is in the way of a new channel. ConnectFailed at the deadline."""
        started_ns = now_ns()
        while not self._closed and (obstacle := self._obstacle(local, remote)) is not None:
            present_ns = now_ns()
            if deadline_ns is not None and present_ns >= deadline_ns:
                raise ConnectFailed(remote, "", present_ns - started_ns, obstacle.why)
            await obstacle.wait(deadline_ns)
        if self._closed:
            raise PeerError(remote, "the network is closed")

    def _obstacle(self, local: str, remote: str) -> Waiters | None:
        faults = self._common.faults
        if faults is not None and (faults.stop(local, remote) or faults.stop(remote, local)):
            return faults.healed
        end = self._common.ends.get((local, remote))
        if end is None or not end.is_closing:
            return None
        waiters = Waiters("the channel before this one is still closing")
        return self._common.closing.setdefault((local, remote), waiters)

    def _obstacles(self) -> list[Waiters]:
        faults = self._common.faults
        return [*self._common.closing.values(), *([faults.healed] if faults is not None else [])]


async def _drained(lines: Callable[[], Iterable[DelayLine]]) -> None:
    """Return when nothing is left on any of `lines` that time will bring."""
    while (until_ns := max((line.last_ns for line in lines() if line.busy), default=None)) is not None:
        await sleep_until(until_ns)
