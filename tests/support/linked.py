"""A small world on links: players that listen or dial, and note when what reached them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from fractions import Fraction

from support.channels import LIMITS, SECOND, Recorder

from asyncagg.net.channel import Channel, Network, Sink
from asyncagg.net.clock import call_at_ns, now_ns
from asyncagg.net.frames import Frame
from asyncagg.net.links.faults import ChannelFaults
from asyncagg.net.links.model import Link
from asyncagg.net.links.network import LinkedNetwork
from asyncagg.net.memory import MemoryNetwork


def transmission_ns(size: int, bandwidth: int) -> int:
    """How long `size` bytes take at `bandwidth` bits per second, rounded up, by exact fractions."""
    return math.ceil(Fraction(size * 8, bandwidth) * SECOND)


class End(Recorder):
    """A player's end of a channel to `name`: the time of each frame, and of the end with its reason."""

    channel: Channel

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.times: list[int] = []
        self.told: list[tuple[int, str]] = []

    def deliver(self, frame: Frame) -> None:
        assert not self.told
        self.times.append(now_ns())
        super().deliver(frame)

    def gone(self, peer: str, reason: str) -> None:
        assert peer == self.name
        self.told.append((now_ns(), reason))
        super().gone(peer, reason)


class LinkedWorld:
    """Players on one linked network; those without a link of their own have one that does nothing."""

    def __init__(
        self,
        links: Mapping[str, Link],
        *,
        seed: int = 0,
        faults: ChannelFaults | None = None,
        inner: Network | None = None,
    ) -> None:
        plain = Link()
        self.inner = inner or MemoryNetwork(LIMITS)
        self.network = LinkedNetwork(self.inner, lambda name: links.get(name, plain), LIMITS, seed, faults)

    async def listen(self, player: str) -> dict[str, End]:
        """The ends of those who dial `player`, by name; the newest if one dials again."""
        ends: dict[str, End] = {}

        def accept(channel: Channel) -> Sink:
            end = ends[channel.remote] = End(channel.remote)
            end.channel = channel
            return end

        await self.network.listen(player, accept)
        return ends

    async def dial(self, local: str, remote: str, deadline_ns: int | None = None) -> End:
        """The dialling end."""
        end = End(remote)
        end.channel = await self.network.dial(local, remote, end, deadline_ns)
        return end

    async def settle(self) -> None:
        """Let an hour pass, after which nothing is on its way."""
        await asyncio.sleep(3_600)

    async def sleep_ns(self, duration_ns: int) -> None:
        """Let so much time pass, to the nanosecond."""
        passed = asyncio.get_running_loop().create_future()
        call_at_ns(now_ns() + duration_ns, passed.set_result, None)
        await passed
