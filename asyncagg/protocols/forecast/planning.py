"""What to know about a population's threshold and neighbours before anything runs: `asyncagg plan`,
`check`."""

from __future__ import annotations

from dataclasses import dataclass

from asyncagg.protocols.names import ProtocolName
from asyncagg.protocols.parameters.choose import (
    COMPLETE_UP_TO,
    Auto,
    GraphParameters,
    GraphProtocol,
    choose,
    complete_thresholds,
    searched,
)
from asyncagg.protocols.parameters.population import Infeasible, Population


@dataclass(frozen=True, slots=True)
class Plan:
    """The parameters of the full population."""

    reported: GraphParameters
    """For secagg+ the row of the k-regular search, also where a run uses the complete graph; else what a run
    uses."""
    run: GraphParameters | None
    """What a run uses; None if it would be refused, as the notes say."""
    notes: tuple[str, ...]
    """Sentences on where a run differs from what is reported, or would be refused."""


def plan(
    protocol: GraphProtocol,
    population: Population,
    threshold: int | Auto = "auto",
    neighbours: int | Auto = "auto",
) -> Plan:
    """What is reported, what a run uses, and notes. Infeasible, in words, if there is neither."""
    small = protocol == "secagg+" and population.owners <= COMPLETE_UP_TO
    row = _row(population) if small and neighbours == threshold == "auto" else None
    try:
        run = choose(protocol, population, None, threshold, neighbours)
    except Infeasible as refusal:
        if row is None:
            raise
        return Plan(row, None, (f"A run would be refused: {refusal}.",))
    notes = []
    if small and run.complete:
        notes.append(
            f"A run with up to {COMPLETE_UP_TO} owners uses the complete graph: {run.neighbours} neighbours, "
            f"threshold {run.threshold}."
        )
    notes += _smallest_roster(protocol, population, threshold, neighbours)
    return Plan(row or run, run, tuple(notes))


def _row(population: Population) -> GraphParameters | None:
    try:
        return searched(population)
    except Infeasible:
        return None


def _smallest_roster(
    protocol: GraphProtocol, population: Population, threshold: int | Auto, neighbours: int | Auto
) -> list[str]:
    """A note if the smallest roster that owners accept has no safe parameters of its own."""
    floor = population.roster_floor
    try:
        choose(protocol, population, floor, threshold, neighbours)
    except Infeasible as refusal:
        return [f"If only {floor} owners advertise, the attempt is refused: {refusal}."]
    return []


def smallest_cohort(
    protocol: ProtocolName,
    population: Population,
    minimum_cohort: int,
    threshold: int | Auto = "auto",
    neighbours: int | Auto = "auto",
) -> int:
    """Fewest survivors that any released sum can have, counted at the smallest roster that owners accept.

    `pairwise` sums a whole roster; secrets take t answers, and a k-regular graph all but ⌊δn⌋ owners.
    """
    floor = population.roster_floor
    if protocol == "pairwise":
        return max(minimum_cohort, floor)
    if protocol in ("plain", "additive"):
        return minimum_cohort
    left = floor - population.lost(floor)
    if protocol == "secagg+" and neighbours == "auto" and floor > COMPLETE_UP_TO:
        return max(minimum_cohort, left)
    t = complete_thresholds(population, floor)[1] if threshold == "auto" else threshold
    return max(minimum_cohort, min(t, left))
