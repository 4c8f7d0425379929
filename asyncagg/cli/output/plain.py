"""Plain output: answers on stdout; mistakes on stderr, one line each, no box and no traceback.

Bad usage and bad files end a command with status 2, an answer that cannot be written with 1.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup

from asyncagg.cli import interrupts

PROGRAM = "asyncagg"
UNWRITTEN, BAD_USAGE = 1, 2

_UsageError: Any = typer.BadParameter.__base__
"""Of the click that typer brings along: a wrong option, a missing argument, an unknown command."""


class PlainGroup(TyperGroup):
    """A group of commands whose usage errors are one line."""

    program: ClassVar[str] = PROGRAM
    """Name of the program as it is called."""

    def main(self, *args: Any, **given: Any) -> Any:
        """Run the command as click does, always to the end of the process: SystemExit with the status."""
        try:
            status = super().main(*args, **{**given, "prog_name": self.program, "standalone_mode": False})
        except _UsageError as error:
            command = error.ctx.command_path if error.ctx is not None else self._command(*args, **given)
            said = " ".join(error.format_message().split()).replace("Value error, ", "").removesuffix(".")
            complain([f"{command}: {said} ({command} --help)"])
            status = BAD_USAGE
        sys.exit(status if isinstance(status, int) else 0)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The first line of each command's help, whole: click would cut it."""
        rows = [(name, (command.help or "").partition("\n")[0]) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _command(self, args: Sequence[str] | None = None, **_: object) -> str:
        """Command that was called, where the error does not say: an option without its value."""
        words = sys.argv[1:] if args is None else args
        return next((f"{self.program} {word}" for word in words if word in self.commands), self.program)


def complain(lines: Iterable[str]) -> None:
    """Each line as it is, never wrapped. Where nobody can read them, the exit status alone says it."""
    with suppress(OSError):
        for line in lines:
            print(plainly(line), file=sys.stderr)


def answer(lines: Iterable[str]) -> None:
    """Each line on stdout, at once; SystemExit, after a word on stderr, where they cannot be written."""
    with writing():
        for line in lines:
            print(plainly(line))
        sys.stdout.flush()


@contextmanager
def writing() -> Iterator[None]:
    """Around work on stdout. A reader that has gone, as of `asyncagg check … | head`, needs no word."""
    try:
        yield
    except OSError as error:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  (what is left would fail again)
        if not isinstance(error, BrokenPipeError):
            complain([f"{PROGRAM}: stdout: {error.strerror}"])
        sys.exit(UNWRITTEN)


def plainly(text: str) -> str:
    """A line that may hold a name or a path of anybody's: what moves a cursor, or breaks the line, as its escape."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@contextmanager
def interruptible() -> Iterator[None]:
    """Around work that leaves nothing half done: a signal ends it, and the command with its status."""
    try:
        interrupts.release()
        yield
    except KeyboardInterrupt:
        interrupts.note()
        raise typer.Exit(interrupts.status()) from None
    finally:
        interrupts.hold()


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
