"""Thresholds of cohorts drawn from a larger population: the tables, exact references, and rings counted one by one."""

from __future__ import annotations

import math
import time
from fractions import Fraction
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncagg.protocols.context import GraphPolicy
from asyncagg.protocols.forecast.planning import plan
from asyncagg.protocols.parameters import connectivity, degree
from asyncagg.protocols.parameters.choose import choose, searched
from asyncagg.protocols.parameters.connectivity import Connectivity
from asyncagg.protocols.parameters.degree import Bounds, Instance
from asyncagg.protocols.parameters.drawn import DrawnTail
from asyncagg.protocols.parameters.hypergeometric import Hypergeometric
from asyncagg.protocols.parameters.population import Infeasible, Population, exact


def population(owners, corrupt, dropout, threat="curious", **more):
    return Population(owners, exact(corrupt), exact(dropout), threat, **more)


# -- slow references, in rationals --------------------------------------------------------------------------


def ways(of, chosen):
    return math.comb(of, chosen) if 0 <= chosen <= of else 0


def cohorts(hyp):
    """c → Pr[c corrupt owners in the cohort]."""
    return {
        c: Fraction(ways(hyp.marked, c) * ways(hyp.members - hyp.marked, hyp.drawn - c), ways(hyp.members, hyp.drawn))
        for c in range(hyp.low, hyp.high + 1)
    }


def slow_tail(instance, k, x):
    """Pr[more than x of one member's neighbours are corrupt]: averaged over the cohort, all of its corrupt stay."""
    n = instance.members
    return sum(
        share * Fraction(sum(ways(min(c, n), y) * ways(n - min(c, n), k - y) for y in range(x + 1, k + 1)), ways(n, k))
        for c, share in cohorts(instance.present).items()
    )


