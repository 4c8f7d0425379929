"""The processes of a run: one for each place, ended with it however it ends, started again when they die."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.cli import IN_TIME, invoke
from support.spans import Run, means, model, processes_here, right_mean, scenario, until

import asyncagg
from asyncagg.engines.processes import child_handle, parent

PLACES = ["compute-node-0", "compute-node-1", "data-owner-0..2", "data-owner-3..5", "model-owner"]
LEARNING = 'kind = "synthetic"\ndimension = 40'


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """A run of a small scenario, with changes to it; nothing of it outlives the test."""
    runs: list[Run] = []

    def call(*more: object, old: str = "", new: str = "", **changes: Any) -> Run:
        path = scenario(tmp_path, **{"fleet": 3, **changes})
        path.write_text(path.read_text().replace(old, new) if old else path.read_text() + new)
        runs.append(Run.begin(tmp_path, *more))
        return runs[-1]

    yield call
    for run in runs:
        run.abandon()


def test_a_run_leaves_a_log_for_each_process_and_nothing_else(begin: Callable[..., Run], tmp_path: Path) -> None:
    run = begin(latency="30 ms")
    until(lambda: len(run.places()) == len(PLACES))
    assert run.end() == 0, run.stderr
    run.nothing_is_left()
    assert run.ports
    assert sorted(path.stem for path in (run.directory / "logs").iterdir()) == PLACES
    assert run.logged("compute-node-0", "phase", "round=2 ", "phase=reveal")
    assert not (run.directory / "means").exists()
    assert means(run.directory)["round-2"] == right_mean(tmp_path, 2, [f"data-owner-{index}" for index in range(6)])


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.long)]
)
def test_a_signal_to_the_parent_ends_all_at_once(
    begin: Callable[..., Run], number: signal.Signals, status: int
) -> None:
    run = begin(rounds=1000)
    run.phase(2, "upload")
    run.places()
    began = time.monotonic()
    run.process.send_signal(number)
    assert run.end() == status
    assert time.monotonic() - began < IN_TIME
    run.nothing_is_left(IN_TIME)
    assert run.stderr.splitlines()[-1] == "small: interrupted, what there is of the run is in run"
    assert (run.result["status"], run.result["reason"]) == ("failed", "interrupted")
    assert len(run.result["rounds"]) >= 2


@pytest.mark.long
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3, 0.6, 1.0, 1.5])
def test_a_signal_while_processes_begin(begin: Callable[..., Run], delay: float) -> None:
    run = begin(rounds=1000)
    until(run.places)
    time.sleep(delay)
    began = time.monotonic()
    run.process.send_signal(signal.SIGINT)
    assert run.end() == 130
    assert time.monotonic() - began < IN_TIME
    run.nothing_is_left(IN_TIME)
    assert run.result["reason"] == "interrupted"


@pytest.mark.long
@pytest.mark.parametrize("when", ["at once", "in a round"])
def test_children_do_not_outlive_their_parent(begin: Callable[..., Run], when: str) -> None:
    run = begin(rounds=1000)
    until(lambda: len(run.places()) == len(PLACES))
    if when == "in a round":
        run.phase(1, "upload")
        run.places()
        assert run.ports
    run.process.kill()
    run.process.wait()
    run.nothing_is_left(IN_TIME, files=False)
    assert run.result["reason"] == "interrupted"


# -- who is killed -----------------------------------------------------------------------------------------------------


def test_whoever_is_killed_the_run_comes_to_the_same(begin: Callable[..., Run], tmp_path: Path) -> None:
    """A compute node costs an attempt, without the model owner the run is resumed."""
    vectors = 'kind = "vectors"\nfile = "vectors.npz"'
    run = begin(rounds=6, latency="12 ms", old=vectors, new=LEARNING)
    run.phase(1, "upload")
    run.kill("compute-node-1")
    run.phase(3, "share")
    run.kill("model-owner")
    assert run.end() == 1
    run.nothing_is_left()
    reason = "the process of model-owner was ended by SIGKILL; the run can be resumed from run"
    assert run.result["reason"] == reason
    assert run.stderr.splitlines()[-1] == f"small: the run failed: {reason}"
    rest = Run.resume(tmp_path)
    try:
        assert rest.end() == 0, rest.stderr
        rest.nothing_is_left()
    finally:
        rest.abandon()
    rounds = rest.result["rounds"]
    assert rounds[: len(run.result["rounds"])] == run.result["rounds"]
    assert [each["status"] for each in rounds] == ["ok"] * 6
    assert all(each["exact"] is not False for each in rounds)
    assert any("compute-node-1" in (each["reason"] or "") and each["attempts"] > 1 for each in rounds)
    assert len(rounds[-1]["survivors"]) == 6
    same_as_over_sockets(rest, tmp_path)


def same_as_over_sockets(run: Run, folder: Path) -> None:
    """The same means and model as an uninterrupted run over sockets in which the same owners were missing."""
    text = (folder / "small.toml").read_text()
    for each in run.result["rounds"]:
        missing = [f"data-owner-{index}" for index in range(6) if f"data-owner-{index}" not in each["survivors"]]
        if missing:
            text += (
                f'\n[[faults]]\nkind = "drop"\nplayers = {missing}\nphase = "advertise"\nrounds = [{each["round"]}]\n'
            )
    (folder / "same.toml").write_text(text)
    settings = ("--engine", "tcp", "--set", "aggregation.protocol=plain", "--set", "network.latency=0 ms")
    done = invoke("run", folder / "same.toml", "--out", folder / "same", *settings)
    assert done.exit_code == 0, done.stderr
    assert means(run.directory) == means(folder / "same")
    assert model(run.directory) == model(folder / "same")


@pytest.mark.long
@pytest.mark.parametrize("policy", ["skip", "abort"])
@pytest.mark.parametrize("node", ["compute-node-0", "compute-node-1"])
def test_a_compute_node_that_dies_costs_what_the_policy_says(begin: Callable[..., Run], policy: str, node: str) -> None:
    retries = f'on_failure = "{policy}"\nretries = 3'
    run = begin(rounds=30, latency="25 ms", old="retries = 3", new=retries)
    run.phase(1, "upload")
    run.kill(node)
    status = run.end()
    run.nothing_is_left()
    rounds = run.result["rounds"]
    lost = next(each for each in rounds if each["status"] != "ok")
    assert node in lost["reason"]
    if policy == "abort":
        assert (status, rounds[-1], run.result["reason"]) == (1, lost, f"round {lost['round']}: {lost['reason']}")
    else:
        assert (status, lost["status"], len(rounds)) == (0, "skipped", 30)
        assert rounds[-1]["status"] == "ok"
        first, last = (rounds[index]["bytes"]["compute-node"]["sent"] for index in (0, -1))
        assert first >= 0.9 * last, "what the process had told before it died counts"


@pytest.mark.long
def test_a_fleet_is_a_dropout_and_rejoins(begin: Callable[..., Run], tmp_path: Path) -> None:
    run = begin(rounds=25, latency="25 ms", fleet=2)
    run.phase(1, "advertise")
    run.kill("data-owner-2..3")
    assert run.end() == 0, run.stderr
    run.nothing_is_left()
    rounds, found = run.result["rounds"], means(run.directory)
    sizes = [len(each["survivors"]) for each in rounds]
    assert (sizes[0], min(sizes[1:3]), sizes[-1]) == (6, 4, 6)
    assert {*sizes} <= {4, 5, 6}
    for each in rounds:
        assert found[f"round-{each['round']}"] == right_mean(tmp_path, each["round"], each["survivors"])


@pytest.mark.long
def test_a_process_that_dies_too_often_is_named(begin: Callable[..., Run]) -> None:
    run = begin(rounds=1000, latency="25 ms", old="retries = 3", new="retries = 50")
    for _ in range(parent.DEATHS + 1):
        run.phase(0, "upload")
        pid = run.kill("compute-node-1")
        until(lambda pid=pid: run.process.poll() is not None or run.places().get("compute-node-1") not in (None, pid))
    assert run.end() == 1
    run.nothing_is_left()
    assert run.result["reason"] == "the process of compute-node-1 was ended by SIGKILL, for the 4th time"


@pytest.mark.long
def test_without_the_model_owner_before_the_first_round(begin: Callable[..., Run], tmp_path: Path) -> None:
    run = begin()
    run.kill("model-owner")
    assert run.end() == 1
    run.nothing_is_left()
    assert run.result["reason"] == "the process of model-owner was ended by SIGKILL, before the first round"
    done = invoke("run", "--resume", run.directory)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "checkpoint.npz: there is none" in done.stderr


# -- what cannot begin, and what hangs ---------------------------------------------------------------------------------

PARTICULAR = """
import os
import sys
import numpy as np
import asyncagg

