"""The privacy ledger: what sums give away together, against elimination in rationals and enumeration."""

from __future__ import annotations

import json
import time
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncagg.protocols.ledger.account import Ledger, Rules
from asyncagg.protocols.ledger.disclosure import Entry, bits, condensed, smallest_difference
from asyncagg.protocols.ledger.span import EXACT_UP_TO, PRIME, Span
from asyncagg.protocols.messages import to_bitmap
from asyncagg.protocols.names import Label

A, B = bytes(32), bytes([1]) * 32
N = 12


def ledger(minimum_cohort=2, strict=False, weights=False, owners=N):
    return Ledger(Rules(owners, minimum_cohort, strict, weights))


def bitmap(*members, owners=N):
    return to_bitmap(members, owners)


def sentences(found):
    return [finding.sentence for finding in found.findings]


# -- the span ------------------------------------------------------------------------------------------------


def slow_exposed(sets, owners):
    """(rank, owners whose unit vector is in the span), by elimination over the rationals."""
    rows = [[Fraction(members >> owner & 1) for owner in range(owners)] for members in sets]
    rank = 0
    for column in range(owners):
        pivot = next((index for index in range(rank, len(rows)) if rows[index][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        rows[rank] = [value / rows[rank][column] for value in rows[rank]]
        for index in range(len(rows)):
            if index != rank and rows[index][column]:
                factor = rows[index][column]
                rows[index] = [a - factor * b for a, b in zip(rows[index], rows[rank], strict=True)]
        rank += 1
    units = (row for row in rows[:rank] if sum(map(bool, row)) == 1)
    return rank, tuple(sorted(row.index(1) for row in units))


def span_of(sets, owners):
    span = Span.empty(owners)
    for members in sets:
        span = span.extended(members)
    return span


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.integers(1, 2**n - 1), max_size=12))))
def test_span_is_that_over_the_rationals(shape):
    owners, sets = shape
    span = span_of(sets, owners)
    assert (len(span.pivots), span.exposed()) == slow_exposed(sets, owners)


