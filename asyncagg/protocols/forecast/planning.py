"""What a population's threshold and neighbours come to before anything runs: `asyncagg plan`, `check`."""

from __future__ import annotations

from dataclasses import dataclass

from asyncagg.protocols.context import GraphPolicy
from asyncagg.protocols.parameters.choose import COMPLETE_UP_TO, GraphParameters, searched
from asyncagg.protocols.parameters.population import Infeasible, Population
from asyncagg.protocols.registry import find


@dataclass(frozen=True, slots=True)
class Plan:
    """The parameters of the full population."""

    reported: GraphParameters
    """What a run uses; where the graph may be k-regular, the row of its search, also if a run of so few uses the
    complete graph."""
    run: GraphParameters | None
    """What a run uses; None if it would be refused, as the notes say."""
    notes: tuple[str, ...]
    """Sentences on where a run differs from what is reported, or would be refused."""


def plan(policy: GraphPolicy) -> Plan:
    """What is reported, what a run uses, and notes. Infeasible, in words, if there is neither."""
    population = policy.population
    small = find(policy.protocol).takes_neighbours and population.owners <= COMPLETE_UP_TO
    row = _row(population) if small and policy.neighbours == policy.threshold == "auto" else None
    try:
        run = policy.parameters(population.owners)
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
    notes += _smallest_roster(policy)
    return Plan(row or run, run, tuple(notes))


def _row(population: Population) -> GraphParameters | None:
    try:
        return searched(population)
    except Infeasible:
        return None


def _smallest_roster(policy: GraphPolicy) -> list[str]:
    """A note if the smallest roster that owners accept has no safe parameters of its own."""
    floor = policy.population.roster_floor
    try:
        policy.parameters(floor)
    except Infeasible as refusal:
        return [f"If only {floor} owners advertise, the attempt is refused: {refusal}."]
    return []
