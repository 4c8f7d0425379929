"""Threshold, neighbours and floors of a masked round, for the pinned population and the roster at hand.

Every player computes them for itself: an owner takes nothing from the lead but the size of the roster, and
counts the corrupt owners of the WHOLE cohort, since a lead that drops honest owners does not drop its
own. Refusals are `Infeasible`, in words. Sources: Bonawitz et al., CCS 2017 (complete graph); Bell et al.,
CCS 2020 (k-regular graph, searched in `degree`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

from asyncagg.protocols.parameters import degree
from asyncagg.protocols.parameters.degree import Bounds, Instance
from asyncagg.protocols.parameters.population import Infeasible, Population

Auto = Literal["auto"]
GraphProtocol = Literal["secagg", "secagg+"]

COMPLETE_UP_TO: Final = 50
"""Rosters up to this size mask with everyone: the k-regular bounds are too loose to be worth it there."""
COMPUTATIONAL_BITS: Final = 128.0
"""Cap on reported bits: the strength of X25519 and AES-128. No counting argument is worth more."""
_RATE_LIMIT: Final = Fraction(9, 10)


@dataclass(frozen=True, slots=True)
class GraphParameters:
    """Parameters with which one roster masks and shares."""

    members: int
    """n = |U1|."""
    neighbours: int
    """k; n − 1 on the complete graph."""
    threshold: int
    """t: shares that open a secret."""
    complete: bool
    survivors_floor: int
    """With fewer survivors the round fails by name. Complete graph: t; else n − ⌊δn⌋, which is analysed."""
    minimum_cohort_limit: int | None
    """Largest minimum cohort that can be promised; None: any. A lying lead picks the dead after it has seen
    the k-regular graph, so a component is sure of t − T1 honest inputs only. Where it can lose whole batches
    only, the graph stays connected for all of them."""
    privacy_bits: float
    """−log2 of the bound on an input being exposed, rounded down to 0.01, at most 128. Against a lying lead it
    holds for all rounds and attempts together. On the complete graph of all owners counting is certain, and what
    remains is the strength of the cryptography: 128."""
    correctness_bits: float
    """−log2 of the bound on a round failing although at most ⌊δn⌋ dropped, likewise; 128: it is certain."""
    corrupt_holders: int
    """Most corrupt holders of one owner's secrets: n_c on the complete graph; else but for 2^−(σ+1) (T1)."""


def choose(
    protocol: GraphProtocol,
    population: Population,
    members: int | None = None,
    threshold: int | Auto = "auto",
    neighbours: int | Auto = "auto",
) -> GraphParameters:
    """Parameters of a roster of `members` (default: the whole cohort). Infeasible where there are no safe ones."""
    n = population.cohort if members is None else members
    if n < 2:
        raise Infeasible(f"{protocol} with {n} owner{'s' * (n != 1)}: at least 2 are needed to hide an input")
    if not population.roster_floor <= n <= population.cohort:
        raise Infeasible(f"a roster of {n} owners: must be {population.roster_floor} to {population.cohort}")
    if protocol == "secagg":
        return complete_graph(population, n, threshold)
    return _secagg_plus(population, n, threshold, neighbours)


def check_minimum_cohort(parameters: GraphParameters, minimum_cohort: int) -> None:
    """Infeasible if no sum can have so many survivors, or a lying lead can bring a component below it."""
    limit = parameters.minimum_cohort_limit
    if limit is not None and minimum_cohort > limit:
        raise Infeasible(
            f"minimum_cohort = {minimum_cohort} cannot be promised: a lying lead that has seen the graph can "
            f'cut out a component with {limit} honest inputs; use at most {limit}, or protocol = "secagg"'
        )
    if minimum_cohort > parameters.members:
        raise Infeasible(f"minimum_cohort = {minimum_cohort}: the roster has only {parameters.members} owners")


# -- complete graph ----------------------------------------------------------------------------------------


