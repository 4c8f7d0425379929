"""config.json: the origin's form, ranges, keys; every mistake with the exact line that a user reads."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncagg.scenario import ScenarioError, parse
from asyncagg.scenario.hosts_config import HostEntry, HostsConfig, load_config
from asyncagg.scenario.reading.load import load
from asyncagg.scenario.values.players import PlayerRange, without

ORIGINS = {
    "model-owner": "127.0.0.1:4440",
    "train-data-owner-0": "127.0.0.1:4441",
    "train-data-owner-1": "127.0.0.1:4442",
    "train-data-owner-2": "127.0.0.1:4443",
    "server0": "127.0.0.1:4444",
    "server1": "127.0.0.1:4445",
    "server2": "127.0.0.1:4446",
}
"""Seven players as the origin example names them."""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative names of files, so that lines are the same everywhere."""
    monkeypatch.chdir(tmp_path)


def config(entries: object, name: str = "c.json") -> HostsConfig:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(json.dumps(entries, indent=1))
    return load_config(name)


def refused(text: str) -> list[str]:
    """What a user reads about a file with this text; it must have mistakes."""
    Path("c.json").write_text(text)
    with pytest.raises(ScenarioError) as caught:
        load_config("c.json")
    return list(caught.value.lines)


def scenario(owners: int = 3, compute_nodes: int = 3):
    return parse(
        {
            "name": "small",
            "owners": {"count": owners},
            "aggregation": {"compute_nodes": compute_nodes, "protocol": "plain"},
            "workload": {"kind": "synthetic", "dimension": 20},
        }
    )


def test_the_origins_file_is_read_as_it_is():
    read = config(ORIGINS)
    read.check(scenario())
    assert read.keys is None
    assert [entry.name for entry in read.entries] == [
        "model-owner", "data-owner-0", "data-owner-1", "data-owner-2",
        "compute-node-0", "compute-node-1", "compute-node-2",
    ]  # fmt: skip
    assert read.entry_of("server1") == read.entry_of("compute-node-1") == read.entries[5]
    assert {each.name: (each.host, each.port) for each in read.listeners} == {
        "model-owner": ("127.0.0.1", 4440),
        "compute-node-0": ("127.0.0.1", 4444),
        "compute-node-1": ("127.0.0.1", 4445),
        "compute-node-2": ("127.0.0.1", 4446),
    }


def test_a_range_is_one_process_and_owners_need_no_port():
    read = config({"data-owner-0..49": "[::1]:0", "keys": "my/keys"}, "folder/c.json")
    players = tuple(f"data-owner-{index}" for index in range(50))
    assert read.entries == (HostEntry("data-owner-0..49", players, "::1", 0),)
    assert read.keys == Path("folder/my/keys")
    assert read.entries[0].address == "[::1]:0"
    assert not read.listeners


def test_a_file_of_any_name_is_json():
    Path("hosts").write_text(json.dumps(ORIGINS))
    assert len(load_config(Path("hosts")).entries) == 7


def test_what_is_written_with_keys_is_read_again():
    read = config(ORIGINS | {"data-owner-7..9": "[::1]:0"})
    Path("keys.json").write_text(read.with_keys("."))
    again = load_config("keys.json")
    assert again.entries == read.entries
    assert again.keys == Path()


@pytest.mark.parametrize(
    ("host", "there"),
    [("localhost", True), ("127.0.3.1", True), ("[::1]", True), ("LOCALHOST.", True), ("10.0.0.1", False),
     ("[fe80::1%eth0]", False), ("localhost.example.org", False), ("node_0", False)],
)  # fmt: skip
def test_what_only_this_host_reaches(host, there):
    assert config({"model-owner": f"{host}:1"}).entries[0].on_loopback is there


