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
from asyncagg.engines.company import Company
from asyncagg.engines.experiment import Experiment
from asyncagg.engines.faults import Director
from asyncagg.engines.harness import Portion, portion
from asyncagg.engines.tally import Tally, tally
from asyncagg.players.compute_node import ComputeNodePlayer
from asyncagg.players.data_owner import DataOwnerPlayer, Kept, OwnerPart
from asyncagg.players.desk import Desk, Setting, Workbench
from asyncagg.players.ledger_store import LedgerStore
from asyncagg.players.model_owner import ModelOwnerPlayer, ModelPart
from asyncagg.players.outcome import RoundOutcome
from asyncagg.players.start import Start
from asyncagg.protocols.terms import LEAD, MODEL_OWNER, Label, Phase, Player, index_of, owner_name, role_of
from asyncagg.runs.trace import Trace
from net.channel import Network
from net.channel_faults import ChannelFaults

REUNION_NS = 1_000_000_000
"""How long a compute node that comes back waits for those who lost it."""


@dataclass(frozen=True, slots=True)
class World:
    """What an engine brings: how players reach each other, where they work, what their secrets come from."""

    run: bytes
    """Nonce of the run."""
    network: Callable[[Player], Network]
    bench: Callable[[Player], Workbench]
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
    """Folder for the owners' privacy ledgers; None keeps them in memory."""


@dataclass(frozen=True, slots=True)
class Course:
    """How the run of a model owner goes: where it starts, and who is told of each attempt and each round."""

    observe: Callable[[RoundOutcome], Awaitable[None]]
    begins: Callable[[Label], None] = lambda label: None
    start: Start | None = None


class Elsewhere(Protocol):
    """The players of the same experiment that live in other processes."""

    async def phase_began(self, label: Label, phase: Phase) -> None:
        """The lead, which is here, has begun a phase: return once what happens then has happened there too."""

    async def reunite(self, node: Player) -> None:
        """A compute node is back here: return once those who lost it have found it, or had time to."""


