"""The console script: takes signals seriously from its first line, runs a command, leaves nothing behind."""

from __future__ import annotations

import os
import sys

from asyncagg.cli import interrupts


def main() -> None:
    """Run `asyncagg` with the arguments of the process; never returns."""
    _open_streams()
    interrupts.watch()
    from asyncagg.cli.app import app  # after the first line: Ctrl-C during the imports is not lost
    from asyncagg.cli.output.plain import writing

    try:
        try:
            app()
        finally:
            with writing():
                sys.stdout.flush()
    except SystemExit as end:
        interrupts.leave(end.code if isinstance(end.code, int) else 1)


def _open_streams() -> None:
    """Open closed streams (`>&-`) on the null device: no file or socket may take their number and be printed into."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
