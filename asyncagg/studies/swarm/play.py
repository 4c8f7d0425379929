"""The swarm: scenarios drawn from seeds, played in `sim`, and what must hold whatever they are.

    mean        a mean is the survivors' own, bit for bit
    failure     whatever fails says why, and never that honest players contradicted each other
    calm        where nothing goes wrong, nothing fails
    deadline    no attempt outlasts the sum of its phase deadlines, and the lead no phase's
    secrets     no owner has shares of both its secrets given out in one attempt
    trace       no secret can be read in the trace or the result
    again       a second run leaves the same trace and result
    crash       no exception gets away

Every broken invariant is a line that begins with its name.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from typing import Any, Final

from asyncagg.engines.experiment import Experiment, prepare
from asyncagg.engines.launch import begin, play
from asyncagg.engines.record.run_record import RunRecord
from asyncagg.engines.runtime.links import player_links
from asyncagg.net.durations import SECOND_NS
from asyncagg.net.links.latency import Cubic, Exponential, Latency, Lognormal, Pareto
from asyncagg.protocols.names import LEAD, MODEL_OWNER, PHASES, owner_name
from asyncagg.runs.result import INTERRUPTED, RoundResult
from asyncagg.runs.trace import Record
from asyncagg.scenario.reading.load import parse
from asyncagg.scenario.schema.scenario import Scenario
from asyncagg.studies.swarm.draw import Values, scenario_of
from asyncagg.studies.swarm.watch import Watch, watching

__all__ = ["Values", "examine", "judge", "scenario_of"]

_CONTRADICTION: Final = re.compile(
    r"the sum counts|total weight .* is not within|the sum is not one of|the lead commits|the lead names"
    r"|do not make its secret|another secret than it committed to"
)
"""Reasons that an honest player only gives of another if bytes were changed on their way, or if there is a bug."""

CALM_NS: Final = 5 * SECOND_NS
"""Latencies up to this do not miss the deadlines of the defaults."""

_NOT_COMPARED: Final = ("seconds", "peak_rss_bytes", "started")


def examine(values: Values) -> list[str]:
    """Play a scenario, twice if need be; the invariants it broke. Raises ScenarioError for one that is not right."""
    scenario = parse(values)
    experiment = prepare(scenario)
    try:
        first, watch = _played(scenario, experiment)
        broken = judge(experiment, first, watch)
        return broken or list(_again(first, _played(scenario, prepare(scenario))[0]))
    except Exception as error:  # whatever gets out of a run is what the swarm looks for
        where = traceback.extract_tb(error.__traceback__)[-1]
        return [f"crash: {type(error).__name__}: {error} ({where.name}, line {where.lineno} of {where.filename})"]


def judge(experiment: Experiment, finished: RunRecord, watch: Watch) -> list[str]:
    """The invariants that this run broke."""
    broken = [f"crash: {error}" for error in watch.lost]
    for each in finished.result.rounds:
        broken += _mean(each)
    broken += _failures(experiment.scenario, finished)
    broken += _attempts(experiment, finished)
    broken += _phases(experiment, finished.trace.records)
    broken += [f"secrets: both of {text}" for text in watch.twice_opened()]
    seen = watch.secrets_in(_text(finished))
    if seen:
        broken.append(f"trace: {seen} secrets can be read in the trace or the result")
    return broken


def _played(scenario: Scenario, experiment: Experiment) -> tuple[RunRecord, Watch]:
    finished = begin(scenario)
    with watching() as watch:
        play(experiment, finished, lambda _: None)
    return finished, watch


# -- right mean or named failure --------------------------------------------------------------------------------------


def _mean(each: RoundResult) -> Iterator[str]:
    if each.status != "ok":
        return
    if each.exact is not True:
        yield f"mean: round {each.round} is not the sum of its survivors"
    elif each.error_max is None or each.error_bound is None or each.error_max > each.error_bound:
        yield f"mean: round {each.round} is off by {each.error_max}, the bound is {each.error_bound}"


def _failures(scenario: Scenario, finished: RunRecord) -> Iterator[str]:
    result = finished.result
    reasons = [each.reason for each in result.rounds if each.status != "ok"]
    reasons += [] if result.status == "ok" else [result.reason]
    if any(not reason or reason == INTERRUPTED for reason in reasons):
        yield "failure: there is no reason for one"
    if result.status == "ok" and len(result.rounds) != scenario.rounds:
        yield f"failure: a run of {scenario.rounds} rounds ended well after {len(result.rounds)}"
    told = [*reasons, *(each.reason for each in result.rounds if each.reason)]
    blame = next((reason for reason in told if reason and _CONTRADICTION.search(reason)), None)
    if blame is not None and not any(fault.kind == "corrupt" for fault in scenario.faults):
        yield f"failure: honest players contradict each other: {blame}"
    elif reasons and _is_calm(scenario):
        yield f"calm: nothing goes wrong here, but: {reasons[0]}"


def _is_calm(scenario: Scenario) -> bool:
    """True if every round has to succeed: no fault, the generous deadlines of the defaults."""
    usual = parse({"name": "usual"})
    link_of = player_links(scenario)
    links = [link_of(MODEL_OWNER), *(link_of(owner_name(index)) for index in range(scenario.owners.count))]
    return (
        not scenario.faults
        and scenario.phases == usual.phases
        and scenario.aggregation.permit_limit_ns == usual.aggregation.permit_limit_ns
        and all(link.queue_limit is None and not _has_a_tail(link.latency) for link in links)
    )


def _has_a_tail(latency: Latency) -> bool:
    """True if one message in thousands may take longer than a phase."""
    return isinstance(latency, Lognormal | Exponential | Pareto | Cubic) and latency.max_ns > CALM_NS


# -- deadlines --------------------------------------------------------------------------------------------------------


def _attempts(experiment: Experiment, finished: RunRecord) -> Iterator[str]:
    """Each attempt from the model owner's first word to its last, and each round over all its attempts."""
    deadlines = experiment.deadlines()
    limit_ns = sum(deadlines[phase] for phase in experiment.protocol.phases)
    began: dict[tuple[int, int], int] = {}
    for record in finished.trace.records:
        label = (record.round, record.attempt)
        if record.sender == MODEL_OWNER and record.event == "message":
            began.setdefault(label, record.t)
        elif record.sender == MODEL_OWNER and record.event == "abort" and label in began:
            took_ns = record.t - began[label]
            if took_ns > limit_ns:
                yield f"deadline: round {label[0]}, attempt {label[1]} took {took_ns} ns, at most {limit_ns}"
    for each in finished.result.rounds:
        if each.seconds["total"] > each.attempts * limit_ns / 1e9:
            yield f"deadline: round {each.round} took {each.seconds['total']} s in {each.attempts} attempts"


