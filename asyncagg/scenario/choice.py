"""What the seed decides: who takes part in a round, and who falls silent in it.

Every purpose and entity has a stream of its own, derived by label, so that another owner, round or fault
shifts nobody's draws. Of `random.Random` only `random()` is used, the one method whose values are promised to
stay the same between versions of Python.
"""

import random
from collections.abc import Sequence
from fractions import Fraction
from typing import assert_never

from asyncagg.scenario.faults import ByCount, ByFraction, ByProbability, Players
from asyncagg.scenario.phases import PHASES, PhaseName
from asyncagg.scenario.schema import Scenario


def stream(seed: int, *labels: str | int) -> random.Random:
    """The random stream of one purpose and entity, `stream(seed, "cohort", 3, "data-owner-7")`."""
    return random.Random("/".join(map(str, (seed, *labels))))


def cohort(scenario: Scenario, round_number: int) -> tuple[int, ...]:
    """The owners of a round, by index and in order: all, or `per_round` of them."""
    everyone = range(scenario.owners.count)
    if scenario.owners.in_round == scenario.owners.count:
        return tuple(everyone)
    chosen = _first_drawn(scenario.owners.in_round, everyone, (scenario.seed, "cohort", round_number))
    return tuple(sorted(chosen))


def dropped(scenario: Scenario, round_number: int) -> dict[int, PhaseName]:
    """The owners of the round's cohort that fall silent in it, by index, each with its first silent phase.

    The phase is the scenario's own; where the protocol lacks it, its next one is meant.
    """
    silent: dict[int, PhaseName] = {}
    for number, fault in enumerate(scenario.faults):
        if round_number in fault.rounds:
            labels = (scenario.seed, "fault", number, round_number)
            for owner in _struck(fault.players, cohort(scenario, round_number), labels):
                silent[owner] = min(silent.get(owner, fault.phase), fault.phase, key=PHASES.index)
    return dict(sorted(silent.items()))


def _struck(players: Players, there: Sequence[int], labels: tuple[str | int, ...]) -> list[int]:
    """Those among the owners there whom the choice means."""
    match players:
        case tuple():
            named = frozenset(players)
            return [owner for owner in there if _name(owner) in named]
        case ByCount(count=count):
            return _first_drawn(count, there, labels)
        case ByFraction(fraction=fraction):
            return _first_drawn(_nearest(fraction, len(there)), there, labels)
        case ByProbability(probability=probability):
            return [owner for owner in there if _draw(owner, labels) < probability]
    assert_never(players)


def _first_drawn(count: int, there: Sequence[int], labels: tuple[str | int, ...]) -> list[int]:
    """`count` owners, all equally likely: everyone draws, the lowest are chosen."""
    return sorted(there, key=lambda owner: (_draw(owner, labels), owner))[:count]


def _draw(owner: int, labels: tuple[str | int, ...]) -> float:
    """Uniform in [0, 1), the owner's own."""
    seed, *purpose = labels
    return stream(int(seed), *purpose, _name(owner)).random()


def _nearest(fraction: float, count: int) -> int:
    """fraction · count to the nearest integer, a half up; exact in decimals, so 0.15 of 10 are 2."""
    return int(Fraction(repr(fraction)) * count + Fraction(1, 2))


def _name(owner: int) -> str:
    return f"data-owner-{owner}"