ONE_KEY = [
    ('"sever2": "h:1"', 'sever2: is no player (did you mean "server0"?)'),
    ('"master": "h:1"', "master: is no player "
     "(model-owner, compute-node-0, server0, data-owner-0, train-data-owner-0, data-owner-0..49)"),
    ('"": "h:1"', '"": is no player '
     "(model-owner, compute-node-0, server0, data-owner-0, train-data-owner-0, data-owner-0..49)"),
    ('"data-owner-01": "h:1"', "data-owner-01: has an index with leading zeros, 01 (without)"),
    ('"data-owner-1000000": "h:1"', "data-owner-1000000: has the index 1000000 (0 to 999999)"),
    ('"server1000": "h:1"', "server1000: has the index 1000 (0 to 999)"),
    ('"data-owner-9..3": "h:1"', "data-owner-9..3: is a range that ends before it starts (data-owner-3..9)"),
    ('"server0..2": "h:1"',
     "server0..2: is a range of compute nodes (one by one: each listens at an address of its own)"),
    ('"server0": 4440', 'server0: is 4440 ("host:port")'),
    ('"server0": null', 'server0: is null ("host:port")'),
    ('"server0": {"host": "h"}', 'server0: is a table ("host:port")'),
    ('"server0": "10.0.0.1"', 'server0: is "10.0.0.1", which has no port ("host:port")'),
    ('"server0": "h:"', 'server0: is "h:", which has no port (a number from 1 to 65535)'),
    ('"server0": ":4440"', 'server0: is ":4440", which has no host ("host:port")'),
    ('"server0": "h:http"', 'server0: is "h:http", whose port is "http" (a number from 1 to 65535)'),
    ('"server0": "h:-1"', 'server0: is "h:-1", whose port is "-1" (a number from 1 to 65535)'),
    ('"server0": "h:0"', 'server0: is "h:0": there is no port 0 (a number from 1 to 65535)'),
    ('"server0": "h:65536"', 'server0: is "h:65536": there is no port 65536 (a number from 1 to 65535)'),
    ('"data-owner-0": "h:65536"', 'data-owner-0: is "h:65536": there is no port 65536 (a number from 0 to 65535)'),
    ('"server0": "http://h:1"',
     'server0: is "http://h:1", whose host is "http://h" (a name or an address: "10.0.0.1:4440")'),
    ('"server0": "300.0.0.1:1"',
     'server0: is "300.0.0.1:1", whose host is "300.0.0.1" (a name or an address: "10.0.0.1:4440")'),
    ('"server0": "::1:4440"',
     'server0: is "::1:4440": an IPv6 address stands in brackets ("[::1]:4440")'),
    ('"server0": "[h]:4440"',
     'server0: is "[h]:4440": there is no IPv6 address in the brackets ("[::1]:4440")'),
    ('"server0": "0.0.0.0:4440"',
     'server0: is "0.0.0.0:4440", where nobody can be reached (the address that others dial)'),
    ('"server0": "[::]:4440"',
     'server0: is "[::]:4440", where nobody can be reached (the address that others dial)'),
    ('"keys": ""', 'keys: is "" (the folder that `asyncagg keys` made)'),
    ('"keys": 3', "keys: is 3 (the folder that `asyncagg keys` made)"),
    ('"keys": "k", "keys": "l"', "keys: is given twice (once)"),
    ('"server0": "h:1", "server0": "h:2"', "server0: line 2 has it already (each player once)"),
    ('"server0": "h:1", "compute-node-0": "h:2"', "compute-node-0: line 2 has it already (each player once)"),
    ('"compute-node-0": "h:1", "server0": "h:2"', "server0: line 2 has compute-node-0 already (each player once)"),
    ('"data-owner-4": "h:1", "data-owner-0..9": "h:2"',
     "data-owner-0..9: line 2 has data-owner-4 already (each player once)"),
    ('"data-owner-0..9": "h:1", "train-data-owner-5..12": "h:2"',
     "train-data-owner-5..12: line 2 has data-owner-5..9 already (each player once)"),
    ('"model-owner": "h:1", "server1": "H.:1"', "server1: has the address of model-owner (one of its own)"),
    ('"server0": "127.0.0.1:1", "server1": "127.0.0.1:1"',
     "server1: has the address of compute-node-0 (one of its own)"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "line"), ONE_KEY)
def test_a_mistake_has_its_line(key, line):
    assert refused(f"{{\n{key}\n}}") == [f"c.json:2: {line}"]


def test_every_mistake_at_once_in_the_files_order():
    lines = refused('{\n"server0": 3,\n"server0": "h:1",\n\n"keys": [], "cook": "h",\n"data-owner-3": "h:99999"}')
    assert [line.split(": ")[0] for line in lines] == ["c.json:2", "c.json:3", *["c.json:5"] * 3, "c.json:6"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 'c.json:1: is not JSON: Expecting value (an object from player to "host:port")'),
        ('{\n"server0" "h:1"}',
         'c.json:2: is not JSON: Expecting \':\' delimiter (an object from player to "host:port")'),
        ("[]", 'c.json:1: holds a list (an object from player to "host:port")'),
        ("{}", 'c.json:1: names no player (an object from player to "host:port")'),
        ('{"keys": "."}', 'c.json:1: names no player (an object from player to "host:port")'),
        ("[" * 100_000, "c.json: is nested too deeply (tables and lists within a few others)"),
    ],
)  # fmt: skip
def test_what_is_no_config_is_refused(text, line):
    assert refused(text) == [line]


def test_a_file_that_is_not_there_is_refused():
    with pytest.raises(ScenarioError) as caught:
        load_config("none.json")
    assert caught.value.lines == ("none.json: there is no such file (the path of a config.json)",)


