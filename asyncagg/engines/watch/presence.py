"""A network that tells an observer who comes and goes; frames pass by untouched."""

from __future__ import annotations

from collections.abc import Callable

from asyncagg.engines.watch.interface import Observer
from asyncagg.net.channel import Accept, Channel, Network, Sink
from asyncagg.net.frames import Frame


class PresenceNetwork(Network):
    """`inner`, and its channels as they begin and end."""

    def __init__(self, inner: Network, observer: Observer) -> None:
        self._inner = inner
        self._observer = observer

    async def listen(self, player: str, accept: Accept) -> None:

        def accept_inner(channel: Channel) -> Sink:
            self._observer.joined(channel.local, channel.remote)
            return _Sink(channel.local, accept(channel), self._observer)

        await self._inner.listen(player, accept_inner)

    def unlisten(self, player: str) -> None:
        self._inner.unlisten(player)

    def pardon(self, player: str) -> None:
        """See `Network`."""
        self._inner.pardon(player)

    async def dial(self, local: str, remote: str, sink: Sink, deadline_ns: int | None = None) -> Channel:
        channel = await self._inner.dial(local, remote, _Sink(local, sink, self._observer), deadline_ns)
        self._observer.joined(local, remote)
        return channel

    async def close(self) -> None:
        await self._inner.close()


class _Sink:
    """A player's sink; `deliver` is the player's own, so that a frame costs nothing more."""

    __slots__ = ("_local", "_observer", "_sink", "deliver")

    def __init__(self, local: str, sink: Sink, observer: Observer) -> None:
        self._local = local
        self._sink = sink
        self._observer = observer
        self.deliver: Callable[[Frame], None] = sink.deliver

    def gone(self, peer: str, reason: str) -> None:
        self._observer.gone(self._local, peer, reason)
        self._sink.gone(peer, reason)
