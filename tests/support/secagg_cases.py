"""Random rounds of secagg and secagg+, and what has to come of each: worked out from the scenario alone.

The rules here are written down a second time, from PROTOCOLS' words and not from the code: who is in which phase, which
floor stops the round, how many answers open it. Only the graph is taken from the run, since its labels are drawn from
keys, and (k, t) of k-regular graphs, which have tests of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Any

from support.attack_driver import scenario

from asyncagg.protocols.parameters.choose import choose
from asyncagg.protocols.parameters.population import Infeasible, Population, exact

PHASES = ("publish", "advertise", "share", "upload", "certify", "unmask")
Neighbours = Callable[[int], list[int]]
"""Owner → its neighbours in the graph of the run, by index."""


@dataclass(frozen=True)
class Case:
    """One round."""

    seed: int
    owners: int
    protocol: str
    threat: str
    reveal: str
    corrupt: str
    dropout: str
    minimum_cohort: int
    nodes: int
    drops: dict[str, tuple[int, ...]]

    def scenario(self) -> dict[str, Any]:
        return scenario(
            self.owners,
            self.protocol,
            self.drops,
            seed=self.seed,
            threat=self.threat,
            reveal=self.reveal,
            corrupt=float(self.corrupt),
            dropout=float(self.dropout),
            minimum_cohort=self.minimum_cohort,
            compute_nodes=self.nodes,
        )


@dataclass(frozen=True)
class Outcome:
    """How a round has to end."""

    failed_in: str | None = None
    """The lead's last phase, or "scenario" where it is refused before it begins; None if there is a mean."""
    survivors: tuple[int, ...] = ()
    dropped: dict[int, str] | None = None
    silent_after: dict[int, str] | None = None
    masked: int = 0
    """Expansions by all owners that masked."""
    removed: int = 0
    """Expansions by who removes what is left."""


def case(seed: int, most: int = 60) -> Case:
    """The case of a seed: two in three within what the dropout rate promises, the others beyond or at the edge."""
    random = Random(seed)
    owners = random.randint(3, most)
    dropout = random.choice(["0", "0.05", "0.1", "0.2", "0.3", "0.4"])
    allowed = math.floor(Fraction(dropout) * owners)
    total = random.choice([allowed, random.randint(0, allowed), random.randint(0, min(owners, 3 * allowed + 3))])
    silent = random.sample(range(owners), total)
    phases = random.choice(
        [PHASES, PHASES, ("upload", "unmask"), ("share", "upload", "certify"), ("share",), ("publish",)]
    )
    drops: dict[str, list[int]] = {phase: [] for phase in PHASES}
    for owner in silent:
        drops[random.choice(phases)].append(owner)
    return Case(
        seed,
        owners,
        random.choice(["secagg", "secagg+"]),
        random.choice(["curious", "lying"]),
        random.choice(["compute-nodes", "model-owner"]),
        random.choice(["0", "0.05", "0.1", "0.2"]),
        dropout,
        random.choice([2, 2, 3, max(2, owners // 2)]),
        random.randint(1, 3),
        {phase: tuple(sorted(each)) for phase, each in drops.items()},
    )


@dataclass(frozen=True)
class Numbers:
    """What a roster of n has to reach."""

    k: int
    t: int
    floor: int
    limit: int | None


def numbers(case: Case, n: int) -> Numbers | None:
    """None where a roster of so many is refused."""
    n_c = math.ceil(Fraction(case.corrupt) * case.owners)
    left = n - math.floor(Fraction(case.dropout) * n)
    if case.protocol == "secagg" or n <= 50:
        t = (n + n_c) // 2 + 1 if case.threat == "lying" else max(2, n // 2 + 1, n_c + 1)
        t = max(2, t)
        return Numbers(n - 1, t, t, None) if n >= 2 and t <= left else None
    population = Population(case.owners, exact(case.corrupt), exact(case.dropout), case.threat)  # type: ignore[arg-type]
    try:
        found = choose("secagg+", population, n)
    except Infeasible:
        return None
    return Numbers(found.neighbours, found.threshold, left, found.minimum_cohort_limit)


def expected(case: Case, graph: Neighbours | None) -> Outcome:
    """How the round ends; `graph` is needed once boxes have been sealed."""
    roster_floor = max(case.minimum_cohort, case.owners - math.floor(Fraction(case.dropout) * case.owners))
    at_first = numbers(case, case.owners)
    if at_first is None or (at_first.limit is not None and case.minimum_cohort > at_first.limit):
        return Outcome("scenario")
    there = [owner for owner in range(case.owners) if owner not in case.drops["publish"]]
    if len(there) < case.minimum_cohort:
        return Outcome("publish")
    u1 = [owner for owner in there if owner not in case.drops["advertise"]]
    needs = numbers(case, len(u1))
    if len(u1) < roster_floor or needs is None or (needs.limit is not None and case.minimum_cohort > needs.limit):
        return Outcome("advertise")
    complete = needs.k == len(u1) - 1
    near = (lambda owner: [other for other in u1 if other != owner]) if complete or graph is None else graph
    holders = (lambda owner: u1) if complete else near
    u2 = [owner for owner in u1 if owner not in case.drops["share"]]
    if len(u2) < case.minimum_cohort or any(count(holders(owner), u2) < needs.t for owner in u2):
        return Outcome("share")
    floor = max(case.minimum_cohort, needs.floor)
    u3 = [owner for owner in u2 if owner not in case.drops["upload"]]
    if len(u3) < floor:  # also where U2 is smaller: then nobody uploads
        return Outcome("upload")
    quiet = {owner: "certify" if case.threat == "lying" else "unmask" for owner in case.drops["certify"] if owner in u3}
    signed = [owner for owner in u3 if owner not in case.drops["certify"]]
    n_c = math.ceil(Fraction(case.corrupt) * case.owners)
    if case.threat == "lying" and len(signed) < max((case.owners + n_c) // 2 + 1, needs.t if complete else 0):
        return Outcome("certify")
    u4 = [owner for owner in signed if owner not in case.drops["unmask"]]
    quiet |= {owner: "unmask" for owner in case.drops["unmask"] if owner in signed}
    if any(count(holders(owner), u4) < needs.t for owner in u2):
        return Outcome("unmask" if case.reveal == "compute-nodes" else "reveal")
    dead = [owner for owner in u2 if owner not in u3]
    return Outcome(
        None,
        tuple(u3),
        {owner: phase for phase in PHASES[:4] for owner in case.drops[phase]},
        quiet,
        sum(count(near(owner), u2) + 1 for owner in u2),
        len(u3) + sum(count(near(owner), u3) for owner in dead),
    )


def count(some: list[int], among: list[int]) -> int:
    return len({*some} & {*among})
