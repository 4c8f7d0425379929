"""Runtime of the players of one process in real time: sockets, threads, the system's randomness."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from asyncagg.crypto.randomness import SystemRandomness
from asyncagg.crypto.signing import Identity
from asyncagg.engines.experiment import Experiment
from asyncagg.engines.runtime.executors import SlowedExecutor, ThreadExecutor
from asyncagg.engines.runtime.faults import channel_faults, slowness
from asyncagg.engines.runtime.identities import everyone
from asyncagg.engines.runtime.limits import frame_limits
from asyncagg.engines.runtime.links import Linker
from asyncagg.engines.runtime.players import Environment
from asyncagg.net.channel import Network
from asyncagg.net.frames import PairLimits
from asyncagg.net.tcp.hello import Hello
from asyncagg.net.tcp.network import TcpNetwork
from asyncagg.net.tcp.session import Admit
from asyncagg.players.base import Executor
from asyncagg.protocols.names import Player, role_of
from asyncagg.scenario.schema.scenario import Scenario

FLEET = 1000
"""Most owners that share one connection to each peer."""

Make = Callable[[Sequence[Player], PairLimits, Admit], TcpNetwork]
"""The network of one group: its players, what frames may be, who is let in."""


def groups(players: Iterable[Player]) -> Iterator[list[Player]]:
    """Players that share a network: those that listen each for themselves, data owners by the fleet."""
    owners: list[Player] = []
    for player in players:
        if role_of(player) == "data-owner":
            owners.append(player)
        else:
            yield [player]
    for first in range(0, len(owners), FLEET):
        yield owners[first : first + FLEET]


class SocketRuntime:
    """Networks over TCP with the scenario's links and faults around them, one for each group of players."""

    def __init__(
        self,
        experiment: Experiment,
        together: Iterable[Sequence[Player]],
        make: Make,
        around: Callable[[Network], Network] = lambda network: network,
    ) -> None:
        """`around` may put something around every network, as whoever watches it does."""
        scenario = experiment.scenario
        limits = frame_limits(experiment.permissions)
        self._faults = channel_faults(scenario)
        self._threads = ThreadExecutor()
        self._networks: dict[Player, Network] = {}
        linker = Linker(scenario, limits, self._faults)
        admit = _players_of(scenario)
        for players in together:
            network = around(linker.around(make(players, limits, admit)))
            self._networks |= dict.fromkeys(players, network)

    def environment(
        self,
        run: bytes,
        start_ns: int,
        identities: Mapping[Player, Identity],
        pinned: Mapping[str, bytes],
        ledgers: Path | None,
        patience_ns: int | None = None,
    ) -> Environment:
        """Environment of the players of this process."""
        randomness = SystemRandomness()
        return Environment(
            run=run,
            network=self._networks.__getitem__,
            executor=self._executor,
            randomness=lambda whose: randomness,
            start_ns=start_ns,
            faults=self._faults,
            identities=identities,
            pinned=pinned,
            ledgers=ledgers,
            patience_ns=patience_ns,
        )

    async def close(self) -> None:
        """End all channels in order, of every network even where one cannot; work that has not begun never will."""
        self._threads.close()
        async with AsyncExitStack() as stack:
            for network in reversed(dict.fromkeys(self._networks.values())):  # the last one pushed is closed first
                stack.push_async_callback(network.close)

    def _executor(self, player: Player) -> Executor:
        faults, executor = self._faults, self._threads.of_one()
        return executor if faults is None else SlowedExecutor(executor, slowness(faults, player))


def _players_of(scenario: Scenario) -> Admit:
    """Lets in the players of the scenario."""
    expected = dict.fromkeys(everyone(scenario))

    def admit(hello: Hello, transport: asyncio.BaseTransport) -> str | None:
        stranger = next((player for player in hello.players if player not in expected), None)
        return None if stranger is None else f"{stranger} is not a player of this run"

    return admit
