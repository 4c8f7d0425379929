"""`asyncagg check`: the scenario with every default, and what follows from it.

The text is a scenario itself, since what follows stands in comments: `asyncagg check short.toml > full.toml`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any

from asyncagg.cli.output.parameters import (
    batches_json,
    bytes_json,
    bytes_table,
    parameter_lines,
    precision_lines,
    work_json,
    work_lines,
)
from asyncagg.cli.output.plain import answer, interruptible, refusing
from asyncagg.engines.experiment import prepare
from asyncagg.engines.outlook import Outlook
from asyncagg.report.words import number, size
from asyncagg.scenario.reading.load import load
from asyncagg.scenario.schema.scenario import Scenario


def check_scenario(
    path: str, overrides: tuple[str, ...], as_json: bool, *, engine: str | None = None, seed: int | None = None
) -> None:
    """Print it; typer.Exit(2) if the scenario, or a file that it names, is not right."""
    with interruptible(), refusing():
        scenario = load(path, overrides, engine=engine, seed=seed)
        with redirect_stdout(sys.stderr):  # what the user's code prints is no part of the answer
            outlook = Outlook(prepare(scenario))
        if as_json:
            answer(json.dumps(_json(scenario, outlook), indent=1).splitlines())
        else:
            answer(_text(path, scenario, outlook))


def _text(path: str, scenario: Scenario, outlook: Outlook) -> Iterator[str]:
    yield f"# {path} with every default filled in"
    yield ""
    yield from map(_spelt, scenario.normalised_toml().split("\n"))
    yield from (f"# {line}".rstrip() for line in _lines(outlook))


def _spelt(line: str) -> str:
    """The line with what stdout lacks as TOML escapes it, so that it can be read back."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return "".join(letter if _has(encoding, letter) else f"\\U{ord(letter):08x}" for letter in line)


def _has(encoding: str, letter: str) -> bool:
    return letter.isascii() or letter.encode(encoding, "ignore") != b""


def _json(scenario: Scenario, outlook: Outlook) -> dict[str, Any]:
    return {
        "scenario": scenario.normalised(),
        "dimension": outlook.experiment.workload.dimension,
        "parameters": dict(outlook.parameters),
        "owner_bytes": bytes_json(outlook.cost),
        **work_json(outlook.cost),
        "expansion": outlook.cost.expansion,
        "smallest_cohort": outlook.smallest_cohort,
        **batches_json(outlook.batches),
        "opens_an_input": list(outlook.opens_an_input),
        "notes": list(outlook.notes),
    }


def _lines(outlook: Outlook) -> Iterator[str]:
    experiment = outlook.experiment
    dimension, ring_bits = experiment.workload.dimension, experiment.encoder.ring.bits
    yield "What follows from it"
    yield ""
    yield from parameter_lines(outlook.graph, ring_bits, experiment.scenario.aggregation.minimum_cohort)
    yield f"vector: {number(dimension, 'coordinate')}, {size(dimension * ring_bits // 8)} masked"
    yield from precision_lines(experiment.encoder)
    yield f"weights: up to {experiment.max_weight}"
    yield ""
    yield "Bytes of one owner in an attempt at a round, when everyone answers"
    yield from bytes_table(outlook.cost)
    yield ""
    yield from work_lines(outlook.cost)
    yield ""
    yield "Who can open an input"
    yield from (f"- {sentence}" for sentence in outlook.opens_an_input)
    yield from (f"- {note}" for note in outlook.notes)
