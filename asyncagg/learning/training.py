"""The owners of a classifier: one computes gradients on its rows, the other takes the steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asyncagg.learning.models import Classifier
from asyncagg.learning.owners import Arrays, DataOwner, ModelOwner
from asyncagg.learning.streams import permutation, stream

_UNBOUNDED = np.errstate(over="ignore", invalid="ignore")
"""A model that diverges is refused by name where its values arrive: numpy need not warn of them."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Examples:
    """Rows of a data set: `inputs` float32 (examples × features), `labels` (examples,) from 0.

    They are private, so their `repr` shows none.
    """

    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.intp]) -> Examples:
        """A copy of the rows with these numbers, in their order."""
        return Examples(self.inputs[rows], self.labels[rows])


class ClassifierOwner(DataOwner):
    """Computes one gradient a round on its own examples: all of them, or a batch drawn anew each round.

    Its weight is the number of its examples, so that the mean over owners is the gradient over all their
    examples (with batches: in expectation).
    """

    def __init__(self, model: Classifier, examples: Examples, *, batch_size: int | None, seed: int, index: int) -> None:
        self.max_weight = len(examples)
        self._model = model
        self._examples = examples
        self._batch_size = batch_size
        self._seed = seed
        self._index = index

    @_UNBOUNDED
    def compute_gradient(self, parameters: Arrays, round: int) -> tuple[Arrays, int]:
        """The model's gradient, float32; the same whenever it is asked for the same round."""
        batch = self._batch(round)
        return self._model.gradient(parameters, batch.inputs, batch.labels), len(self._examples)

    def _batch(self, round: int) -> Examples:
        count = len(self._examples)
        if self._batch_size is None or self._batch_size >= count:
            return self._examples
        order = permutation(stream(self._seed, "batch", self._index, round), count)
        return self._examples.take(order[: self._batch_size])


class ClassifierModelOwner(ModelOwner):
    """Takes steps of gradient descent with momentum, and measures the model on examples that no owner holds.

    velocity ← momentum · velocity + mean; parameters ← parameters − learning_rate · velocity; all float32.
    """

    def __init__(self, model: Classifier, test: Examples, *, learning_rate: float, momentum: float, seed: int) -> None:
        self._model = model
        self._test = test
        self._learning_rate = np.float32(learning_rate)
        self._momentum = np.float32(momentum)
        self._seed = seed
        self._velocity: Arrays = {name: np.zeros(shape, np.float32) for name, shape in model.shapes.items()}

    def initial_parameters(self) -> Arrays:
        """Float32, drawn from the seed."""
        return self._model.initial(self._seed)

    @_UNBOUNDED
    def apply(self, parameters: Arrays, mean: Arrays) -> Arrays:
        """One step."""
        self._velocity = {
            name: self._momentum * velocity + mean[name].astype(np.float32) for name, velocity in self._velocity.items()
        }
        return {name: array - self._learning_rate * self._velocity[name] for name, array in parameters.items()}

    def state(self) -> Arrays:
        """The velocity: float32, by the parameters' names."""
        return self._velocity

    def restore(self, state: Arrays) -> None:
        """Go on with this velocity; ValueError if it is none of this model's."""
        expected = {name: (shape, np.dtype(np.float32)) for name, shape in self._model.shapes.items()}
        if {name: (array.shape, array.dtype) for name, array in state.items()} != expected:
            found = ", ".join(f"{name} {array.shape} {array.dtype}" for name, array in state.items()) or "nothing"
            shapes = ", ".join(f"{name} {shape} float32" for name, shape in self._model.shapes.items())
            raise ValueError(f"the velocity has {found} (it must have {shapes})")
        self._velocity = {name: state[name] for name in self._model.shapes}

    @_UNBOUNDED
    def evaluate(self, parameters: Arrays) -> dict[str, float]:
        """`loss` and `accuracy` on the held-out examples."""
        return self._model.measure(parameters, self._test.inputs, self._test.labels)
