"""All players of an experiment in one process, and what they came to: used by the engines that hold everyone."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asyncagg.crypto.randomness import Randomness
from asyncagg.crypto.signing import Identity
from asyncagg.engines.experiment import Experiment
from asyncagg.engines.harness import check
from asyncagg.learning.owners import Arrays
from asyncagg.players.compute_node import ComputeNodePlayer
from asyncagg.players.data_owner import DataOwnerPlayer, OwnerPart
from asyncagg.players.desk import Desk, Setting, Workbench
from asyncagg.players.ledger_store import LedgerStore
from asyncagg.players.model_owner import ModelOwnerPlayer, ModelPart, RoundOutcome
from asyncagg.protocols.terms import MODEL_OWNER, Player, node_name, owner_name, role_of
from asyncagg.runs.result import RoundResult, RunResult, Traffic
from asyncagg.runs.trace import Trace
from net.channel import Network
from net.clock import now_ns

FAREWELL_NS = 5_000_000_000
"""How long players may take to notice that the run is over."""


@dataclass(slots=True)
class Finished:
    """What a run leaves."""

    result: RunResult
    trace: Trace
    means: dict[int, NDArray[np.float64]]
    model: Arrays
    ledgers: Path | None = None
    """Folder for the owners' privacy ledgers; None keeps them in memory."""


@dataclass(frozen=True, slots=True)
class World:
    """What an engine brings: how players reach each other, where they work, what their secrets come from."""

    run: bytes
    """Nonce of the run."""
    network: Callable[[Player], Network]
    bench: Callable[[Player], Workbench]
    randomness: Callable[[Player], Randomness]
    draws_key: Callable[[int], Callable[[Any], bytes]]


