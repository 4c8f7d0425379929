"""The oracle of an experiment: it sees every input, and compares what was revealed with what had to be revealed.

After each round it re-encodes, one owner at a time, the input that its owner kept. Players never do this; a real
deployment has no harness.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from asyncagg.crypto.keystream import Uniforms
from asyncagg.players.data_owner import Kept
from asyncagg.players.model_owner import RoundOutcome
from asyncagg.vectors.encoder import Encoder
from asyncagg.vectors.ring import add_into


@dataclass(frozen=True, slots=True)
class Checked:
    """What the comparison came to."""

    exact: bool
    """The revealed sum and weight are those of the survivors' encoded inputs, bit for bit."""
    error_max: float
    """Largest distance of a coordinate of the mean from the mean of the survivors' clipped, unencoded inputs."""
    clipped: int


def check(outcome: RoundOutcome, kept: Mapping[str, Kept | None], encoder: Encoder) -> Checked:
    """Compare a round that succeeded with what its survivors put in."""
    revealed, mean = outcome.revealed, outcome.mean
    if revealed is None or mean is None or outcome.label is None:
        raise ValueError(f"round {outcome.round} has no sum to check")
    total = encoder.ring.zeros(len(mean))
    plain = np.zeros(len(mean))
    weight = clipped = 0
    for player in revealed.survivors:
        each = kept[player]
        if each is None or each.label != outcome.label:
            return Checked(exact=False, error_max=float("inf"), clipped=clipped)
        add_into(total, encoder.encode(each.values, each.weight, Uniforms(each.draws_key)).words)
        plain += each.weight * np.clip(each.values.astype(np.float64), -encoder.clip, encoder.clip)
        weight += each.weight
        clipped += each.clipped
    encoder.ring.cut(total)
    exact = weight == revealed.weight and np.array_equal(total, revealed.words)
    return Checked(bool(exact), float(np.max(np.abs(mean - plain / weight))), clipped)
