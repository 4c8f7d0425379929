"""`asyncagg report`: the page of a run, or its data-flow graph as a file; several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from asyncagg.cli.output.plain import BAD_USAGE, answer, complain, interruptible, refusing
from asyncagg.report.compared import compared
from asyncagg.report.flow import graph_file
from asyncagg.report.page import FILE, page
from asyncagg.report.story import Story


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """Options of `asyncagg report`, as parsed from the command line."""

    runs: Sequence[Path]
    out: Path | None
    graph: Path | None


def report(request: ReportRequest) -> None:
    """Write what was asked for, and say where. typer.Exit(2) for what is no run, or cannot be written."""
    with interruptible(), refusing():
        stories = [Story.read(path) for path in request.runs]
    for path, story in zip(request.runs, stories, strict=True):
        if request.graph is not None:
            _write(request.graph, _graph(path, story))
        if request.graph is None or request.out is not None:
            _write(request.out or path / FILE, page(story))
    if len(stories) > 1:
        answer(compared(stories))


def _graph(path: Path, story: Story) -> str:
    drawn = graph_file(story)
    if not drawn:
        complain([f"{path}: has no messages to draw (a run whose trace was kept)"])
        raise typer.Exit(BAD_USAGE)
    return drawn


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        complain([f"{path}: {error.strerror} (a file that can be written)"])
        raise typer.Exit(BAD_USAGE) from None
    answer([f"written: {path}"])
