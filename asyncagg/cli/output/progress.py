"""A line a round while a run goes on, on stderr."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from asyncagg.cli.output.plain import plainly
from asyncagg.report.words import figures, seconds, size
from asyncagg.runs.result import RoundResult
from asyncagg.scenario.schema.scenario import Scenario

_STYLES = {"ok": "green", "skipped": "yellow", "failed": "red"}


class Progress:
    """Prints every round as it ends: who is in the sum, what the model came to, bytes of all players, time."""

    def __init__(self, scenario: Scenario, quiet: bool) -> None:
        self._rounds = scenario.rounds
        self._owners = scenario.owners.in_round
        self._console = Steady(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)

    def __call__(self, each: RoundResult) -> None:
        self._console.print(self._line(each))

    def _line(self, each: RoundResult) -> Text:
        width = len(str(self._rounds))
        place = f"[{each.round + 1:>{width}}/{self._rounds}] round {each.round:<{width}}  "
        sent = sum(traffic.sent for traffic in each.traffic.values())
        parts = [self._survivors(each), figures(each.metrics), size(sent), seconds(each.seconds["total"])]
        if each.attempts > 1:
            parts.append(f"{each.attempts} attempts")
        if each.reason is not None:
            parts.append(each.reason)
        style = _STYLES[each.status]
        told = plainly("  ".join(part for part in parts if part))
        return Text.assemble(place, (f"{each.status:<7}", style), "  ", told)

    def _survivors(self, each: RoundResult) -> str:
        if each.status != "ok":
            return "no sum"
        return f"{len(each.survivors)} of {self._owners} owners"


class Steady(Console):
    """A console that falls silent when it cannot be written any more, instead of ending the run."""

    def print(self, *objects: Any, **style: Any) -> None:
        try:
            super().print(*objects, **style)
        except OSError:  # there is no room for it
            self.quiet = True

    def on_broken_pipe(self) -> None:
        self.quiet = True
