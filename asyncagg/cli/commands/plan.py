"""`asyncagg plan`: threshold, neighbours and cost of a population, before there is a scenario."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import typer

from asyncagg.cli.output.parameters import batches_json, bytes_json, bytes_table, parameter_lines, work_json, work_lines
from asyncagg.cli.output.plain import answer, complain, interruptible
from asyncagg.protocols.context import GraphPolicy
from asyncagg.protocols.forecast.batching import batch_notes, batch_sentences
from asyncagg.protocols.forecast.planning import plan
from asyncagg.protocols.forecast.work import AttemptCost, cost
from asyncagg.protocols.forecaster import Setting
from asyncagg.protocols.interface import Protocol
from asyncagg.protocols.names import Reveal, Threat
from asyncagg.protocols.parameters.batch_size import BatchFigures, batch_figures, batch_size
from asyncagg.protocols.parameters.choose import Auto, GraphParameters
from asyncagg.protocols.parameters.population import Infeasible, Population, exact
from asyncagg.protocols.registry import ProtocolError, find
from asyncagg.report.words import number, size

INFEASIBLE = 1


@dataclass(frozen=True, slots=True)
class Question:
    """Options of `asyncagg plan`, as parsed from the command line."""

    owners: int
    corrupt: str
    dropout: str
    threat: Threat
    dimension: int
    bits: int
    protocol: Protocol
    reveal: Reveal
    compute_nodes: int
    max_weight: int
    parameter_bytes: int
    batch: int | Auto
    """1 reckons with no batches: the published rows."""
    per_round: int | None
    rounds: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures that follow from parameters."""

    graph: GraphParameters | None
    """None for protocols without one."""
    cost: AttemptCost
    """Of an attempt in which everyone answers."""
    most_dropped: int
    """⌊δN⌋."""
    worst: AttemptCost
    """Of an attempt in which so many fall silent at upload."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer to the question."""

    reported: Figures
    """For secagg+ those of the k-regular search's row."""
    run: Figures | None
    """Those of a run; None if it would be refused, as the notes say."""
    notes: tuple[str, ...]
    batches: BatchFigures | None = None
    """None: every owner is a batch of its own."""


def plan_round(question: Question, as_json: bool) -> int:
    """Print the plan; the exit status. One that is not possible is refused in a line on stderr."""
    with interruptible():
        try:
            found = _answer(question)
        except Infeasible as refusal:
            complain([f"asyncagg plan: {refusal}"])
            return INFEASIBLE
        answer(json.dumps(_json(found), indent=1).splitlines() if as_json else _lines(question, found))
    return 0


def _answer(question: Question) -> Answer:
    corrupt, dropout = _rate("--corrupt", question.corrupt), _rate("--dropout", question.dropout)
    protocol = question.protocol
    if question.compute_nodes < protocol.least_nodes:
        raise typer.BadParameter(
            f"{protocol.name} splits every vector among compute nodes ({protocol.least_nodes} or more)",
            param_hint="--compute-nodes",
        )
    population = _population(question, corrupt, dropout)
    dropped = population.lost(population.cohort)
    batches = batch_figures(population) if population.batch > 1 else None
    if protocol.graph is None:
        figures = _figures(question, None, dropped)
        return Answer(figures, figures, _hint(question, population), batches)
    found = plan(GraphPolicy(protocol.graph, population))
    reported = _figures(question, found.reported, dropped)
    same = found.run is found.reported
    run = reported if same else None if found.run is None else _figures(question, found.run, dropped)
    return Answer(reported, run, (*found.notes, *_hint(question, population)), batches)


def _population(question: Question, corrupt: Decimal, dropout: Decimal) -> Population:
    everyone = Population(
        question.owners, corrupt, dropout, question.threat, per_round=question.per_round, rounds=question.rounds
    )
    return replace(everyone, batch=batch_size(everyone, question.batch))


