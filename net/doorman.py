"""Listens for the players of a network and decides which connections may come in at all.

No connection is made more of here than a bare socket; what becomes of it is the business of `visit`. Those who
are in are neither counted among those who wait nor delayed by them: few are accepted at a time.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

from net.channel import Accept
from net.clock import now_ns
from net.errors import FrameError, Refusal, describe_os_error, host_port
from net.session import Hub
from net.sources import Sources
from net.tls import Tls
from net.visit import Room, Visit

_BACKLOG = 512
_AT_ONCE = 32  # connections accepted before the others have
_BREATH = 0.01  # seconds to be served
_REST = 0.5  # seconds without accepting when the system has no more sockets for us


@dataclass(frozen=True, slots=True, eq=False)
class _Door:
    """Where one player listens; a host name may stand for several addresses."""

    player: str
    accept: Accept
    listeners: tuple[socket.socket, ...]


class Doorman:
    """The open doors of a network."""

    def __init__(self, hub: Hub, tls: Tls | None) -> None:
        self._hub = hub
        self._room = Room(hub, tls.server if tls else None)
        self._sources = Sources(hub.options.source_burst, hub.options.source_per_second)
        self._doors: dict[str, _Door] = {}
        self._rests: dict[socket.socket, asyncio.TimerHandle] = {}

    def listens(self, player: str) -> bool:
        """Whether this player's door is open."""
        return player in self._doors

    async def open(self, player: str, accept: Accept, host: str, port: int) -> int:
        """Let others connect to `player`, and return the port. OSError when the address cannot be had."""
        door = _Door(player, accept, await _listeners(host, port))
        self._doors[player] = door
        for listener in door.listeners:
            self._watch(door, listener)
        chosen: int = door.listeners[0].getsockname()[1]
        return chosen

    def close(self, player: str) -> None:
        """Let nobody connect to `player` any more; who has not been heard yet is sent away."""
        loop = asyncio.get_running_loop()
        for listener in self._doors.pop(player).listeners:
            loop.remove_reader(listener)
            if listener in self._rests:
                self._rests.pop(listener).cancel()
            listener.close()
        for visit in list(self._room.waiting):
            if visit.player == player and not visit.is_heard:
                visit.abort()

    async def close_all(self) -> None:
        """Close every door; afterwards every connection is a session or closed."""
        for player in list(self._doors):
            self.close(player)
        await asyncio.gather(*self._room.tasks)

    def _watch(self, door: _Door, listener: socket.socket) -> None:
        self._rests.pop(listener, None)
        asyncio.get_running_loop().add_reader(listener, self._accept, door, listener)

    def _accept(self, door: _Door, listener: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._exhausted(door, error)
                self._rest(door, listener, _REST)
                return
            accepted.setblocking(False)
            self._receive(door, accepted, address)
        self._rest(door, listener, _BREATH)

    def _rest(self, door: _Door, listener: socket.socket, seconds: float) -> None:
        """Accept nothing for a while; without that, the loop would call again at once."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener)
        self._rests[listener] = loop.call_later(seconds, self._watch, door, listener)

    def _exhausted(self, door: _Door, error: OSError) -> None:
        """The system has no socket for us: whoever waits longest makes room."""
        reason = f"{describe_os_error(error)}: no connection is accepted for {_REST} s"
        self._hub.note_refusal(door.player, FrameError(Refusal.TOO_MANY_CONNECTIONS, reason))
        self._room.make_room()

    def _receive(self, door: _Door, accepted: socket.socket, address: tuple[str, int]) -> None:
        where = host_port(*address[:2])
        objection = self._objection(address[0])
        if objection is None:
            Visit(self._room, door.player, door.accept, accepted, where).begin()
        else:
            self._hub.note_refusal(where, objection)
            accepted.close()

    def _objection(self, host: str) -> FrameError | None:
        """Why a connection from this address may not come in, if it may not."""
        options = self._hub.options
        if not self._sources.take(host, now_ns()):
            return FrameError(
                Refusal.TOO_FAST, f"more than {options.source_burst} at once and {options.source_per_second} a second"
            )
        if self._room.is_full and not self._room.make_room():
            return FrameError(Refusal.TOO_MANY_CONNECTIONS, f"{options.max_connections} are open")
        return None


async def _listeners(host: str, port: int) -> tuple[socket.socket, ...]:
    """A listening socket for every address of `host`, all with one port."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    listeners: list[socket.socket] = []
    try:
        for family, *_, address in dict.fromkeys(found):
            same_port = listeners[0].getsockname()[1] if listeners else port
            listeners.append(_listener(family, (address[0], same_port, *address[2:])))
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return tuple(listeners)


def _listener(family: socket.AddressFamily, address: tuple[str | int, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
