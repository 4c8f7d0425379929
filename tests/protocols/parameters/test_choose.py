"""Thresholds and neighbours: published rows, exact references over small populations, refusals in words."""

from __future__ import annotations

import math
import time
from decimal import Decimal
from fractions import Fraction
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.known_answers import vectors

from asyncagg.protocols.context import GraphPolicy
from asyncagg.protocols.forecast.planning import plan
from asyncagg.protocols.parameters import connectivity, degree
from asyncagg.protocols.parameters.choose import (
    GraphParameters,
    check_minimum_cohort,
    choose,
    complete_thresholds,
    searched,
)
from asyncagg.protocols.parameters.degree import Bounds, Instance
from asyncagg.protocols.parameters.hypergeometric import Hypergeometric
from asyncagg.protocols.parameters.population import Infeasible, Population, exact
from asyncagg.protocols.registry import find

THREATS = ("curious", "lying")


def population(owners, corrupt, dropout, threat="curious"):
    return Population(owners, exact(corrupt), exact(dropout), threat)


# -- slow references, in rationals --------------------------------------------------------------------------


def pmf(n, marked, drawn, x):
    if x < 0 or x > drawn:
        return Fraction(0)
    return Fraction(math.comb(marked, x) * math.comb(n - marked, drawn - x), math.comb(n, drawn))


def above(n, marked, drawn, x):
    return sum((pmf(n, marked, drawn, each) for each in range(x + 1, drawn + 1)), Fraction(0))


def below(n, marked, drawn, x):
    return sum((pmf(n, marked, drawn, each) for each in range(x)), Fraction(0))


def split(instance, k):
    n, gone = instance.members, instance.corrupt + instance.lost
    return Fraction(n * (n - k - 1), 2) * Fraction(math.comb(gone, k), math.comb(n, k))


def slow_bounds(instance, k):
    n = instance.members
    t1 = next(t for t in range(k + 1) if above(n, instance.corrupt, k, t) <= Fraction(1, 2**41 * n))
    t2 = max(t for t in range(k + 1) if below(n, n - instance.lost, k, t) <= Fraction(1, 2**20 * n))
    unsafe = math.ceil((Fraction(t1 + k) - Fraction(5, 4)) / 2) if instance.lying else t1
    return Bounds(k, t1, unsafe + 1, t2)


def slow_search(instance):
    """The search as the paper has it, step by step (Bell et al., CCS 2020)."""
    for k in range(2, instance.members - 1, 2):
        if split(instance, k) < Fraction(1, 2**41):
            found = slow_bounds(instance, k)
            if found.least - 1 < found.most:
                return found
    return None