def _hint(question: Question, population: Population) -> tuple[str, ...]:
    """Hint at the size of batches, where none were asked for and a lead that lies makes a run have them."""
    if question.batch != 1 or not population.lying or not question.protocol.protects:
        return ()
    try:
        size = batch_size(population, "auto")
    except Infeasible as refusal:
        return (f"Reckoned with batches of 1; a run cannot be cut into others: {refusal}.",)
    return (f'Reckoned with batches of 1; a run takes batch = "auto", here {size} (--batch auto).',)


def _figures(question: Question, graph: GraphParameters | None, dropped: int) -> Figures:
    try:
        everyone, worst = (cost(_setting(question, graph, gone)) for gone in (0, dropped))
    except ValueError as error:  # no ring is wide enough, or there are more nodes than coordinates
        raise typer.BadParameter(str(error)) from None
    return Figures(graph, everyone, dropped, worst)


def protocol_of(name: str) -> Protocol:
    """The protocol of this name; typer.BadParameter where there is none."""
    try:
        return find(name)
    except ProtocolError as error:
        raise typer.BadParameter(str(error), param_hint="--protocol") from None


def batch_of(text: str) -> int | Auto:
    """T as it was said; typer.BadParameter for what is none."""
    if text == "auto":
        return "auto"
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise typer.BadParameter(f'{text} is no size ("auto", or a whole number from 1)', param_hint="--batch")
    return int(text)


def _rate(option: str, text: str) -> Decimal:
    try:
        rate = exact(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error} (a fraction such as 0.1)", param_hint=option) from None
    if not 0 <= rate < 1:
        raise typer.BadParameter(f"{text} is not a fraction (at least 0 and below 1)", param_hint=option)
    return rate


def _setting(question: Question, graph: GraphParameters | None, dropped: int) -> Setting:
    return Setting(
        protocol=question.protocol.name,
        owners=question.owners if question.per_round is None else question.per_round,
        compute_nodes=question.compute_nodes,
        dimension=question.dimension,
        bits=question.bits,
        max_weight=question.max_weight,
        neighbours=0 if graph is None else graph.neighbours,
        threat=question.threat,
        reveal=question.reveal if question.reveal in question.protocol.reveals else question.protocol.reveals[0],
        dropped=dropped,
        parameter_bytes=question.parameter_bytes,
    )


def _json(found: Answer) -> dict[str, Any]:
    run = None if found.run is None else _figures_json(found.run)
    return {**_figures_json(found.reported), **batches_json(found.batches), "notes": list(found.notes), "run": run}


def _figures_json(figures: Figures) -> dict[str, Any]:
    graph = figures.graph
    names = ("neighbours", "threshold", "privacy_bits", "correctness_bits")
    return {
        **{name: None if graph is None else getattr(graph, name) for name in names},
        "ring_bits": figures.cost.ring_bits,
        "owner_bytes": bytes_json(figures.cost),
        "expansion": figures.cost.expansion,
        **work_json(figures.cost),
        "with_dropouts": {"dropped": figures.most_dropped, **work_json(figures.worst)},
    }


def _lines(question: Question, found: Answer) -> Iterator[str]:
    yield (
        f"{question.protocol.name} for {number(question.owners, 'owner')} against a {question.threat} lead:"
        f" corrupt {question.corrupt}, dropout {question.dropout}"
    )
    yield from found.notes
    if found.batches is not None:
        yield from batch_sentences(found.batches, question.dropout)
        yield from batch_notes(found.batches)
    if found.run is not None:
        yield ""
        yield from _block(question, found.run)
    if found.run is not found.reported:
        yield ""
        yield "What the published search for a k-regular graph finds, which no run uses here:"
        yield ""
        yield from _block(question, found.reported)


def _block(question: Question, figures: Figures) -> Iterator[str]:
    yield from parameter_lines(figures.graph, figures.cost.ring_bits)
    yield ""
    yield f"Bytes of one owner in an attempt, when everyone answers and {size(question.parameter_bytes)} are published"
    yield from bytes_table(figures.cost)
    yield ""
    yield from work_lines(figures.cost)
    if figures.most_dropped:
        yield f"when {figures.most_dropped} fall silent at upload:"
        yield from (f"  {line}" for line in work_lines(figures.worst))
