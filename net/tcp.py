"""Channels over TCP: a network listens for some players of this process and dials out for the others.

All players that one network dials for share one connection to each remote player. Errors of the operating
system end here, as `ConnectFailed`, `ListenFailed` or the reason given to a sink.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from net.channel import Accept, Channel, Network, Sink
from net.clock import now_ns
from net.errors import (
    NANOSECONDS,
    ConnectFailed,
    ListenFailed,
    NetError,
    PeerError,
    Refused,
    describe_os_error,
    host_port,
)
from net.frames import Limits, require_name
from net.inbound import Inbound
from net.options import TcpOptions
from net.outbound import Failure, Outbound
from net.session import Admit, Hub, OnRefusal, TcpChannel

if TYPE_CHECKING:
    import ssl

Addresses: TypeAlias = MutableMapping[str, tuple[str, int]]
"""Host and port of every player that listens. For port 0 the system chooses; `listen` writes its choice."""

Contexts: TypeAlias = "Callable[[str], ssl.SSLContext]"
"""The TLS context for a player: the local one that listens, or the remote one that is dialled."""

_BACKLOG = 512
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0  # seconds between attempts to connect


class TcpNetwork(Network):
    """Channels of the local `players` over TCP, with TLS where contexts are given.

    `run` is the nonce that keeps apart the runs of different people on one host. `admit` may refuse a hello,
    `on_refusal` is told of every refusal, and `refusals` counts them by `errors.Refusal`.
    """

    def __init__(
        self,
        players: Sequence[str],
        run: bytes,
        limits: Limits,
        addresses: Addresses,
        *,
        options: TcpOptions | None = None,
        admit: Admit | None = None,
        on_refusal: OnRefusal | None = None,
        server_tls: Contexts | None = None,
        client_tls: Contexts | None = None,
    ) -> None:
        options = options or TcpOptions()
        names = tuple(dict.fromkeys(require_name(player) for player in players))
        if len(names) < len(players) or len(names) > options.max_players:
            raise ValueError(f"players must have different names and be at most {options.max_players}")
        self._hub = Hub(names, run, limits, options, admit, on_refusal)
        self._addresses = addresses
        self._server_tls = server_tls
        self._client_tls = client_tls
        self._servers: dict[str, asyncio.Server] = {}
        self._strangers: dict[Inbound, None] = {}
        self._outbound: dict[str, Outbound] = {}
        self._attempts: dict[str, asyncio.Task[Outbound | Failure]] = {}

    @property
    def refusals(self) -> dict[str, int]:
        """How many connections and channels were refused, by `errors.Refusal`."""
        return dict(self._hub.refusals)

    async def listen(self, player: str, accept: Accept) -> None:
        """See `Network`. ValueError when the player is not local, has no address or listens already."""
        if player not in self._hub.players or player not in self._addresses or player in self._servers:
            raise ValueError(f"{player} is not local, has no address or listens already")
        if self._hub.closed:
            raise NetError("the network is closed")
        host, port = self._addresses[player]
        try:
            server = await self._serve(player, accept, host, port)
        except OSError as error:
            raise ListenFailed(player, host_port(host, port), describe_os_error(error)) from None
        self._servers[player] = server
        for session in self._inbound(player):
            session.resume(accept)
        self._addresses[player] = host, server.sockets[0].getsockname()[1]

    def unlisten(self, player: str) -> None:
        """See `Network`. The address stays: the player comes back to where it was."""
        server = self._servers.pop(player, None)
        if server is not None:
            server.close()
            for session in self._inbound(player):
                session.pause()

    async def dial(self, local: str, remote: str, sink: Sink, deadline_ns: int | None = None) -> Channel:
        """See `Network`. ValueError when `local` is not a local player, or `remote` is the same."""
        if local not in self._hub.players or local == require_name(remote):
            raise ValueError(f"{local} cannot dial {remote} here")
        if (local, remote) in self._hub.channels:
            raise Refused(remote, f"{local} is already connected")
        channel = TcpChannel(self._hub, local, remote)
        channel.sink = sink
        try:
            await self._reach(channel, deadline_ns)
        except BaseException:
            channel.close("gave up dialling")
            raise
        return channel

    async def close(self) -> None:
        """See `Network`. Cancelled, it cuts the connections that it was still waiting for."""
        self._hub.closed = True
        for server in self._servers.values():
            server.close()
        await asyncio.sleep(0)  # attempts that have not begun do so: then they end with an answer
        for attempt in self._attempts.values():
            attempt.cancel()
        for _ in range(3):  # they end, and connections accepted a moment ago become known
            await asyncio.sleep(0)
        sessions = list(self._hub.sessions)
        for session in sessions:
            session.close_all("the network is closed")
        try:
            for session in sessions:
                await asyncio.shield(session.lost)
        finally:
            for session in list(self._hub.sessions):
                session.cut("the network is closed")
        for server in self._servers.values():
            await server.wait_closed()

    def _inbound(self, player: str) -> list[Inbound]:
        """The connections to a player that listens here; other players may open their channels over them."""
        return [each for each in self._hub.sessions if isinstance(each, Inbound) and each.player == player]

    async def _serve(self, player: str, accept: Accept, host: str, port: int) -> asyncio.Server:
        tls = self._server_tls(player) if self._server_tls else None
        return await asyncio.get_running_loop().create_server(
            lambda: Inbound(self._hub, player, accept, self._strangers),
            host,
            port,
            backlog=_BACKLOG,
            ssl=tls,
            ssl_handshake_timeout=self._hub.options.hello_ns / NANOSECONDS if tls else None,
            ssl_shutdown_timeout=self._linger(tls),
        )

    async def _reach(self, channel: TcpChannel, deadline_ns: int | None) -> None:
        """Open `channel`, trying again and again until the deadline."""
        remote, started_ns = channel.remote, now_ns()
        reason = "no answer"
        try:
            async with asyncio.timeout(None if deadline_ns is None else (deadline_ns - started_ns) / NANOSECONDS):
                for pause in _pauses():
                    failure = await self._open(channel)
                    if failure is None:
                        return
                    if isinstance(failure, Refused):
                        raise failure
                    reason = failure
                    await asyncio.sleep(pause)
        except TimeoutError:
            where = host_port(*self._addresses[remote]) if remote in self._addresses else ""
            raise ConnectFailed(remote, where, now_ns() - started_ns, reason) from None

    async def _open(self, channel: TcpChannel) -> Failure | None:
        """Open `channel` over the connection to its remote player, which is made if there is none."""
        if self._hub.closed:
            raise PeerError(channel.remote, "the network is closed")
        session = self._outbound.get(channel.remote)
        if session is None or session.has_ended:
            reached = await asyncio.shield(self._attempt(channel.remote))
            if not isinstance(reached, Outbound):
                return reached
            session = reached
        return "connection lost" if session.has_ended else await session.open(channel)

    def _attempt(self, remote: str) -> asyncio.Task[Outbound | Failure]:
        """The one attempt at a time to connect to `remote`, for all players that wait for it."""
        attempt = self._attempts.get(remote)
        if attempt is None:
            attempt = asyncio.get_running_loop().create_task(self._connect(remote), name=f"connect to {remote}")
            self._attempts[remote] = attempt
            attempt.add_done_callback(lambda done: self._attempts.pop(remote, None))
        return attempt

    async def _connect(self, remote: str) -> Outbound | Failure:
        host, port = self._addresses.get(remote, ("", 0))
        if not port:
            return "it has no address yet"
        session = Outbound(self._hub, remote)
        tls = self._client_tls(remote) if self._client_tls else None
        try:
            async with asyncio.timeout(self._hub.options.hello_ns / NANOSECONDS):
                await asyncio.get_running_loop().create_connection(
                    lambda: session,
                    host,
                    port,
                    ssl=tls,
                    server_hostname=remote if tls else None,
                    ssl_shutdown_timeout=self._linger(tls),
                )
                failure = await session.greeting
        except OSError as error:
            return _give_up(session, "no answer to the hello") or describe_os_error(error)
        except asyncio.CancelledError:  # by close: those who wait for this attempt are told, not cancelled
            _give_up(session, "the network is closed")
            return "the network is closed"
        if failure is None:
            self._outbound[remote] = session
        return failure or session

    def _linger(self, tls: ssl.SSLContext | None) -> float | None:
        return self._hub.options.linger_ns / NANOSECONDS if tls else None


def _give_up(session: Outbound, reason: str) -> str:
    """End an attempt; the reason if it had got so far as to be connected, else nothing.

    Nobody may wait for its `lost`: uvloop closes a connection that it was still making without a word.
    """
    if not session.is_made:
        return ""
    session.cut(reason)
    session.hub.sessions.pop(session, None)
    return reason


def _pauses() -> Iterator[float]:
    """Seconds to wait between attempts: twice as long each time, up to a second."""
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE)
