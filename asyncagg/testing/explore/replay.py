"""A violation as a file, and back: the scenario, what may go wrong, and each step in words that find it again."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from asyncagg.engines.by_hand.setting import HandSetting
from asyncagg.runs.formats import other_format, stamp
from asyncagg.scenario.errors import ScenarioError
from asyncagg.scenario.reading.load import parse
from asyncagg.scenario.schema.scenario import Scenario
from asyncagg.testing.explore.search import Search, Violation
from asyncagg.testing.explore.world import ExploredStep, Faults, World


class ReplayError(ValueError):
    """A file that is no violation, or whose steps cannot happen any more; the text says which."""


class ReplayFile(NamedTuple):
    """Contents of a replay file."""

    scenario: Scenario
    faults: Faults
    violation: Violation


def write(path: Path, scenario: Scenario, faults: Faults, violation: Violation) -> None:
    """Write a violation to a file."""
    values = {
        **stamp(),
        "what": violation.what,
        "scenario": scenario.normalised_toml(),
        "faults": asdict(faults),
        "choices": violation.choices,
    }
    path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> ReplayFile:
    """The inverse. Raises ReplayError."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        refusal = other_format(values)
        if refusal is not None:
            raise ReplayError(f"{path}: {refusal}")
        return _recorded(values)
    except OSError as error:
        raise ReplayError(f"{path}: {error.strerror} (a file that explore wrote)") from None
    except (ValueError, TypeError, KeyError, AttributeError, ScenarioError) as error:
        if isinstance(error, ReplayError):
            raise
        raise ReplayError(f"{path}: is no violation that can be replayed (a file that explore wrote)") from None


def _recorded(values: dict[str, Any]) -> ReplayFile:
    scenario = parse(tomllib.loads(values["scenario"]))
    choices = tuple(ExploredStep(*map(str, each)) for each in values["choices"])
    return ReplayFile(scenario, Faults(**values["faults"]), Violation(str(values["what"]), choices))


def replay(recorded: ReplayFile) -> str:
    """Violation after the same steps, if there is one. Raises ReplayError where one cannot happen."""
    world = World(HandSetting.of(recorded.scenario), recorded.faults)
    search = Search(world, bound=0)
    found = list(world.beginnings())
    what = ""
    for number, choice in enumerate(recorded.violation.choices, start=1):
        state = next((after for each, after in found if each == choice), None)
        if state is None:
            raise ReplayError(f"step {number} cannot happen any more: {' '.join(filter(None, choice))}")
        moves = world.moves(state)
        what = search.wrong(state, not moves)
        found = [each for move in moves for each in world.after(state, move)]
    return what
