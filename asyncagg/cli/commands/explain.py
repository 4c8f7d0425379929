"""`asyncagg explain`: a worked round in the terminal, or as a page."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from asyncagg.cli.output.plain import BAD_USAGE, answer, complain, interruptible, refusing
from asyncagg.protocols.names import MODEL_OWNER, PHASES, Phase, Player, Threat
from asyncagg.scenario.errors import one_of, quoted
from asyncagg.studies.explain.account import Account
from asyncagg.studies.explain.page import page
from asyncagg.studies.explain.play import ExplainError, PlayedRound, play
from asyncagg.studies.explain.sections import NOTE, Section, sections


@dataclass(frozen=True, slots=True)
class ExplainRequest:
    """Options of `asyncagg explain`, as parsed from the command line."""

    protocol: str
    owners: int
    drop: Phase | None
    threat: Threat
    coalition: str | None
    out: Path | None


def phase_of(name: str | None) -> Phase | None:
    """The phase of this name. typer.BadParameter for what is none."""
    found = next((phase for phase in PHASES if phase == name), None)
    if name is not None and found is None:
        raise typer.BadParameter(f"{quoted(name)} is no phase ({one_of(PHASES[:-1])})", param_hint="--drop")
    return found


def explain(request: ExplainRequest) -> None:
    """Play the round and say what happened. typer.Exit(2) for what cannot be played, or no player of it."""
    with interruptible(), refusing():
        try:
            played = play(request.protocol, request.owners, request.drop, request.threat)
        except ExplainError as error:
            raise _refusal(f"asyncagg explain: {error}") from None
    told = list(sections(Account(played), _coalition(played, request.coalition)))
    lost = f", {played.lost} drops out in {request.drop}" if request.drop else ""
    title = f"A round of {request.protocol}: {request.owners} owners{lost}"
    if request.out is None:
        answer(_lines(title, told))
        return
    try:
        request.out.write_text(page(title, told), encoding="utf-8")
    except OSError as error:
        raise _refusal(f"{request.out}: {error.strerror} (a file that can be written)") from None
    answer([f"written: {request.out}"])


def _coalition(played: PlayedRound, named: str | None) -> tuple[Player, ...]:
    """Players of the coalition: all compute nodes, unless they are named."""
    if named is None:
        return played.setting.terms.nodes
    known = [*played.setting.owners, *played.setting.terms.nodes, MODEL_OWNER]
    names = [name.strip() for name in named.split(",")]
    if strangers := [name for name in names if name not in known]:
        raise _refusal(f"asyncagg explain: --coalition: {quoted(strangers[0])} is no player ({one_of(known)})")
    return tuple(player for player in known if player in names)


def _lines(title: str, told: Iterable[Section]) -> Iterator[str]:
    """Text as wide as the terminal; where there is none, a sentence or a sum stands on one line."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 100_000
    yield title
    yield from textwrap.wrap(NOTE, width)
    for each in told:
        yield ""
        yield each.title
        for line in each.lines:
            yield from textwrap.wrap(line, width, initial_indent="  ", subsequent_indent="      ")


def _refusal(line: str) -> typer.Exit:
    complain([line])
    return typer.Exit(BAD_USAGE)
