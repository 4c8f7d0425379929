"""Further mistakes beside keys that are wrong: those of several keys together among the keys that are right."""

from copy import deepcopy
from typing import Any

from pydantic import ValidationError

from asyncagg.scenario.checks import check
from asyncagg.scenario.errors import KeyPath, Mistake
from asyncagg.scenario.reading.words import mistakes
from asyncagg.scenario.schema.scenario import Scenario, json_schema

_NO_FAULT = {"kind": "heal", "at": "0 s"}
"""Stand-in for a fault that is wrong as a whole, so that those after it keep their numbers: nothing is asked of it."""

_OF_A_FAULT: dict[str, Any] = {"players": {"count": 0}, "phase": "upload"}
"""Stand-ins for what a fault must have: nothing is asked of them either."""


def beside(values: dict[str, Any], found: list[Mistake]) -> list[Mistake]:
    """Mistakes that `check` finds in the values without those of `found`, which take their defaults meanwhile.

    Left out is whatever depends on a key that is wrong: it may be right once that is.
    """
    rest = deepcopy(values)
    gone: list[KeyPath] = []
    wrong = found
    while True:
        parts = {_part(rest, mistake.path, gone): None for mistake in wrong}
        for path in sorted(parts, key=len, reverse=True):  # what is within a part before the part
            _take_away(rest, path)
        gone += parts
        try:
            scenario = Scenario.model_validate(rest)
        except ValidationError as error:  # what is left lacks what it must have, or means something else now
            wrong = list(mistakes(error, json_schema()))
        else:
            broken = [*gone, *(mistake.path for mistake in found)]
            return [mistake for mistake in check(scenario) if not _touches(mistake, broken)]


def _part(values: dict[str, Any], path: KeyPath, gone: list[KeyPath]) -> KeyPath:
    """Part to remove for a mistake at this path: a key, or a whole fault; more than that if it has been in vain."""
    of_a_fault = path[0] == "faults" and len(path) > 2 and path[2] in _OF_A_FAULT
    part = path[: 3 if of_a_fault else _depth(values, path)]
    while len(part) > 1 and (part in gone or _is_element(part)):
        part = part[:-1]
    return part


def _depth(values: dict[str, Any], path: KeyPath) -> int:
    """Number of the path's keys that are there; at least its first."""
    node: Any = values
    for depth, step in enumerate(path):
        keys = node if isinstance(node, dict) else range(len(node)) if isinstance(node, list | tuple) else ()
        if step not in keys:
            return max(1, depth)
        node = node[step]
    return len(path)


def _is_element(path: KeyPath) -> bool:
    """True if it is an element of a list that nothing can stand for."""
    return isinstance(path[-1], int) and path[:-1] != ("faults",)


def _take_away(values: dict[str, Any], path: KeyPath) -> None:
    """Takes away what stands at the path, or puts something in its place."""
    match path:
        case ("name",):
            values["name"] = "unnamed"
        case ("faults", int(number)):
            values["faults"] = [*values["faults"][:number], dict(_NO_FAULT), *values["faults"][number + 1 :]]
        case ("faults", int(number), str(key)) if key in _OF_A_FAULT:
            values["faults"][number][key] = _OF_A_FAULT[key]
        case (*tables, key):
            node: Any = values
            for step in tables:
                node = node[step]
            node.pop(key, None)


def _touches(mistake: Mistake, broken: list[KeyPath]) -> bool:
    keys = (mistake.path, *mistake.others)
    return any(key[: len(path)] == path or path[: len(key)] == key for key in keys for path in broken)
