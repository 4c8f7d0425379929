"""SIGKILL of a player's process, or of the parent, at any moment: right means or named failures, and nothing left.

Seeds decide who is killed and when, from before it is ready to after the last round. What was killed with its model
owner or its parent is resumed, and comes to the means it would have had.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from support.spans import Run, means, right_mean, scenario, until

from asyncagg.protocols.registry import find

ROUNDS = 3
KINDS = ("plain", "pairwise", "additive", "secagg", "secagg+")
PLACES = ("model-owner", "compute-node-0", "compute-node-1", "data-owner-0..2", "data-owner-3..5")
SEEDS = range(100)


@pytest.fixture(scope="module")
def ends() -> Iterator[Counter[str]]:
    """How many runs ended in which way; shown by `pytest -s`."""
    counted: Counter[str] = Counter()
    yield counted
    print("\n".join(["", *(f"{count:4} {kind}" for kind, count in counted.most_common())]))


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
def test_a_kill_at_any_moment_ends_in_right_means_or_a_named_failure(
    seed: int, tmp_path: Path, ends: Counter[str]
) -> None:
    random = Random(seed)
    protocol = random.choice(KINDS)
    scenario(tmp_path, protocol, ROUNDS, fleet=3, latency="8 ms")
    victim = random.choice(("parent", *PLACES))
    run = Run.begin(tmp_path)
    try:
        killed = strike(run, victim, moment(protocol, random), random)
        status = run.end()
        run.nothing_is_left(files=victim != "parent")  # whose half-written files it is for the resumed run to remove
        ends[f"{victim.rstrip('.0123456789-')} killed: {judged(run, victim, killed, status)}"] += 1
    finally:
        run.abandon()


Moment = tuple[int, str] | str
"""A phase of a round, or: when its process is there, when it is ready, when the run is over."""


def moment(protocol: str, random: Random) -> Moment:
    """One that the seed chooses."""
    phases = [phase for phase in find(protocol).phases if phase != "certify"]
    moments: list[Moment] = [(index, phase) for index in range(ROUNDS) for phase in phases]
    return random.choice(["there", "ready", "over", *moments])


def strike(run: Run, victim: str, when: Moment, random: Random) -> bool:
    """Kill it then or a little later; whether it was there."""
    watched = random.choice(PLACES) if victim == "parent" else victim
    until(lambda: run.places().get(watched) or run.process.poll() is not None)
    match when:
        case "ready":
            until(lambda: run.logged(watched, " ok") or run.process.poll() is not None)
        case "over":
            until(lambda: run.logged("compute-node-0", " finished") or run.process.poll() is not None)
        case (int(index), str(phase)):
            run.phase(index, phase)
    time.sleep(random.uniform(0, 0.5 if when == "there" else 0.02))
    pid = run.process.pid if victim == "parent" else run.places().get(victim)
    if pid is None or run.process.poll() is not None:
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def judged(run: Run, victim: str, killed: bool, status: int) -> str:
    """Check what the run came to; the kind of its end."""
    if status == 0:
        check(run)
        return how(run) if killed else "it was over"
    assert killed
    if victim == "parent":
        assert status == -signal.SIGKILL
    else:
        assert status == 1
        assert f"the process of {victim}" in run.result["reason"]
        assert "Traceback" not in run.stderr
    checkpoint = (run.directory / "checkpoint.npz").exists() and run.result["status"] != "ok"
    if victim == "parent" or victim == "model-owner":
        return resumed(run, checkpoint)
    return "failed by name"


def resumed(run: Run, checkpoint: bool) -> str:
    """Go on with it, to its end where there is something to go on with."""
    before = run.result
    rest = Run.resume(run.folder)
    try:
        status = rest.end()
        rest.nothing_is_left(files=checkpoint)
        if not checkpoint:
            assert status == 2
            assert len(rest.stderr.splitlines()) == 1
            assert rest.result == before
            return "nothing to resume" if before["status"] == "failed" else "it was over"
        assert (status, rest.result["status"]) == (0, "ok"), rest.stderr
        check(rest)
        return f"resumed in round {min(ROUNDS - 1, len(before['rounds']))} or later"
    finally:
        rest.abandon()


def check(run: Run) -> None:
    """All rounds, each with the mean of its survivors."""
    rounds, found = run.result["rounds"], means(run.directory)
    assert [each["round"] for each in rounds] == list(range(ROUNDS))
    for each in rounds:
        assert (each["status"], each["exact"] is not False) == ("ok", True), each
        assert found[f"round-{each['round']}"] == right_mean(run.folder, each["round"], each["survivors"])


def how(run: Run) -> str:
    """In which way a run that was done had noticed."""
    rounds = run.result["rounds"]
    if any(each["attempts"] > 1 for each in rounds):
        return "a round was tried again"
    if any(len(each["survivors"]) < 6 for each in rounds):
        return "a dropout"
    return "silent for the rest of a round" if any(each["silent_after"] for each in rounds) else "no harm done"
