"""Rebuilding a secret around wrong shares, and naming them.

The shares of one limb are a Reed–Solomon codeword: s values of a polynomial of degree below t. With up to
e = ⌊(s − t)/2⌋ of them wrong, exactly one polynomial agrees with all but e, and Gao's algorithm finds it
(A new algorithm for decoding Reed–Solomon codes, 2003): interpolate all values, run the Euclidean
algorithm against Π(X − x_i) until the degrees meet half way, divide. The nine limbs of a share come from
one holder, so points that one limb shows to be wrong are avoided when the others are interpolated: nearly
always a single run of the algorithm serves all nine.

With more than e wrong shares the result is an error or, rarely, a secret that was never shared: compare
it with a public key or commitment all the same.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asyncagg.crypto import field
from asyncagg.crypto.field import Elements
from asyncagg.crypto.polynomials import Interpolation, degree, divide, evaluate, leading_ratio, subtract_multiple
from asyncagg.crypto.shamir import ShareError, check_points, check_shares, from_limbs


class Decoded(NamedTuple):
    """A secret, and the points of the shares that do not belong to it, ascending."""

    secret: bytes
    wrong: tuple[int, ...]

    def __repr__(self) -> str:
        return f"Decoded(redacted, wrong={self.wrong})"


def decode(xs: Sequence[int], shares: Elements, threshold: int) -> Decoded:
    """Rebuild one secret from s shares of which up to ⌊(s − threshold)/2⌋ are wrong.

    Args:
        xs: s ≥ threshold different points.
        shares: uint32 (s, 9), values below p.

    Raises:
        ShareError: more shares are wrong than can be told apart, or points or shares out of range.
    """
    points = check_points(xs, threshold)
    check_shares(shares[np.newaxis], len(points))
    code = _Code(points, threshold)
    polynomials, wrong = code.decode(np.ascontiguousarray(shares.T))
    secret = from_limbs(polynomials[np.newaxis, :, 0])[0]
    if secret is None:
        raise code.undecodable()
    return Decoded(secret, tuple(sorted(points[index] for index in np.flatnonzero(wrong))))


class _Code:
    """Polynomials of degree below t, known by their values at s points."""

    def __init__(self, points: tuple[int, ...], threshold: int) -> None:
        self.points = points
        self.threshold = threshold
        self.correctable = (len(points) - threshold) // 2
        self.powers = field.powers(points, threshold)

    def decode(self, values: Elements) -> tuple[Elements, NDArray[np.bool_]]:
        """The polynomials (m, t) of m rows of values (m, s), and which points are wrong in any row (s,)."""
        wrong = np.zeros(len(self.points), bool)
        while True:
            polynomials = self._through_trusted(values, wrong)
            differs = evaluate(polynomials, self.powers) != values
            undecided = np.flatnonzero(np.count_nonzero(differs, axis=1) > self.correctable)
            if not undecided.size:
                return polynomials, self._few(differs.any(axis=0))
            # Afterwards this row's wrong points are all avoided, so each turn settles a row at least.
            row = int(undecided[0])
            found = self._gao(values[row])
            wrong = self._few(wrong | (evaluate(found[np.newaxis], self.powers)[0] != values[row]))

    def undecodable(self) -> ShareError:
        """The error of too many wrong shares."""
        return ShareError(
            f"more than {self.correctable} of {len(self.points)} shares are wrong:"
            f" a threshold of {self.threshold} leaves no room to tell which"
        )

    def _few(self, wrong: NDArray[np.bool_]) -> NDArray[np.bool_]:
        if np.count_nonzero(wrong) > self.correctable:
            raise self.undecodable()
        return wrong

    def _through_trusted(self, values: Elements, wrong: NDArray[np.bool_]) -> Elements:
        trusted = np.flatnonzero(~wrong)[: self.threshold]
        return Interpolation([self.points[index] for index in trusted]).through(values[:, trusted])

    def _gao(self, values: Elements) -> Elements:
        """The polynomial (t,) from which at most e of the values differ."""
        everywhere = Interpolation(self.points)
        upper = everywhere.master
        lower = np.append(everywhere.through(values[np.newaxis])[0], np.uint32(0))
        upper_factor, lower_factor = np.zeros_like(upper), np.zeros_like(upper)
        lower_factor[0] = 1
        while 2 * degree(lower) >= len(self.points) + self.threshold:
            while degree(upper) >= degree(lower):
                factor, shift = leading_ratio(upper, lower)
                subtract_multiple(upper, lower, factor, shift)
                subtract_multiple(upper_factor, lower_factor, factor, shift)
            upper, lower = lower, upper
            upper_factor, lower_factor = lower_factor, upper_factor
        quotient, remainder = divide(lower, lower_factor)
        if degree(remainder) >= 0 or degree(quotient) >= self.threshold:
            raise self.undecodable()
        return quotient[: self.threshold]
