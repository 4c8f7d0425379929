"""Verification of a run: record by record in `sim`, for the other engines by what does not depend on time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from asyncagg.engines.launch import begin, run
from asyncagg.engines.record.run_record import RunRecord
from asyncagg.runs import npz
from asyncagg.runs.directory import DirectoryError
from asyncagg.runs.formats import other_format
from asyncagg.runs.result import INTERRUPTED, RoundResult
from asyncagg.scenario.reading.load import load
from asyncagg.scenario.schema.scenario import ENGINES

Arrays = Mapping[str, NDArray[Any]]

_OF_A_MACHINE: Final = ("seconds", "peak_rss_bytes", "version", "started")
"""Of a result: all but virtual seconds, which the trace holds; which asyncagg of this format it was, and when."""
_OF_AN_ENGINE: Final = (
    "reason",
    "attempts",
    "dropped",
    "counts",
    "reasons",
    "silent_after",
    "seconds",
    "bytes",
    "work",
    "critical_path",
    "phases",
    "owners",
    "warnings",
)
"""Of a round: its course, which over sockets depends on when things happen."""
_OF_THE_HARNESS: Final = ("clipped", "below_quantum", "error_max", "error_bound", "exact")
"""Of a round: what takes the owners' inputs to know."""
_OF_THE_DRAWS: Final = ("clipped", "below_quantum", "error_max", "metrics")
"""Of a round: what follows from how values were rounded, in it and before it."""

_RIGHT: Final = "the directory of a finished run"


@dataclass(frozen=True, slots=True)
class Recorded:
    """Content of a run directory."""

    engine: str
    result: dict[str, Any]
    lines: list[str]
    """Of the trace."""
    means: Arrays
    model: Arrays


@dataclass(frozen=True, slots=True)
class VerifyOutcome:
    """Outcome of running it again."""

    difference: str | None
    """The first one; None where there is none."""
    compared: str
    """Description of what was compared."""


def verify(path: Path) -> VerifyOutcome:
    """Run what the directory holds again in `sim`, and compare.

    Raises DirectoryError for a directory that is not a finished run's, ScenarioError for its scenario.
    """
    recorded = _read(path)
    scenario = load(path / "scenario.toml", engine="sim")
    again = begin(scenario)
    again.no_expect = recorded.result["status"] == "ok"  # as it must have been, if an expectation is not met
    run(scenario, record=again)
    if recorded.engine == "sim":
        return VerifyOutcome(
            next(_simulated(recorded, again), None),
            f"{len(recorded.lines)} records, the whole result but times and memory of this machine, means and model",
        )
    drawn = scenario.encoding.rounding_draws == "system" and scenario.encoding.rounding == "stochastic"
    compared = _compared(recorded.engine, drawn)
    differences = _rounds(recorded, again, compared)
    what = f"{', '.join(key.replace('_', ' ') for key in compared)} of every round"
    if drawn:
        what += " (no means and no model: values were rounded with the system's own draws)"
    else:
        differences = (text for each in (differences, _arrays(recorded, again)) for text in each)
        what += ", means and model"
    left_out = ", ".join(
        key.replace("_", " ") for key in RoundResult(0, "ok").to_json() if key not in ("round", *compared)
    )
    return VerifyOutcome(
        next(differences, None), f"{what}, of {recorded.engine} with those of sim; not compared: {left_out}"
    )


def _compared(engine: str, drawn: bool) -> list[str]:
    """Keys of a round that are the same on this engine as in `sim`."""
    left_out = (*_OF_AN_ENGINE, *(_OF_THE_HARNESS if engine == "hosts" else ()), *(_OF_THE_DRAWS if drawn else ()))
    return [key for key in RoundResult(0, "ok").to_json() if key not in ("round", *left_out)]


# -- differences, the first of which is told --------------------------------------------------------------------------


def _simulated(recorded: Recorded, again: RunRecord) -> Iterator[str]:
    for number, (then, now) in enumerate(zip_longest(recorded.lines, again.trace.lines()), 1):
        if then != now:
            yield f"trace.jsonl:{number}: was {then or 'nothing'}, is {now or 'nothing'}"
    yield from _rounds(recorded, again, None)
    yield from _arrays(recorded, again)
    for key, value in _plain(again.result.to_json()).items():
        if key not in ("rounds", *_OF_A_MACHINE) and recorded.result.get(key) != value:
            yield f"result.json: {key} was {_json(recorded.result.get(key))}, is {_json(value)}"


