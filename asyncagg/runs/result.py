"""`result.json`: what a run came to, as typed values and as the JSON of the contract."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from asyncagg.runs.formats import stamp

SCHEMA = 2
"""Readers take 1 as well: what it has stands where it stood."""
INTERRUPTED = "interrupted"


def finite(value: float | None) -> float | None:
    """The number as JSON can hold it: null for what is infinite or no number, as the loss of a model gone wild."""
    return None if value is None or not math.isfinite(value) else float(value)


@dataclass(slots=True)
class Traffic:
    """Bytes that crossed channels, headers included, summed over the players of a role."""

    sent: int = 0
    received: int = 0


@dataclass(slots=True)
class PlayerCost:
    """Bytes and computing of one player, or of all of a role, as the trace has them."""

    sent: int = 0
    received: int = 0
    """Bytes, headers included."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Phase → seconds of computing, in the order of time."""
    work: dict[str, float] = field(default_factory=dict)
    """Kind of work → seconds of computing."""

    def to_json(self) -> dict[str, Any]:
        return {"sent": self.sent, "received": self.received, "seconds": self.seconds, "work": self.work}


PathKind = Literal["deadline", "line", "computing", "waiting"]
PATH_KINDS: Final[tuple[PathKind, ...]] = get_args(PathKind)


@dataclass(frozen=True, slots=True)
class PathPiece:
    """A part of the time of a round, and what it went by with."""

    kind: PathKind
    what: str
    who: str
    """A player, or `sender → receiver`."""
    phase: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "what": self.what,
            "who": self.who,
            "phase": self.phase,
            "seconds": self.seconds,
        }


@dataclass(slots=True)
class RoundResult:
    """One round of a run."""

    round: int
    status: str
    reason: str | None = None
    attempts: int = 1
    survivors: list[str] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)
    """Owner → the phase in which it went."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Owner → why it went, for each that was dropped."""
    with_their_batch: list[str] = field(default_factory=list)
    silent_after: dict[str, str] = field(default_factory=dict)
    total_weight: int | None = None
    clipped: int | None = None
    below_quantum: int | None = None
    """Values other than 0 that are smaller than one step of their encoding."""
    error_max: float | None = None
    error_bound: float | None = None
    exact: bool | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    traffic: dict[str, Traffic] = field(default_factory=dict)
    key_agreements: int = 0
    mask_expansions: dict[str, float] = field(default_factory=dict)
    critical_path: list[PathPiece] = field(default_factory=list)
    """Causes of its length, in order of time; the pieces add up to `seconds["total"]`."""
    phases: dict[str, dict[str, PlayerCost]] = field(default_factory=dict)
    """Phase → role → what its players said, heard and computed in it."""
    owners: dict[str, PlayerCost] = field(default_factory=dict)
    """Data owner → its own share; empty where the trace keeps no messages, or nobody sees those of all."""
    metrics: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "round": self.round,
            "status": self.status,
            "reason": self.reason,
            "attempts": self.attempts,
            "survivors": self.survivors,
            "dropped": self.dropped,
            "counts": {"survivors": len(self.survivors), "dropped": len(self.dropped)},
            "reasons": self.reasons,
            "with_their_batch": self.with_their_batch,
            "silent_after": self.silent_after,
            "total_weight": self.total_weight,
            "clipped": self.clipped,
            "below_quantum": self.below_quantum,
            "error_max": finite(self.error_max),
            "error_bound": self.error_bound,
            "exact": self.exact,
            "seconds": self.seconds,
            "bytes": {
                role: {"sent": traffic.sent, "received": traffic.received} for role, traffic in self.traffic.items()
            },
            "work": {"key_agreements": self.key_agreements, "mask_expansions": self.mask_expansions},
            "critical_path": [piece.to_json() for piece in self.critical_path],
            "phases": {
                phase: {role: each.to_json() for role, each in roles.items()} for phase, roles in self.phases.items()
            },
            "owners": {owner: each.to_json() for owner, each in self.owners.items()},
            "metrics": {name: finite(value) for name, value in self.metrics.items()},
            "warnings": self.warnings,
        }

    @classmethod
    def from_json(cls, data: object) -> RoundResult:
        """The round whose `to_json` is this; a metric that was null is NaN. ValueError for anything else."""
        if not isinstance(data, dict) or set(data) != set(_FIELDS):
            raise ValueError("is not a round's result")
        for name, fits in _FIELDS.items():
            if not fits(data[name]):
                raise ValueError(f"{name} is not what a round's result has there")
        told = dict(data)
        traffic, work, metrics = told.pop("bytes"), told.pop("work"), told.pop("metrics")
        del told["counts"]
        phases, owners, path = told.pop("phases"), told.pop("owners"), told.pop("critical_path")
        return cls(
            **told,
            **work,
            phases={name: {role: PlayerCost(**each) for role, each in roles.items()} for name, roles in phases.items()},
            critical_path=[PathPiece(**piece) for piece in path],
            owners={owner: PlayerCost(**each) for owner, each in owners.items()},
            traffic={role: Traffic(**each) for role, each in traffic.items()},
            metrics={name: math.nan if value is None else value for name, value in metrics.items()},
        )


