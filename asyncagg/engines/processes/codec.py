"""What parent and children tell each other, as plain values that msgpack carries."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from asyncagg.engines.record.oracle import ExpectedSum
from asyncagg.engines.record.usage import UsageByRole
from asyncagg.learning.owners import Arrays
from asyncagg.players.outcome import RoundOutcome
from asyncagg.players.usage import RoundUsage
from asyncagg.protocols.names import Label, Loss
from asyncagg.protocols.steps.reveal import Revealed

Plain = Any


def array(values: NDArray[Any]) -> Plain:
    return [values.dtype.str, list(values.shape), np.ascontiguousarray(values).tobytes()]


def to_array(plain: Plain) -> NDArray[Any]:
    dtype, shape, data = plain
    return np.frombuffer(data, dtype).reshape(shape).copy()


def arrays(values: Arrays) -> Plain:
    return {name: array(each) for name, each in values.items()}


def to_arrays(plain: Plain) -> Arrays:
    return {name: to_array(each) for name, each in plain.items()}


def usage_by_role(counted: UsageByRole) -> Plain:
    return {
        role: [each.sent, each.received, each.key_agreements, each.expanded, each.phases]
        for role, each in counted.items()
    }


def to_usage_by_role(plain: Plain) -> UsageByRole:
    return {
        role: RoundUsage(sent, received, key_agreements, expanded, [(at, phase) for at, phase in phases])
        for role, (sent, received, key_agreements, expanded, phases) in plain.items()
    }


def expected_sum(put_in: ExpectedSum) -> Plain:
    return [put_in.owners, array(put_in.words), array(put_in.plain), put_in.weight, put_in.clipped, array(put_in.small)]


def to_expected_sum(plain: Plain) -> ExpectedSum:
    owners, words, values, weight, clipped, small = plain
    return ExpectedSum(owners, to_array(words), to_array(values), weight, clipped, to_array(small))


def outcome(ended: RoundOutcome) -> Plain:
    revealed = ended.revealed
    return {
        "round": ended.round,
        "status": ended.status,
        "reason": ended.reason,
        "attempts": ended.attempts,
        "label": ended.label,
        "revealed": None
        if revealed is None
        else [
            array(revealed.words),
            revealed.weight,
            revealed.survivors,
            revealed.dropped,
            revealed.silent_after,
            revealed.culprits,
        ],
        "mean": None if ended.mean is None else array(ended.mean),
        "dropped": ended.dropped,
        "losses": ended.losses,
        "with_their_batch": ended.with_their_batch,
        "began_ns": ended.began_ns,
        "ended_ns": ended.ended_ns,
        "metrics": ended.metrics,
        "warnings": ended.warnings,
    }


def to_outcome(plain: Plain) -> RoundOutcome:
    label, revealed, mean = plain["label"], plain["revealed"], plain["mean"]
    if revealed is not None:
        words, weight, survivors, dropped, silent_after, culprits = revealed
        revealed = Revealed(to_array(words), weight, tuple(survivors), dropped, silent_after, culprits)
    return RoundOutcome(
        **{
            **plain,
            "label": None if label is None else Label(*label),
            "revealed": revealed,
            "mean": None if mean is None else to_array(mean),
            "losses": {owner: Loss(*loss) for owner, loss in plain["losses"].items()},
        }
    )
