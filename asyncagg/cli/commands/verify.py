"""`asyncagg verify`: run a run again and compare."""

from __future__ import annotations

from pathlib import Path

from asyncagg.cli.output.plain import answer, complain, interruptible, refusing
from asyncagg.studies.verify import verify

SAME, DIFFERS = 0, 1


def verify_run(path: Path) -> int:
    """Say what came of it; the exit status. typer.Exit(2) for a directory that holds no finished run."""
    with interruptible(), refusing():
        verdict = verify(path)
    if verdict.difference is None:
        answer([f"{path}: the same: {verdict.compared}"])
        return SAME
    complain([f"{path}: differs: {verdict.difference}"])
    return DIFFERS
