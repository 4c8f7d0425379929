"""The workload `synthetic`: made-up vectors of any length, where learning is beside the point."""

from __future__ import annotations

import numpy as np

from asyncagg.learning.owners import Arrays, DataOwner, ModelOwner, Shapes
from asyncagg.learning.streams import stream, uniform
from asyncagg.learning.workload import Workload, check_fits

NAME = "vector"


def workload(owners: int, seed: int, *, dimension: int = 1000) -> Workload:
    """Owners with vectors of `dimension` coordinates and weight 1."""
    shapes: Shapes = {NAME: (dimension,)}
    check_fits(shapes, "workload.dimension")
    return Workload(
        population=owners,
        shapes=shapes,
        max_weight=1,
        make_owner=lambda index: SyntheticOwner(dimension, seed, index),
        make_model_owner=lambda: SyntheticModelOwner(dimension),
    )


class SyntheticOwner(DataOwner):
    """Draws a vector uniform in [−1, 1) each round and keeps nothing: ten thousand owners cost no memory."""

    def __init__(self, dimension: int, seed: int, index: int) -> None:
        self._dimension = dimension
        self._seed = seed
        self._index = index

    def compute_gradient(self, parameters: Arrays, round: int) -> tuple[Arrays, int]:
        """A float32 vector that depends on seed, owner and round alone; weight 1."""
        generator = stream(self._seed, "synthetic", self._index, round)
        return {NAME: uniform(generator, (self._dimension,), 1.0)}, 1


class SyntheticModelOwner(ModelOwner):
    """Publishes as many float32 parameters as a vector has coordinates; the mean is a plain step."""

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension

    def initial_parameters(self) -> Arrays:
        """Zeros."""
        return {NAME: np.zeros(self._dimension, np.float32)}

    def apply(self, parameters: Arrays, mean: Arrays) -> Arrays:
        """The parameters less the mean."""
        return {NAME: parameters[NAME] - mean[NAME].astype(np.float32)}
