"""Notes on anything odd in a scenario that is no mistake: faults that never strike, expectations nobody can judge."""

from collections.abc import Iterator

from asyncagg.protocols.names import PHASES
from asyncagg.protocols.registry import find
from asyncagg.scenario.schema.faults import DropFault, Event
from asyncagg.scenario.schema.scenario import Scenario


def notes(scenario: Scenario) -> tuple[str, ...]:
    """A line each, `key.path: what is odd (what would be right)`; the same wherever the scenario was read."""
    return (*fault_notes(scenario), *_expect(scenario))


def fault_notes(scenario: Scenario) -> Iterator[str]:
    """Those of faults, which the result of a run has too: without them it would look as if nobody had been lost."""
    protocol = scenario.aggregation.protocol
    last = find(protocol).last_spoken
    for number, fault in enumerate(scenario.faults):
        timed = isinstance(fault, Event) and fault.at_ns is not None
        if isinstance(fault, DropFault | Event) and not timed and not fault.rounds.meet(scenario.rounds):
            rounds = "there is round 0 alone" if scenario.rounds == 1 else f"rounds are 0 to {scenario.rounds - 1}"
            yield f"faults.{number}.rounds: the fault never strikes ({rounds})"
        if isinstance(fault, DropFault) and PHASES.index(fault.phase) > PHASES.index(last):
            yield (
                f'faults.{number}.phase: is "{fault.phase}", when owners have nothing more to say with {protocol}: '
                f"the fault never strikes (no later than {last})"
            )


def _expect(scenario: Scenario) -> Iterator[str]:
    if scenario.engine == "hosts" and scenario.expect.exact is not None:
        yield "expect.exact: is not judged on hosts, where nobody sees the inputs (an engine on one machine tells)"
