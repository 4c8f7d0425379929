"""Sinks that remember, and two networks to talk between, for tests of everything that carries channels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from asyncagg.net.channel import Channel, Network
from asyncagg.net.clock import now_ns
from asyncagg.net.frames import Frame, Limits
from asyncagg.net.memory import MemoryNetwork
from asyncagg.net.options import TcpOptions
from asyncagg.net.tcp.network import Addresses, TcpNetwork
from asyncagg.net.tls.context import Tls

SECOND = 1_000_000_000
MIB = 1 << 20
RUN = b"a run of tests"
LIMITS = Limits({"note": (4096, 0), "vector": (64, 8 * MIB), "roster": (200_000, 0)})


class Recorder:
    """A sink that keeps what it is told, in order, and lets a test wait for more."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.frames: list[Frame] = []
        self.ends: list[tuple[str, str]] = []
        self._changed = asyncio.Event()

    def deliver(self, frame: Frame) -> None:
        self.frames.append(frame)
        self._changed.set()

    def gone(self, peer: str, reason: str) -> None:
        self.ends.append((peer, reason))
        self._changed.set()

    @property
    def bodies(self) -> list[bytes]:
        return [frame.body for frame in self.frames]

    async def has(self, frames: int = 0, ends: int = 0) -> None:
        """Return when at least so many frames and ends have come."""
        async with asyncio.timeout(20):
            while len(self.frames) < frames or len(self.ends) < ends:
                self._changed.clear()
                await self._changed.wait()


@dataclass
class Listener:
    """A listening player: one recorder for all its channels, by the name of the other side."""

    recorder: Recorder = field(default_factory=Recorder)
    channels: dict[str, Channel] = field(default_factory=dict)
    greet: Callable[[Channel], object] = lambda channel: None

    def accept(self, channel: Channel) -> Recorder:
        self.channels[channel.remote] = channel
        self.greet(channel)
        return self.recorder


@dataclass
class World:
    """Where players meet: one network for those who listen, one (perhaps the same) for those who dial."""

    listening: Network
    dialling: Network

    async def listen(self, player: str, **options: Callable[[Channel], object]) -> Listener:
        listener = Listener(Recorder(player), **options)
        await self.listening.listen(player, listener.accept)
        return listener

    async def dial(self, local: str, remote: str, seconds: float = 10) -> tuple[Channel, Recorder]:
        recorder = Recorder(local)
        deadline_ns = now_ns() + round(seconds * SECOND)
        return await self.dialling.dial(local, remote, recorder, deadline_ns), recorder


@asynccontextmanager
async def memory_world() -> AsyncIterator[World]:
    network = MemoryNetwork(LIMITS)
    yield World(network, network)
    await network.close()


@asynccontextmanager
async def tcp_world(
    listeners: int = 2,
    diallers: int = 200,
    options: TcpOptions | None = None,
    certify: Callable[..., Tls | None] = lambda *players: None,
) -> AsyncIterator[World]:
    """`node-0`… listen in one network, `owner-0`… dial from another, over TLS where they are certified."""
    nodes = [f"node-{index}" for index in range(listeners)]
    addresses: Addresses = dict.fromkeys(nodes, ("127.0.0.1", 0))
    listening = TcpNetwork(nodes, RUN, LIMITS, addresses, options=options, tls=certify(*nodes))
    owners = [f"owner-{index}" for index in range(diallers)]
    dialling = TcpNetwork(owners, RUN, LIMITS, addresses, options=options, tls=certify(*owners))
    yield World(listening, dialling)
    await dialling.close()
    await listening.close()
