"""Start a run: choose the engine, hold numeric libraries to one thread, bring home what it leaves, also on Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable

import threadpoolctl

from asyncagg.engines import sim, tcp
from asyncagg.engines.cast import Finished
from asyncagg.engines.checking import Outlook
from asyncagg.engines.experiment import Experiment
from asyncagg.runs.expectations import unmet
from asyncagg.runs.result import INTERRUPTED, RoundResult, RunResult
from asyncagg.runs.trace import Trace
from asyncagg.scenario.schema import Scenario
from net.errors import NetError

ENGINES = {"sim": sim.run, "tcp": tcp.run}


def begin(scenario: Scenario) -> Finished:
    """The record of a run that has not got anywhere yet: failed, interrupted."""
    result = RunResult(
        name=scenario.name,
        seed=scenario.seed,
        engine=scenario.engine,
        protocol=scenario.aggregation.protocol,
        owners=scenario.owners.count,
        compute_nodes=scenario.aggregation.compute_nodes,
    )
    return Finished(result, Trace(), {}, {})


def play(experiment: Experiment, finished: Finished, progress: Callable[[RoundResult], None]) -> None:
    """Run it on the scenario's engine. `finished.result` says how it ended, KeyboardInterrupt included.

    Raises WorkloadError where the user's own classes cannot be built.
    """
    scenario, result = experiment.scenario, finished.result
    result.dimension = experiment.workload.dimension
    result.rounding = "system" if scenario.encoding.rounding_draws == "system" else "seeded (public)"
    outlook = Outlook(experiment)
    result.parameters = outlook.parameters
    result.opens_an_input = list(outlook.opens_an_input)
    try:
        with threadpoolctl.threadpool_limits(1):
            ENGINES[scenario.engine](experiment, finished, progress)
    except KeyboardInterrupt:
        result.status, result.reason = "failed", INTERRUPTED
        raise
    except NetError as error:
        result.status, result.reason = "failed", str(error)
    finally:
        result.trace_digest = finished.trace.digest()
    if result.status == "ok":
        missed = unmet(result, **scenario.expect.model_dump())
        if missed is not None:
            result.status, result.reason = "failed", missed
