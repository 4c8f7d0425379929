"""The table "where to put what" is true: each thing is added by naming only the files that it lists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import asyncagg
from asyncagg.protocols import registry
from asyncagg.protocols.plain import PLAIN
from asyncagg.scenario import json_schema

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
TABLE = PAGE[PAGE.index("## Where to put what") : PAGE.index("## Words")]


def rows() -> dict[str, list[str]]:
    """What is wanted → the files that are named for it."""
    found = {}
    for line in TABLE.splitlines():
        wanted, _, where = line.strip("| ").partition(" | ")
        if where and not wanted.startswith(("---", "you want")):
            found[wanted] = re.findall(r"`([\w/]+(?:\.py|/))[^`]*`", where)
    return found


@pytest.mark.parametrize(("wanted", "files"), rows().items())
def test_every_file_that_is_named_is_there(wanted: str, files: list[str]) -> None:
    assert files, wanted
    for file in files:
        places = [
            ROOT / "asyncagg" / file,
            ROOT / file,
            ROOT / "asyncagg" / "protocols" / file,
            ROOT / "asyncagg" / "players" / file,
        ]
        assert any(place.exists() for place in places) or file == "docs/tables.py", file


def users_of(word: str) -> set[str]:
    """Product files that name a word."""
    files = (path for top in ("asyncagg", "net") for path in (ROOT / top).rglob("*.py"))
    rx = re.compile(rf"\b{word}\b")
    return {
        str(path.relative_to(ROOT)).removeprefix("asyncagg/") for path in files if rx.search(path.read_text("utf-8"))
    }


def test_a_protocol_names_its_own_files_and_one_line_of_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """`additive` is known by name nowhere else; and one more comes from outside without any file."""
    quoted = {file for file in users_of("additive") if '"additive"' in (ROOT / "asyncagg" / file).read_text("utf-8")}
    assert quoted == {"protocols/additive.py", "protocols/registry.py"}
    monkeypatch.setattr(registry, "_registered", {})
    asyncagg.register_protocol(
        PLAIN.__class__(**{name: getattr(PLAIN, name) for name in PLAIN.__slots__} | {"name": "toy"})
    )
    assert asyncagg.run({"name": "a", "engine": "sim", "aggregation": {"protocol": "toy"}})["status"] == "ok"


def test_a_link_model_is_named_where_it_is_drawn_and_in_its_table() -> None:
    named = users_of("Lognormal") | users_of("LognormalSection")
    users = {"net/links/presets.py", "studies/swarm/play.py"}  # a preset has one, and the swarm knows its long tail
    assert named - users == {"net/links/latency.py", "scenario/schema/latency.py"}


def test_a_fault_is_named_in_its_table_and_where_it_acts() -> None:
    files = [path for top in ("asyncagg", "net") for path in (ROOT / top).rglob("*.py")]
    named = {path.name for path in files if "class Reset" in (text := path.read_text("utf-8")) or "Reset(" in text}
    assert "faults.py" in named
    assert named <= {"faults.py"}


def test_a_workload_is_named_in_learning_and_in_its_table() -> None:
    assert "synthetic" in str(json_schema())
    named = {file for file in users_of("synthetic") if '"synthetic"' in (ROOT / "asyncagg" / file).read_text("utf-8")}
    assert {"learning/kinds.py", "scenario/schema/workload.py"} <= named
    assert all(file.startswith(("learning/", "scenario/", "cli/demo/", "studies/", "testing/")) for file in named)
