"""A bar that grows with the rounds of a run: one line of text, drawn over itself, in a terminal as in a notebook."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self, TextIO

from asyncagg.report.words import figures
from asyncagg.runs.result import RoundResult

WIDTH = 24
_DRAWN = 200
"""Most times that it is drawn, however many rounds there are."""


class RoundBar:
    """Shows how far a run is, and what was measured last. Falls silent where it cannot be written."""

    def __init__(self, rounds: int, stream: TextIO | None = None) -> None:
        """`stream` is stderr where none is given."""
        self._rounds = rounds
        self._stream = sys.stderr if stream is None else stream
        self._last = ""
        self._silent = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._last:
            self._write("\n")

    def show(self, each: RoundResult) -> None:
        """A round has ended."""
        done = each.round + 1
        step = max(1, self._rounds // _DRAWN)
        if done % step and done != self._rounds:
            return
        line = self._line(done, each)
        self._write("\r" + line.ljust(len(self._last)))
        self._last = line

    def _line(self, done: int, each: RoundResult) -> str:
        full = WIDTH * done // self._rounds
        parts = [f"[{'#' * full}{'.' * (WIDTH - full)}]", f"round {done} of {self._rounds}"]
        parts += [] if each.status == "ok" else [each.status]
        parts.append(figures(each.metrics))
        return "  ".join(part for part in parts if part)

    def _write(self, text: str) -> None:
        if self._silent:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # full, or closed: the run goes on
            self._silent = True
