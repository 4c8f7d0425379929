"""The Python interface: run a scenario, or take one secure mean of vectors at hand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from asyncagg.asked_run import AskedRun, OnRound, Owners, Source
from asyncagg.engines.record.run_record import RunRecord
from asyncagg.learning.owners import DataOwner, ModelOwner
from asyncagg.mean_inputs import check_keywords, encoding_of, fallen_of, inputs_of, weights_of
from asyncagg.owner_failures import OnOwnerFailure, check_choice, tell
from asyncagg.protocols.names import owner_name
from asyncagg.protocols.registry import find
from asyncagg.result_view import html_of, text_of
from asyncagg.run_thread import RunThread
from asyncagg.runs.means import StoredMeans
from asyncagg.runs.trace import Trace
from asyncagg.scenario.errors import ScenarioError
from asyncagg.scenario.schema.aggregation import Aggregation
from asyncagg.vectors.flatten import Layout

_KEYWORDS = ("vectors", "weights", "protocol", "dropped", "bits", "clip")
"""Of `secure_mean`, beside the keys of `[aggregation]`."""


class Result(dict[str, Any]):
    """The contents of `result.json`, with what else the run left as attributes."""

    def __init__(self, finished: RunRecord) -> None:
        super().__init__(finished.result.to_json())
        stored = None if finished.means or finished.folder is None else StoredMeans(finished.folder)
        self.means: Mapping[int, NDArray[np.float64]] = finished.means if stored is None else stored
        """Round → the decoded mean, (d,) float64; with a run directory read from there when it is asked for."""
        self.model: dict[str, NDArray[Any]] = finished.model
        """The parameters after the last round."""
        self.trace: Trace = finished.trace
        self.folder: Path | None = finished.folder
        """The run directory, where there is one."""

    def __repr__(self) -> str:
        return f"<Result {text_of(self)}>"

    def _repr_html_(self) -> str:
        return html_of(self)


class AggregationFailed(Exception):
    """No mean could be had; `result` says how the run went."""

    def __init__(self, result: Result) -> None:
        super().__init__(result["reason"])
        self.result = result


def run(
    scenario: Source | None = None,
    *,
    engine: str | None = None,
    seed: int | None = None,
    owners: Owners | None = None,
    model_owner: ModelOwner | str | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    add_rounds: int = 0,
    on_round: OnRound | None = None,
    progress: bool = False,
    on_owner_failure: OnOwnerFailure = "warn",
) -> Result:
    """Run a scenario and return how it went.

    Works inside a running loop (a notebook) too: the run has a thread and a loop of its own. KeyboardInterrupt stops it
    within two seconds.

    Args:
        scenario: a path, the name of one that comes along, a mapping with its keys, or one loaded.
        engine: in place of the scenario's.
        seed: in place of the scenario's.
        owners: in place of the scenario's workload, with `model_owner`: objects, or the name of their class,
            "module:Class". On engine "processes" names only, as nothing is pickled.
        model_owner: an object, or the name of its class.
        out: the run directory, a new one; absent: nothing is written. Owners that are objects are not kept in it.
        resume: in place of a scenario: the directory of a run that was interrupted, which goes on. Owners that were
            objects are given again.
        add_rounds: with `resume`, so many more rounds for a run that is finished.
        on_round: called after each round with what the result says of it, perhaps in another thread. What it raises
            ends the run, and is raised here.
        progress: draw a bar on stderr.
        on_owner_failure: where the computation of owners failed, their tracebacks are on stderr (with engine
            "processes" in their logs); at the end "warn" gives an OwnerWarning for each reason, "raise" raises
            OwnerFailed.

    Raises:
        ScenarioError: a scenario, or a file that it names, is not right.
        TypeError: arguments that do not go together.
        DirectoryError, CheckpointError: a run directory cannot be made, or not be gone on with.
    """
    check_choice(on_owner_failure)
    asked = AskedRun(scenario, engine, seed, owners, model_owner, out, resume, add_rounds, on_round, progress)
    work = asked.prepared()
    return _told(RunThread(work).wait() if _in_a_loop() else work(None), on_owner_failure)


async def run_async(
    scenario: Source | None = None,
    *,
    engine: str | None = None,
    seed: int | None = None,
    owners: Owners | None = None,
    model_owner: ModelOwner | str | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    add_rounds: int = 0,
    on_round: OnRound | None = None,
    progress: bool = False,
    on_owner_failure: OnOwnerFailure = "warn",
) -> Result:
    """As `run`, without blocking the loop it is awaited on. Cancelling it stops the run within two seconds."""
    check_choice(on_owner_failure)
    asked = AskedRun(scenario, engine, seed, owners, model_owner, out, resume, add_rounds, on_round, progress)
    return _told(await RunThread(asked.prepared()).outcome(), on_owner_failure)


def _told(finished: RunRecord, on_owner_failure: OnOwnerFailure) -> Result:
    """The result, once the caller has been told of owners whose computation failed."""
    result = Result(finished)
    tell(finished.owner_failures, result, on_owner_failure)
    return result


def _in_a_loop() -> bool:
    """True if a loop runs in this thread; asked apart, since what `work` raises is to have no error before it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def secure_mean(
    vectors: ArrayLike | Sequence[Mapping[str, ArrayLike]],
    weights: Sequence[int] | None = None,
    protocol: str = "secagg+",
    dropped: Mapping[str, Sequence[int]] | None = None,
    *,
    bits: int | None = None,
    clip: float | Mapping[str, float] | None = None,
    **aggregation: Any,
) -> tuple[Any, Result]:
    """The weighted mean of `vectors` by one simulated round, and the report of that round.

    Floats come back within `error_bound` of the report. Whole numbers (integers and truth values) come back exactly:
    the mean is the float64 nearest to their sum over the total weight, so `np.rint(mean * total_weight)` is the sum.

    Args:
        vectors: owners × d, or a list with a dict of named arrays for each owner, of the same names and shapes.
            Floats, integers or truth values of any width; whatever numpy reads as such, tensors on the CPU too.
        weights: one an owner, whole numbers of any type; absent: 1 each.
        protocol: as in `[aggregation]`.
        dropped: phase → the owners that fall silent in it.
        bits: of an encoded number, 2 to 32; absent: as many as whole numbers need, 24 for floats, or what the
            weights leave of 64.
        clip: the largest magnitude of floats, beyond which they are clipped; or such by name. Absent: the largest
            there is, for each array.
        aggregation: further keys of `[aggregation]`.

    Returns:
        The mean, float64: (d,), or named arrays where vectors are; and the report, as `run` returns it.

    Raises:
        AggregationFailed: the round has no sum.
        TypeError, ValueError, ScenarioError: what cannot be, in the words of this call.
    """
    check_keywords(aggregation, (*_KEYWORDS, *Aggregation.key_names()))
    given = inputs_of(vectors)
    counted = weights_of(weights, len(given.rows))
    dimension = given.layout.dimension
    slices = 3 if find(protocol).shares else min(3, dimension)
    scenario: dict[str, Any] = {
        "name": "secure-mean",
        "engine": "sim",
        "owners": {"count": len(given.rows)},
        "aggregation": {"protocol": protocol, "compute_nodes": slices, **aggregation},
        "encoding": encoding_of(given, _heaviest(counted, aggregation), bits, clip),
        "faults": [
            {"kind": "drop", "phase": phase, "players": [str(owner_name(each)) for each in indices]}
            for phase, indices in fallen_of(dropped, len(given.rows)).items()
            if indices
        ],
    }
    owners = [_Fixed(row, weight) for row, weight in zip(given.rows, counted, strict=True)]
    try:
        result = run(scenario, owners=owners, model_owner=_NoModel(given.layout))
    except ScenarioError as error:  # the caller has keywords, and no scenario
        said = [line.removeprefix("scenario: ") for line in error.lines]
        lines = [line.replace("aggregation.", "").replace("encoding.", "") for line in said]
        raise ScenarioError(lines) from None
    if 0 not in result.means:
        raise AggregationFailed(result)
    return given.returned(result.means[0]), result


