"""What an attempt rests on: players who do not agree on all of it have another round id."""

from __future__ import annotations

import pytest
from support.runs import scenario

from asyncagg.crypto.randomness import InsecureSeededRandomness
from asyncagg.engines.experiment import prepare
from asyncagg.protocols import context as module
from asyncagg.protocols.context import Context
from asyncagg.protocols.messages import to_bitmap
from asyncagg.protocols.names import Label, owner_name
from asyncagg.scenario import parse


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
