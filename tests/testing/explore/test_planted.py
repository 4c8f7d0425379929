"""Bugs that are planted, a missing check each: the explorer finds every one, and says what it broke."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.explored import small
from support.planted import torn_held

from asyncagg.crypto import checksum
from asyncagg.players.arrivals.mailbox import Mailbox
from asyncagg.protocols import messages as m
from asyncagg.protocols.effects import Role
from asyncagg.protocols.names import Phase, Player
from asyncagg.protocols.secagg import certificate, owner
from asyncagg.protocols.steps import reveal
from asyncagg.protocols.steps.lead import Lead, _Uploads
from asyncagg.scenario.schema.scenario import Scenario
from asyncagg.testing.explore import explore, replay
from asyncagg.testing.explore.chart import chart

Planted = Callable[[pytest.MonkeyPatch], None]


def nothing(*_: Any) -> None:
    """Stands for a check that is missing."""


def no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mailbox takes whatever comes, however often."""

    def put(mailbox: Mailbox, peer: Player, message: m.Message) -> None:
        mailbox._inbox.setdefault(type(message), deque()).append((next(mailbox._arrivals), peer, message))

    monkeypatch.setattr(Mailbox, "put", put)


def no_checksum(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compute node takes a slice whose bytes were changed."""
    monkeypatch.setattr(checksum, "matches", lambda *_: True)


def no_counts_in_the_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model owner does not compare the count in the sum with the survivors."""
    monkeypatch.setattr(reveal, "_what_is_wrong", nothing)


def no_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lead enters `share` without a deadline."""
    enter = Lead.enter

    def entered(lead: Lead, phase: Phase) -> Role[None]:
        if phase == "share":
            lead.phase = phase
        else:
            yield from enter(lead, phase)

    monkeypatch.setattr(Lead, "enter", entered)


def torn_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lead counts an owner as soon as one compute node holds its slice."""
    monkeypatch.setattr(_Uploads, "held", torn_held)


def no_certificate_at_owners(monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner answers whatever the signatures are worth, and so does a node."""
    monkeypatch.setattr(certificate, "check", nothing)


def no_sharers_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner masks with however few."""
    monkeypatch.setattr(owner, "check_sharers", nothing)


def one_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    """One signature makes a certificate."""
    monkeypatch.setattr(certificate, "quorum", lambda *_: 1)


def no_mates(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lead leaves out an owner and keeps the others of its batch."""
    monkeypatch.setattr(Lead, "mates", lambda lead, owner: [])


CURIOUS, LYING = small("secagg"), small("secagg", "lying")
THREE = small("secagg", owners=3)
PLANTED: list[tuple[Planted, Scenario, str]] = [
    (no_count, THREE, "bounded mailbox: lead keeps 2 of advertise"),
    (no_checksum, CURIOUS, "right sum: "),
    (no_counts_in_the_sum, LYING, "right sum: "),
    (no_deadline, CURIOUS, "deadlines: in advertise the lead waits for "),
    (torn_upload, small("secagg", owners=3, nodes=2), "ends: there is no sum "),
    (no_certificate_at_owners, LYING, "one set: data-owner-0 released "),
    (no_sharers_check, LYING, "whole batches: data-owner-0 uploaded under masks with "),
    (one_signature, LYING, "one set: data-owner-0 released "),
    (no_mates, small("pairwise", "lying", batch=2, corrupt=0, dropout=0.5), "ends: there is no sum "),
]


@pytest.mark.parametrize(("plant", "scenario", "what"), PLANTED, ids=[each[0].__name__ for each in PLANTED])
def test_a_missing_check_is_found(
    plant: Planted, scenario: Scenario, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    violation = explore(scenario).violation
    assert violation is not None
    assert violation.what.startswith(what)


def test_a_violation_is_found_again_from_its_file_and_gone_with_the_bug(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    no_checksum(monkeypatch)
    found = explore(CURIOUS)
    assert found.violation is not None
    replay.write(tmp_path / "violation.json", CURIOUS, found.faults, found.violation)
    recorded = replay.read(tmp_path / "violation.json")
    assert recorded.violation == found.violation
    assert replay.replay(recorded) == found.violation.what
    lines = list(chart(found.violation.choices))
    assert any("masked-slice" in line for line in lines)
    monkeypatch.undo()
    with pytest.raises(replay.ReplayError, match="cannot happen any more"):
        replay.replay(recorded)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": 1}'])
def test_a_file_that_is_no_violation_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(replay.ReplayError, match=str(path)):
        replay.read(path)
