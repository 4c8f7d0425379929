"""`asyncagg plan`: threshold, neighbours and cost of a population, before there is a scenario."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import typer

from asyncagg.cli.facts import bytes_json, bytes_table, parameter_lines, work_json, work_lines
from asyncagg.cli.plain import complain
from asyncagg.cli.words import number, size
from asyncagg.protocols.cost import Cost, cost
from asyncagg.protocols.parameters import GraphParameters
from asyncagg.protocols.planning import plan
from asyncagg.protocols.population import Infeasible, Population, exact
from asyncagg.protocols.terms import ProtocolName, Reveal, Threat
from asyncagg.protocols.traffic import Setting

INFEASIBLE = 1


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked for on the command line."""

    owners: int
    corrupt: str
    dropout: str
    threat: Threat
    dimension: int
    bits: int
    protocol: ProtocolName
    reveal: Reveal
    compute_nodes: int
    max_weight: int
    parameter_bytes: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What follows."""

    graph: GraphParameters | None
    cost: Cost
    """Of an attempt in which everyone answers."""
    most_dropped: int
    """⌊δN⌋."""
    worst: Cost
    """Of an attempt in which so many fall silent at upload."""
    notes: tuple[str, ...]


def plan_round(question: Question, as_json: bool) -> int:
    """Print the plan; the exit status. One that is not possible is refused in a line on stderr."""
    try:
        answer = _answer(question)
    except Infeasible as refusal:
        complain([f"asyncagg plan: {refusal}"])
        return INFEASIBLE
    print(json.dumps(_json(answer), indent=1) if as_json else "\n".join(_lines(question, answer)))
    return 0


def _answer(question: Question) -> Answer:
    corrupt, dropout = _rate("--corrupt", question.corrupt), _rate("--dropout", question.dropout)
    population = Population(question.owners, corrupt, dropout, question.threat)
    graph: GraphParameters | None = None
    notes: tuple[str, ...] = ()
    if question.protocol in ("secagg", "secagg+"):
        found = plan(question.protocol, population)
        graph, notes = found.reported, found.notes
    dropped = population.lost(question.owners)
    try:
        costs = [cost(_setting(question, graph, gone)) for gone in (0, dropped)]
    except ValueError as error:  # no ring is wide enough, or there are more nodes than coordinates
        raise typer.BadParameter(str(error)) from None
    return Answer(graph, costs[0], dropped, costs[1], notes)


def _rate(option: str, text: str) -> Decimal:
    try:
        return exact(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error} (a fraction such as 0.1)", param_hint=option) from None


def _setting(question: Question, graph: GraphParameters | None, dropped: int) -> Setting:
    return Setting(
        protocol=question.protocol,
        owners=question.owners,
        compute_nodes=question.compute_nodes,
        dimension=question.dimension,
        bits=question.bits,
        max_weight=question.max_weight,
        neighbours=0 if graph is None else graph.neighbours,
        threat=question.threat,
        reveal="model-owner" if question.protocol == "additive" else question.reveal,
        dropped=dropped,
        parameter_bytes=question.parameter_bytes,
    )


def _json(answer: Answer) -> dict[str, Any]:
    graph = answer.graph
    return {
        "neighbours": None if graph is None else graph.neighbours,
        "threshold": None if graph is None else graph.threshold,
        "privacy_bits": None if graph is None else graph.privacy_bits,
        "correctness_bits": None if graph is None else graph.correctness_bits,
        "ring_bits": answer.cost.ring_bits,
        "owner_bytes": bytes_json(answer.cost),
        "expansion": answer.cost.expansion,
        **work_json(answer.cost),
        "with_dropouts": {"dropped": answer.most_dropped, **work_json(answer.worst)},
        "notes": list(answer.notes),
    }


def _lines(question: Question, answer: Answer) -> Iterator[str]:
    yield (
        f"{question.protocol} for {number(question.owners, 'owner')} against a {question.threat} lead:"
        f" corrupt {question.corrupt}, dropout {question.dropout}"
    )
    yield ""
    yield from parameter_lines(answer.graph, answer.cost.ring_bits)
    yield ""
    yield f"Bytes of one owner in an attempt, when everyone answers and {size(question.parameter_bytes)} are published"
    yield from bytes_table(answer.cost)
    yield ""
    yield from work_lines(answer.cost)
    if answer.most_dropped:
        yield f"when {answer.most_dropped} fall silent at upload:"
        yield from (f"  {line}" for line in work_lines(answer.worst))
    if answer.notes:
        yield ""
        yield from answer.notes
