"""Arithmetic modulo 2^31 − 1 against Python's integers, at the ends of the range above all."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncagg.crypto import field
from asyncagg.crypto.field import PRIME

EDGES = [0, 1, 2, 0xFFFF, 0x10000, 0x10001, PRIME >> 1, PRIME - 2, PRIME - 1]
ELEMENTS = st.lists(st.integers(0, PRIME - 1) | st.sampled_from(EDGES), min_size=1, max_size=12)


def array(values):
    return np.array(values, np.uint32)


def random_elements(shape, seed=0):
    return np.random.default_rng(seed).integers(0, PRIME, shape, dtype=np.uint32)


def test_elementwise_operations_on_all_pairs_of_edges():
    a, b = array(EDGES)[:, np.newaxis], array(EDGES)
    for operation, reference in [
        (field.subtract, lambda x, y: x - y),
        (field.multiply, lambda x, y: x * y),
    ]:
        result = operation(a, b)
        assert result.dtype == np.uint32
        assert result.tolist() == [[reference(x, y) % PRIME for y in EDGES] for x in EDGES]


@pytest.mark.parametrize(("m", "t", "n"), [(1, 1, 1), (3, 67, 5), (2, 64, 2), (2, 65, 2), (4, 500, 1030)])
def test_products_are_exact(m, t, n):
    a, b = random_elements((m, t)), random_elements((t, n), 1)
    wanted = (a.astype(object) @ b.astype(object)) % PRIME
    assert field.matmul(a, b).tolist() == wanted.tolist()


@pytest.mark.parametrize("terms", [1, 63, 64, 65, 4096, 1 << 20])
def test_products_of_the_largest_elements_are_exact(terms):
    a = np.full((1, terms), PRIME - 1, np.uint32)
    assert field.matmul(a, a.T).tolist() == [[terms % PRIME]]
    halves = np.full((1, terms), 0x7FFEFFFF, np.uint32)  # both halves as large as they can be
    assert field.matmul(halves, halves.T).tolist() == [[terms * 0x7FFEFFFF**2 % PRIME]]


def test_products_of_more_terms_are_refused():
    a = np.zeros((1, (1 << 20) + 1), np.uint32)
    with pytest.raises(ValueError, match="at most 1048576 terms"):
        field.matmul(a, a.T)


def test_inverses():
    values = array([1, 2, 3, PRIME - 1, 12345])
    assert field.multiply(values, field.invert(values)).tolist() == [1] * 5
    with pytest.raises(ValueError, match="not invertible"):
        field.invert(array([1, 0]))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 33])
def test_powers(count):
    xs = [1, 2, PRIME - 1, 99]
    assert field.powers(xs, count).tolist() == [[pow(x, k, PRIME) for k in range(count)] for x in xs]


@settings(max_examples=30, deadline=None)
@given(ELEMENTS)
def test_products_along_rows(values):
    assert field.product_along_rows(array([values])).tolist() == [math.prod(values) % PRIME]


@pytest.mark.parametrize("count", [1, 2, 5, 300])
def test_products_of_differences(count):
    points = random_elements(count, 3)
    values = points.tolist()
    wanted = [math.prod(x - y for y in values if y != x) % PRIME for x in values[:9]]
    assert field.products_of_differences(points)[:9].tolist() == wanted
