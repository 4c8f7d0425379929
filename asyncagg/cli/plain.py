"""Mistakes as a user reads them: one plain line each on stderr, exit status 2, no box and no traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

PROGRAM = "asyncagg"
BAD_USAGE = 2

_UsageError: Any = typer.BadParameter.__base__
"""Of the click that typer brings along: a wrong option, a missing argument, an unknown command."""


class PlainGroup(TyperGroup):
    """A group of commands whose usage errors are one line."""

    def main(self, *args: Any, **given: Any) -> Any:
        """As click's, always to the end of the process: SystemExit with the status."""
        try:
            status = super().main(*args, **{**given, "prog_name": PROGRAM, "standalone_mode": False})
        except _UsageError as error:
            command = error.ctx.command_path if error.ctx is not None else PROGRAM
            complain([f"{command}: {' '.join(error.format_message().split())} ({command} --help)"])
            status = BAD_USAGE
        sys.exit(status if isinstance(status, int) else 0)


def complain(lines: Iterable[str]) -> None:
    """Each line as it is, never wrapped."""
    for line in lines:
        print(line, file=sys.stderr)


@contextmanager
def refusing() -> Iterator[None]:
    """Around whatever reads files of the user's: their mistakes end the command with status 2."""
    from asyncagg.runs.checkpoint import CheckpointError
    from asyncagg.runs.directory import DirectoryError
    from asyncagg.runs.key_files import KeyFilesError
    from asyncagg.scenario.errors import ScenarioError

    try:
        yield
    except (ScenarioError, KeyFilesError) as error:
        complain(error.lines)
    except (DirectoryError, CheckpointError) as error:
        complain([str(error)])
    else:
        return
    raise typer.Exit(BAD_USAGE)
