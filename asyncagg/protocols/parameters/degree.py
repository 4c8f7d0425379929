"""Number of neighbours and threshold that a k-regular masking graph needs: the exact search of `secagg+`.

Source: Bell et al., CCS 2020 (Harary ring over permuted labels; holders of a member's secrets are exactly its
neighbours), in the form that production systems use: half of the privacy error for each of two bad events,
and one correctness error, with union bounds over the members. Counts are integers and comparisons exact.

The corrupt members may be a random number, those that a cohort of the population happens to have: the bounds are then
averages over it. Against a lying lead they hold for every one of the graphs that it may abort attempts for, until one
suits it.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from asyncagg.protocols.parameters.connectivity import Connectivity
from asyncagg.protocols.parameters.drawn import DrawnTail
from asyncagg.protocols.parameters.hypergeometric import Hypergeometric

PRIVACY_BITS = 40
"""σ: an input is exposed, or the honest survivors are split, with probability at most 2^−σ."""
CORRECTNESS_BITS = 20
"""η: a round within the dropout fraction fails with probability at most 2^−η."""


@dataclass(frozen=True, slots=True)
class Instance:
    """Faults and corruption that the graph must withstand, in members."""

    members: int
    """n', at most 10^6: the roster. All corrupt owners of the cohort may be in it."""
    corrupt: int
    """A: owners of the population that collude with the lead."""
    lost: int
    """Members that may drop and still be recovered from."""
    lying: bool
    drawn: Hypergeometric | None = None
    """Number of the A that are in the cohort; None: all."""
    cohort_bits: int = 0
    """ℓ: the lead may choose among 2^ℓ cohorts."""
    graph_bits: int = 0
    """ℓ: the lead may choose among 2^ℓ graphs."""
    batch: int | None = None
    """T, where a lying lead loses whole batches only."""

    @property
    def present(self) -> Hypergeometric:
        """Number of corrupt owners in the cohort."""
        return self.drawn or Hypergeometric(self.corrupt, self.corrupt, self.corrupt)

    @property
    def most_corrupt(self) -> int:
        """n_c: a cohort has more corrupt owners with probability at most 2^−(σ+1), whichever the lead chooses."""
        return self.present.least_above(PRIVACY_BITS + 1 + self.cohort_bits, 1)

    @property
    def signing_twice(self) -> int:
        """2q − n: corrupt owners it takes to certify two sets, with quorum q = ⌊(n + n_c)/2⌋ + 1 of a cohort of n."""
        cohort, most = self.present.drawn, self.most_corrupt
        return 2 * ((cohort + most) // 2 + 1) - cohort

    def has_corrupt(self, owners: int) -> float:
        """Bound on the probability that some cohort has at least so many corrupt owners."""
        return self.present.above(owners - 1) * 2.0**self.cohort_bits

    @property
    def connectivity(self) -> Connectivity:
        """Ring with its missing members, for step 1."""
        return Connectivity(self.members, self.lost, self.present, self.batch)

    def colluding(self, neighbours: int) -> Hypergeometric | DrawnTail:
        """Number of one member's neighbours that are corrupt, for step 2."""
        present, n = self.present, self.members
        if present.low == present.high:
            return Hypergeometric(n, min(present.high, n), neighbours)
        if n == present.drawn:  # a random cohort's neighbours are drawn from the population
            return Hypergeometric(present.members, present.marked, neighbours)
        return DrawnTail(present, n, neighbours)


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
    neighbouring = instance.colluding(neighbours).least_above(PRIVACY_BITS + 1 + instance.graph_bits, n)
    colluding = min(neighbouring, instance.most_corrupt)
    alive = Hypergeometric(n, n - instance.lost, neighbours).most_below(CORRECTNESS_BITS, n)
    # ⌈(T1 + k − 1.25) / 2⌉ in integers: a colluding neighbour answers both questions, an honest one only one.
    unsafe = (colluding + neighbours) // 2 if instance.lying else colluding
    return Bounds(neighbours, colluding, unsafe + 1, alive)


def connected(instance: Instance, neighbours: int) -> bool:
    """Step 1: the honest survivors stay connected but for 2^−(σ+1). Then so they do with any larger
    degree."""
    return instance.connectivity.holds(neighbours, PRIVACY_BITS + 1 + instance.graph_bits)


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
    """The smallest even k ≥ 2 that stays connected, since more neighbours never disconnect; n − 1 or more if none."""
    last = (instance.members + 1) // 2
    high = 1
    while high < last and not connected(instance, 2 * high):
        high *= 2
    halves = range(high // 2 + 1, min(high, last))
    return 2 * (halves.start + bisect_left(halves, True, key=lambda half: connected(instance, 2 * half)))


def privacy_failure(instance: Instance, neighbours: int, threshold: int) -> float:
    """Bound on the probability that an input is exposed in any of the graphs: honest survivors split, both secrets of
    one collected, or two sets certified.

    A lying lead's colluding neighbours answer twice, the others once: 2t answers take 2t − k colluding
    neighbours. No member has more of them than the cohort has.
    """
    n, k, graphs = instance.members, neighbours, 2.0**instance.graph_bits
    split = graphs * min(float(instance.connectivity.split(k)), 1.0)
    collected = 2 * threshold - k if instance.lying else threshold
    near = graphs * n * instance.colluding(k).above(collected - 1)
    twice = instance.signing_twice if instance.lying else n + 1
    return split + min(near + instance.has_corrupt(twice), instance.has_corrupt(min(collected, twice)))


def recovery_failure(instance: Instance, neighbours: int, threshold: int) -> float:
    """Bound on the probability that some member's secrets are lost although no more dropped than allowed."""
    n = instance.members
    return n * Hypergeometric(n, n - instance.lost, neighbours).below(threshold)
