"""Listens for the players of a network and decides which connections may come in at all.

No connection is made more of here than a bare socket; what becomes of it is the business of `pending`. Those who
are in are neither counted among those who wait nor delayed by them: few are accepted at a time.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from asyncagg.net.channel import Accept
from asyncagg.net.clock import now_ns
from asyncagg.net.errors import FrameError, NetError, Refusal, describe_os_error, host_port
from asyncagg.net.rate_limit import RateLimiter
from asyncagg.net.tcp.pending import ConnectionTable, PendingConnection
from asyncagg.net.tcp.session import NetworkState
from asyncagg.net.tls.context import Tls

_BACKLOG = 512
_AT_ONCE = 64  # connections accepted before the others have
_BREATH = 0.02  # seconds to be served, and between looks at a queue with some in it who come too often
_REST = 0.5  # seconds without accepting when the system has no more sockets for us

_Found: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class _Door:
    """Listening sockets of one player; a host name may stand for several addresses."""

    player: str
    accept: Accept
    listeners: tuple[socket.socket, ...]


class Listener:
    """The open doors of a network."""

    def __init__(self, state: NetworkState, tls: Tls | None) -> None:
        self._state = state
        self._table = ConnectionTable(state, tls.server if tls else None)
        self._rate_limiter = RateLimiter(state.options.source_burst, state.options.source_per_second)
        self._doors: dict[str, _Door] = {}
        self._rests: dict[socket.socket, asyncio.TimerHandle] = {}
        self._opening: dict[str, object] = {}
        """Players whose listener will be open when the resolver has answered; no two values are the same."""
        self._taken: dict[str, tuple[socket.socket, ...]] = {}
        """Sockets by player that have its address and do not listen yet."""

    def listens(self, player: str) -> bool:
        """True if this player listens, or is about to."""
        return player in self._doors or player in self._opening

    def take(self, player: str, host: str, port: int) -> None:
        """Bind the address of `player`, to which nobody can connect yet. OSError when it cannot be had.

        Waits for the resolver.
        """
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self._taken[player] = _bound(found, port)

    def give_back(self) -> None:
        """Let others have the addresses that were taken and never opened."""
        for bound in self._taken.values():
            _close(bound)
        self._taken.clear()

    async def open(self, player: str, accept: Accept, host: str, port: int) -> int:
        """Let others connect to `player`, and return the port. OSError when the address cannot be had.

        NetError when the door is closed before it is open.
        """
        bound = self._taken.pop(player, None) or _bound(await self._found(player, host, port), port)
        door = _Door(player, accept, _listening(bound))
        self._doors[player] = door
        for listener in door.listeners:
            self._watch(door, listener)
        chosen: int = door.listeners[0].getsockname()[1]
        return chosen

    def close(self, player: str) -> None:
        """Let nobody connect to `player` any more; who has not been heard yet is sent away."""
        if self._opening.pop(player, None) is not None:
            return
        loop = asyncio.get_running_loop()
        for listener in self._doors.pop(player).listeners:
            loop.remove_reader(listener)
            if listener in self._rests:
                self._rests.pop(listener).cancel()
            listener.close()
        for pending in list(self._table.waiting):
            if pending.player == player and not pending.is_heard:
                pending.abort()

    async def close_all(self) -> None:
        """Close every door; afterwards every connection is a session or closed."""
        for player in [*self._opening, *self._doors]:
            self.close(player)
        self.give_back()
        await asyncio.gather(*self._table.tasks)

    async def _found(self, player: str, host: str, port: int) -> Iterable[_Found]:
        """Addresses from the resolver. NetError if the player is to listen no more, or the network was closed."""
        opening = self._opening[player] = object()
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        finally:
            withdrawn = self._opening.get(player) is not opening
            if not withdrawn:
                del self._opening[player]
        if withdrawn:
            raise NetError("the network is closed" if self._state.closed else f"{player} is to listen no more")
        return found

    def _watch(self, door: _Door, listener: socket.socket) -> None:
        self._rests.pop(listener, None)
        asyncio.get_running_loop().add_reader(listener, self._accept, door, listener)

    def _accept(self, door: _Door, listener: socket.socket) -> None:
        crowded = False
        for _ in range(_AT_ONCE):
            try:
                accepted, address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                break
            except OSError as error:
                self._exhausted(door, error)
                self._rest(door, listener, _REST)
                return
            crowded = not self._receive(door, accepted, address) or crowded
        else:
            crowded = True
        if crowded:  # each of the next ones would wake us
            self._rest(door, listener, _BREATH)

    def _rest(self, door: _Door, listener: socket.socket, seconds: float) -> None:
        """Accept nothing for a while; without that, the loop would call again at once."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener)
        self._rests[listener] = loop.call_later(seconds, self._watch, door, listener)

    def _exhausted(self, door: _Door, error: OSError) -> None:
        """The system has no socket for us: whoever waits longest makes room."""
        reason = f"{describe_os_error(error)}: no connection is accepted for {_REST} s"
        self._state.note_refusal(door.player, FrameError(Refusal.TOO_MANY_CONNECTIONS, reason))
        self._table.make_room()

    def _receive(self, door: _Door, accepted: socket.socket, address: tuple[str, int]) -> bool:
        """Let the connection wait for its hello, or refuse it; True if it may come in."""
        where = host_port(*address[:2])
        objection = self._objection(address[0])
        if objection is None:
            accepted.setblocking(False)
            PendingConnection(self._table, door.player, door.accept, accepted, where).begin()
        else:
            self._state.note_refusal(where, objection)
            accepted.close()
        return objection is None

    def _objection(self, host: str) -> FrameError | None:
        """Error that says why a connection from this address may not come in; None if it may."""
        options = self._state.options
        if not self._rate_limiter.take(host, now_ns()):
            return FrameError(
                Refusal.TOO_FAST, f"more than {options.source_burst} at once and {options.source_per_second} a second"
            )
        if self._table.is_full and not self._table.make_room():
            return FrameError(Refusal.TOO_MANY_CONNECTIONS, f"{options.max_connections} are open")
        return None


def _bound(found: Iterable[_Found], port: int) -> tuple[socket.socket, ...]:
    """A socket for every address that a host name was found to stand for, all with one port."""
    sockets: list[socket.socket] = []
    try:
        for family, *_, address in dict.fromkeys(found):
            same_port = sockets[0].getsockname()[1] if sockets else port
            sockets.append(_socket(family, (address[0], same_port, *address[2:])))
    except OSError:
        _close(sockets)
        raise
    return tuple(sockets)


def _socket(family: socket.AddressFamily, address: tuple[str | int, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # said, or asyncio leaves Nagle's delay on
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made


def _listening(bound: tuple[socket.socket, ...]) -> tuple[socket.socket, ...]:
    """The same sockets. OSError when another process was faster: two can have an address, one can listen there."""
    try:
        for each in bound:
            each.listen(_BACKLOG)
    except OSError:
        _close(bound)
        raise
    return bound


def _close(sockets: Iterable[socket.socket]) -> None:
    for each in sockets:
        each.close()
