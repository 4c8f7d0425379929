"""Ctrl-C and SIGTERM: at any moment, in good time, with everything written down and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from support.cli import IN_TIME, ROOT, SMALL, scenario_file, start, strict_json

from asyncagg.cli.interrupts import AGAIN_AFTER, END_AFTER

ENDLESS = SMALL.replace("rounds = 2", "rounds = 1000000")

SLEEPER = """
import time
import numpy as np
import asyncagg

class Owner(asyncagg.DataOwner):
    def compute_gradient(self, parameters, round):
        if round:
            print("working", flush=True)
            time.sleep(600)
        return {"w": np.ones(6)}, 1

class Model(asyncagg.ModelOwner):
    def initial_parameters(self):
        return {"w": np.zeros(6)}
    def apply(self, parameters, mean):
        return parameters
"""

STUBBORN = SMALL.replace(
    'kind = "synthetic"\ndimension = 20', 'kind = "python"\nowner = "mine:Owner"\nmodel_owner = "mine:Model"'
)


ON_A_LOOP = """
import asyncio, sys
from asyncagg.cli import interrupts
interrupts.AGAIN_AFTER, interrupts.END_AFTER = map(float, sys.argv[3:])
interrupts.watch()
from asyncagg.engines.runtime import event_loops as loops

async def obliging():
    print("working", flush=True)
    await asyncio.Event().wait()

async def stubborn():
    while True:
        try:
            await obliging()
        except asyncio.CancelledError:
            pass

factory, work = {"asyncio": None, "uvloop": loops.factory()}[sys.argv[1]], globals()[sys.argv[2]]
try:
    interrupts.release()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(asyncio.sleep(0))
        runner.run(work())
except KeyboardInterrupt:
    interrupts.note()
finally:
    interrupts.hold()
interrupts.leave(interrupts.status())
"""


def interrupt(process, number=signal.SIGINT):
    """Send the signal; stdout, stderr and the seconds it took."""
    began = time.monotonic()
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    return stdout, stderr, time.monotonic() - began


def interrupted(folder):
    """The result of the one run there is, which must say so."""
    result = strict_json((folder / "mine" / "result.json").read_text())
    assert (result["status"], result["reason"]) == ("failed", "interrupted")
    return result


@pytest.mark.parametrize("engine", ["sim", "tcp"])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_in_the_middle_of_a_run(tmp_path, engine, number, status):
    scenario_file(tmp_path, ENDLESS)
    process = start(tmp_path, "run", "small.toml", "--engine", engine, "--out", "mine")
    for _ in range(3):
        assert process.stderr.readline()
    _, stderr, took = interrupt(process, number)
    assert process.returncode == status
    assert took < IN_TIME
    assert stderr.splitlines()[-1] == "small: interrupted, what there is of the run is in mine"
    assert "Traceback" not in stderr
    assert len(interrupted(tmp_path)["rounds"]) >= 3
    assert (tmp_path / "mine" / "trace.jsonl").stat().st_size > 0
    assert {"means.npz", "model.npz"} <= {path.name for path in (tmp_path / "mine").iterdir()}


@pytest.mark.parametrize("delay", [0.08, 0.16, 0.24, 0.4, 0.6])
def test_while_starting_up(tmp_path, delay):
    """A run that has begun says that it was interrupted; before that nothing is left, whoever ended the process.

    Until the program's first line that is Python, in words of its own.
    """
    scenario_file(tmp_path, ENDLESS)
    process = start(tmp_path, "run", "small.toml", "--quiet", "--out", "mine")
    time.sleep(delay)
    stdout, stderr, took = interrupt(process)
    assert took < IN_TIME
    assert stdout == ""
    if process.returncode == 130:
        assert "Traceback" not in stderr
    if process.returncode == 130 and (tmp_path / "mine").exists():
        interrupted(tmp_path)
    else:
        assert process.returncode in (130, -signal.SIGINT, 1)
        assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_in_a_gradient_that_does_not_end(tmp_path, engine):
    (tmp_path / "mine.py").write_text(SLEEPER)
    scenario_file(tmp_path, STUBBORN)
    process = start(tmp_path, "run", "small.toml", "--engine", engine, "--out", "mine", "--quiet")
    assert process.stdout.readline().startswith("working")
    _, stderr, took = interrupt(process)
    assert process.returncode == 130
    assert took < IN_TIME
    assert "Traceback" not in stderr
    assert len(interrupted(tmp_path)["rounds"]) == 1


def test_impatience_changes_nothing(tmp_path):
    scenario_file(tmp_path, ENDLESS)
    process = start(tmp_path, "run", "small.toml", "--engine", "tcp", "--out", "mine")
    process.stderr.readline()
    for _ in range(5):
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    _, _, took = interrupt(process)
    assert process.returncode == 130
    assert took < IN_TIME
    interrupted(tmp_path)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(("work", "again", "end"), [("obliging", 600, 900), ("stubborn", AGAIN_AFTER, END_AFTER)])
def test_whatever_the_loop_and_what_runs_on_it(loop, number, status, work, again, end):
    """Who can be cancelled is, at once; who does not end by that is ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", ON_A_LOOP, loop, work, str(again), str(end)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.readline() == "working\n"
    try:
        _, stderr, took = interrupt(process, number)
    finally:
        process.kill()
    assert (process.returncode, stderr) == (status, "")
    assert took < IN_TIME
