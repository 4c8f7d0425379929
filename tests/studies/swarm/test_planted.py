"""Bugs that are planted: the swarm finds each within 200 seeds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from support.planted import torn_held

from asyncagg.players.driver import RoleDriver
from asyncagg.protocols import messages as m
from asyncagg.protocols.batches import Batches
from asyncagg.protocols.context import owners_in
from asyncagg.protocols.effects import Rejected, Role, Send
from asyncagg.protocols.names import Player
from asyncagg.protocols.secagg import certificate
from asyncagg.protocols.secagg.owner_secrets import OwnerSecrets
from asyncagg.protocols.secagg.session import Session
from asyncagg.protocols.steps.lead import Lead, _Uploads
from asyncagg.protocols.steps.upload import Holder
from asyncagg.studies.swarm.play import examine, scenario_of

SEEDS = range(200)


def first_caught(suits: Callable[[dict[str, Any]], bool] = lambda values: True) -> list[str]:
    """What the first seed broke that broke anything; seeds whose scenario the bug cannot touch are not played."""
    for seed in SEEDS:
        values = scenario_of(seed)
        if suits(values) and (broken := examine(values)):
            return broken
    return []


def test_a_flipped_mask_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Session.pair_mask_key

    def flipped(session: Session, *given: Any) -> tuple[bytes, int]:
        key, sign = right(session, *given)
        return key, -sign if given[1] == "data-owner-1" else sign

    monkeypatch.setattr(Session, "pair_mask_key", flipped)
    assert first_caught()[0].startswith("failure: honest players contradict each other: ")


def test_a_lost_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RoleDriver, "_start_timer", lambda driver, key, limit_ns: None)
    assert first_caught()[0].startswith("deadline: the lead was ")


def test_a_torn_upload_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def commit(holder: Holder[Any], batch: int) -> Role[None]:
        if holder.held.pop(batch, None) is not None:
            yield from holder.add(batch)

    def survivors(holder: Holder[Any], members: bytes) -> Role[tuple[Player, ...]]:
        yield from ()
        return owners_in(members, holder.context.terms.population)

    monkeypatch.setattr(_Uploads, "held", torn_held)
    monkeypatch.setattr(Holder, "_commit", commit)
    monkeypatch.setattr(Holder, "_survivors", survivors)
    broken = first_caught()
    assert broken[0].startswith("failure: honest players contradict each other: ")
    assert "the sum counts" in broken[0]


# -- what the swarm's other invariants are for -----------------------------------------------------------------------


def test_a_secret_in_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def telling(secrets: OwnerSecrets, *given: Any) -> tuple[bytes, bytes]:
        raise Rejected(f"cannot share {secrets.mask.secret().hex()}")

    monkeypatch.setattr(OwnerSecrets, "seal_shares", telling)
    assert any(line.startswith("trace: ") for line in first_caught(_is_lying))


def test_a_run_that_depends_on_more_than_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers, drop = count(), Lead.drop
    monkeypatch.setattr(Lead, "drop", lambda lead, owner, reason: drop(lead, owner, f"{reason} {next(numbers)}"))
    assert first_caught()[0].startswith("again: the trace of a second run is another one, from ")


def test_an_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lead, "announce", lambda lead: 1 // 0)
    assert first_caught()[0].startswith("crash: ")


# -- a lead that shows two sets of survivors, where a certificate has to stop it -------------------------------------


def _show_two_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lead hides the first survivor from half of them, and takes whatever they sign."""
    poll = Lead.poll

    def two_faced(lead: Lead, phase: Any, question: m.Message, kind: Any, accept: Any) -> Role[Any]:
        asked = tuple(lead.survivors)
        if phase not in ("certify", "unmask") or lead.terms.threat != "lying" or len(asked) < 2:
            return (yield from poll(lead, phase, question, kind, accept))
        told = tuple(lead.alive)
        yield from lead.enter(phase)
        hidden = lead.bitmap(dict.fromkeys(asked[1:]))
        for owner in told:
            other = asked.index(owner) >= len(asked) / 2
            yield Send(owner, _with_members(question, hidden) if other else question)
        answers = yield from lead.answers(kind, lambda player, message: None)
        return {owner: answers[owner] for owner in asked if owner in answers}

    monkeypatch.setattr(Lead, "poll", two_faced)


def _with_members(question: m.Message, members: bytes) -> m.Message:
    if isinstance(question, m.UnmaskRequest):
        return m.UnmaskRequest(members, question.signatures)
    return m.CertifyRequest(members)


def _is_lying(values: dict[str, Any]) -> bool:
    aggregation = values["aggregation"]
    return aggregation["threat"] == "lying" and aggregation["protocol"] in ("secagg", "secagg+")


def test_a_missing_certificate_check(monkeypatch: pytest.MonkeyPatch) -> None:
    _show_two_sets(monkeypatch)
    monkeypatch.setattr(Batches, "refusal", lambda cut, members: None)  # which alone would find torn sets
    monkeypatch.setattr(certificate, "check", lambda *given: None)
    assert any(line.startswith("secrets: both of data-owner-") for line in first_caught(_is_lying))


def test_with_the_check_a_lead_that_shows_two_sets_opens_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is the missing check, and nothing else, that the test before finds."""
    _show_two_sets(monkeypatch)
    lying = [values for seed in SEEDS if _is_lying(values := scenario_of(seed))]
    assert len(lying) >= 10
    found = [line for values in lying[:10] for line in examine(values)]
    assert not [line for line in found if line.startswith("secrets: ")]
