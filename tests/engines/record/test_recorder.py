"""The result recorder: from a round's outcome and what its players did to the result, and to what is kept of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.runs import DIMENSION, scenario

from asyncagg.engines.experiment import Experiment, prepare
from asyncagg.engines.launch import begin
from asyncagg.engines.record.oracle import ExpectedSum
from asyncagg.engines.record.recorder import ResultRecorder
from asyncagg.engines.record.run_record import RunRecord
from asyncagg.engines.record.usage import UsageByRole
from asyncagg.players.outcome import RoundOutcome
from asyncagg.players.usage import RoundUsage
from asyncagg.protocols.names import Label, Loss, Player, owner_name
from asyncagg.protocols.steps.reveal import Revealed
from asyncagg.runs.checkpoint import Checkpoint, CheckpointError
from asyncagg.runs.result import RoundResult
from asyncagg.runs.trace import Record
from asyncagg.scenario import parse

S = 1_000_000_000
OWNERS = tuple(owner_name(index) for index in range(11))
LABEL = Label(0, 2)
VECTOR = np.linspace(-1, 1, DIMENSION)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Probe:
    """Tells what it was given."""

    def __init__(self, experiment: Experiment, put_in: ExpectedSum | None) -> None:
        self.failures: dict[Player, Loss] = {}
        length = experiment.plan.length
        phases = [(2 * S, "publish"), (3 * S, "upload"), (7 * S, "reveal")]
        self.usage: UsageByRole = {
            "data-owner": RoundUsage(10, 20, 6, 3 * length),
            "compute-node": RoundUsage(30, 40, 1, length // 2, phases),
        }
        self.put_in = put_in
        self.asked: list[Any] = []

    async def usage_by_role(self, round_index: int) -> UsageByRole:
        self.asked.append(round_index)
        return self.usage

    async def expected_sum(self, label: Label, survivors: Sequence[Player]) -> ExpectedSum | None:
        self.asked.append((label, tuple(survivors)))
        return self.put_in

    def own_failures(self, round_index: int) -> dict[Player, Loss]:
        return self.failures


class Recorded:
    """A recorder of a run of eleven owners of weight 1 and the same vector, of which some survive."""

    def __init__(self, engine: str = "sim", folder: Path | None = None, survivors: int = 2, **tables: Any) -> None:
        given = {"encoding": {"rounding": "nearest"}, **tables}
        ready = parse(scenario("plain", len(OWNERS), engine, **given))
        self.experiment = prepare(ready)
        self.finished: RunRecord = begin(ready)
        self.finished.folder = folder
        encoder = self.experiment.encoder
        words = encoder.ring.zeros(DIMENSION)
        for _ in range(survivors):
            words += encoder.encode(VECTOR, 1).words
        encoder.ring.cut(words)
        small = np.array([[survivors, survivors * DIMENSION]])
        self.put_in = ExpectedSum(survivors, words.copy(), survivors * VECTOR, survivors, clipped=3, small=small)
        self.revealed = Revealed(words, survivors, OWNERS[:survivors], {}, {OWNERS[10]: "unmask", OWNERS[2]: "unmask"})
        self.good = RoundOutcome(
            0,
            "ok",
            "a node was gone",
            attempts=2,
            label=LABEL,
            revealed=self.revealed,
            mean=encoder.decode(words.copy(), survivors),
            dropped={OWNERS[10]: "upload", OWNERS[9]: "publish"},
            began_ns=S,
            ended_ns=9 * S,
            metrics={"loss": 0.5},
            warnings=["attempt 1 had opened uploads"],
        )
        self.probe = Probe(self.experiment, self.put_in)
        self.told: list[RoundResult] = []
        self.recorder = ResultRecorder(self.experiment, self.finished, self.probe, self.told.append)

    async def observe(self, **changes: Any) -> RoundResult:
        return await self.recorder.observe(replace(self.good, **changes))


async def test_a_round_that_went_well_is_written_down_whole() -> None:
    run = Recorded()
    each = await run.observe()
    assert run.finished.result.rounds == run.told == [each]
    assert (each.round, each.status, each.attempts, each.reason) == (0, "ok", 2, "a node was gone")
    assert each.survivors == list(OWNERS[:2])
    assert list(each.dropped.items()) == [(OWNERS[9], "publish"), (OWNERS[10], "upload")], "by index"
    assert each.reasons == {OWNERS[9]: "lost in publish", OWNERS[10]: "lost in upload"}
    assert list(each.silent_after) == [OWNERS[2], OWNERS[10]]
    assert (each.total_weight, each.metrics, each.warnings) == (2, {"loss": 0.5}, run.good.warnings)
    assert run.probe.asked == [(LABEL, OWNERS[:2]), 0]
    assert run.finished.means[0].tobytes() == run.good.mean.tobytes()


async def test_a_reason_comes_from_the_owner_itself_where_it_lives_here_and_else_as_the_lead_tells_it() -> None:
    run = Recorded()
    run.probe.failures = {OWNERS[9]: Loss("ValueError at mine.py:20", "failed"), OWNERS[3]: Loss("too late")}
    told = {OWNERS[9]: Loss("left"), OWNERS[10]: Loss("silent in upload"), OWNERS[0]: Loss("came back")}
    each = await run.observe(losses=told)
    assert each.reasons == {OWNERS[9]: "ValueError at mine.py:20", OWNERS[10]: "silent in upload"}


async def test_seconds_are_of_the_whole_round_and_of_each_phase_until_the_next() -> None:
    run = Recorded()
    assert (await run.observe()).seconds == {"total": 8.0, "publish": 1.0, "upload": 4.0, "reveal": 2.0}
    run.probe.usage["compute-node"].phases += [(9 * S, "publish"), (10 * S, "upload")]
    seconds = (await run.observe(ended_ns=13 * S)).seconds
    assert seconds == {"total": 12.0, "publish": 2.0, "upload": 7.0, "reveal": 2.0}, "over all attempts"
    run.probe.usage.clear()
    assert (await run.observe()).seconds == {"total": 8.0}, "the lead never began"


async def test_bytes_and_work_are_by_role_and_counted_again_at_the_end() -> None:
    run = Recorded()
    each = await run.observe()
    assert each.to_json()["bytes"] == {
        "data-owner": {"sent": 10, "received": 20},
        "compute-node": {"sent": 30, "received": 40},
    }
    half = run.experiment.plan.length // 2 / run.experiment.plan.length
    assert each.to_json()["work"] == {"key_agreements": 7, "mask_expansions": {"data-owner": 3, "compute-node": half}}
    run.probe.usage["data-owner"].received = 99  # it was on its way when the round ended
    await run.recorder.close()
    assert each.traffic["data-owner"].received == 99


# -- what the oracle says to it -------------------------------------------------------------------------------------


async def test_a_sum_of_what_was_put_in_is_exact_and_another_is_not() -> None:
    run = Recorded()
    each = await run.observe()
    assert (each.exact, each.clipped, each.below_quantum) == (True, 3, 2)
    assert each.error_max is not None
    assert each.error_bound is not None
    assert 0 < each.error_max <= each.error_bound
    run.put_in.words[5] += 1
    assert (await run.observe()).exact is False


@pytest.mark.parametrize("missing", ["nobody can tell", "not checked"])
async def test_where_nobody_looked_nothing_is_said_of_it(missing: str) -> None:
    run = Recorded(check=missing != "not checked")
    run.probe.put_in = None
    each = await run.observe()
    assert (each.exact, each.error_max, each.clipped, each.below_quantum) == (None, None, None, None)
    assert each.error_bound is not None
    assert run.probe.asked == ([0] if missing == "not checked" else [(LABEL, OWNERS[:2]), 0])


# -- rounds without a sum --------------------------------------------------------------------------------------------


async def test_a_reason_is_kept_where_something_went_wrong() -> None:
    run = Recorded()
    assert (await run.observe(attempts=1)).reason is None
    assert (await run.observe(status="skipped", attempts=1, revealed=None, mean=None)).reason == "a node was gone"


@pytest.mark.parametrize("status", ["failed", "skipped"])
async def test_a_round_without_a_sum_has_no_mean_and_asks_nobody_for_one(status: Any) -> None:
    run = Recorded()
    each = await run.observe(status=status, revealed=None, mean=None, label=None)
    assert (each.status, each.survivors, each.total_weight, each.exact) == (status, [], None, None)
    assert (run.finished.means, run.probe.asked) == ({}, [0])


# -- what is kept for a run that may be cut off ------------------------------------------------------------------------


async def test_means_and_trace_are_kept_round_by_round(tmp_path: Path) -> None:
    run = Recorded("tcp", tmp_path)
    lines = []
    for index in range(2):
        run.finished.trace.add(Record(index, index, 1, "upload", "phase", "compute-node-0", "", "", 0, "", ""))
        await run.observe(round=index)
        assert np.load(tmp_path / "means" / f"round-{index}.npy").tobytes() == run.good.mean.tobytes()
        lines.append(index)
        assert [json.loads(line)["round"] for line in (tmp_path / "trace.jsonl").read_text().splitlines()] == lines


async def test_in_virtual_time_nothing_is_kept_and_elsewhere_only_in_a_directory(tmp_path: Path) -> None:
    for run in (Recorded("sim", tmp_path), Recorded("tcp", None)):
        await run.observe()
    assert files(tmp_path) == []


async def test_a_trace_that_cannot_be_kept_ends_the_run_with_its_path(tmp_path: Path) -> None:
    run = Recorded("tcp", tmp_path)
    (tmp_path / "trace.jsonl").mkdir()
    with pytest.raises(CheckpointError, match=r"trace.jsonl: Is a directory \(room to write\)"):
        await run.observe()
    assert run.told == []


async def test_a_resumed_run_counts_its_own_rounds_again_and_no_earlier_ones() -> None:
    run = Recorded("tcp")
    earlier = RoundResult(0, "ok")
    run.finished.resumed = Checkpoint(bytes(32), 1, 0, {}, {}, 0, 0, 5, {})
    run.finished.result.rounds = [earlier]
    await run.observe(round=1)
    run.probe.asked.clear()
    await run.recorder.close()
    assert run.probe.asked == [1]
    assert earlier.traffic == {}