instances = st.builds(
    lambda n, corrupt, lost, lying: Instance(n, corrupt * n // 40, lost * n // 40, lying),
    st.integers(1, 64),
    st.integers(0, 39),
    st.integers(0, 39),
    st.booleans(),
)


# -- the search ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", vectors("secagg_plus_parameters"))
def test_known_rows(row):
    def find():
        return searched(population(row["owners"], row["corrupt"], row["dropout"], row["threat"]))

    if row["success"]:
        found = find()
        assert (found.neighbours, found.threshold) == (row["neighbours"], row["threshold"])
    else:
        with pytest.raises(Infeasible, match=row["says"]):
            find()


@settings(max_examples=60, deadline=None)
@given(instances)
def test_search_is_the_exact_search(instance):
    assert degree.search(instance) == slow_search(instance)


@pytest.mark.parametrize("threat", THREATS)
@pytest.mark.parametrize(("corrupt", "dropout"), [("0.1", "0.3"), ("0.05", "0.05"), ("0.3", "0.28")])
@pytest.mark.parametrize("owners", [51, 101, 777])
def test_leaps_skip_no_degree(owners, corrupt, dropout, threat):
    instance = population(owners, corrupt, dropout, threat).instance(owners)
    steps = range(2, owners - 1, 2)
    every = (degree.bounds(instance, k) for k in steps if degree.connected(instance, k))
    assert degree.search(instance) == next((each for each in every if each.accepted), None)


@settings(max_examples=40, deadline=None)
@given(instances, st.integers(2, 40))
def test_search_with_a_threshold_finds_the_least_degree(instance, threshold):
    fits = [
        k
        for k in range(2, instance.members - 1, 2)
        if split(instance, k) < Fraction(1, 2**41)
        and slow_bounds(instance, k).least <= threshold <= slow_bounds(instance, k).most
    ]
    found = degree.search_with_threshold(instance, threshold)
    assert (found.neighbours if found else None) == (fits[0] if fits else None)


def test_one_more_neighbour_moves_a_bound_by_at_most_one():
    for instance in (Instance(300, 40, 60, False), Instance(301, 90, 30, True)):
        each = [degree.bounds(instance, k) for k in range(1, 300)]
        for one, other in pairwise(each):
            assert other.least - one.least in (0, 1)
            assert other.most - one.most in (0, 1)


def test_integers_decide_where_floats_cannot(monkeypatch):
    rows = [Instance(100, 10, 30, lying) for lying in (False, True)] + [Instance(1000, 50, 50, True)]
    expected = [degree.search(instance) for instance in rows]
    monkeypatch.setattr(Hypergeometric, "error", property(lambda self: 20.0))
    monkeypatch.setattr(connectivity, "_ERROR", Decimal("Infinity"))
    assert [degree.search(instance) for instance in rows] == expected


def test_an_exact_tie_counts_as_rare():
    # Pr[X > 0] = 1/2 and 2^-0 / 2 = 1/2: "at most" holds; one union more and it does not.
    coin = Hypergeometric(2, 1, 1)
    assert coin.rare_above(0, 0, 2)
    assert not coin.rare_above(0, 0, 3)
    assert coin.rare_below(1, 0, 2)
    assert not coin.rare_below(1, 0, 3)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(0, n))))
def test_tails_are_within_their_error(shape):
    hyp = Hypergeometric(*shape)
    for x in range(-1, shape[2] + 2):
        for value, reference in ((hyp.above(x), above(*shape, x)), (hyp.below(x), below(*shape, x))):
            assert abs(Fraction(value) - reference) <= reference * Fraction(hyp.error)


def test_a_million_owners_in_time():
    started = time.process_time()
    assert searched(population(10**6, "0.3", "0.3", "lying")).neighbours == 11136
    assert time.process_time() - started < 2


# -- what the bounds mean -----------------------------------------------------------------------------------


