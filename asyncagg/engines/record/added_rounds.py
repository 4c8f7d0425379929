"""Rounds that are added to a finished run: where that can be done, and how its checkpoint knows its scenario."""

from __future__ import annotations

from asyncagg.protocols.context import GraphPolicy
from asyncagg.protocols.registry import find
from asyncagg.scenario.cohorts import population
from asyncagg.scenario.schema.scenario import Scenario


def objection(scenario: Scenario) -> str | None:
    """Reason why a run of this scenario gets no more rounds once it is finished; None where it may."""
    if scenario.engine == "hosts":
        return "no rounds can be added on hosts: each has their number in its own scenario (a new run)"
    if _protection_is_reckoned_over_the_rounds(scenario):
        return (
            "no rounds can be added: against a lying lead the owners of a round, or their graph, were chosen so that "
            f"{scenario.rounds} rounds together are safe (a new run)"
        )
    return None


def checkpoint_digest(scenario: Scenario) -> bytes:
    """Digest of the scenario in its checkpoint, 32 bytes: of all but the number of rounds where that may grow."""
    return scenario.digest_without_rounds() if objection(scenario) is None else scenario.digest()


def _protection_is_reckoned_over_the_rounds(scenario: Scenario) -> bool:
    aggregation = scenario.aggregation
    if aggregation.threat != "lying":
        return False
    if scenario.owners.in_round < scenario.owners.count:
        return True
    graph, everyone = find(aggregation.protocol).graph, population(scenario)
    if graph is None:
        return False
    policy = GraphPolicy(graph, everyone, aggregation.threshold, aggregation.neighbours)
    return not policy.parameters(everyone.cohort).complete
