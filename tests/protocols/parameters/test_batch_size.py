"""How large batches are, what that is worth, and what is lost with them: the tables, and exact references."""

from __future__ import annotations

import math
import random
import time
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncagg.protocols.batches import Batches, indices_in
from asyncagg.protocols.parameters import batch_size as sizes
from asyncagg.protocols.parameters.batch_size import (
    auto_batch,
    batch_bits,
    batch_figures,
    covered_loss,
    covering_dropout,
    expected_share,
    has_bits,
    most_corrupt,
    rounds_that_end,
    usually_lost,
)
from asyncagg.protocols.parameters.hypergeometric import Hypergeometric
from asyncagg.protocols.parameters.population import Infeasible, Population, exact


def population(owners, corrupt, dropout, threat="lying", **more):
    return Population(owners, exact(corrupt), exact(dropout), threat, **more)


# -- how large ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owners", "chosen"),
    [
        (10, (3, 3, 3, 4)),
        (12, (3, 3, 4, 5)),
        (50, (3, 5, 7, 12)),
        (100, (3, 7, 12, 17)),
        (200, (4, 11, 14, 20)),
        (500, (7, 12, 15, 21)),
        (1000, (8, 13, 16, 22)),
        (10**4, (9, 14, 17, 24)),
    ],
)
def test_the_table_of_sizes(owners, chosen):
    """Columns: γ = .01, .05, .1, .2."""
    rates = ("0.01", "0.05", "0.1", "0.2")
    assert tuple(sizes.batch_size(population(owners, rate, 0), "auto") for rate in rates) == chosen
    assert sizes.batch_size(population(owners, 0, 0), "auto") == 2


def test_the_row_of_half_the_bits():
    corrupt = (10, 50, 100, 200)
    assert [auto_batch(1000, each, bits=20) for each in corrupt] == [6, 8, 10, 14]


def slow_failure(owners, corrupt, batch, honest):
    """B·Pr[Hyp(N, A, T) > T − h] in rationals."""
    bad = sum(
        math.comb(corrupt, c) * math.comb(owners - corrupt, batch - c)
        for c in range(max(0, batch - honest + 1), batch + 1)
    )
    return Fraction(owners // batch * bad, math.comb(owners, batch))


cases = st.integers(3, 80).flatmap(
    lambda n: st.tuples(st.just(n), st.integers(0, n - 3), st.integers(2, 3), st.sampled_from([1, 7, 20, 40]))
)


@given(cases)
def test_the_size_is_the_least_of_its_bits(case):
    owners, corrupt, honest, bits = case
    enough = [t for t in range(1, owners + 1) if slow_failure(owners, corrupt, t, honest) <= Fraction(1, 2**bits)]
    assert auto_batch(owners, corrupt, honest, bits) == enough[0] <= corrupt + honest
    assert enough == list(range(enough[0], owners + 1))
    for batch in range(1, owners + 1):
        assert has_bits(owners, corrupt, batch, bits, honest) == (batch in enough)


def test_integers_decide_where_floats_cannot(monkeypatch):
    rows = [(1000, 100), (100, 5), (500, 100)]
    expected = [auto_batch(*row) for row in rows]
    monkeypatch.setattr(Hypergeometric, "error", property(lambda self: 20.0))
    assert [auto_batch(*row) for row in rows] == expected


@given(cases)
def test_bits_are_those_of_the_bound(case):
    owners, corrupt, honest, _ = case
    for batch in range(1, owners + 1):
        failure = slow_failure(owners, corrupt, batch, honest)
        bits = batch_bits(owners, corrupt, batch, honest)
        if failure == 0:
            assert bits is None
            assert batch >= corrupt + honest
        else:
            assert bits == pytest.approx(min(128.0, max(0.0, -math.log2(failure))), abs=0.011)
            assert bits <= min(128.0, max(0.0, -math.log2(failure)) + 1e-9)


def test_the_bound_covers_the_cuts_that_are_made():
    """5,000 seeds, N = 12 with 3 corrupt in batches of 3: some batch has fewer than two honest owners in as many cuts
    as the bound says, or fewer; and in many."""
    corrupt, draw = {0, 1, 2}, random.Random(7)
    bad = 0
    for _ in range(5000):
        cut = Batches(12, 3, draw.randbytes(32))
        bad += any(len(set(indices_in(cut.batch(number))) - corrupt) < 2 for number in range(cut.count))
    bound = slow_failure(12, 3, 3, 2)
    assert 0.8 * bound < bad / 5000 < bound + 3 * (bound / 5000) ** 0.5


@pytest.mark.parametrize("corrupt", [0, 10_000, 100_000, 333_333, 990_000, 999_998])
def test_a_million_owners_in_time(corrupt):
    started = time.process_time()
    size = auto_batch(10**6, corrupt)
    assert time.process_time() - started < 2
    assert has_bits(10**6, corrupt, size, 40)
    assert not has_bits(10**6, corrupt, size - 1, 40)


def test_most_corrupt_is_what_a_size_withstands():
    assert most_corrupt(100, 7) == 5
    assert most_corrupt(100, 2) == 0
    assert most_corrupt(100, 2, honest=3) == -1
    for batch in range(3, 20):
        most = most_corrupt(100, batch)
        assert auto_batch(100, most) <= batch < auto_batch(100, most + 1)


def test_room_for_an_eviction_is_one_honest_owner_more():
    """Where T = A + h it is one owner more."""
    assert auto_batch(12, 1) == 3
    assert auto_batch(12, 1, honest=3) == 4
    assert auto_batch(1000, 100, honest=3) > auto_batch(1000, 100)


# -- by hand ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "says"),
    [
        (0, 'batch = 0: must be 1 (no batches) to 100, all owners, or "auto"'),
        (-3, "must be 1 (no batches) to 100"),
        (101, "batch = 101: must be 1 (no batches) to 100"),
        (2, "batch = 2: with 10 of 100 owners corrupt, some batch is likely to have fewer than 2 honest owners (at "),
    ],
)
def test_sizes_that_are_worth_nothing_are_refused_in_words(batch, says):
    with pytest.raises(Infeasible) as refusal:
        sizes.batch_size(population(100, "0.1", "0.3"), batch)
    assert says in str(refusal.value)


