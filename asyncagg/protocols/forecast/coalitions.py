"""Coalitions that can open an input, in plain sentences with a run's own numbers: `check`, `result.json`.

The protocol says which coalition opens an input; what holds of every protocol is said here.
"""

from __future__ import annotations

from asyncagg.protocols.forecast import sentences
from asyncagg.protocols.forecaster import Situation
from asyncagg.protocols.registry import find


def honest_inputs(cohort: int, corrupt_owners: int) -> int:
    """Fewest honest inputs in a sum of `cohort` survivors."""
    return max(0, cohort - corrupt_owners)


def opens_an_input(situation: Situation) -> tuple[str, ...]:
    """Sentences: what a coalition needs, who sees the sum, what the smallest sum hides, what is assumed.

    ValueError if graph parameters are missing or out of place.
    """
    protocol = find(situation.protocol)
    if (situation.parameters is None) != (protocol.graph is None):
        raise ValueError(f"{protocol.name}: graph parameters go with protocols that have a graph, and only with them")
    forecaster = protocol.forecaster
    said = [*forecaster.openers(situation), forecaster.who_sees_the_sum(situation)]
    if protocol.protects:
        said += [_smallest_sum(situation), *_curious(situation), *forecaster.assumptions(situation)]
    if situation.owners_per_process > 1:
        said.append(
            f"Owners that share a process (up to {situation.owners_per_process}) are one party: if one of "
            "them colludes, count them all."
        )
    return tuple(said)


def _smallest_sum(situation: Situation) -> str:
    cohort, corrupt = situation.smallest_cohort, situation.corrupt_owners
    honest = honest_inputs(cohort, corrupt)
    if honest >= 2:
        return (
            f"The smallest sum that is released has {cohort} survivors; with {sentences.owners(corrupt)} corrupt it "
            f"still mixes {honest} honest inputs."
        )
    return (
        f"The smallest sum that is released has {cohort} survivors, and with {sentences.owners(corrupt)} corrupt all "
        "but one may be: with whoever sees the sum they open that one's input. "
        f"minimum_cohort = {corrupt + 2} or more rules it out."
    )


def _curious(situation: Situation) -> list[str]:
    if situation.threat == "lying":
        return []
    lies = "A lead that lies, inventing owners or telling them different things,"
    if "lying" in find(situation.protocol).threats:
        held = 'is held off by threat = "lying" only.'
    else:
        held = f"is not held off by {situation.protocol}."
    return [f'threat = "curious" assumes a lead that follows the protocol. {lies} {held}']