@pytest.mark.parametrize("owners", [40, 70])
def test_span_of_survivors_of_many_rounds(owners):
    """Everyone less a few, which is what rounds look like; more sets than owners in the end."""
    draw = np.random.default_rng(owners)
    everyone = 2**owners - 1
    sets = [
        everyone & ~sum(1 << int(gone) for gone in draw.choice(owners, 3, replace=False)) for _ in range(owners + 5)
    ]
    for count in (5, owners // 2, owners - 1, owners + 5):
        assert span_of(sets[:count], owners).exposed() == slow_exposed(sets[:count], owners)[1]


def test_a_row_of_large_entries_is_no_unit_row():
    """Echelon entries that a smaller prime might take for zero: determinants grow along this family."""
    owners = 8
    sets = [0b11 << shift for shift in range(owners - 1)]
    assert span_of(sets, owners).exposed() == ()
    odd = [*sets, 1 | 1 << (owners - 1)]
    assert span_of(odd, owners).exposed() == slow_exposed(odd, owners)[1]
    triangle = [0b11, 0b110, 0b101]
    assert span_of(triangle, 3).exposed() == (0, 1, 2)


def test_answers_are_proven_as_far_as_hadamards_bound_goes():
    """(s + 1)^((s + 1)/2) / 2^s < p for minors of one more row than there are sets, and not beyond."""

    def below_the_prime(size):
        return (size + 1) ** (size + 1) < (PRIME << size) ** 2

    assert all(below_the_prime(size) for size in range(1, EXACT_UP_TO + 2))
    assert not below_the_prime(EXACT_UP_TO + 2)


def test_a_set_in_the_span_changes_nothing():
    span = span_of([0b0011, 0b1100], 4)
    assert span.extended(0b1111) is span


def test_hundreds_of_sets_of_thousands_of_owners():
    owners, count = 5000, 300
    draw = np.random.default_rng(1)
    sets = [int.from_bytes(draw.bytes(owners // 8), "little") for _ in range(count)]
    started = time.perf_counter()
    span = span_of(sets, owners)
    assert span.exposed() == ()
    assert span.extended(sets[7] ^ 1 << 4321).exposed() == (4321,)
    assert time.perf_counter() - started < 5


# -- differences ---------------------------------------------------------------------------------------------


@given(st.integers(1, 2**6 - 1), st.integers(1, 2**6 - 1), st.data())
def test_smallest_difference_is_that_of_every_possible_set(members, other, data):
    least = data.draw(st.integers(1, other.bit_count()))
    possible = [
        sum(1 << owner for owner in chosen)
        for size in range(least, other.bit_count() + 1)
        for chosen in combinations(bits(other), size)
    ]
    differences = [(members ^ each).bit_count() for each in possible]
    expected = min((count for count in differences if count), default=0)
    entry = Entry(Label(0, 0), A, other, least, "possible")
    assert smallest_difference(members, entry) == expected


@given(st.sets(st.integers(0, 200)))
def test_bits(members):
    assert bits(sum(1 << member for member in members)) == tuple(sorted(members))


# -- inputs on the same parameters ---------------------------------------------------------------------------


def test_a_retry_without_one_owner_gives_that_owner_away():
    book = ledger()
    assert not book.settled(Label(3, 0), A, bitmap(0, 1, 2, 3)).findings
    found = book.settled(Label(3, 1), A, bitmap(0, 1, 2))
    assert not found.refused
    assert sentences(found) == [
        "round 3, attempt 1 gives away the input of data-owner-3: that is all it differs by from "
        "round 3, attempt 0 on the same parameters"
    ]
    assert book.findings == found.findings


@pytest.mark.parametrize(("minimum_cohort", "refused"), [(2, False), (3, True), (4, True)])
def test_two_owners_are_too_few_below_the_minimum_cohort(minimum_cohort, refused):
    book = ledger(minimum_cohort, strict=True)
    book.settled(Label(0, 0), A, bitmap(0, 1, 2, 3, 4))
    found = book.settled(Label(0, 1), A, bitmap(0, 1, 2))
    assert found.refused == refused
    assert len(book.entries) == 2 - refused
    if refused:
        assert "a combination of the inputs of data-owner-3 and data-owner-4" in found.reason


def test_the_same_set_again_gives_nothing_away():
    book = ledger(5, strict=True)
    book.settled(Label(0, 0), A, bitmap(0, 1, 2))
    assert not book.settled(Label(0, 1), A, bitmap(0, 1, 2)).findings


def test_three_pairs_solve_for_each_owner():
    book = ledger(1, strict=True)
    assert not book.settled(Label(0, 0), A, bitmap(0, 1)).refused
    assert not book.settled(Label(0, 1), A, bitmap(1, 2)).refused
    found = book.examine(Label(0, 2), A, bitmap(0, 2))
    assert found.refused
    assert found.findings[0].owners == (0, 1, 2)
    assert found.reason == (
        "round 0, attempt 2 gives away the inputs of data-owner-0, data-owner-1 and data-owner-2, "
        "together with earlier sums on the same parameters"
    )
    assert not book.examine(Label(0, 2), B, bitmap(0, 2)).findings


def test_a_sum_of_one_is_given_away_at_once():
    found = ledger(1, strict=True).examine(Label(0, 0), A, bitmap(5))
    assert found.refused
    assert found.findings[0].owners == (5,)


def test_an_owner_is_reported_once():
    book = ledger(1)
    for attempt, members in enumerate([(0, 1), (1, 2), (0, 2)]):
        book.settled(Label(0, attempt), A, bitmap(*members))
    assert not book.settled(Label(0, 3), A, bitmap(0, 1, 2)).findings
    assert [finding.owners for finding in book.findings] == [(0, 1, 2)]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(1, 2**7 - 1), min_size=1, max_size=9), st.integers(1, 4))
def test_findings_are_exactly_what_the_definitions_say(sets, minimum_cohort):
    book = ledger(minimum_cohort, owners=7)
    for attempt, members in enumerate(sets):
        found = book.settled(Label(0, attempt), A, members.to_bytes(1, "little")).findings
        apart = {members ^ other for other in sets[:attempt]}
        close = {bits(difference) for difference in apart if 1 <= difference.bit_count() < minimum_cohort}
        assert {finding.owners for finding in found if finding.earlier is not None} == close
        before, after = slow_exposed(sets[:attempt], 7)[1], slow_exposed(sets[: attempt + 1], 7)[1]
        named = {owner for finding in found if finding.count == 1 for owner in finding.owners}
        solved = {owner for finding in found if finding.earlier is None for owner in finding.owners}
        assert set(after) - set(before) <= named | solved
        assert solved <= set(after) - set(before)


# -- weights over all rounds ---------------------------------------------------------------------------------


def test_weights_are_compared_over_all_rounds():
    book = ledger(2, strict=True, weights=True)
    assert not book.settled(Label(0, 0), A, bitmap(0, 1, 2)).refused
    found = book.settled(Label(7, 0), B, bitmap(0, 1))
    assert found.refused
    assert sentences(found) == [
        "round 7, attempt 0 gives away the weight of data-owner-2: that is all it differs by from round 0, attempt 0"
    ]


def test_uniform_weights_are_no_secret():
    book = ledger(2, strict=True)
    book.settled(Label(0, 0), A, bitmap(0, 1, 2))
    assert not book.settled(Label(7, 0), B, bitmap(0, 1)).findings


def test_weights_are_solved_for_over_rounds():
    book = ledger(1, weights=True)
    for round_, members in enumerate([(0, 1), (1, 2), (0, 2)]):
        book.settled(Label(round_, 0), bytes([round_]) * 32, bitmap(*members))
    assert [(finding.scope, finding.owners) for finding in book.findings] == [("weights", (0, 1, 2))]
    assert book.findings[0].sentence.endswith("together with earlier total weights")


# -- uploads whose survivors were never learnt ---------------------------------------------------------------


def test_an_upload_counts_as_possible_until_it_is_settled():
    book = ledger(2)
    book.uploaded(Label(0, 0), A, bitmap(0, 1, 2, 3), least=2)
    assert book.entries[0].state == "possible"
    book.settled(Label(0, 0), A, bitmap(0, 1, 2))
    assert [(entry.state, bits(entry.members)) for entry in book.entries] == [("known", (0, 1, 2))]
    assert not book.findings


def test_a_retry_after_an_upload_of_unknown_outcome_is_named_and_refused_when_strict():
    """The first attempt may have ended with any subset, so with one that differs by a single owner."""
    for strict in (False, True):
        book = ledger(2, strict)
        book.uploaded(Label(0, 0), A, bitmap(0, 1, 2, 3), least=2)
        found = book.uploaded(Label(0, 1), A, bitmap(0, 1, 2, 3), least=2)
        assert found.refused == strict
        assert sentences(found) == [
            "round 0, attempt 1 may give away the input of one owner: that may be all it differs by from "
            "round 0, attempt 0 on the same parameters"
        ]


def test_pairwise_sums_a_whole_roster_or_nothing():
    """A roster that was opened is one exact set: the same one again is harmless, one owner less is not."""
    book = ledger(2, strict=True)
    book.uploaded(Label(0, 0), A, bitmap(0, 1, 2, 3), least=4)
    assert not book.examine(Label(0, 1), A, bitmap(0, 1, 2, 3)).findings
    found = book.examine(Label(0, 1), A, bitmap(0, 1, 2))
    assert found.refused
    assert "may give away the input of data-owner-3" in found.reason


def test_exact_sets_that_only_may_be_known_enter_the_span_as_possible():
    book = ledger(1)
    book.settled(Label(0, 0), A, bitmap(0, 1))
    book.uploaded(Label(0, 1), A, bitmap(1, 2), least=2)
    found = book.settled(Label(0, 2), A, bitmap(0, 2)).findings
    assert [(finding.owners, finding.possible) for finding in found] == [((0, 1, 2), True)]


def test_a_certain_finding_is_not_hidden_by_a_possible_one():
    book = ledger(2)
    book.settled(Label(0, 0), A, bitmap(0, 1))
    book.settled(Label(0, 1), A, bitmap(1, 2))
    book.uploaded(Label(0, 2), A, bitmap(2), least=1)
    found = book.settled(Label(0, 3), A, bitmap(0, 2)).findings
    assert {(finding.owners, finding.possible) for finding in found} == {((0,), True), ((0, 1, 2), False)}


def test_a_set_that_is_settled_anew_replaces_the_old_one():
    book = ledger(1)
    book.settled(Label(0, 0), A, bitmap(0, 1))
    book.settled(Label(0, 1), A, bitmap(1, 2))
    assert book.examine(Label(0, 2), A, bitmap(0, 2)).findings
    book.settled(Label(0, 0), A, bitmap(3, 4))
    assert not book.examine(Label(0, 2), A, bitmap(0, 2)).findings


def test_a_refused_upload_is_not_recorded():
    book = ledger(2, strict=True)
    book.settled(Label(0, 0), A, bitmap(0, 1, 2))
    assert book.uploaded(Label(0, 1), A, bitmap(0, 1), least=2).refused
    assert len(book.entries) == 1


def test_survivors_that_are_refused_leave_the_upload_possible():
    book = ledger(2, strict=True)
    book.settled(Label(0, 0), A, bitmap(0, 1, 2, 3, 4, 5))
    assert not book.uploaded(Label(0, 1), A, bitmap(0, 1, 2), least=2).refused
    book.settled(Label(0, 2), A, bitmap(6, 7, 8))
    assert book.settled(Label(0, 1), A, bitmap(0, 1, 2, 3, 4)).refused
    assert {entry.label: entry.state for entry in book.entries}[Label(0, 1)] == "possible"


@pytest.mark.parametrize("least", [0, 4])
def test_the_fewest_must_be_possible(least):
    with pytest.raises(ValueError, match=f"{least} of 3 owners"):
        ledger().uploaded(Label(0, 0), A, bitmap(0, 1, 2), least)


@pytest.mark.parametrize("members", [b"", bytes(2), b"\xff\xff", bytes(3)])
def test_what_is_no_set_of_the_population_is_refused(members):
    with pytest.raises(ValueError, match="some of the 12 owners"):
        ledger().examine(Label(0, 0), A, members)


def test_names_of_many_owners_are_cut():
    found = ledger(20).settled
    found(Label(0, 0), A, bitmap(*range(12)))
    reason = found(Label(0, 1), A, bitmap(0, 1)).reason
    assert "data-owner-2, data-owner-3, data-owner-4, data-owner-5, data-owner-6 and 5 more" in reason


# -- persistence ---------------------------------------------------------------------------------------------


def filled():
    book = ledger(3, weights=True)
    book.settled(Label(0, 0), A, bitmap(0, 1, 2, 3))
    book.uploaded(Label(0, 1), A, bitmap(0, 1, 2), least=2)
    book.uploaded(Label(1, 0), B, bitmap(4, 5, 6, 7), least=4)
    book.settled(Label(1, 0), B, bitmap(4, 5, 6))
    book.settled(Label(2, 0), B, bitmap(4, 5))
    return book


@pytest.mark.parametrize("strict", [False, True])
def test_a_ledger_survives_a_restart(strict):
    book = filled()
    data = json.loads(json.dumps(book.to_data()))
    again = Ledger.from_data(Rules(N, 3, strict, weights=True), data)
    assert again.entries == book.entries
    assert again.findings == book.findings
    assert again.to_data() == book.to_data()
    assert again.examine(Label(3, 0), A, bitmap(0, 1)).findings == book.examine(Label(3, 0), A, bitmap(0, 1)).findings
    assert again.examine(Label(3, 0), A, bitmap(0, 1)).refused == strict


@pytest.mark.parametrize(
    "change",
    [
        {"round": -1},
        {"attempt": "0"},
        {"attempt": True},
        {"parameters": "zz"},
        {"parameters": None},
        {"members": "1fff"},
        {"members": "0"},
        {"members": "-f"},
        {"members": "x"},
        {"least": 0},
        {"least": 5},
        {"state": "known", "least": 2},
        {"state": "other"},
    ],
)
def test_a_damaged_entry_is_named(change):
    data = filled().to_data()
    data["entries"][1] = data["entries"][1] | change
    with pytest.raises(ValueError, match="entry 1 is damaged"):
        Ledger.from_data(Rules(N, 3, False, True), data)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "not a privacy ledger"),
        ({"schema": 2, "owners": N, "entries": []}, "not a privacy ledger of schema 1"),
        ({"schema": 1, "owners": N, "entries": {}}, "not a privacy ledger"),
        ({"schema": 1, "owners": 5, "entries": []}, "of 5 owners, the population has 12"),
        ({"schema": 1, "owners": N, "entries": [3]}, "entry 0 is damaged"),
    ],
)
def test_what_is_no_ledger_is_refused(data, says):
    with pytest.raises(ValueError, match=says):
        Ledger.from_data(Rules(N, 3, False, True), data)


def test_rounds_of_a_large_population_are_cheap():
    book = ledger(5, weights=True, owners=2000)
    draw = np.random.default_rng(2)
    started = time.perf_counter()
    for round_ in range(40):
        alive = np.flatnonzero(draw.random(2000) > 0.1).tolist()
        book.uploaded(Label(round_, 0), round_.to_bytes(32, "big"), to_bitmap(range(2000), 2000), least=1000)
        book.settled(Label(round_, 0), round_.to_bytes(32, "big"), to_bitmap(alive, 2000))
    assert not [finding for finding in book.findings if not finding.possible]
    assert time.perf_counter() - started < 5


def test_what_one_unknown_attempt_may_do_to_all_later_ones_is_said_once():
    book = ledger(2, weights=True)
    book.uploaded(Label(0, 1), A, bitmap(0, 1, 2, 3), least=2)
    for index in range(5):
        book.settled(Label(index, 2), bytes([99 + index]) * 32, bitmap(0, 1, 2, 3))
    assert list(condensed(book.findings)) == [
        "round 0, attempt 2 may give away the weight of one owner: that may be all it differs by from "
        "round 0, attempt 1",
        "round 0, attempt 1 ended unknown: 4 later attempts may differ as little from it (weights)",
    ]
