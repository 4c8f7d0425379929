"""All players of an experiment in one process, and what they came to: used by the engines that hold everyone."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asyncagg.crypto.keystream import KEY_BYTES
from asyncagg.crypto.randomness import Randomness
from asyncagg.crypto.signing import Identity
from asyncagg.engines.company import Company
from asyncagg.engines.experiment import Experiment
from asyncagg.engines.faults import Director
from asyncagg.engines.harness import check
from asyncagg.learning.owners import Arrays
from asyncagg.players.compute_node import ComputeNodePlayer
from asyncagg.players.data_owner import DataOwnerPlayer, OwnerPart
from asyncagg.players.desk import Desk, Setting, Workbench
from asyncagg.players.ledger_store import LedgerStore
from asyncagg.players.model_owner import ModelOwnerPlayer, ModelPart, RoundOutcome
from asyncagg.protocols.disclosure import condensed
from asyncagg.protocols.terms import MODEL_OWNER, Label, Player, index_of, node_name, owner_name, role_of
from asyncagg.runs import roster_file
from asyncagg.runs.result import RoundResult, RunResult, Traffic
from asyncagg.runs.trace import Trace
from net.channel import Network
from net.channel_faults import ChannelFaults
from net.clock import now_ns

REUNION_NS = 1_000_000_000
"""How long a compute node that comes back waits for those who lost it."""


@dataclass(slots=True)
class Finished:
    """What a run leaves."""

    result: RunResult
    trace: Trace
    means: dict[int, NDArray[np.float64]]
    model: Arrays
    ledgers: Path | None = None
    """Folder for the owners' privacy ledgers; None keeps them in memory."""
    roster: Path | None = None
    """File for everyone's pinned public keys (threat `lying`); None keeps them in memory."""


