"""`python -m asyncagg.testing explore` and `replay`: every order of events of a small scenario, or one of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer

from asyncagg.cli.output.plain import BAD_USAGE, answer, complain, interruptible, refusing
from asyncagg.report.words import number
from asyncagg.scenario.reading.load import load
from asyncagg.scenario.schema.scenario import Scenario
from asyncagg.testing.explore import explore
from asyncagg.testing.explore.chart import chart
from asyncagg.testing.explore.replay import ReplayError, read, replay, write
from asyncagg.testing.explore.search import Exploration, Violation
from asyncagg.testing.names import PROGRAM

HELD, VIOLATED = 0, 1
_MAY = ("a lost owner", "a lie of an owner", "a deadline that passes early")
_LYING = ("a lost owner", "a lie of an owner, the lead or a compute node", "a deadline that passes early")


def explore_scenario(path: str, overrides: tuple[str, ...], faults: int, states: int, out: Path) -> int:
    """Explore it, say what was seen, and write a violation to a file; the exit status."""
    with interruptible(), refusing():
        scenario = load(path, overrides)
        answer(_asked(scenario, faults, states))
        seen = explore(scenario, faults, states)
        answer(_seen(seen))
        if seen.violation is None:
            return HELD
        answer(_shown(seen.violation))
        try:
            write(out, scenario, seen.faults, seen.violation)
        except OSError as error:
            complain([f"{out}: {error.strerror} (a file for the violation)"])
        else:
            answer([f"again: {PROGRAM} replay {out}"])
    return VIOLATED


def replay_file(path: Path) -> int:
    """Go the steps of a file again and say what is violated at their end; the exit status."""
    with interruptible():
        try:
            recorded = read(path)
            what = replay(recorded)
        except ReplayError as error:
            complain([str(error)])
            raise typer.Exit(BAD_USAGE) from None
        if not what:
            answer([f"{path}: after the same steps every invariant holds"])
            return HELD
        answer(_shown(Violation(what, recorded.violation.choices)))
    return VIOLATED


def _asked(scenario: Scenario, faults: int, states: int) -> Iterator[str]:
    aggregation = scenario.aggregation
    yield (
        f"{scenario.name}: {aggregation.protocol}, {aggregation.threat}, {number(scenario.owners.in_round, 'owner')}, "
        f"{number(aggregation.compute_nodes, 'compute node')}"
    )
    what = ", ".join(_LYING if aggregation.threat == "lying" else _MAY)
    yield f"at most {number(faults, 'fault')} in a run, each of these at most once: {what}" if faults else "no faults"
    yield f"at most {states:,} states"


def _seen(seen: Exploration) -> Iterator[str]:
    yield f"{seen.states:,} states, {seen.steps:,} steps between them, at most {seen.longest} in a run"
    for how, count in sorted(seen.ends.items()):
        yield f"  {count:,} of them are ends: {how}"
    if seen.is_cut:
        yield "cut at the bound: nothing is known of the rest"
    elif seen.violation is None:
        yield "complete: every invariant held in every state"


def _shown(violation: Violation) -> Iterator[str]:
    yield ""
    yield from chart(violation.choices)
    yield f"violated: {violation.what}"
