"""The board of a demo as a picture that fits a terminal, of any width: nothing wraps, what does not fit is cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from asyncagg.cli.demo.board import PHASES, Board
from asyncagg.cli.demo.words import cells, doing

_AROUND = 8
"""Lines beside those of processes and rounds: a header, two headings, two of phases, two empty, one for the cursor."""
_STYLES = {"ready": "green", "ended": "dim"}
_ROUND_STYLES = {"ok": "", "skipped": "yellow", "failed": "red"}
_PROCESSES = {"process": 14, "pid": 7, "state": 6, "in this round": 0}
_ROUNDS = {"round": 5, "in the sum": 10, "loss": 6, "accuracy": 8, "sent": 7, "time": 7, "": 0}
"""Heading → least width, so that columns stay where they are."""


class DemoView:
    """Rich renders it anew each time from the board as it is then."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = max(1, console.size.height - _AROUND - len(self._board.processes))
        yield from self._parts(min(room, self._board.scenario.rounds))

    def _parts(self, room: int) -> Iterator[RenderableType]:
        yield self._header()
        yield self._processes()
        yield Text()
        yield self._phases()
        yield Text()
        yield self._rounds(room)

    def _header(self) -> Table:
        board = self._board
        index = board.round
        place = (
            "processes start"
            if index is None
            else f"round {index}, {len(board.rounds)} of {board.scenario.rounds} done"
        )
        header = Table.grid(expand=True)
        header.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        header.add_column(no_wrap=True, justify="right")
        header.add_row(Text(f"asyncagg demo: {place}", "bold"), f"{board.seconds:.1f} s")
        return header

    def _processes(self) -> Table:
        table = _table(_PROCESSES)
        for process in self._board.processes.values():
            style = "red" if process.lost else _STYLES.get(process.state, "yellow")
            pid = "" if process.pid is None else str(process.pid)
            table.add_row(process.name, pid, Text(process.state, style), doing(process, self._board))
        return table

    def _phases(self) -> Table:
        """The phases of a round, their times below them; the one that goes on stands out."""
        table = Table.grid(padding=(0, 2), expand=True)
        for _ in PHASES:
            table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        current = self._board.current
        names, times = [], []
        for phase, took in self._board.phases():
            style = "bold reverse" if phase == current else "dim" if took is None else ""
            names.append(Text(phase, style))
            times.append("" if took is None else _brief(took))
        table.add_row(*names)
        table.add_row(*times)
        return table

    def _rounds(self, room: int) -> Table:
        """The last rounds; as many lines at any time, so that nothing moves."""
        table = _table(_ROUNDS)
        shown = self._board.rounds[-room:]
        for each in shown:
            table.add_row(*cells(each, self._board.scenario.owners.in_round), style=_ROUND_STYLES[each.status])
        for _ in range(room - len(shown)):
            table.add_row()
        return table


def _table(headings: Mapping[str, int]) -> Table:
    """Columns as wide as what they hold, the last one with the rest."""
    table = Table(box=None, expand=True, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for heading, least in headings.items():
        table.add_column(heading, no_wrap=True, overflow="ellipsis", min_width=least, ratio=None if least else 1)
    return table


def _brief(took: float) -> str:
    """Seconds of a phase that may go on: no more digits than can be read."""
    return f"{took * 1000:.0f} ms" if took < 1 else f"{took:.1f} s"