def ring_neighbours(member, n, k):
    return {(member + step) % n for step in range(-k // 2, k // 2 + 1)} - {member}


@pytest.mark.parametrize(("n", "k", "corrupt", "t"), [(8, 2, 3, 2), (9, 4, 4, 3), (9, 4, 3, 2)])
def test_exposure_bound_covers_every_placement_of_the_corrupt(n, k, corrupt, t):
    """Labels are random, so a placement of the corrupt on the ring is too: count the bad ones."""
    placements = list(combinations(range(n), corrupt))
    for lying in (False, True):
        collected = 2 * t - k if lying else t
        bad = sum(
            any(
                len(ring_neighbours(member, n, k) & set(placed)) >= max(collected, 0)
                for member in set(range(n)) - set(placed)
            )
            for placed in placements
        )
        bound = degree.privacy_failure(Instance(n, corrupt, 0, lying), k, t)
        assert bad / len(placements) <= bound


@pytest.mark.parametrize(("n", "k", "gone"), [(8, 2, 3), (9, 2, 2), (10, 4, 5), (10, 4, 4)])
def test_split_bound_covers_every_placement_of_the_missing(n, k, gone):
    def is_split(missing):
        left = set(range(n)) - set(missing)
        reached = {min(left)}
        while grown := {other for one in reached for other in ring_neighbours(one, n, k) & left} - reached:
            reached |= grown
        return reached != left

    placements = list(combinations(range(n), gone))
    bad = sum(map(is_split, placements))
    assert bad > 0
    assert bad / len(placements) <= float(split(Instance(n, gone, 0, False), k))


def test_achieved_bits_come_from_the_final_threshold():
    found = searched(population(100, "0.1", "0.3"))
    instance = Instance(100, 10, 30, False)
    failure = split(instance, 34) + 100 * above(100, 10, 34, found.threshold - 1)
    lost = 100 * below(100, 70, 34, found.threshold)
    assert found.privacy_bits == pytest.approx(-math.log2(failure), abs=0.01)
    assert found.correctness_bits == pytest.approx(-math.log2(lost), abs=0.01)
    assert found.privacy_bits >= 40
    assert found.correctness_bits >= 20


def test_a_lying_lead_leaves_threshold_less_t1_honest_inputs():
    found = searched(population(1000, "0.05", "0.05", "lying"))
    t1 = slow_bounds(Instance(1000, 50, 50, True), 52).corrupt_neighbours
    assert found.minimum_cohort_limit == found.threshold - t1 == 17
    check_minimum_cohort(found, 17)
    with pytest.raises(Infeasible, match=r"minimum_cohort = 18 .* at most 17, or protocol = \"secagg\""):
        check_minimum_cohort(found, 18)
    assert searched(population(1000, "0.05", "0.05")).minimum_cohort_limit is None


def test_a_minimum_cohort_above_the_roster_is_refused():
    with pytest.raises(Infeasible, match="only 10 owners"):
        check_minimum_cohort(choose("secagg", population(10, "0.1", "0.3")), 11)


# -- the complete graph -------------------------------------------------------------------------------------


def opened_by_two_groups(n, corrupt, t):
    """Whether a lying lead can have t shares of both secrets: honest owners give one, corrupt ones both."""
    honest = n - corrupt
    return any(first + corrupt >= t and honest - first + corrupt >= t for first in range(honest + 1))


@pytest.mark.parametrize("n", range(2, 31))
def test_thresholds_are_the_least_that_withstand_the_coalition(n):
    for percent in range(0, 100, 7):
        who = population(n, f"{percent / 100}", "0", "lying")
        least, chosen = complete_thresholds(who, n)
        safe = [t for t in range(2, n + 2) if not opened_by_two_groups(n, who.corrupt_owners, t)]
        assert least == chosen == safe[0]
        least, chosen = complete_thresholds(population(n, f"{percent / 100}", "0"), n)
        assert least == max(2, who.corrupt_owners + 1)
        assert chosen == max(2, n // 2 + 1, who.corrupt_owners + 1)


@pytest.mark.parametrize(
    ("n", "threat", "dropout", "expected"),
    [(2, "curious", "0.3", 2), (3, "curious", "0.3", 2), (3, "lying", "0.3", 3), (10, "lying", "0.3", 6)],
)
def test_complete_graph_for_everyone(n, threat, dropout, expected):
    found = choose("secagg", population(n, "0.1", dropout, threat))
    assert found == GraphParameters(n, n - 1, expected, True, expected, None, 128.0, 128.0, math.ceil(n / 10))


def test_corrupt_owners_are_those_of_the_pinned_population():
    who = population(100, "0.1", "0.3", "lying")
    assert choose("secagg", who, 70).threshold == 41
    with pytest.raises(Infeasible, match=r"threshold 39 is unsafe: .*70 owners.*10 corrupt.*at least 41"):
        choose("secagg", who, 70, threshold=39)
    assert opened_by_two_groups(70, 10, 39)
    assert opened_by_two_groups(70, 10, 40)
    assert not opened_by_two_groups(70, 10, 41)


@pytest.mark.parametrize(
    ("arguments", "threshold", "says"),
    [
        ((10, "0.1", "0.3", "curious"), 1, "unsafe.*secrets whole.*at least 2"),
        ((10, "0.3", "0.3", "curious"), 3, "unsafe: 3 corrupt.*at least 4"),
        ((10, "0.3", "0.3", "lying"), 6, "unsafe.*two groups.*3 corrupt.*at least 7"),
        ((10, "0.1", "0.3", "lying"), 8, "out of reach.*7 are left when 3 drop; threshold = 6 to 7 would do"),
        ((10, "0.1", "0.6", "curious"), "auto", "out of reach.*threshold = 2 to 4 would do"),
        ((10, "0.5", "0.5", "lying"), "auto", "out of reach.*lower corrupt or dropout"),
    ],
)
def test_unsafe_thresholds_are_refused_in_words(arguments, threshold, says):
    with pytest.raises(Infeasible, match=says):
        choose("secagg", population(*arguments), threshold=threshold)


def test_thresholds_by_hand_at_the_bounds():
    who = population(10, "0.3", "0.3")
    assert [choose("secagg", who, threshold=t).threshold for t in (4, 7)] == [4, 7]
    assert choose("secagg", population(10, "0.3", "0.3", "lying"), threshold=7).survivors_floor == 7


@pytest.mark.parametrize(("members", "says"), [(6, "must be 7 to 10"), (11, "must be 7 to 10")])
def test_rosters_outside_the_floor_are_refused(members, says):
    with pytest.raises(Infeasible, match=says):
        choose("secagg", population(10, "0.1", "0.3"), members)


def test_one_owner_hides_nothing():
    with pytest.raises(Infeasible, match="1 owner: at least 2"):
        choose("secagg", population(1, "0.1", "0.3"))


# -- secagg+ in a run ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("threat", THREATS)
def test_up_to_fifty_members_are_a_complete_graph(threat):
    who = population(60, "0.1", "0.3", threat)
    assert choose("secagg+", who, 50) == choose("secagg", who, 50)
    assert not choose("secagg+", who, 51).complete
    assert choose("secagg+", who, 51).survivors_floor == 51 - 15


def test_a_twelfth_of_a_population_that_would_often_fail():
    """The row (4, 2) fails a fifth of the time: it is reported, and a run uses the complete graph instead."""
    found = plan(GraphPolicy("secagg+", population(12, 0, 0.3)))
    assert (found.reported.neighbours, found.reported.threshold) == (4, 2)
    assert found.reported.correctness_bits == 2.19
    assert found.run == choose("secagg", population(12, 0, 0.3))
    assert found.notes == ("A run with up to 50 owners uses the complete graph: 11 neighbours, threshold 7.",)


def test_above_fifty_there_is_no_silent_fallback():
    says = r"secagg\+ against a lying lead needs corrupt \+ 2·dropout ≤ 0.9; here it is 0.99; .*would do \(thr"
    with pytest.raises(Infeasible, match=says):
        choose("secagg+", population(1000, 0.33, 0.33, "lying"))
    with pytest.raises(Infeasible, match=r"finds no graph for 700 of 1000 .*\"secagg\" would not do: thr"):
        choose("secagg+", population(1000, 0.3, 0.3, "lying"), 700)
    with pytest.raises(Infeasible, match=r"\"secagg\" would not do: threshold 501 is out of reach"):
        choose("secagg+", population(1000, 0.5, 0.5))


def test_a_threshold_of_two_that_cannot_be_recovered_is_refused():
    says = "no threshold: below 2, one neighbour holds.*; neighbours = 8 with threshold = 2 would do; proto"
    with pytest.raises(Infeasible, match=says):
        choose("secagg+", population(100, 0, 0.05))
    assert choose("secagg+", population(100, 0, 0.05), neighbours=8).threshold == 2


def test_neighbours_and_threshold_by_hand():
    who = population(100, 0.1, 0.3)
    assert choose("secagg+", who, neighbours=34) == choose("secagg+", who)
    assert choose("secagg+", who, neighbours=34, threshold=12).threshold == 12
    assert choose("secagg+", who, threshold=20).neighbours == 46
    assert choose("secagg+", who, neighbours=99).complete
    assert choose("secagg+", population(12, 0, 0.1), neighbours=6).neighbours == 6


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"neighbours": 34, "threshold": 10},
            "threshold 10 with 34 neighbours must be 11 to 12: below 11, coll",
        ),
        ({"neighbours": 34, "threshold": 13}, "threshold 13 .* above 12, too few neighbours may survive"),
        ({"neighbours": 10}, "neighbours = 10 is unsafe for 100 owners .* split into separate sums"),
        ({"neighbours": 7}, "must be even, 2 to 98, or 99 for everyone"),
        ({"neighbours": 100}, "2 to 98"),
        ({"neighbours": 0}, "2 to 98"),
        ({"threshold": 71}, "and threshold = 71; neighbours = 34 with threshold = 11 would do; .*secagg"),
    ],
)
def test_unsafe_choices_by_hand_are_refused_in_words(given, says):
    with pytest.raises(Infeasible, match=says):
        choose("secagg+", population(100, 0.1, 0.3), **given)


