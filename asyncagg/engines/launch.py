"""Start a run: choose the engine, hold numeric libraries to one thread, bring home what it leaves, also on Ctrl-C."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import threadpoolctl

from asyncagg.engines.experiment import Experiment, prepare
from asyncagg.engines.outlook import Outlook
from asyncagg.engines.record.run_record import RunRecord
from asyncagg.engines.runtime.stop_order import StopOrder
from asyncagg.learning.workload import Workload
from asyncagg.net.errors import NetError
from asyncagg.players.ledger_store import StoreError
from asyncagg.protocols.registry import only_in_this_process
from asyncagg.runs.expectations import unmet
from asyncagg.runs.result import INTERRUPTED, RoundResult, RunResult
from asyncagg.scenario.notes import notes
from asyncagg.scenario.schema.scenario import Scenario

ENGINES = {
    "sim": "asyncagg.engines.sim",
    "tcp": "asyncagg.engines.tcp",
    "processes": "asyncagg.engines.processes.parent",
}
"""Engine → the module whose `run` plays an experiment; imported when it is needed, so that only `sim` simulates."""
TRANSPORTS = {"sim": "in this process", "tcp": "in this process", "processes": "TLS 1.3"}
SEEDED = "seeded (insecure, simulation only)"
SYSTEM = "system"

Progress = Callable[[RoundResult], None]
Engine = Callable[[Experiment, RunRecord, Progress, StopOrder], None]


def check_engine(scenario: Scenario) -> None:
    """Raises ScenarioError for an engine that one command on one host does not play."""
    if scenario.engine not in ENGINES:
        scenario.refuse("engine", f'is "{scenario.engine}", which asyncagg serve starts ({", ".join(ENGINES)})')
    check_protocol(scenario)


def check_protocol(scenario: Scenario) -> None:
    """Raises ScenarioError for a protocol that the other processes of a run could not find."""
    name = scenario.aggregation.protocol
    if scenario.engine in ("processes", "hosts") and only_in_this_process(name):
        scenario.refuse(
            "aggregation.protocol",
            f'is "{name}", which is registered in this process alone (an entry point asyncagg.protocols of an '
            f"installed package, for engine {scenario.engine})",
        )


def begin(scenario: Scenario) -> RunRecord:
    """The record of a run that has not got anywhere yet: failed, interrupted."""
    result = RunResult(
        name=scenario.name,
        seed=scenario.seed,
        engine=scenario.engine,
        protocol=scenario.aggregation.protocol,
        owners=scenario.owners.count,
        compute_nodes=scenario.aggregation.compute_nodes,
        randomness=SEEDED if scenario.engine == "sim" else SYSTEM,
        transport=TRANSPORTS.get(scenario.engine),
    )
    return RunRecord(result)


def run(
    scenario: Scenario,
    *,
    workload: Workload | None = None,
    record: RunRecord | None = None,
    progress: Progress = lambda each: None,
    stop: StopOrder | None = None,
) -> RunRecord:
    """Run a scenario on its engine, to its end; what it leaves.

    `workload` takes the place of the scenario's own, `record` that of a new one (a run with a directory, or a resumed
    one). Another thread may give the order `stop`; CancelledError is raised then. Raises ScenarioError for a scenario
    that this engine cannot play, WorkloadError where the user's own classes cannot be built.
    """
    check_engine(scenario)
    record = begin(scenario) if record is None else record
    play(prepare(scenario, workload), record, progress, stop)
    return record


def play(experiment: Experiment, finished: RunRecord, progress: Progress, stop: StopOrder | None = None) -> None:
    """Run what is prepared. `finished.result` says how it ended, KeyboardInterrupt and an order to stop included."""
    engine: Engine = import_module(ENGINES[experiment.scenario.engine]).run
    with told(experiment, finished):
        engine(experiment, finished, progress, stop or StopOrder())


@contextmanager
def told(experiment: Experiment, finished: RunRecord) -> Iterator[None]:
    """Around a run: its result says beforehand what follows from the scenario, and afterwards how it ended."""
    scenario, result = experiment.scenario, finished.result
    result.wall_seconds = finished.elapsed_ns / 1e9
    result.dimension = experiment.workload.dimension
    result.rounding = "system" if scenario.encoding.rounding_draws == "system" else "seeded (public)"
    outlook = Outlook(experiment)
    result.parameters = outlook.parameters
    result.opens_an_input = list(outlook.opens_an_input)
    try:
        with threadpoolctl.threadpool_limits(1):
            yield
    except (KeyboardInterrupt, asyncio.CancelledError):
        result.status, result.reason = "failed", INTERRUPTED
        raise
    except (NetError, StoreError) as error:
        result.status, result.reason = "failed", str(error)
    except MemoryError as error:
        result.status, result.reason = "failed", f"out of memory: {error}"
    finally:
        result.trace_digest = finished.trace.digest()
    if result.rounds:
        result.rounds[-1].warnings += notes(scenario)
    if result.status == "ok":
        missed = unmet(result, **_expected(scenario))
        if missed is not None:
            result.status, result.reason = "failed", missed


def _expected(scenario: Scenario) -> dict[str, Any]:
    """Expectations of the scenario; on many hosts nobody can tell whether a mean is exact."""
    expected = scenario.expect.model_dump()
    return expected | {"exact": None} if scenario.engine == "hosts" else expected
