"""Sums of parts of batches: a lead, or a model owner, that chooses who is in which sum is refused by everybody."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.attack_driver import owners, play, scenario

import asyncagg
from asyncagg.engines.experiment import Experiment, prepare
from asyncagg.protocols import messages as m
from asyncagg.protocols.batches import Batches, indices_in, set_of
from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import Abort, Effect, Send
from asyncagg.protocols.names import LEAD, Label, Player, index_of, owner_name
from asyncagg.protocols.steps.lead import Lead
from asyncagg.protocols.steps.reveal import check_sum
from asyncagg.protocols.steps.upload import SliceHolder
from asyncagg.scenario import parse

OWNERS, SIZE = 12, 3
TORN = r"is in the set and its batch mate data-owner-\d+ is not \(only whole batches are added up\)"


def batched(
    protocol: str, threat: str = "lying", drops: Any = None, count: int = OWNERS, **keys: Any
) -> dict[str, Any]:
    known = {"batch": SIZE, "corrupt": 0.05, "dropout": 0.3, "threat": threat, **keys}
    return scenario(count, protocol, drops, **known)


def cut_of(values: dict[str, Any]) -> Batches:
    return prepare(parse(values)).batches


@pytest.fixture
def lead_that_tears(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lead that leaves out single owners and keeps their mates."""
    monkeypatch.setattr(Lead, "mates", lambda lead, owner: [])


# -- owners ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["pairwise", "secagg", "secagg+"])
def test_owners_refuse_a_roster_that_tears_a_batch(protocol: str, lead_that_tears: None) -> None:
    played = play(batched(protocol, drops={"advertise": [2, 7]}))
    assert played.round.status == "failed"
    assert not played.of(m.MaskedSlice)
    stayed = [owner for owner in owners(*range(OWNERS)) if owner not in owners(2, 7)]
    for owner in stayed:
        assert "the roster: " in played.troubles[owner]
        assert "only whole batches are added up" in played.troubles[owner]


@pytest.mark.parametrize("protocol", ["secagg", "secagg+"])
def test_owners_refuse_sharers_that_tear_a_batch(protocol: str, lead_that_tears: None) -> None:
    played = play(batched(protocol, drops={"share": [2]}))
    assert played.round.status == "failed"
    assert not played.of(m.MaskedSlice)
    assert "the owners that shared: " in played.troubles[owner_name(0)]


@pytest.mark.parametrize("protocol", ["secagg", "secagg+"])
@pytest.mark.parametrize("threat", ["curious", "lying"])
def test_owners_refuse_survivors_that_tear_a_batch(protocol: str, threat: str) -> None:
    """Everybody uploaded; the lead names one owner less to those who would answer."""

    def one_less(context: Context, effect: Effect) -> Iterable[Effect]:
        match effect:
            case Send(to, m.CertifyRequest(members) | m.UnmaskRequest(members) as request):
                kept = int.from_bytes(members, "little") & ~(1 << 4)
                yield Send(to, replace(request, members=kept.to_bytes(len(members), "little")))
            case _:
                yield effect

    played = play(batched(protocol, threat), {"lead": one_less})
    assert played.round.status == "failed"
    assert not played.of(m.UnmaskShares)
    for owner in owners(*(index for index in range(OWNERS) if index != 4)):
        assert "the survivors: " in played.troubles[owner]


@pytest.mark.parametrize("threat", ["curious", "lying"])
def test_each_owner_looks_at_the_whole_set_and_not_at_its_own_batch(threat: str, lead_that_tears: None) -> None:
    """Of the mates alone too few would refuse: those of other batches would open the sum."""
    values = batched("secagg", threat, drops={"share": [2]})
    played = play(values)
    mates = indices_in(cut_of(values).mates(2))
    others = [index for index in range(OWNERS) if index != 2 and index not in mates]
    assert len(others) >= 7
    assert all("the owners that shared: " in played.troubles[owner_name(index)] for index in others)


# -- compute nodes and the model owner -------------------------------------------------------------------------------


def context_of(values: dict[str, Any], me: Player) -> Context:
    experiment = prepare(parse(values))
    everyone = (1 << OWNERS) - 1
    return Context(
        terms=replace(experiment.terms(bytes(16)), identities={}),
        me=me,
        label=Label(0, 1),
        invited=everyone.to_bytes(2, "little"),
        digest=bytes(32),
        randomness=None,  # type: ignore[arg-type]
    )


def test_a_node_gives_no_sum_of_a_torn_batch_even_where_it_added_it() -> None:
    context = context_of(batched("additive"), LEAD)
    holder = SliceHolder(context, m.MaskedSlice)
    torn = [index for index in range(OWNERS) if index != 5]
    holder.added = dict.fromkeys(owner_name(index) for index in torn)
    role = holder._survivors(set_of(torn).to_bytes(2, "little"))
    effect = next(role)
    assert isinstance(effect, Abort)
    assert "only whole batches are added up" in effect.reason


def test_the_model_owner_takes_no_report_of_a_torn_batch() -> None:
    context = context_of(batched("additive"), LEAD)
    torn = [index for index in range(OWNERS) if index != 5]
    terms = context.terms
    words = np.zeros(terms.plan.length, dtype=terms.ring.dtype)
    for _ in torn:
        words += terms.plan.extend(np.zeros(terms.dimension, dtype=terms.ring.dtype), 1, terms.ring)
    role = check_sum(context, m.Report(set_of(torn).to_bytes(2, "little"), (), (), ()), [words])
    effect = next(role)
    assert isinstance(effect, Abort)
    assert "only whole batches are added up" in effect.reason


