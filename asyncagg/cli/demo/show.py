"""Shows a demo while it goes on, on stderr: a picture that lives where there is a terminal, else plain lines."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment

from asyncagg.cli.demo.board import Board
from asyncagg.cli.demo.view import DemoView
from asyncagg.cli.demo.words import remarks
from asyncagg.cli.output.progress import Progress, Steady
from asyncagg.protocols.names import Label
from asyncagg.runs.result import RoundResult

FRAMES = 10
"""A second."""
REST = 0.15
"""Seconds for which the end of a round stays to be read: a round takes a fifth of that."""


class LiveShow:
    """A picture of the board, drawn anew by a thread of its own. The engine's `ProgressListener`, and its progress."""

    def __init__(self, board: Board, console: Console, rest: float = REST) -> None:
        self._board = board
        self._view = DemoView(board)
        self._rest = rest
        self._lock = threading.Lock()
        self._live = Live(self, console=console, refresh_per_second=FRAMES)

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        with self._lock:
            lines = console.render_lines(self._view, options)
        for line in lines:
            yield from line
            yield Segment.line()

    def process(self, name: str, pid: int | None, state: str) -> None:
        with self._lock:
            self._board.process(name, pid, state)

    def phase(self, label: Label, phase: str) -> None:
        with self._lock:
            self._board.phase(label, phase)

    def __call__(self, each: RoundResult) -> None:
        """The model owner waits for this before it begins the next round: the players rest as well."""
        with self._lock:
            self._board.ended(each)
        self._live.refresh()
        time.sleep(self._rest)


class LineShow:
    """A line for whatever is worth one."""

    def __init__(self, board: Board, console: Steady) -> None:
        self._board = board
        self._console = console
        self._progress = Progress(board.scenario, quiet=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended = [process for process in self._board.processes.values() if process.state == "ended"]
        if error is None:
            self._console.print(f"{len(ended)} of {len(self._board.processes)} processes have ended in order")

    def process(self, name: str, pid: int | None, state: str) -> None:
        process = self._board.process(name, pid, state)
        if state == "ready" or process.lost:
            self._console.print(f"{name}: process {pid} {'is ' if state == 'ready' else ''}{state}")

    def phase(self, label: Label, phase: str) -> None:
        self._board.phase(label, phase)

    def __call__(self, each: RoundResult) -> None:
        self._board.ended(each)
        self._progress(each)
        if each.dropped or each.silent_after:
            self._console.print(f"        {remarks(each)}")


def show(board: Board, introduction: Iterable[str]) -> LiveShow | LineShow:
    """Print the introduction to stderr, and return the show that suits it."""
    console = Steady(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
    console.print("\n".join(introduction), end="\n\n")
    if sys.stderr.isatty() and not console.is_dumb_terminal:
        return LiveShow(board, Steady(stderr=True, highlight=False, markup=False, emoji=False))
    return LineShow(board, console)
