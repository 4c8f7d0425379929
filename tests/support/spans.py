"""A run of several processes, started as a user starts it: its processes and ports, what is killed, what is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from support.cli import ROOT, strict_json

from asyncagg.crypto.keystream import Uniforms
from asyncagg.engines.experiment import prepare
from asyncagg.protocols.names import Label, index_of
from asyncagg.scenario.reading.load import load

PATIENCE = 60.0
"""Seconds that something may take on a machine with other things to do."""
CHILD = b"asyncagg.engines.processes.child"
COMMAND = "import sys; from asyncagg.cli.main import main; main()"

SMALL = """\
name = "small"
engine = "processes"
rounds = {rounds}

[owners]
count = 6
per_process = {fleet}

[aggregation]
protocol = "{protocol}"
compute_nodes = 2
minimum_cohort = 2
retries = 3

[workload]
kind = "vectors"
file = "vectors.npz"

[network]
latency = "{latency}"
"""


def scenario(folder: Path, protocol: str = "secagg+", rounds: int = 3, fleet: int = 2, latency: str = "0 ms") -> Path:
    """A small one with made-up vectors, and its file; other tables may be added to it."""
    vectors = np.random.default_rng(11).normal(0, 2, (6, 40))
    np.savez(folder / "vectors.npz", vectors=vectors, weights=np.arange(1, 7))
    path = folder / "small.toml"
    path.write_text(SMALL.format(rounds=rounds, fleet=fleet, protocol=protocol, latency=latency), encoding="utf-8")
    return path


def until(condition: Callable[[], Any], limit: float = PATIENCE) -> Any:
    """What `condition` says once it says something; AssertionError when it does not in time."""
    end = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)
    return found


def environment() -> dict[str, str]:
    """Of a process that may keep bytecode, if not beside the sources: with it processes begin in half the time."""
    allowed = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return allowed | {"PYTHONPYCACHEPREFIX": str(ROOT / ".pytest_cache" / "bytecode")}


class Run:
    """`asyncagg` with these arguments, in a folder; its run directory is `run` there."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        self.folder = folder
        self.directory = folder / "run"
        self._stderr = folder.with_name(f"{folder.name}.stderr")  # no file of the run
        with self._stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-c", COMMAND, *(str(argument) for argument in arguments)],
                cwd=folder,
                env=environment() | {"PYTHONPATH": str(ROOT)},
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
        self.known: dict[int, str] = {}
        """Every process of the run that was seen → its name."""
        self.ports: dict[str, None] = {}
        """Sockets that were seen to listen, by inode."""
        self._looked = 0.0

    @classmethod
    def begin(cls, folder: Path, *more: object) -> Run:
        """A run of the folder's scenario."""
        return cls(folder, "run", "small.toml", "--out", "run", *more)

    @classmethod
    def resume(cls, folder: Path) -> Run:
        """Going on with it."""
        return cls(folder, "run", "--resume", "run")

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    @property
    def result(self) -> dict[str, Any]:
        result: dict[str, Any] = strict_json((self.directory / "result.json").read_text())
        return result

    def places(self) -> dict[str, int]:
        """Name → process of every child there is."""
        found = _places(self.process.pid)
        self.known |= {pid: name for name, pid in found.items()}
        if time.monotonic() > self._looked + 0.2:
            self.ports |= dict.fromkeys(_listening(list(found.values())))
            self._looked = time.monotonic()
        return found

    def kill(self, place: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to the process of this place, once there is one; its id."""
        pid = int(until(lambda: self.places().get(place)))
        os.kill(pid, number)
        return pid

    def logged(self, place: str, *words: str) -> bool:
        """Whether its log has a line with all of these words."""
        path = self.directory / "logs" / f"{place}.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return any(all(word in line for word in words) for line in lines)

    def phase(self, round_index: int, name: str) -> None:
        """Wait until the lead has begun this phase."""
        words = (f"round={round_index} ", f"phase={name}")
        until(lambda: self.logged("compute-node-0", *words) or self.process.poll() is not None)

    def end(self, limit: float = PATIENCE) -> int:
        """Wait for its end; the exit status."""
        while self.process.poll() is None and limit > 0:
            self.places()
            time.sleep(0.02)
            limit -= 0.02
        return self.process.wait(0.1)

    def left(self, files: bool = True) -> list[str]:
        """Processes, listening sockets and, if asked for, half-written files that are there though the run is over."""
        processes = [f"{name} ({pid})" for pid, name in self.known.items() if _lives(pid)]
        listening = _inodes_that_listen()
        ports = [f"socket {inode}" for inode in self.ports if inode in listening]
        half = [str(path) for path in self.directory.rglob("*.tmp")] if files else []
        return processes + ports + half

    def nothing_is_left(self, limit: float = PATIENCE, files: bool = True) -> None:
        """Wait until there is none; what there still is, is ended, and the test fails."""
        try:
            until(lambda: not self.left(files), limit)
        except AssertionError:
            raise AssertionError(f"left: {self.left(files)}") from None
        finally:
            self.abandon()

    def abandon(self) -> None:
        """End all processes of it."""
        for pid in [self.process.pid, *(pid for pid in self.known if _lives(pid))]:
            if _lives(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


# -- what it must come to ----------------------------------------------------------------------------------------------


def right_mean(folder: Path, round_index: int, survivors: list[str]) -> bytes:
    """The decoded mean of the encoded vectors of these owners, worked out without a protocol."""
    experiment = prepare(load(folder / "small.toml"))
    encoder, label = experiment.encoder, Label(round_index, 1)
    total, weight = encoder.ring.zeros(experiment.workload.dimension), 0
    for owner in map(index_of, survivors):
        gradient, share = experiment.workload.owner(owner).compute_gradient({}, round_index)
        values = experiment.layout.flatten(gradient)
        total += encoder.encode(values, share, Uniforms(experiment.draws_key(owner)(label))).words
        weight += share
    encoder.ring.cut(total)
    return encoder.decode(total, weight).tobytes()


def means(directory: Path) -> dict[str, bytes]:
    """Round → its mean, as the run directory has it."""
    with np.load(directory / "means.npz") as stored:
        return {key: stored[key].tobytes() for key in stored.files}


def model(directory: Path) -> dict[str, bytes]:
    """Parameter → its values."""
    with np.load(directory / "model.npz") as stored:
        return {key: stored[key].tobytes() for key in stored.files}


# -- processes ---------------------------------------------------------------------------------------------------------


def processes_here() -> dict[str, int]:
    """Name → process of every child of a run whose parent is this process."""
    return _places(os.getpid())


def _places(parent: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for pid in _children(parent):
        words = _read(pid, "cmdline").split(b"\0")
        if CHILD in words and _lives(pid):
            found[words[words.index(CHILD) + 1].decode()] = pid
    return found


def _lives(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    return _state(pid) not in ("", "Z", "X")


def _state(pid: int) -> str:
    stat = _read(pid, "stat").rpartition(b")")[2].split()
    return stat[0].decode() if stat else ""


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    try:
        return [int(each) for task in tasks.iterdir() for each in (task / "children").read_text().split()]
    except OSError:
        return []


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _listening(pids: list[int]) -> list[str]:
    """Inodes of the sockets that these processes listen on."""
    mine: list[str] = []
    for pid in pids:
        try:
            links = [os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            continue
        mine += [link[8:-1] for link in links if link.startswith("socket:[")]
    listening = _inodes_that_listen()
    return [inode for inode in mine if inode in listening]


def _inodes_that_listen() -> dict[str, None]:
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return {fields[9]: None for fields in map(str.split, lines) if fields[3] == "0A"}
