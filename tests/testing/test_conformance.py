"""The conformance suite: the protocols that come along pass it, and broken ones are found by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from asyncagg.protocols import messages as m
from asyncagg.protocols import registry
from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import Effect, Role
from asyncagg.protocols.forecaster import Setting, Work
from asyncagg.protocols.interface import Protocol
from asyncagg.protocols.pairwise import PAIRWISE, PairwiseForecaster
from asyncagg.protocols.registry import BUILT_IN
from asyncagg.protocols.steps.upload import join, upload
from asyncagg.testing.conformance import violations
from asyncagg.vectors.ring import RingVector


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_what_comes_along_conforms(name: str) -> None:
    assert violations(name, orders=3) == []


def broken(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> set[str]:
    """The names of what a changed `pairwise` violates."""
    protocol: Protocol = replace(PAIRWISE, name="broken", **changes)
    monkeypatch.setitem(registry._registered, "broken", protocol)
    return {line.partition(":")[0] for line in violations("broken", orders=1)}


def test_a_vector_without_masks_is_said_in_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    def unmasked(context: Context, vector: RingVector) -> Role[None]:
        """Advertises as it should, and uploads its vector as it is."""
        original = vector.copy()
        role = PAIRWISE.owner(context, vector)
        event: Any = None
        while True:
            try:
                effect: Effect = role.send(event)
            except StopIteration:
                return
            event = yield effect
            vector[:] = original

    assert "clear" in broken(monkeypatch, owner=unmasked)


def test_a_protocol_that_says_vectors_in_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    def clear(context: Context, vector: RingVector) -> Role[None]:
        yield from join(context)
        yield from upload(context, vector, m.ClearSlice)

    from asyncagg.protocols import plain

    found = broken(monkeypatch, owner=clear, lead=plain.lead, node=plain.node, receiver=plain.receiver)
    assert "clear" in found


def test_a_forecast_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cheap(PairwiseForecaster):
        def mask_expansions(self, setting: Setting) -> Work:
            return Work(each_owner=1)

    assert broken(monkeypatch, forecaster=Cheap()) == {"forecast"}


def test_a_mask_that_does_not_cancel_ends_in_no_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(context: Context, vector: RingVector) -> Role[None]:
        vector[-3:] += 1  # counts among them
        return (yield from PAIRWISE.owner(context, vector))

    assert "calm" in broken(monkeypatch, owner=spoilt)


def test_a_mean_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(context: Context, vector: RingVector) -> Role[None]:
        vector[0] += 1
        return (yield from PAIRWISE.owner(context, vector))

    assert "mean" in broken(monkeypatch, owner=shifted)


def test_a_round_that_outlasts_its_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    from asyncagg.testing import conformance

    monkeypatch.setattr(conformance, "_DEADLINE_NS", 1)
    assert "time" in broken(monkeypatch)
