"""The example protocol, installed beside asyncagg as a package of its own: commands and engines take it unchanged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.explained import add_up, told

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "ring_protocol"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the package is found: its module, and the metadata that an installer writes for it."""
    site = tmp_path_factory.mktemp("site")
    shutil.copy(EXAMPLE / "asyncagg_ring.py", site)
    about = site / "asyncagg_ring-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: asyncagg-ring\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[asyncagg.protocols]\nring = asyncagg_ring:RING\n")
    return os.environ | {"PYTHONPATH": os.pathsep.join((str(site), str(ROOT)))}


def asyncagg(
    environment: dict[str, str], *arguments: str, cwd: Path | None = None, module: str = "asyncagg"
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110, cwd=cwd)


def test_the_entry_point_is_the_one_of_the_package() -> None:
    assert 'ring = "asyncagg_ring:RING"' in (EXAMPLE / "pyproject.toml").read_text()
    assert len((EXAMPLE / "asyncagg_ring.py").read_text().splitlines()) < 100


@pytest.mark.parametrize("engine", ["sim", "tcp", "processes"])
def test_it_runs_and_is_verified(engine: str, installed: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    ran = asyncagg(installed, "run", str(EXAMPLE / "ring.toml"), "--engine", engine, "--out", str(out), "--quiet")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    rounds = json.loads((out / "result.json").read_text())["rounds"]
    assert [each["attempts"] for each in rounds] == [1, 2, 1, 1, 1]
    assert all(each["exact"] for each in rounds)
    verified = asyncagg(installed, "verify", str(out))
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_check_and_plan_have_its_own_sentences_and_forecast(installed: dict[str, str]) -> None:
    checked = asyncagg(installed, "check", str(EXAMPLE / "ring.toml"))
    assert checked.returncode == 0, checked.stderr
    assert "and its two neighbours on the ring." in checked.stdout
    assert "is not held off by ring." in checked.stdout
    assert "mask expansions: 2 by each owner" in checked.stdout
    planned = json.loads(asyncagg(installed, "plan", "--owners", "10", "--protocol", "ring", "--json").stdout)
    assert planned["key_agreements"]["each_owner"] == 2
    assert planned["neighbours"] is None


def test_it_is_refused_where_it_does_not_hold(installed: dict[str, str]) -> None:
    ran = asyncagg(installed, "check", str(EXAMPLE / "ring.toml"), "--set", "aggregation.threat=lying")
    assert ran.returncode == 2
    assert 'aggregation.threat: is "lying", which ring does not withstand ("curious")' in ran.stderr


def test_without_the_package_it_is_no_protocol() -> None:
    ran = asyncagg(dict(os.environ), "check", str(EXAMPLE / "ring.toml"))
    assert ran.returncode == 2
    assert 'aggregation.protocol: is "ring" (' in ran.stderr


def in_python(environment: dict[str, str], text: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", text], env=environment, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_round_is_explained_by_its_own_code(installed: dict[str, str]) -> None:
    done = asyncagg(installed, "explain", "ring")
    assert done.returncode == 0, done.stderr
    add_up(done.stdout)
    assert {len(terms) for _, terms, _, _, meaning in told(done.stdout) if meaning.startswith("sent by")} == {3}
    assert (
        "no sum: ring cannot recover data-owner-3" in asyncagg(installed, "explain", "ring", "--drop", "upload").stdout
    )


def test_it_conforms(installed: dict[str, str]) -> None:
    text = "from asyncagg.testing.conformance import violations; print(violations('ring'))"
    assert in_python(installed, text) == "[]\n"


def test_only_what_is_named_is_imported(installed: dict[str, str]) -> None:
    text = """
import sys
from asyncagg.scenario import parse
parse({"name": "a", "aggregation": {"protocol": "plain"}})
print("asyncagg_ring" in sys.modules, "asyncagg.protocols.additive" in sys.modules)
"""
    assert in_python(installed, text) == "False False\n"


def test_swarm_draws_it(installed: dict[str, str]) -> None:
    text = """
from asyncagg.studies.swarm.draw import scenario_of
from asyncagg.studies.swarm.play import examine
for seed in range(12):
    values = scenario_of(seed, "ring")
    assert values["aggregation"]["protocol"] == "ring"
    assert not examine(values), (seed, examine(values))
"""
    assert in_python(installed, text) == ""


@pytest.mark.long
def test_two_hundred_seeds_of_the_swarm(installed: dict[str, str], tmp_path: Path) -> None:
    arguments = "swarm", "--protocol", "ring", "--seeds", "0..199", "--out", str(tmp_path)
    played = asyncagg(installed, *arguments, module="asyncagg.testing")
    assert played.returncode == 0, played.stdout + played.stderr
