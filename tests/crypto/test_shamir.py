"""Sharing and reconstruction against big integers; thresholds, wire form, refusals."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.known_answers import vectors

from asyncagg.crypto import shamir
from asyncagg.crypto.field import PRIME
from asyncagg.crypto.randomness import InsecureSeededRandomness, Randomness
from asyncagg.crypto.shamir import (
    LIMBS,
    ShareError,
    lagrange_weights,
    reconstruct,
    share,
    share_to_bytes,
    shares_from_bytes,
)


class Given(Randomness):
    """Hands out prepared 32-bit numbers, and tells how many are left."""

    secure = False

    def __init__(self, numbers):
        self.rest = np.array(numbers, "<u4").tobytes()

    def bytes(self, count):
        taken, self.rest = self.rest[:count], self.rest[count:]
        assert len(taken) == count
        return taken


def reference_limbs(secret):
    number = int.from_bytes(secret, "little")
    return [number >> 29 * limb & (1 << 29) - 1 for limb in range(9)]


def reference_share(secret, xs, coefficients):
    """One secret's shares: coefficients[k][limb] is that of x^(k+1)."""
    limbs = reference_limbs(secret)
    return [
        [(limbs[i] + sum(c[i] * x ** (k + 1) for k, c in enumerate(coefficients))) % PRIME for i in range(9)]
        for x in xs
    ]


def reference_secret(xs, shares):
    number = 0
    for limb in range(9):
        value = 0
        for x, row in zip(xs, shares, strict=True):
            top = bottom = 1
            for other in xs:
                if other != x:
                    top, bottom = top * -other, bottom * (x - other)
            value += int(row[limb]) * top * pow(bottom, -1, PRIME)
        number += value % PRIME << 29 * limb
    return number.to_bytes(33, "little")[:32]


def secrets_of(count, seed=0):
    return [random.Random(seed + index).randbytes(32) for index in range(count)]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.data())
def test_shares_are_those_of_the_definition(holders, data):
    threshold = data.draw(st.integers(1, holders))
    xs = data.draw(st.lists(st.integers(1, PRIME - 1), min_size=holders, max_size=holders, unique=True))
    secrets = [data.draw(st.binary(min_size=32, max_size=32)) for _ in range(2)]
    drawn = data.draw(st.randoms(use_true_random=False))
    numbers = [drawn.randrange(PRIME) for _ in range((threshold - 1) * 18)]
    shares = share(secrets, xs, threshold, Given(numbers))
    assert (shares.shape, shares.dtype) == ((2, holders, LIMBS), np.uint32)
    table = np.array(numbers, object).reshape(threshold - 1, 2, 9)
    for index, secret in enumerate(secrets):
        assert shares[index].tolist() == reference_share(secret, xs, table[:, index].tolist())
    chosen = data.draw(st.permutations(range(holders)))[:threshold]
    points = [xs[index] for index in chosen]
    assert reconstruct(points, shares[:, chosen], threshold) == secrets
    assert reference_secret(points, shares[0, chosen]) == secrets[0]


@pytest.mark.parametrize(("holders", "threshold"), [(100, 67), (100, 100), (100, 2), (257, 130), (3, 1)])
def test_many_secrets_at_once_from_any_threshold_of_shares(holders, threshold):
    secrets = secrets_of(20)
    xs = list(range(1, holders + 1))
    shares = share(secrets, xs, threshold, InsecureSeededRandomness(1))
    chosen = sorted(random.Random(5).sample(range(holders), threshold))
    assert reconstruct([xs[index] for index in chosen], shares[:, chosen], threshold) == secrets
    assert reconstruct(xs[::-1], shares[:, ::-1], threshold) == secrets  # more than needed


def test_special_secrets():
    secrets = [bytes(32), b"\xff" * 32, (1).to_bytes(32, "big"), (1).to_bytes(32, "little")]
    shares = share(secrets, [1, 5, 9], 2, InsecureSeededRandomness(2))
    assert reconstruct([5, 9], shares[:, 1:], 2) == secrets


def test_one_share_less_than_the_threshold_fits_any_secret():
    """For t − 1 shares and every other secret there is a last share that leads to it: they say nothing."""
    secret, other = secrets_of(2)
    shares = share([secret], [1, 2, 3], 3, InsecureSeededRandomness(3))[0].tolist()
    limbs = zip(shares[2], reference_limbs(secret), reference_limbs(other), strict=True)
    # (X - 1)(X - 2)/2 is 0 at both known points and 1 at 0 and at 3: add it times the difference.
    shares[2] = [(value + wanted - limb) % PRIME for value, limb, wanted in limbs]
    assert reference_secret([1, 2, 3], shares) == other
    assert reconstruct([1, 2, 3], np.array([shares], np.uint32), 3) == [other]


