"""The players that live in one process: all of them, or one site of a run that spans processes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from asyncagg.crypto.keystream import KEY_BYTES
from asyncagg.crypto.randomness import Randomness, require_secure
from asyncagg.crypto.signing import Identity
from asyncagg.engines.experiment import Experiment
from asyncagg.engines.record.oracle import ExpectedSum, expected_sum
from asyncagg.engines.record.usage import UsageByRole, usage_by_role
from asyncagg.engines.runtime.faults import FaultInjector
from asyncagg.engines.runtime.own_notes import print_note
from asyncagg.engines.runtime.tasks import PlayerTasks
from asyncagg.net.channel import Network
from asyncagg.net.links.faults import ChannelFaults
from asyncagg.players.base import BasePlayer, Executor, PlayerEnvironment
from asyncagg.players.compute_node import ComputeNodePlayer
from asyncagg.players.data_owner import DataOwnerPlayer, Kept, OwnerPart
from asyncagg.players.ledger_store import LedgerStore
from asyncagg.players.model_owner import ModelOwnerPlayer, ModelPart
from asyncagg.players.outcome import OwnNote
from asyncagg.players.start import RunHooks
from asyncagg.protocols.names import LEAD, MODEL_OWNER, Label, Loss, Phase, Player, index_of, owner_name, role_of
from asyncagg.runs.trace import Trace

REUNION_NS = 1_000_000_000
"""How long a compute node that comes back waits for those who lost it."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What an engine brings: how players reach each other, where they work, what their secrets come from."""

    run: bytes
    """Nonce of the run."""
    network: Callable[[Player], Network]
    executor: Callable[[Player], Executor]
    randomness: Callable[[str], Randomness]
    """A source for one player and purpose; no two share a stream."""
    start_ns: int
    """When the run began, by `now_ns`."""
    faults: ChannelFaults | None = None
    """What acts on the channels of `network`, where anything does."""
    identities: Mapping[Player, Identity] = field(default_factory=dict)
    """Signing keys of the players here (threat `lying`)."""
    pinned: Mapping[str, bytes] = field(default_factory=dict)
    """Everyone's public keys."""
    ledgers: Path | None = None
    """Folder for the owners' accounts; None keeps them in memory."""
    patience_ns: int | None = None
    """How long a player that has lost the model owner looks for it; None: until its process is told of the end."""
    note_own: Callable[[OwnNote], None] = print_note
    """Told by data owners what is for their own eyes alone."""


class OtherProcesses(Protocol):
    """The players of the same experiment that live in other processes."""

    async def phase_began(self, label: Label, phase: Phase) -> None:
        """The lead, which is here, has begun a phase: return once what happens then has happened there too."""

    async def reunite(self, node: Player) -> None:
        """A compute node is back here: return once those who lost it have found it, or had time to."""