class Cast:
    """These players of an experiment, each its own asyncio task; the stage of faults."""

    def __init__(
        self,
        experiment: Experiment,
        world: World,
        trace: Trace,
        players: Sequence[Player],
        course: Course | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """`course` goes with the model owner; `elsewhere` with a cast that is not all there is."""
        self.experiment = experiment
        self.world = world
        self.terms = experiment.terms(world.run, world.pinned)
        self.company = Company()
        if experiment.scenario.engine != "sim":
            for player in players:
                require_secure(world.randomness(player))
        self.director = Director(experiment.scenario, self, world.faults, trace, narrates=LEAD in players)
        self._elsewhere = elsewhere
        self._common = partial(
            Setting,
            trace=trace,
            deadlines=experiment.deadlines(),
            permit_limit_ns=experiment.scenario.aggregation.permit_limit_ns,
            start_ns=world.start_ns,
            population=experiment.scenario.owners.count,
            phase_began=self._phase_began,
        )
        self.model_owner = None if course is None else self._model_owner(course)
        self.nodes = [self._node(player) for player in players if role_of(player) == "compute-node"]
        self.owners = [self._owner(index_of(player)) for player in players if role_of(player) == "data-owner"]
        self._others: dict[Player, DataOwnerPlayer | ComputeNodePlayer] = {node.me: node for node in self.nodes}
        self._others |= {owner.me: owner for owner in self.owners}

    # -- who plays --------------------------------------------------------------------------------------------------

    def _setting(self, player: Player) -> Setting:
        return self._common(network=self.world.network(player), workbench=self.world.bench(player))

    def _model_owner(self, course: Course) -> ModelOwnerPlayer:
        experiment, aggregation = self.experiment, self.experiment.scenario.aggregation
        part = ModelPart(
            model=experiment.workload.model_owner(),
            layout=experiment.layout,
            encoder=experiment.encoder,
            rounds=experiment.scenario.rounds,
            cohort=experiment.cohort,
            on_failure=aggregation.on_failure,
            retries=aggregation.retries,
            start=course.start,
            begins=course.begins,
        )
        return ModelOwnerPlayer(
            self._setting(MODEL_OWNER),
            self.terms,
            experiment.protocol,
            part,
            self.world.randomness(MODEL_OWNER),
            self.world.identities.get(MODEL_OWNER),
            experiment.ledger_rules(),
            course.observe,
        )

    def _node(self, node: Player) -> ComputeNodePlayer:
        return ComputeNodePlayer(
            node,
            self._setting(node),
            self.terms,
            self.experiment.protocol,
            self.world.randomness(node),
            self.world.identities.get(node),
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
            self.world.identities.get(owner),
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
        randomness = self.world.randomness(f"{owner_name(owner)}/rounding")
        return lambda label: randomness.bytes(KEY_BYTES)

    def _store(self, owner: Player) -> LedgerStore | None:
        """An owner's ledger: in the run directory where there is one, else in memory."""
        rules, folder = self.experiment.ledger_rules(), self.world.ledgers
        if rules is None:
            return None
        return LedgerStore(rules, None if folder is None else folder / f"{owner}.json", self.experiment.durable)

    # -- the run ----------------------------------------------------------------------------------------------------

    @property
    def players(self) -> list[Desk]:
        return [*([] if self.model_owner is None else [self.model_owner]), *self._others.values()]

    async def listen(self) -> None:
        """Everyone who is dialled can be, from now on."""
        if self.model_owner is not None:
            await self.model_owner.listen()
        for node in self.nodes:
            await node.listen()

    def begin(self, deadline_ns: int | None) -> None:
        """Data owners and compute nodes dial out, before the deadline; faults begin."""
        for player, desk in self._others.items():
            self.company.start(player, desk.run(deadline_ns))
        self.director.begin(self.world.start_ns)

    async def play(self, deadline_ns: int) -> str | None:
        """The whole run of a process with the model owner, to its end; None, or why it stopped."""
        if self.model_owner is None:
            raise ValueError("the model owner is not here")
        try:
            self.begin(deadline_ns)
            return await self.company.run(self.model_owner.run(deadline_ns))
        finally:
            self.director.end()

    def tally(self, round_index: int) -> Tally:
        """Bytes and work of the players here in one round."""
        return tally(self.players, round_index)

    def portion(self, label: Label, survivors: Sequence[Player]) -> Portion:
        """What the survivors that live here put in."""
        kept: dict[str, Kept | None] = {owner.me: owner.kept for owner in self.owners}
        return portion(label, survivors, kept, self.experiment.encoder, self.terms.dimension)

    # -- faults (this object is the director's stage) --------------------------------------------------------------

    async def _phase_began(self, label: Label, phase: Phase) -> None:
        self.director.phase_began(label, phase)
        if self._elsewhere is not None:
            await self._elsewhere.phase_began(label, phase)

    def crash(self, player: Player) -> bool:
        """Stop a player as a crash does; whether it was running here. Without the model owner the run ends."""
        if player == MODEL_OWNER and self.model_owner is not None:
            self.model_owner.crash()
            return True
        if not self.company.runs(player):
            return False
        self.company.stop(player)
        self._others[player].crash()
        return True

    def restart(self, player: Player, state: bool) -> bool:
        """Bring a player back that lives here and has stopped; whether it had. It dials everyone again."""
        if self.company.runs(player) or player not in self._others:
            return False
        desk = self._others[player]
        if not state:
            desk.forget()
            if isinstance(desk, DataOwnerPlayer):
                part = self._part(index_of(player))
                in_memory = self.world.ledgers is None  # which stands for a file: that outlives a process
                desk.begin_with(replace(part, store=desk.store) if in_memory else part)
        self.company.start(player, self._again(desk))
        return True

    async def _again(self, desk: DataOwnerPlayer | ComputeNodePlayer) -> None:
        if isinstance(desk, ComputeNodePlayer):
            await desk.listen()
            await self._reunite(desk.me)
        await desk.run(None)

    async def _reunite(self, node: Player) -> None:
        """Let those who lost this node find it, before the model owner does; who is cut off is not waited for long."""
        redials: list[Awaitable[None]] = [asyncio.shield(each) for each in self.redial(node)]
        if self._elsewhere is not None:
            redials.append(self._elsewhere.reunite(node))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REUNION_NS / 1e9):
                await asyncio.gather(*redials, return_exceptions=True)

    def redial(self, node: Player) -> list[asyncio.Task[None]]:
        """Whoever here has lost this node dials it at once; the attempts."""
        redials = [desk.redial_now(node) for desk in self._others.values()]
        return [each for each in redials if each is not None]