def test_the_least_size_by_hand_is_the_one_that_the_refusal_names():
    who = population(100, "0.1", "0.3")
    with pytest.raises(Infeasible, match=r'at least 4 by hand; "auto" is 12\)'):
        sizes.batch_size(who, 3)
    assert sizes.batch_size(who, 4) == 4
    assert sizes.batch_size(who, 1) == 1
    assert sizes.batch_size(who, 100) == 100


def test_too_few_honest_owners_are_refused_in_words():
    with pytest.raises(Infeasible, match="3 owners with 2 corrupt cannot be cut into batches with 2 honest ones each"):
        sizes.batch_size(population(3, "0.5", 0), "auto")


# -- what is lost -------------------------------------------------------------------------------------------

LOSSES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1)
SHARES = {
    3: (".997", ".985", ".970", ".941", ".857", ".729"),
    8: (".992", ".961", ".923", ".851", ".663", ".430"),
    13: (".987", ".937", ".878", ".769", ".513", ".254"),
    17: (".983", ".918", ".843", ".709", ".418", ".167"),
}
COVERING = {
    3: (".02", ".06", ".10", ".20"),
    8: (".04", ".15", ".25", ".47"),
    13: (".06", ".24", ".38", ".66"),
    17: (".07", ".30", ".47", ".78"),
}


@pytest.mark.parametrize("batch", SHARES)
def test_the_table_of_shares(batch):
    assert tuple(f"{expected_share(batch, loss):.3f}"[1:] for loss in LOSSES) == SHARES[batch]


@pytest.mark.parametrize("batch", COVERING)
def test_the_table_of_dropouts_that_cover_a_loss(batch):
    found = tuple(f"{covering_dropout(1000, batch, loss):.2f}"[1:] for loss in (0.001, 0.01, 0.02, 0.05))
    assert found == COVERING[batch]


def simulated(owners, batch, loss, rounds, seed):
    """Owners lost in each round, all of a batch with one of it."""
    draw = random.Random(seed)
    cut = Batches(owners, batch, bytes(32))
    lost = []
    for _ in range(rounds):
        present = sum(1 << owner for owner in range(owners) if draw.random() >= loss)
        lost.append(owners - cut.inside(present).bit_count())
    return lost


@pytest.mark.parametrize(("batch", "loss"), [(3, 0.01), (8, 0.02), (13, 0.05)])
def test_shares_and_usual_losses_are_those_of_simulated_rounds(batch, loss):
    lost = simulated(1000, batch, loss, 400, batch)
    assert 1 - sum(lost) / 400 / 1000 == pytest.approx(expected_share(batch, loss), abs=0.012)
    usual = usually_lost(1000, batch, loss)
    assert sum(each <= usual for each in lost) >= 0.98 * 400
    assert max(lost) > 0.7 * usual


