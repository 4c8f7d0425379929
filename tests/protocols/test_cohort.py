"""The cohort of a round: drawn to the letter, the same for everybody, and refused where somebody chose it."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.known_answers import vectors

from asyncagg.protocols.batches import Batches, indices_in, set_of
from asyncagg.protocols.cohort import Cohorts
from asyncagg.protocols.parameters.population import Infeasible

SEED = bytes(range(32))


@pytest.mark.parametrize("vector", vectors("cohorts"))
def test_known_answers(vector):
    def draw():
        batches = Batches(vector["owners"], vector["size"], bytes.fromhex(vector["seed"]))
        return indices_in(Cohorts(batches, vector["per_round"], 2**40).of(vector["round"]))

    if not vector["success"]:
        with pytest.raises(ValueError, match=r"per_round = |round -1 is not"):
            draw()
    elif "digest" in vector:
        members = b"".join(owner.to_bytes(4, "little") for owner in draw())
        assert hashlib.sha256(members).hexdigest() == vector["digest"]
    else:
        assert draw() == tuple(vector["cohort"])


runs = st.integers(2, 40).flatmap(
    lambda n: st.tuples(st.integers(1, n), st.integers(1, n), st.binary(min_size=32, max_size=32)).map(
        lambda values: (Batches(n, min(values[0], n), values[2]), values[1])
    )
)


@given(runs)
def test_a_cohort_is_as_many_whole_batches_as_there_is_room_for(given):
    batches, per_round = given
    room = per_round * batches.count // batches.owners
    if room == 0:
        with pytest.raises(Infeasible, match=f"per_round = {per_round} is less than one batch: must be at least"):
            Cohorts(batches, per_round, 5)
        return
    cohorts = Cohorts(batches, per_round, 5)
    sizes = sorted(batches.batch(number).bit_count() for number in range(batches.count))
    assert (cohorts.fewest, cohorts.most) == (sum(sizes[:room]), sum(sizes[-room:]))
    for round_index in range(5):
        cohort = cohorts.of(round_index)
        assert batches.whole(cohort)
        assert len({batches.batch_of(owner) for owner in indices_in(cohort)}) == room
        assert cohorts.fewest <= cohort.bit_count() <= cohorts.most
        assert cohorts.refusal(round_index, cohort) is None


def test_without_batches_a_cohort_has_exactly_so_many_owners():
    cohorts = Cohorts(Batches(100, 1, SEED), 20, 30)
    assert {cohorts.of(each).bit_count() for each in range(30)} == {20}
    assert len({cohorts.of(each) for each in range(30)}) == 30


def test_everyone_is_in_the_cohort_where_nobody_is_left_out():
    for size in (1, 3, 7):
        batches = Batches(12, size, SEED)
        assert Cohorts(batches, 12, 1).of(0) == batches.everyone


def test_a_cohort_that_the_model_owner_chose_is_refused():
    """Its 10 corrupt owners and 10 others, of 100."""
    cohorts = Cohorts(Batches(100, 1, SEED), 20, 10)
    wanted = set_of(range(10))
    others = [owner for owner in indices_in(cohorts.of(3)) if owner >= 10][:10]
    assert wanted & ~cohorts.of(3)
    stranger = next(owner for owner in range(10) if owner not in indices_in(cohorts.of(3)))
    refusal = cohorts.refusal(3, wanted | set_of(others))
    assert refusal == f"data-owner-{stranger} is invited and is not in the cohort of round 3"


def test_another_rounds_or_seeds_cohort_is_refused():
    cohorts = Cohorts(Batches(100, 4, SEED), 20, 10)
    assert cohorts.refusal(3, cohorts.of(4)) is not None
    other = Cohorts(Batches(100, 4, bytes(32)), 20, 10)
    assert cohorts.refusal(3, other.of(3)) is not None


def test_a_torn_batch_is_no_invitation():
    cohorts = Cohorts(Batches(100, 4, SEED), 20, 10)
    first = indices_in(cohorts.of(0))[0]
    assert "its batch mate" in (cohorts.refusal(0, cohorts.of(0) & ~(1 << first)) or "")
    batch = cohorts.batches.batch(cohorts.batches.batch_of(first))
    assert cohorts.refusal(0, cohorts.of(0) & ~batch) is None


@pytest.mark.parametrize("round_index", [-1, 10, 2**70])
def test_rounds_that_the_run_does_not_have_are_refused(round_index):
    """The thresholds cover so many cohorts and no more."""
    cohorts = Cohorts(Batches(100, 1, SEED), 20, 10)
    assert cohorts.refusal(round_index, 1) == f"round {round_index} is not one of the run's (0 to 9)"
    with pytest.raises(ValueError, match="is not one of the run's"):
        cohorts.of(round_index)


def test_an_invitation_beyond_the_population_is_refused():
    cohorts = Cohorts(Batches(100, 1, SEED), 100, 1)
    assert cohorts.refusal(0, 1 << 100) == "data-owner-100 is invited and is not in the cohort of round 0"


def test_owners_come_equally_often():
    """1,000 rounds of 20 in 100: every owner within five standard deviations of 200."""
    cohorts = Cohorts(Batches(100, 1, SEED), 20, 1000)
    times = Counter(owner for each in range(1000) for owner in indices_in(cohorts.of(each)))
    assert len(times) == 100
    assert all(abs(count - 200) < 5 * (1000 * 0.2 * 0.8) ** 0.5 for count in times.values())
