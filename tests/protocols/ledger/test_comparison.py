"""Each sum against those before it: as all pairs of all sets say, in bounded time and memory."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.accounts import sets_of

from asyncagg.protocols.batches import Batches, set_of
from asyncagg.protocols.ledger.comparison import Rules, SumComparison
from asyncagg.protocols.ledger.disclosure import bits, set_range
from asyncagg.protocols.ledger.entries import Entry
from asyncagg.protocols.names import Label

A, B = bytes(32), bytes([1]) * 32
CUT = Batches(7, 2, bytes(32))


def entries(owners, sets=None):
    """Attempts that have ended: their survivors are known, or nobody said anything."""
    members = st.integers(1, 2**owners - 1) if sets is None else st.sampled_from(sets)

    def one(drawn):
        return st.builds(
            Entry,
            st.just(Label(0, 0)),
            st.sampled_from([A, B]),
            st.just(drawn),
            st.integers(1, drawn.bit_count()) | st.just(drawn.bit_count()),
            st.just("possible"),
        ) | st.builds(
            Entry,
            st.just(Label(0, 0)),
            st.sampled_from([A, B]),
            st.just(drawn),
            st.just(drawn.bit_count()),
            st.just("known"),
        )

    drawn = st.lists(members.flatmap(one), max_size=9)
    return drawn.map(
        lambda found: [
            Entry(Label(number // 3, number % 3), each.parameters, each.members, each.least, each.state)
            for number, each in enumerate(found)
        ]
    )


def all_pairs(attempts, rules):
    """What every attempt gives away beside every earlier one, over all sets that each may have been."""
    for earlier, later in combinations(attempts, 2):
        one, other = (set_range(each, rules.cut) for each in (earlier, later))
        differences = {(a ^ b).bit_count() for a in sets_of(one) for b in sets_of(other)} - {0}
        if not differences or min(differences) >= rules.fewest:
            continue
        units = one.members ^ other.members if one.exact and other.exact else 0
        possible = "possible" in (earlier.state, later.state)
        found = later.label, min(differences), units, possible
        if earlier.parameters == later.parameters:
            yield "inputs", *found, earlier.label
        if rules.weights:
            yield "weights", *found, earlier.label


def compared(attempts, rules, **more):
    comparison = SumComparison(rules, **more)
    found = [finding for each in attempts for finding in comparison.findings(each)]
    return comparison, found


def is_all_pairs(found, attempts, rules):
    """The same things, each once, beside the first attempt that gives them away."""
    first = {}
    for *what, earlier in all_pairs(attempts, rules):
        first.setdefault(tuple(what), earlier)
        first[tuple(what)] = min(first[tuple(what)], earlier)
    told = [((each.scope, each.label, each.count, each.units, each.possible), each.earlier) for each in found]
    assert len(told) == len(dict(told))
    assert dict(told) == first


@settings(max_examples=120, deadline=None)
@given(entries(6), st.integers(1, 4), st.booleans())
def test_findings_are_those_of_all_pairs(attempts, minimum_cohort, weights):
    rules = Rules(6, minimum_cohort, weights)
    comparison, found = compared(attempts, rules)
    is_all_pairs(found, attempts, rules)
    assert not comparison.left_out


WHOLE = [set_of(bits(CUT.batch(0) * (n & 1) | CUT.batch(1) * (n >> 1 & 1) | CUT.batch(2) * (n >> 2))) for n in range(8)]


@settings(max_examples=60, deadline=None)
@given(entries(7, sets=WHOLE[1:]), st.booleans())
def test_with_batches_too(attempts, weights):
    """In batches instead of owners; what differs by two batches is no finding, whatever the minimum cohort."""
    rules = Rules(7, 6, weights, CUT)
    _, found = compared(attempts, rules)
    is_all_pairs(found, attempts, rules)
    assert all(finding.count == 1 for finding in found)


def test_batches_of_one_are_owners():
    rules = Rules(7, 3, False, Batches(7, 1, bytes(32)))
    assert (rules.cut, rules.fewest) == (None, 3)


@settings(max_examples=60, deadline=None)
@given(entries(6), st.integers(1, 3))
def test_with_little_memory_nothing_false_is_said_and_what_is_missing_is(attempts, compared_with):
    rules = Rules(6, 3, True)
    whole, everything = compared(attempts, rules)
    comparison, found = compared(attempts, rules, compared=compared_with)
    keys = {(each.scope, each.label, each.count, each.units, each.possible) for each in everything}
    assert {(each.scope, each.label, each.count, each.units, each.possible) for each in found} <= keys
    assert comparison.left_out or found == everything
    assert not whole.left_out


def survivors(draw, owners, lost):
    return set_of(np.flatnonzero(draw.random(owners) >= lost).tolist())


@pytest.mark.parametrize("parameters", ["new ones each round", "the same ones"])
def test_ten_thousand_rounds_take_no_more_memory_than_a_thousand(parameters):
    comparison = SumComparison(Rules(60, 2, True), compared=50)
    draw = np.random.default_rng(1)
    sizes = []
    for index in range(10_000):
        digest = index.to_bytes(32, "big") if parameters == "new ones each round" else A
        members = survivors(draw, 60, 0.1)
        comparison.findings(Entry(Label(index, 1), digest, members, members.bit_count(), "known"))
        if index % 1000 == 999:
            kept = (comparison._inputs, comparison._weights)
            sizes.append([(len(each._order), sum(map(len, each._labels.values()))) for each in kept])
    assert sizes == [[(50, 50), (50, 50)]] * 10
    assert comparison.left_out
    assert comparison._inputs.left_out == (parameters == "the same ones"), "other parameters need no comparison"
