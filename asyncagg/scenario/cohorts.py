"""Owners of a scenario as protocols count them: the population, its cut into batches, its cohorts."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from asyncagg.crypto.kdf import encode_fields
from asyncagg.protocols.batches import Batches
from asyncagg.protocols.cohort import Cohorts
from asyncagg.protocols.parameters.batch_size import batch_size
from asyncagg.protocols.parameters.population import Population, exact
from asyncagg.scenario.schema.scenario import Scenario


def population(scenario: Scenario) -> Population:
    """Population of a scenario, and assumptions on it. Infeasible where a batch, or what is assumed, makes no sense."""
    aggregation, owners = scenario.aggregation, scenario.owners
    everyone = Population(
        owners.count,
        exact(aggregation.corrupt),
        exact(aggregation.dropout),
        aggregation.threat,
        rounds=scenario.rounds,
        attempts=1 + (aggregation.retries if aggregation.on_failure == "retry" else 0),
    )
    batched = replace(everyone, batch=batch_size(everyone, aggregation.batch))
    drawn = cohorts(scenario, cut(scenario, batched.batch))
    return replace(batched, per_round=owners.per_round if drawn is None else drawn.most)


def cut(scenario: Scenario, batch: int) -> Batches:
    """The cut of an experiment: its seed follows from the scenario's, so that all engines make the same one."""
    return Batches(scenario.owners.count, batch, cut_seed(scenario.seed))


def cut_seed(seed: int) -> bytes:
    """32 bytes out of a scenario's seed."""
    return hashlib.sha256(encode_fields("asyncagg cut of a scenario", seed)).digest()


def cohorts(scenario: Scenario, batches: Batches) -> Cohorts | None:
    """The draw of cohorts that owners check; None where nobody does: a curious lead, and no batches."""
    if scenario.aggregation.threat == "curious" and batches.size == 1:
        return None
    return Cohorts(batches, scenario.owners.in_round, scenario.rounds)
