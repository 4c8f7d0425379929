"""Every row goes to exactly one owner, in proportion."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncagg.learning import WorkloadError
from asyncagg.learning.partition import iid, sizes


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(0, 200), st.integers(0, 3))
def test_equal_shares_cover_all_rows_once_and_differ_by_one_at_most(owners: int, extra: int, seed: int):
    parts = iid(owners + extra, (1.0,) * owners, seed)
    assert sorted(np.concatenate(parts)) == list(range(owners + extra))
    lengths = [len(part) for part in parts]
    assert max(lengths) - min(lengths) <= 1


def test_unequal_shares_go_to_the_largest_remainders():
    assert sizes(100, (6, 3, 1)) == [60, 30, 10]
    assert sizes(10, (1, 1, 1)) == [4, 3, 3]
    assert sizes(11, (5, 3, 2)) == [6, 3, 2]  # quotas 5.5, 3.3, 2.2
    assert sizes(4, (1e308, 1e308)) == [2, 2]


def test_seeds_deal_differently():
    first, again, other = (iid(100, (1.0, 1.0), seed)[0].tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_an_owner_without_a_row_is_refused_by_name():
    with pytest.raises(WorkloadError, match=r"workload\.shares: a share of 0\.001 leaves data-owner-1 none of 50"):
        sizes(50, (1.0, 0.001))


def test_more_owners_than_rows_are_refused():
    with pytest.raises(WorkloadError, match=r"owners\.count: 6 owners share 5 training examples"):
        iid(5, (1.0,) * 6, 0)
