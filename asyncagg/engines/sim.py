"""Engine `sim`: everyone in memory on a virtual clock. Seeded, repeatable to the byte, and insecure by construction."""

from __future__ import annotations

from collections.abc import Callable

from asyncagg.crypto.randomness import InsecureSeededRandomness
from asyncagg.engines.experiment import RUN_NONCE_BYTES, Experiment
from asyncagg.engines.one_process import OneProcess
from asyncagg.engines.record.run_record import RunRecord
from asyncagg.engines.runtime import identities
from asyncagg.engines.runtime.executors import InlineExecutor
from asyncagg.engines.runtime.faults import channel_faults, slowness
from asyncagg.engines.runtime.limits import frame_limits
from asyncagg.engines.runtime.links import Linker
from asyncagg.engines.runtime.players import Environment
from asyncagg.engines.runtime.prices import player_prices
from asyncagg.engines.runtime.stop_order import StopOrder
from asyncagg.net.clock import now_ns
from asyncagg.net.memory import MemoryNetwork
from asyncagg.net.virtual.loop import run_virtual
from asyncagg.protocols.names import Player
from asyncagg.runs.result import RoundResult


def run(experiment: Experiment, finished: RunRecord, progress: Callable[[RoundResult], None], stop: StopOrder) -> None:
    """Play the experiment to its end on a loop of its own."""
    run_virtual(stop.heed(_play(experiment, finished, progress)))


async def _play(experiment: Experiment, finished: RunRecord, progress: Callable[[RoundResult], None]) -> None:
    seed = experiment.scenario.seed

    def randomness(whose: str) -> InsecureSeededRandomness:
        return InsecureSeededRandomness(seed, "secrets", whose)

    limits = frame_limits(experiment.permissions)
    faults = channel_faults(experiment.scenario)
    network = Linker(experiment.scenario, limits, faults).around(MemoryNetwork(limits))
    nonce = InsecureSeededRandomness(seed, "run").bytes(RUN_NONCE_BYTES)
    prices = player_prices(experiment.scenario)

    def executor(player: Player) -> InlineExecutor:
        return InlineExecutor(prices(player), slowness(faults, player))

    keys = identities.generate(experiment.scenario, randomness)
    environment = Environment(
        run=nonce,
        network=lambda player: network,
        executor=executor,
        randomness=randomness,
        start_ns=now_ns(),
        faults=faults,
        identities=keys,
        pinned=identities.pinned(keys, finished.folder),
    )
    try:
        await OneProcess(experiment, environment, finished, progress).play()
    finally:
        finished.result.virtual_seconds = now_ns() / 1e9
        await network.close()
