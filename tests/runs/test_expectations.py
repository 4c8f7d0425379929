"""What a run was expected to come to, what it came to, and the words for that."""

from __future__ import annotations

from typing import Any

import pytest

from asyncagg.runs.expectations import judge
from asyncagg.runs.result import RoundResult, RunResult


def result(*rounds: RoundResult, status: str = "ok", reason: str | None = None) -> RunResult:
    found = RunResult("x", 0, "sim", "secagg", 4, 3, status=status, reason=reason)
    found.rounds = list(rounds)
    return found


def ended(status: str = "ok", survivors: int = 3, **given: Any) -> RoundResult:
    return RoundResult(0, status, survivors=[f"data-owner-{index}" for index in range(survivors)], **given)


@pytest.mark.parametrize(
    ("wanted", "each", "missed"),
    [
        ({"completed": True}, ended(), None),
        ({"completed": True}, ended("skipped"), "expect.completed: True, but the run did not complete"),
        ({"completed": False}, ended("skipped"), None),
        ({"completed": False}, ended(), "expect.completed: False, but the run completed"),
        ({"survivors_at_least": 3}, ended(), None),
        (
            {"survivors_at_least": 4},
            ended(),
            "expect.survivors_at_least: 4, but round 0 has 3 survivors",
        ),
        ({"exact": True}, ended(exact=True), None),
        ({"exact": True}, ended(exact=False), "expect.exact: True, but round 0 says False"),
        ({"exact": True}, ended(), "expect.exact: True, but round 0 says None"),
        ({"exact": True}, ended("skipped"), None),
        ({"accuracy_at_least": 0.5}, ended(metrics={"accuracy": 0.5}), None),
        (
            {"accuracy_at_least": 0.5},
            ended(metrics={"accuracy": 0.4}),
            "expect.accuracy_at_least: 0.5, but the accuracy is 0.4",
        ),
        ({"accuracy_at_least": 0.5}, ended(), "expect.accuracy_at_least: 0.5, but the accuracy is None"),
    ],
)
def test_each_expectation_is_judged(wanted: dict[str, Any], each: RoundResult, missed: str | None) -> None:
    (key,) = wanted
    assert judge(result(each), wanted) == {key: missed}


def test_what_is_not_asked_is_not_judged_and_all_others_are() -> None:
    wanted = {"completed": True, "survivors_at_least": 9, "exact": None, "accuracy_at_least": 0.9}
    judged = judge(result(ended()), wanted)
    assert [name for name, missed in judged.items() if missed is None] == ["completed"]
    assert [name for name, missed in judged.items() if missed is not None] == [
        "survivors_at_least",
        "accuracy_at_least",
    ]


def test_a_run_without_rounds_has_reached_no_accuracy() -> None:
    assert judge(result(), {"accuracy_at_least": 0.1})["accuracy_at_least"] is not None


@pytest.mark.parametrize(
    ("run", "unmet", "words"),
    [
        (result(ended()), None, "ok"),
        (result(ended("skipped"), ended()), None, "ok"),
        (result(ended()), "expect.exact: no", "ok"),
        (result(ended("skipped"), ended("skipped")), None, "ran; no round has a mean"),
        (result(ended(), status="failed", reason="expect.exact: no"), "expect.exact: no", "ran; expectation not met"),
        (result(ended(), status="failed", reason="round 1: too few"), None, "failed"),
        (result(ended(), status="failed", reason="round 1: too few"), "expect.exact: no", "failed"),
        (RunResult("x", 0, "sim", "secagg", 4, 3), None, "failed"),
    ],
)
def test_the_words_say_what_a_user_would(run: RunResult, unmet: str | None, words: str) -> None:
    run.unmet = unmet
    assert run.words == words
