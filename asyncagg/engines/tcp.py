"""Engine `tcp`: everyone in one process, over real loopback sockets, in real time.

The model owner and each compute node listen on ports that the system chooses; data owners listen to nobody and share
one connection to each peer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from asyncagg.crypto.randomness import SystemRandomness
from asyncagg.engines.experiment import RUN_NONCE_BYTES, Experiment
from asyncagg.engines.one_process import OneProcess
from asyncagg.engines.record.run_record import RunRecord
from asyncagg.engines.runtime import identities, open_files
from asyncagg.engines.runtime.sockets import SocketRuntime, groups
from asyncagg.engines.runtime.stop_order import StopOrder
from asyncagg.net.clock import now_ns
from asyncagg.net.frames import PairLimits
from asyncagg.net.tcp.network import TcpNetwork
from asyncagg.net.tcp.session import Admit
from asyncagg.protocols.names import Player, role_of
from asyncagg.runs.result import RoundResult
from asyncagg.scenario.values.addresses import LOOPBACK
from asyncagg.version import FORMAT


def run(experiment: Experiment, finished: RunRecord, progress: Callable[[RoundResult], None], stop: StopOrder) -> None:
    """Play the experiment to its end on a loop of its own."""
    with asyncio.Runner() as runner:
        runner.run(stop.heed(_play(experiment, finished, progress)))


async def _play(experiment: Experiment, finished: RunRecord, progress: Callable[[RoundResult], None]) -> None:
    randomness = SystemRandomness()
    nonce = randomness.bytes(RUN_NONCE_BYTES)
    players = identities.everyone(experiment.scenario)
    together = list(groups(players))
    fleets = sum(role_of(each[0]) == "data-owner" for each in together)
    open_files.allow(open_files.of_one_process(experiment.scenario, fleets))
    addresses = {str(player): (LOOPBACK, 0) for player in players if role_of(player) != "data-owner"}

    def network(together: Sequence[Player], limits: PairLimits, admit: Admit) -> TcpNetwork:
        return TcpNetwork(together, nonce, limits, addresses, admit=admit, wire_format=FORMAT)

    keys = identities.generate(experiment.scenario, lambda whose: randomness)
    runtime = SocketRuntime(experiment, together, network)
    environment = runtime.environment(
        nonce, now_ns() - finished.elapsed_ns, keys, identities.pinned(keys, finished.folder), finished.ledgers
    )
    try:
        await OneProcess(experiment, environment, finished, progress).play()
    finally:
        await runtime.close()
