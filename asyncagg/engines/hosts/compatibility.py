"""Facts that processes on different hosts exchange in their hellos, so that none plays in another's experiment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from asyncagg.engines.experiment import Experiment
from asyncagg.net.errors import printable
from asyncagg.net.tcp.hello import Facts
from asyncagg.version import __version__

_TABLE = "scenario."
_GIVES_UP = "gives-up"
_SHOWN = 12
"""Hex digits of a digest."""


def facts(experiment: Experiment) -> Facts:
    """Version, dimension, and digests: of how arrays are encoded, of the scenario, of each table players act on."""
    scenario = experiment.scenario
    tables = {f"{_TABLE}{key}": _digest(value) for key, value in sorted(scenario.acted_on().items())}
    return {
        "asyncagg": __version__,
        "dimension": experiment.workload.dimension,
        "arrays": experiment.encoder.digest().hex()[:_SHOWN],
        "scenario": scenario.digest().hex(),
        **tables,
    }


def parting(ours: Facts, reason: str) -> Facts:
    """The facts of a process that does not ask to be let in any more, but says why it gave up."""
    return {**ours, _GIVES_UP: printable(reason)}


def objection(ours: Facts, theirs: Mapping[str, object]) -> str | None:
    """Reason to refuse a process of these facts, in words that follow its name; None where there is none."""
    if _GIVES_UP in theirs:
        return f"gave up: {theirs[_GIVES_UP]}"
    if theirs.get("asyncagg") != ours["asyncagg"]:
        return f"runs asyncagg {theirs.get('asyncagg')!r}, and here it is {ours['asyncagg']!r} (the same everywhere)"
    if theirs.get("scenario") != ours["scenario"]:
        keys = [key for key in dict.fromkeys([*ours, *theirs]) if key.startswith(_TABLE)]
        differ = [key.removeprefix(_TABLE) for key in keys if ours.get(key) != theirs.get(key)]
        where = f", which differs in {', '.join(differ)}" if differ else ""
        return f"has another scenario{where} (the same file, --set and --seed everywhere)"
    if theirs.get("dimension") != ours["dimension"]:
        right = "the same data everywhere"
        return f"has vectors of dimension {theirs.get('dimension')!r}, and here it is {ours['dimension']!r} ({right})"
    if theirs.get("arrays") != ours["arrays"]:
        return "has arrays of other names, shapes or kinds of numbers (the same model everywhere)"
    return None


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_SHOWN]
