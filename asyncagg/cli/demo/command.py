"""`asyncagg demo`: the players of a small experiment in processes of their own, to be looked at."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from asyncagg.cli.commands.recording import OK, Recording
from asyncagg.cli.demo import scenario as script
from asyncagg.cli.demo.board import Board
from asyncagg.cli.demo.show import show
from asyncagg.cli.output.plain import answer, refusing
from asyncagg.engines.launch import run
from asyncagg.engines.record.run_record import RunRecord
from asyncagg.scenario.schema.scenario import Scenario


@dataclass(frozen=True, slots=True)
class DemoRequest:
    """Options of `asyncagg demo`, as parsed from the command line."""

    owners: int | None
    rounds: int
    drop: bool
    out: Path | None
    as_json: bool


def run_demo(request: DemoRequest) -> int:
    """Run it; the exit status. typer.Exit where the run directory cannot be made."""
    scenario = _scenario(request)
    with refusing():
        recording = Recording.new(scenario, request.out)
        recording.during(lambda: _watched(scenario, recording.finished))
        status = recording.tell(request.as_json, way_out="")
        if status == OK and not request.as_json:
            answer(_epilogue(recording.finished, request.drop))
        return status


def _scenario(request: DemoRequest) -> Scenario:
    owners = request.owners
    if owners is None:
        owners = script.OWNERS_WITH_DROPOUTS if request.drop else script.OWNERS
    if request.drop and owners < script.FEWEST_WITH_DROPOUTS:
        raise typer.BadParameter(
            f"{owners} are too few for --drop: of the two that stay, either can work out the other's part of the sum "
            f"(at least {script.FEWEST_WITH_DROPOUTS})",
            param_hint="--owners",
        )
    return script.demo_scenario(owners, request.rounds, request.drop)


def _watched(scenario: Scenario, finished: RunRecord) -> None:
    with show(Board(scenario, time.monotonic), script.introduction(scenario)) as listener:
        run(scenario, record=finished, progress=listener)


def _epilogue(finished: RunRecord, dropped: bool) -> Iterator[str]:
    """Closing lines: what was to be seen, who saw what, and what to try next."""
    result, folder = finished.result, finished.folder
    sent = Counter(record.exposure for record in finished.trace.records if record.event == "message")
    yield ""
    yield from script.wrapped(
        f"The processes said everything to each other over {result.transport}. Nobody but its owner saw an input: of "
        f"the vectors sent, {sent['masked']} were masked, {sent['sum']} slices of a sum and {sent['clear']} in clear."
    )
    for sentence in result.opens_an_input:
        yield from script.wrapped(f"- {sentence}")
    yield ""
    yield "Next:"
    scenario = shlex.quote(str(Path(folder or ".", "scenario.toml")))
    tries = {
        f"asyncagg verify {shlex.quote(str(folder))}": "in one process: the same means, bit for bit",
        f"asyncagg check {scenario}": "the scenario, and what follows from it",
        f"asyncagg run {scenario} --engine sim": "again, in virtual time",
        "asyncagg demo --owners 50" if dropped else "asyncagg demo --drop": (
            "with more owners" if dropped else "with owners that vanish"
        ),
    }
    for command, what in tries.items():
        yield f"- {what}:"
        yield f"    {command}"
