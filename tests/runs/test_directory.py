"""The run directory: new or resumed, never two processes in one, and nothing half-written in it."""

import errno
import gc
import os
from pathlib import Path

import numpy as np
import pytest

from asyncagg.runs import means
from asyncagg.runs.checkpoint import ACCOUNT, FILE, ROUNDS, Checkpoint, CheckpointError, round_line
from asyncagg.runs.directory import DirectoryError, RunDirectory
from asyncagg.runs.result import RoundResult, RunResult

SCENARIO = bytes(32)
MEANS = [np.full(3, index / 3) for index in range(12)]


ENTRIES = "head\nentry\n"


def rounds(count: int) -> str:
    return "".join(round_line(RoundResult(index, "ok")) for index in range(count))


def checkpoint(finished: int) -> Checkpoint:
    return Checkpoint(SCENARIO, finished, 1, {"x": np.zeros(2)}, {}, len(rounds(finished)), len(ENTRIES), 5, {})


def stored(folder: Path) -> dict[str, list[float]]:
    with np.load(folder / "means.npz", allow_pickle=False) as archive:
        return {name: array.tolist() for name, array in archive.items()}


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.fixture
def interrupted(tmp_path: Path) -> Path:
    """A run that ended between the mean of round 2 and its checkpoint, while it wrote down something else."""
    folder = tmp_path / "run"
    directory = RunDirectory.create(folder, "test", 0)
    for index in range(3):
        means.keep(folder, index, MEANS[index])
    checkpoint(2).write(folder)
    (folder / ROUNDS).write_text(rounds(3))
    (folder / ACCOUNT).write_text(f"{ENTRIES}torn")
    (directory.path / "ledgers").mkdir()
    for half in (f"{FILE}.tmp", "means/round-3.npy.tmp", "ledgers/data-owner-0.tmp"):
        (folder / half).write_bytes(b"half")
    return folder


def test_a_run_is_taken_up_where_its_checkpoint_says(interrupted: Path) -> None:
    directory, at = RunDirectory.reopen(interrupted, SCENARIO)
    assert (directory.path, at.round, at.attempt) == (interrupted, 2, 1)
    assert "means/round-2.npy" in names(interrupted), "nothing is touched before it is clear that the run goes on"
    assert [each.round for each in at.finished_rounds(interrupted)] == [0, 1]
    directory.cut_back(at)
    assert names(interrupted) == [
        *(ACCOUNT, FILE, "ledgers", "means", "means/round-0.npy", "means/round-1.npy", ROUNDS)
    ]
    assert (interrupted / ROUNDS).read_text() == rounds(2)
    assert (interrupted / ACCOUNT).read_text() == ENTRIES


def test_nothing_of_another_scenarios_run_is_touched(interrupted: Path) -> None:
    before = names(interrupted)
    with pytest.raises(CheckpointError, match="resume with the scenario the run was started with"):
        RunDirectory.reopen(interrupted, bytes([1]) * 32)
    assert names(interrupted) == before


def test_means_are_gathered_in_order_and_then_given_up(interrupted: Path) -> None:
    directory, at = RunDirectory.reopen(interrupted, SCENARIO)
    directory.cut_back(at)
    for index in range(3, 12):
        means.keep(interrupted, index, MEANS[index])
    directory.gather_means()
    played = [index for index in range(12) if index != 2]
    assert stored(interrupted) == {f"round-{index}": MEANS[index].tolist() for index in played}
    assert list(stored(interrupted)) == [f"round-{index}" for index in played]
    assert len(means.kept(interrupted)) == 11
    directory.tidy(may_grow=True)
    assert names(interrupted) == [ACCOUNT, FILE, "ledgers", "means.npz", ROUNDS]
    directory.tidy(may_grow=False)
    assert names(interrupted) == [ACCOUNT, "ledgers", "means.npz"]
    directory.tidy(may_grow=False)  # once more is no mistake


def test_means_of_a_finished_run_are_taken_apart_again(interrupted: Path) -> None:
    directory, at = RunDirectory.reopen(interrupted, SCENARIO)
    directory.cut_back(at)
    before = {index: path.read_bytes() for index, path in means.kept(interrupted).items()}
    directory.gather_means()
    directory.tidy(may_grow=True)
    assert means.kept(interrupted) == {}
    directory.cut_back(at)
    assert {index: path.read_bytes() for index, path in means.kept(interrupted).items()} == before != {}
    (interrupted / "means.npz").write_bytes(b"no archive")
    with pytest.raises(CheckpointError, match=r"\(the means that asyncagg wrote\)"):
        directory.cut_back(at)


def test_a_run_without_any_mean(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path / "run", "test", 0)
    directory.gather_means()
    directory.tidy(may_grow=False)
    assert stored(directory.path) == {}


def test_gathered_means_are_what_write_means_writes(tmp_path: Path) -> None:
    one, other = (RunDirectory.create(tmp_path / name, "test", 0) for name in "ab")
    one.write_means(dict(enumerate(MEANS)))
    for index, mean in enumerate(MEANS):
        means.keep(other.path, index, mean)
    other.gather_means()
    assert stored(one.path) == stored(other.path)


def test_only_means_are_taken_for_means(tmp_path: Path) -> None:
    means.keep(tmp_path, 10, MEANS[0])
    for name in ("round-01.npy", "round-.npy", "round-2.npy.tmp", "notes.txt"):
        (tmp_path / "means" / name).touch()
    assert list(means.kept(tmp_path)) == [10]
    means.forget(tmp_path)
    assert len(list((tmp_path / "means").iterdir())) == 4, "what is not ours stays"


def test_a_run_that_goes_on_is_not_taken_up(tmp_path: Path) -> None:
    """Two model owners in one run would use the same labels."""
    directory = RunDirectory.create(tmp_path / "run", "test", 0)
    checkpoint(0).write(directory.path)
    with pytest.raises(DirectoryError, match=r"still going on \(one that has stopped\)"):
        RunDirectory.reopen(directory.path, SCENARIO)
    del directory
    gc.collect()
    directory, _ = RunDirectory.reopen(tmp_path / "run", SCENARIO)
    with pytest.raises(DirectoryError, match="still going on"):
        RunDirectory.reopen(directory.path, SCENARIO)


def test_what_cannot_be_taken_up(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match=r"nowhere: No such file or directory \(the directory of a run that was"):
        RunDirectory.reopen(tmp_path / "nowhere", SCENARIO)
    (tmp_path / "file").touch()
    with pytest.raises(DirectoryError, match="file: Not a directory"):
        RunDirectory.reopen(tmp_path / "file", SCENARIO)
    with pytest.raises(CheckpointError, match="there is none"):
        RunDirectory.reopen(tmp_path, SCENARIO)


def test_a_full_disk_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = RunDirectory.create(tmp_path / "run", "test", 0)
    result = RunResult("test", 0, "tcp", "secagg", 3, 1)
    directory.write_result(result)
    means.keep(directory.path, 0, MEANS[0])
    before = names(directory.path)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    for write in (
        lambda: directory.write_result(result),
        lambda: directory.write_means({0: MEANS[0]}),
        lambda: directory.write_model({"x": MEANS[0]}),
        directory.gather_means,
    ):
        with pytest.raises(DirectoryError, match=r"No space left on device \(a folder that can be written, with room"):
            write()
    with pytest.raises(CheckpointError, match=r"means: round 1: No space left on device \(room to write\)"):
        means.keep(directory.path, 1, MEANS[1])
    assert names(directory.path) == before
