"""Plays a scenario the way several machines do: every process of a config.json on a host of its own in a testbed.

Hosts are named after what runs on them: a player, or a range of data owners that share a process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.testbed.attendant import ROOT
from benchmarks.testbed.bed import Testbed

MODEL_OWNER = "model-owner"
PORT = 4440

_ASYNCAGG = (sys.executable, "-c", "from asyncagg.cli.main import main; main()")
_END_SECONDS = 60.0
_TAIL = 2_000


class HostsError(RuntimeError):
    """A process did not end as it should; the text has the end of what it said."""


def one_each(data_owners: int, compute_nodes: int) -> tuple[str, ...]:
    """The hosts of a scenario in which every player has its own."""
    nodes = (f"compute-node-{index}" for index in range(compute_nodes))
    return (MODEL_OWNER, *nodes, *(f"data-owner-{index}" for index in range(data_owners)))


def play(
    bed: Testbed, scenario: Mapping[str, Any], folder: Path, *, secure: bool = True, seconds: float = 300.0
) -> Path:
    """Play a scenario on a testbed's hosts; the run directory, which the model owner wrote.

    folder: a new one, for config, keys, logs and the run. secure: over TLS with keys of this run's own, else with
    `--insecure`. seconds: for the whole run. Raises HostsError if a process fails or takes longer.
    """
    folder.mkdir(parents=True)
    file = folder / "scenario.json"
    file.write_text(json.dumps(scenario), encoding="utf-8")
    words = ["--config", str(_config(bed, folder, secure)), *([] if secure else ["--insecure"]), str(file)]
    with ExitStack() as stack:
        processes = {host: stack.enter_context(_serving(bed, host, words, folder / host)) for host in bed.hosts}
        _wait(processes, folder, time.monotonic() + seconds)
    [run] = (folder / MODEL_OWNER / "runs").iterdir()
    return run


def round_seconds(run: Path) -> list[float]:
    """How long each round of a run took, by its result; HostsError if it did not end well."""
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    if result["status"] != "ok":
        raise HostsError(f"{run}: {result['reason']}")
    return [each["seconds"]["total"] for each in result["rounds"]]


def _config(bed: Testbed, folder: Path, secure: bool) -> Path:
    """config.json for these hosts; for a secure run the one that `asyncagg keys` writes beside the keys."""
    path = folder / "config.json"
    path.write_text(json.dumps({host: f"{bed.address(host)}:{PORT}" for host in bed.hosts}), encoding="utf-8")
    if not secure:
        return path
    words = [*_ASYNCAGG, "keys", "--config", str(path), "--out", str(folder / "keys")]
    done = subprocess.run(words, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise HostsError(f"asyncagg keys: {done.stderr.strip()}")
    return folder / "keys" / "config.json"


@contextmanager
def _serving(bed: Testbed, host: str, words: Sequence[str], home: Path) -> Iterator[subprocess.Popen[Any]]:
    """One process on its host, in a folder of its own that has its `log`; killed if it still runs at the end."""
    home.mkdir()
    with (home / "log").open("wb") as log:
        command = [*_ASYNCAGG, "serve", host, *words]
        process = bed.popen(host, command, cwd=home, env=_environment(), stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _wait(processes: Mapping[str, subprocess.Popen[Any]], folder: Path, deadline: float) -> None:
    """Until all have ended; the model owner ends a run, and the others soon after it."""
    for host in sorted(processes, key=lambda host: host != MODEL_OWNER):
        try:
            status = processes[host].wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise HostsError(f"{host} takes too long: {_tail(folder, host)}") from None
        if status:
            raise HostsError(f"{host} ended with status {status}: {_tail(folder, host)}")
        if host == MODEL_OWNER:
            deadline = min(deadline, time.monotonic() + _END_SECONDS)


def _tail(folder: Path, host: str) -> str:
    return (folder / host / "log").read_text(encoding="utf-8", errors="replace")[-_TAIL:].strip() or "it said nothing"


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}