def _phases(experiment: Experiment, records: list[Record]) -> Iterator[str]:
    """Each phase of the lead until its next, where computing takes no time; a lead that crashed keeps none."""
    scenario = experiment.scenario
    if scenario.compute.model_dump(exclude_none=True) or scenario.owners.device is not None:
        return
    deadlines = {str(phase): experiment.deadlines()[phase] for phase in PHASES}
    entered: Record | None = None
    for record in records:
        if record.event == "fault" and record.sender == LEAD and record.detail == "crash":
            entered = None
        elif entered is not None and _ends(entered, record):
            took_ns = record.t - entered.t
            if entered.phase != "reveal" and took_ns > deadlines[entered.phase]:
                yield f"deadline: the lead was {took_ns} ns in {entered.phase} of round {entered.round}"
            entered = None
        if record.event == "phase":
            entered = record


def _ends(entered: Record, record: Record) -> bool:
    """True if this record says that the lead's phase is over."""
    same = (record.round, record.attempt) == (entered.round, entered.attempt)
    ending = record.event == "phase" or (record.event == "abort" and record.sender in (LEAD, MODEL_OWNER))
    return same and ending


# -- the record -------------------------------------------------------------------------------------------------------


def _text(finished: RunRecord) -> str:
    """All there is to read in the trace, each text once, and the result."""
    texts = {text: None for record in finished.trace.records for text in record.values() if isinstance(text, str)}
    return "\n".join([*texts, repr(finished.result.to_json())])


def _again(first: RunRecord, second: RunRecord) -> Iterator[str]:
    if first.trace.digest() != second.trace.digest():
        pairs = zip(first.trace.records, second.trace.records, strict=False)
        line = next((one.line() for one, other in pairs if one != other), "the end of the shorter one")
        yield f"again: the trace of a second run is another one, from {line}"
    elif _comparable(first) != _comparable(second):
        yield "again: the result of a second run is another one"


def _comparable(finished: RunRecord) -> dict[str, Any]:
    return {key: value for key, value in finished.result.to_json().items() if key not in _NOT_COMPARED}
