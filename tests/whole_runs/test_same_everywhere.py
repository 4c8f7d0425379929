"""Every shipped scenario comes to the same: under any hash seed, on the oldest and the newest Python, on both engines.

And the size that virtual time is for: ten thousand owners in one process, within bounds of time and memory.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from support.cli import ROOT, SCENARIOS, invoke, start, strict_json

from asyncagg.scenario.reading.load import load
from asyncagg.scenario.schema.faults import AvailabilityFault, DropFault

NAMES = sorted(path.stem for path in SCENARIOS.glob("*.toml"))
RACING = {
    "diurnal": "the trace is of a day, and a gradient costs 100 minutes of virtual time alone",
    "mobile-fleet": "phases close when enough have answered, and stragglers are told by time",
    "partition-of-a-node": "the partition ends at a time",
    "lead-crash": "the lead comes back at a time",
}
"""Scenarios whose course over sockets depends on when things happen, and why."""

NEWEST, OLDEST = "3.13", "3.11"
DIGEST = "import asyncagg, sys; print(asyncagg.run(sys.argv[1], engine='sim')['trace_digest'])"


def test_what_races_time_is_what_the_faults_say() -> None:
    """A fault with a time, or a phase that closes early; everything else is compared."""
    for name in NAMES:
        scenario = load(SCENARIOS / f"{name}.toml")
        timed = [
            fault
            for fault in scenario.faults
            if isinstance(fault, AvailabilityFault)
            or (
                not isinstance(fault, DropFault)
                and (fault.at_ns is not None or getattr(fault, "lasts_ns", None) is not None)
            )
        ]
        early = any(scenario.phases[phase].enough < 1 for phase in type(scenario.phases).model_fields)
        assert bool(timed or early) == (name in RACING), name


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", [name for name in NAMES if name not in RACING])
def test_survivors_and_means_are_those_of_virtual_time_over_sockets(name: str, tmp_path: Path) -> None:
    courses = []
    for engine in ("sim", "tcp"):
        out = tmp_path / engine
        done = invoke("run", SCENARIOS / f"{name}.toml", "--engine", engine, "--json", "--out", out)
        assert done.exit_code == 0, done.stderr
        rounds = strict_json(done.stdout)["rounds"]
        with np.load(out / "means.npz") as stored:
            means = {key: stored[key].tobytes() for key in stored.files}
        courses.append(([(each["status"], each["attempts"], each["survivors"]) for each in rounds], means))
    assert courses[0] == courses[1]


# -- one digest --------------------------------------------------------------------------------------------------------


def digest(python: str | Path, name: str, hash_seed: str) -> str:
    """The trace digest of a run in virtual time, in a process of its own."""
    done = subprocess.run(
        [python, "-c", DIGEST, SCENARIOS / f"{name}.toml"],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="session")
def other_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter of the other end of what is supported, with the same versions of all dependencies."""
    version = OLDEST if sys.version_info >= tuple(map(int, NEWEST.split("."))) else NEWEST
    interpreter = _interpreter(version)
    if interpreter is None:
        pytest.skip(f"there is no Python {version} here, on the path or under pyenv")
    folder = tmp_path_factory.mktemp("other-python")
    subprocess.run([interpreter, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", ROOT / "constraints.txt"]
    installed = subprocess.run([*install, *needed], capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"the dependencies cannot be installed for Python {version}: {installed.stderr.strip()[-300:]}")
    return python


def _interpreter(version: str) -> Path | None:
    """One that really is of that version: what is on the path may be a shim without a Python behind it."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(f"python{version}"), *sorted(pyenv.glob(f"{version}*/bin/python{version}"))]
    for candidate in [Path(each) for each in found if each]:
        said = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False)
        if re.match(rf"Python {re.escape(version)}\.", said.stdout):
            return candidate
    return None


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", NAMES)
def test_one_digest_under_two_hash_seeds_and_on_both_pythons(name: str, other_python: Path) -> None:
    first, second = (digest(sys.executable, name, hash_seed) for hash_seed in ("0", "4711"))
    assert first == second
    assert re.fullmatch("sha256:[0-9a-f]{64}", first)
    assert digest(other_python, name, "99") == first


# -- ten thousand owners -----------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.timeout(600)
def test_ten_thousand_owners_take_little_time_and_memory(tmp_path: Path) -> None:
    settings = {
        "owners.count": 10_000,
        "rounds": 1,
        "workload": '{ kind = "synthetic", dimension = 1000 }',
        "expect": "{ completed = true, survivors_at_least = 10000, exact = true }",
    }
    chosen = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    scenario = SCENARIOS / "additive.toml"
    with start(tmp_path, "run", scenario, "--engine", "sim", "--json", "--out", tmp_path / "run", *chosen) as process:
        output, complaints = process.communicate()
    assert process.returncode == 0, complaints
    result = strict_json(output)
    assert result["seconds"]["wall"] < 90
    assert result["peak_rss_bytes"] < 3 << 30
