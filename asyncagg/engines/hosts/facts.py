"""What processes on different hosts tell each other in their hellos, so that none plays in another's experiment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from asyncagg.engines.experiment import Experiment
from asyncagg.version import __version__
from net.hello import Facts, Hello

_TABLE = "scenario."
_SHOWN = 12
"""Hex digits of a digest."""


def facts(experiment: Experiment) -> Facts:
    """Version, dimension, and a digest of the scenario and of each of its tables that players act on."""
    scenario = experiment.scenario
    tables = {f"{_TABLE}{key}": _digest(value) for key, value in sorted(scenario.acted_on().items())}
    return {
        "asyncagg": __version__,
        "dimension": experiment.workload.dimension,
        "scenario": scenario.digest().hex(),
        **tables,
    }


def difference(ours: Facts, theirs: Mapping[str, object]) -> str | None:
    """What keeps two processes apart, in a line; None where nothing does."""
    if theirs.get("asyncagg") != ours["asyncagg"]:
        return f"runs asyncagg {theirs.get('asyncagg')!r}, and here it is {ours['asyncagg']!r} (the same everywhere)"
    if theirs.get("scenario") != ours["scenario"]:
        keys = [key for key in dict.fromkeys([*ours, *theirs]) if key.startswith(_TABLE)]
        differ = [key.removeprefix(_TABLE) for key in keys if ours.get(key) != theirs.get(key)]
        where = f", which differs in {', '.join(differ)}" if differ else ""
        return f"has another scenario{where} (the same file everywhere)"
    if theirs.get("dimension") != ours["dimension"]:
        return f"has vectors of dimension {theirs.get('dimension')!r}, and here it is {ours['dimension']!r}"
    return None


def admit(ours: Facts, hello: Hello) -> str | None:
    """For a listener: why not to let somebody in."""
    found = difference(ours, hello.facts)
    return None if found is None else f"{hello.players[0]} {found}"


def recognise(ours: Facts, theirs: Facts) -> str | None:
    """For a dialler: why not to go on with the player that answered."""
    found = difference(ours, theirs)
    return None if found is None else f"it {found}"


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_SHOWN]