def slow_split(instance, k):
    n, lost = instance.members, instance.lost
    sets = 1
    if instance.batch:
        sets = sum(ways(n // instance.batch, i) for i in range(lost // instance.batch + 1))
    average = sum(share * ways(c + lost, k) for c, share in cohorts(instance.present).items())
    return Fraction(sets * n * (n - k - 1), 2) * average / ways(n, k)


def slow_most_corrupt(hyp, bits):
    shares = cohorts(hyp)
    return next(x for x in range(hyp.high + 1) if sum(shares[c] for c in shares if c > x) <= Fraction(1, 2**bits))


def slow_bounds(instance, k):
    n = instance.members
    near = next(t for t in range(k + 1) if slow_tail(instance, k, t) <= Fraction(1, n << (41 + instance.graph_bits)))
    t1 = min(near, slow_most_corrupt(instance.present, 41 + instance.cohort_bits))
    alive = n - instance.lost
    t2 = max(
        t
        for t in range(k + 1)
        if sum(ways(alive, y) * ways(n - alive, k - y) for y in range(t)) * (n << 20) <= ways(n, k)
    )
    unsafe = math.ceil((Fraction(t1 + k) - Fraction(5, 4)) / 2) if instance.lying else t1
    return Bounds(k, t1, unsafe + 1, t2)


def slow_search(instance):
    for k in range(2, instance.members - 1, 2):
        if slow_split(instance, k) < Fraction(1, 2 ** (41 + instance.graph_bits)):
            found = slow_bounds(instance, k)
            if found.accepted:
                return found
    return None


@st.composite
def instances(draw):
    """Few owners and few bits of theirs: cohorts of 20 to 60 in up to 90, rosters of no less than two thirds."""
    owners = draw(st.integers(20, 90))
    cohort = draw(st.integers(20, min(owners, 60)))
    members = cohort - draw(st.integers(0, cohort // 3))
    lying = draw(st.booleans())
    return Instance(
        members,
        corrupt := draw(st.integers(0, owners // 4)),
        draw(st.integers(0, members // 3)),
        lying,
        Hypergeometric(owners, corrupt, cohort),
        draw(st.integers(0, 6)) if lying else 0,
        draw(st.integers(0, 9)) if lying else 0,
        draw(st.sampled_from([None, 2, 5])) if lying else None,
    )


# -- the tails ----------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(instances(), st.integers(1, 13))
def test_tails_are_within_their_error(instance, k):
    tail = DrawnTail(instance.present, instance.members, k)
    for x in range(-1, k + 1):
        reference = slow_tail(instance, k, x)
        assert abs(Fraction(tail.above(x)) - reference) <= reference * Fraction(tail.error)
        for bits in (0, 3, 11):
            assert tail.rare_above(x, bits, 5) == (reference <= Fraction(1, 5 << bits))


@settings(max_examples=60)
@given(instances(), st.integers(1, 13), st.integers(0, 12))
def test_the_least_of_a_tail_is_found(instance, k, bits):
    tail = DrawnTail(instance.present, instance.members, k)
    least = next(x for x in range(-1, k + 1) if slow_tail(instance, k, x) <= Fraction(1, 7 << bits))
    assert tail.least_above(bits, 7) == least


def test_a_roster_of_the_whole_cohort_is_drawn_from_the_population():
    drawn = Hypergeometric(300, 40, 120)
    for x in range(20):
        assert DrawnTail(drawn, 120, 30).above(x) == pytest.approx(Hypergeometric(300, 40, 30).above(x), rel=1e-9)


@settings(max_examples=60)
@given(instances(), st.integers(1, 13))
def test_splits_are_those_of_the_average(instance, k):
    found = instance.connectivity.split(k)
    reference = slow_split(instance, k)
    assert abs(Fraction(found) - reference) <= reference / 10**45
    for bits in (0, 10, 41):
        assert instance.connectivity.holds(k, bits) == (reference < Fraction(1, 2**bits))


def test_an_exact_tie_is_no_connection():
    """½·n(n−k−1)·C(g, k)/C(n, k) = 2 of 4 members with one gone: 2·¼ = ½, which is not below ½."""
    ring = Connectivity(4, 1, Hypergeometric(0, 0, 0))
    assert slow_split(Instance(4, 0, 1, False), 1) == 1
    assert not ring.holds(1, 0)
    assert ring.holds(2, 0)


@settings(max_examples=40)
@given(instances())
def test_search_is_the_exact_search(instance):
    assert degree.search(instance) == slow_search(instance)


def test_integers_decide_where_floats_and_decimals_cannot(monkeypatch):
    drawn = Hypergeometric(120, 12, 60)
    rows = [Instance(50, 12, 10, False, drawn), Instance(60, 12, 3, True, drawn, 3, 5, 3)]
    expected = [degree.search(instance) for instance in rows]
    assert None not in expected
    for kind in (Hypergeometric, DrawnTail):
        monkeypatch.setattr(kind, "error", property(lambda self: 20.0))
    monkeypatch.setattr(connectivity, "_ERROR", connectivity.Decimal("Infinity"))
    assert [degree.search(instance) for instance in rows] == expected


def test_one_more_neighbour_moves_a_bound_by_at_most_one():
    """What the search leaps by."""
    drawn = Hypergeometric(400, 60, 200)
    for instance in (Instance(170, 60, 30, False, drawn), Instance(180, 60, 10, True, drawn, 5, 7)):
        each = [degree.bounds(instance, k) for k in range(1, 165)]
        for one, other in pairwise(each):
            assert other.least - one.least in (0, 1)
            assert other.most - one.most in (0, 1)
        splits = [instance.connectivity.split(k) for k in range(1, 165)]
        assert all(other <= one for one, other in pairwise(splits))


# -- what the tails mean ------------------------------------------------------------------------------------


def ring_neighbours(member, n, k):
    return {(member + step) % n for step in range(-k // 2, k // 2 + 1)} - {member}


@pytest.mark.parametrize(("owners", "corrupt", "cohort", "n", "k", "t"), [(12, 4, 9, 8, 2, 2), (14, 5, 10, 8, 4, 3)])
def test_bounds_cover_every_cohort_and_every_placement(owners, corrupt, cohort, n, k, t):
    """Of the corrupt in a cohort, all of whom stay in a roster of n, on a ring with random labels."""
    drawn = Hypergeometric(owners, corrupt, cohort)
    for lying in (False, True):
        instance = Instance(n, corrupt, 0, lying, drawn)
        collected = 2 * t - k if lying else t
        true = Fraction(0)
        for c, share in cohorts(drawn).items():
            placements = list(combinations(range(n), c))
            bad = sum(
                any(len(ring_neighbours(each, n, k) & set(placed)) >= collected for each in set(range(n)) - set(placed))
                for placed in placements
            )
            true += share * Fraction(bad, len(placements))
        assert 0 < true <= degree.privacy_failure(instance, k, t)


def is_split(missing, n, k):
    """Whether those that are left on the ring are not connected."""
    left = set(range(n)) - missing
    reached = set(sorted(left)[:1])
    while grown := {other for one in reached for other in ring_neighbours(one, n, k) & left} - reached:
        reached |= grown
    return reached != left


def cuts_of(places, batch):
    """Every way to cut so many places into batches."""
    if not places:
        yield []
        return
    for others in combinations(places[1:], batch - 1):
        taken = {places[0], *others}
        for rest in cuts_of([place for place in places if place not in taken], batch):
            yield [taken, *rest]


@pytest.mark.parametrize(("n", "batch", "lost", "k"), [(8, 2, 4, 2), (8, 2, 4, 4), (9, 3, 6, 4), (8, 4, 4, 2)])
def test_the_union_over_batches_covers_a_lead_that_has_seen_the_ring(n, batch, lost, k):
    """Every cut of the ring, with a corrupt owner at place 0: the lead loses batches that split the honest survivors,
    where there are such."""
    cuts = list(cuts_of(list(range(n)), batch))
    bad = sum(
        any(
            is_split({0}.union(*gone), n, k)
            for count in range(lost // batch + 1)
            for gone in combinations(batches, count)
        )
        for batches in cuts
    )
    chosen, drawn = (slow_split(Instance(n, 1, lost, True, batch=each), k) for each in (batch, None))
    assert 0 < Fraction(bad, len(cuts)) <= chosen
    assert drawn < chosen


# -- the table ----------------------------------------------------------------------------------------------

ROUNDS = (("curious", 1), ("lying", 1), ("lying", 1000))
COHORTS = [
    (1000, 100, "0.05", "0.05", 24, (51, 63, 64), ((20, 14), (26, 21), (28, 23))),
    (1000, 100, "0.05", "0.3", 24, (51, 63, 64), ((46, 20), (86, 56), (88, 58))),
    (1000, 100, "0.1", "0.05", 34, (51, 68, 70), ((24, 19), (32, 27), (34, 29))),
    (1000, 100, "0.1", "0.3", 34, (51, 68, 70), ((58, 29), (96, 66), None)),
    (10**4, 1000, "0.05", "0.3", 102, (501, 552, 555), ((70, 26), (354, 206), (376, 221))),
    (10**4, 1000, "0.1", "0.3", 169, (501, 585, 590), ((96, 40), (486, 297), (510, 314))),
    (10**4, 100, "0.1", "0.3", 36, (51, 69, None), ((60, 30), (98, 68), None)),
    (100, 20, "0.05", "0.3", 5, (11, 13, 13), (11, 13, 13)),
    (100, 20, "0.1", "0.3", 10, (11, None, None), (11, None, None)),
    (100, 20, "0.1", "0.2", 10, (11, 16, 16), (11, 16, 16)),
]
CELLS = [(*row[:5], row[5][i], row[6][i], *which) for row in COHORTS for i, which in enumerate(ROUNDS)]


@pytest.mark.parametrize(("owners", "cohort", "corrupt", "dropout", "n_c", "t", "graph", "threat", "rounds"), CELLS)
def test_the_table_of_cohorts(owners, cohort, corrupt, dropout, n_c, t, graph, threat, rounds):
    who = population(owners, corrupt, dropout, threat, per_round=cohort, rounds=rounds)
    if rounds == 1:
        assert who.corrupt_owners == n_c
    found = {}
    for protocol, expected in (("secagg", t), ("secagg+", graph)):
        if expected is None:
            with pytest.raises(Infeasible, match=r"out of reach|finds no graph"):
                choose(protocol, who)
            continue
        found[protocol] = row = choose(protocol, who)
        assert row.threshold == expected if row.complete else (row.neighbours, row.threshold) == expected
        assert row.complete == (protocol == "secagg" or cohort <= 50)
        assert row.privacy_bits >= 40
    if graph == (96, 66) or t == 70 == cohort - 30:  # all that are left
        assert found["secagg"].threshold <= cohort - math.floor(Fraction(dropout) * cohort)


def test_seventy_are_all_that_are_left():
    who = population(1000, "0.1", "0.3", "lying", per_round=100, rounds=1000)
    assert who.roster_floor == 70
    assert choose("secagg", who).threshold == 70 == who.quorum()


@pytest.mark.parametrize(
    ("owners", "cohort", "corrupt", "dropout", "threat", "old", "bits"),
    [
        (1000, 100, 100, 30, "curious", (34, 11), 5.4),
        (1000, 100, 50, 5, "lying", (16, 11), 7.3),
        (10**4, 1000, 1000, 300, "curious", (88, 36), 35.5),
    ],
)
def test_what_rows_with_corruption_scaled_to_the_cohort_are_worth(owners, cohort, corrupt, dropout, threat, old, bits):
    instance = Instance(cohort, corrupt, dropout, threat == "lying", Hypergeometric(owners, corrupt, cohort))
    scaled = Instance(cohort, corrupt * cohort // owners, dropout, threat == "lying")
    assert (degree.search(scaled).neighbours, degree.search(scaled).threshold) == old
    assert degree.privacy_failure(scaled, *old) <= 2.0**-40
    assert -math.log2(degree.privacy_failure(instance, *old)) == pytest.approx(bits, abs=0.05)


@pytest.mark.parametrize(
    ("owners", "corrupt", "dropout", "before", "after"),
    [(1000, "0.05", "0.05", (52, 37), (54, 39)), (1000, "0.1", "0.3", (414, 247), (430, 258))],
)
def test_a_thousand_rounds_of_three_attempts_take_twelve_bits_more(owners, corrupt, dropout, before, after):
    """Also where everyone is in every round: the lead aborts attempts until a graph suits it."""
    once = choose("secagg+", population(owners, corrupt, dropout, "lying"))
    often = choose("secagg+", population(owners, corrupt, dropout, "lying", rounds=1000, attempts=3))
    assert (once.neighbours, once.threshold) == before
    assert (often.neighbours, often.threshold) == after
    assert often.privacy_bits >= 40
    curious = population(owners, corrupt, dropout, rounds=1000, attempts=3)
    assert choose("secagg+", curious) == choose("secagg+", population(owners, corrupt, dropout))


@pytest.mark.parametrize(
    ("owners", "corrupt", "dropout", "batch", "before", "after"),
    [
        (1000, "0.05", "0.05", 13, (52, 37), (52, 37)),
        (1000, "0.1", "0.3", 16, (414, 247), (414, 247)),
        (10**4, "0.05", "0.05", 14, (62, 44), (80, 55)),
        (10**4, "0.1", "0.1", 17, (122, 85), (144, 98)),
        (10**4, "0.1", "0.3", 17, (778, 465), (778, 465)),
    ],
)
def test_whole_batches_that_a_lying_lead_may_lose(owners, corrupt, dropout, batch, before, after):
    without = choose("secagg+", population(owners, corrupt, dropout, "lying"))
    found = choose("secagg+", population(owners, corrupt, dropout, "lying", batch=batch))
    assert (without.neighbours, without.threshold) == before
    assert (found.neighbours, found.threshold) == after
    assert without.minimum_cohort_limit is not None
    assert found.minimum_cohort_limit is None
    assert found.privacy_bits >= 40
    curious = choose("secagg+", population(owners, corrupt, dropout, batch=batch))
    assert curious == choose("secagg+", population(owners, corrupt, dropout))


def test_corrupt_owners_are_rounded_up_in_a_run():
    """(8, 2), of ⌊1.19⌋ = 1 corrupt owner of 119: two of them hold an honest owner's secret in many graphs."""
    who = population(119, "0.01", "0.05")
    row = searched(who)
    assert (row.neighbours, row.threshold, row.privacy_bits) == (8, 2, 128)
    instance = who.instance(119)
    assert degree.privacy_failure(instance, 8, 2) > 0.136
    found = choose("secagg+", who)
    assert (found.neighbours, found.threshold) == (8, 3)
    with pytest.raises(Infeasible, match="threshold 2 with 8 neighbours must be 3 to "):
        choose("secagg+", who, threshold=2, neighbours=8)
    planned = plan(GraphPolicy("secagg+", who))
    assert (planned.reported, planned.run) == (row, found)
    assert planned.notes == (
        "The published search counts 1 corrupt owners, rounded down; a run rounds up to 2: 8 neighbours, threshold 3.",
    )


# -- stated bits --------------------------------------------------------------------------------------------


STATED = [
    population(1000, "0.1", "0.3", per_round=100),
    population(1000, "0.05", "0.05", "lying", per_round=100),
    population(1000, "0.1", "0.05", "lying", per_round=100, rounds=1000, attempts=2),
    population(1000, "0.1", "0.05", "lying", per_round=100, rounds=50, batch=16),
    population(400, "0.1", "0.1", per_round=200),
]


@pytest.mark.parametrize("who", STATED)
@pytest.mark.parametrize("left_out", [0, 3])
def test_stated_bits_are_no_more_than_the_true_ones(who, left_out):
    """Against rationals, with everyone's events added up: split, both secrets collected, two sets certified."""
    n = who.cohort - left_out
    row, instance, drawn = choose("secagg+", who, n), who.instance(n), Hypergeometric(who.owners, 0, 0)
    drawn = instance.present
    k, t, shares = row.neighbours, row.threshold, cohorts(drawn)
    graphs, rounds = 2**who.graph_bits, 2**who.cohort_bits
    collected = 2 * t - k if who.lying else t
    near = graphs * n * slow_tail(instance, k, collected - 1)
    cohort_has = {x: rounds * sum(shares[c] for c in shares if c >= x) for x in range(drawn.high + 3)}
    twice = 2 * who.quorum() - who.cohort if who.lying else drawn.high + 1
    exposed = min(near + cohort_has[twice], cohort_has[min(collected, twice)])
    true = -math.log2(graphs * slow_split(instance, k) + exposed)
    assert true - 0.011 <= row.privacy_bits <= true + 1e-6
    assert row.privacy_bits >= 40


@pytest.mark.parametrize("threat", ["curious", "lying"])
def test_bits_of_a_complete_graph_are_those_of_its_cohort(threat):
    who = population(1000, "0.1", "0.3", threat, per_round=100)
    found = choose("secagg", who)
    shares = cohorts(Hypergeometric(1000, 100, 100))
    collected = 2 * found.threshold - 100 if threat == "lying" else found.threshold
    true = -math.log2(sum(shares[c] for c in shares if c >= collected))
    assert true - 0.011 <= found.privacy_bits <= true
    assert 41 <= found.privacy_bits < 128
    assert choose("secagg", population(100, "0.1", "0.3", threat)).privacy_bits == 128


def test_the_corrupt_of_a_shrunken_roster_are_those_of_its_cohort():
    who = population(1000, "0.05", "0.3", "lying", per_round=100)
    assert choose("secagg", who, 70).threshold == (70 + 24) // 2 + 1
    whole, less = (degree.bounds(who.instance(n), 40).corrupt_neighbours for n in (100, 90))
    assert less >= whole


# -- the quorum ---------------------------------------------------------------------------------------------


def test_two_rosters_of_one_attempt_cannot_both_be_certified():
    """N = 50, γ = .1, δ = .3: two rosters of 35, every honest owner signs once, every corrupt one twice."""
    who = population(50, "0.1", "0.3", "lying")
    policy = GraphPolicy("secagg", who)
    corrupt = who.corrupt_owners
    honest = who.owners - corrupt

    def both(quorum):
        return any(first + corrupt >= quorum and honest - first + corrupt >= quorum for first in range(honest + 1))

    roster = who.roster_floor
    assert not both(policy.quorum(roster))
    assert both((roster + corrupt) // 2 + 1)  # as many as a quorum of the roster


@pytest.mark.parametrize("members", [70, 85, 100])
def test_a_quorum_does_not_shrink_with_the_roster(members):
    policy = GraphPolicy("secagg", population(100, "0.1", "0.3", "lying"))
    assert policy.quorum(members) == 56
    by_hand = GraphPolicy("secagg", population(100, "0.1", "0.3", "lying"), threshold=60)
    assert by_hand.quorum(100) == 60


# -- populations --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"per_round": 0}, "per_round = 0: must be 1 to 100"),
        ({"per_round": 101}, "per_round = 101: must be 1 to 100"),
        ({"batch": 0}, "batch = 0: must be 1 to 100"),
        ({"batch": 101}, "batch = 101"),
        ({"rounds": 0}, "rounds = 0: must be 1 or more"),
        ({"attempts": 0}, "attempts = 0: must be 1 or more"),
    ],
)
def test_populations_without_meaning_are_refused(more, says):
    with pytest.raises(Infeasible, match=says):
        population(100, "0.1", "0.3", **more)


def test_everyone_in_every_round_is_the_population():
    plain, all_of_it = population(1000, "0.1", "0.3", "lying"), population(1000, "0.1", "0.3", "lying", per_round=1000)
    assert plain.corrupt_owners == all_of_it.corrupt_owners == plain.all_corrupt == 100
    assert choose("secagg+", plain) == choose("secagg+", all_of_it)


def test_a_refusal_says_how_many_of_whom():
    with pytest.raises(Infeasible, match="threshold 71 is out of reach for 100 of 10000 owners with"):
        choose("secagg", population(10**4, "0.1", "0.3", "lying", per_round=100, rounds=1000))
    with pytest.raises(Infeasible, match="for 70 of 100 of 1000 owners with"):
        choose("secagg", population(1000, "0.1", "0.3", "lying", per_round=100), 70)


@pytest.mark.parametrize(
    ("cohort", "corrupt", "dropout", "threat", "batch"),
    [
        (10**6, "0.1", "0.3", "lying", 24),
        (500_000, "0.1", "0.2", "curious", 1),
        (500_000, "0.1", "0.1", "lying", 19),
        (5_000, "0.1", "0.1", "lying", 19),
        (10**6, "0.0000015", "0.3", "curious", 1),
    ],
)
def test_a_million_owners_in_time(cohort, corrupt, dropout, threat, batch):
    """With the smallest roster and, where they differ, the published row."""
    who = population(10**6, corrupt, dropout, threat, per_round=cohort, rounds=1000, attempts=3, batch=batch)
    started = time.process_time()
    assert plan(GraphPolicy("secagg+", who)).run is not None
    assert time.process_time() - started < 2
