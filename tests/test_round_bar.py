"""The bar of rounds: drawn over itself, rarely enough, and never in the way of the run."""

import io

import pytest

from asyncagg.round_bar import RoundBar
from asyncagg.runs.result import RoundResult


def shown(rounds: int) -> list[str]:
    stream = io.StringIO()
    with RoundBar(rounds, stream) as bar:
        for index in range(rounds):
            bar.show(RoundResult(index, "ok" if index else "failed", metrics={"loss": 1 / (index + 1)}))
    return stream.getvalue().split("\r")[1:]


def test_it_grows_and_says_what_was_measured_last() -> None:
    first, *_, last = shown(12)
    assert first == "[##......................]  round 1 of 12  failed  loss 1"
    assert last == "[########################]  round 12 of 12  loss 0.08333\n"


def test_a_shorter_line_covers_the_one_before() -> None:
    stream = io.StringIO()
    with RoundBar(2, stream) as bar:
        bar.show(RoundResult(0, "skipped", metrics={"loss": 0.25}))
        bar.show(RoundResult(1, "ok"))
    first, second = stream.getvalue().removesuffix("\n").split("\r")[1:]
    assert len(second) == len(first)


def test_it_is_drawn_two_hundred_times_however_many_rounds_there_are() -> None:
    lines = shown(10_000)
    assert len(lines) == 200
    assert "round 10000 of 10000" in lines[-1]


def test_of_no_round_nothing_is_drawn() -> None:
    assert shown(0) == []


def test_a_stream_that_is_closed_ends_no_run() -> None:
    stream = io.StringIO()
    with RoundBar(2, stream) as bar:
        stream.close()
        bar.show(RoundResult(0, "ok"))
        bar.show(RoundResult(1, "ok"))


@pytest.mark.parametrize("rounds", [1, 7, 199, 201, 399])
def test_the_last_round_is_always_drawn(rounds: int) -> None:
    assert f"round {rounds} of {rounds}" in shown(rounds)[-1]
