"""Engine `sim`: everyone in memory on a virtual clock. Seeded, repeatable to the byte, and insecure by construction."""

from __future__ import annotations

from collections.abc import Callable

from asyncagg.crypto.randomness import InsecureSeededRandomness
from asyncagg.engines import identities
from asyncagg.engines.cast import World
from asyncagg.engines.costs import player_prices
from asyncagg.engines.experiment import RUN_NONCE_BYTES, Experiment
from asyncagg.engines.faults import channel_faults, slowness
from asyncagg.engines.finished import Finished
from asyncagg.engines.links import Linker
from asyncagg.engines.together import Ensemble
from asyncagg.engines.workbench import InlineBench
from asyncagg.protocols.terms import Player
from asyncagg.runs.result import RoundResult
from net.clock import now_ns
from net.frames import Limits
from net.memory import MemoryNetwork
from net.virtual import run_virtual

RANDOMNESS = "seeded (insecure, simulation only)"


def run(experiment: Experiment, finished: Finished, progress: Callable[[RoundResult], None]) -> None:
    """Play the experiment to its end on a loop of its own."""
    run_virtual(_play(experiment, finished, progress))


async def _play(experiment: Experiment, finished: Finished, progress: Callable[[RoundResult], None]) -> None:
    seed = experiment.scenario.seed

    def randomness(whose: str) -> InsecureSeededRandomness:
        return InsecureSeededRandomness(seed, "secrets", whose)

    limits = Limits(experiment.limits())
    faults = channel_faults(experiment.scenario)
    network = Linker(experiment.scenario, limits, faults).around(MemoryNetwork(limits))
    nonce = InsecureSeededRandomness(seed, "run").bytes(RUN_NONCE_BYTES)
    prices = player_prices(experiment.scenario)

    def bench(player: Player) -> InlineBench:
        return InlineBench(prices(player), slowness(faults, player))

    keys = identities.generate(experiment.scenario, randomness)
    world = World(
        run=nonce,
        network=lambda player: network,
        bench=bench,
        randomness=randomness,
        start_ns=now_ns(),
        faults=faults,
        identities=keys,
        pinned=identities.pinned(keys, finished.folder),
    )
    try:
        await Ensemble(experiment, world, finished, progress).play()
    finally:
        finished.result.virtual_seconds = now_ns() / 1e9
        await network.close()
