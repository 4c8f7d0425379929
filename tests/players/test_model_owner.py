"""A run that goes on: the same labels never twice, the same model as without the interruption, failures named."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.dummy import Failures, dummy
from support.runs import Nothing, Vector, scenario

from asyncagg.engines import one_process
from asyncagg.engines.experiment import prepare
from asyncagg.engines.launch import begin, play
from asyncagg.engines.record.checkpointer import Checkpointer
from asyncagg.engines.record.run_record import RunRecord
from asyncagg.engines.runtime.players import LocalPlayers
from asyncagg.learning import workload
from asyncagg.net.clock import call_at_ns, now_ns
from asyncagg.players.model_owner import ModelOwnerPlayer
from asyncagg.players.model_steps import kept_state
from asyncagg.players.outcome import RoundOutcome
from asyncagg.players.start import RunHooks, RunState, Start
from asyncagg.protocols import registry
from asyncagg.protocols.batches import Batches
from asyncagg.protocols.ledger.comparison import Rules
from asyncagg.protocols.ledger.entries import Entry
from asyncagg.protocols.ledger.sums import SumAccount
from asyncagg.protocols.names import MODEL_OWNER, Label, owner_name
from asyncagg.runs.checkpoint import Checkpoint, CheckpointError
from asyncagg.scenario.reading.load import parse

RULES = Rules(owners=4, minimum_cohort=3, weights=True)
OWNERS = [Vector(np.linspace(-0.3, 0.7, 60) * factor, weight) for factor, weight in ((1, 3), (0.5, 1), (-1, 7), (2, 2))]


class Momentum(Nothing):
    """Steps that depend on all means so far."""

    def __init__(self) -> None:
        super().__init__()
        self.velocity = np.zeros(60)

    def initial_parameters(self) -> dict[str, np.ndarray]:
        return {"vector": np.zeros(60)}

    def apply(self, parameters: dict[str, np.ndarray], mean: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.velocity = 0.9 * self.velocity + mean["vector"] + parameters["vector"]
        return {"vector": parameters["vector"] - 0.1 * self.velocity}

    def evaluate(self, parameters: dict[str, np.ndarray]) -> dict[str, float]:
        return {"sum": float(parameters["vector"].sum())}

    def state(self) -> dict[str, np.ndarray]:
        return {"velocity": self.velocity}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.velocity = state["velocity"]


class Run:
    """A run of `sim` whose model owner is watched, and started where a test wants it to."""

    def __init__(self, patch: pytest.MonkeyPatch, values: dict[str, Any], model: Any = None) -> None:
        self.scenario = parse(values)
        self.experiment = prepare(self.scenario, workload.given(OWNERS, model or Momentum()))
        self.start: Start | None = None
        self.begun: list[Label] = []
        self.noted: list[Entry] = []
        """All that the model owner handed out of its account."""
        self.checkpointer: Checkpointer | None = None
        self.outcomes: list[RoundOutcome] = []
        self.when_begun: Callable[[Label], None] = lambda label: None
        self.when_observed: Callable[[RoundOutcome], Awaitable[None]] | None = None
        self.player: ModelOwnerPlayer
        self._patch = patch

    def play(self) -> RunRecord:
        run = self

        class Watched(LocalPlayers):
            def __init__(self, *arguments: Any, **keys: Any) -> None:
                super().__init__(*arguments, **keys)
                assert self.model_owner is not None
                run.player = self.model_owner

        def course(observe: Callable[[RoundOutcome, RunState], Awaitable[None]], *_: Any, **__: Any) -> RunHooks:
            async def observed(outcome: RoundOutcome, run_state: RunState) -> None:
                await observe(outcome, run_state)
                run.outcomes.append(outcome)
                run.noted += run_state.noted
                if run.checkpointer is not None:
                    run.checkpointer.ended(run.results[-1], run_state)
                if run.when_observed is not None:
                    await run.when_observed(outcome)

            return RunHooks(observed, run._begins, run.start)

        self._patch.setattr(one_process, "LocalPlayers", Watched)
        self._patch.setattr(one_process, "RunHooks", course)
        finished = begin(self.scenario)
        self.results = finished.result.rounds
        play(self.experiment, finished, lambda each: None)
        return finished

    def _begins(self, run_state: RunState) -> None:
        label = Label(run_state.round, run_state.attempt)
        self.begun.append(label)
        self.noted += run_state.noted
        if self.checkpointer is not None:
            self.checkpointer.begins(run_state)
        self.when_begun(label)

    def keep_in(self, folder: Path) -> None:
        """Keep checkpoints there, as runs in real time do."""
        self.checkpointer = Checkpointer(self.experiment, folder, None, 0)

    def start_from(self, folder: Path) -> None:
        """Go on from the checkpoint there, as a resumed run does."""
        stored = Checkpoint.read(folder)
        assert [each.round for each in stored.finished_rounds(folder)] == list(range(stored.round))
        stored.cut(folder)
        self.start = Checkpointer(self.experiment, folder, stored, 0).hooks(nobody).start


async def nobody(outcome: RoundOutcome) -> Any:
    raise AssertionError


Make = Callable[..., Run]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    def call(protocol: str = "secagg", model: Any = None, **tables: Any) -> Run:
        return Run(monkeypatch, scenario(protocol, 4, **tables), model)

    return call


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def call(**failures: Any) -> None:
        monkeypatch.setitem(registry._registered, "dummy", dummy(Failures(**failures)))

    return call


# -- going on --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["secagg", "pairwise"])
def test_a_run_that_goes_on_comes_to_the_same_from_every_checkpoint(protocol: str, make: Make, tmp_path: Path) -> None:
    whole = make(protocol, rounds=3, encoding={"bits": 8})
    folders: list[Path] = []
    (tmp_path / "run").mkdir()
    whole.keep_in(tmp_path / "run")

    def keep(label: Label) -> None:
        folders.append(Path(shutil.copytree(tmp_path / "run", tmp_path / f"{label.round}")))

    whole.when_begun = keep
    expected = whole.play()
    assert whole.begun == [Label(0, 1), Label(1, 1), Label(2, 1)]
    for index, folder in enumerate(folders):
        rest = make(protocol, rounds=3, encoding={"bits": 8})
        rest.start_from(folder)
        rest.keep_in(folder)
        finished = rest.play()
        assert finished.result.reason is None
        assert rest.begun == [Label(index, 2), *whole.begun[index + 1 :]]
        assert finished.means.keys() == {round_index for round_index in range(3) if round_index >= index}
        for round_index, mean in finished.means.items():
            np.testing.assert_array_equal(mean, expected.means[round_index])
        np.testing.assert_array_equal(finished.model["vector"], expected.model["vector"])
        assert finished.result.rounds[-1].metrics == expected.result.rounds[-1].metrics
        entries = [
            (Label(each["round"], each["attempt"]), each["state"])
            for each in map(json.loads, (folder / "account.jsonl").read_text().splitlines()[1:])
        ]
        labels = [(label, state) for label in whole.begun[:index] for state in ("possible", "known")]
        labels += [(Label(index, 1), "possible")]
        labels += [(label, state) for label in rest.begun for state in ("possible", "known")]
        assert entries == labels, "earlier sums are not forgotten"


def test_an_attempt_that_was_cut_off_may_have_had_a_sum(make: Make, tmp_path: Path) -> None:
    """With a lying lead and pairwise masks it may not be followed by another one."""
    table = {"threat": "lying", "minimum_cohort": 3}
    whole = make("pairwise", rounds=2, aggregation=table)
    whole.keep_in(tmp_path / "run")

    def keep(label: Label) -> None:
        if label.round == 1:
            shutil.copytree(tmp_path / "run", tmp_path / "cut")

    whole.when_begun = keep
    (tmp_path / "run").mkdir()
    assert whole.play().result.reason is None
    rest = make("pairwise", rounds=2, aggregation=table)
    rest.start_from(tmp_path / "cut")
    result = rest.play().result
    assert result.reason == "round 1: attempt 1 was interrupted; no retry once an upload began (threat lying)"
    assert rest.begun == []


def test_an_attempt_that_failed_before_the_uploads_had_none(make: Make) -> None:
    owners = [f"data-owner-{index}" for index in range(3)]
    run = make(rounds=1, faults=[{"kind": "drop", "players": owners, "phase": "advertise"}])
    assert run.play().result.status == "failed"
    assert run.begun
    assert [entry.state for entry in run.noted] == ["possible", "withdrawn"] * len(run.begun)
    assert run.player.disclosed == []


def test_without_its_state_it_would_be_another_model(make: Make) -> None:
    """The test above proves something."""
    whole = make(rounds=2)
    expected = whole.play()
    rest = make(rounds=2)
    rest.start = Start(1, 1, Momentum().apply({"vector": np.zeros(60)}, {"vector": expected.means[0]}))
    rest.start.state["velocity"] = np.zeros(60)
    finished = rest.play()
    np.testing.assert_array_equal(finished.means[1], expected.means[1])
    assert not np.array_equal(finished.model["vector"], expected.model["vector"])


def test_attempts_go_on_and_retries_are_counted_anew(make: Make, failing: Callable[..., None]) -> None:
    failing(lead_aborts=(1, 2, 3, 4))
    run = make("dummy", rounds=2, aggregation={"retries": 2})
    run.start = Start(1, 2, {"vector": np.zeros(60)}, {"velocity": np.zeros(60)})
    finished = run.play()
    assert finished.result.reason is None
    assert run.begun == [Label(1, 3), Label(1, 4), Label(1, 5)]
    assert [(each.round, each.attempts, each.label) for each in run.outcomes] == [(1, 5, Label(1, 5))]


def test_only_the_round_that_was_under_way_has_used_labels(make: Make) -> None:
    run = make(rounds=3)
    run.start = Start(1, 7, {"vector": np.zeros(60)}, {"velocity": np.zeros(60)}, SumAccount(RULES))
    run.play()
    assert run.begun == [Label(1, 8), Label(2, 1)]


def test_nothing_is_left_to_play_after_the_last_round(make: Make) -> None:
    run = make(rounds=2)
    parameters = {"vector": np.arange(60.0)}
    run.start = Start(2, 0, parameters, {"velocity": np.zeros(60)})
    finished = run.play()
    assert (finished.result.status, finished.result.rounds, run.begun) == ("ok", [], [])
    np.testing.assert_array_equal(finished.model["vector"], parameters["vector"])


def test_a_retried_round_has_the_mean_it_would_have_had(make: Make, failing: Callable[..., None]) -> None:
    """Coarse values: other draws would round otherwise."""
    means = []
    for aborts in ((), (1, 2)):
        failing(lead_aborts=aborts)
        finished = make("dummy", rounds=2, encoding={"bits": 2}).play()
        assert [each.attempts for each in finished.result.rounds] == [1 + len(aborts)] * 2
        means.append(finished.means)
    for round_index in range(2):
        np.testing.assert_array_equal(means[0][round_index], means[1][round_index])


# -- culprits --------------------------------------------------------------------------------------------------------

O0, O1, O2, O3 = map(owner_name, range(4))


def invited(finished: RunRecord) -> dict[Label, set[str]]:
    """Attempt → the owners that it was published to."""
    told: dict[Label, set[str]] = {}
    for record in finished.trace.records:
        if record.kind == "publish":
            told.setdefault(Label(record.round, record.attempt), set()).add(record.receiver)
    return told


@pytest.mark.parametrize("aborts", [(), (1,)])
def test_culprits_of_a_report_or_an_abort_are_not_invited_again(
    aborts: tuple[int, ...], make: Make, failing: Callable[..., None]
) -> None:
    """Whether the attempt in which they were found had a sum or not."""
    failing(lead_aborts=aborts, culprits={Label(0, 1): {O2: "wrong-shares"}})
    finished = make("dummy", rounds=2).play()
    first, second = finished.result.rounds
    told = invited(finished)
    assert told.pop(Label(0, 1)) == {O0, O1, O2, O3}
    assert {frozenset(each) for each in told.values()} == {frozenset((O0, O1, O3))}
    assert first.warnings == ["not invited again in this run: data-owner-2 (answered with wrong shares)"]
    assert (first.survivors == [O0, O1, O2, O3]) == (not aborts)
    assert second.dropped == {O2: "publish"}
    assert second.warnings == []


def test_culprits_stay_out_even_where_all_others_are_invited_anew(make: Make, failing: Callable[..., None]) -> None:
    """An owner that left is invited again where too few stayed; a culprit is not."""
    failing(lead_aborts=(1,), owners_reject={O0: 1, O1: 1}, culprits={Label(0, 1): {O3: "bad-boxes"}})
    finished = make("dummy", rounds=1, aggregation={"minimum_cohort": 2}).play()
    assert invited(finished)[Label(0, 2)] <= {O0, O1, O2}
    assert O3 not in finished.result.rounds[0].survivors


@pytest.mark.parametrize("policy", ["retry", "skip"])
@pytest.mark.parametrize("aborts", [(), (1,)])
def test_a_run_that_culprits_leave_too_few_for_stops_by_name(
    policy: str, aborts: tuple[int, ...], make: Make, failing: Callable[..., None]
) -> None:
    failing(lead_aborts=aborts, culprits={Label(0, 1): dict.fromkeys((O0, O1, O3), "contradiction")})
    finished = make("dummy", rounds=5, aggregation={"on_failure": policy}).play()
    assert finished.result.status == "failed"
    assert finished.result.reason is not None
    assert finished.result.reason.endswith(
        "1 owners may be invited, at least 2 are needed: data-owner-0, data-owner-1, data-owner-3 are not invited again"
        " in this run"
    )
    assert len(finished.result.rounds) == (2 if not aborts or policy == "skip" else 1)
    assert [*invited(finished)] == [Label(0, 1)]


def test_culprits_are_kept_where_a_run_is_resumed() -> None:
    """Who was found out before a run was interrupted is not invited after it."""
    stored = Checkpoint(bytes(32), 0, 1, {}, {}, 0, 0, 0, {"data-owner-2": "false-dealing"})
    assert Start.of(stored, RULES, ()).culprits == {O2: "false-dealing"}


def test_a_checkpoint_with_another_guilt_is_refused() -> None:
    parts: dict[str, Any] = {"scenario": bytes(32), "round": 0, "attempt": 1, "parameters": {}, "state": {}, "t": 0}
    stored = Checkpoint(**parts, rounds_bytes=0, account_bytes=0, culprits={"data-owner-1": "rudeness"})
    with pytest.raises(CheckpointError, match=r"'rudeness' is no guilt .wrong-shares, false-dealing"):
        Start.of(stored, None, ())


# -- what is asked for, and when -------------------------------------------------------------------------------------


def test_an_attempt_is_kept_before_anyone_hears_of_it(make: Make, failing: Callable[..., None]) -> None:
    failing(lead_aborts=(1,))
    run = make("dummy", rounds=2)
    heard: list[list[Label]] = []

    def begun(label: Label) -> None:
        records = run.player.environment.trace.records
        heard.append([Label(record.round, record.attempt) for record in records if record.sender == MODEL_OWNER])

    run.when_begun = begun
    run.play()
    assert run.begun == [Label(0, 1), Label(0, 2), Label(1, 1), Label(1, 2)]
    for label, known in zip(run.begun, heard, strict=True):
        assert label not in known


def test_the_next_round_waits_for_the_observer(make: Make) -> None:
    run = make(rounds=3)
    times: list[tuple[str, int]] = []
    run.when_begun = lambda label: times.append(("begins", now_ns()))

    async def observe(outcome: RoundOutcome) -> None:
        times.append(("observed", now_ns()))
        waited = asyncio.Event()
        call_at_ns(now_ns() + 60_000_000_000, waited.set)
        await waited.wait()

    run.when_observed = observe
    run.play()
    assert [what for what, _ in times] == ["begins", "observed"] * 3
    for (_, observed), (_, begins) in zip(times[1::2], times[2::2], strict=False):
        assert begins == observed + 60_000_000_000


def test_only_owners_of_rounds_to_come_are_waited_for(make: Make) -> None:
    run = make(rounds=6, owners_table={"per_round": 3}, seed=1)
    run.play()
    everyone = {owner for index in range(6) for owner in run.experiment.cohort(index)}
    assert set(run.player._population()) == everyone
    rest = make(rounds=6, owners_table={"per_round": 3}, seed=1)
    rest.start = Start(5, 0, {"vector": np.zeros(60)}, {"velocity": np.zeros(60)}, SumAccount(RULES))
    rest.play()
    assert tuple(rest.player._population()) == rest.experiment.cohort(5)
    assert len(everyone) > len(rest.experiment.cohort(5))


def test_who_is_waited_for_is_found_as_fast_for_a_thousand_million_rounds(make: Make) -> None:
    run, asked = make(rounds=1), []
    run.play()
    cohort = run.player.part.cohort
    run.player.part = replace(run.player.part, rounds=10**9, cohort=lambda index: asked.append(index) or cohort(index))
    assert tuple(run.player._population()) == cohort(0)
    assert asked == [0]


# -- failures are named ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["begins", "observed"])
def test_what_cannot_be_kept_ends_the_run_and_everyone_is_told(when: str, make: Make) -> None:
    run = make(rounds=3)

    def full(label: Label) -> None:
        if when == "begins" and label.round == 1:
            raise CheckpointError("checkpoint.npz: No space left on device")

    async def observe(outcome: RoundOutcome) -> None:
        if when == "observed":
            raise CheckpointError("checkpoint.npz: No space left on device")

    run.when_begun, run.when_observed = full, observe
    finished = run.play()
    assert (finished.result.status, finished.result.reason) == ("failed", "checkpoint.npz: No space left on device")
    ends = [record.receiver for record in finished.trace.records if record.kind == "finish"]
    assert sorted(ends) == ["compute-node-0", "compute-node-1", "compute-node-2"] + [
        f"data-owner-{n}" for n in range(4)
    ]
    assert {record.round for record in finished.trace.records if record.kind == "publish"} == {0}


def test_a_model_that_does_not_take_its_state_fails_the_run(make: Make) -> None:
    class Broken(Momentum):
        def restore(self, state: dict[str, np.ndarray]) -> None:
            raise KeyError("velocity")

    run = make(model=Broken(), rounds=2)
    run.start = Start(1, 1, {"vector": np.zeros(60)})
    finished = run.play()
    place = r"test_model_owner\.py:\d+"
    reason = str(finished.result.reason)
    assert re.fullmatch(f"the model owner's restore raised KeyError at {place}: 'velocity'", reason)
    assert (run.begun, finished.result.status) == ([], "failed")
    assert sum(record.kind == "finish" for record in finished.trace.records) == 3 + 4, "everyone is told"


def test_a_model_that_keeps_nothing_refuses_a_state(make: Make) -> None:
    run = make(model=Nothing(), rounds=2)
    run.start = Start(1, 1, {}, {"velocity": np.zeros(3)})
    raised = r"restore raised ValueError at owners\.py:\d+: nothing here keeps a state"
    assert re.search(raised, str(run.play().result.reason))


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (None, "TypeError: it returned NoneType"),
        ([1.0], "TypeError: it returned list"),
        ({"x": "text"}, "TypeError: 'x' is of type <U4"),
        ({"x": None}, "TypeError: 'x' is of type object"),
        ({1: np.zeros(1)}, "TypeError: 1 is of type float64"),
        ({"x": [[1], [1, 2]]}, "ValueError: "),
    ],
)
def test_a_state_that_cannot_be_kept_is_told_before_the_first_round(state: Any, error: str, make: Make) -> None:
    class Odd(Momentum):
        def state(self) -> Any:
            return state

    run = make(model=Odd())
    reason = run.play().result.reason
    kind, _, text = error.partition(": ")
    raised = rf"the model owner's state raised {kind} at test_model_owner\.py:\d+: {text}"
    assert re.match(raised, str(reason))
    assert run.begun == []


def test_a_state_that_goes_wrong_later_fails_that_round(make: Make) -> None:
    class Odd(Momentum):
        calls = 0

        def state(self) -> dict[str, np.ndarray]:
            self.calls += 1
            if self.calls == 3:
                raise OverflowError("too much to remember")
            return super().state()

    run = make(model=Odd(), rounds=3)
    finished = run.play()
    raised = r"round 1: the model owner's state raised OverflowError at test_model_owner\.py:\d+: too much to remember"
    assert re.fullmatch(raised, str(finished.result.reason))
    assert [each.status for each in finished.result.rounds] == ["ok", "failed"]


def test_a_state_is_a_copy() -> None:
    model = Momentum()
    kept = kept_state(model)
    model.velocity += 1
    assert kept["velocity"].sum() == 0


# -- from a checkpoint -----------------------------------------------------------------------------------------------


def test_an_account_of_another_cut_does_not_go_on() -> None:
    """Who made the list of identities anew has cut it anew; what single batches gave away would be called another's."""
    stored = Checkpoint(bytes(32), 0, 1, {}, {}, 0, 0, 0, {})
    entries = [Entry(Label(0, 1), bytes(32), 0b111, 3, "known")]
    assert Start.of(stored, None, entries).account is None
    account = Start.of(stored, RULES, entries).account
    assert account is not None
    assert account.has_sum(Label(0, 1))
    with pytest.raises(CheckpointError, match=r"^account: .* is in the set and its batch mate .* is not"):
        Start.of(stored, replace(RULES, batches=Batches(4, 2, bytes(32))), entries)


@pytest.mark.parametrize(
    ("engine", "randomness", "transport"),
    [
        ("sim", "seeded (insecure, simulation only)", "in this process"),
        ("processes", "system", "TLS 1.3"),
        ("hosts", "system", None),
    ],
)
def test_what_a_killed_run_leaves_says_nothing_wrong(engine: str, randomness: str, transport: str | None) -> None:
    begun = begin(parse(scenario("secagg", 4, engine))).result.to_json()
    assert (begun["status"], begun["reason"]) == ("failed", "interrupted")
    assert (begun["randomness"], begun["transport"]) == (randomness, transport)
