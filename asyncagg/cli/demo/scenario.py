"""The scenario of the demo, made in code: it is there wherever asyncagg is installed."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence

from asyncagg.engines.processes.child_handle import places
from asyncagg.engines.runtime import identities
from asyncagg.scenario import draws
from asyncagg.scenario.reading.load import parse
from asyncagg.scenario.schema.scenario import Scenario

OWNERS = 3
"""Number of owners in the smallest example: with three compute nodes and the model owner, seven processes."""
OWNERS_WITH_DROPOUTS = 5
FEWEST_WITH_DROPOUTS = 4
"""Smallest number with dropouts: without one of three owners, either of the other two can work out the other's part."""
OWNER_PROCESSES = 8
"""Most processes of data owners; where there are more owners, they share them."""
_EVERY = 6
"""Rounds from one dropout to the next one in the same phase."""
_WIDTH = 79


def demo_scenario(owners: int, rounds: int, dropouts: bool) -> Scenario:
    """Handwritten digits, learnt together by `owners` in at most OWNER_PROCESSES processes, nothing to download."""
    return parse(
        {
            "name": "demo",
            "description": "Processes of one machine train a classifier of handwritten digits; nobody sees a gradient.",
            "rounds": rounds,
            "engine": "processes",
            "owners": {"count": owners, "per_process": -(-owners // OWNER_PROCESSES)},
            "aggregation": {"minimum_cohort": _minimum_cohort(owners), "weighting": "uniform"},
            "workload": {"kind": "digits"},
            "expect": {"completed": True, "exact": True},
            **(_dropouts(owners, rounds) if dropouts else {}),
        },
        "demo",
    )


def introduction(scenario: Scenario) -> Iterator[str]:
    """Introduction in lines that fit a terminal: who takes part, and who will drop out when."""
    count = scenario.owners.count
    homes = places(identities.everyone(scenario), scenario.owners.per_process)
    fleets = len(homes) - 1 - scenario.aggregation.compute_nodes
    together = "" if fleets == count else f" in {fleets} processes"
    yield from wrapped(
        f"{len(homes)} processes on this machine train a classifier of handwritten digits together: a model owner, "
        f"{scenario.aggregation.compute_nodes} compute nodes and {count} data owners{together}, over mutual TLS 1.3 "
        f"({scenario.aggregation.protocol})."
    )
    for phase, what in _TOLD.items():
        rounds = [each for each in range(scenario.rounds) if phase in draws.dropped(scenario, each).values()]
        if rounds:
            silent = len(draws.dropped(scenario, rounds[0]))
            who = f"{silent} of the {count} owners {'falls' if silent == 1 else 'fall'} silent"
            yield from wrapped(f"- {_named(rounds)}: {who} {what}.")


def wrapped(text: str) -> list[str]:
    """Prose in lines that fit a terminal, all but the first indented where it is an item of several."""
    width = min(_WIDTH, shutil.get_terminal_size().columns - 1)
    return textwrap.wrap(text, max(20, width), subsequent_indent="  " if text.startswith("- ") else "")


_TOLD = {
    "upload": "before the upload; the mean is that of the others, whose masks come off with shares they hold",
    "unmask": "after the upload; the mean holds what was sent, opened with shares that the others hold",
}
"""Phase from which owners are silent → what that comes to."""


def _minimum_cohort(owners: int) -> int:
    """Three owners stay together; of more, all but three in ten, or one, may be missing."""
    return owners if owners <= OWNERS else min(owners - 1, -(-7 * owners // 10))


def _dropouts(owners: int, rounds: int) -> dict[str, object]:
    """Faults of some rounds: a fifth of the owners is silent from the upload on, or one from unmasking on.

    A phase in which somebody is waited for lasts to its deadline: long enough for all others, on a busy machine too.
    """
    deadline = {"deadline": f"{1000 + 20 * owners} ms"}
    before, after = _spread(1, rounds), _spread(1 + _EVERY // 2, rounds)
    faults = [
        {"kind": "drop", "players": {"fraction": 0.2}, "phase": "upload", "rounds": before},
        {"kind": "drop", "players": {"count": 1}, "phase": "unmask", "rounds": after},
    ]
    return {"phases": {"upload": deadline, "unmask": deadline}, "faults": [each for each in faults if each["rounds"]]}


def _spread(first: int, rounds: int) -> list[int]:
    """Every _EVERY-th round from `first` on; a single round has its dropouts as well."""
    return [0] if (first, rounds) == (1, 1) else list(range(first, rounds, _EVERY))


def _named(rounds: Sequence[int]) -> str:
    """`round 1`, `rounds 1, 7 and 13`, and of many the first few."""
    if len(rounds) == 1:
        return f"round {rounds[0]}"
    if len(rounds) > 5:
        return f"rounds {', '.join(map(str, rounds[:3]))} and so on, every {_EVERY}th"
    return f"rounds {', '.join(map(str, rounds[:-1]))} and {rounds[-1]}"
