"""The checkpointer: after whatever happened, the file says where the run goes on and which labels are used."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.runs import scenario

from asyncagg.engines.experiment import prepare
from asyncagg.engines.record.checkpointer import Checkpointer, check_account, stored_entries
from asyncagg.net.clock import now_ns
from asyncagg.net.waiters import sleep_until
from asyncagg.players.outcome import RoundOutcome
from asyncagg.players.start import RunState
from asyncagg.protocols.ledger.entries import Entry
from asyncagg.protocols.names import Label
from asyncagg.runs.checkpoint import ACCOUNT, FILE, ROUNDS, Checkpoint, CheckpointError
from asyncagg.runs.result import RoundResult
from asyncagg.scenario import parse

S = 1_000_000_000


def experiment_of(engine: str = "tcp", protocol: str = "secagg") -> Any:
    return prepare(parse(scenario(protocol, 4, engine)))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def at(index: int, attempt: int = 0, *noted: Entry, w: float = 0.0, state: Any = None) -> RunState:
    return RunState(index, attempt, {"w": np.full(2, w)}, state or {}, noted)


def possible(index: int, attempt: int) -> Entry:
    return Entry(Label(index, attempt), bytes(32), 0b1111, 3, "possible")


def known(index: int, attempt: int) -> Entry:
    return Entry(Label(index, attempt), bytes(32), 0b1111, 4, "known")


class Kept:
    """A checkpointer at work."""

    def __init__(self, folder: Path, stored: Checkpoint | None = None, **options: Any) -> None:
        self.experiment = experiment_of(**options)
        self.folder = folder
        earlier_ns = 0 if stored is None else stored.t
        self.checkpointer = Checkpointer(self.experiment, folder, stored, now_ns() - earlier_ns)
        self.begins, self.ended = self.checkpointer.begins, self.checkpointer.ended

    @property
    def read(self) -> Checkpoint:
        return Checkpoint.read(self.folder)

    @property
    def place(self) -> tuple[int, int, list[int]]:
        """The next round, its last attempt, and the finished rounds."""
        read = self.read
        return read.round, read.attempt, [each.round for each in read.finished_rounds(self.folder)]

    @property
    def entries(self) -> list[Entry]:
        """What counts of the account."""
        return list(stored_entries(self.read, self.folder, 4))


async def nobody(outcome: RoundOutcome) -> RoundResult:
    raise AssertionError


async def test_a_label_is_written_down_before_it_is_used_and_a_round_after_it_has_ended(tmp_path: Path) -> None:
    run = Kept(tmp_path)
    run.begins(at(0, 1))
    assert run.place == (0, 1, [])
    run.begins(at(0, 2))
    assert run.place == (0, 2, [])
    run.ended(RoundResult(0, "ok", attempts=2), at(1))
    assert run.place == (1, 0, [0])
    run.begins(at(1, 1))
    assert run.place == (1, 1, [0])
    run.ended(RoundResult(1, "skipped", reason="too few"), at(2))
    assert run.place == (2, 0, [0, 1])
    assert run.read.finished_rounds(tmp_path)[1].reason == "too few"


async def test_a_failed_round_is_played_again_with_later_attempts(tmp_path: Path) -> None:
    run = Kept(tmp_path)
    run.begins(at(0, 1))
    run.ended(RoundResult(0, "failed", reason="out of retries", attempts=3), at(0, 3))
    assert run.place == (0, 3, [])


async def test_what_the_model_owner_has_at_that_moment_is_kept(tmp_path: Path) -> None:
    await sleep_until(now_ns() + S)  # the run does not begin with its clock
    run = Kept(tmp_path)
    run.begins(at(0, 1, possible(0, 1)))
    await sleep_until(now_ns() + 3 * S)
    run.ended(RoundResult(0, "ok"), at(1, 0, known(0, 1), w=2.0, state={"velocity": np.ones(2)}))
    read = run.read
    assert (read.parameters["w"].tolist(), read.state["velocity"].tolist()) == ([2, 2], [1, 1])
    assert run.entries == [possible(0, 1), known(0, 1)]
    assert (read.t, read.scenario) == (3 * S, run.experiment.scenario.digest_without_rounds())


async def test_a_resumed_run_goes_on_behind_the_rounds_the_account_and_the_time_there_were(tmp_path: Path) -> None:
    first = Kept(tmp_path)
    first.ended(RoundResult(0, "ok"), at(1, 0, possible(0, 1), known(0, 1)))
    await sleep_until(now_ns() + 2 * S)
    first.begins(at(1, 1, possible(1, 1)))
    again = Kept(tmp_path, first.read)
    start = again.checkpointer.hooks(nobody).start
    assert start is not None
    assert start.account is not None
    assert (start.round, start.attempt, start.account.has_sum(Label(1, 1))) == (1, 1, True)
    assert start.account.take() == ()
    await sleep_until(now_ns() + 5 * S)
    again.ended(RoundResult(1, "ok"), at(2, 0, known(1, 2)))
    assert again.place == (2, 0, [0, 1])
    assert again.entries == [possible(0, 1), known(0, 1), possible(1, 1), known(1, 2)]
    assert again.read.t == 7 * S


async def test_what_protects_nothing_has_no_account(tmp_path: Path) -> None:
    first = Kept(tmp_path, protocol="plain")
    first.ended(RoundResult(0, "ok"), at(1))
    start = Kept(tmp_path, first.read, protocol="plain").checkpointer.hooks(nobody).start
    assert start is not None
    assert start.account is None
    assert files(tmp_path) == [FILE, ROUNDS]


async def test_a_round_is_told_before_it_counts_as_finished(tmp_path: Path) -> None:
    run = Kept(tmp_path)
    seen = []

    async def tell(outcome: RoundOutcome) -> RoundResult:
        seen.append((outcome.round, files(tmp_path)))
        return RoundResult(outcome.round, outcome.status)

    hooks = run.checkpointer.hooks(tell)
    assert hooks.start is None
    await hooks.observe(RoundOutcome(0, "ok"), at(1))
    assert seen == [(0, [])]
    assert run.place == (1, 0, [0])
    hooks.begins(at(1, 1))
    assert run.place == (1, 1, [0])


async def test_what_cannot_be_told_does_not_count(tmp_path: Path) -> None:
    run = Kept(tmp_path)

    async def tell(outcome: RoundOutcome) -> RoundResult:
        raise CheckpointError("trace.jsonl: No space left on device (room to write)")

    with pytest.raises(CheckpointError):
        await run.checkpointer.hooks(tell).observe(RoundOutcome(0, "ok"), at(1))
    assert files(tmp_path) == []


async def test_what_cannot_be_written_ends_the_run(tmp_path: Path) -> None:
    for noted, name in ((possible(0, 1),), ACCOUNT), ((), FILE):
        with pytest.raises(CheckpointError, match=f"nowhere/{name}: No such file or directory"):
            Kept(tmp_path / "nowhere").begins(at(0, 1, *noted))
    with pytest.raises(CheckpointError, match=f"nowhere/{ROUNDS}: No such file or directory"):
        Kept(tmp_path / "nowhere").ended(RoundResult(0, "ok"), at(1))
    with pytest.raises(CheckpointError, match=r"state 'what' is of type .* \(numbers or truth values\)"):
        Kept(tmp_path).begins(at(0, 1, state={"what": np.array(["text"])}))


async def test_two_processes_do_not_keep_one_run(tmp_path: Path) -> None:
    run, other = Kept(tmp_path), Kept(tmp_path)
    run.begins(at(0, 1, possible(0, 1)))
    with pytest.raises(CheckpointError, match=r"another process writes it \(one process for a run\)"):
        other.begins(at(0, 1, possible(0, 1)))
    assert run.place == (0, 1, [])


# -- crashes -----------------------------------------------------------------------------------------------------------


class Crash(BaseException):
    """The process ends here."""


def play(run: Kept) -> None:
    """Two rounds, the first with two attempts."""
    run.begins(at(0, 1, possible(0, 1)))
    run.begins(at(0, 2, possible(0, 2)))
    run.ended(RoundResult(0, "ok", attempts=2), at(1, 0, known(0, 2), w=1.0))
    run.begins(at(1, 1, possible(1, 1), w=1.0))
    run.ended(RoundResult(1, "ok"), at(2, 0, known(1, 1), w=2.0))


def crashing(patch: pytest.MonkeyPatch, after: int, half: bool) -> None:
    """The process ends at the write, or replacement of a file, with this number: before it, or half-way through."""
    done = 0
    write, replace = os.write, os.replace

    def counted(act: Callable[[], int | None], torn: Callable[[], object]) -> int | None:
        nonlocal done
        done += 1
        if done == after:
            if half:
                torn()
            raise Crash
        return act()

    def writes(descriptor: int, data: bytes) -> int | None:
        return counted(lambda: write(descriptor, data), lambda: write(descriptor, data[: len(data) // 2]))

    def replaces(source: Path, target: Path) -> int | None:
        return counted(lambda: replace(source, target), lambda: replace(source, target))

    patch.setattr(os, "write", writes)
    patch.setattr(os, "replace", replaces)


STEPS = 12
"""Additions to files, and replacements of the checkpoint, in `play`: seven of the first, five of the second."""


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("step", range(1, STEPS + 2))
async def test_wherever_the_process_ends_what_is_left_is_one_state_of_the_run(
    step: int, half: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never a round without its mean's parameters, an entry that is torn, or a label that may be used twice."""
    with monkeypatch.context() as patch:
        crashing(patch, step, half)
        if step > STEPS:
            play(Kept(tmp_path))
        else:
            with pytest.raises(Crash):
                play(Kept(tmp_path))
    if not (tmp_path / FILE).exists():
        assert step <= 2, "no attempt was published yet"
        return
    stored = Checkpoint.read(tmp_path)
    check_account(stored, tmp_path, 4)
    assert len(stored.finished_rounds(tmp_path)) == stored.round
    stored.cut(tmp_path)
    assert (tmp_path / ACCOUNT).read_text().endswith("\n")
    states = {
        (0, 1): [possible(0, 1)],
        (0, 2): [possible(0, 1), possible(0, 2)],
        (1, 0): [possible(0, 1), possible(0, 2), known(0, 2)],
        (1, 1): [possible(0, 1), possible(0, 2), known(0, 2), possible(1, 1)],
        (2, 0): [possible(0, 1), possible(0, 2), known(0, 2), possible(1, 1), known(1, 1)],
    }
    again = Kept(tmp_path, stored)
    assert again.entries == states[stored.round, stored.attempt]
    assert stored.parameters["w"].tolist() == [float(stored.round)] * 2
    again.begins(at(stored.round, stored.attempt + 1, possible(stored.round, stored.attempt + 1)))
    assert again.place == (stored.round, stored.attempt + 1, list(range(stored.round)))
    assert again.entries == [*states[stored.round, stored.attempt], possible(stored.round, stored.attempt + 1)]


