"""Engine `tcp`: everyone in one process, over real loopback sockets, in real time.

The model owner and each compute node listen on ports that the system chooses; data owners listen to nobody and share
one connection to each peer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from asyncagg.crypto.randomness import SystemRandomness
from asyncagg.engines import identities
from asyncagg.engines.experiment import RUN_NONCE_BYTES, Experiment
from asyncagg.engines.finished import Finished
from asyncagg.engines.site import Site, groups
from asyncagg.engines.together import Ensemble
from asyncagg.protocols.terms import Player, role_of
from asyncagg.runs.result import RoundResult
from net.clock import now_ns
from net.frames import Limits
from net.session import Admit
from net.tcp import TcpNetwork

LOOPBACK = "127.0.0.1"


def run(experiment: Experiment, finished: Finished, progress: Callable[[RoundResult], None]) -> None:
    """Play the experiment to its end on a loop of its own."""
    with asyncio.Runner() as runner:
        runner.run(_play(experiment, finished, progress))


async def _play(experiment: Experiment, finished: Finished, progress: Callable[[RoundResult], None]) -> None:
    randomness = SystemRandomness()
    nonce = randomness.bytes(RUN_NONCE_BYTES)
    players = identities.everyone(experiment.scenario)
    addresses = {str(player): (LOOPBACK, 0) for player in players if role_of(player) != "data-owner"}

    def network(together: Sequence[Player], limits: Limits, admit: Admit) -> TcpNetwork:
        return TcpNetwork(together, nonce, limits, addresses, admit=admit)

    keys = identities.generate(experiment.scenario, lambda whose: randomness)
    site = Site(experiment, groups(players), network)
    world = site.world(
        nonce, now_ns() - finished.elapsed_ns, keys, identities.pinned(keys, finished.folder), finished.ledgers
    )
    try:
        await Ensemble(experiment, world, finished, progress).play()
    finally:
        await site.close()
