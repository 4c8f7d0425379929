"""Threshold and neighbours of a population before anything runs: `asyncagg plan`, `check`."""

from __future__ import annotations

from dataclasses import dataclass

from asyncagg.protocols.context import GraphPolicy
from asyncagg.protocols.parameters.choose import COMPLETE_UP_TO, GraphParameters, searched
from asyncagg.protocols.parameters.population import Infeasible, Population
from asyncagg.protocols.registry import find


@dataclass(frozen=True, slots=True)
class Plan:
    """The parameters of the full cohort."""

    reported: GraphParameters
    """Parameters that a run uses; where the graph may be k-regular, the row of the published search.

    That row counts ⌊γN⌋ corrupt owners, also if a run of so few uses the complete graph.
    """
    run: GraphParameters | None
    """Parameters that a run uses; None if it would be refused, as the notes say."""
    notes: tuple[str, ...]
    """Sentences on where a run differs from what is reported, or would be refused."""


def plan(policy: GraphPolicy) -> Plan:
    """Parameters to report, parameters of a run, and notes. Infeasible, in words, if there are neither."""
    population = policy.population
    regular = find(policy.protocol).takes_neighbours
    small = regular and population.cohort <= COMPLETE_UP_TO
    row = _row(population) if regular and policy.neighbours == policy.threshold == "auto" else None
    try:
        run = policy.parameters(population.cohort)
    except Infeasible as refusal:
        if row is None or not small:
            raise
        return Plan(row, None, (f"A run would be refused: {refusal}.",))
    notes = []
    if small and run.complete:
        notes.append(
            f"A run with up to {COMPLETE_UP_TO} owners uses the complete graph: {run.neighbours} neighbours, "
            f"threshold {run.threshold}."
        )
    elif row is not None and row != run:
        notes.append(
            f"The published search counts {population.published_corrupt} corrupt owners, rounded down; a run rounds "
            f"up to {population.all_corrupt}: {run.neighbours} neighbours, threshold {run.threshold}."
        )
    notes += _smallest_roster(policy)
    return Plan(run if row is None or row == run else row, run, tuple(notes))


def _row(population: Population) -> GraphParameters | None:
    """The published row, where it says something else than a run's search: of few owners, or of a rounded number."""
    if population.cohort > COMPLETE_UP_TO and population.published_corrupt == population.all_corrupt:
        return None
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