def test_a_commit_of_a_batch_that_is_not_whole_here_ends_the_attempt() -> None:
    """One mate's upload never came: a lead that commits its batch all the same is found out by the node."""

    def hasty(context: Context, effect: Effect) -> Iterable[Effect]:
        yield effect
        match effect:
            case Send(to, m.Commit(batch)) if batch == first:
                yield Send(to, m.Commit(cut.batch_of(2)))

    values = batched("additive", "curious", drops={"upload": [2]})
    cut = cut_of(values)
    first = next(number for number in range(cut.count) if number != cut.batch_of(2))
    played = play(values, {"lead": hasty})
    assert played.round.status == "failed"
    assert "the lead commits data-owner-" in played.reason


# -- cohorts ---------------------------------------------------------------------------------------------------------


def sampled(**keys: Any) -> dict[str, Any]:
    values = batched("secagg", count=100, corrupt=0.05, dropout=0.1, minimum_cohort=2, **keys)
    return values | {"owners": {"count": 100, "per_round": 40}, "rounds": 3}


@pytest.mark.parametrize("batch", [1, 3])
def test_a_cohort_that_the_model_owner_chose_is_refused_at_publish(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = sampled(batch=batch)
    drawn = Experiment.cohort

    def chosen(experiment: Experiment, round_index: int) -> tuple[Player, ...]:
        right = drawn(experiment, round_index)
        strangers = [owner_name(index) for index in range(100) if owner_name(index) not in right]
        return tuple(sorted((*right[:-batch], *strangers[:batch]), key=index_of))

    monkeypatch.setattr(Experiment, "cohort", chosen)
    played = play(values)
    assert played.round.status == "failed"
    assert not played.of(m.Advertise)
    if batch == 1:  # else the model owner's own player leaves out what is torn, and invites nobody
        assert any("and is not in the cohort of round 0" in trouble for trouble in played.troubles.values())


def test_the_cohort_of_another_round_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Experiment.cohort
    monkeypatch.setattr(Experiment, "cohort", lambda experiment, index: drawn(experiment, (index + 1) % 3))
    played = play(sampled())
    assert played.round.status == "failed"
    assert not played.of(m.Advertise)


def test_cohorts_are_whole_batches_and_the_round_goes_well() -> None:
    values = sampled()
    played = play(values)
    assert [each.status for each in played.result.rounds] == ["ok"] * 3
    cut = cut_of(values)
    sets = [set_of(index_of(Player(name)) for name in each.survivors) for each in played.result.rounds]
    assert all(cut.whole(members) for members in sets)
    assert len(set(sets)) > 1


# -- the cut ---------------------------------------------------------------------------------------------------------


def test_players_of_two_cuts_cannot_talk() -> None:
    context = context_of(batched("secagg"), owner_name(0))
    other = replace(context, terms=replace(context.terms, cut=Batches(OWNERS, SIZE, bytes([1]) * 32)))
    larger = replace(context, terms=replace(context.terms, cut=Batches(OWNERS, SIZE + 1, context.terms.batches.seed)))
    assert len({each.round_id for each in (context, other, larger)}) == 3


# -- many rounds -----------------------------------------------------------------------------------------------------


def rank(sets: Iterable[int]) -> int:
    """Of 0/1 rows, over the rationals."""
    rows = [[members >> index & 1 for index in range(OWNERS)] for members in sets]
    return int(np.linalg.matrix_rank(np.array(rows, dtype=np.float64)))


def many_sums(batch: int, seed: int) -> list[int]:
    """The sets that became known in thirty rounds in which a tenth of the owners vanishes."""
    values = batched("additive", "curious", batch=batch, on_failure="skip", rounds=30, seed=seed)
    values |= {"faults": [{"kind": "drop", "players": {"probability": 0.1}, "phase": "upload"}]}
    values["phases"] = {"upload": {"deadline": "1 s"}}
    rounds = asyncagg.run(values)["rounds"]
    return [set_of(index_of(Player(name)) for name in each["survivors"]) for each in rounds if each["status"] == "ok"]


@pytest.mark.parametrize("seed", [0, 1])
def test_no_number_of_rounds_tells_more_than_the_sums_of_batches(seed: int) -> None:
    alone, together = many_sums(1, seed), many_sums(SIZE, seed)
    assert rank(alone) >= OWNERS - 1  # nearly every input can be solved for
    assert 1 < rank(together) <= OWNERS // SIZE


@pytest.mark.parametrize("protocol", ["pairwise", "additive", "secagg", "secagg+"])
def test_masked_means_are_those_in_clear_with_batches_too(protocol: str) -> None:
    def means(name: str) -> Any:
        values = batched(name, "curious", drops={"upload": [5]}, on_failure="retry", seed=3)
        return asyncagg.run(values)

    masked, clear = means(protocol), means("plain")
    assert masked["rounds"][0]["survivors"] == clear["rounds"][0]["survivors"]
    assert masked["rounds"][0]["with_their_batch"] == clear["rounds"][0]["with_their_batch"] != []
    np.testing.assert_array_equal(masked.means[0], clear.means[0])
