"""`asyncagg run --resume`: what was interrupted comes to what it would have come to, and nothing else is touched."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest
from support.cli import invoke, strict_json
from support.spans import Run, means, model, scenario, until

from asyncagg.runs import npz
from asyncagg.runs.checkpoint import Checkpoint
from asyncagg.runs.directory import RunDirectory
from asyncagg.scenario.reading.load import load
from asyncagg.version import FORMAT, __version__

ROUNDS = 5
SAME = ("round", "status", "survivors", "dropped", "silent_after", "total_weight", "exact", "error_max", "metrics")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a scenario in which the model learns."""
    path = scenario(tmp_path, rounds=ROUNDS, fleet=3, latency="8 ms")
    text = path.read_text().replace('kind = "vectors"\nfile = "vectors.npz"', 'kind = "synthetic"\ndimension = 40')
    path.write_text(text)
    return tmp_path


def rounds_of(directory: Path) -> list[list[object]]:
    rounds = strict_json((directory / "result.json").read_text())["rounds"]
    return [[each[key] for key in SAME] for each in rounds]


def is_whole(run: Run) -> None:
    """Its directory is that of a run which was never interrupted, but for attempts, times and what is said of them."""
    whole = run.folder / "whole"
    done = invoke("run", run.folder / "small.toml", "--engine", "tcp", "--out", whole)
    assert done.exit_code == 0, done.stderr
    assert rounds_of(run.directory) == rounds_of(whole)
    assert means(run.directory) == means(whole)
    assert model(run.directory) == model(whole)
    assert {path.name for path in run.directory.iterdir()} - {"logs"} == {path.name for path in whole.iterdir()}


