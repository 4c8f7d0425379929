"""A whole gradient to ring elements and back: every array with the clip it has, whole numbers without rounding.

Arrays one after another that are encoded alike make one run, which is encoded at once: with a single clip that is
the whole vector.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from asyncagg.vectors.encoder import Draws, Encoded, Encoder, EncodingError, Reals, Rounding, ValueRefused
from asyncagg.vectors.flatten import Layout
from asyncagg.vectors.ring import Ring, RingVector, smallest_ring


class ArrayRefused(EncodingError):
    """The array `name` holds values that are `what` and should be `right`; the text says where the first of them is."""

    def __init__(self, name: str, index: int, error: ValueRefused) -> None:
        super().__init__(f"{name!r} holds {error.what}, first at index {index} ({error.right})")
        self.name = name
        self.what = error.what
        self.right = error.right


@dataclass(frozen=True, slots=True)
class Run:
    """Coordinates `start` to `stop` − 1 of the vector, which are encoded alike."""

    start: int
    stop: int
    encoder: Encoder


@dataclass(frozen=True)
class VectorEncoder:
    """Encodes the vectors of one experiment and decodes their sum; `Encoder` says how.

    Attributes:
        layout: which arrays stand where.
        encoders: one an array, over one ring, with one number of bits and one largest weight.
    """

    layout: Layout
    encoders: tuple[Encoder, ...]

    @classmethod
    def for_population(
        cls,
        layout: Layout,
        population: int,
        clips: Sequence[float],
        bits: int,
        max_weight: int = 1,
        rounding: Rounding = "stochastic",
    ) -> "VectorEncoder":
        """The encoder over the smallest ring in which `population` owners cannot wrap.

        Args:
            clips: one an array; that of whole numbers is not used.

        Raises:
            EncodingError, RingError: as the encoder and `smallest_ring` do.
        """
        ring = smallest_ring(population, max_weight, bits)
        floats = [Encoder(clip, bits, ring, max_weight, rounding) for clip in clips]
        whole = Encoder.of_whole(bits, ring, max_weight)
        return cls(layout, tuple(whole if each else one for each, one in zip(layout.whole, floats, strict=True)))

    @property
    def ring(self) -> Ring:
        """Where the sum lives."""
        return self.encoders[0].ring

    @property
    def bits(self) -> int:
        """Of one value before weighing and summing."""
        return self.encoders[0].bits

    @property
    def max_weight(self) -> int:
        """The largest weight that an owner may have."""
        return self.encoders[0].max_weight

    @property
    def quanta(self) -> dict[str, float]:
        """Name → one step, in input units; whole numbers have none, they are not rounded."""
        named = zip(self.layout.names, self.encoders, strict=True)
        return {name: each.quantum for name, each in named if each.rounding != "none"}

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """All coordinates, in order."""
        arrays = zip(self.layout.bounds, self.encoders, strict=True)
        filled = [(bounds, each) for bounds, each in arrays if bounds[0] < bounds[1]]
        runs = []
        for encoder, alike in groupby(filled, key=lambda array: array[1]):
            bounds = [bounds for bounds, _ in alike]
            runs.append(Run(bounds[0][0], bounds[-1][1], encoder))
        return tuple(runs)

    def error_bound(self) -> float:
        """Largest error of a mean in any coordinate, clipping apart: that of the array with the largest step."""
        return max(run.encoder.error_bound() for run in self.runs)

    def digest(self) -> bytes:
        """SHA-256 of how each array is encoded, 32 bytes: players that disagree cannot talk to each other."""
        layout = self.layout
        arrays = zip(layout.names, layout.shapes, self.encoders, strict=True)
        said = [[name, *shape, each.bits, each.rounding, float(each.clip).hex()] for name, shape, each in arrays]
        return hashlib.sha256(json.dumps(said).encode()).digest()

    def encode(self, values: Reals, weight: int, draws: Draws | None = None) -> Encoded:
        """As `Encoder.encode`, of a vector (d,) that `Layout.flatten` made; ArrayRefused names the array."""
        self.encoders[0].check_weight(weight)
        words = np.empty(values.size, self.ring.dtype)
        clipped = 0
        for run in self.runs:
            part = slice(run.start, run.stop)
            try:
                clipped += run.encoder.encode_into(words[part], values[part], weight, draws)
            except ValueRefused as error:
                raise self._placed(error, run.start + error.index) from None
        return Encoded(words, clipped)

    def clamp(self, values: Reals) -> NDArray[np.float64]:
        """The values as they are before any rounding, (d,): clipped, as float64."""
        return _joined([run.encoder.clamp(values[run.start : run.stop]) for run in self.runs])

    def tame(self, values: Reals) -> NDArray[np.float64]:
        """As `Encoder.tame`, (d,)."""
        return _joined([run.encoder.tame(values[run.start : run.stop]) for run in self.runs])

    def count_small(self, values: Reals) -> NDArray[np.int64]:
        """For each array how many values other than 0 are below one step, and how many there are: (arrays, 2)."""
        arrays = zip(self.layout.bounds, self.encoders, strict=True)
        return np.array([each.count_small(values[start:stop]) for (start, stop), each in arrays], np.int64)

    def decode(self, total: RingVector, total_weight: int) -> NDArray[np.float64]:
        """The mean from the sum of encoded vectors, float64 (d,); DecodingError as `Encoder.decode`."""
        return _joined([run.encoder.decode(total[run.start : run.stop], total_weight) for run in self.runs])

    def _placed(self, error: ValueRefused, index: int) -> ArrayRefused:
        """What is wrong in which array."""
        named = zip(self.layout.names, self.layout.bounds, strict=True)
        name, start = next((name, start) for name, (start, stop) in named if start <= index < stop)
        return ArrayRefused(name, index - start, error)


def _joined(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
