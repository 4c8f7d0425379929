"""How many neighbours and which threshold a k-regular masking graph needs: the exact search of `secagg+`.

Source: Bell et al., CCS 2020 (Harary ring over permuted labels; holders of a member's secrets are exactly its
neighbours), in the form that production systems use: half of the privacy error for each of two bad events,
and one correctness error, with union bounds over the members. Counts are integers and comparisons exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from asyncagg.protocols.parameters.hypergeometric import Hypergeometric

PRIVACY_BITS = 40
"""σ: an input is exposed, or the honest survivors are split, with probability at most 2^−σ."""
CORRECTNESS_BITS = 20
"""η: a round within the dropout fraction fails with probability at most 2^−η."""


@dataclass(frozen=True, slots=True)
class Instance:
    """What the graph must withstand, in members."""

    members: int
    """n, at most 10^6."""
    corrupt: int
    """A: members that collude with the lead."""
    lost: int
    """Members that may drop and still be recovered from."""
    lying: bool


@dataclass(frozen=True, slots=True)
class Bounds:
    """Thresholds that one degree allows: safe from `least` up, recoverable up to `most`."""

    neighbours: int
    corrupt_neighbours: int
    """T1: no member has more corrupt neighbours than this, except with probability 2^−(σ+1)."""
    least: int
    most: int

    @property
    def accepted(self) -> bool:
        return self.least <= self.most

    @property
    def threshold(self) -> int:
        """The smallest safe threshold; with 1, each neighbour would hold a secret whole."""
        return max(self.least, 2)


def bounds(instance: Instance, neighbours: int) -> Bounds:
    """Steps 2 to 4 for one degree, whether or not the graph stays connected."""
    n = instance.members
    colluding = Hypergeometric(n, instance.corrupt, neighbours).least_above(PRIVACY_BITS + 1, n)
    alive = Hypergeometric(n, n - instance.lost, neighbours).most_below(CORRECTNESS_BITS, n)
    # ⌈(T1 + k − 1.25) / 2⌉ in integers: a colluding neighbour answers both questions, an honest one only one.
    unsafe = (colluding + neighbours) // 2 if instance.lying else colluding
    return Bounds(neighbours, colluding, unsafe + 1, alive)


def connected(instance: Instance, neighbours: int) -> bool:
    """Step 1: the honest survivors stay connected but for 2^−(σ+1). Then so they do with any larger
    degree."""
    n, k, gone = instance.members, neighbours, instance.corrupt + instance.lost
    if k > gone:
        return True
    value, bound = _split(instance, k), 2.0 ** -(PRIVACY_BITS + 1)
    if abs(value / bound - 1) > 8.0 * (k + 2) * 2.0**-53:
        return value < bound
    ways = n * (n - k - 1) * math.perm(gone, k)
    return ways << PRIVACY_BITS < math.perm(n, k)


def _split(instance: Instance, k: int) -> float:
    """½·n(n−k−1)·C(A+D, k) / C(n, k): two runs of k/2 corrupt or dropped members somewhere on the ring."""
    n, gone = instance.members, instance.corrupt + instance.lost
    if k > gone:
        return 0.0
    step = np.arange(k, dtype=np.float64)
    return float(0.5 * n * (n - k - 1) * np.prod((gone - step) / (n - step)))


def search(instance: Instance) -> Bounds | None:
    """The smallest even degree 2 ≤ k < n − 1 that is connected and accepted, or None. Source: CCS 2020, section 4.

    One more neighbour moves either bound by 0 or 1, so a degree that misses by g cannot be mended in fewer
    than g steps: the search leaps over those and still meets the smallest.
    """
    k = _least_connected(instance)
    while k < instance.members - 1:
        found = bounds(instance, k)
        if found.accepted:
            return found
        missing = found.least - found.most
        k += missing + missing % 2
    return None


def search_with_threshold(instance: Instance, threshold: int) -> Bounds | None:
    """The smallest even degree that is connected and allows this threshold, or None.

    Both bounds grow with k: the first degree that recovers with `threshold` is the only candidate.
    """
    k = max(_least_connected(instance), threshold + threshold % 2)
    while k < instance.members - 1:
        found = bounds(instance, k)
        if found.most >= threshold:
            return found if found.least <= threshold else None
        missing = threshold - found.most
        k += missing + missing % 2
    return None


def _least_connected(instance: Instance) -> int:
    """The smallest even k ≥ 2 that stays connected; bisection, since more neighbours never disconnect."""
    low, high = 1, (instance.members + 1) // 2
    while low < high:
        middle = (low + high) // 2
        if connected(instance, 2 * middle):
            high = middle
        else:
            low = middle + 1
    return 2 * low


def privacy_failure(instance: Instance, neighbours: int, threshold: int) -> float:
    """Bound on the probability that an input is exposed: honest survivors split, or both secrets of one
    collected.

    A lying lead's colluding neighbours answer twice, the others once: 2t answers take 2t − k colluding
    neighbours.
    """
    n, k = instance.members, neighbours
    collected = 2 * threshold - k if instance.lying else threshold
    return _split(instance, k) + n * Hypergeometric(n, instance.corrupt, k).above(collected - 1)


def recovery_failure(instance: Instance, neighbours: int, threshold: int) -> float:
    """Bound on the probability that some member's secrets are lost although no more dropped than allowed."""
    n = instance.members
    return n * Hypergeometric(n, n - instance.lost, neighbours).below(threshold)
