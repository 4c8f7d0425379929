"""Turns the values of a document into a Scenario, or says everything that is wrong with them."""

import os
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from asyncagg.scenario.checks import check
from asyncagg.scenario.errors import KeyPath, Mistake, ScenarioError
from asyncagg.scenario.reading.beside import beside
from asyncagg.scenario.reading.layers import Document
from asyncagg.scenario.reading.words import mistakes
from asyncagg.scenario.schema import faults, latency, workload
from asyncagg.scenario.schema.fields import Table
from asyncagg.scenario.schema.scenario import Scenario, json_schema

_PATHS: tuple[KeyPath, ...] = (("workload", "file"), ("workload", "path"))


def validate(document: Document, refusals: list[str]) -> Scenario:
    """The scenario. Raises ScenarioError with every mistake in the order of the files, then `refusals`."""
    _settle(document)
    found: list[Mistake] = []
    try:
        scenario = Scenario.model_validate(document.values, context=document.sources)
    except ValidationError as error:
        found = list(mistakes(error, json_schema()))
        found += beside(document.values, found)
    else:
        found = list(check(scenario))
    if found or refusals:
        raise ScenarioError(_lines(document, found) + refusals)
    return scenario


def _lines(document: Document, found: list[Mistake]) -> list[str]:
    sources = document.sources
    places = [(sources.blamed(mistake), sources.line(mistake)) for mistake in found]
    places.sort(key=lambda place: (place[0].layer, place[0].line or 0))
    return [line for _, line in places]


def _settle(document: Document) -> None:
    """Does what the schema cannot: what lower layers left behind goes, relative paths become absolute."""
    values = document.values
    table = values.get("workload")
    if isinstance(table, dict):
        _settle_workload(document, table)
    if isinstance(values.get("faults"), list):
        for index, fault in enumerate(values["faults"]):
            if isinstance(fault, dict) and isinstance(fault.get("players"), dict):
                _keep_last_choice(document, ("faults", index, "players"), fault["players"])
            document.anchor(("faults", index, "file"))
    tables = values.get("links")
    names = tables if isinstance(tables, dict) else {}
    for path in [("network",), *(("links", name) for name in names)]:
        _settle_link(document, path)
    compute = values.get("compute")
    if isinstance(compute, dict):
        _drop_older(document, ("compute",), compute, "device")
    for path in _PATHS:
        document.anchor(path)
    encoding = values.setdefault("encoding", {}) if values.get("engine") == "hosts" else None
    if isinstance(encoding, dict):  # where a run is no experiment, nobody else knows the rounding
        encoding.setdefault("rounding_draws", "system")


def _settle_workload(document: Document, table: dict[str, Any]) -> None:
    """An override of `kind` leaves the keys of the former kind without a meaning."""
    kind = table.get("kind", workload.DEFAULT_KIND)
    _drop_former(document, ("workload",), table, "kind", kind, workload.KINDS)
    if kind == "python" and "path" not in table:
        table["path"] = os.path.abspath(document.sources.folder)


def _settle_link(document: Document, path: KeyPath) -> None:
    """A preset replaces what lower layers say of the link, a latency model the keys of the former model."""
    link: Any = document.values
    for step in path:
        link = link.get(step) if isinstance(link, dict) else None
    if not isinstance(link, dict):
        return
    _drop_older(document, path, link, "preset")
    table = link.get("latency")
    if isinstance(table, dict):
        _drop_former(document, (*path, "latency"), table, "model", table.get("model"), latency.MODELS)
        document.anchor((*path, "latency", "file"))


def _drop_older(document: Document, path: KeyPath, table: dict[str, Any], leader: str) -> None:
    """Drops keys said below the layer that says the `leader`, which stands for all of them."""
    layer = document.layer((*path, leader))
    for key in [key for key in table if document.layer((*path, key)) < layer]:
        document.drop((*path, key))


def _drop_former(
    document: Document, path: KeyPath, table: dict[str, Any], tag: str, kind: object, kinds: Mapping[str, type[Table]]
) -> None:
    """Drops keys that only other kinds have and that were said below the layer that says the kind."""
    if not isinstance(kind, str) or kind not in kinds:
        return
    foreign = {key for other in kinds.values() for key in other.key_names()} - set(kinds[kind].key_names())
    layer = document.layer((*path, tag))
    for key in [key for key in table if key in foreign and document.layer((*path, key)) < layer]:
        document.drop((*path, key))


def _keep_last_choice(document: Document, path: KeyPath, players: dict[str, Any]) -> None:
    """Of count, fraction and probability the one said last."""
    layers = {key: document.layer((*path, key)) for key in players if key in faults.CHOICES}
    for key in [key for key, layer in layers.items() if layer < max(layers.values())]:
        document.drop((*path, key))
