"""`asyncagg keys`: a folder that a host can use at once, or one line for each mistake and nothing written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.cli import invoke, lines

from asyncagg.crypto.certificates import TlsCertificate
from asyncagg.runs.key_files import load_keys
from asyncagg.scenario.hosts_config import load_config

ENTRIES = {"model-owner": "10.0.0.1:4440", "server0": "10.0.0.1:4441", "train-data-owner-0..2": "10.0.0.2:0"}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.json").write_text(json.dumps(ENTRIES, indent=1))


def made(*options: object) -> str:
    done = invoke("keys", "--config", "config.json", "--out", "my keys", *options)
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout


def test_every_process_can_load_its_keys():
    made()
    config = load_config("my keys/config.json")
    assert config.keys is not None
    assert [entry.name for entry in config.entries] == ["model-owner", "compute-node-0", "data-owner-0..2"]
    for entry in config.entries:
        keys = load_keys(config.keys, entry, datetime.now(UTC))
        assert tuple(keys.identities) == entry.players
        assert len(keys.roster) == 5


def test_it_says_what_goes_where():
    said = made("--days", 10)
    end = datetime.now(UTC) + timedelta(days=10)
    assert said.splitlines()[0].startswith("'my keys': certificates and identities for 5 players, good until ")
    assert end - TlsCertificate.from_pem(Path("my keys/ca.pem").read_bytes()).not_after < timedelta(minutes=2)
    assert said.splitlines()[1:] == [
        "",
        "to every host     ca.pem  roster.json  config.json",
        "to 10.0.0.1       model-owner/  compute-node-0/",
        "to 10.0.0.2       data-owner-0..2/",
        "stays here        ca.key (whoever has it can make certificates for any player)",
        "",
        "on each host, in any order: asyncagg serve PLAYER --config 'my keys/config.json' SCENARIO",
    ]


def test_nothing_is_overwritten():
    made()
    before = {path: path.read_bytes() for path in Path("my keys").rglob("*") if path.is_file()}
    done = invoke("keys", "--config", "config.json", "--out", "my keys")
    assert (done.exit_code, done.stdout) == (2, "")
    assert lines(done) == ["my keys: exists and is not empty (a new folder, nothing is overwritten)"]
    assert before == {path: path.read_bytes() for path in Path("my keys").rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("entries", "line"),
    [
        ({"cook": "h:1"}, "config.json:2: cook: is no player "
         "(model-owner, compute-node-0, server0, data-owner-0, train-data-owner-0, data-owner-0..49)"),
        ({"model-owner": "h:1", "server0": "h:2", "data-owner-0..3000": "h:0"},
         "config.json:4: data-owner-0..3000: has 3001 players (at most 3000 to a certificate)"),
        ({"model-owner": "h:1", "server0": "h:2", "server2": "h:3", "data-owner-0": "h:0"},
         'config.json: compute-node-1: is missing ("host:port")'),
        ({"model-owner": "h:1", "server0": "h:2", "data-owner-0..2": "h:0", "data-owner-5": "h:0"},
         'config.json: data-owner-3..4: is missing ("host:port")'),
        ({"server0": "h:2", "data-owner-0": "h:0"}, 'config.json: model-owner: is missing ("host:port")'),
        ({"model-owner": "h:2", "data-owner-0": "h:0"}, 'config.json: compute-node-0: is missing ("host:port")'),
    ],
)  # fmt: skip
def test_a_config_that_is_wrong_is_a_line_and_nothing_is_written(entries, line):
    Path("config.json").write_text(json.dumps(entries, indent=1))
    done = invoke("keys", "--config", "config.json", "--out", "keys")
    assert (done.exit_code, done.stdout) == (2, "")
    assert lines(done) == [line]
    assert [path.name for path in Path().iterdir()] == ["config.json"]


def test_a_folder_that_cannot_be_made_is_a_line():
    done = invoke("keys", "--config", "config.json", "--out", "config.json/keys")
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = lines(done)
    assert line.startswith("config.json/keys: cannot be written: ")


@pytest.mark.parametrize("options", [(), ("--config", "config.json"), ("--out", "keys"),
                                     ("--config", "config.json", "--out", "keys", "--days", "0")])  # fmt: skip
def test_bad_usage_is_a_line(options):
    done = invoke("keys", *options)
    assert done.exit_code == 2
    assert len(lines(done)) == 1
