"""`[expect]`: check that a run came to what its scenario says it must."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asyncagg.runs.result import RunResult


def judge(result: RunResult, expected: Mapping[str, Any]) -> dict[str, str | None]:
    """Key → how the run falls short of it, as a sentence with the key, or None where it is met.

    `expected`: the keys of `[expect]` and what is wanted; None where nothing is.
    """
    return {name: _JUDGES[name](result, wanted) for name, wanted in expected.items() if wanted is not None}


def _completed(result: RunResult, wanted: bool) -> str | None:
    good = all(each.status == "ok" for each in result.rounds) and result.reason is None
    if wanted == good:
        return None
    return f"expect.completed: {wanted}, but the run {'completed' if good else 'did not complete'}"


def _survivors(result: RunResult, wanted: int) -> str | None:
    for each in result.rounds:
        if len(each.survivors) < wanted:
            return f"expect.survivors_at_least: {wanted}, but round {each.round} has {len(each.survivors)} survivors"
    return None


def _exact(result: RunResult, wanted: bool) -> str | None:
    for each in result.rounds:
        if each.status == "ok" and each.exact is not wanted:
            return f"expect.exact: {wanted}, but round {each.round} says {each.exact}"
    return None


def _accuracy(result: RunResult, wanted: float) -> str | None:
    reached = result.rounds[-1].metrics.get("accuracy") if result.rounds else None
    if reached is None or reached < wanted:
        return f"expect.accuracy_at_least: {wanted}, but the accuracy is {reached}"
    return None


_JUDGES: Mapping[str, Callable[[RunResult, Any], str | None]] = {
    "completed": _completed,
    "survivors_at_least": _survivors,
    "exact": _exact,
    "accuracy_at_least": _accuracy,
}
