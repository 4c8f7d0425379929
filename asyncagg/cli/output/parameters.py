"""Parameters and cost, as lines and as JSON: what `check` and `plan` have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from asyncagg.protocols.forecast.batching import LOSSES
from asyncagg.protocols.forecast.work import AttemptCost
from asyncagg.protocols.forecaster import Work
from asyncagg.protocols.parameters.batch_size import BatchFigures
from asyncagg.protocols.parameters.choose import GraphParameters
from asyncagg.report.words import size
from asyncagg.vectors.vector_encoder import VectorEncoder

_NAMED = 3
"""Arrays that a line names."""


def parameter_lines(graph: GraphParameters | None, ring_bits: int, minimum_cohort: int = 2) -> Iterator[str]:
    """Threshold, neighbours and ring, in words, when every owner is on the roster."""
    if graph is None:
        yield "threshold, neighbours: none in this protocol, nothing is recovered from shares"
    else:
        who = "every other owner" if graph.complete else f"{graph.neighbours} of the {graph.members - 1} others"
        holders = graph.members if graph.complete else graph.neighbours
        yield f"neighbours: k = {graph.neighbours}, an owner masks with {who}"
        yield f"threshold: t = {graph.threshold}, of {holders} shares so many open a secret"
        least = max(graph.survivors_floor, minimum_cohort)
        yield f"survivors: a round with fewer than {least} fails by name and reveals nothing"
        yield f"privacy: {graph.privacy_bits:g} bits; correctness: {graph.correctness_bits:g} bits"
    yield f"ring: {ring_bits} bits a coordinate, so that no sum can wrap"


def precision_lines(encoder: VectorEncoder) -> Iterator[str]:
    """Precision of encoded values: one step, of which arrays, and which are not rounded at all."""
    quanta = encoder.quanta
    for quantum in sorted(set(quanta.values()), reverse=True):
        names = [name for name, each in quanta.items() if each == quantum]
        of = "" if len(names) == len(quanta) else f" of {_some(names)}"
        yield f"quantum: {quantum:.2g}{of}, one step of a value; smaller ones come out as 0 or one step"
    if whole := [name for name in encoder.layout.names if name not in quanta]:
        yield f"whole numbers: {_some(whole)}, up to {2 ** (encoder.bits - 1) - 1} and never rounded"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(repr, names[:_NAMED])) + more


def bytes_table(cost: AttemptCost) -> Iterator[str]:
    """A line a phase, and the sum."""
    yield f"{'phase':<10}{'sent':>12}{'received':>12}"
    for phase, flow in [*cost.phases.items(), ("together", cost.owner_bytes)]:
        yield f"{phase:<10}{size(flow.sent):>12}{size(flow.received):>12}"
    yield f"expansion: {cost.expansion:.4f} times the vector in clear, in the accounting of the CCS 2017 paper"


def work_lines(cost: AttemptCost) -> Iterator[str]:
    """Key agreements and mask expansions by role."""
    yield f"key agreements: {_work(cost.key_agreements)}"
    yield f"mask expansions: {_work(cost.mask_expansions)}"


def bytes_json(cost: AttemptCost) -> dict[str, Any]:
    """Bytes of one owner: in all, and by phase."""
    phases = {phase: {"sent": flow.sent, "received": flow.received} for phase, flow in cost.phases.items()}
    return {"sent": cost.owner_bytes.sent, "received": cost.owner_bytes.received, "phases": phases}


def work_json(cost: AttemptCost) -> dict[str, Any]:
    """Key agreements and mask expansions by role."""
    return {"key_agreements": _counts(cost.key_agreements), "mask_expansions": _counts(cost.mask_expansions)}


def _counts(work: Work) -> dict[str, int]:
    return {"each_owner": work.each_owner, "compute_nodes": work.compute_nodes, "model_owner": work.model_owner}


def _work(work: Work) -> str:
    parts = [f"{work.each_owner} by each owner"]
    if work.compute_nodes:
        parts.append(f"{work.compute_nodes} by the compute nodes together")
    if work.model_owner:
        parts.append(f"{work.model_owner} by the model owner")
    return ", ".join(parts)


def batches_json(figures: BatchFigures | None) -> dict[str, Any]:
    """The cut; batches of one owner where there is none."""
    if figures is None:
        return {"batch": 1}
    return {
        "batch": figures.batch,
        "batch_bits": figures.bits,
        "batches": figures.batches,
        "batches_lost": figures.batches_lost,
        "share_in_sum": {f"{loss:g}": figures.share(loss) for loss in (0.01, 0.02, 0.05)},
        "rounds_at_first_attempt": {f"{loss:g}": figures.rounds_that_end(loss) for loss in LOSSES},
    }