class Owner(asyncagg.DataOwner):
    def __init__(self, index):
        if index == 4 and "asyncagg.engines.processes.child" in sys.orig_argv:
            END
    def compute_gradient(self, parameters, round):
        return {"w": np.ones(6)}, 1

class Model(asyncagg.ModelOwner):
    def initial_parameters(self):
        return {"w": np.zeros(6)}
    def apply(self, parameters, mean):
        return parameters
"""


OWN = {
    "old": 'kind = "vectors"\nfile = "vectors.npz"',
    "new": 'kind = "python"\nowner = "mine:Owner"\nmodel_owner = "mine:Model"',
}


@pytest.mark.long
def test_a_class_that_cannot_be_built_in_its_process_is_refused_as_on_any_engine(
    begin: Callable[..., Run], tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(PARTICULAR.replace("END", 'raise RuntimeError("not in a child")'))
    run = begin(**OWN)
    assert run.end() == 2
    assert "Traceback" not in run.stderr
    (line,) = run.stderr.splitlines()
    assert line.endswith(f"workload.owner: {tmp_path / 'mine.py'}:10: RuntimeError: not in a child")
    assert not run.directory.exists()


@pytest.mark.long
def test_a_process_that_ends_before_it_begins_is_named(begin: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PARTICULAR.replace("END", "os._exit(3)"))
    run = begin(**OWN)
    assert run.end() == 1
    run.nothing_is_left()
    assert run.result["reason"].startswith("the process of data-owner-3..5 ended with status 3")
    assert "Traceback" not in run.stderr


class InThisProcess:
    """A run whose parent is this process, in a thread, so that its patience can be made short."""

    def __init__(self, **tables: Any) -> None:
        self.scenario: dict[str, Any] = {
            "name": "test",
            "engine": "processes",
            "owners": {"count": 6, "per_process": 3},
            "aggregation": {"compute_nodes": 2, "minimum_cohort": 2},
            "workload": {"kind": "synthetic", "dimension": 40},
            "network": {"latency": "25 ms"},
            **tables,
        }
        self.results: list[Any] = []
        self._thread = threading.Thread(target=lambda: self.results.append(asyncagg.run(self.scenario)))
        self._thread.start()

    def stop(self, place: str) -> None:
        """Have its process stand still, as a debugger or a full memory does."""
        os.kill(int(until(lambda: processes_here().get(place))), signal.SIGSTOP)

    def end(self) -> Any:
        """How it went; no process is left."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert not processes_here()
        return self.results[0]