def test_a_share_is_uniform_whatever_the_secret():
    shares = share([bytes(32)] * 4000, [1, 2], 2, InsecureSeededRandomness(4))[:, 0].reshape(-1)
    counts = np.bincount(shares >> np.uint32(23), minlength=256)
    expected = shares.size / 256
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert 255 - 4 * 22.6 < chi_square < 255 + 4 * 22.6


def test_coefficients_are_drawn_again_when_they_equal_the_prime():
    numbers = [PRIME, 5, *range(6), 0xFFFFFFFF, PRIME, 7, 8]
    randomness = Given(numbers)
    shares = share([bytes(32)], [1], 1, randomness)
    assert shares.tolist() == [[[0] * 9]]
    assert len(randomness.rest) == 4 * len(numbers)
    shares = share([bytes(32)], [1, 2], 2, randomness)
    assert shares[0, 0].tolist() == [8, 5, 0, 1, 2, 3, 4, 5, 7]  # the second try at the first failed too
    assert randomness.rest == b""


def test_weights_are_cached_and_cannot_be_spoilt():
    weights = lagrange_weights((1, 2, 3))
    assert weights.tolist() == [3, PRIME - 3, 1]
    assert lagrange_weights((1, 2, 3)) is weights
    with pytest.raises(ValueError, match="read-only"):
        weights[0] = 1


def test_limbs_that_make_no_secret_are_told_apart():
    limbs = np.zeros((4, LIMBS), np.uint32)
    limbs[1, 0] = 1 << 29
    limbs[2, 8] = 1 << 24
    limbs[3, 8] = (1 << 24) - 1
    secrets = shamir.from_limbs(limbs)
    assert secrets == [bytes(32), None, None, bytes(29) + b"\xff\xff\xff"]


def test_a_wrong_share_spoils_its_secret_and_no_other():
    secrets = secrets_of(3)
    shares = share(secrets, [1, 2, 3], 3, InsecureSeededRandomness(6))
    shares[1, 2, 4] ^= 1
    rebuilt = reconstruct([1, 2, 3], shares, 3)
    assert rebuilt[0] == secrets[0]
    assert rebuilt[1] != secrets[1]
    assert rebuilt[2] == secrets[2]


def test_wire_form():
    shares = share(secrets_of(1), [1, 2], 2, InsecureSeededRandomness(7))[0]
    wire = [share_to_bytes(row) for row in shares]
    assert [len(each) for each in wire] == [36, 36]
    assert np.array_equal(shares_from_bytes(wire), shares)
    assert shares_from_bytes([]).shape == (0, LIMBS)


@pytest.mark.parametrize("vector", vectors("shamir"))
def test_known_answers(vector):
    wire = [bytes.fromhex(each) for each in vector["shares"]]
    if vector["success"]:
        xs, threshold = vector["xs"], vector["threshold"]
        secret = bytes.fromhex(vector["secret"])
        shares = share([secret], xs, threshold, Given(vector["coefficients"]))[0]
        assert [share_to_bytes(row) for row in shares] == wire
        assert reconstruct(xs, shares_from_bytes(wire)[np.newaxis], threshold) == [secret]
    else:
        with pytest.raises(ShareError, match=vector["error"]):
            shares_from_bytes(wire)


@pytest.mark.parametrize(
    ("xs", "threshold", "text"),
    [
        ([1, 2], 3, "threshold of 3 with 2 shares"),
        ([1, 2], 0, "threshold of 0"),
        ([], 0, "threshold of 0 with 0 shares"),
        ([1, 1], 2, "must be different"),
        ([0, 1], 2, "from 1 to"),
        ([1, PRIME], 2, "from 1 to"),
        ([1, PRIME + 1], 2, "from 1 to"),
        (range(1, 4098), 2, "shares ≤ 4096"),
    ],
)
def test_holders_and_thresholds_out_of_range_are_refused(xs, threshold, text):
    with pytest.raises(ShareError, match=text):
        share([bytes(32)], xs, threshold, InsecureSeededRandomness(8))
    with pytest.raises(ShareError, match=text):
        reconstruct(xs, np.zeros((1, len(xs), LIMBS), np.uint32), threshold)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_secrets_have_32_bytes(size):
    with pytest.raises(ShareError, match=f"secret 1 has {size} bytes"):
        share([bytes(32), bytes(size)], [1], 1, InsecureSeededRandomness(9))


@pytest.mark.parametrize(
    "shares",
    [
        np.zeros((1, 3, LIMBS), np.uint32),
        np.zeros((1, 2, 8), np.uint32),
        np.zeros((2, LIMBS), np.uint32),
        np.zeros((1, 2, LIMBS), np.int64),
        np.full((1, 2, LIMBS), PRIME, np.uint32),
    ],
)
def test_arrays_that_are_no_shares_are_refused(shares):
    with pytest.raises(ShareError, match="share"):
        reconstruct([1, 2], shares, 2)
