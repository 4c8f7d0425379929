"""The oracle of an experiment: it sees every input, and compares what was revealed with what had to be revealed.

After each round the inputs that the survivors kept are encoded again, one owner at a time, where their owners live; the
sums of all processes add up to what the sum must be. Players never do this; a real deployment has no oracle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asyncagg.crypto.keystream import Uniforms
from asyncagg.players.data_owner import Kept
from asyncagg.players.outcome import RoundOutcome
from asyncagg.protocols.names import Label
from asyncagg.vectors.encoder import Encoder
from asyncagg.vectors.ring import RingVector, add_into


@dataclass(frozen=True, slots=True)
class ExpectedSum:
    """What some survivors put into a sum."""

    owners: int
    words: RingVector
    """(d,) ring elements: the sum of their weighted encodings."""
    plain: NDArray[np.float64]
    """(d,): the weighted sum of their clipped, unencoded inputs."""
    weight: int
    clipped: int

    @classmethod
    def none(cls, encoder: Encoder, dimension: int) -> ExpectedSum:
        return cls(0, encoder.ring.zeros(dimension), np.zeros(dimension), 0, 0)

    def plus(self, other: ExpectedSum) -> ExpectedSum:
        """Both together; sums are cut to the ring by `compare`."""
        add_into(self.words, other.words)
        return ExpectedSum(
            self.owners + other.owners,
            self.words,
            self.plain + other.plain,
            self.weight + other.weight,
            self.clipped + other.clipped,
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the comparison came to."""

    exact: bool
    """The revealed sum and weight are those of the survivors' encoded inputs, and the mean is theirs, bit for bit."""
    error_max: float
    """Largest distance of a coordinate of the mean from the mean of the survivors' clipped, unencoded inputs."""
    clipped: int


def expected_sum(
    label: Label, survivors: Sequence[str], kept: Mapping[str, Kept | None], encoder: Encoder, dimension: int
) -> ExpectedSum:
    """What those of the survivors that kept an input to this attempt put in."""
    total = ExpectedSum.none(encoder, dimension)
    for player in survivors:
        each = kept.get(player)
        if each is None or each.label != label:
            continue
        words = encoder.encode(each.values, each.weight, Uniforms(each.draws_key)).words
        plain = each.weight * np.clip(each.values.astype(np.float64), -encoder.clip, encoder.clip)
        total = total.plus(ExpectedSum(1, words, plain, each.weight, each.clipped))
    return total


def compare(outcome: RoundOutcome, put_in: ExpectedSum, encoder: Encoder) -> Comparison:
    """Compare a round that succeeded with what its survivors put in."""
    revealed, mean = outcome.revealed, outcome.mean
    if revealed is None or mean is None:
        raise ValueError(f"round {outcome.round} has no sum to check")
    if put_in.owners < len(revealed.survivors):
        return Comparison(exact=False, error_max=float("inf"), clipped=put_in.clipped)
    encoder.ring.cut(put_in.words)
    exact = put_in.weight == revealed.weight and np.array_equal(put_in.words, revealed.words)
    exact = exact and encoder.decode(put_in.words, put_in.weight).tobytes() == mean.tobytes()
    error_max = float(np.max(np.abs(mean - put_in.plain / put_in.weight)))
    return Comparison(bool(exact), error_max, put_in.clipped)
