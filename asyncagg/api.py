"""The Python interface: run a scenario, or take one secure mean of vectors at hand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from asyncagg.engines import launch
from asyncagg.engines.record.run_record import RunRecord
from asyncagg.learning import workload
from asyncagg.learning.owners import DataOwner, ModelOwner
from asyncagg.protocols.names import owner_name
from asyncagg.protocols.registry import find
from asyncagg.runs.trace import Trace
from asyncagg.scenario.reading.load import load, parse
from asyncagg.scenario.schema.scenario import Scenario

Source = str | Path | Mapping[str, Any] | Scenario


class Result(dict[str, Any]):
    """The contents of `result.json`, with what else the run left as attributes."""

    def __init__(self, finished: RunRecord) -> None:
        super().__init__(finished.result.to_json())
        self.means: dict[int, NDArray[np.float64]] = finished.means
        """Round → the decoded mean, (d,) float64."""
        self.model: dict[str, NDArray[Any]] = finished.model
        """The parameters after the last round."""
        self.trace: Trace = finished.trace


class AggregationFailed(Exception):
    """No mean could be had; `result` says how the run went."""

    def __init__(self, result: Result) -> None:
        super().__init__(result["reason"])
        self.result = result


def run(
    scenario: Source,
    *,
    engine: str | None = None,
    seed: int | None = None,
    owners: Sequence[DataOwner] | None = None,
    model_owner: ModelOwner | None = None,
) -> Result:
    """Run a scenario (a path, a mapping with its keys, or one loaded) and return how it went.

    With `owners` and `model_owner` those are used instead of the scenario's workload. Works inside a running loop
    (a notebook) too: the run has a thread and a loop of its own. Raises ScenarioError for a scenario that is not right.
    """
    if owners is not None and not isinstance(owners, Sequence):
        raise TypeError(f"owners must be a list of asyncagg.DataOwner, not {type(owners).__name__}")
    ready = _load(scenario, engine, seed, None if owners is None else len(owners))
    given = None
    if owners is not None or model_owner is not None:
        if owners is None or model_owner is None:
            raise TypeError("owners and model_owner go together: give both or neither")
        if ready.engine == "processes":
            ready.refuse("engine", 'is "processes", which builds owners from the workload (sim or tcp for those given)')
        given = workload.given(owners, model_owner)
    return Result(_on_a_free_thread(lambda: launch.run(ready, workload=given)))


async def run_async(scenario: Source, **options: Any) -> Result:
    """As `run`, without blocking the loop it is awaited on."""
    return await asyncio.to_thread(run, scenario, **options)


def secure_mean(
    vectors: ArrayLike,
    weights: Sequence[int] | None = None,
    protocol: str = "secagg+",
    dropped: Mapping[str, Sequence[int]] | None = None,
    **aggregation: Any,
) -> tuple[NDArray[np.float64], Result]:
    """The weighted mean of `vectors` (owners × d, float) by one simulated round, and the report of that round.

    `dropped` maps a phase to the owners that fall silent in it. Further keywords are keys of `[aggregation]`. Values
    are clipped at the largest magnitude among them. Raises AggregationFailed when the round has no sum.
    """
    rows = _rows(vectors)
    counted = [1] * len(rows) if weights is None else _counted(weights, len(rows))
    slices = 3 if find(protocol).shares else min(3, rows.shape[1])
    scenario: dict[str, Any] = {
        "name": "secure-mean",
        "engine": "sim",
        "owners": {"count": len(rows)},
        "aggregation": {"protocol": protocol, "compute_nodes": slices, **aggregation},
        "encoding": {"clip": float(np.max(np.abs(rows), initial=1e-9)), "bits": 24},
        "faults": [
            {"kind": "drop", "phase": phase, "players": [str(owner_name(each)) for each in indices]}
            for phase, indices in _fallen(dropped or {}, len(rows)).items()
            if indices
        ],
    }
    owners = [_Fixed(row, weight) for row, weight in zip(rows, counted, strict=True)]
    result = run(scenario, owners=owners, model_owner=_NoModel(rows.shape[1]))
    if 0 not in result.means:
        raise AggregationFailed(result)
    return result.means[0], result


def _rows(vectors: ArrayLike) -> NDArray[np.float64]:
    try:
        given = np.asarray(vectors)
        if given.dtype.kind == "c":  # numpy would drop the imaginary parts
            raise TypeError
        rows = given.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError("vectors must be owners × d: real numbers, as many from every owner") from None
    if rows.ndim != 2 or not rows.size:
        raise ValueError(f"vectors must be owners × d, not of shape {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError("vectors hold NaN or Inf, must be finite numbers")
    return rows


def _fallen(dropped: Mapping[str, Sequence[int]], owners: int) -> dict[str, list[int]]:
    right = f"must map phases to lists of owners, 0 to {owners - 1}, as {{'upload': [0]}}"
    try:
        fallen = {phase: [index(each) for each in indices] for phase, indices in dropped.items()}
    except (AttributeError, TypeError):
        raise TypeError(f"dropped {right}, not {dropped!r}") from None
    if any(not 0 <= each < owners for indices in fallen.values() for each in indices):
        raise ValueError(f"dropped {right}, not {dropped!r}")
    return fallen


def _counted(weights: Sequence[int], owners: int) -> list[int]:
    try:
        counted = [index(weight) for weight in weights]
    except TypeError:
        raise TypeError(f"weights must be {owners} positive integers, not {weights!r}") from None
    if len(counted) != owners or min(counted) < 1:
        raise ValueError(f"weights must be {owners} positive integers")
    return counted


class _Fixed(DataOwner):
    """An owner whose gradient is one given vector."""

    def __init__(self, vector: NDArray[np.float64], weight: int) -> None:
        self.vector = vector
        self.weight = self.max_weight = weight

    def compute_gradient(self, parameters: dict[str, NDArray[Any]], round: int) -> tuple[dict[str, NDArray[Any]], int]:
        return {"vector": self.vector}, self.weight


class _NoModel(ModelOwner):
    """Nothing is published and nothing is learnt: only the mean is wanted."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension

    def initial_parameters(self) -> dict[str, NDArray[Any]]:
        return {}

    def apply(self, parameters: dict[str, NDArray[Any]], mean: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return parameters

    def gradient_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"vector": (self.dimension,)}


def _load(source: Source, engine: str | None, seed: int | None, owners: int | None) -> Scenario:
    if isinstance(source, str | Path):
        count = () if owners is None else (f"owners.count={owners}",)
        return load(source, count, engine=engine, seed=seed)
    if not isinstance(source, Scenario | Mapping):
        raise TypeError(f"scenario must be a path, a mapping or a Scenario, not {type(source).__name__}")
    values = dict(source.normalised() if isinstance(source, Scenario) else source)
    values |= {key: value for key, value in (("engine", engine), ("seed", seed)) if value is not None}
    if owners is not None:
        values["owners"] = {**values.get("owners", {}), "count": owners}
    return parse(values)


def _on_a_free_thread(work: Callable[[], RunRecord]) -> RunRecord:
    """Here when no loop runs in this thread; else in a thread of its own, waited for."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    done: list[RunRecord] = []
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            done.append(work())
        except BaseException as error:  # handed to the caller's thread whatever it is
            errors.append(error)

    thread = threading.Thread(target=guarded, name="asyncagg-run")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return done[0]
