"""Engine `tcp`: everyone in one process, over real loopback sockets, in real time.

The model owner and each compute node listen on ports that the system chooses; data owners listen to nobody and share
one connection to each peer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from asyncagg.crypto.randomness import SystemRandomness
from asyncagg.engines.cast import Cast, Finished, World
from asyncagg.engines.experiment import RUN_NONCE_BYTES, Experiment
from asyncagg.engines.faults import channel_faults, slowness
from asyncagg.engines.links import Linker
from asyncagg.engines.workbench import SlowedBench, ThreadBench
from asyncagg.players.desk import Workbench
from asyncagg.protocols.terms import MODEL_OWNER, Player, node_name, owner_name
from asyncagg.runs.result import RoundResult
from net.channel import Network
from net.channel_faults import ChannelFaults
from net.frames import Limits
from net.hello import Hello
from net.tcp import TcpNetwork

RANDOMNESS = "system"
FLEET = 1000
"""Owners that share one connection to each peer."""


def run(experiment: Experiment, finished: Finished, progress: Callable[[RoundResult], None]) -> None:
    """Play the experiment to its end on a loop of its own."""
    with asyncio.Runner() as runner:
        runner.run(_play(experiment, finished, progress))


async def _play(experiment: Experiment, finished: Finished, progress: Callable[[RoundResult], None]) -> None:
    finished.result.randomness = RANDOMNESS
    randomness = SystemRandomness()
    nonce = randomness.bytes(RUN_NONCE_BYTES)
    faults = channel_faults(experiment.scenario)
    networks = _networks(experiment, nonce, faults)
    threads = ThreadBench()

    def bench(player: Player) -> Workbench:
        return threads if faults is None else SlowedBench(threads, slowness(faults, player))

    world = World(nonce, networks.__getitem__, bench, lambda whose: randomness, faults)
    try:
        await Cast(experiment, world, finished, progress).play()
    finally:
        threads.close()
        for network in dict.fromkeys(networks.values()):
            await network.close()


def _networks(experiment: Experiment, nonce: bytes, faults: ChannelFaults | None) -> dict[Player, Network]:
    """Player → its network: one for each that listens, one for each fleet of owners."""
    limits = Limits(experiment.limits())
    scenario = experiment.scenario
    listeners = [MODEL_OWNER, *(node_name(index) for index in range(scenario.aggregation.compute_nodes))]
    addresses: dict[str, tuple[str, int]] = dict.fromkeys(listeners, ("127.0.0.1", 0))
    owners = [owner_name(index) for index in range(scenario.owners.count)]
    fleets = [owners[first : first + FLEET] for first in range(0, len(owners), FLEET)]
    expected = dict.fromkeys([*listeners, *owners])
    linker = Linker(scenario, limits, faults)
    networks: dict[Player, Network] = {}

    def admit(hello: Hello, transport: asyncio.BaseTransport) -> str | None:
        stranger = next((player for player in hello.players if player not in expected), None)
        return None if stranger is None else f"{stranger} is not a player of this run"

    for players in [*([player] for player in listeners), *fleets]:
        network = linker.around(TcpNetwork(players, nonce, limits, addresses, admit=admit))
        networks |= dict.fromkeys(players, network)
    return networks