# -- long runs ---------------------------------------------------------------------------------------------------------


async def test_a_late_round_writes_what_an_early_one_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes of a round at 400 rounds: at most 1.3 times those at 100. They were four times as many."""
    written = 0
    write, rename = os.write, os.replace

    def writes(descriptor: int, data: bytes) -> int:
        nonlocal written
        written += len(data)
        return write(descriptor, data)

    def replaces(source: Path, target: Path) -> None:
        nonlocal written
        written += Path(source).stat().st_size
        rename(source, target)

    monkeypatch.setattr(os, "write", writes)
    monkeypatch.setattr(os, "replace", replaces)
    run, costs = Kept(tmp_path), []
    survivors = [f"data-owner-{index}" for index in range(4)]
    for index in range(401):
        before = written
        run.begins(at(index, 1, possible(index, 1)))
        run.ended(RoundResult(index, "ok", survivors=survivors), at(index + 1, 0, known(index, 1)))
        costs.append(written - before)
    assert costs[100] > 1000
    assert costs[400] <= 1.3 * costs[100]
    assert max(costs[300:]) <= 1.01 * max(costs[100:200])


@pytest.mark.parametrize(("engine", "durable"), [("tcp", False), ("processes", False), ("hosts", True)])
async def test_on_many_hosts_it_outlives_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, durable: bool
) -> None:
    """The lines are on the disk before a checkpoint counts them."""
    synced: list[str] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    Kept(tmp_path, engine=engine).ended(RoundResult(0, "ok"), at(1, 0, known(0, 1)))
    folder = tmp_path.name
    wanted = [ROUNDS, folder, ACCOUNT, folder, f"{FILE}.tmp", folder]
    assert synced == (wanted if durable else [])
