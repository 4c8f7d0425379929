"""`asyncagg verify`: run a run again and compare."""

from __future__ import annotations

import json
from pathlib import Path

from asyncagg.cli.output.plain import answer, complain, interruptible, refusing
from asyncagg.studies.verify import verify

SAME, DIFFERS = 0, 1


def verify_run(path: Path, as_json: bool = False) -> int:
    """Say what came of it; the exit status. typer.Exit(2) for a directory that holds no finished run."""
    with interruptible(), refusing():
        verdict = verify(path)
    if as_json:
        same = verdict.difference is None
        told = {"same": same, "difference": verdict.difference, "compared": verdict.compared}
        answer(json.dumps(told, indent=1).splitlines())
        return SAME if same else DIFFERS
    if verdict.difference is None:
        answer([f"{path}: the same: {verdict.compared}"])
        return SAME
    complain([f"{path}: differs: {verdict.difference}"])
    return DIFFERS
