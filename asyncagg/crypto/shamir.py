"""Shamir's secret sharing of 32-byte secrets over p = 2^31 − 1, many secrets at a time.

A secret is nine limbs of 29 bits, least significant first (a limb of 31 bits could equal p and come back
as zero). Each limb is the constant term of its own polynomial of degree threshold − 1, whose other
coefficients are uniform in [0, p); holder x gets the nine values at x. Any `threshold` shares give the
secret, fewer are independent of it. Shamir, How to share a secret, CACM 1979.

Sharing and reconstructing are matrix products for all limbs of all secrets at once (`field.matmul`).
A wrong share gives a wrong secret here, unnoticed: compare the result with a public key or commitment.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from asyncagg.crypto import field
from asyncagg.crypto.errors import CryptoError
from asyncagg.crypto.field import PRIME, Elements
from asyncagg.crypto.randomness import Randomness

SECRET_BYTES = 32
LIMBS = 9
LIMB_BITS = 29
SHARE_BYTES = 4 * LIMBS
MAX_SHARES = 4096
"""Holders of one secret; a matrix of as many rows is the largest thing made here."""


class ShareError(CryptoError):
    """Shares or holders that no sharing has; never carries a share's value."""


def share(secrets: Sequence[bytes], xs: Sequence[int], threshold: int, randomness: Randomness) -> Elements:
    """Share some 32-byte secrets among the same holders.

    Args:
        secrets: n of them.
        xs: the holders' points, different, 1 to p − 1: roster index + 1.
        threshold: how many shares rebuild a secret, 1 to len(xs).
        randomness: for 36·n·(threshold − 1) bytes, and four more in a billion cases.

    Returns:
        uint32 (n, len(xs), 9): row [i, j] is the share of secret i for the holder at xs[j].

    Raises:
        ShareError: a secret of another length, or holders or threshold out of range.
    """
    points = check_points(xs, threshold)
    constants = _to_limbs(secrets).reshape(1, -1)
    others = _uniform((threshold - 1) * constants.size, randomness).reshape(threshold - 1, constants.size)
    coefficients = np.concatenate([constants, others])
    values = field.matmul(_powers(points, threshold), coefficients)
    return np.ascontiguousarray(values.reshape(len(xs), len(secrets), LIMBS).swapaxes(0, 1))


def reconstruct(xs: Sequence[int], shares: Elements, threshold: int) -> list[bytes | None]:
    """Rebuild the secrets whose shares lie at the same points.

    Args:
        xs: the points that shares are there for, at least `threshold`; the first `threshold` are used.
        shares: uint32 (n, len(xs), 9), values below p.

    Returns:
        n secrets; None where the limbs make no 32-byte secret, a sure sign of a wrong share.

    Raises:
        ShareError: too few points, a point out of range or twice, or shares of another shape.
    """
    points = check_points(xs, threshold)
    check_shares(shares, len(points))
    used = np.ascontiguousarray(shares[:, :threshold].swapaxes(0, 1)).reshape(threshold, -1)
    limbs = field.matmul(lagrange_weights(points[:threshold])[np.newaxis], used)
    return from_limbs(limbs.reshape(-1, LIMBS))


@lru_cache(maxsize=1024)
def lagrange_weights(xs: tuple[int, ...]) -> Elements:
    """The weights (len(xs),) by which values at `xs` add up to the value at zero; read-only, cached."""
    points = np.array(xs, np.uint32)
    from_zero = field.subtract(np.zeros_like(points), points)
    below = field.multiply(from_zero, field.products_of_differences(points))
    weights = field.multiply(field.invert(below), field.product_along_rows(from_zero[np.newaxis]))
    weights.flags.writeable = False
    return weights


def share_to_bytes(shares: Elements) -> bytes:
    """One share (9,), or several (n, 9) one behind the other, on the wire: nine little-endian uint32, 36 bytes each."""
    return shares.astype("<u4").tobytes()