def complete_thresholds(population: Population, members: int) -> tuple[int, int]:
    """The least safe threshold on the complete graph, and the one that `auto` takes."""
    if population.lying:
        least = max(2, (members + population.corrupt_owners) // 2 + 1)
        return least, least
    least = max(2, population.corrupt_owners + 1)
    return least, max(least, members // 2 + 1)


def complete_graph(population: Population, members: int, threshold: int | Auto = "auto") -> GraphParameters:
    """secagg's threshold for a roster of `members`, chosen or checked. Source: CCS 2017."""
    n, left = members, members - population.lost(members)
    least, by_itself = complete_thresholds(population, n)
    t = by_itself if threshold == "auto" else threshold
    if t < least:
        why = _why_unsafe(n, population.corrupt_owners, population.lying)
        raise Infeasible(f"threshold {t} is unsafe: {why}; it must be at least {least}")
    if t > left:
        raise Infeasible(
            f"threshold {t} is out of reach for {population.describe(n)}: {left} are left when {n - left} "
            f"drop; {_what_would_do(least, left)}"
        )
    privacy = _bits(_exposed(population, n, t))
    corrupt = population.corrupt_owners
    return GraphParameters(n, n - 1, t, True, t, None, privacy, COMPUTATIONAL_BITS, corrupt)


def _exposed(population: Population, n: int, t: int) -> float:
    """Bound on the probability that a cohort has enough corrupt owners to open an input, or certify two sets."""
    if not population.lying:
        return population.instance(n).has_corrupt(t)
    return population.instance(n).has_corrupt(min(2 * t - n, 2 * population.quorum(t) - population.cohort))


def _why_unsafe(n: int, corrupt: int, lying: bool) -> str:
    """Reason why a threshold below the least is unsafe on the complete graph."""
    if lying:
        both = f", and {corrupt} corrupt would answer both" if corrupt else ""
        return f"a lying lead can ask two groups of the {n} owners for different secrets of one owner{both}"
    if corrupt < 2:
        return "one owner would hold every other owner's secrets whole"
    return f"{corrupt} corrupt owners could open every input together with the lead"


def _what_would_do(least: int, left: int) -> str:
    if least > left:
        return "lower corrupt or dropout"
    return f"threshold = {least} would do" if least == left else f"threshold = {least} to {left} would do"


# -- k-regular graph ---------------------------------------------------------------------------------------


def searched(population: Population, members: int | None = None) -> GraphParameters:
    """The row of the published search for secagg+, at any size. Infeasible if nothing is found.

    Like published tables it counts ⌊γN⌋ corrupt owners; a run counts ⌈γN⌉ (`choose`).
    """
    instance = population.published_instance(population.cohort if members is None else members)
    found = _bounds(population, instance, "auto", "auto")
    return _regular(instance, found, found.threshold)


def _secagg_plus(population: Population, n: int, threshold: int | Auto, neighbours: int | Auto) -> GraphParameters:
    """Given neighbours if safe; else everyone up to 50 members; above that the search, or a refusal."""
    if neighbours != "auto":
        most = population.cohort - 1
        if neighbours != most and (neighbours % 2 or not 2 <= neighbours < most):
            raise Infeasible(f"neighbours = {neighbours}: must be even, 2 to {most - 1}, or {most} for everyone")
    if n <= COMPLETE_UP_TO if neighbours == "auto" else neighbours >= n - 1:
        return complete_graph(population, n, threshold)
    instance = population.instance(n)
    try:
        found = _bounds(population, instance, threshold, neighbours)
        return _regular(instance, found, _allowed(found, threshold))
    except Infeasible as refusal:
        raise Infeasible(f"{refusal}; {_what_else(population, n)}") from None


def _bounds(population: Population, instance: Instance, threshold: int | Auto, neighbours: int | Auto) -> Bounds:
    """Threshold and floor for the given degree, or for the smallest that will do. Infeasible where there are none."""
    _check_rates(population)
    who = population.describe(instance.members)
    if neighbours == "auto":
        if threshold == "auto":
            found, given = degree.search(instance), ""
        else:
            found = degree.search_with_threshold(instance, threshold)
            given = f" and threshold = {threshold}"
        if found is None:
            raise Infeasible(f"secagg+ finds no graph for {who}{given}")
        return found
    if not degree.connected(instance, neighbours):
        raise Infeasible(
            f"neighbours = {neighbours} is unsafe for {who}: the honest survivors may be "
            f"split into separate sums (probability over 2^-{degree.PRIVACY_BITS + 1})"
        )
    return degree.bounds(instance, neighbours)


def _check_rates(population: Population) -> None:
    """The search's first refusal: too much corruption and dropout together."""
    times = 2 if population.lying else 1
    if Fraction(population.corrupt) + times * Fraction(population.dropout) > _RATE_LIMIT:
        raise Infeasible(
            f"secagg+ against a {population.threat} lead needs corrupt + {'2·' * (times - 1)}dropout ≤ 0.9; "
            f"here it is {population.corrupt + times * population.dropout}"
        )


def _allowed(found: Bounds, threshold: int | Auto) -> int:
    """The smallest safe threshold, or the given one if this degree allows it."""
    least, most = found.threshold, found.most
    t = least if threshold == "auto" else threshold
    if least <= t <= most:
        return t
    unsafe = f"colluding neighbours may collect it (probability over 2^-{degree.PRIVACY_BITS + 1})"
    reasons = (
        f"below {least}, {unsafe if found.least > 1 else 'one neighbour holds a secret whole'}; "
        f"above {most}, too few neighbours may survive (over 2^-{degree.CORRECTNESS_BITS})"
    )
    if least > most:
        raise Infeasible(f"secagg+ with {found.neighbours} neighbours has no threshold: {reasons}")
    raise Infeasible(f"threshold {t} with {found.neighbours} neighbours must be {least} to {most}: {reasons}")


def _what_else(population: Population, n: int) -> str:
    """Remedy in words: other neighbours, where there are any, or secagg."""
    try:
        t = complete_graph(population, n).threshold
    except Infeasible as refusal:
        secagg = f'protocol = "secagg" would not do: {refusal}'
    else:
        secagg = f'protocol = "secagg" would do (threshold {t}, every owner masks with every other)'
    better = _usable(population, n)
    if better is None:
        return secagg
    return f"neighbours = {better.neighbours} with threshold = {better.threshold} would do; {secagg}"


def _usable(population: Population, n: int) -> Bounds | None:
    """The degree of the search or, where its threshold of 2 cannot be recovered, the next that can."""
    instance = population.instance(n)
    try:
        found = _bounds(population, instance, "auto", "auto")
    except Infeasible:
        return None
    return found if found.threshold <= found.most else degree.search_with_threshold(instance, 2)


def _regular(instance: Instance, found: Bounds, t: int) -> GraphParameters:
    n, k = instance.members, found.neighbours
    picks = instance.lying and instance.batch is None
    limit = t - found.corrupt_neighbours if picks else None
    privacy = _bits(degree.privacy_failure(instance, k, t))
    correctness = _bits(degree.recovery_failure(instance, k, t))
    floor, corrupt = n - instance.lost, found.corrupt_neighbours
    return GraphParameters(n, k, t, False, floor, limit, privacy, correctness, corrupt)


def _bits(probability: float) -> float:
    """−log2, 0 to 128, rounded down to 0.01 so that it reads the same on every machine."""
    if probability <= 2.0**-COMPUTATIONAL_BITS:
        return COMPUTATIONAL_BITS
    return max(0.0, math.floor(-math.log2(probability) * 100) / 100)
