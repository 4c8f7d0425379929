"""All players of a run in one process: what the engines `sim` and `tcp` have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from asyncagg.engines.experiment import Experiment
from asyncagg.engines.record.checkpointer import Checkpointer
from asyncagg.engines.record.oracle import ExpectedSum
from asyncagg.engines.record.peak_memory import peak_rss_bytes
from asyncagg.engines.record.recorder import ResultRecorder
from asyncagg.engines.record.run_record import RunRecord
from asyncagg.engines.record.usage import UsageByRole
from asyncagg.engines.runtime.identities import everyone
from asyncagg.engines.runtime.players import Environment, LocalPlayers
from asyncagg.net.clock import now_ns
from asyncagg.players.outcome import RoundOutcome
from asyncagg.players.start import RunHooks, RunState
from asyncagg.protocols.names import Label, Loss, Player
from asyncagg.runs.result import RoundResult


class OneProcess:
    """Plays a run whose players all live here; it answers the recorder's questions itself."""

    def __init__(
        self,
        experiment: Experiment,
        environment: Environment,
        finished: RunRecord,
        progress: Callable[[RoundResult], None],
    ) -> None:
        self._experiment = experiment
        self._finished = finished
        self._recorder = ResultRecorder(experiment, finished, self, progress)
        hooks = RunHooks(self._observe)
        if finished.folder is not None and experiment.scenario.engine != "sim":  # what `sim` played is played again
            checkpointer = Checkpointer(experiment, finished.folder, finished.resumed, environment.start_ns)
            hooks = checkpointer.hooks(self._recorder.observe)
        self.local_players = LocalPlayers(experiment, environment, finished.trace, everyone(experiment.scenario), hooks)

    async def play(self) -> None:
        """The whole run; `finished` is filled as it goes."""
        result, local_players = self._finished.result, self.local_players
        wall, cpu = time.perf_counter(), time.process_time()
        await local_players.listen()
        try:
            result.reason = await local_players.play(now_ns() + self._experiment.deadlines()["publish"])
            result.status = "ok" if result.reason is None else "failed"
        finally:
            result.wall_seconds += time.perf_counter() - wall
            result.cpu_seconds += time.process_time() - cpu
            result.peak_rss_bytes = peak_rss_bytes()
            if local_players.model_owner is not None:
                self._finished.model = local_players.model_owner.parameters
                result.ledger = local_players.model_owner.disclosed
            await self._recorder.close()

    async def usage_by_role(self, round_index: int) -> UsageByRole:
        return self.local_players.usage_by_role(round_index)

    async def expected_sum(self, label: Label, survivors: Sequence[Player]) -> ExpectedSum:
        return self.local_players.expected_sum(label, survivors)

    def own_failures(self, round_index: int) -> Mapping[Player, Loss]:
        return self.local_players.own_failures(round_index)

    async def _observe(self, outcome: RoundOutcome, run_state: RunState) -> None:
        await self._recorder.observe(outcome)