@pytest.mark.long
@pytest.mark.parametrize("place", ["model-owner", "compute-node-0", "compute-node-1", "data-owner-3..5"])
def test_a_process_that_stands_still_does_not_hold_up_the_run_for_ever(
    place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(child_handle, "PAUSE_NS", 200_000_000)
    monkeypatch.setattr(child_handle, "SILENCE_NS", 1_000_000_000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run = InThisProcess(rounds=20)
    lead = until(lambda: next(iter(tmp_path.glob("asyncagg-*/logs/compute-node-0.log")), None))
    until(lambda: "round=1" in lead.read_text())
    run.stop(place)
    result = run.end()
    how = f"the process of {place} was ended after 2 s without an answer"
    if place == "model-owner":
        assert (result["status"], result["reason"].partition(";")[0]) == ("failed", how)
    else:
        assert result["status"] == "ok"
        assert all(each["exact"] is not False for each in result["rounds"])
        told = [each.detail for each in result.trace.records if each.event == "fault"]
        assert told == [how.removeprefix(f"the process of {place} ").join(("process ", ""))]
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_a_process_that_never_gets_ready_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent, "READY_NS", 4_000_000_000)
    run = InThisProcess()
    run.stop("compute-node-1")
    result = run.end()
    assert (result["status"], result["reason"]) == ("failed", "compute-node-1 was not ready after 4 s")


# -- faults ------------------------------------------------------------------------------------------------------------


def fault(kind: str, player: str, phase: str, rounds: list[int]) -> dict[str, Any]:
    return {"kind": kind, "players": [player], "phase": phase, "rounds": rounds}


@pytest.mark.long
@pytest.mark.parametrize(
    "faults",
    [
        [fault("crash", "data-owner-1", "upload", [0])],
        [fault("crash", "data-owner-1", "unmask", [1])],
        [fault("crash", "data-owner-1", "publish", [0]), fault("restart", "data-owner-1", "share", [1])],
        [fault("partition", "data-owner-4", "advertise", [1]), {"kind": "heal", "phase": "share", "rounds": [2]}],
        [fault("partition", "data-owner-4", "upload", [1]), {"kind": "heal", "phase": "share", "rounds": [2]}],
        [fault("crash", "model-owner", "upload", [1])],
    ],
)
def test_faults_act_as_in_one_process(faults: list[dict[str, Any]]) -> None:
    """Those that do not race time: the lead goes on with a phase when all processes have acted."""
    deadlines = {phase: {"deadline": "2 s"} for phase in ("publish", "advertise", "share", "upload", "unmask")}
    ways = []
    for engine in ("tcp", "processes"):
        run = {
            "name": "test",
            "rounds": 4,
            "owners": {"count": 6, "per_process": 3},
            "aggregation": {"protocol": "secagg", "compute_nodes": 2, "minimum_cohort": 2},
            "workload": {"kind": "synthetic", "dimension": 40},
            "network": {"latency": "40 ms"},
            "phases": deadlines,
            "faults": faults,
        }
        result = asyncagg.run(run, engine=engine)
        keys = ("status", "reason", "attempts", "survivors", "dropped", "silent_after", "exact")
        rounds = [[each[key] for key in keys] for each in result["rounds"]]
        told = [(each.round, each.sender, each.detail) for each in result.trace.records if each.event == "fault"]
        ways.append((result["reason"], rounds, {key: each.tobytes() for key, each in result.means.items()}, told))
    assert ways[0] == ways[1]
    assert ways[0][3]


@pytest.mark.long
@pytest.mark.parametrize("node", ["compute-node-0", "compute-node-1"])
def test_a_node_that_comes_back_is_found_by_everyone_before_the_round_is_tried_again(node: str) -> None:
    """It races time, but what it comes to does not depend on who wins."""
    crash = {**fault("crash", node, "upload", [1]), "lasts": "300 ms"}
    run = {
        "name": "test",
        "rounds": 3,
        "owners": {"count": 6, "per_process": 2},
        "aggregation": {"protocol": "secagg", "compute_nodes": 2, "minimum_cohort": 6},
        "workload": {"kind": "synthetic", "dimension": 40},
        "network": {"latency": "20 ms"},
        "faults": [crash],
    }
    rounds = asyncagg.run(run, engine="processes")["rounds"]
    assert [(each["status"], each["attempts"], len(each["survivors"]), each["exact"]) for each in rounds] == [
        ("ok", attempts, 6, True) for attempts in (1, 2, 1)
    ]