def shares_from_bytes(data: Sequence[bytes]) -> Elements:
    """Shares from the wire, uint32 (len(data), 9).

    Raises:
        ShareError: one is not 36 bytes, or holds a number that is not below p; says which.
    """
    for index, each in enumerate(data):
        if len(each) != SHARE_BYTES:
            raise ShareError(f"share {index} has {len(each)} bytes, not {SHARE_BYTES}")
    shares = np.frombuffer(b"".join(data), "<u4").astype(np.uint32).reshape(-1, LIMBS)
    beyond = np.flatnonzero((shares >= PRIME).any(axis=1))
    if beyond.size:
        raise ShareError(f"share {int(beyond[0])} holds a number that is not below 2^31 - 1")
    return shares


def check_points(xs: Sequence[int], threshold: int) -> tuple[int, ...]:
    """The points as a tuple.

    Raises:
        ShareError: a point out of range or twice, or not 1 ≤ threshold ≤ points ≤ 4,096.
    """
    points = tuple(xs)
    if not 1 <= threshold <= len(points) <= MAX_SHARES:
        raise ShareError(
            f"a threshold of {threshold} with {len(points)} shares (1 ≤ threshold ≤ shares ≤ {MAX_SHARES} is needed)"
        )
    if len(set(points)) != len(points) or not 1 <= min(points) <= max(points) < PRIME:
        raise ShareError("the points of shares must be different and from 1 to 2^31 - 2")
    return points


def check_shares(shares: Elements, count: int) -> None:
    """Refuse an array of shares that is not (n, count, 9) of field elements.

    Raises:
        ShareError: another shape or dtype, or a value that is not below p.
    """
    if shares.dtype != np.uint32 or shares.shape[1:] != (count, LIMBS):
        raise ShareError(f"shares must be uint32 (n, {count}, {LIMBS}), not {shares.dtype} {shares.shape}")
    if shares.size and int(shares.max()) >= PRIME:
        raise ShareError("a share holds a number that is not below 2^31 - 1")


def from_limbs(limbs: Elements) -> list[bytes | None]:
    """Secrets from their limbs (n, 9); None where a limb is too large for 29 bits, or the last for 24."""
    bits = (limbs[:, :, np.newaxis] >> np.arange(LIMB_BITS, dtype=np.uint32)) & np.uint32(1)
    flat = bits.astype(np.uint8).reshape(len(limbs), LIMBS * LIMB_BITS)
    secrets = np.packbits(flat[:, : 8 * SECRET_BYTES], axis=1, bitorder="little")
    beyond = np.count_nonzero(limbs >> np.uint32(LIMB_BITS), axis=1)
    beyond += np.count_nonzero(flat[:, 8 * SECRET_BYTES :], axis=1)
    return [None if beyond[row] else secrets[row].tobytes() for row in range(len(secrets))]


def _to_limbs(secrets: Sequence[bytes]) -> Elements:
    for index, secret in enumerate(secrets):
        if len(secret) != SECRET_BYTES:
            raise ShareError(f"secret {index} has {len(secret)} bytes, not {SECRET_BYTES}")
    octets = np.frombuffer(b"".join(secrets), np.uint8).reshape(-1, SECRET_BYTES)
    bits = np.zeros((len(secrets), LIMBS * LIMB_BITS), np.uint32)
    bits[:, : 8 * SECRET_BYTES] = np.unpackbits(octets, axis=1, bitorder="little")
    shifted = bits.reshape(-1, LIMBS, LIMB_BITS) << np.arange(LIMB_BITS, dtype=np.uint32)
    limbs: Elements = np.bitwise_or.reduce(shifted, axis=2)
    return limbs


def _uniform(count: int, randomness: Randomness) -> Elements:
    """`count` uniform elements: 31 bits, and p itself drawn again."""
    drawn = _draw(count, randomness)
    while True:
        rejected = np.flatnonzero(drawn == PRIME)
        if not rejected.size:
            return drawn
        drawn[rejected] = _draw(rejected.size, randomness)


def _draw(count: int, randomness: Randomness) -> NDArray[np.uint32]:
    return np.frombuffer(randomness.bytes(4 * count), "<u4") & np.uint32(PRIME)


@lru_cache(maxsize=16)
def _powers(xs: tuple[int, ...], count: int) -> Elements:
    matrix = field.powers(xs, count)
    matrix.flags.writeable = False
    return matrix
