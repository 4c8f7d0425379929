"""The tables `[aggregation]` and `[encoding]`: which protocol, against whom, with which numbers."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from asyncagg.net.durations import SECOND_NS
from asyncagg.protocols.names import Reveal, Threat
from asyncagg.protocols.registry import ProtocolError, find
from asyncagg.scenario.schema.fields import (
    AutoEven,
    AutoWhole,
    PositiveDuration,
    PositiveSize,
    ProtocolName,
    Table,
    in_units,
)
from asyncagg.scenario.values.units import DURATION, GIB, SIZE


def not_strict(given: object) -> object:
    """Refuses what there was before there were batches."""
    if given == "strict":
        raise ValueError('is "strict" (use batch = "auto": strict ledgers of owners cannot see each other\'s sets)')
    return given


class Aggregation(Table):
    """Rules by which the owners' vectors are added."""

    protocol: ProtocolName = Field("secagg+", description="who says what to whom")
    compute_nodes: int = Field(3, ge=1, le=1000, description="players that add masked vectors; node 0 is the lead")
    threat: Threat = Field("curious", description="the lead's assumed power: it follows the protocol, or may lie")
    reveal: Reveal = Field("compute-nodes", description="who sees the sum first; with additive always the model owner")
    threshold: AutoWhole = Field("auto", description="secagg, secagg+: shares that open a secret")
    neighbours: AutoEven = Field("auto", description="secagg+: degree of the masking graph")
    corrupt: float = Field(0.1, ge=0, lt=1, description="assumed fraction of owners that collude with the lead")
    dropout: float = Field(0.3, ge=0, lt=1, description="fraction of owners that may drop and still be recovered from")
    minimum_cohort: int = Field(2, ge=1, description="fewest owners in any sum that is released")
    batch: AutoWhole = Field(
        1, description="owners that are only ever added up together; 1: none are; auto when the lead may lie"
    )
    corrupt_nodes: int = Field(1, ge=0, description="additive: compute nodes assumed to collude")
    weighting: Literal["examples", "uniform"] = Field(
        "examples", description="an owner counts by its examples, or as one"
    )
    max_weight: AutoWhole = Field(
        "auto",
        description="public bound on an owner's weight; auto: 1 when uniform, else the largest there is",
    )
    ledger: Annotated[Literal["warn"], BeforeValidator(not_strict)] = Field(
        "warn", description="the account of what sums give away together: the result says it, nothing is refused"
    )
    on_failure: Literal["retry", "skip", "abort"] = Field("retry", description="what a failed round leads to")
    retries: int = Field(2, ge=0, le=1000, description="attempts at a round after the first")
    memory_budget_bytes: PositiveSize = in_units(
        SIZE,
        "memory_budget",
        GIB,
        "a compute node's memory for uploads that are not added yet; decides how many owners upload at once",
    )
    permit_limit_ns: PositiveDuration = in_units(
        DURATION, "permit_limit", 10 * SECOND_NS, "time an owner has for its upload once it is permitted"
    )


def with_implied(given: Any) -> Any:
    """Fills in what follows: who sees the sum where the protocol leaves no choice, batches for a lying lead."""
    if not isinstance(given, dict):
        return given
    implied = dict(given)
    if given.get("reveal") in (None, "compute-nodes"):
        implied["reveal"] = _first_to_see(given.get("protocol"))
    if given.get("threat") == "lying" and given.get("batch") is None:
        implied["batch"] = "auto"
    return implied


def _first_to_see(protocol: object) -> Reveal:
    """Player that sees the sum first unless the scenario says otherwise. An unknown protocol is refused elsewhere."""
    try:
        return find(str(protocol)).reveals[0]
    except ProtocolError:
        return "compute-nodes"


AggregationTable = Annotated[Aggregation, BeforeValidator(with_implied)]
"""`[aggregation]` as a file gives it."""


class Encoding(Table):
    """Encoding of a coordinate as an element of the ring."""

    clip: float = Field(8.0, gt=0, le=1e30, description="largest magnitude of a coordinate; beyond it is clipped")
    clip_by: dict[str, Annotated[float, Field(gt=0, le=1e30)]] = Field(
        default_factory=dict, description="clips of single arrays of the model, by name or pattern; others have clip"
    )
    bits: int = Field(16, ge=2, le=32, description="of a quantised value, before summing")
    rounding: Literal["stochastic", "nearest"] = Field("stochastic", description="between two quanta")
    rounding_draws: Literal["seeded", "system"] = Field(
        "seeded", description="draws of stochastic rounding: from the seed (public, comparable) or the system"
    )