def contents(directory: Path) -> dict[str, bytes]:
    """All files there are in a folder."""
    return {str(path): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


def interrupted(folder: Path, engine: str = "tcp", rounds: int = 2, delay: float = 0.0) -> Run:
    """A run that was killed so many seconds after so many rounds."""
    run = Run.begin(folder, "--engine", engine)
    until(lambda: run.stderr.count("\n") >= rounds or run.process.poll() is not None)
    time.sleep(delay)
    run.process.kill()
    assert run.process.wait() == -signal.SIGKILL, run.stderr
    run.nothing_is_left(files=False)
    return run


def resumed(run: Run) -> Run:
    """It, to the end."""
    rest = Run.resume(run.folder)
    try:
        assert rest.end() == 0, rest.stderr
        rest.nothing_is_left()
    finally:
        rest.abandon()
    return rest


@pytest.mark.parametrize(
    ("engine", "delay"),
    [
        pytest.param("tcp", 0.06, id="tcp, in an attempt"),
        pytest.param("tcp", 0.0, id="tcp, between rounds", marks=pytest.mark.long),
        pytest.param("processes", 0.06, id="processes, in an attempt", marks=pytest.mark.long),
        pytest.param("processes", 0.0, id="processes, between rounds", marks=pytest.mark.long),
    ],
)
def test_what_was_killed_comes_to_the_same(folder: Path, engine: str, delay: float) -> None:
    run = interrupted(folder, engine, 2, delay)
    assert run.result["reason"] == "interrupted"
    stored = Checkpoint.read(run.directory)
    assert stored.round >= 1
    rest = resumed(run)
    is_whole(rest)
    attempts = [each["attempts"] for each in rest.result["rounds"]]
    assert attempts == [1 + (stored.attempt if index == stored.round else 0) for index in range(ROUNDS)]


@pytest.mark.long
@pytest.mark.parametrize("seed", range(12))
def test_however_often_it_is_killed(folder: Path, seed: int) -> None:
    random = Random(seed)
    run = interrupted(folder, "tcp", 1, random.uniform(0, 0.2))
    while True:
        run = Run.resume(folder)
        lines = random.randrange(3)
        until(lambda run=run, lines=lines: run.stderr.count("\n") >= lines or run.process.poll() is not None)
        time.sleep(random.uniform(0, 0.7 if lines == 0 else 0.15))
        run.process.kill()
        if run.process.wait() == 0:
            break
        run.nothing_is_left(files=False)
        if run.result["status"] == "ok":  # it was over, and about to say so
            break
    assert rounds_of(run.directory)
    is_whole(run)


@pytest.mark.long
@pytest.mark.parametrize("engine", ["tcp", "processes"])
def test_what_ctrl_c_ended_comes_to_the_same(folder: Path, engine: str) -> None:
    run = Run.begin(folder, "--engine", engine)
    until(lambda: run.stderr.count("\n") >= 2)
    run.process.send_signal(signal.SIGINT)
    assert run.end() == 130
    is_whole(resumed(run))


# -- what cannot be resumed --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `run` was killed: tests copy it."""
    folder = tmp_path_factory.mktemp("cut")
    scenario(folder, rounds=1000, latency="8 ms")
    return interrupted(folder).directory


@pytest.fixture
def copy(cut: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(cut, tmp_path / "copy"))


def refused(directory: Path) -> str:
    """The one line that says why it is not resumed; nothing has changed."""
    before = contents(directory)
    done = invoke("run", "--resume", directory)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert contents(directory) == before
    (line,) = done.stderr.splitlines()
    return str(line)


def test_one_that_is_still_going_on(copy: Path) -> None:
    descriptor = os.open(copy, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        assert refused(copy) == f"{copy}: this run is still going on (one that has stopped)"
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_one_that_is_finished_or_in_virtual_time(folder: Path, engine: str) -> None:
    out = folder / "run"
    assert invoke("run", folder / "small.toml", "--engine", engine, "--out", out, "--set", "rounds=1").exit_code == 0
    line = refused(out)
    if engine == "sim":
        assert line == f"{out}: is a run in virtual time, which keeps no checkpoint (run its scenario again)"
    else:
        assert line == f"{out}: the run has ended, with all of its 1 rounds (--rounds +N adds some)"


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    assert refused(tmp_path).startswith(f"{tmp_path / 'scenario.toml'}: ")
    assert refused(tmp_path / "nowhere").startswith(f"{tmp_path / 'nowhere' / 'scenario.toml'}: ")


@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_a_damaged_checkpoint(copy: Path, damage: str) -> None:
    path = copy / "checkpoint.npz"
    data = path.read_bytes()
    bad = {"cut": data[: len(data) // 2], "changed": data.replace(b'"round"', b'"rouns"'), "empty": b""}[damage]
    path.write_bytes(bad)
    line = refused(copy)
    assert line.startswith(f"{path}: ")
    assert line.endswith("(a checkpoint that asyncagg wrote)")


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("rounds.jsonl", "(the file that asyncagg wrote beside this checkpoint)"),
        ("account.jsonl", "(the account that asyncagg wrote)"),
    ],
)
def test_damage_beside_the_checkpoint(copy: Path, name: str, right: str) -> None:
    path = copy / name
    first, _, rest = path.read_bytes().partition(b"\n")
    path.write_bytes(bytes(len(first)) + b"\n" + rest)
    line = refused(copy)
    assert line.startswith(f"{path}:1: ")
    assert line.endswith(right)
    path.write_bytes(first)
    assert refused(copy).startswith(f"{path}: has no whole lines in its first ")
    path.unlink()
    assert refused(copy).startswith(f"{path}: No such file or directory")


@pytest.mark.parametrize("said", [{"format": FORMAT + 1, "version": "9.1"}, {}])
def test_a_run_of_another_format(copy: Path, said: dict[str, object]) -> None:
    """The version that made it is named, before a scenario that this one may not understand is looked at."""
    path = copy / "result.json"
    result = strict_json(path.read_text())
    kept = {key: value for key, value in result.items() if key not in ("format", "version")}
    path.write_text(json.dumps(kept | said))
    (copy / "scenario.toml").write_text("what = 'another version says here'")
    made_by = f"asyncagg 9.1 and has format {FORMAT + 1}" if said else "an asyncagg that does not say which and has no "
    assert refused(copy).startswith(f"{path}: was made by {made_by}")


def test_a_checkpoint_of_another_format(copy: Path) -> None:
    path = copy / "checkpoint.npz"
    own, other = f'"format": {FORMAT},'.encode(), f'"format": {FORMAT + 1},'.encode()
    entries = npz.read(path)
    assert own in entries["about"].tobytes()
    entries["about"] = np.frombuffer(entries["about"].tobytes().replace(own, other), np.uint8)
    with path.open("wb") as file:
        npz.write(file, entries)
    assert refused(copy).startswith(f"{path}: was made by asyncagg {__version__} and has format {FORMAT + 1}; this is")


def test_another_scenario(copy: Path) -> None:
    path = copy / "scenario.toml"
    path.write_text(path.read_text().replace("seed = 0", "seed = 1"))
    assert "(resume with the scenario the run was started with)" in refused(copy)


def test_other_data(copy: Path, tmp_path: Path) -> None:
    """A file of the same name with other contents; the same contents elsewhere are as good."""
    path = copy / "scenario.toml"
    data = Path(load(path).normalised()["workload"]["file"])
    path.write_text(path.read_text().replace(str(data), str(tmp_path / data.name)))
    shutil.copy(data, tmp_path)
    directory, _ = RunDirectory.reopen(copy, load(path).digest_without_rounds())
    del directory
    np.savez(tmp_path / data.name, vectors=np.ones((6, 40)))
    assert "(resume with the scenario the run was started with)" in refused(copy)


# -- a full disk -------------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with little room."""
    path = tmp_path / "disk"
    path.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", path], check=False).returncode
    ):
        pytest.skip("a file system can only be mounted by root")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


@pytest.mark.long
@pytest.mark.parametrize("engine", ["tcp", "processes"])
def test_a_full_disk_ends_the_run_with_one_line_and_what_was_kept_stays(
    disk: Path, tmp_path: Path, engine: str
) -> None:
    scenario(tmp_path, rounds=ROUNDS, fleet=3, latency="8 ms")
    text = (tmp_path / "small.toml").read_text()
    (disk / "small.toml").write_text(
        text.replace('kind = "vectors"\nfile = "vectors.npz"', 'kind = "synthetic"\ndimension = 9000')
    )
    run = Run.begin(disk, "--engine", engine, "--quiet")
    status = run.end()
    assert status in (1, 2), run.stderr
    run.nothing_is_left()
    (line,) = run.stderr.splitlines()
    assert "No space left on device" in line
    assert run.result["status"] == "failed"
    stored = Checkpoint.read(run.directory)
    assert 0 < stored.round < ROUNDS
    subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
    is_whole(resumed(run))
