"""Cut of a vector for the compute nodes, and the coordinates that travel with it.

The extended vector is the d coordinates in `nodes` contiguous slices, each slice followed by one count
coordinate (1 an owner, so that it must add up to the number of survivors in every slice), and the
owner's weight before the last count:

    c … c 1 | c … c 1 | c … c w 1
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from asyncagg.vectors.ring import Ring, RingVector


class SliceError(ValueError):
    """A vector or slice whose shape is not what the plan says."""


class Collected(NamedTuple):
    """The parts of a summed extended vector: coordinates (d,), total weight, one count a slice."""

    words: RingVector
    weight: int
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SlicePlan:
    """The cut of `dimension` coordinates over `nodes` compute nodes; slices differ by at most one coordinate.

    Raises:
        SliceError: no coordinate, no node, or more nodes than coordinates.
    """

    dimension: int
    nodes: int

    def __post_init__(self) -> None:
        if not 1 <= self.nodes <= self.dimension:
            raise SliceError(
                f"{self.nodes} compute nodes cannot share {self.dimension} coordinates"
                f" (1 to {self.dimension} nodes, each with one coordinate or more)"
            )

    @property
    def length(self) -> int:
        """Elements of the extended vector: coordinates, one count a slice, the weight."""
        return self.dimension + self.nodes + 1

    def coordinates(self, node: int) -> tuple[int, int]:
        """First and last + 1 of the vector's coordinates at this node.

        Raises:
            SliceError: there is no such node.
        """
        if not 0 <= node < self.nodes:
            raise SliceError(f"there is no slice {node}: slices are 0 to {self.nodes - 1}")
        return node * self.dimension // self.nodes, (node + 1) * self.dimension // self.nodes

    def bounds(self, node: int) -> tuple[int, int]:
        """First and last + 1 element of the extended vector at this node, weight and count included.

        Raises:
            SliceError: there is no such node.
        """
        start, stop = self.coordinates(node)
        return start + node, stop + node + 1 + (node == self.nodes - 1)

    def extend(self, words: RingVector, weight: int, ring: Ring) -> RingVector:
        """The extended vector of one owner: a new array of `length` words.

        Args:
            words: (dimension,) of the ring's word type.
            weight: of the owner, within the ring.

        Raises:
            SliceError: words of another shape or type, or a weight beyond the ring.
        """
        self._check(words, self.dimension, "the vector", ring)
        if not 0 <= weight <= ring.mask:
            raise SliceError(f"a weight must lie within the ring of {ring.bits} bits")
        extended = np.empty(self.length, ring.dtype)
        for node in range(self.nodes):
            first, last = self.coordinates(node)
            start, stop = self.bounds(node)
            extended[start : start + last - first] = words[first:last]
            extended[stop - 1] = 1
        extended[-2] = weight
        return extended

    def collect(self, slices: Sequence[RingVector], ring: Ring) -> Collected:
        """Take the sums of all slices apart; every element is cut to the ring.

        Args:
            slices: one a node, in order, each as long as `bounds` says.

        Raises:
            SliceError: a slice is missing, too many, or of the wrong shape or type.
        """
        if len(slices) != self.nodes:
            raise SliceError(f"{len(slices)} slices were given, the plan has {self.nodes}")
        words = np.empty(self.dimension, ring.dtype)
        for node, part in enumerate(slices):
            first, last = self.coordinates(node)
            start, stop = self.bounds(node)
            self._check(part, stop - start, f"slice {node}", ring)
            words[first:last] = part[: last - first]
        ring.cut(words)
        counts = tuple(int(part[-1]) & ring.mask for part in slices)
        return Collected(words, int(slices[-1][-2]) & ring.mask, counts)

    @staticmethod
    def _check(words: RingVector, length: int, what: str, ring: Ring) -> None:
        if words.shape != (length,) or words.dtype != ring.dtype:
            raise SliceError(
                f"{what} must be {length} words of type {ring.dtype}, not {words.dtype} of shape {words.shape}"
            )