def _heaviest(weights: Sequence[int], aggregation: Mapping[str, Any]) -> int:
    """The largest weight that the ring must have room for."""
    if aggregation.get("weighting") == "uniform":
        return 1
    bound = aggregation.get("max_weight")
    return bound if isinstance(bound, int) and bound > 0 else max(weights)


class _Fixed(DataOwner):
    """An owner whose gradient is given."""

    def __init__(self, arrays: dict[str, NDArray[Any]], weight: int) -> None:
        self.arrays = arrays
        self.weight = self.max_weight = weight

    def compute_gradient(self, parameters: dict[str, NDArray[Any]], round: int) -> tuple[dict[str, NDArray[Any]], int]:
        return self.arrays, self.weight


class _NoModel(ModelOwner):
    """Nothing is published and nothing is learnt: only the mean is wanted."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def initial_parameters(self) -> dict[str, NDArray[Any]]:
        return {}

    def apply(self, parameters: dict[str, NDArray[Any]], mean: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return parameters

    def gradient_shapes(self) -> dict[str, tuple[int, ...]]:
        return dict(zip(self.layout.names, self.layout.shapes, strict=True))

    def gradient_dtypes(self) -> dict[str, DTypeLike]:
        return dict(zip(self.layout.names, self.layout.dtypes, strict=True))
