"""Owners that refuse for what no other attempt can change: the round ends at its first, and says what to do."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support import failing
from support.cli import start
from support.failing import TOLD, WAYS, Failing, Model
from support.hosts import NODES, OWNERS, Place, Process
from support.tap import Tap

import asyncagg
from asyncagg.engines.experiment import prepare
from asyncagg.learning import workload
from asyncagg.scenario.reading.load import parse

COUNT = 9
RIGHT = {way: told for way, told in zip(WAYS, TOLD, strict=True) if way not in ("raises", "NaN")}
"""Way → what will be told again at every attempt."""

pytestmark = pytest.mark.filterwarnings("ignore::asyncagg.OwnerWarning")


def given(owners: list[Failing], engine: str, threat: str = "curious", **aggregation: Any) -> Any:
    scenario = failing.values(engine, threat, len(owners), aggregation=aggregation)
    return asyncagg.run(scenario, owners=owners, model_owner=Model())


def failing_owners(*ways: str) -> list[Failing]:
    return [Failing(index, ways) for index in range(len(ways))]


@pytest.mark.parametrize("engine", ["sim", "tcp"])
@pytest.mark.parametrize("way", list(RIGHT))
def test_one_attempt_one_sentence_with_a_count_and_the_remedy(
    way: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tap = Tap().install(monkeypatch)
    owners = failing_owners(*[way] * COUNT)
    result = given(owners, engine)
    (each,) = result["rounds"]
    assert (result["status"], each["status"], each["attempts"]) == ("failed", "failed", 1)
    assert result["reason"].startswith(f"round 0: 9 of 9 owners would always refuse: {RIGHT[way]}")
    assert len(tap.of("publish")) == COUNT
    assert [owner.asked for owner in owners] == [[0]] * COUNT


def test_the_sentence_about_a_weight_names_both_places_where_the_bound_is_set() -> None:
    said = given(failing_owners(*["too heavy"] * 3), "sim")["reason"]
    assert said == (
        "round 0: 3 of 3 owners would always refuse: compute_gradient must return a weight from 1 to 9, since the run's"
        " max_weight is 9 (set max_weight in the owner's class, or aggregation.max_weight, to the largest weight of any"
        " owner)"
    )


@pytest.mark.parametrize("way", ["raises", "NaN"])
def test_what_may_go_better_is_tried_again(way: str) -> None:
    owners = failing_owners(*[way] * COUNT)
    result = given(owners, "sim", retries=2)
    assert (result["status"], result["rounds"][0]["attempts"]) == ("failed", 3)
    assert [owner.asked for owner in owners] == [[0, 0, 0]] * COUNT


def test_several_reasons_are_counted_and_who_would_do_is_not() -> None:
    ways = ["text"] * 4 + ["another shape"] * 3 + [""] * 2
    result = given(failing_owners(*ways), "sim")
    (each,) = result["rounds"]
    assert each["attempts"] == 1
    assert result["reason"].startswith(f"round 0: 4 of 9 owners would always refuse: {TOLD[7]}")
    assert f"; 3 of 9 owners would always refuse: {TOLD[6]}" in result["reason"]


def test_where_enough_others_are_left_the_round_goes_on_with_them() -> None:
    ways = ["text"] * 3 + ["NaN"] * 6
    owners = failing_owners(*ways)
    result = given(owners, "sim", retries=1)
    assert result["rounds"][0]["attempts"] == 2
    assert [len(owner.asked) for owner in owners] == [2] * COUNT


def test_a_policy_that_skips_begins_the_next_round() -> None:
    owners = failing_owners(*["text"] * COUNT)
    result = given(owners, "sim", on_failure="skip")
    assert (result["status"], [each["status"] for each in result["rounds"]]) == ("ok", ["skipped"] * 3)
    assert [owner.asked for owner in owners] == [[0, 1, 2]] * COUNT


@pytest.mark.parametrize("engine", ["sim", "tcp"])
@pytest.mark.parametrize("batch", [1, 3])
def test_under_lying_the_experiment_knows_it_from_the_owners_and_no_peer_is_told(
    batch: int, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tap = Tap().install(monkeypatch)
    result = given(failing_owners(*["text"] * COUNT), engine, "lying", batch=batch)
    (each,) = result["rounds"]
    assert (result["status"], each["attempts"]) == ("failed", 1)
    assert result["reason"].endswith(" of 9 owners left of their own accord, as they always would")
    assert all(reason.startswith(TOLD[7]) for reason in each["reasons"].values())
    assert TOLD[7] in each["warnings"][0]
    assert len(tap.of("publish")) == COUNT
    assert not any(b"compute_gradient" in frame.body for frame in tap.frames)


def test_between_processes_too(tmp_path: Path) -> None:
    shutil.copy(failing.__file__, tmp_path / "failing.py")
    kind = {"kind": "python", "owner": "failing:Failing", "model_owner": "failing:Model"}
    scenario = {
        **failing.values("processes", count=4),
        "workload": {**kind, "options": {"ways": ["text"] * 4}},
    }
    (tmp_path / "scenario.json").write_text(json.dumps(scenario))
    process = start(tmp_path, "run", "scenario.json", "--out", "run", "--quiet")
    stdout, stderr = process.communicate(timeout=120)
    sentence = f"round 0: 4 of 4 owners would always refuse: {TOLD[7]}"
    assert process.returncode == 1
    assert stdout.startswith("failing: failed (engine processes")
    assert stderr.startswith(f"failing: the run failed: {sentence}")
    (each,) = json.loads((tmp_path / "run" / "result.json").read_text())["rounds"]
    assert each["attempts"] == 1


@pytest.mark.asyncio(loop_factories=["real"])
@pytest.mark.parametrize(("threat", "attempts"), [("curious", 1), ("lying", 3)])
async def test_on_hosts_the_model_owner_ends_it_where_it_is_told_and_else_tries_again(
    tmp_path: Path, threat: str, attempts: int
) -> None:
    place = Place(tmp_path)
    scenario = failing.values("hosts", threat, 3, aggregation={"compute_nodes": 3, "retries": 2, "corrupt": 0.0})
    owners = failing_owners(*["another shape"] * 3)
    experiment = prepare(parse(scenario), workload.given(owners, Model()))
    names = ("model-owner", *NODES, *OWNERS)
    lead, *others = (Process(place, name, scenario, experiment=experiment) for name in names)
    async with asyncio.timeout(50):
        finished, *_ = await asyncio.gather(lead.lead(), *(each.serve() for each in others))
    (each,) = finished.result.rounds
    assert (finished.result.status, each.attempts) == ("failed", attempts)
    assert [owner.asked for owner in owners] == [[0] * attempts] * 3
    own = [process for process in others if process.post.mine[0].name in OWNERS]
    assert all("'w' has shape (4711,) (must be (6,))" in "\n".join(process.lines) for process in own)
    reason = str(finished.result.reason)
    assert ("would always refuse: compute_gradient must return 'w' of shape (6,)" in reason) is (threat == "curious")
    assert ("left of its own accord" in reason) is (threat == "lying")
