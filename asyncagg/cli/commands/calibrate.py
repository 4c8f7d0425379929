"""`asyncagg calibrate`: what this machine takes, as a `[compute]` table to paste into a scenario."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout

import threadpoolctl

from asyncagg.cli.output.plain import answer, refusing
from asyncagg.engines.experiment import prepare
from asyncagg.learning.errors import WorkloadError
from asyncagg.scenario.reading.load import load
from asyncagg.scenario.values.toml import to_toml
from asyncagg.studies.calibrate import calibrate


def calibrate_machine(path: str | None, as_json: bool) -> None:
    """Measure and print; with a scenario also its gradient. typer.Exit(2) if the scenario is not right."""
    with refusing(), redirect_stdout(sys.stderr):  # what the user's code prints is no part of the answer
        table = _measure(path)
    answer((json.dumps(table, indent=1) if as_json else to_toml({"compute": table})).splitlines())


def _measure(path: str | None) -> dict[str, str]:
    experiment = None if path is None else prepare(load(path))
    try:
        with threadpoolctl.threadpool_limits(1):
            return calibrate(experiment)
    except WorkloadError as error:
        if experiment is None:
            raise
        experiment.scenario.refuse(error.key, error.message)
