"""Channels over TCP: a network listens for some players of this process and dials out for the others.

All players that one network dials for share one connection to each remote player. Errors of the operating
system end here, as `ConnectFailed`, `ListenFailed` or the reason given to a sink.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from asyncagg.net.channel import Accept, Channel, Network, Sink
from asyncagg.net.clock import now_ns
from asyncagg.net.errors import ListenFailed, NetError, NotNow, describe_os_error, host_port
from asyncagg.net.frames import PairLimits, require_name
from asyncagg.net.options import TcpOptions
from asyncagg.net.tcp.dialler import Addresses, Dialler
from asyncagg.net.tcp.hello import Facts, check_facts, is_run
from asyncagg.net.tcp.inbound import Inbound
from asyncagg.net.tcp.listener import Listener
from asyncagg.net.tcp.session import Admit, NetworkState, OnRefusal, Recognise, TcpChannel
from asyncagg.net.tls.context import Tls

__all__ = ["Addresses", "TcpNetwork"]

Binds: TypeAlias = Mapping[str, tuple[str, int]]
"""Host and port where a player listens, if that is not where others dial it: behind a translator of addresses."""

_ADDRESSES: Binds = {}
_NO_FACTS: Facts = {}


class TcpNetwork(Network):
    """Channels of the local `players` over TCP, all encrypted and certified if there is `tls`, else none.

    `run` is the nonce that keeps apart the runs of different people on one host; None must be learnt by
    `learn_run` before anything else. With `tells_run`, listeners tell it to those they let in who do not know.
    `binds` are the local addresses of players that do not listen at their address in `addresses`.
    `facts` go into our hello and our welcome; `admit` may refuse whom a hello is from, `recognise` whom we dialled.
    `on_refusal` is told of every refusal, and `refusals` counts them by `errors.Refusal`.
    `wire_format` is the number of the format that the players speak; a hello with another one is refused.
    """

    def __init__(
        self,
        players: Sequence[str],
        run: bytes | None,
        limits: PairLimits,
        addresses: Addresses,
        *,
        binds: Binds = _ADDRESSES,
        options: TcpOptions | None = None,
        admit: Admit | None = None,
        recognise: Recognise | None = None,
        on_refusal: OnRefusal | None = None,
        tls: Tls | None = None,
        facts: Facts = _NO_FACTS,
        tells_run: bool = False,
        wire_format: int = 0,
    ) -> None:
        options = options or TcpOptions()
        names = tuple(dict.fromkeys(require_name(player) for player in players))
        if len(names) < len(players) or len(names) > options.max_players:
            raise ValueError(f"players must have different names and be at most {options.max_players}")
        if run is not None and not is_run(run):
            raise ValueError("the nonce of a run must have 1 to 64 bytes")
        objection = check_facts(facts)
        if objection is not None:
            raise ValueError(objection)
        self._state = NetworkState(
            names, run, limits, options, admit, recognise, on_refusal, dict(facts), tells_run, wire_format
        )
        self._addresses = addresses
        self._binds = binds
        self._listener = Listener(self._state, tls)
        self._dialler = Dialler(self._state, addresses, tls)

    @property
    def refusals(self) -> dict[str, int]:
        """Number of connections and channels refused, by `errors.Refusal`."""
        return dict(self._state.refusals)

    async def learn_run(self, remote: str, deadline_ns: int | None = None) -> bytes:
        """The nonce of the run, asked of `remote` if it is not known here; used for everything from then on.

        `remote` must listen with `tells_run` before the deadline. Errors as for `dial`.
        """
        if require_name(remote) in self._state.players:
            raise ValueError(f"{remote} is one of us")
        await self._dialler.learn(remote, deadline_ns)
        return self._state.require_run()

    async def listen(self, player: str, accept: Accept) -> None:
        """Let others dial `player`. ValueError when it is not local, has no address or listens already.

        ListenFailed when its address cannot be had."""
        host, port = self._place(player)
        self._state.require_run()
        try:
            port = await self._listener.open(player, accept, host, port)
        except OSError as error:
            raise ListenFailed(player, host_port(host, port), describe_os_error(error)) from None
        for session in self._inbound(player):
            session.resume(accept)
        if player not in self._binds:
            self._addresses[player] = host, port

    def take_address(self, player: str) -> None:
        """Have the address at which `player` will listen, before there is a loop or a run; nobody can connect yet.

        Errors as for `listen`.
        """
        host, port = self._place(player)
        try:
            self._listener.take(player, host, port)
        except OSError as error:
            raise ListenFailed(player, host_port(host, port), describe_os_error(error)) from None

    def give_back_addresses(self) -> None:
        """Undo `take_address`, where there was never a loop on which to close."""
        self._listener.give_back()

    def unlisten(self, player: str) -> None:
        """Let nobody dial `player` any more. The address stays: it comes back to where it was."""
        if self._listener.listens(player):
            self._listener.close(player)
            for session in self._inbound(player):
                session.pause()

    async def dial(self, local: str, remote: str, sink: Sink, deadline_ns: int | None = None) -> Channel:
        """A channel from `local` to `remote`. ValueError when `local` is not a local player, or `remote` is the same.

        ConnectFailed and Refused as `Network` has them."""
        if local not in self._state.players or local == require_name(remote):
            raise ValueError(f"{local} cannot dial {remote} here")
        if (local, remote) in self._state.channels:
            raise NotNow(remote, f"{local} is already connected")
        objection = self._state.exclusions.objection(local, remote, now_ns())
        if objection is not None:
            raise NotNow(remote, objection)
        self._state.require_run()
        channel = _Dialled(self._state, local, remote, sink)
        try:
            await self._dialler.open(channel, deadline_ns)
        except BaseException:
            channel.close("gave up dialling")
            raise
        return channel

    def pardon(self, player: str) -> None:
        """See `Network`."""
        self._state.exclusions.pardon(player)

    async def close(self) -> None:
        """Close all channels in order and stop listening; cancelled, cut those that were still waited for."""
        self._state.closed = True
        await asyncio.sleep(0)  # attempts that have not begun do so: then they end with an answer
        self._dialler.give_up()
        await self._listener.close_all()
        for _ in range(3):  # attempts end, and connections handed over a moment ago become known
            await asyncio.sleep(0)
        sessions = list(self._state.sessions)
        for session in sessions:
            session.close_all("the network is closed")
        try:
            for session in sessions:
                await asyncio.shield(session.lost)
        finally:
            for session in list(self._state.sessions):
                session.cut("the network is closed")

    def _place(self, player: str) -> tuple[str, int]:
        """Address at which the player is to listen. ValueError if it may not; NetError if the network is closed."""
        if player not in self._state.players or player not in self._addresses or self._listener.listens(player):
            raise ValueError(f"{player} is not local, has no address or listens already")
        if self._state.closed:
            raise NetError("the network is closed")
        return self._binds.get(player, self._addresses[player])

    def _inbound(self, player: str) -> list[Inbound]:
        """The connections to a player that listens here; other players may open their channels over them."""
        return [each for each in self._state.sessions if isinstance(each, Inbound) and each.player == player]


class _Dialled(TcpChannel):
    """A channel that we dialled, and its own sink on behalf of `sink`.

    Its end is told in a turn of the loop of its own. It may arrive together with the answer that opens the
    channel; whoever dialled goes on in a turn that was asked for before, so it has the channel by then.
    """

    __slots__ = ("_sink", "deliver")

    def __init__(self, state: NetworkState, local: str, remote: str, sink: Sink) -> None:
        super().__init__(state, local, remote)
        self._sink = sink
        self.deliver = sink.deliver  # so that a frame costs nothing more
        self.sink = self

    def gone(self, peer: str, reason: str) -> None:
        asyncio.get_running_loop().call_soon(self._tell, peer, reason)

    def _tell(self, peer: str, reason: str) -> None:
        if not self._closed:
            self._sink.gone(peer, reason)
