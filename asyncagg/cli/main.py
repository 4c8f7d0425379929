"""The console script: takes signals seriously from its first line, runs a command, leaves nothing behind."""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module

from asyncagg.cli import interrupts
from asyncagg.systems import refusal


def main() -> None:
    """Run `asyncagg` with the arguments of the process; never returns."""
    run_app("asyncagg.cli.app")


def run_app(module: str) -> None:
    """Run the commands of a module, its `app`, with the arguments of the process; never returns."""
    _open_streams()
    if (reason := refusal()) is not None:
        print(reason, file=sys.stderr)
        sys.exit(2)
    interrupts.watch()
    app = import_module(module).app  # after the first line: Ctrl-C during the imports is not lost
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
    """Open closed streams (`>&-`) on the null device: no file or socket may take their number and be printed into.

    A letter that stdout lacks is printed as its escape, as on stderr: a run is not lost for its name.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
