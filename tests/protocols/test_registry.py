"""Protocols by name: what is found, what is refused and in which words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import asyncagg
from asyncagg.protocols import registry
from asyncagg.protocols.names import PHASES
from asyncagg.protocols.plain import PLAIN
from asyncagg.protocols.registry import BUILT_IN, ProtocolError, find, names, register_protocol
from asyncagg.scenario import ScenarioError, parse
from asyncagg.scenario.schema.phases import Phases


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})


def mine(**changes: Any) -> Any:
    return replace(PLAIN, **{"name": "mine", **changes})


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_what_comes_along_is_found_and_whole(name: str) -> None:
    assert find(name).name == name
    registry.check(find(name))


def test_a_registered_protocol_runs_like_any_other() -> None:
    protocol = register_protocol(mine())
    assert register_protocol(protocol) is protocol
    assert find("mine") is protocol
    assert names()[-1] == "mine"
    result = asyncagg.run({"name": "a", "engine": "sim", "aggregation": {"protocol": "mine"}})
    assert (result["status"], result["protocol"]) == ("ok", "mine")


@pytest.mark.parametrize("engine", ["processes", "hosts"])
def test_other_processes_could_not_find_it(engine: str) -> None:
    register_protocol(mine())
    scenario = {"name": "a", "engine": engine, "aggregation": {"protocol": "mine"}}
    with pytest.raises(ScenarioError, match=r"engine|registered in this process alone") as refused:
        asyncagg.run(scenario)
    if engine == "processes":
        assert "an entry point asyncagg.protocols of an installed package" in str(refused.value)


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        (mine(forecaster=None), "the protocol mine has no forecast"),
        (mine(phases=("publish", "reveal")), "the phases of mine are publish, reveal"),
        (mine(phases=("upload", "publish", "reveal")), "in this order"),
        (mine(name="My own"), "is no name"),
        (mine(kinds=(dict,)), "<class 'dict'>, a kind of mine, is no message"),
        (mine(name="plain"), "there is a protocol 'plain' already"),
        ("mine", "is no asyncagg.protocols.public.Protocol"),
    ],
)
def test_what_is_no_protocol_is_refused_in_words(protocol: Any, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        register_protocol(protocol)


def test_another_one_of_the_same_name() -> None:
    register_protocol(mine())
    with pytest.raises(ProtocolError, match="there is a protocol 'mine' already"):
        register_protocol(mine(least_nodes=2))


def test_a_name_that_nobody_has() -> None:
    with pytest.raises(ProtocolError, match=r"there is no protocol 'secag' \(plain, pairwise, additive"):
        find("secag")
    with pytest.raises(ScenarioError, match=r'aggregation.protocol: is "secag" \(did you mean "secagg"\?\)'):
        parse({"name": "a", "aggregation": {"protocol": "secag"}})


def test_an_installed_one_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    point = EntryPoint("lost", "no.such.module:IT", registry.GROUP)
    monkeypatch.setattr(registry, "_installed", lambda: (point,))
    with pytest.raises(ScenarioError, match=r"aggregation.protocol: the protocol lost .* cannot be imported"):
        parse({"name": "a", "aggregation": {"protocol": "lost"}})


def test_the_file_has_a_table_for_every_phase() -> None:
    assert Phases.key_names() == PHASES