class Cast:
    """Model owner, compute nodes and data owners, each its own asyncio task."""

    def __init__(
        self,
        experiment: Experiment,
        world: World,
        finished: Finished,
        progress: Callable[[RoundResult], None],
    ) -> None:
        self.experiment = experiment
        self.finished = finished
        self.progress = progress
        scenario = experiment.scenario
        identities = self._identities(world)
        terms = experiment.terms(world.run, {player: each.public for player, each in identities.items()})
        self.terms = terms
        common = partial(
            Setting,
            trace=finished.trace,
            deadlines=experiment.deadlines(),
            permit_limit_ns=scenario.aggregation.permit_limit_ns,
            start_ns=now_ns(),
            population=scenario.owners.count,
        )

        def setting(player: Player) -> Setting:
            return common(network=world.network(player), workbench=world.bench(player))

        self.model_owner = ModelOwnerPlayer(
            setting(MODEL_OWNER),
            terms,
            experiment.protocol,
            ModelPart(
                model=experiment.workload.model_owner(),
                layout=experiment.layout,
                encoder=experiment.encoder,
                rounds=scenario.rounds,
                cohort=experiment.cohort,
                on_failure=scenario.aggregation.on_failure,
                retries=scenario.aggregation.retries,
            ),
            world.randomness(MODEL_OWNER),
            identities.get(MODEL_OWNER),
            experiment.ledger_rules(),
            self._observe,
        )
        self.nodes = [
            ComputeNodePlayer(
                node,
                setting(node),
                terms,
                experiment.protocol,
                world.randomness(node),
                identities.get(node),
            )
            for node in terms.nodes
        ]
        self.owners = [
            DataOwnerPlayer(
                owner_name(index),
                setting(owner_name(index)),
                terms,
                experiment.protocol,
                OwnerPart(
                    owner=experiment.workload.owner(index),
                    layout=experiment.layout,
                    encoder=experiment.encoder,
                    weighted=scenario.aggregation.weighting == "examples",
                    draws_key=world.draws_key(index),
                    store=self._store(owner_name(index)),
                    silent_from=experiment.silent_from(index),
                ),
                world.randomness(owner_name(index)),
                identities.get(owner_name(index)),
            )
            for index in range(scenario.owners.count)
        ]

    def _store(self, owner: Player) -> LedgerStore | None:
        """An owner's ledger: in the run directory where there is one, else in memory."""
        rules, folder = self.experiment.ledger_rules(), self.finished.ledgers
        if rules is None:
            return None
        return LedgerStore(rules, None if folder is None else folder / f"{owner}.json")

    def _identities(self, world: World) -> dict[Player, Identity]:
        """Against a lying lead: a signing key for every player, all of them pinned by everyone."""
        scenario = self.experiment.scenario
        if scenario.aggregation.threat == "curious":
            return {}
        players = [
            MODEL_OWNER,
            *(node_name(index) for index in range(scenario.aggregation.compute_nodes)),
            *(owner_name(index) for index in range(scenario.owners.count)),
        ]
        return {player: Identity.generate(world.randomness(player)) for player in players}

    async def play(self) -> None:
        """The whole run; `finished` is filled as it goes."""
        result = self.finished.result
        wall, cpu = time.perf_counter(), time.process_time()
        await self.model_owner.listen()
        for node in self.nodes:
            await node.listen()
        deadline_ns = now_ns() + self.experiment.deadlines()["publish"]
        others: list[DataOwnerPlayer | ComputeNodePlayer] = [*self.nodes, *self.owners]
        try:
            result.reason = await run_together(
                self.model_owner.run(deadline_ns), [player.run(deadline_ns) for player in others]
            )
            result.status = "ok" if result.reason is None else "failed"
        finally:
            result.wall_seconds = time.perf_counter() - wall
            result.cpu_seconds = time.process_time() - cpu
            result.peak_rss_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            self.finished.model = self.model_owner.parameters
            if self.model_owner.ledger is not None:
                result.ledger = [finding.sentence for finding in self.model_owner.ledger.findings]
            for each in result.rounds:
                self._tally(each)

    # -- what became of a round -------------------------------------------------------------------------------------

    def _observe(self, outcome: RoundOutcome) -> None:
        each = RoundResult(
            outcome.round,
            outcome.status,
            reason=outcome.reason if outcome.status != "ok" or outcome.attempts > 1 else None,
            attempts=outcome.attempts,
            dropped=dict(sorted_by_index(outcome.dropped)),
            metrics=outcome.metrics,
            warnings=outcome.warnings,
        )
        revealed = outcome.revealed
        if revealed is not None and outcome.mean is not None:
            each.survivors = list(revealed.survivors)
            each.silent_after = dict(sorted_by_index(revealed.silent_after))
            each.total_weight = revealed.weight
            each.error_bound = self.experiment.encoder.error_bound()
            self.finished.means[outcome.round] = outcome.mean
            if self.experiment.scenario.check:
                checked = check(outcome, {owner.me: owner.kept for owner in self.owners}, self.experiment.encoder)
                each.exact, each.error_max, each.clipped = checked.exact, checked.error_max, checked.clipped
        each.seconds = self._seconds(outcome)
        self._tally(each)
        self.finished.result.rounds.append(each)
        self.progress(each)

    def _seconds(self, outcome: RoundOutcome) -> dict[str, float]:
        """Total, and each phase over all attempts: from its start at the lead to the next one's."""
        seconds = {"total": (outcome.ended_ns - outcome.began_ns) / 1e9}
        phases = self.nodes[0].account.of(outcome.round).phases
        ends = [*(began for began, _ in phases[1:]), outcome.ended_ns]
        for (start, phase), stop in zip(phases, ends, strict=False):  # no phase where the lead never began
            seconds[phase] = seconds.get(phase, 0.0) + max(0, stop - start) / 1e9
        return seconds

    def _tally(self, each: RoundResult) -> None:
        """Bytes and work of all players in one round, by role."""
        length = self.terms.plan.length
        expanded: dict[str, int] = {}
        each.traffic, each.key_agreements = {}, 0
        players: list[Desk] = [self.model_owner, *self.nodes, *self.owners]
        for player in players:
            role, account = role_of(player.me), player.account.of(each.round)
            traffic = each.traffic.setdefault(role, Traffic())
            traffic.sent += account.sent
            traffic.received += account.received
            each.key_agreements += account.key_agreements
            expanded[role] = expanded.get(role, 0) + account.expanded
        each.mask_expansions = {role: _ratio(count, length) for role, count in expanded.items()}


def _ratio(count: int, length: int) -> float:
    """A whole number where it is one."""
    return count // length if count % length == 0 else count / length


def sorted_by_index(owners: dict[Player, Any]) -> list[tuple[Player, Any]]:
    return sorted(owners.items(), key=lambda item: int(item[0].rpartition("-")[2]))


async def farewell(tasks: list[asyncio.Task[None]]) -> None:
    """Wait until all have noticed that the run is over; who is cut off from it cannot, and is not waited for long."""
    try:
        async with asyncio.timeout(FAREWELL_NS / 1e9):
            for task in tasks:
                await task
    except TimeoutError:
        return


async def run_together(main: Coroutine[Any, Any, Any], others: list[Coroutine[Any, Any, None]]) -> Any:
    """Run `main` to its end beside the others; an error of any of them ends all, in order."""
    loop = asyncio.get_running_loop()
    first = loop.create_task(main, name=MODEL_OWNER)
    tasks = [loop.create_task(other) for other in others]
    failed: asyncio.Future[None] = loop.create_future()

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not failed.done():
            failed.set_exception(error)
            first.cancel()

    for task in tasks:
        task.add_done_callback(ended)
    try:
        result = await first
        await farewell(tasks)
        return result
    except asyncio.CancelledError:
        if failed.done():
            failed.result()
        raise
    finally:
        for task in (first, *tasks):
            task.cancel()
        await asyncio.gather(first, *tasks, return_exceptions=True)
        if not failed.done():
            failed.cancel()
