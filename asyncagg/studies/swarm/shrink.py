"""Shrinking of a scenario that breaks an invariant to a small one that still does, in a file that says how to run."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from asyncagg.scenario.errors import KeyPath, ScenarioError
from asyncagg.scenario.values.toml import to_toml
from asyncagg.studies.swarm.draw import Values, scenario_of
from asyncagg.studies.swarm.play import examine

MOST: Final = 300
"""Scenarios that are tried at most on the way to a small one."""

_KEPT = ("protocol", "compute_nodes")
_SIZES: Final[tuple[tuple[KeyPath, int], ...]] = (
    (("rounds",), 1),
    (("owners", "count"), 2),
    (("owners", "per_round"), 2),
    (("aggregation", "compute_nodes"), 1),
    (("workload", "dimension"), 1),
)

Broken = Callable[[Values], list[str]]


def check_seed(seed: int, folder: Path, protocol: str | None = None) -> str | None:
    """None if this seed's scenario breaks nothing; else a line that names what it broke and the shrunken file."""
    values = scenario_of(seed, protocol)
    broken = examine(values)
    if not broken:
        return None
    path = write(folder, seed, *shrink(values, broken))
    return f"seed {seed}: {broken[0]} ({path})"


def shrink(values: Values, broken: list[str], look: Broken = examine) -> tuple[Values, list[str]]:
    """The smallest scenario found that still breaks the first of these invariants, and what it breaks."""
    kind = _kind(broken[0])
    tried, going = 0, True
    while going:
        going = False
        for smaller in _smaller(values):
            tried += 1
            if tried > MOST:
                return values, broken
            found = _look(look, smaller)
            if any(_kind(line) == kind for line in found):
                values, broken, going = smaller, found, True
                break
    return values, broken


def write(folder: Path, seed: int, values: Values, broken: list[str]) -> Path:
    """The scenario as `swarm-SEED.toml`, with what it breaks and the commands that show it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"swarm-{seed}.toml"
    lines = [
        *(f"# {line}" for line in broken),
        f"# run it:          asyncagg run {path}",
        f"# draw it again:   python -m asyncagg.testing swarm --seeds {seed}..{seed}",
    ]
    path.write_text("\n".join(line.replace("\n", " ") for line in lines) + "\n\n" + to_toml(values), encoding="utf-8")
    return path


def _kind(line: str) -> str:
    return line.partition(":")[0]


def _look(look: Broken, values: Values) -> list[str]:
    try:
        return look(values)
    except ScenarioError:
        return []  # what is left does not fit together


def _smaller(values: Values) -> Iterator[Values]:
    """Scenarios that are a step smaller: first with less in them, then with fewer and shorter things."""
    for index in range(len(values.get("faults", []))):
        yield _without(values, ("faults", index))
    for key in ("faults", "phases", "network", "compute", "encoding"):
        if key in values:
            yield _without(values, (key,))
    if "links" in values:
        yield _without(values, ("links",), ("owners", "link"), ("owners", "groups"))
    for table in ("phases", "network", "aggregation"):
        for key in values.get(table, {}):
            if key not in _KEPT:
                yield _without(values, (table, key))
    if "per_round" in values["owners"]:
        yield _without(values, ("owners", "per_round"))
    for path, least in _SIZES:
        yield from _fewer(values, path, least)


def _fewer(values: Values, path: KeyPath, least: int) -> Iterator[Values]:
    """Half of a number, and one less."""
    number = _inner(values, path).get(path[-1], least)
    for fewer in dict.fromkeys((max(least, number // 2), number - 1)):
        if least <= fewer < number:
            copied = copy.deepcopy(values)
            _inner(copied, path)[path[-1]] = fewer
            yield copied


def _without(values: Values, *paths: KeyPath) -> Values:
    copied = copy.deepcopy(values)
    for path in paths:
        table, last = _inner(copied, path), path[-1]
        if isinstance(last, int) or last in table:
            del table[last]
    return copied


def _inner(values: Values, path: KeyPath) -> Any:
    """The table or list that holds the last step of a path."""
    table: Any = values
    for step in path[:-1]:
        table = table[step]
    return table
