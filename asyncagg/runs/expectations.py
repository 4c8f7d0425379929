"""`[expect]`: check that a run came to what its scenario says it must."""

from __future__ import annotations

from asyncagg.runs.result import RunResult


def unmet(
    result: RunResult,
    *,
    completed: bool | None,
    survivors_at_least: int | None,
    exact: bool | None,
    accuracy_at_least: float | None,
) -> str | None:
    """The first expectation that does not hold, as a sentence with the key; None when all do."""
    good = all(each.status == "ok" for each in result.rounds) and result.reason is None
    if completed is not None and completed != good:
        return f"expect.completed: {completed}, but the run {'completed' if good else 'did not complete'}"
    for each in result.rounds:
        if survivors_at_least is not None and len(each.survivors) < survivors_at_least:
            return (
                f"expect.survivors_at_least: {survivors_at_least},"
                f" but round {each.round} has {len(each.survivors)} survivors"
            )
        if exact is not None and each.status == "ok" and each.exact is not exact:
            return f"expect.exact: {exact}, but round {each.round} says {each.exact}"
    if accuracy_at_least is not None:
        reached = result.rounds[-1].metrics.get("accuracy") if result.rounds else None
        if reached is None or reached < accuracy_at_least:
            return f"expect.accuracy_at_least: {accuracy_at_least}, but the accuracy is {reached}"
    return None
