"""Result recorder: fills in the result from what the model owner knows of a round and what the other players tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from asyncagg.engines.experiment import Experiment
from asyncagg.engines.record.critical_path import critical_path
from asyncagg.engines.record.oracle import ExpectedSum, compare
from asyncagg.engines.record.run_record import RunRecord
from asyncagg.engines.record.shares import RoundShares, shares_by_round
from asyncagg.engines.record.usage import UsageByRole
from asyncagg.players.outcome import RoundOutcome
from asyncagg.players.usage import KEPT, RoundUsage
from asyncagg.protocols.names import MODEL_OWNER, Label, Loss, Player
from asyncagg.runs import means
from asyncagg.runs.checkpoint import CheckpointError
from asyncagg.runs.result import RoundResult, Traffic
from asyncagg.runs.trace import FILE as TRACE
from asyncagg.runs.trace import Record

_NAMED = 3
"""Owners that a warning names."""
LEAD_ROLE = "compute-node"
LATE: Final = KEPT // 2
"""Rounds in which what was on its way is counted once the run is over: so many every player still knows of."""


class RunProbe(Protocol):
    """Source of what the players of a run did: their own process, or a parent that asks theirs."""

    async def usage_by_role(self, round_index: int) -> UsageByRole:
        """Bytes and work of one round."""

    async def expected_sum(self, label: Label, survivors: Sequence[Player]) -> ExpectedSum | None:
        """Sum of the inputs of an attempt's survivors; None where nobody can tell any more."""

    def own_failures(self, round_index: int) -> Mapping[Player, Loss]:
        """Failures in a round of the computations of owners in this process, as they themselves know them."""


