"""Prints what is for a data owner's own eyes, on stderr: once for each kind of failure, however many rounds have it."""

from __future__ import annotations

import contextlib
import sys

from asyncagg.net.errors import printable
from asyncagg.players.outcome import OwnNote

LONGEST = 2000
"""Characters of a line: what an exception says may be an array's whole text."""


def print_note(note: OwnNote) -> None:
    """The note's text and traceback, on stderr, unless this owner was told of the same before."""
    if note.again:
        return
    with contextlib.suppress(OSError, ValueError):  # nobody reads it: no reason to end a run
        print("\n".join(lines(note)), file=sys.stderr, flush=True)


def lines(note: OwnNote) -> list[str]:
    """What a person reads: who, when and what, then the traceback."""
    head = f"{note.player} in round {note.round}: {note.text}"
    return [printable(line, LONGEST) for line in [head, *note.trace.splitlines()]]