# -- what the fields of a round's JSON may be --------------------------------------------------------------------------

_Check = Callable[[object], bool]


def _text(value: object) -> bool:
    return isinstance(value, str)


def _count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**64


def _number(value: object) -> bool:
    return _count(value) or (isinstance(value, float) and math.isfinite(value))


def _or_null(fits: _Check) -> _Check:
    return lambda value: value is None or fits(value)


def _list_of(fits: _Check) -> _Check:
    return lambda value: isinstance(value, list) and all(map(fits, value))


def _by_name(fits: _Check) -> _Check:
    return lambda value: isinstance(value, dict) and all(map(_text, value)) and all(map(fits, value.values()))


def _exactly(**fields: _Check) -> _Check:
    def check(value: object) -> bool:
        if not isinstance(value, dict) or set(value) != set(fields):
            return False
        return all(fits(value[name]) for name, fits in fields.items())

    return check


_SHARE = _exactly(sent=_count, received=_count, seconds=_by_name(_number), work=_by_name(_number))
_FIELDS: dict[str, _Check] = {
    "round": _count,
    "status": lambda value: value in ("ok", "failed", "skipped"),
    "reason": _or_null(_text),
    "attempts": _count,
    "survivors": _list_of(_text),
    "dropped": _by_name(_text),
    "counts": _exactly(survivors=_count, dropped=_count),
    "reasons": _by_name(_text),
    "with_their_batch": _list_of(_text),
    "silent_after": _by_name(_text),
    "total_weight": _or_null(_count),
    "clipped": _or_null(_count),
    "below_quantum": _or_null(_count),
    "error_max": _or_null(_number),
    "error_bound": _or_null(_number),
    "exact": _or_null(lambda value: isinstance(value, bool)),
    "seconds": _by_name(_number),
    "bytes": _by_name(_exactly(sent=_count, received=_count)),
    "work": _exactly(key_agreements=_count, mask_expansions=_by_name(_number)),
    "critical_path": _list_of(
        _exactly(kind=lambda value: value in PATH_KINDS, what=_text, who=_text, phase=_text, seconds=_number)
    ),
    "phases": _by_name(_by_name(_SHARE)),
    "owners": _by_name(_SHARE),
    "metrics": _by_name(_or_null(_number)),
    "warnings": _list_of(_text),
}


@dataclass(slots=True)
class RunResult:
    """A whole run. Before it has ended it is a failed one, interrupted: whatever happens, that is what stays."""

    name: str
    seed: int
    engine: str
    protocol: str
    owners: int
    compute_nodes: int
    dimension: int | None = None
    status: str = "failed"
    reason: str | None = INTERRUPTED
    expect: dict[str, bool | None] = field(default_factory=dict)
    """Key of `[expect]` → whether it is met; None where nobody can tell."""
    unmet: str | None = None
    """The first expectation that is not met, as a sentence."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    """Forecast for a round in which everyone takes part: bytes of a data owner."""
    randomness: str = ""
    transport: str | None = None
    """Protection of messages between processes; None while it is not known."""
    rounding: str = ""
    rounds: list[RoundResult] = field(default_factory=list)
    virtual_seconds: float | None = None
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_rss_bytes: int = 0
    started: str | None = None
    """Time when this run was begun: ISO 8601, UTC."""
    scenario: Mapping[str, Any] = field(default_factory=dict)
    """Its values, with every default filled in."""
    keep: str = "all"
    """Part of the trace that is kept."""
    trace_digest: str | None = None
    opens_an_input: list[str] = field(default_factory=list)
    ledger: list[str] = field(default_factory=list)

    @property
    def words(self) -> str:
        """Outcome of the run, as a user would say it."""
        if self.status == "failed":
            return "ran; expectation not met" if self.reason == self.unmet else "failed"
        return "ok" if any(each.status == "ok" for each in self.rounds) else "ran; no round has a mean"

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            **stamp(),
            "started": self.started,
            "name": self.name,
            "seed": self.seed,
            "engine": self.engine,
            "protocol": self.protocol,
            "status": self.status,
            "reason": self.reason,
            "expect": self.expect,
            "owners": self.owners,
            "compute_nodes": self.compute_nodes,
            "dimension": self.dimension,
            "parameters": dict(self.parameters),
            "plan": dict(self.plan),
            "randomness": self.randomness,
            "transport": self.transport,
            "rounding": self.rounding,
            "rounds": [each.to_json() for each in self.rounds],
            "seconds": {"virtual": self.virtual_seconds, "wall": self.wall_seconds, "cpu": self.cpu_seconds},
            "peak_rss_bytes": self.peak_rss_bytes,
            "trace": {"keep": self.keep},
            "trace_digest": self.trace_digest,
            "privacy": {"opens_an_input": self.opens_an_input, "ledger": self.ledger},
            "scenario": dict(self.scenario),
        }