class ResultRecorder:
    """Fills the result of one run, round by round."""

    def __init__(
        self, experiment: Experiment, finished: RunRecord, probe: RunProbe, progress: Callable[[RoundResult], None]
    ) -> None:
        self._experiment = experiment
        self._finished = finished
        self._probe = probe
        self._progress = progress
        self._counted = 0
        """Records of the trace that belong to rounds before."""
        self._resumable = None if experiment.scenario.engine == "sim" else finished.folder

    async def observe(self, outcome: RoundOutcome) -> RoundResult:
        """A round has ended."""
        losses = self._losses(outcome)
        each = RoundResult(
            outcome.round,
            outcome.status,
            reason=outcome.reason if outcome.status != "ok" or outcome.attempts > 1 else None,
            attempts=outcome.attempts,
            dropped=dict(_by_index(outcome.dropped)),
            reasons={owner: loss.reason for owner, loss in losses.items()},
            with_their_batch=list(outcome.with_their_batch),
            metrics=outcome.metrics,
            warnings=outcome.warnings,
        )
        self._warn(each, losses)
        await self._sum(outcome, each)
        counted = await self._probe.usage_by_role(outcome.round)
        self._trace(outcome, each)
        each.seconds = _seconds(outcome, counted.get(LEAD_ROLE, RoundUsage()).phases)
        self._enter(each, counted)
        self._finished.result.rounds.append(each)
        if self._resumable is not None:
            self._keep_trace(self._resumable / TRACE)
        self._progress(each)
        return each

    async def close(self) -> None:
        """The run is over: count what was still on its way when its round ended, of the last `LATE` rounds."""
        first = 0 if self._finished.resumed is None else self._finished.resumed.round
        last = self._finished.result.rounds[first:][-LATE:]
        for each in last:
            self._enter(each, await self._probe.usage_by_role(each.round))
        trace = self._finished.trace
        trace.settle()
        if trace.keep == "all":
            shares = shares_by_round(trace.records)
            for each in last:
                self._enter_shares(each, shares)
        trace.thin()

    def _trace(self, outcome: RoundOutcome, each: RoundResult) -> None:
        """The round's own record, and what the records of the round come to."""
        trace = self._finished.trace
        trace.add(whole := _round_record(outcome))
        trace.settle(last=False)
        records = trace.records[self._counted :]
        self._enter_shares(each, shares_by_round(records))
        if trace.keep != "none" and self._experiment.scenario.engine != "hosts":  # where nobody sees all messages
            each.critical_path = critical_path(whole, records)
        trace.thin()
        self._counted = len(trace.records)

    def _enter_shares(self, each: RoundResult, shares: dict[int, RoundShares]) -> None:
        found = shares.get(each.round, RoundShares())
        each.phases = found.by_phase()
        if self._finished.trace.keep == "all" and self._experiment.scenario.engine != "hosts":
            each.owners = found.of_owners()

    def _losses(self, outcome: RoundOutcome) -> dict[Player, Loss]:
        """Reason for each dropped owner: from itself, where it lives here, else as the lead tells it."""
        told = {**outcome.losses, **self._probe.own_failures(outcome.round)}
        dropped = _by_index(outcome.dropped)
        return {owner: told.get(owner, Loss(f"lost in {phase}")) for owner, phase in dropped}

    def _warn(self, each: RoundResult, losses: Mapping[Player, Loss]) -> None:
        """Say which owners' own computations failed: a line for each reason."""
        failed: dict[str, list[Player]] = {}
        for owner, loss in losses.items():
            if loss.cause != "lost":
                failed.setdefault(loss.reason, []).append(owner)
                rounds = self._finished.owner_failures.setdefault(loss.reason, {})
                rounds[owner] = rounds.get(owner, 0) + 1
        each.warnings = [*each.warnings, *(f"{some(owners)}: {reason}" for reason, owners in failed.items())]

    def _keep_trace(self, path: Path) -> None:
        """Write the new trace records, for a run that may be cut off; CheckpointError where they cannot be written."""
        try:
            self._finished.trace.extend(path)
        except OSError as error:
            raise CheckpointError(f"{path}: {error.strerror} (room to write)") from None

    async def _sum(self, outcome: RoundOutcome, each: RoundResult) -> None:
        """Note the sum, where there is one, and how it compares with the oracle's."""
        revealed, label = outcome.revealed, outcome.label
        if revealed is None or outcome.mean is None or label is None:
            return
        encoder = self._experiment.encoder
        each.survivors = list(revealed.survivors)
        each.silent_after = dict(_by_index(revealed.silent_after))
        each.total_weight = revealed.weight
        each.error_bound = encoder.error_bound()
        if self._resumable is None:
            self._finished.means[outcome.round] = outcome.mean
        else:  # on disk, as those of a long run may not fit into memory
            means.keep(self._resumable, outcome.round, outcome.mean, self._experiment.durable)
        put_in = await self._probe.expected_sum(label, revealed.survivors) if self._experiment.scenario.check else None
        if put_in is not None:
            checked = compare(outcome, put_in, encoder)
            each.exact, each.error_max, each.clipped = checked.exact, checked.error_max, checked.clipped
            each.below_quantum = checked.below_quantum
            each.warnings = [*each.warnings, *checked.warnings]

    def _enter(self, each: RoundResult, counted: UsageByRole) -> None:
        """Bytes and work of all players in one round, by role."""
        length = self._experiment.plan.length
        each.traffic = {role: Traffic(usage.sent, usage.received) for role, usage in counted.items()}
        each.key_agreements = sum(usage.key_agreements for usage in counted.values())
        each.mask_expansions = {role: _ratio(usage.expanded, length) for role, usage in counted.items()}


def _round_record(outcome: RoundOutcome) -> Record:
    """From its beginning to its end at the model owner."""
    began_ns, ended_ns = outcome.began_ns, outcome.ended_ns
    index, attempt, status = outcome.round, outcome.attempts, outcome.status
    return Record(began_ns, index, attempt, "reveal", "round", MODEL_OWNER, "", status, 0, "", until=ended_ns)


def _seconds(outcome: RoundOutcome, phases: Sequence[tuple[int, str]]) -> dict[str, float]:
    """Total, and each phase over all attempts: from its start at the lead to the next one's."""
    seconds = {"total": (outcome.ended_ns - outcome.began_ns) / 1e9}
    ends = [*(began for began, _ in phases[1:]), outcome.ended_ns]
    for (start, phase), stop in zip(phases, ends, strict=False):  # no phase where the lead never began
        seconds[phase] = seconds.get(phase, 0.0) + max(0, stop - start) / 1e9
    return seconds


def some(owners: Sequence[Player]) -> str:
    """`data-owner-1`, or how many and the first of them."""
    if len(owners) == 1:
        return owners[0]
    more = f" and {len(owners) - _NAMED} more" if len(owners) > _NAMED else ""
    return f"{len(owners)} owners ({', '.join(owners[:_NAMED])}{more})"


def _ratio(count: int, length: int) -> float:
    """A whole number where it is one."""
    return count // length if count % length == 0 else count / length


def _by_index(owners: dict[Player, Any]) -> list[tuple[Player, Any]]:
    return sorted(owners.items(), key=lambda item: int(item[0].rpartition("-")[2]))
