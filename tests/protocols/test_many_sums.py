"""Many sums of the same owners together: with whole batches one sum a batch, without them every single input.

A sum over a set of owners is a row of zeros and ones. What all sums of a run tell is the span of their rows; that of
corrupt owners' columns is known anyway. Here the rows are drawn, or chosen by a lead that leaves out whom it likes.
"""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from asyncagg.protocols.batches import Batches, indices_in, set_of
from asyncagg.protocols.ledger.span import PRIME, Span

CASES = [(12, 4, 1), (24, 4, 2)]


def basis(rows):
    """Independent rows with the same span, by elimination modulo a prime; exact for so few rows of zeros and ones."""
    found = []
    for row in rows:
        rest = list(row)
        for pivot, other in found:
            if rest[pivot]:
                factor = rest[pivot]
                rest = [(a - factor * b) % PRIME for a, b in zip(rest, other, strict=True)]
        first = next((place for place, value in enumerate(rest) if value), None)
        if first is not None:
            scale = pow(rest[first], -1, PRIME)
            found.append((first, [value * scale % PRIME for value in rest]))
    return [row for _, row in found]


def row_of(members, owners):
    return [members >> owner & 1 for owner in owners]


def least_support(sets, honest):
    """Fewest honest owners on whom some combination of the sums, freed of the corrupt ones' inputs, depends; None: on
    nobody."""
    rows = basis([row_of(members, honest) for members in sets])
    for count in range(1, len(honest) + 1):
        for chosen in combinations(range(len(honest)), count):
            rest = [[value for place, value in enumerate(row) if place not in chosen] for row in rows]
            if len(basis(rest)) < len(rows):
                return count
    return None


def span_of(sets, owners):
    span = Span.empty(owners)
    for members in sets:
        span = span.extended(members)
    return span


def random_rounds(owners, rounds, loss, draw):
    return [set_of(owner for owner in range(owners) if draw.random() >= loss) for _ in range(rounds)]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("owners", "size", "corrupt"), CASES)
def test_random_losses_tell_one_sum_a_batch(owners, size, corrupt, seed):
    draw = random.Random(seed)
    cut = Batches(owners, size, draw.randbytes(32))
    rounds = draw.randint(30, 60)
    sets = [cut.inside(present) for present in random_rounds(owners, rounds, 0.1, draw)]
    assert all(cut.whole(members) for members in sets)
    span = span_of(sets, owners)
    assert 1 <= len(span.pivots) <= cut.count
    assert span.exposed() == ()
    honest = list(range(corrupt, owners))
    fewest = min(sum(owner >= corrupt for owner in indices_in(cut.batch(each))) for each in range(cut.count))
    assert least_support(sets, honest) == fewest >= size - corrupt >= 2


@pytest.mark.parametrize("seed", range(20))
def test_without_batches_the_same_losses_tell_every_input(seed):
    draw = random.Random(seed)
    sets = random_rounds(12, 30, 0.1, draw)
    span = span_of(sets, 12)
    assert len(span.pivots) >= 11
    assert span.exposed()
    assert least_support(sets, list(range(1, 12))) == 1


@pytest.mark.parametrize("seed", range(5))
def test_a_lead_that_leaves_out_whom_it_likes_tells_no_more(seed):
    """N = 12, T = 3: it leaves out any two or three owners, in this run and the next with the same keys."""
    cut = Batches(12, 3, bytes([seed]) * 32)
    wanted = [cut.everyone & ~set_of(gone) for count in (2, 3) for gone in combinations(range(12), count)]
    released = [members for members in wanted if cut.whole(members)]
    assert len(released) == 4  # a batch of three each; no two owners are one
    for sets in (released, [cut.inside(members) for members in wanted]):
        span = span_of(sets, 12)
        assert len(span.pivots) <= 4
        assert span.exposed() == ()
        assert least_support(sets, list(range(1, 12))) >= 2
    assert span_of(wanted, 12).exposed() == tuple(range(12))


def torn_only_elsewhere(cut, owner, members):
    """The rule that does not do: each owner looks at its own batch."""
    return members & cut.batch(cut.batch_of(owner)) == cut.batch(cut.batch_of(owner))


def test_a_check_of_ones_own_batch_only_is_not_enough():
    """N = 12, T = 3, t = 7: the nine owners of other batches would open a set of eleven."""
    cut = Batches(12, 3, bytes(32))
    members = cut.everyone & ~1
    agree = [owner for owner in indices_in(members) if torn_only_elsewhere(cut, owner, members)]
    assert len(agree) == 9 >= 7
    assert span_of([cut.everyone, members], 12).exposed() == (0,)
    assert not cut.whole(members)


def cut_again(owners, size, corrupt, cuts, seed):
    """The sums of the batches of so many cuts, and the inputs of the corrupt, who know theirs."""
    made = [Batches(owners, size, bytes([seed, number]) * 16) for number in range(cuts)]
    return [1 << owner for owner in range(corrupt)] + [cut.batch(each) for cut in made for each in range(cut.count)]


@pytest.mark.parametrize("seed", range(20))
def test_another_cut_of_the_same_owners_opens_pairs_and_then_single_ones(seed):
    """N = 12, T = 3: so a cut is made once for an identity list."""
    two, four = (cut_again(12, 3, 1, cuts, seed) for cuts in (2, 4))
    assert least_support(two, list(range(1, 12))) <= 2
    assert len(span_of(four, 12).exposed()) > 1


@pytest.mark.parametrize(("owners", "size", "corrupt", "cuts"), [(50, 7, 5, 8), (100, 12, 10, 14)])
def test_many_cuts_solve_for_all_inputs(owners, size, corrupt, cuts):
    """As many cuts as were made again because owners stayed away; of one cut nothing is solved."""
    for seed in range(3):
        assert len(span_of(cut_again(owners, size, corrupt, cuts, seed), owners).exposed()) == owners
        assert len(span_of(cut_again(owners, size, corrupt, 1, seed), owners).exposed()) == corrupt
