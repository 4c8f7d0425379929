"""A low limit of open files: raised where the system lets us, else one clear line before anything is begun."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import SMALL, scenario_file, start
from support.runs import run

from asyncagg.engines.runtime.faults import FaultInjector
from asyncagg.engines.runtime.open_files import SPARE, TooFewFiles, allow, of_one_process
from asyncagg.scenario import parse


def limited(soft: int, hard: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("engine", ["tcp", "processes"])
def test_a_limit_that_is_too_low_is_one_line(tmp_path: Path, engine: str) -> None:
    scenario_file(tmp_path, SMALL)
    arguments = ("run", "small.toml", "--engine", engine, "--out", "mine", "--quiet")
    process = start(tmp_path, *arguments, preexec_fn=lambda: limited(25, 25))
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    needed = SPARE + (22 if engine == "tcp" else 18)
    said = f"this run needs {needed} open files, and may have 25 (ulimit -n {needed})"
    assert stderr == f"small: the run failed: {said}\n"


@pytest.mark.parametrize("engine", ["tcp", "processes"])
def test_a_limit_that_may_be_raised_is(tmp_path: Path, engine: str) -> None:
    scenario_file(tmp_path, SMALL)
    process = start(tmp_path, "run", "small.toml", "--engine", engine, preexec_fn=lambda: limited(25, 512))
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout[:9]) == (0, "small: ok"), stderr


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_limit_that_is_high_enough_stays(limits: tuple[int, int]) -> None:
    allow(1)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits
    with pytest.raises(TooFewFiles, match=r"^this run needs \d+ open files, and may have \d+ \(ulimit -n \d+\)$"):
        allow(limits[1] + 1)


@pytest.mark.parametrize("nodes", [1, 3, 10])
def test_a_run_opens_no_more_files_than_it_says(nodes: int) -> None:
    """The count itself, without what is spared: the most that are open while the rounds go on."""
    here = Path("/proc/self/fd")
    before, most = len(list(here.iterdir())), 0

    def count(*_: object) -> None:
        nonlocal most
        most = max(most, len(list(here.iterdir())))

    with pytest.MonkeyPatch.context() as patch:
        began = FaultInjector.phase_began
        patch.setattr(FaultInjector, "phase_began", lambda self, *given: (count(), began(self, *given))[1])
        result = run("secagg", engine="tcp", aggregation_table={"compute_nodes": nodes})
    assert result["status"] == "ok"
    scenario = parse({"name": "x", "aggregation": {"compute_nodes": nodes}})
    assert 0 < most - before <= of_one_process(scenario, 1) + 3  # of the loop itself
