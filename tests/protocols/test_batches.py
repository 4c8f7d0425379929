"""The cut into batches: to the letter, and whole sets of owners told from torn ones."""

from __future__ import annotations

import hashlib
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.known_answers import vectors

from asyncagg.protocols.batches import Batches, indices_in, set_of
from asyncagg.protocols.wire import to_bitmap

SEED = bytes(range(32))

cuts = st.integers(1, 40).flatmap(
    lambda n: st.builds(Batches, st.just(n), st.integers(1, n), st.binary(min_size=32, max_size=32))
)
cuts_and_sets = cuts.flatmap(lambda cut: st.tuples(st.just(cut), st.integers(0, cut.everyone)))


def members_of(batches: Batches) -> list[tuple[int, ...]]:
    return [indices_in(batches.batch(number)) for number in range(batches.count)]


@pytest.mark.parametrize("vector", vectors("batches"))
def test_known_answers(vector):
    def cut():
        return Batches(vector["owners"], vector["size"], bytes.fromhex(vector["seed"]))

    if not vector["success"]:
        with pytest.raises(ValueError, match=r"must be 1 to|must be 32"):
            cut()
    elif "digest" in vector:
        order = b"".join(owner.to_bytes(4, "little") for members in members_of(cut()) for owner in members)
        assert hashlib.sha256(order).hexdigest() == vector["digest"]
    else:
        assert members_of(cut()) == [tuple(members) for members in vector["batches"]]


@given(cuts)
def test_every_owner_is_in_one_batch_and_the_first_ones_are_larger(cut):
    batches = members_of(cut)
    assert sorted(owner for members in batches for owner in members) == list(range(cut.owners))
    sizes = [len(members) for members in batches]
    assert len(sizes) == cut.count == cut.owners // cut.size
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[0], sizes[-1]) == (cut.largest, cut.owners // cut.count)
    assert sum(size == cut.owners // cut.count + 1 for size in sizes) == cut.owners % cut.count
    for number, members in enumerate(batches):
        for owner in members:
            assert cut.batch_of(owner) == number
            assert indices_in(cut.mates(owner)) == tuple(each for each in members if each != owner)


@given(cuts_and_sets)
def test_a_set_is_whole_if_every_batch_is_in_it_or_not_at_all(given):
    """Against the sentence itself, owner by owner."""
    cut, members = given
    there = set(indices_in(members))
    torn = [batch for batch in members_of(cut) if there & set(batch) and not there >= set(batch)]
    assert cut.whole(members) == (not torn)
    inside = {owner for batch in members_of(cut) if there >= set(batch) for owner in batch}
    assert cut.inside(members) == set_of(inside)
    assert cut.whole(cut.inside(members))
    missing = {owner: tuple(o for o in batch if o not in there) for batch in torn for owner in batch if owner in there}
    assert cut.with_their_batch(members) == missing
    assert (cut.refusal(members) is None) == (not torn)


@given(cuts_and_sets)
def test_what_leaves_with_its_batch_leaves_a_whole_set(given):
    cut, members = given
    left = members & ~set_of(cut.with_their_batch(members))
    assert left == cut.inside(members)


@given(st.integers(1, 40), st.integers())
def test_without_batches_every_set_is_whole(owners, any_set):
    cut = Batches(owners, 1, SEED)
    members = any_set & cut.everyone
    assert cut.whole(members)
    assert cut.inside(members) == members
    assert cut.with_their_batch(members) == {}
    assert all(cut.mates(owner) == 0 for owner in range(owners))


def test_no_batches_cost_nothing():
    """No cut is made, of however many."""
    started = time.process_time()
    cut = Batches(10**6, 1, SEED)
    assert cut.whole(cut.everyone ^ 5)
    assert cut.batch_of(777_777) == 777_777
    assert time.process_time() - started < 0.05


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("members", [1 << 12, (1 << 13) - 1, -1, -(1 << 12)])
def test_a_set_with_owners_beyond_the_population_is_not_whole(size, members):
    cut = Batches(12, size, SEED)
    assert not cut.whole(members)
    assert cut.refusal(members) == "the set has owners beyond the population of 12"


def test_a_refusal_names_an_owner_and_its_missing_mate():
    cut = Batches(12, 4, SEED)
    mates = indices_in(cut.batch(cut.batch_of(3)))
    assert cut.refusal(cut.everyone & ~(1 << 3)) == (
        f"data-owner-{next(m for m in mates if m != 3)} is in the set and its batch mate data-owner-3 is not "
        "(only whole batches are added up)"
    )


def test_a_mate_that_is_missing_tears_its_batch_and_no_other():
    cut = Batches(12, 4, SEED)
    left = cut.with_their_batch(cut.everyone & ~(1 << 7))
    assert set(left) == set(indices_in(cut.mates(7)))
    assert set(left.values()) == {(7,)}


def test_a_set_is_that_of_its_bitmap():
    owners = (0, 5, 8, 11)
    assert int.from_bytes(to_bitmap(owners, 12), "little") == set_of(owners)
    assert indices_in(set_of(owners)) == owners


@settings(max_examples=20)
@given(st.integers(3, 60), st.integers(0, 19))
def test_another_seed_is_another_cut(owners, number):
    def digest(seed):
        return Batches(owners, 2, seed).digest

    seeds = [bytes([number]) * 32, bytes([number + 1]) * 32]
    assert digest(seeds[0]) != digest(seeds[1])


def test_digests_tell_population_size_and_seed_apart():
    cuts = [Batches(12, 3, SEED), Batches(12, 4, SEED), Batches(13, 3, SEED), Batches(12, 3, bytes(32))]
    assert len({cut.digest for cut in cuts}) == len(cuts)
    assert Batches(12, 3, SEED).digest == cuts[0].digest
    assert len(cuts[0].digest) == 32


def test_ten_thousand_owners_in_time():
    cut = Batches(10**4, 14, SEED)
    assert cut.whole(cut.everyone)  # makes the cut
    sets = [cut.everyone & ~cut.batch(number) & ~(number << 5) for number in range(50)]
    started = time.process_time()
    found = [cut.whole(members) for members in sets]
    assert time.process_time() - started < 50 * 0.005
    assert found[0]
    assert not all(found)


def test_owners_are_spread_evenly_over_places():
    """Owner 0 is in each of ten batches about equally often: 1,000 seeds, five standard deviations."""
    where = [Batches(100, 10, hashlib.sha256(bytes([i & 255, i >> 8])).digest()).batch_of(0) for i in range(1000)]
    for number in range(10):
        assert abs(where.count(number) - 100) < 5 * (1000 * 0.1 * 0.9) ** 0.5


def test_batches_are_consecutive_runs_of_the_order():
    cut = Batches(23, 4, SEED)

    def key(owner):
        return hashlib.sha256(b"asyncagg batches" + SEED + owner.to_bytes(4, "little")).digest()

    order = [cut.batch_of(owner) for owner in sorted(range(23), key=key)]
    assert all(later - earlier in (0, 1) for earlier, later in pairwise(order))
