"""Draws that the seed decides: who takes part in a round, and who falls silent in it.

Every purpose and entity has a stream of its own, derived by label, so that another owner, round or fault
shifts nobody's draws. Of `random.Random` only `random()` is used, the one method whose values are promised to
stay the same between versions of Python.
"""

import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import TypeVar

from asyncagg.protocols.batches import indices_in
from asyncagg.protocols.cohort import Cohorts
from asyncagg.protocols.names import PHASES, Phase
from asyncagg.scenario.cohorts import cohorts, cut, population
from asyncagg.scenario.schema.faults import ByCount, ByFraction, ByProbability, Choice, DropFault, Players
from asyncagg.scenario.schema.scenario import Scenario

T = TypeVar("T")


def stream(seed: int, *labels: str | int) -> random.Random:
    """The random stream of one purpose and entity, `stream(seed, "cohort", 3, "data-owner-7")`."""
    return random.Random("/".join(map(str, (seed, *labels))))


def cohort(scenario: Scenario, round_number: int) -> tuple[int, ...]:
    """The owners of a round, by index and in order: all, or `per_round` of them, or as many whole batches.

    Under `hosts` the cut may be another one, which stands with the identities: no fault there depends on the cohort.
    """
    drawn = _checked_cohorts(scenario)
    if drawn is not None:
        return indices_in(drawn.of(round_number))
    everyone = range(scenario.owners.count)
    if scenario.owners.in_round == scenario.owners.count:
        return tuple(everyone)

    def draw(owner: int) -> float:
        return stream(scenario.seed, "cohort", round_number, _name(owner)).random()

    return tuple(sorted(_first_drawn(scenario.owners.in_round, everyone, draw)))


@lru_cache(maxsize=16)
def _checked_cohorts(scenario: Scenario) -> Cohorts | None:
    return cohorts(scenario, cut(scenario, population(scenario).batch))


def dropped(scenario: Scenario, round_number: int) -> dict[int, Phase]:
    """The owners of the round's cohort that fall silent in it, by index, each with its first silent phase.

    The phase is the scenario's own; where the protocol lacks it, its next one is meant.
    """
    silent: dict[int, Phase] = {}
    for number, fault in enumerate(scenario.faults):
        if isinstance(fault, DropFault) and round_number in fault.rounds:
            for owner in _struck(scenario, fault.players, number, round_number):
                silent[owner] = min(silent.get(owner, fault.phase), fault.phase, key=PHASES.index)
    return dict(sorted(silent.items()))


def struck(scenario: Scenario, number: int, round_number: int | None) -> tuple[str, ...]:
    """The players that the fault of this number strikes, by name: in a round, or (None) at its time in the run.

    Players that are named are struck wherever they are; chosen ones are data owners of the round's cohort, or any.
    None are struck by faults that choose nobody.
    """
    players: Players | None = getattr(scenario.faults[number], "players", None)
    if players is None or isinstance(players, tuple):
        return players or ()
    return tuple(_name(owner) for owner in sorted(_struck(scenario, players, number, round_number)))


def _struck(scenario: Scenario, players: Players, number: int, round_number: int | None) -> list[int]:
    """Those among the owners there whom the choice means."""
    there = range(scenario.owners.count) if round_number is None else cohort(scenario, round_number)
    labels = (scenario.seed, "fault", number, *(() if round_number is None else (round_number,)))
    if isinstance(players, tuple):
        named = frozenset(players)
        return [owner for owner in there if _name(owner) in named]
    if players.correlated_by is None:
        return _drawn(players, there, _name, labels)
    groups: dict[str, list[int]] = {}
    for owner in there:
        groups.setdefault(f"group-{scenario.owners.group_number(owner)}", []).append(owner)
    return [owner for group in _drawn(players, list(groups), str, labels) for owner in groups[group]]


def _drawn(players: Choice, there: Sequence[T], name: Callable[[T], str], labels: tuple[str | int, ...]) -> list[T]:
    """The owners, or groups of them, that the choice means; each draws on the stream of its own name."""

    def draw(each: T) -> float:
        seed, *purpose = labels
        return stream(int(seed), *purpose, name(each)).random()

    match players:
        case ByCount(count=count):
            return _first_drawn(count, there, draw)
        case ByFraction(fraction=fraction):
            return _first_drawn(_nearest(fraction, len(there)), there, draw)
        case ByProbability(probability=probability):
            return [each for each in there if draw(each) < probability]
    raise TypeError(f"no way to choose by {type(players).__name__}")


def _first_drawn(count: int, there: Sequence[T], draw: Callable[[T], float]) -> list[T]:
    """Choose this many, all equally likely: everyone draws, the lowest are chosen; the earlier where they are equal."""
    return sorted(there, key=draw)[:count]


def _nearest(fraction: float, count: int) -> int:
    """fraction · count to the nearest integer, a half up; exact in decimals, so 0.15 of 10 are 2."""
    return int(Fraction(repr(fraction)) * count + Fraction(1, 2))


def _name(owner: int) -> str:
    return f"data-owner-{owner}"
