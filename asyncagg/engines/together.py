"""All players of a run in one process: what the engines `sim` and `tcp` have in common."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence

from asyncagg.engines.cast import Cast, Course, World
from asyncagg.engines.chronicle import Chronicle
from asyncagg.engines.experiment import Experiment
from asyncagg.engines.finished import Finished
from asyncagg.engines.harness import Portion
from asyncagg.engines.identities import everyone
from asyncagg.engines.keeper import Keeper
from asyncagg.engines.tally import Tally
from asyncagg.players.outcome import RoundOutcome
from asyncagg.protocols.disclosure import condensed
from asyncagg.protocols.terms import Label, Player
from asyncagg.runs.result import RoundResult
from net.clock import now_ns


class Ensemble:
    """The one cast of a run, which is its own witness."""

    def __init__(
        self, experiment: Experiment, world: World, finished: Finished, progress: Callable[[RoundResult], None]
    ) -> None:
        self._experiment = experiment
        self._finished = finished
        self._chronicle = Chronicle(experiment, finished, self, progress)
        keeper = None
        if finished.folder is not None and experiment.scenario.engine != "sim":  # what `sim` played is played again
            keeper = Keeper(experiment, finished.folder, finished.resumed, world.start_ns)
        course = Course(self._observe) if keeper is None else keeper.course(self._chronicle.observe)
        self.cast = Cast(experiment, world, finished.trace, everyone(experiment.scenario), course)
        if keeper is not None:
            keeper.model_owner = self.cast.model_owner

    async def play(self) -> None:
        """The whole run; `finished` is filled as it goes."""
        result, cast = self._finished.result, self.cast
        wall, cpu = time.perf_counter(), time.process_time()
        await cast.listen()
        try:
            result.reason = await cast.play(now_ns() + self._experiment.deadlines()["publish"])
            result.status = "ok" if result.reason is None else "failed"
        finally:
            result.wall_seconds += time.perf_counter() - wall
            result.cpu_seconds += time.process_time() - cpu
            result.peak_rss_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            if cast.model_owner is not None:
                self._finished.model = cast.model_owner.parameters
                if cast.model_owner.ledger is not None:
                    result.ledger = list(condensed(cast.model_owner.ledger.findings))
            await self._chronicle.close()

    async def tally(self, round_index: int) -> Tally:
        """See `Witness`."""
        return self.cast.tally(round_index)

    async def portion(self, label: Label, survivors: Sequence[Player]) -> Portion:
        """See `Witness`."""
        return self.cast.portion(label, survivors)

    async def _observe(self, outcome: RoundOutcome) -> None:
        await self._chronicle.observe(outcome)