class LocalPlayers:
    """These players of an experiment, each its own asyncio task; the stage of faults."""

    def __init__(
        self,
        experiment: Experiment,
        environment: Environment,
        trace: Trace,
        players: Sequence[Player],
        hooks: RunHooks | None = None,
        other_processes: OtherProcesses | None = None,
    ) -> None:
        """`hooks` go with the model owner; `other_processes` where these are not all players of the run."""
        self.experiment = experiment
        self.environment = environment
        self.terms = experiment.terms(environment.run, environment.pinned)
        self.tasks = PlayerTasks()
        if experiment.scenario.engine != "sim":
            for player in players:
                require_secure(environment.randomness(player))
        self.injector = FaultInjector(experiment.scenario, self, environment.faults, trace, narrates=LEAD in players)
        self._other_processes = other_processes
        self._common = partial(
            PlayerEnvironment,
            trace=trace,
            deadlines=experiment.deadlines(),
            permit_limit_ns=experiment.scenario.aggregation.permit_limit_ns,
            start_ns=environment.start_ns,
            permissions=experiment.permissions,
            permits=self.terms.permits,
            patience_ns=environment.patience_ns,
            note_own=environment.note_own,
            phase_began=self._phase_began,
        )
        self.model_owner = None if hooks is None else self._model_owner(hooks)
        self.nodes = [self._node(player) for player in players if role_of(player) == "compute-node"]
        self.owners = [self._owner(index_of(player)) for player in players if role_of(player) == "data-owner"]
        self._others: dict[Player, DataOwnerPlayer | ComputeNodePlayer] = {node.me: node for node in self.nodes}
        self._others |= {owner.me: owner for owner in self.owners}

    # -- who plays --------------------------------------------------------------------------------------------------

    def _environment(self, player: Player) -> PlayerEnvironment:
        return self._common(network=self.environment.network(player), executor=self.environment.executor(player))

    def _model_owner(self, hooks: RunHooks) -> ModelOwnerPlayer:
        experiment, aggregation = self.experiment, self.experiment.scenario.aggregation
        part = ModelPart(
            model=experiment.workload.model_owner(),
            layout=experiment.layout,
            encoder=experiment.encoder,
            rounds=experiment.scenario.rounds,
            cohort=experiment.cohort,
            on_failure=aggregation.on_failure,
            retries=aggregation.retries,
            start=hooks.start,
            begins=hooks.begins,
        )
        return ModelOwnerPlayer(
            self._environment(MODEL_OWNER),
            self.terms,
            experiment.protocol,
            part,
            self.environment.randomness(MODEL_OWNER),
            self.environment.identities.get(MODEL_OWNER),
            experiment.account_rules(),
            hooks.observe,
        )

    def _node(self, node: Player) -> ComputeNodePlayer:
        return ComputeNodePlayer(
            node,
            self._environment(node),
            self.terms,
            self.experiment.protocol,
            self.environment.randomness(node),
            self.environment.identities.get(node),
        )

    def _owner(self, index: int) -> DataOwnerPlayer:
        owner = owner_name(index)
        return DataOwnerPlayer(
            owner,
            self._environment(owner),
            self.terms,
            self.experiment.protocol,
            self._part(index),
            self.environment.randomness(owner),
            self.environment.identities.get(owner),
        )

    def _part(self, index: int) -> OwnerPart:
        """What makes a data owner, as it is when its process begins."""
        experiment = self.experiment
        return OwnerPart(
            owner=experiment.owner(index),
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
        randomness = self.environment.randomness(f"{owner_name(owner)}/rounding")
        return lambda label: randomness.bytes(KEY_BYTES)

    def _store(self, owner: Player) -> LedgerStore | None:
        """An owner's account: in the run directory where there is one, else in memory."""
        experiment, folder = self.experiment, self.environment.ledgers
        if not experiment.protocol.protects:
            return None
        path = None if folder is None else folder / f"{owner}.jsonl"
        return LedgerStore(experiment.scenario.owners.count, path, experiment.durable)

    # -- the run ----------------------------------------------------------------------------------------------------

    @property
    def players(self) -> list[BasePlayer]:
        return [*([] if self.model_owner is None else [self.model_owner]), *self._others.values()]

    async def listen(self) -> None:
        """Everyone who is dialled can be, from now on."""
        if self.model_owner is not None:
            await self.model_owner.listen()
        for node in self.nodes:
            await node.listen()

    def begin(self, deadline_ns: int | None) -> None:
        """Data owners and compute nodes dial out, before the deadline; faults begin."""
        for name, player in self._others.items():
            self.tasks.start(name, player.run(deadline_ns))
        self.injector.begin(self.environment.start_ns)

    async def play(self, deadline_ns: int) -> str | None:
        """The whole run of a process with the model owner, to its end; None, or why it stopped."""
        if self.model_owner is None:
            raise ValueError("the model owner is not here")
        try:
            self.begin(deadline_ns)
            return await self.tasks.run(self.model_owner.run(deadline_ns))
        finally:
            self.injector.end()

    async def all_lost(self) -> None:
        """Return once nobody here has a part in the run any more, although it may go on."""
        for player in self._others.values():
            await player.lost.wait()

    def usage_by_role(self, round_index: int) -> UsageByRole:
        """Bytes and work of the players here in one round."""
        return usage_by_role(self.players, round_index)

    def expected_sum(self, label: Label, survivors: Sequence[Player]) -> ExpectedSum:
        """What the survivors that live here put in."""
        kept: dict[str, Kept | None] = {owner.me: owner.kept for owner in self.owners}
        return expected_sum(label, survivors, kept, self.experiment.encoder)

    def own_failures(self, round_index: int) -> dict[Player, Loss]:
        """How the computations of owners that live here failed in a round, the last time they did."""
        failed = {owner.me: owner.failure for owner in self.owners}
        return {owner: each[1] for owner, each in failed.items() if each is not None and each[0].round == round_index}

    # -- faults (this object is the fault injector's target) ---------------------------------------------------------

    async def _phase_began(self, label: Label, phase: Phase) -> None:
        self.injector.phase_began(label, phase)
        if self._other_processes is not None:
            await self._other_processes.phase_began(label, phase)

    def crash(self, player: Player) -> bool:
        """Stop a player as a crash does; whether it was running here. Without the model owner the run ends."""
        if player == MODEL_OWNER and self.model_owner is not None:
            self.model_owner.crash()
            self.finish(f"{MODEL_OWNER} crashed")
            return True
        if not self.tasks.runs(player):
            return False
        self.tasks.stop(player)
        self._others[player].crash()
        return True

    def finish(self, reason: str) -> None:
        """The run is over: nobody here looks for anybody any more."""
        for player in self._others.values():
            player.finish(reason)

    def restart(self, player: Player, state: bool) -> bool:
        """Bring a player back that lives here and has stopped; whether it had. It dials everyone again."""
        if self.tasks.runs(player) or player not in self._others:
            return False
        back = self._others[player]
        if not state:
            back.forget()
            if isinstance(back, DataOwnerPlayer):
                part = self._part(index_of(player))
                in_memory = self.environment.ledgers is None  # an account in memory survives, as a file would
                back.begin_with(replace(part, store=back.store) if in_memory else part)
        self.tasks.start(player, self._again(back))
        return True

    async def _again(self, player: DataOwnerPlayer | ComputeNodePlayer) -> None:
        if isinstance(player, ComputeNodePlayer):
            await player.listen()
            await self._reunite(player.me)
        await player.run(None)

    async def _reunite(self, node: Player) -> None:
        """Let those who lost this node find it, before the model owner does; who is cut off is not waited for long."""
        redials: list[Awaitable[None]] = [asyncio.shield(each) for each in self.redial(node)]
        if self._other_processes is not None:
            redials.append(self._other_processes.reunite(node))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REUNION_NS / 1e9):
                await asyncio.gather(*redials, return_exceptions=True)

    def redial(self, node: Player) -> list[asyncio.Task[None]]:
        """Whoever here has lost this node dials it at once; the attempts."""
        redials = [player.redialler.hurry(node) for player in self._others.values()]
        return [each for each in redials if each is not None]
