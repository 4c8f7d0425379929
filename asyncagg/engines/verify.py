"""Whether a run can be had again: record by record in `sim`, by survivors and means for the other engines."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asyncagg.engines.experiment import prepare
from asyncagg.engines.finished import Finished
from asyncagg.engines.launch import begin, play
from asyncagg.runs.directory import DirectoryError
from asyncagg.runs.result import INTERRUPTED
from asyncagg.scenario.load import load

Means = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a run directory says."""

    engine: str
    result: dict[str, Any]
    lines: list[str]
    """Of the trace."""
    means: Means


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of running it again."""

    difference: str | None
    """The first one; None where there is none."""
    compared: str
    """What was compared, in words."""


def verify(path: Path) -> Verdict:
    """Run what the directory holds again in `sim`, and compare.

    Raises DirectoryError for a directory that is not a finished run's, ScenarioError for its scenario.
    """
    recorded = _read(path)
    scenario = load(path / "scenario.toml", engine="sim")
    again = begin(scenario)
    play(prepare(scenario), again, lambda each: None)
    if recorded.engine == "sim":
        return Verdict(_first_record(recorded, again), f"{len(recorded.lines)} records, all rounds and means")
    comparable = scenario.encoding.rounding_draws == "seeded" or scenario.encoding.rounding == "nearest"
    what = "survivors and means" if comparable else "survivors (means were rounded with the system's own draws)"
    return Verdict(_first_round(recorded, again, comparable), f"{what} of {recorded.engine} with those of sim")


def _first_record(recorded: Recorded, again: Finished) -> str | None:
    lines = (record.line() for record in again.trace.records)
    for number, (then, now) in enumerate(zip_longest(recorded.lines, lines), 1):
        if then != now:
            return f"trace.jsonl:{number}: was {then or 'nothing'}, is {now or 'nothing'}"
    digest = again.trace.digest()
    if recorded.result["trace_digest"] != digest:
        return f"result.json: trace_digest was {recorded.result['trace_digest']}, is {digest}"
    return _first_round(recorded, again, comparable=True)


def _first_round(recorded: Recorded, again: Finished, comparable: bool) -> str | None:
    rounds = (each.to_json() for each in again.result.rounds)
    for number, (then, now) in enumerate(zip_longest(recorded.result["rounds"], rounds)):
        if then is None or now is None:
            return f"round {number}: {'was not there' if then is None else 'is not there'}"
        for key in ("status", "survivors"):
            if then[key] != now[key]:
                return f"round {number}: {key} was {json.dumps(then[key])}, is {json.dumps(now[key])}"
    return _first_mean(recorded.means, again) if comparable else None


def _first_mean(then: Means, again: Finished) -> str | None:
    now = {f"round-{index}": mean for index, mean in again.means.items()}
    for key in (*then, *(key for key in now if key not in then)):
        if key not in then or key not in now:
            return f"means.npz: {key} {'was' if key not in then else 'is'} not there"
        if then[key].tobytes() != now[key].tobytes():
            return f"means.npz: {key} {_distance(then[key], now[key])}"
    return None


def _distance(then: NDArray[np.float64], now: NDArray[np.float64]) -> str:
    if then.shape != now.shape:
        return f"was of shape {then.shape}, is {now.shape}"
    place = int(np.argmax(then != now))
    return f"differs first at coordinate {place}: was {then[place]!r}, is {now[place]!r}"


def _read(path: Path) -> Recorded:
    result = _result(path / "result.json")
    try:
        lines = (path / "trace.jsonl").read_text(encoding="utf-8").splitlines()
        with np.load(path / "means.npz", allow_pickle=False) as stored:
            means = {key: stored[key] for key in stored.files}
    except OSError as error:
        raise DirectoryError(f"{error.filename}: {error.strerror} (the directory of a finished run)") from None
    except (ValueError, zipfile.BadZipFile) as error:
        raise DirectoryError(f"{path}: cannot be read: {error} (the directory of a finished run)") from None
    return Recorded(result["engine"], result, lines, means)


def _result(file: Path) -> dict[str, Any]:
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DirectoryError(f"{file}: {error.strerror} (the directory of a finished run)") from None
    except ValueError as error:
        raise DirectoryError(f"{file}: is not JSON: {error} (the directory of a finished run)") from None
    if not isinstance(result, dict) or not {"engine", "rounds", "trace_digest"} <= result.keys():
        raise DirectoryError(f"{file}: is no result of a run (the directory of a finished run)")
    if result.get("reason") == INTERRUPTED:
        raise DirectoryError(f"{file}: the run was interrupted (the directory of a finished run)")
    return result
