"""What an attempt rests on: players who do not agree on all of it have another round id."""

from __future__ import annotations

from typing import Any

import pytest
from support.runs import scenario

from asyncagg.crypto.randomness import InsecureSeededRandomness
from asyncagg.engines.experiment import prepare
from asyncagg.protocols import context as module
from asyncagg.protocols.context import Context
from asyncagg.protocols.messages import to_bitmap
from asyncagg.protocols.names import Label, owner_name
from asyncagg.scenario import parse


def most_attempts(protocol: str = "secagg+", owners: int = 60, **aggregation: Any) -> int | None:
    known = {"batch": 1, "corrupt": 0.05, "dropout": 0.1, "threat": "lying", "minimum_cohort": 3, "retries": 3}
    values = scenario(protocol, owners, rounds=7, aggregation=known | aggregation)
    return prepare(parse(values)).terms(bytes(16)).most_attempts


def test_where_graphs_are_drawn_against_a_lying_lead_owners_take_part_in_so_many_attempts() -> None:
    assert most_attempts() == 7 * 4
    assert most_attempts(retries=0) == 7
    assert most_attempts(threat="curious") is None
    assert most_attempts("secagg") is None
    assert most_attempts(owners=20) is None  # the complete graph


def attempt() -> Context:
    experiment = prepare(parse(scenario("secagg+", 8)))
    randomness = InsecureSeededRandomness(0, "test")
    return Context(
        experiment.terms(bytes(16)), owner_name(0), Label(0, 1), to_bitmap(range(8), 8), bytes(32), randomness
    )


def test_the_format_is_bound_into_the_round_id(monkeypatch: pytest.MonkeyPatch) -> None:
    here = attempt().round_id
    assert attempt().round_id == here
    monkeypatch.setattr(module, "FORMAT", module.FORMAT + 1)
    assert attempt().round_id != here
