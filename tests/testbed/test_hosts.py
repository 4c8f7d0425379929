"""Every process of a scenario on its own host: what is started, what is said when one fails. The players are actors."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.testbed import Testbed, hosts
from benchmarks.testbed.hosts import HostsError, one_each, play, round_seconds

ACTOR = """
import json, pathlib, sys
command, *words = sys.argv[1:]
if command == "keys":
    out = pathlib.Path(words[words.index("--out") + 1])
    out.mkdir()
    out.joinpath("config.json").write_text(pathlib.Path(words[words.index("--config") + 1]).read_text())
    sys.exit()
host, config, scenario = words[0], json.load(open(words[words.index("--config") + 1])), json.load(open(words[-1]))
print("I am", host, flush=True)
if scenario["breaks"] == host:
    sys.exit(3)
if scenario["sleeps"] == host:
    import time
    time.sleep(1000)
if host == "model-owner":
    run = pathlib.Path("runs/one")
    run.mkdir(parents=True)
    rounds = [{"seconds": {"total": 1.5}}]
    run.joinpath("result.json").write_text(json.dumps({"status": scenario["ends"], "reason": "why", "rounds": rounds}))
    run.joinpath("config.json").write_text(json.dumps([config, words]))
"""

PLAY = {"breaks": "", "sleeps": "", "ends": "ok"}
NAMES = one_each(data_owners=1, compute_nodes=2)


@pytest.fixture(autouse=True)
def _actors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "_ASYNCAGG", (sys.executable, "-c", ACTOR))


def test_everyone_is_told_where_all_are(tmp_path: Path) -> None:
    with Testbed(NAMES) as bed:
        secure = play(bed, PLAY, tmp_path / "secure")
        insecure = play(bed, PLAY, tmp_path / "insecure", secure=False)
    addresses = {name: f"10.77.0.{number}:4440" for number, name in enumerate(NAMES, 1)}
    assert NAMES == ("model-owner", "compute-node-0", "compute-node-1", "data-owner-0")
    config, words = json.loads((secure / "config.json").read_text())
    assert config == addresses
    assert words[:3] == ["model-owner", "--config", str(tmp_path / "secure/keys/config.json")]
    assert "--insecure" not in words
    config, words = json.loads((insecure / "config.json").read_text())
    assert config == addresses
    assert words[2:4] == [str(tmp_path / "insecure/config.json"), "--insecure"]
    assert (tmp_path / "secure/data-owner-0/log").read_text() == "I am data-owner-0\n"
    assert round_seconds(secure) == [1.5]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"breaks": "compute-node-1"}, "compute-node-1 ended with status 3: I am compute-node-1"),
        ({"breaks": "model-owner"}, "model-owner ended with status 3: I am model-owner"),
        ({"sleeps": "data-owner-0"}, "data-owner-0 takes too long: I am data-owner-0"),
    ],
)
def test_who_fails_is_named(what: dict[str, str], message: str, tmp_path: Path) -> None:
    with Testbed(NAMES) as bed, pytest.raises(HostsError, match=message):
        play(bed, PLAY | what, tmp_path / "play", seconds=1.5)


def test_a_run_that_failed_has_no_times(tmp_path: Path) -> None:
    with Testbed(NAMES) as bed:
        run = play(bed, PLAY | {"ends": "failed"}, tmp_path / "play")
    with pytest.raises(HostsError, match="why"):
        round_seconds(run)
