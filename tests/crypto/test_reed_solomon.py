"""Rebuilding around wrong shares: every number of them up to the bound, and beyond."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncagg.crypto.field import PRIME
from asyncagg.crypto.randomness import InsecureSeededRandomness
from asyncagg.crypto.reed_solomon import decode
from asyncagg.crypto.shamir import LIMBS, ShareError, share

SECRET = bytes(range(32))


def shares_of(xs, threshold, seed=0):
    return share([SECRET], xs, threshold, InsecureSeededRandomness(seed))[0]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 14), st.integers(0, 5), st.integers(0, 2**32))
def test_up_to_the_bound_the_secret_comes_back_and_the_wrong_are_named(threshold, extra, seed):
    generator = random.Random(seed)
    count = threshold + 2 * extra + generator.randrange(2)
    xs = generator.sample(range(1, 1000), count)
    shares = shares_of(xs, threshold, seed)
    wrong = sorted(generator.sample(range(count), generator.randint(0, (count - threshold) // 2)))
    for index in wrong:
        limbs = generator.sample(range(LIMBS), generator.randint(1, LIMBS))
        shares[index, limbs] = (shares[index, limbs] + np.uint32(generator.randrange(1, PRIME))) % PRIME
    decoded = decode(xs, shares, threshold)
    assert decoded.secret == SECRET
    assert decoded.wrong == tuple(sorted(xs[index] for index in wrong))


@pytest.mark.parametrize(("count", "threshold"), [(100, 67), (101, 34)])
def test_as_many_as_can_be(count, threshold):
    xs = list(range(1, count + 1))
    shares = shares_of(xs, threshold)
    bad = sorted(random.Random(1).sample(range(count), (count - threshold) // 2))
    shares[bad] = np.random.default_rng(2).integers(0, PRIME, (len(bad), LIMBS), dtype=np.uint32)
    assert decode(xs, shares, threshold) == (SECRET, tuple(index + 1 for index in bad))


def test_each_limb_wrong_at_another_holder():
    xs = list(range(1, 24))
    shares = shares_of(xs, 5)
    for limb in range(LIMBS):
        shares[2 * limb, limb] ^= 1
    assert decode(xs, shares, 5).wrong == tuple(range(1, 18, 2))


def test_no_limb_beyond_its_bound_but_too_many_holders_altogether():
    xs = list(range(1, 12))
    shares = shares_of(xs, 5)
    for limb in range(4):
        shares[limb, limb] ^= 1
    with pytest.raises(ShareError, match="more than 3 of 11 shares are wrong"):
        decode(xs, shares, 5)


def test_wrong_shares_of_another_polynomial_are_outvoted():
    xs = list(range(1, 8))
    shares, others = shares_of(xs, 3), shares_of(xs, 3, seed=1)
    shares[:2] = others[:2]
    assert decode(xs, shares, 3) == (SECRET, (1, 2))


@pytest.mark.parametrize("seed", range(10))
def test_one_more_than_the_bound_is_an_error(seed):
    xs = list(range(1, 12))
    shares = shares_of(xs, 5)
    shares[:4] = np.random.default_rng(seed).integers(0, PRIME, (4, LIMBS), dtype=np.uint32)
    with pytest.raises(ShareError, match="more than 3 of 11 shares are wrong"):
        decode(xs, shares, 5)


def test_all_zero_shares_are_the_zero_secret():
    assert decode([1, 2, 3], np.zeros((3, LIMBS), np.uint32), 1) == (bytes(32), ())


def test_limbs_that_make_no_secret_are_an_error():
    shares = np.full((3, LIMBS), 1 << 29, np.uint32)  # a constant polynomial: consistent, and too large
    with pytest.raises(ShareError, match="shares are wrong"):
        decode([1, 2, 3], shares, 1)


def test_points_and_shares_are_checked():
    shares = shares_of([1, 2, 3], 2)
    with pytest.raises(ShareError, match="must be different"):
        decode([1, 2, 2], shares, 2)
    with pytest.raises(ShareError, match="threshold of 4 with 3 shares"):
        decode([1, 2, 3], shares, 4)
    with pytest.raises(ShareError, match=r"must be uint32 \(n, 3, 9\)"):
        decode([1, 2, 3], shares[:2], 2)
    shares[0, 0] = PRIME
    with pytest.raises(ShareError, match="not below"):
        decode([1, 2, 3], shares, 2)


def test_the_representation_shows_no_secret():
    text = repr(decode([1, 2, 3], shares_of([1, 2, 3], 2), 2))
    assert text == "Decoded(redacted, wrong=())"
