"""A tap on every channel of a run: it sees each frame before it leaves, and may swallow, change or repeat it.

`install` puts it where the engines make their networks, so that it is the engines themselves that run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from asyncagg.crypto.randomness import InsecureSeededRandomness
from asyncagg.engines import sim, tcp
from asyncagg.net.channel import Accept, Buffer, Channel, Network, Sink
from asyncagg.net.frames import Frame
from asyncagg.net.memory import MemoryNetwork
from asyncagg.net.tcp.network import TcpNetwork

Meddle = Callable[[Frame], Iterable[Frame]]


class Tap:
    """What was said, in order; `meddle` says what goes on instead of a frame."""

    def __init__(self, meddle: Meddle = lambda frame: (frame,)) -> None:
        self.meddle = meddle
        self.frames: list[Frame] = []
        self.networks: list[Any] = []
        self.channels: dict[tuple[str, str], Channel] = {}
        self.on_listen: Callable[[str, Any], object] = lambda player, network: None
        """Told of every player that listens, in the run's own thread."""
        self.drawn: list[bytes] = []
        """Everything that was drawn from the players' sources of secrets."""

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Tap:
        """Tap all networks that the engines `sim` and `tcp` make from now on."""
        monkeypatch.setattr(sim, "MemoryNetwork", lambda *args, **kw: self._tapped(MemoryNetwork(*args, **kw)))
        monkeypatch.setattr(tcp, "TcpNetwork", lambda *args, **kw: self._tapped(TcpNetwork(*args, **kw)))
        drawn = self.drawn

        class Recorded(InsecureSeededRandomness):
            def bytes(self, count: int) -> bytes:
                found = super().bytes(count)
                drawn.append(found)
                return found

        monkeypatch.setattr(sim, "InsecureSeededRandomness", Recorded)
        return self

    def of(self, kind: str) -> list[Frame]:
        return [frame for frame in self.frames if frame.kind == kind]

    def _tapped(self, network: Network) -> TappedNetwork:
        self.networks.append(network)
        return TappedNetwork(network, self)


class TappedNetwork(Network):
    """A network whose channels go through the tap."""

    def __init__(self, network: Network, tap: Tap) -> None:
        self._network = network
        self._tap = tap

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    async def listen(self, player: str, accept: Accept) -> None:
        await self._network.listen(player, lambda channel: accept(TappedChannel(channel, self._tap)))
        self._tap.on_listen(player, self._network)

    def unlisten(self, player: str) -> None:
        self._network.unlisten(player)

    async def dial(self, local: str, remote: str, sink: Sink, deadline_ns: int | None = None) -> Channel:
        return TappedChannel(await self._network.dial(local, remote, sink, deadline_ns), self._tap)

    def pardon(self, player: str) -> None:
        self._network.pardon(player)

    async def close(self) -> None:
        await self._network.close()


class TappedChannel(Channel):
    """A channel that shows what it is given to the tap."""

    def __init__(self, channel: Channel, tap: Tap) -> None:
        super().__init__(channel.local, channel.remote)
        self._channel = channel
        self._tap = tap
        tap.channels[channel.local, channel.remote] = channel

    def send(self, kind: str, body: bytes = b"", payload: Buffer = b"") -> int:
        frame = Frame(self.local, self.remote, kind, body, bytes(payload))
        self._tap.frames.append(frame)
        sizes = [self._channel.send(each.kind, each.body, each.payload) for each in self._tap.meddle(frame)]
        return sum(sizes) or frame.size

    def close(self, reason: str = "") -> None:
        self._channel.close(reason)

    def refuse(self, reason: str) -> None:
        self._channel.refuse(reason)