def _rounds(recorded: Recorded, again: RunRecord, compared: list[str] | None) -> Iterator[str]:
    """Differences of the rounds in the keys compared; None: in all."""
    rounds = (_plain(each.to_json()) for each in again.result.rounds)
    for number, (then, now) in enumerate(zip_longest(recorded.result["rounds"], rounds)):
        if then is None:
            failed = recorded.result["status"] != "ok"
            why = f", the run had failed: {recorded.result['reason']}" if failed else ""
            yield f"round {number}: was not there{why}"
        elif now is None:
            yield f"round {number}: is not there"
        else:
            for key in now if compared is None else compared:
                if then[key] != now[key]:
                    yield f"round {number}: {key} was {_json(then[key])}, is {_json(now[key])}"


def _arrays(recorded: Recorded, again: RunRecord) -> Iterator[str]:
    means = {f"round-{index}": mean for index, mean in again.means.items()}
    yield from _differing("means.npz", recorded.means, means)
    yield from _differing("model.npz", recorded.model, again.model)


def _differing(file: str, then: Arrays, now: Arrays) -> Iterator[str]:
    for key in (*then, *(key for key in now if key not in then)):
        if key not in then or key not in now:
            yield f"{file}: {key} {'was' if key not in then else 'is'} not there"
        elif (distance := _distance(then[key], np.asarray(now[key]))) is not None:
            yield f"{file}: {key} {distance}"


def _distance(then: NDArray[Any], now: NDArray[Any]) -> str | None:
    """The first coordinate that is not the same to the last bit."""
    if (then.shape, then.dtype) != (now.shape, now.dtype):
        return f"was of shape {then.shape} of {then.dtype}, is {now.shape} of {now.dtype}"
    one, other = then.tobytes(), now.tobytes()
    if one == other:
        return None
    place = next(at for at, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1]) // then.itemsize
    return f"differs first at coordinate {place}: was {then.flat[place].item()!r}, is {now.flat[place].item()!r}"


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Value as it is once it has been written and read."""
    plain: dict[str, Any] = json.loads(json.dumps(value))
    return plain


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


# -- what is there ----------------------------------------------------------------------------------------------------


def _read(path: Path) -> Recorded:
    result = _result(path / "result.json")
    try:
        lines = (path / "trace.jsonl").read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DirectoryError(f"{error.filename}: {error.strerror} ({_RIGHT})") from None
    except ValueError as error:
        raise DirectoryError(f"{path / 'trace.jsonl'}: cannot be read: {error} ({_RIGHT})") from None
    return Recorded(result["engine"], result, lines, _stored(path / "means.npz"), _stored(path / "model.npz"))


def _stored(file: Path) -> Arrays:
    try:
        return npz.read(file)
    except OSError as error:
        raise DirectoryError(f"{file}: {error.strerror} ({_RIGHT})") from None
    except npz.NpzError as error:
        raise DirectoryError(f"{file}: cannot be read: {error} ({_RIGHT})") from None


def _result(file: Path) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DirectoryError(f"{file}: {error.strerror} ({_RIGHT})") from None
    except (ValueError, RecursionError) as error:
        raise DirectoryError(f"{file}: is not JSON: {error} ({_RIGHT})") from None
    if isinstance(result, dict) and (other := other_format(result)) is not None:
        raise DirectoryError(f"{file}: {other}")
    if (wrong := _wrong(result)) is not None:
        raise DirectoryError(f"{file}: is no result of a run: {wrong} ({_RIGHT})")
    if result["reason"] == INTERRUPTED:
        raise DirectoryError(f"{file}: the run was interrupted ({_RIGHT})")
    if result["engine"] != "sim" and result["status"] == "failed" and not result["rounds"]:
        raise DirectoryError(f"{file}: the run failed before its first round: {result['reason']} ({_RIGHT})")
    return result


def _wrong(result: object) -> str | None:
    """Error in a result as it is written; None where there is none."""
    if not isinstance(result, dict):
        return "it is no object"
    if result.get("engine") not in ENGINES:
        return f"its engine is none of {', '.join(ENGINES)}"
    if result.get("status") not in ("ok", "failed") or not isinstance(result.get("reason"), str | None):
        return "status and reason do not say how it ended"
    if not isinstance(result.get("rounds"), list):
        return "rounds is no list"
    for number, each in enumerate(result["rounds"]):
        try:
            RoundResult.from_json(each)
        except ValueError as error:
            return f"rounds.{number}: {error}"
    return None
