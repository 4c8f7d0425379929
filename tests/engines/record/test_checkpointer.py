"""The checkpointer: after whatever happened, the file says where the run goes on and which labels are used."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.runs import scenario

from asyncagg.engines.experiment import prepare
from asyncagg.engines.record import checkpointer as module
from asyncagg.engines.record.checkpointer import Checkpointer
from asyncagg.net.clock import now_ns
from asyncagg.net.waiters import sleep_until
from asyncagg.players.outcome import RoundOutcome
from asyncagg.protocols.ledger.account import Ledger
from asyncagg.protocols.names import Label
from asyncagg.runs.checkpoint import Checkpoint, CheckpointError
from asyncagg.runs.result import RoundResult
from asyncagg.scenario import parse

S = 1_000_000_000


def experiment_of(engine: str = "tcp", protocol: str = "secagg") -> Any:
    return prepare(parse(scenario(protocol, 4, engine)))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Kept:
    """A checkpointer at work, for a model owner that has nothing but what is kept of it."""

    def __init__(self, folder: Path, stored: Checkpoint | None = None, **options: Any) -> None:
        self.experiment = experiment_of(**options)
        self.folder = folder
        earlier_ns = 0 if stored is None else stored.t
        self.owner: Any = SimpleNamespace(parameters={"w": np.zeros(2)}, state={}, ledger=None)
        self.checkpointer = Checkpointer(self.experiment, folder, stored, now_ns() - earlier_ns)
        self.checkpointer.model_owner = self.owner

    @property
    def read(self) -> Checkpoint:
        return Checkpoint.read(self.folder)

    @property
    def place(self) -> tuple[int, int, list[int]]:
        """The next round, its last attempt, and the finished rounds."""
        read = self.read
        return read.round, read.attempt, [each.round for each in read.rounds]


async def test_a_label_is_written_down_before_it_is_used_and_a_round_after_it_has_ended(tmp_path: Path) -> None:
    run = Kept(tmp_path)
    run.checkpointer.begins(Label(0, 1))
    assert run.place == (0, 1, [])
    run.checkpointer.begins(Label(0, 2))
    assert run.place == (0, 2, [])
    run.checkpointer.ended(RoundResult(0, "ok", attempts=2))
    assert run.place == (1, 0, [0])
    run.checkpointer.begins(Label(1, 1))
    assert run.place == (1, 1, [0])
    run.checkpointer.ended(RoundResult(1, "skipped", reason="too few"))
    assert run.place == (2, 0, [0, 1])
    assert run.read.rounds[1].reason == "too few"


async def test_a_failed_round_is_played_again_with_later_attempts(tmp_path: Path) -> None:
    run = Kept(tmp_path)
    run.checkpointer.begins(Label(0, 1))
    run.checkpointer.ended(RoundResult(0, "failed", reason="out of retries", attempts=3))
    assert run.place == (0, 3, [])


async def test_what_the_model_owner_has_at_that_moment_is_kept(tmp_path: Path) -> None:
    await sleep_until(now_ns() + S)  # the run does not begin with its clock
    run = Kept(tmp_path)
    run.checkpointer.begins(Label(0, 1))
    run.owner.parameters, run.owner.state = {"w": np.array([1.0, 2.0])}, {"velocity": np.ones(2)}
    rules = run.experiment.ledger_rules()
    run.owner.ledger = Ledger(rules)
    run.owner.ledger.settled(Label(0, 1), bytes(32), b"\x0f")
    await sleep_until(now_ns() + 3 * S)
    run.checkpointer.ended(RoundResult(0, "ok"))
    read = run.read
    assert (read.parameters["w"].tolist(), read.state["velocity"].tolist()) == ([1, 2], [1, 1])
    assert Ledger.from_data(rules, read.ledger).newest == Label(0, 1)
    assert (read.t, read.scenario) == (3 * S, run.experiment.scenario.digest())


async def test_a_resumed_run_goes_on_behind_the_rounds_and_the_time_there_were(tmp_path: Path) -> None:
    first = Kept(tmp_path, protocol="plain")
    first.checkpointer.ended(RoundResult(0, "ok"))
    await sleep_until(now_ns() + 2 * S)
    first.checkpointer.begins(Label(1, 1))
    again = Kept(tmp_path, first.read, protocol="plain")
    start = again.checkpointer.hooks(lambda outcome: None).start  # type: ignore[arg-type,return-value]
    assert start is not None
    assert (start.round, start.attempt, start.ledger) == (1, 1, None)
    await sleep_until(now_ns() + 5 * S)
    again.checkpointer.ended(RoundResult(1, "ok"))
    assert again.place == (2, 0, [0, 1])
    assert again.read.t == 7 * S


async def test_a_round_is_told_before_it_counts_as_finished(tmp_path: Path) -> None:
    run = Kept(tmp_path)
    seen = []

    async def tell(outcome: RoundOutcome) -> RoundResult:
        seen.append((outcome.round, files(tmp_path)))
        return RoundResult(outcome.round, outcome.status)

    hooks = run.checkpointer.hooks(tell)
    assert hooks.start is None
    await hooks.observe(RoundOutcome(0, "ok"))
    assert seen == [(0, [])]
    assert run.place == (1, 0, [0])
    hooks.begins(Label(1, 1))
    assert run.place == (1, 1, [0])


async def test_what_cannot_be_told_does_not_count(tmp_path: Path) -> None:
    run = Kept(tmp_path)

    async def tell(outcome: RoundOutcome) -> RoundResult:
        raise CheckpointError("trace.jsonl: No space left on device (room to write)")

    with pytest.raises(CheckpointError):
        await run.checkpointer.hooks(tell).observe(RoundOutcome(0, "ok"))
    assert files(tmp_path) == []


async def test_a_checkpoint_that_cannot_be_written_ends_the_run(tmp_path: Path) -> None:
    run = Kept(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="the former checkpoint is kept"):
        run.checkpointer.begins(Label(0, 1))
    run = Kept(tmp_path)
    run.owner.state = {"what": np.array(["text"])}
    with pytest.raises(CheckpointError, match=r"state 'what' is of type .* \(numbers or truth values\)"):
        run.checkpointer.begins(Label(0, 1))


async def test_it_is_of_no_use_before_it_knows_whose_run_it_is(tmp_path: Path) -> None:
    run = Kept(tmp_path)
    run.checkpointer.model_owner = None
    with pytest.raises(ValueError, match="whose checkpoint"):
        run.checkpointer.begins(Label(0, 1))


@pytest.mark.parametrize(("engine", "durable"), [("tcp", False), ("processes", False), ("hosts", True)])
async def test_on_many_hosts_it_outlives_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, durable: bool
) -> None:
    written = []
    monkeypatch.setattr(module.Checkpoint, "write", lambda self, folder, durable: written.append((folder, durable)))
    Kept(tmp_path, engine=engine).checkpointer.begins(Label(0, 1))
    assert written == [(tmp_path, durable)]
