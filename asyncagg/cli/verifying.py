"""`asyncagg verify`: run a run again and compare."""

from __future__ import annotations

from pathlib import Path

from asyncagg.cli import interrupts
from asyncagg.cli.plain import complain, refusing
from asyncagg.engines.verify import verify

SAME, DIFFERS = 0, 1


def verify_run(path: Path) -> int:
    """Say what came of it; the exit status. typer.Exit(2) for a directory that holds no finished run."""
    with refusing():
        try:
            interrupts.release()
            verdict = verify(path)
        finally:
            interrupts.hold()
    if verdict.difference is None:
        print(f"{path}: the same: {verdict.compared}")
        return SAME
    complain([f"{path}: differs: {verdict.difference}"])
    return DIFFERS
