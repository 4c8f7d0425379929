"""What two sums give away: by how few owners, or batches, their sets differ, against all sets there may be."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.accounts import sets_of

from asyncagg.protocols.batches import Batches, set_of
from asyncagg.protocols.ledger.disclosure import SetRange, bits, set_range, smallest_difference
from asyncagg.protocols.ledger.entries import Entry
from asyncagg.protocols.names import Label


def ranges(units):
    """Any range over so few units."""
    return st.integers(1, 2**units - 1).flatmap(
        lambda members: st.builds(SetRange, st.just(members), st.integers(1, members.bit_count()), st.booleans())
    )


@given(ranges(6), ranges(6))
def test_the_smallest_difference_is_that_of_all_sets_there_may_be(one, other):
    differences = [(a ^ b).bit_count() for a in sets_of(one) for b in sets_of(other)]
    assert smallest_difference(one, other) == min((count for count in differences if count), default=0)


@given(st.sets(st.integers(0, 200)))
def test_bits(members):
    assert bits(sum(1 << member for member in members)) == tuple(sorted(members))


CUT = Batches(11, 3, bytes(32))


def entry(members, least=None):
    state = "known" if least is None else "possible"
    return Entry(Label(0, 1), bytes(32), members, least or members.bit_count(), state)


def union(numbers):
    return set_of(owner for number in numbers for owner in bits(CUT.batch(number)))


@pytest.mark.parametrize("numbers", [each for count in (1, 2, 3) for each in combinations(range(3), count)])
def test_with_batches_sets_are_of_batches(numbers):
    assert set_range(entry(union(numbers)), CUT) == SetRange(set_of(numbers), len(numbers), True)


@pytest.mark.parametrize("least", range(1, 12))
def test_no_set_that_may_be_is_left_out(least):
    """Fewest batches that may hold so many owners, and not one more; batches here have four, four and three."""
    fewest = min(
        count for count in (1, 2, 3) if any(union(each).bit_count() >= least for each in combinations(range(3), count))
    )
    assert set_range(entry(CUT.everyone, least), CUT) == SetRange(0b111, fewest, False)


def test_owners_whose_mates_were_not_invited_cannot_be_in_a_sum():
    invited = union([0]) | 1 << bits(CUT.batch(1))[0]
    assert set_range(entry(invited, 2), CUT) == SetRange(0b1, 1, False)
    assert set_range(entry(1 << bits(CUT.batch(1))[0], 1), CUT).members == 0


def test_a_sum_that_tears_a_batch_is_a_mistake_of_whoever_opened_it():
    with pytest.raises(ValueError, match="only whole batches are added up"):
        set_range(entry(union([0]) & ~(1 << bits(CUT.batch(0))[0])), CUT)
