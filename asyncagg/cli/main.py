"""The console script: takes signals seriously from its first line, runs a command, leaves nothing behind."""

from __future__ import annotations

from asyncagg.cli import interrupts


def main() -> None:
    """Run `asyncagg` with the arguments of the process; never returns."""
    interrupts.watch()
    from asyncagg.cli.app import app  # after the first line: Ctrl-C during the imports is not lost

    try:
        app()
    except SystemExit as end:
        interrupts.leave(end.code if isinstance(end.code, int) else 1)
    except BrokenPipeError:  # whoever read our output has gone: `asyncagg check … | head`
        interrupts.leave(1)