def test_the_loss_that_a_dropout_covers():
    for batch in (3, 8, 13, 17):
        for loss in (0.001, 0.01, 0.02, 0.05):
            dropout = covering_dropout(1000, batch, loss)
            assert covered_loss(1000, batch, int(dropout * 1000)) >= Decimal(str(loss))
            assert covered_loss(1000, batch, int((dropout - Decimal("0.01")) * 1000)) < Decimal(str(loss))
    assert covered_loss(1000, 13, 12) == 0
    rates = [covered_loss(1000, 13, lost) for lost in range(13, 1000)]
    assert all(one <= other for one, other in pairwise(rates))


def test_seventy_percent_of_rounds_end_at_first():
    """N = 12, T = 3, 10 % lost, δ = .3: at most one batch of four."""
    assert rounds_that_end(4, 3, 1, 0.1) == pytest.approx(0.70, abs=0.005)
    lost = simulated(12, 3, 0.1, 2000, 1)
    assert sum(each <= 3 for each in lost) / 2000 == pytest.approx(0.70, abs=0.03)


@settings(max_examples=50)
@given(st.integers(1, 30), st.integers(1, 9), st.integers(0, 30), st.floats(0, 1))
def test_rounds_that_end_are_a_binomial_tail(batches, batch, may_be_lost, loss):
    stays = (1 - loss) ** batch
    slow = sum(
        math.comb(batches, i) * (1 - stays) ** i * stays ** (batches - i) for i in range(min(may_be_lost, batches) + 1)
    )
    assert rounds_that_end(batches, batch, may_be_lost, loss) == pytest.approx(slow, abs=1e-9)


# -- all of it ----------------------------------------------------------------------------------------------


def test_the_figures_of_a_hundred_owners():
    """What `check` says of them: 8 batches of 12 or 13, certain, 2 may be lost, 3 owners end every round."""
    found = batch_figures(population(100, "0.1", "0.3", batch=12))
    assert (found.batches, found.smallest, found.largest, found.bits) == (8, 12, 13, None)
    assert (found.lost, found.batches_lost, found.any_batches_lost, found.blockers) == (30, 2, 2, 3)
    assert found.lost_in_all == 100 - 56
    assert found.corrupt_can_block
    assert [found.nobody_may_be_missing, found.one_batch, found.weak] == [False] * 3
    assert found.share(0.01) == expected_share(12, 0.01)
    assert found.rounds_that_end(0.01) == rounds_that_end(8, 12, 2, 0.01)
    assert found.covered_loss == covered_loss(96, 12, 30)


@pytest.mark.parametrize(("owners", "batch", "blockers"), [(100, 1, 31), (100, 12, 3), (1000, 1, 301), (1000, 16, 19)])
def test_how_many_end_every_round_by_staying_away(owners, batch, blockers):
    found = batch_figures(population(owners, "0.1", "0.3", batch=batch))
    assert found.blockers == blockers
    assert found.corrupt_can_block == (blockers <= owners // 10)


def test_figures_that_are_warned_about():
    none = batch_figures(population(12, "0.15", "0.25", batch=4))
    assert none.nobody_may_be_missing
    assert none.blockers == 1
    assert none.covered_loss == 0
    one = batch_figures(population(12, "0.15", "0.25", batch=7))
    assert one.one_batch
    assert (one.batches, one.largest) == (1, 12)
    weak = batch_figures(population(1000, "0.1", "0.3", batch=8))
    assert weak.weak
    assert weak.bits == 13.69
    assert not batch_figures(population(1000, "0.1", "0.3", batch=16)).weak


def test_batches_larger_than_their_size_may_be_fewer_to_lose():
    """Five batches of 4 or 5 in 23 owners: 8 lost are two of the smaller ones, and one of any."""
    found = batch_figures(population(23, 0, "0.35", batch=4))
    assert (found.lost, found.batches_lost, found.any_batches_lost) == (8, 2, 1)


def test_figures_of_a_cohort_are_counted_in_it():
    found = batch_figures(population(1000, "0.1", "0.3", batch=16, per_round=200, rounds=100))
    assert (found.batches, found.in_round, found.lost, found.batches_lost) == (62, 12, 60, 3)
    assert batch_figures(population(100, "0.1", "0.3", "curious", batch=12)).lost_in_all is None
