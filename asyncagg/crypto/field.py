"""Arithmetic modulo the Mersenne prime p = 2^31 − 1 on whole arrays.

Elements are uint32 arrays with values below p. Matrix products are exact: both operands are split into
16-bit halves, a = a1·2^16 + a0, and multiplied as float64. With 2^32 = 2 (mod p)

    a·b = (2·a1·b1 + a0·b0) + (a1·b0 + a0·b1)·2^16,

and each bracket, summed over up to 2^20 terms, is an integer below 2^53, whatever the order of additions.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PRIME = (1 << 31) - 1
MAX_TERMS = 1 << 20
_COLUMNS = 1 << 10  # of a product at a time: the float64 intermediates stay in the cache
_ROWS = 1 << 8  # of a matrix of differences at a time, to bound it

Elements = NDArray[np.uint32]
_Wide = NDArray[np.uint64]


def multiply(a: Elements, b: Elements | np.uint32) -> Elements:
    """Elementwise a·b mod p, with broadcasting."""
    return _reduce(a.astype(np.uint64) * b)


def subtract(a: Elements, b: Elements) -> Elements:
    """Elementwise a − b mod p, with broadcasting."""
    return _reduce(a.astype(np.uint64) + (np.uint32(PRIME) - b))


def matmul(a: Elements, b: Elements) -> Elements:
    """The matrix product of (m, t) and (t, n) mod p, exact for any t up to 2^20.

    Raises:
        ValueError: t is larger.
    """
    if a.shape[1] > MAX_TERMS:
        raise ValueError(f"an exact product has at most {MAX_TERMS} terms, not {a.shape[1]}")
    high, low = _halves(a)
    outer, inner = np.hstack([2 * high, low]), np.hstack([low, high])
    product = np.empty((a.shape[0], b.shape[1]), np.uint32)
    for first in range(0, b.shape[1], _COLUMNS):
        part = slice(first, first + _COLUMNS)
        halves = np.vstack(_halves(b[:, part]))
        middle = _integers(inner @ halves)
        _fold(middle)
        middle <<= np.uint64(16)
        middle += _integers(outer @ halves)
        product[:, part] = _reduce(middle)
    return product


def invert(a: Elements) -> Elements:
    """Elementwise 1/a mod p of a flat array.

    Raises:
        ValueError: a zero.
    """
    return np.array([pow(value, -1, PRIME) for value in a.tolist()], np.uint32)


def powers(xs: Sequence[int], count: int) -> Elements:
    """The Vandermonde matrix (len(xs), count): x^0, x^1, … in each row. Doubles its columns at each step."""
    base = np.array(xs, np.uint32)[:, np.newaxis]
    matrix = np.ones((len(xs), 1), np.uint32)
    while matrix.shape[1] < count:
        matrix = np.concatenate([matrix, multiply(matrix, base)], axis=1)
        base = multiply(base, base)
    return matrix[:, :count]


def product_along_rows(matrix: Elements) -> Elements:
    """The product of each row of (n, m), (n,)."""
    while matrix.shape[1] > 1:
        half = matrix.shape[1] // 2
        rest = matrix[:, 2 * half :]
        matrix = np.concatenate([multiply(matrix[:, :half], matrix[:, half : 2 * half]), rest], axis=1)
    return matrix[:, 0]


def products_of_differences(points: Elements) -> Elements:
    """For each point x_i of (n,) the product of x_i − x_j over all j ≠ i, (n,)."""
    products = [np.empty(0, np.uint32)]
    for first in range(0, points.size, _ROWS):
        rows = points[first : first + _ROWS, np.newaxis]
        differences = subtract(rows, points[np.newaxis])
        np.fill_diagonal(differences[:, first:], 1)
        products.append(product_along_rows(differences))
    return np.concatenate(products)


def _reduce(wide: _Wide) -> Elements:
    """Values below 2^62 mod p; overwrites them."""
    _fold(wide)
    _fold(wide)
    np.subtract(wide, np.uint64(PRIME), out=wide, where=wide >= PRIME)
    return wide.astype(np.uint32)


def _fold(wide: _Wide) -> None:
    """The same mod p, in place: 2^31 is 1, so the bits above are added to the 31 below."""
    upper = wide >> np.uint64(31)
    wide &= np.uint64(PRIME)
    wide += upper


def _halves(a: Elements) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return (a >> np.uint32(16)).astype(np.float64), (a & np.uint32(0xFFFF)).astype(np.float64)


def _integers(exact: NDArray[np.float64]) -> _Wide:
    """Non-negative integers below 2^53; by way of int64, to which the conversion is faster."""
    return exact.astype(np.int64).view(np.uint64)
