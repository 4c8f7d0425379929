"""The explorer: one attempt of a small scenario in every order of events that matters, with what may go wrong.

Roles are driven by hand (`engines.by_hand`), with the cryptography and the mailbox of every engine, and without loop
or clock. What a role does is kept in a table (`behaviour`), so that each step is computed once; a state of all
players at once (`world`) is a row of numbers in these tables and in lists of messages on their way. The search goes
through all states that differ, depth first (`search`), and looks in each for what must hold (`invariants`).

What may go wrong in a run is bounded (`Faults`): an owner is lost after any of its messages; one role lies once, by a
menu (`lies`), an owner under every threat, the lead or a compute node where it is `lying`; a deadline of the lead
passes while something is on its way. Deadlines pass as well where nothing else can happen. A violation has the steps
that led to it: as a chart (`chart`), and as a file that goes them again (`replay`).

Not explored: users' code, several attempts, more than one lie in a run, a lost compute node or model owner, bytes below
a message, retries of a connection. Orders inside one gathering in which the role does the same count as one.
"""

from __future__ import annotations

from asyncagg.engines.by_hand.setting import HandSetting
from asyncagg.scenario.schema.scenario import Scenario
from asyncagg.testing.explore.search import Exploration, search
from asyncagg.testing.explore.world import Faults

STATES = 1_000_000
MOST_OWNERS = 5
"""With more there is no end of it."""


def explore(scenario: Scenario, faults: int = 1, states: int = STATES) -> Exploration:
    """Every order of events of the first attempt, with so many faults together, or the first so many states of them.

    ScenarioError where the scenario cannot be played, or has too many owners.

        assert explore(parse(values)).violation is None
    """
    if scenario.owners.in_round > MOST_OWNERS:
        many = f"is {scenario.owners.in_round}, too many to explore (at most {MOST_OWNERS} in a round)"
        scenario.refuse("owners.count", many)
    return search(HandSetting.of(scenario), Faults(total=faults), states)
