"""The command line, called in this process or as a user's own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from asyncagg.cli.app import app
from asyncagg.testing.app import app as testing_app

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = ROOT / "scenarios"
IN_TIME = 10.0
"""Seconds for an end that takes two on a machine with nothing else to do, and would never come if it were broken."""

SMALL = """\
name = "small"
engine = "sim"
rounds = 2

[owners]
count = 4

[workload]
kind = "synthetic"
dimension = 20
"""
"""A scenario that takes no time."""

_COMMAND = (sys.executable, "-c", "from asyncagg.cli.main import main; main()")
TESTING = (sys.executable, "-m", "asyncagg.testing")


def invoke(*arguments: object) -> Any:
    """`asyncagg` with these arguments, in this process: `exit_code`, `stdout`, `stderr`."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def invoke_testing(*arguments: object) -> Any:
    """`python -m asyncagg.testing` with these arguments, in this process."""
    return CliRunner().invoke(testing_app, [str(argument) for argument in arguments])


def start(
    folder: Path, *arguments: object, columns: int = 80, command: Sequence[str] = _COMMAND, **given: Any
) -> subprocess.Popen[str]:
    """`asyncagg`, or another command, as a process of its own, in a folder; both outputs are piped unless given."""
    return subprocess.Popen(
        [*command, *(str(argument) for argument in arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": str(columns)},
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **given},
    )


def scenario_file(folder: Path, text: str = SMALL) -> Path:
    """A scenario in a folder."""
    path = folder / "small.toml"
    path.write_text(text, encoding="utf-8")
    return path


def strict_json(text: str) -> Any:
    """As JSON stands in the standard: NaN and Infinity are refused."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def lines(result: Any) -> Sequence[str]:
    """What was complained about."""
    return result.stderr.splitlines()
