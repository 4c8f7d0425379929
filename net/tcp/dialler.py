"""Connects to remote players, again and again until it works or cannot: one connection to each for everyone here."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import TypeAlias

from asyncagg.net.clock import now_ns
from asyncagg.net.durations import SECOND_NS
from asyncagg.net.errors import ConnectFailed, PeerError, Refused, describe_os_error, host_port
from asyncagg.net.keepalive import SILENT_AFTER
from asyncagg.net.tcp.outbound import Failure, Occupied, Outbound
from asyncagg.net.tcp.session import NetworkState, TcpChannel
from asyncagg.net.tls.context import Tls
from asyncagg.net.tls.transport import TlsLayer

Addresses: TypeAlias = MutableMapping[str, tuple[str, int]]
"""Host and port of every player that listens. For port 0 the system chooses; `listen` writes its choice."""

_CLOSED = "the network is closed"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0  # seconds between attempts to connect


class Dialler:
    """The connections of a network to remote players, and the attempts to make them."""

    def __init__(self, state: NetworkState, addresses: Addresses, tls: Tls | None) -> None:
        self._state = state
        self._addresses = addresses
        self._context = tls.client if tls else None
        self._made: dict[str, Outbound] = {}
        self._attempts: dict[str, asyncio.Task[Outbound | Failure]] = {}

    async def open(self, channel: TcpChannel, deadline_ns: int | None) -> None:
        """Open `channel` at the other end. ConnectFailed at the deadline; Refused when trying again is no use.

        Where the pair has a channel already, that is when a lost one would have been missed, or the deadline.
        """
        await self._insist(channel.remote, lambda: self._open(channel), deadline_ns)

    async def learn(self, remote: str, deadline_ns: int | None) -> None:
        """Have the run told by `remote`; errors as for `open`."""
        await self._insist(remote, lambda: self._learn(remote), deadline_ns)

    def give_up(self) -> None:
        """End all attempts; who waits for them is told that the network is closed."""
        for attempt in self._attempts.values():
            attempt.cancel()

    async def _insist(
        self, remote: str, attempt: Callable[[], Awaitable[Failure | None]], deadline_ns: int | None
    ) -> None:
        """Repeat what may fail until it does not, or finally does, or the deadline."""
        started_ns = now_ns()
        patience_ns = SILENT_AFTER * self._state.options.keepalive_ns
        occupied_ns: int | None = None
        failure: Failure = "no answer"
        try:
            async with asyncio.timeout(None if deadline_ns is None else (deadline_ns - started_ns) / SECOND_NS):
                for pause in _pauses():
                    if self._state.closed:
                        raise PeerError(remote, _CLOSED)
                    outcome = await attempt()
                    if outcome is None:
                        return
                    failure = outcome
                    if not isinstance(failure, Occupied):
                        occupied_ns = None
                    elif occupied_ns is None:
                        occupied_ns = now_ns()
                    may_pass = isinstance(failure, Occupied) and now_ns() - (occupied_ns or 0) < patience_ns
                    if isinstance(failure, Refused) and not may_pass:
                        raise failure
                    await asyncio.sleep(pause)
        except TimeoutError:
            if isinstance(failure, Refused):
                raise failure from None
            where = host_port(*self._addresses[remote]) if remote in self._addresses else ""
            raise ConnectFailed(remote, where, now_ns() - started_ns, failure) from None

    async def _open(self, channel: TcpChannel) -> Failure | None:
        """Open `channel` over the connection to its remote player, which is made if there is none."""
        session = self._made.get(channel.remote)
        if session is None or session.has_ended:
            reached = await asyncio.shield(self._attempt(channel.remote))
            if not isinstance(reached, Outbound):
                return reached
            session = reached
        return "connection lost" if session.has_ended else await session.open(channel)

    async def _learn(self, remote: str) -> Failure | None:
        """Connect for the sake of the welcome, if nobody else's told the run meanwhile."""
        if self._state.run is not None:
            return None
        reached = await asyncio.shield(self._attempt(remote))
        return None if isinstance(reached, Outbound) else reached

    def _attempt(self, remote: str) -> asyncio.Task[Outbound | Failure]:
        """The one attempt at a time to connect to `remote`, for all players that wait for it."""
        attempt = self._attempts.get(remote)
        if attempt is None:
            attempt = asyncio.get_running_loop().create_task(self._connect(remote), name=f"connect to {remote}")
            self._attempts[remote] = attempt
            attempt.add_done_callback(lambda done: self._attempts.pop(remote, None))
        return attempt

    async def _connect(self, remote: str) -> Outbound | Failure:
        """Try every address that the host name stands for: each has an equal share of the time that is left."""
        host, port = self._addresses.get(remote, ("", 0))
        if not port:
            return "it has no address yet"
        loop = asyncio.get_running_loop()
        until = loop.time() + self._state.options.hello_ns / SECOND_NS
        try:
            async with asyncio.timeout_at(until):
                hosts = await _resolve(host, port)
        except OSError as error:  # a name that is not known, too: it may be tomorrow's
            return describe_os_error(error)
        except asyncio.CancelledError:
            return _CLOSED
        reached: Outbound | Failure = _CLOSED
        for nth, each in enumerate(hosts):
            reached = await self._reach(remote, each, port, (until - loop.time()) / (len(hosts) - nth))
            if not isinstance(reached, str) or reached == _CLOSED:
                break
        return reached

    async def _reach(self, remote: str, host: str, port: int, seconds: float) -> Outbound | Failure:
        """Connect to `remote` at one address, and be welcomed."""
        session = Outbound(self._state, remote)
        protocol = session if self._context is None else TlsLayer(self._context, session, server_side=False)
        transport: asyncio.Transport | None = None
        failure: Failure | None
        try:
            async with asyncio.timeout(seconds):
                transport, _ = await asyncio.get_running_loop().create_connection(lambda: protocol, host, port)
                failure = await session.greeting
        except TimeoutError as error:
            failure = "no answer to the hello" if transport is not None else describe_os_error(error)
        except OSError as error:
            failure = describe_os_error(error)
        except asyncio.CancelledError:  # by close: those who wait for this attempt are told, not cancelled
            failure = _CLOSED
        if failure is None:
            self._made[remote] = session
            return session
        _give_up(session, transport, failure)
        return failure


async def _resolve(host: str, port: int) -> list[str]:
    """The addresses that `host` stands for, as text that needs no resolver, with the zone of those that have one."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    return list(dict.fromkeys(socket.getnameinfo(address, numeric)[0] for *_, address in found))


def _give_up(session: Outbound, transport: asyncio.Transport | None, failure: Failure) -> None:
    """End a connection that came to nothing.

    Nobody may wait for its `lost`: uvloop closes a connection that it was still making without a word.
    """
    if session.is_made and not session.has_ended:
        session.cut(str(failure))
        session.state.sessions.pop(session, None)
    elif transport is not None and not session.is_made:
        transport.abort()


def _pauses() -> Iterator[float]:
    """Seconds to wait between attempts: twice as long each time, up to a second."""
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE)
