"""Polynomials over p = 2^31 − 1 for decoding: interpolation, evaluation, division.

A polynomial is a uint32 array of coefficients, lowest first, possibly with zeros at the end; several with
the same bound on their degree are the rows of a matrix.
"""

from collections.abc import Sequence

import numpy as np

from asyncagg.crypto import field
from asyncagg.crypto.field import PRIME, Elements


class Interpolation:
    """Polynomials of degree below n through any values at n fixed points.

    Attributes:
        master: Π(X − x_i), (n + 1,).
    """

    def __init__(self, points: Sequence[int]) -> None:
        """The points must be different and below p; n² words are kept."""
        self._points = np.array(points, np.uint32)
        self.master = self._multiply_out()
        self._weights = field.invert(field.products_of_differences(self._points))
        self._basis = self._divide_out()

    def through(self, values: Elements) -> Elements:
        """For each row of values (m, n) the one polynomial that has them: (m, n)."""
        return field.matmul(field.multiply(values, self._weights), self._basis)

    def _multiply_out(self) -> Elements:
        master = np.zeros(self._points.size + 1, np.uint32)
        master[0] = 1
        for degree, point in enumerate(self._points):
            product = field.multiply(master[: degree + 1], point)
            master[1 : degree + 2] = master[: degree + 1]
            master[0] = 0
            master[: degree + 1] = field.subtract(master[: degree + 1], product)
        return master

    def _divide_out(self) -> Elements:
        """Row i is master/(X − x_i), by Horner's scheme for all i at once."""
        count = self._points.size
        quotients = np.empty((count, count), np.uint32)
        carry = np.zeros(count, np.uint32)
        for power in range(count, 0, -1):
            carry = field.add(field.multiply(carry, self._points), self.master[power])
            quotients[:, power - 1] = carry
        return quotients


def evaluate(polynomials: Elements, powers: Elements) -> Elements:
    """The values (m, s) of polynomials (m, k) at the s points whose `powers` are (s, k) or wider."""
    return field.matmul(polynomials, powers[:, : polynomials.shape[1]].T)


def degree(polynomial: Elements) -> int:
    """The highest power with a coefficient; −1 for zero."""
    powers = np.flatnonzero(polynomial)
    return int(powers[-1]) if powers.size else -1


def leading_ratio(a: Elements, b: Elements) -> tuple[int, int]:
    """(c, k) such that a − c·X^k·b has a lower degree than a; b ≠ 0 of no higher degree than a."""
    top, bottom = degree(a), degree(b)
    return int(a[top]) * pow(int(b[bottom]), -1, PRIME) % PRIME, top - bottom


def subtract_multiple(a: Elements, b: Elements, factor: int, shift: int) -> None:
    """a −= factor·X^shift·b in place; a must be long enough."""
    size = degree(b) + 1
    part = a[shift : shift + size]
    part[:] = field.subtract(part, field.multiply(b[:size], np.uint32(factor)))


def divide(a: Elements, b: Elements) -> tuple[Elements, Elements]:
    """Quotient and remainder of a by b ≠ 0, as arrays of a's length."""
    remainder, quotient = a.copy(), np.zeros_like(a)
    while degree(remainder) >= degree(b):
        factor, shift = leading_ratio(remainder, b)
        subtract_multiple(remainder, b, factor, shift)
        quotient[shift] = factor
    return quotient, remainder
