"""Why a round lasted as long as it did: the pieces add up to it, and name the true cause.

That they add up in every shipped scenario is seen where those are run.
"""

from __future__ import annotations

from typing import Any

import pytest
from support.runs import pieces_add_up, run

from asyncagg.report.longest import sentence, slowest
from asyncagg.runs.result import RoundResult


@pytest.mark.parametrize("engine", ["tcp", "processes"])
def test_they_do_in_real_time(engine: str) -> None:
    for each in run("secagg+", engine=engine, rounds=2)["rounds"]:
        pieces_add_up(each)
        assert each["critical_path"]
        kinds = {piece["kind"] for piece in each["critical_path"]}
        assert "line" in kinds
        assert "deadline" not in kinds


SLOW = {"slow": {"latency": "200 ms"}}


def only(result: Any) -> dict[str, Any]:
    (each,) = result["rounds"]
    return dict(each)


def said(each: dict[str, Any]) -> str:
    return sentence(RoundResult.from_json(each))


def test_a_slow_line_is_named() -> None:
    table = {"groups": [{"count": 1, "link": "slow"}]}
    each = only(run("secagg+", network={"latency": "10 ms"}, links=SLOW, owners_table=table))
    assert {piece["kind"] for piece in each["critical_path"]} == {"line"}
    slow = [piece for piece in each["critical_path"] if piece["seconds"] == 0.2]
    assert slow
    assert all("data-owner-0" in piece["who"] for piece in slow)
    assert "data-owner-0" in said(each)


def test_slow_work_is_named_with_who_does_it() -> None:
    each = only(run("secagg+", network={"latency": "10 ms"}, compute={"gradient": "3 s"}))
    assert [piece["seconds"] for piece in each["critical_path"] if piece["what"] == "computing gradient"] == [3.0]
    assert said(each).startswith("round 0: 3 of 3.")
    assert "computing gradient at data-owner-" in said(each)


def test_a_deadline_is_not_taken_for_the_protocol() -> None:
    fault = {"kind": "drop", "players": ["data-owner-1", "data-owner-4"], "phase": "upload"}
    phases = {"upload": {"deadline": "5 s"}}
    each = only(run("secagg+", owners=6, network={"latency": "50 ms"}, faults=[fault], phases=phases))
    (waited,) = [piece for piece in each["critical_path"] if piece["kind"] == "deadline"]
    assert (waited["phase"], waited["seconds"], waited["who"]) == ("upload", 5.0, "compute-node-0")
    assert said(each) == "round 0: 5 of 5.4 s waiting for the upload deadline, 2 owners late"


def test_a_retry_shows_both_attempts() -> None:
    fault = {"kind": "drop", "players": ["data-owner-1"], "phase": "upload", "rounds": [0]}
    each = only(run("pairwise", network={"latency": "10 ms"}, faults=[fault], phases={"upload": {"deadline": "2 s"}}))
    assert (each["status"], each["attempts"]) == ("ok", 2)
    pieces_add_up(each)
    published = [
        piece for piece in each["critical_path"] if piece["what"] in ("begin on its way", "publish on its way")
    ]
    assert len(published) == 2
    assert [piece["seconds"] for piece in each["critical_path"] if piece["kind"] == "deadline"] == [2.0]


def test_the_slowest_round_is_told_of() -> None:
    rounds = [RoundResult.from_json(each) for each in run("secagg+", rounds=3, network={"latency": "1 ms"})["rounds"]]
    rounds[1].seconds["total"] = 9.0
    assert slowest(rounds) is rounds[1]
    assert slowest([RoundResult(0, "ok")]) is None
