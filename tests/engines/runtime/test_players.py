"""The players of one process: who lives there, what each is given, and how they stop, come back and answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.runs import Nothing, Vector, scenario

from asyncagg.crypto.randomness import InsecureRandomnessError, InsecureSeededRandomness, SystemRandomness
from asyncagg.engines.experiment import Experiment, prepare
from asyncagg.engines.runtime.executors import InlineExecutor
from asyncagg.engines.runtime.faults import channel_faults, slowness
from asyncagg.engines.runtime.identities import everyone
from asyncagg.engines.runtime.limits import frame_limits
from asyncagg.engines.runtime.players import Environment, LocalPlayers
from asyncagg.engines.runtime.prices import player_prices
from asyncagg.engines.waits import REUNION_NS
from asyncagg.learning import workload
from asyncagg.net.clock import now_ns
from asyncagg.net.memory import MemoryNetwork
from asyncagg.players.ledger_store import StoreError
from asyncagg.players.outcome import RoundOutcome
from asyncagg.players.start import RunHooks, RunState
from asyncagg.protocols.names import LEAD, MODEL_OWNER, Label, Phase, Player, node_name, owner_name
from asyncagg.runs.trace import Trace
from asyncagg.scenario import parse

S = 1_000_000_000
OWNERS = [owner_name(index) for index in range(4)]
NODES = [node_name(index) for index in range(3)]
N1 = NODES[1]


class Run:
    """An experiment of four owners in virtual time, whose players may live in several processes on one network."""

    def __init__(self, protocol: str = "secagg", owners: Sequence[Vector] = (), **tables: Any) -> None:
        self.scenario = parse(scenario(protocol, 4, **tables))
        given = workload.given(owners, Nothing()) if owners else None
        self.experiment: Experiment = prepare(self.scenario, given)
        self.faults = channel_faults(self.scenario)
        self.network = MemoryNetwork(frame_limits(self.experiment.permissions))
        self.trace = Trace()
        self.outcomes: list[RoundOutcome] = []
        self.when_observed: Callable[[], None] = lambda: None

    def environment(self, **changes: Any) -> Environment:
        prices = player_prices(self.scenario)
        given = Environment(
            run=bytes(16),
            network=lambda player: self.network,
            executor=lambda player: InlineExecutor(prices(player), slowness(self.faults, player)),
            randomness=lambda whose: InsecureSeededRandomness(0, whose),
            start_ns=now_ns(),
            faults=self.faults,
        )
        return replace(given, **changes)

    def process(self, players: Sequence[Player], others: Any = None, **changes: Any) -> LocalPlayers:
        """The players of one process of the run; with the model owner among them, its rounds are noted."""
        hooks = RunHooks(self._observe) if MODEL_OWNER in players else None
        return LocalPlayers(self.experiment, self.environment(**changes), self.trace, players, hooks, others)

    async def _observe(self, outcome: RoundOutcome, run_state: RunState) -> None:
        self.outcomes.append(outcome)
        self.when_observed()


# -- who is there ----------------------------------------------------------------------------------------------------


async def test_a_process_has_the_players_it_is_told_of_and_no_others() -> None:
    run = Run()
    whole = run.process(everyone(run.scenario))
    assert [player.me for player in whole.players] == [MODEL_OWNER, *NODES, *OWNERS]
    fleet = run.process(OWNERS[1:3])
    assert (fleet.model_owner, fleet.nodes, [owner.me for owner in fleet.owners]) == (None, [], OWNERS[1:3])
    with pytest.raises(ValueError, match="the model owner is not here"):
        await fleet.play(None)


@pytest.mark.parametrize("engine", ["tcp", "processes", "hosts"])
async def test_seeded_secrets_are_for_virtual_time_alone(engine: str) -> None:
    run = Run(engine=engine)
    with pytest.raises(InsecureRandomnessError):
        run.process([OWNERS[0]])
    run.process([OWNERS[0]], randomness=lambda whose: SystemRandomness())


async def test_every_player_has_a_source_of_its_own_and_rounding_one_apart() -> None:
    asked: list[str] = []

    def randomness(whose: str) -> InsecureSeededRandomness:
        asked.append(whose)
        return InsecureSeededRandomness(0, whose)

    Run(encoding={"rounding_draws": "system"}).process([LEAD, *OWNERS[:2]], randomness=randomness)
    assert sorted(asked) == sorted([LEAD, *OWNERS[:2], *(f"{owner}/rounding" for owner in OWNERS[:2])])


async def test_seeded_rounding_is_the_same_for_an_owner_wherever_it_lives_and_system_rounding_never() -> None:
    keys = [
        [run.process(OWNERS[:1]).owners[0].part.draws_key(Label(0, attempt)) for attempt in (1, 2)]
        for run in (Run(), Run())
    ]
    assert keys[0] == keys[1]
    assert keys[0][0] == keys[0][1], "an attempt that is repeated has the same encoded input"
    (owner,) = Run(encoding={"rounding_draws": "system"}).process(OWNERS[:1]).owners
    assert owner.part.draws_key(Label(0, 1)) != owner.part.draws_key(Label(0, 1))


# -- ledgers ---------------------------------------------------------------------------------------------------------


async def test_accounts_are_files_where_there_is_a_folder_and_there_are_none_where_nothing_is_protected(
    tmp_path: Path,
) -> None:
    run = Run()
    (owner,) = run.process(OWNERS[2:3], ledgers=tmp_path).owners
    assert owner.store is not None
    assert owner.store.path == tmp_path / "data-owner-2.jsonl"
    (owner,) = run.process(OWNERS[2:3]).owners
    assert owner.store is not None
    assert owner.store.path is None
    (owner,) = Run("plain").process(OWNERS[:1], ledgers=tmp_path).owners
    assert owner.store is None


async def test_an_account_that_is_none_is_told_before_anything_begins(tmp_path: Path) -> None:
    tmp_path.joinpath("data-owner-2.jsonl").write_text("{}")
    with pytest.raises(StoreError, match=r"data-owner-2.jsonl: is no account of this run"):
        Run().process(OWNERS, ledgers=tmp_path)


# -- a run -----------------------------------------------------------------------------------------------------------


async def played(run: Run, first: LocalPlayers, *others: LocalPlayers) -> str | None:
    """How the run ended, whose model owner is in the first process."""
    for process in (first, *others):
        await process.listen()
    for process in others:
        process.begin(None)
    reason = await first.play(now_ns() + 10 * S)
    for process in others:
        process.injector.end()
        await process.tasks.ended()
    return reason


async def test_players_of_several_processes_make_one_run_and_their_sums_add_up() -> None:
    owners = [Vector(np.linspace(-1, 1, 60) * factor, weight) for factor, weight in ((1, 3), (0.5, 1), (-1, 7), (2, 2))]
    run = Run(owners=owners, aggregation={"weighting": "examples"}, encoding={"rounding": "nearest"})
    processes = [run.process([MODEL_OWNER, LEAD]), run.process([*NODES[1:], OWNERS[0]]), run.process(OWNERS[1:])]
    assert await played(run, *processes) is None
    (outcome,) = run.outcomes
    assert outcome.revealed is not None
    assert outcome.label is not None
    parts = [process.expected_sum(outcome.label, outcome.revealed.survivors) for process in processes]
    assert [part.owners for part in parts] == [0, 1, 3]
    assert [part.weight for part in parts] == [0, 3, 10]
    total = parts[0].plus(parts[1]).plus(parts[2])
    run.experiment.encoder.ring.cut(total.words)
    assert (total.words == outcome.revealed.words).all()
    other = processes[2].expected_sum(Label(0, 9), outcome.revealed.survivors)
    assert other.owners == 0, "inputs to another attempt are none to this one"
    usage = [process.usage_by_role(0) for process in processes]
    assert [sorted(each) for each in usage] == [
        ["compute-node", "model-owner"],
        ["compute-node", "data-owner"],
        ["data-owner"],
    ]
    sent = sum(each.sent for process in usage for each in process.values())
    assert sent == sum(each.received for process in usage for each in process.values()) > 0


async def test_the_lead_tells_other_processes_of_its_phases_once_its_own_faults_have_struck() -> None:
    told: list[tuple[str, list[str]]] = []
    run = Run("plain", faults=[{"kind": "crash", "players": [OWNERS[3]], "phase": "upload"}])

    class Others:
        async def phase_began(self, label: Label, phase: Phase) -> None:
            told.append((phase, [record.detail for record in run.trace.records if record.event == "fault"]))

        async def reunite(self, node: Player) -> None:
            raise AssertionError("nobody came back")

    await played(run, run.process(everyone(run.scenario), Others()))
    assert told[:2] == [("publish", []), ("upload", ["crash"])]


# -- who stops and comes back ------------------------------------------------------------------------------------------


async def begun(run: Run, *players: Player, others: Any = None, **changes: Any) -> tuple[LocalPlayers, LocalPlayers]:
    """These players, connected to a process of all the others, with no round begun."""
    rest = run.process([player for player in everyone(run.scenario) if player not in players])
    here = run.process(players, others, **changes)
    for process in (rest, here):
        await process.listen()
    for process in (rest, here):
        process.begin(None)
    await asyncio.sleep(1)
    return here, rest


async def ended(run: Run, *processes: LocalPlayers) -> None:
    for process in processes:
        process.injector.end()
        for player in process.players:
            if process.tasks.runs(player.me):
                process.crash(player.me)
    await asyncio.sleep(1)
    await run.network.close()


async def test_a_crash_is_of_a_player_that_runs_here_and_a_restart_of_one_that_does_not() -> None:
    run = Run()
    here, rest = await begun(run, *OWNERS[:2])
    owner = OWNERS[0]
    assert (here.crash(OWNERS[3]), here.restart(OWNERS[3], state=True)) == (False, False), "it lives elsewhere"
    assert here.restart(owner, state=True) is False, "it is there"
    assert (here.crash(owner), here.crash(owner)) == (True, False)
    await asyncio.sleep(1)
    assert owner not in rest.nodes[0].channels
    assert here.restart(owner, state=True) is True
    await asyncio.sleep(1)
    assert all(owner in node.channels for node in rest.nodes)
    await ended(run, here, rest)


@pytest.mark.parametrize("state", [True, False])
@pytest.mark.parametrize("on_disk", [True, False])
async def test_who_comes_back_without_memory_is_built_anew_and_keeps_its_account(
    tmp_path: Path, state: bool, on_disk: bool
) -> None:
    run = Run()
    here, rest = await begun(run, *OWNERS[:1], ledgers=tmp_path if on_disk else None)
    (owner,) = here.owners
    part, store = owner.part, owner.store
    assert store is not None
    store.account.settled(Label(0, 1), bytes(32), b"\x0f")
    store.save()
    owner.label = Label(4, 2)
    here.crash(OWNERS[0])
    await asyncio.sleep(1)
    assert here.restart(OWNERS[0], state)
    await asyncio.sleep(1)
    assert owner.store is not None
    assert owner.store.account.newest == Label(0, 1)
    assert (owner.label == Label(4, 2), owner.part.owner is part.owner) == (state, state)
    assert (owner.store is store) == (state or not on_disk), "a file is read again"
    await ended(run, here, rest)


async def test_a_compute_node_that_comes_back_is_found_at_once_by_who_lost_it_here_and_elsewhere() -> None:
    asked: list[tuple[Player, int]] = []
    elsewhere: list[LocalPlayers] = []

    class Others:
        async def phase_began(self, label: Label, phase: Phase) -> None:
            raise AssertionError("the lead is elsewhere")

        async def reunite(self, node: Player) -> None:
            asked.append((node, now_ns()))
            await asyncio.gather(*elsewhere[0].redial(node))

    run = Run()
    here, rest = await begun(run, N1, OWNERS[0], others=Others())
    elsewhere.append(rest)
    here.crash(N1)
    await asyncio.sleep(5)
    back_ns = now_ns()
    assert here.restart(N1, state=True)
    await asyncio.sleep(1)
    assert asked == [(N1, back_ns)]
    (node,) = here.nodes
    assert sorted(node.channels) == sorted([LEAD, MODEL_OWNER, *OWNERS])
    await ended(run, here, rest)


async def test_who_is_cut_off_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    class Others:
        async def phase_began(self, label: Label, phase: Phase) -> None:
            raise AssertionError("the lead is elsewhere")

        async def reunite(self, node: Player) -> None:
            await asyncio.Event().wait()

    run = Run()
    here, rest = await begun(run, N1, others=Others())
    dialled: list[int] = []
    (node,) = here.nodes
    monkeypatch.setattr(node, "run", lambda deadline_ns: _note(dialled))
    here.crash(N1)
    await asyncio.sleep(1)
    began_ns = now_ns()
    here.restart(N1, state=True)
    await asyncio.sleep(10)
    assert dialled == [began_ns + REUNION_NS]
    await ended(run, here, rest)


async def _note(times: list[int]) -> None:
    times.append(now_ns())


async def test_without_the_model_owner_the_run_ends() -> None:
    run = Run("plain", rounds=9)
    process = run.process(everyone(run.scenario))
    crashed: list[bool] = []
    run.when_observed = lambda: crashed.append(process.crash(MODEL_OWNER)) if len(run.outcomes) == 2 else None
    reason = await played(run, process)
    assert crashed == [True]
    assert reason is not None
    assert "model-owner" in reason
    assert len(run.outcomes) == 2
    assert process.restart(MODEL_OWNER, state=True) is False