def test_players_that_only_one_of_scenario_and_config_has_are_named():
    read = config({"model-owner": "h:1", "server0": "h:2", "server4": "h:3", "data-owner-2..5": "h:0"})
    with pytest.raises(ScenarioError) as caught:
        read.check(scenario(owners=5))
    assert list(caught.value.lines) == [
        "c.json:4: server4: is not in the scenario (compute-node-0..2)",
        "c.json:5: data-owner-2..5: has data-owner-5, which is not in the scenario (data-owner-0..4)",
        'c.json: compute-node-1..2: is missing, but in the scenario ("host:port")',
        'c.json: data-owner-0..1: is missing, but in the scenario ("host:port")',
    ]


def test_a_shipped_scenario_and_the_origins_file_go_together():
    config(ORIGINS).check(load(Path(__file__).parents[2] / "scenarios" / "digits.toml"))


def test_several_owners_on_one_host_can_be_one_process():
    entry = config(ORIGINS).entry_of("train-data-owner-0..2")
    assert entry == HostEntry("data-owner-0..2", ("data-owner-0", "data-owner-1", "data-owner-2"), "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("cook", '"cook": is no player (model-owner, compute-node-0, server0, data-owner-0, train-data-owner-0, '
         "data-owner-0..49)"),
        ("server3", "c.json: has no compute-node-3 (model-owner, data-owner-0..4, data-owner-7)"),
        ("data-owner-3..9", "c.json: has no data-owner-5..6 and no data-owner-8..9 "
         "(model-owner, data-owner-0..4, data-owner-7)"),
        ("data-owner-2", 'c.json:3: data-owner-0..4: is one process, "data-owner-2" only a part of it (the whole)'),
    ],
)  # fmt: skip
def test_a_process_that_the_config_does_not_have_is_refused(spec, line):
    read = config({"model-owner": "h:1", "data-owner-0..4": "h:0", "data-owner-7": "i:0"})
    with pytest.raises(ScenarioError) as caught:
        read.entry_of(spec)
    assert caught.value.lines == (line,)


def test_one_process_is_on_one_host():
    read = config({"train-data-owner-0": "h:0", "data-owner-1": "i:0"})
    with pytest.raises(ScenarioError) as caught:
        read.entry_of("data-owner-0..1")
    assert caught.value.lines == (
        'c.json:3: data-owner-1: is not on the host of data-owner-0 ("data-owner-0..1" as one process is on one host)',
    )


def test_a_name_under_which_somebody_listens_has_to_resolve(monkeypatch: pytest.MonkeyPatch):
    asked = []

    def resolve(host: str, *_: object, **__: object) -> list[object]:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    read = config({"model-owner": "h:1", "server0": "nowhere.example:2", "data-owner-0": "h:0"})
    assert asked == []
    with pytest.raises(ScenarioError) as caught:
        read.check_resolves(read.entry_of("compute-node-0"))
    right = "(a name that resolves, or an address)"
    assert caught.value.lines == (
        f'c.json:3: server0: the host "nowhere.example" is not found: Name or service not known {right}',
    )
    assert asked == ["nowhere.example"]


def test_an_address_needs_no_resolver():
    read = config(ORIGINS | {"data-owner-9": "[::1]:0"})
    read.check_resolves(read.entry_of("data-owner-9"))


def test_players_of_a_name():
    assert PlayerRange.parse("model-owner").players() == ("model-owner",)
    assert PlayerRange.parse("server2").players() == ("compute-node-2",)
    assert PlayerRange.parse("train-data-owner-8..10").players() == ("data-owner-8", "data-owner-9", "data-owner-10")
    assert PlayerRange.parse("data-owner-3..3").players() == ("data-owner-3",)
    with pytest.raises(ValueError, match="ends before it starts"):
        PlayerRange.parse("data-owner-3..2")


SPANS = st.builds(
    lambda role, first, more: PlayerRange(role, first, first + more),
    st.sampled_from(["data-owner", "compute-node"]),
    st.integers(0, 12),
    st.integers(0, 6),
)


@settings(max_examples=100)
@given(SPANS, st.lists(SPANS, max_size=5))
def test_what_is_left_of_a_range(span: PlayerRange, others: list[PlayerRange]):
    taken = {player for other in others for player in other.players()}
    left = [player for part in without(span, others) for player in part.players()]
    assert left == [player for player in span.players() if player not in taken]


@settings(max_examples=50)
@given(SPANS)
def test_a_range_is_read_as_it_is_written(span: PlayerRange):
    if span.role == "data-owner" or span.first == span.last:
        assert PlayerRange.parse(span.name) == span
