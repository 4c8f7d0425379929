"""The two classes a user writes: who holds data, and who holds the model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypeAlias

from numpy.typing import DTypeLike, NDArray

from asyncagg.vectors.arrays import as_array

Arrays: TypeAlias = dict[str, NDArray[Any]]
"""Named arrays: a model's parameters, or a gradient."""

Shapes: TypeAlias = dict[str, tuple[int, ...]]
"""The names and shapes of such arrays."""


class DataOwner(ABC):
    """Holds private data and computes gradients on it; they are masked before they leave the owner."""

    max_weight: int = 1
    """The largest weight this owner ever returns: public, since the ring must hold the sum of all weights.

    Set it in the class when every owner's bound is the same (a scenario's `workload.owner` reads it there),
    or in `__init__` for owners handed to `asyncagg.run`.
    """

    @abstractmethod
    def compute_gradient(self, parameters: Arrays, round: int) -> tuple[Arrays, int]:
        """Returns the gradient at `parameters` in round `round` (from 0), and its weight.

        The gradient has the names and shapes of `ModelOwner.gradient_shapes`, real and finite, floats or integers
        of any width. Coordinates beyond the scenario's `encoding.clip` are clipped; where the model has whole
        numbers, the values must be whole, and within ±(2^(bits−1) − 1). The weight is a whole number from 1 to
        `max_weight`, usually the number of examples. A round that is retried asks again; do not change
        `parameters` in place.
        """


class ModelOwner(ABC):
    """Holds the model: publishes parameters and learns of the owners' data the mean and its total weight."""

    @abstractmethod
    def initial_parameters(self) -> Arrays:
        """Returns the parameters of the first round: arrays of floats, integers or truth values, of any width."""

    @abstractmethod
    def apply(self, parameters: Arrays, mean: Arrays) -> Arrays:
        """Returns the next round's parameters as new arrays; called once for every round that succeeded.

        `mean` holds the weighted mean of the survivors' gradients, float64, by the same names and shapes; of
        whole numbers it is the float64 nearest to their exact sum over the total weight. Each array keeps the
        dtype that it had in `initial_parameters`: floats are rounded to it, whole numbers must be whole.
        """

    def evaluate(self, parameters: Arrays) -> dict[str, float]:
        """Returns figures about the model, such as loss and accuracy; `{}` unless overridden."""
        return {}

    def state(self) -> Arrays:
        """Returns what `apply` keeps between rounds, such as momentum, as named arrays; `{}` unless overridden.

        It is written down after every round, so that a run that was interrupted can resume. Only arrays of
        numbers or truth values; copies are taken.
        """
        return {}

    def restore(self, state: Arrays) -> None:
        """Takes back what `state` returned; called once, before the first round of a resumed run.

        Override it together with `state`, and raise an exception for what cannot be that.
        """
        if state:
            raise ValueError(f"nothing here keeps a state, and one was given ({', '.join(state)}; override restore)")

    def gradient_shapes(self) -> Shapes:
        """Names and shapes of a gradient: those of the parameters, unless overridden."""
        return {name: as_array(array).shape for name, array in self.initial_parameters().items()}

    def gradient_dtypes(self) -> dict[str, DTypeLike]:
        """Dtypes of those arrays of a gradient that are not of their parameter's dtype; `{}` unless overridden.

        Integers and truth values are added up as whole numbers, without rounding; all floats are encoded alike. An
        array without a parameter of its name, and without a dtype here, is one of floats.
        """
        return {}
