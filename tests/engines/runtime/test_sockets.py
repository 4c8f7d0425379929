"""The sockets of one process: closed, all of them, whatever happens on the way."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from support.runs import scenario

from asyncagg.engines.experiment import prepare
from asyncagg.engines.runtime.identities import everyone
from asyncagg.engines.runtime.sockets import SocketRuntime, groups
from asyncagg.net.channel import Network
from asyncagg.net.frames import PairLimits
from asyncagg.net.tcp.network import TcpNetwork
from asyncagg.net.tcp.session import Admit
from asyncagg.protocols.names import Player, role_of
from asyncagg.scenario.reading.load import parse


class Uncloseable:
    """A network whose close is cut short after the first of its two."""

    def __init__(self, inner: Network) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def close(self) -> None:
        raise KeyboardInterrupt


@pytest.mark.asyncio(loop_factories=["real"])
async def test_networks_are_closed_where_the_close_of_one_is_interrupted() -> None:
    players = everyone(parse(scenario("secagg", engine="tcp")))
    addresses = {str(player): ("127.0.0.1", 0) for player in players if role_of(player) != "data-owner"}
    made: list[TcpNetwork] = []

    def make(together: Sequence[Player], limits: PairLimits, admit: Admit) -> TcpNetwork:
        made.append(TcpNetwork(together, bytes(16), limits, addresses, admit=admit))
        return made[-1]

    def around(network: Network) -> Network:
        return Uncloseable(network) if len(made) == 1 else network  # type: ignore[return-value]

    runtime = SocketRuntime(prepare(parse(scenario("secagg", engine="tcp"))), list(groups(players)), make, around)
    environment = runtime.environment(bytes(16), 0, {}, {}, None)
    listening = [player for player in players if role_of(player) != "data-owner"]
    for player in listening:
        await environment.network(player).listen(player, lambda channel: pytest.fail("nobody dials"))
    assert len(made) > 3
    with pytest.raises(KeyboardInterrupt):
        await runtime.close()
    await made[0].close()
    for player in listening:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*addresses[player])