@dataclass(frozen=True, slots=True)
class World:
    """What an engine brings: how players reach each other, where they work, what their secrets come from."""

    run: bytes
    """Nonce of the run."""
    network: Callable[[Player], Network]
    bench: Callable[[Player], Workbench]
    randomness: Callable[[str], Randomness]
    """A source for one player and purpose; no two share a stream."""
    faults: ChannelFaults | None = None
    """What acts on the channels of `network`, where anything does."""


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
        self.world = world
        self.finished = finished
        self.progress = progress
        scenario = experiment.scenario
        self._identities = self._pin_identities()
        self.terms = experiment.terms(world.run, self._pinned())
        self.company = Company()
        self.director = Director(scenario, self, world.faults, finished.trace)
        self.start_ns = now_ns()
        self._common = partial(
            Setting,
            trace=finished.trace,
            deadlines=experiment.deadlines(),
            permit_limit_ns=scenario.aggregation.permit_limit_ns,
            start_ns=self.start_ns,
            population=scenario.owners.count,
            phase_began=self.director.phase_began,
        )
        self.model_owner = self._model_owner()
        self.nodes = [self._node(node) for node in self.terms.nodes]
        self.owners = [self._owner(index) for index in range(scenario.owners.count)]
        self._others: dict[Player, DataOwnerPlayer | ComputeNodePlayer] = {node.me: node for node in self.nodes}
        self._others |= {owner.me: owner for owner in self.owners}

    # -- who plays --------------------------------------------------------------------------------------------------

    def _setting(self, player: Player) -> Setting:
        return self._common(network=self.world.network(player), workbench=self.world.bench(player))

    def _model_owner(self) -> ModelOwnerPlayer:
        experiment, aggregation = self.experiment, self.experiment.scenario.aggregation
        part = ModelPart(
            model=experiment.workload.model_owner(),
            layout=experiment.layout,
            encoder=experiment.encoder,
            rounds=experiment.scenario.rounds,
            cohort=experiment.cohort,
            on_failure=aggregation.on_failure,
            retries=aggregation.retries,
        )
        return ModelOwnerPlayer(
            self._setting(MODEL_OWNER),
            self.terms,
            experiment.protocol,
            part,
            self.world.randomness(MODEL_OWNER),
            self._identities.get(MODEL_OWNER),
            experiment.ledger_rules(),
            self._observe,
        )

    def _node(self, node: Player) -> ComputeNodePlayer:
        return ComputeNodePlayer(
            node,
            self._setting(node),
            self.terms,
            self.experiment.protocol,
            self.world.randomness(node),
            self._identities.get(node),
        )

    def _owner(self, index: int) -> DataOwnerPlayer:
        owner = owner_name(index)
        return DataOwnerPlayer(
            owner,
            self._setting(owner),
            self.terms,
            self.experiment.protocol,
            self._part(index),
            self.world.randomness(owner),
            self._identities.get(owner),
        )

    def _part(self, index: int) -> OwnerPart:
        """What makes a data owner, as it is when its process begins."""
        experiment = self.experiment
        return OwnerPart(
            owner=experiment.workload.owner(index),
            layout=experiment.layout,
            encoder=experiment.encoder,
            weighted=experiment.scenario.aggregation.weighting == "examples",
            draws_key=self._draws_key(index),
            store=self._store(owner_name(index)),
            silent_from=experiment.silent_from(index),
        )

    def _draws_key(self, owner: int) -> Callable[[Label], bytes]:
        """Label → key of an owner's rounding draws: public, from the seed, or its own secret."""
        if self.experiment.scenario.encoding.rounding_draws == "seeded":
            return self.experiment.draws_key(owner)
        randomness = self.world.randomness(f"{owner_name(owner)}/rounding")
        return lambda label: randomness.bytes(KEY_BYTES)

    def _store(self, owner: Player) -> LedgerStore | None:
        """An owner's ledger: in the run directory where there is one, else in memory."""
        rules, folder = self.experiment.ledger_rules(), self.finished.ledgers
        if rules is None:
            return None
        return LedgerStore(rules, None if folder is None else folder / f"{owner}.json")

    def _pinned(self) -> dict[str, bytes]:
        """Player → public key: from the roster file, where there is one, as players on other hosts would have it."""
        identities: dict[str, bytes] = {player: each.public for player, each in self._identities.items()}
        if self.finished.roster is None or not identities:
            return identities
        roster_file.write(self.finished.roster, identities)
        return roster_file.read(self.finished.roster)

    def _pin_identities(self) -> dict[Player, Identity]:
        """Against a lying lead: a signing key for every player, all of them pinned by everyone."""
        scenario = self.experiment.scenario
        if scenario.aggregation.threat == "curious":
            return {}
        players = [
            MODEL_OWNER,
            *(node_name(index) for index in range(scenario.aggregation.compute_nodes)),
            *(owner_name(index) for index in range(scenario.owners.count)),
        ]
        return {player: Identity.generate(self.world.randomness(f"{player}/identity")) for player in players}

    async def play(self) -> None:
        """The whole run; `finished` is filled as it goes."""
        result = self.finished.result
        wall, cpu = time.perf_counter(), time.process_time()
        await self.model_owner.listen()
        for node in self.nodes:
            await node.listen()
        deadline_ns = now_ns() + self.experiment.deadlines()["publish"]
        try:
            for player, desk in self._others.items():
                self.company.start(player, desk.run(deadline_ns))
            self.director.begin(self.start_ns)
            result.reason = await self.company.run(self.model_owner.run(deadline_ns))
            result.status = "ok" if result.reason is None else "failed"
        finally:
            self.director.end()
            result.wall_seconds = time.perf_counter() - wall
            result.cpu_seconds = time.process_time() - cpu
            result.peak_rss_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            self.finished.model = self.model_owner.parameters
            if self.model_owner.ledger is not None:
                result.ledger = list(condensed(self.model_owner.ledger.findings))
            for each in result.rounds:
                self._tally(each)

    # -- faults (this object is the director's stage) --------------------------------------------------------------

    def crash(self, player: Player) -> bool:
        """Stop a player as a crash does; whether it was running. Without the model owner the run ends."""
        if player == MODEL_OWNER:
            self.model_owner.crash()
            return True
        if not self.company.runs(player):
            return False
        self.company.stop(player)
        self._others[player].crash()
        return True

    def restart(self, player: Player, state: bool) -> bool:
        """Bring a player back that has stopped; whether it had. It dials everyone again, and is dialled."""
        if self.company.runs(player):
            return False
        desk = self._others[player]
        if not state:
            desk.forget()
            if isinstance(desk, DataOwnerPlayer):
                desk.begin_with(self._part(index_of(player)))
        self.company.start(player, self._again(desk))
        return True

    async def _again(self, desk: DataOwnerPlayer | ComputeNodePlayer) -> None:
        if isinstance(desk, ComputeNodePlayer):
            await desk.listen()
            await self._reunite(desk.me)
        await desk.run(None)

    async def _reunite(self, node: Player) -> None:
        """Let those who lost this node find it, before the model owner does; who is cut off is not waited for long."""
        redials = [desk.redial_now(node) for desk in self._others.values()]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REUNION_NS / 1e9):
                await asyncio.gather(*(asyncio.shield(each) for each in redials if each), return_exceptions=True)

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
