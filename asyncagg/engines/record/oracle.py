"""The oracle of an experiment: it sees every input, and compares what was revealed with what had to be revealed.

After each round the inputs that the survivors kept are encoded again, one owner at a time, where their owners live; the
sums of all processes add up to what the sum must be. Players never do this; a real deployment has no oracle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asyncagg.crypto.keystream import Uniforms
from asyncagg.players.data_owner import Kept
from asyncagg.players.outcome import RoundOutcome
from asyncagg.protocols.names import Label
from asyncagg.vectors.ring import RingVector, add_into
from asyncagg.vectors.vector_encoder import VectorEncoder

_NEARLY_ALL = 0.9
"""Of an array's values other than 0: from here on their encoding is too coarse for them."""
_NAMED = 3
"""Arrays that a warning names."""


@dataclass(frozen=True, slots=True)
class ExpectedSum:
    """Sum that some survivors' inputs come to."""

    owners: int
    words: RingVector
    """(d,) ring elements: the sum of their weighted encodings."""
    plain: NDArray[np.float64]
    """(d,): the weighted sum of their clipped, unencoded inputs."""
    weight: int
    clipped: int
    small: NDArray[np.int64]
    """(arrays, 2): in each array the values other than 0 below one step, and all other than 0."""

    @classmethod
    def none(cls, encoder: VectorEncoder) -> ExpectedSum:
        layout = encoder.layout
        words, plain = encoder.ring.zeros(layout.dimension), np.zeros(layout.dimension)
        return cls(0, words, plain, 0, 0, np.zeros((len(layout.names), 2), np.int64))

    def plus(self, other: ExpectedSum) -> ExpectedSum:
        """Both together; sums are cut to the ring by `compare`."""
        add_into(self.words, other.words)
        return ExpectedSum(
            self.owners + other.owners,
            self.words,
            self.plain + other.plain,
            self.weight + other.weight,
            self.clipped + other.clipped,
            self.small + other.small,
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """Result of the comparison."""

    exact: bool
    """The revealed sum and weight are those of the survivors' encoded inputs, and the mean is theirs, bit for bit."""
    error_max: float
    """Largest distance of a coordinate of the mean from the mean of the survivors' clipped, unencoded inputs."""
    clipped: int
    below_quantum: int
    """Values other than 0 that are smaller than one step of their encoding."""
    warnings: tuple[str, ...] = ()


def expected_sum(
    label: Label, survivors: Sequence[str], kept: Mapping[str, Kept | None], encoder: VectorEncoder
) -> ExpectedSum:
    """Sum of the inputs of those survivors that kept one to this attempt."""
    total = ExpectedSum.none(encoder)
    for player in survivors:
        each = kept.get(player)
        if each is None or each.label != label:
            continue
        words = encoder.encode(each.values, each.weight, Uniforms(each.draws_key)).words
        plain, small = each.weight * encoder.clamp(each.values), encoder.count_small(each.values)
        total = total.plus(ExpectedSum(1, words, plain, each.weight, each.clipped, small))
    return total


def compare(outcome: RoundOutcome, put_in: ExpectedSum, encoder: VectorEncoder) -> Comparison:
    """Compare a round that succeeded with what its survivors put in."""
    revealed, mean = outcome.revealed, outcome.mean
    if revealed is None or mean is None:
        raise ValueError(f"round {outcome.round} has no sum to check")
    below = int(put_in.small[:, 0].sum())
    if put_in.owners < len(revealed.survivors):
        return Comparison(exact=False, error_max=float("inf"), clipped=put_in.clipped, below_quantum=below)
    encoder.ring.cut(put_in.words)
    exact = put_in.weight == revealed.weight and np.array_equal(put_in.words, revealed.words)
    exact = exact and encoder.decode(put_in.words, put_in.weight).tobytes() == mean.tobytes()
    error_max = float(np.max(np.abs(mean - put_in.plain / put_in.weight)))
    return Comparison(bool(exact), error_max, put_in.clipped, below, tuple(_drowned(put_in, encoder)))


def _drowned(put_in: ExpectedSum, encoder: VectorEncoder) -> Iterator[str]:
    """A warning where nearly all values of an array are below one step, so that of most nothing but noise is left."""
    named = zip(encoder.layout.names, put_in.small.tolist(), strict=True)
    drowned = [(name, below, nonzero) for name, (below, nonzero) in named if below > _NEARLY_ALL * nonzero]
    if drowned:
        names = ", ".join(repr(name) for name, _, _ in drowned[:_NAMED])
        more = f" and {len(drowned) - _NAMED} more" if len(drowned) > _NAMED else ""
        below, nonzero = sum(each[1] for each in drowned), sum(each[2] for each in drowned)
        quantum = max(encoder.quanta[name] for name, _, _ in drowned)
        yield (
            f"{below} of {nonzero} values are below one quantum ({quantum:.2g}): lower encoding.clip,"
            f" or encoding.clip_by of {names}{more}"
        )
