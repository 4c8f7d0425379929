"""Ctrl-C ends a swarm with all its processes; so does the end of the one that was started, whatever ended it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.cli import IN_TIME, TESTING, start

"""Seconds that Ctrl-C may take."""


def in_good_time(folder: Path, what: str) -> list[int]:
    """Wait for processes of the swarm that keeps its scenarios in this folder, and name them by their ids."""
    for _ in range(1000):
        found = processes(folder)
        if bool(found) == (what == "there"):
            return found
        time.sleep(0.01)
    raise AssertionError(f"processes are not {what}: {found}")


def processes(folder: Path) -> list[int]:
    """Those that were told to keep scenarios there, but for the one that was started first."""
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdecimal() and b"swarm.crew" in (line := command(entry)) and os.fsencode(folder) in line
    ]


def command(entry: Path) -> bytes:
    try:
        return (entry / "cmdline").read_bytes()
    except OSError:
        return b""


def swarm(folder: Path) -> subprocess.Popen[str]:
    arguments = "swarm", "--seeds", "0..100000", "--out", folder
    return start(folder, *arguments, command=TESTING, start_new_session=True)


@pytest.mark.parametrize("delay", [0.0, 0.2, 1.5])
@pytest.mark.parametrize("group", [False, True])
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, delay: float, group: bool) -> None:
    process = swarm(tmp_path)
    in_good_time(tmp_path, "there")
    time.sleep(delay)
    began = time.monotonic()
    (os.killpg if group else os.kill)(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)  # to the end of both pipes: nobody holds them any more
    assert time.monotonic() - began < IN_TIME
    assert (process.returncode, stdout, stderr) == (130, "", "")
    assert not processes(tmp_path)


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    process = swarm(tmp_path)
    in_good_time(tmp_path, "there")
    process.kill()
    process.communicate(timeout=30)
    in_good_time(tmp_path, "gone")


def test_a_process_that_is_lost_ends_the_swarm(tmp_path: Path) -> None:
    process = swarm(tmp_path)
    os.kill(in_good_time(tmp_path, "there")[0], signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (1, "")
    assert stderr.endswith(": the process that played it ended with status -9\n")
    in_good_time(tmp_path, "gone")