# -- plans --------------------------------------------------------------------------------------------------


def test_plan_says_when_the_smallest_roster_would_be_refused():
    found = plan(GraphPolicy("secagg+", population(1000, 0.3, 0.3, "lying")))
    assert found.reported is found.run
    assert found.notes[0].startswith("If only 700 owners advertise, the attempt is refused: ")
    assert plan(GraphPolicy("secagg+", population(1000, 0.1, 0.3))).notes == ()


def test_plan_of_a_few_owners_without_a_row():
    found = plan(GraphPolicy("secagg+", population(3, 0.1, 0.3)))
    assert found.reported == found.run == choose("secagg", population(3, 0.1, 0.3))


def test_plan_with_a_row_that_a_run_would_refuse():
    found = plan(GraphPolicy("secagg+", population(50, 0.02, 0.5)))
    assert found.run is None
    assert found.reported.neighbours == 28
    assert "A run would be refused: threshold 26 is out of reach" in found.notes[0]


def test_a_plan_without_anything_to_report_is_refused():
    for protocol in ("secagg", "secagg+"):
        with pytest.raises(Infeasible, match="out of reach"):
            plan(GraphPolicy(protocol, population(10, 0.5, 0.5)))


def test_smallest_cohort():
    who = population(100, 0.1, 0.3)

    def smallest(name, minimum_cohort, **keys):
        protocol = find(name)
        policy = None if protocol.graph is None else GraphPolicy(protocol.graph, who, **keys)
        return protocol.forecaster.smallest_cohort(minimum_cohort, who.roster_floor, policy)

    assert smallest("plain", 2) == 2
    assert smallest("pairwise", 2) == 70
    assert smallest("secagg", 2) == 36
    assert smallest("secagg", 40) == 40
    assert smallest("secagg+", 2) == 49
    assert smallest("secagg+", 2, threshold=30, neighbours=80) == 30


# -- exact decimals -----------------------------------------------------------------------------------------


def test_fractions_are_what_the_user_wrote():
    assert exact(0.3) == Decimal("0.3")
    assert population(10, 0.3, 0.3).lost(10) == 3
    assert population(100, 0.29, 0.29).corrupt_owners == 29
    assert population(100, "0.07", "0.07").instance(100).corrupt == 7
    assert population(10**6, "0." + "3" * 40, 0).corrupt_owners == 333334
    assert population(10, 0.1, 0.25).roster_floor == 8


@pytest.mark.parametrize("value", ["", "x", "nan", float("inf")])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="is not a"):
        exact(value)


@pytest.mark.parametrize(("owners", "corrupt", "dropout"), [(0, 0, 0), (10**6 + 1, 0, 0), (5, 1, 0), (5, 0, -1)])
def test_populations_without_meaning_are_refused(owners, corrupt, dropout):
    with pytest.raises(Infeasible):
        population(owners, corrupt, dropout)
