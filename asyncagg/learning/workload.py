"""Workload of an experiment: the owners' data and the model, built one player at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from asyncagg.learning.errors import WorkloadError
from asyncagg.learning.owners import Arrays, DataOwner, ModelOwner, Shapes
from asyncagg.vectors.arrays import FLOATS, WHOLE, ArrayError, as_arrays
from asyncagg.vectors.flatten import Layout

_BYTES_A_COORDINATE = 16
"""Bytes per coordinate that the owner of a float32 model holds at least: parameters, a step as large, float64 mean."""


@dataclass(frozen=True, slots=True)
class Workload:
    """The owners and the model of one experiment, each made only when asked for.

    A real deployment builds on every host only the players that live there, so `owner(i)` neither needs nor
    builds another owner, and gives the same owner wherever it is called.
    """

    population: int
    """Number of data owners, `data-owner-0` … ."""

    shapes: Shapes
    """Names and shapes of a gradient, in the order of the coordinates."""

    max_weight: int
    """The largest weight of any owner in the experiment, by number of examples."""

    make_owner: Callable[[int], DataOwner]
    make_model_owner: Callable[[], ModelOwner]

    dtypes: Mapping[str, str] = field(default_factory=dict)
    """Name → what the model has there, in numpy's short form, `<f4`; absent: floats."""

    largest_whole: int = 0
    """The largest magnitude of whole numbers in the owners' vectors that is known beforehand."""

    def __post_init__(self) -> None:
        if self.dimension < 1:
            raise WorkloadError(
                "a gradient has no coordinates (without parameters, override ModelOwner.gradient_shapes)"
            )

    @property
    def dimension(self) -> int:
        """Number of coordinates of a gradient."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def layout(self) -> Layout:
        """Names, shapes and dtypes of a gradient."""
        dtypes = tuple(self.dtypes.get(name, "<f8") for name in self.shapes)
        return Layout(tuple(self.shapes), tuple(self.shapes.values()), dtypes)

    def owner(self, index: int) -> DataOwner:
        """Builds the data owner `index`, 0 ≤ `index` < `population`."""
        if not 0 <= index < self.population:
            raise ValueError(f"no data-owner-{index} in a population of {self.population}")
        return self.make_owner(index)

    def model_owner(self) -> ModelOwner:
        """Builds the model owner as it is before the first round."""
        return self.make_model_owner()

    def initial_parameters(self) -> Arrays:
        """Parameters that the first round publishes."""
        return as_arrays(self.model_owner().initial_parameters())


def given(owners: Sequence[DataOwner], model_owner: ModelOwner) -> Workload:
    """The workload of owners and a model that exist already, for one run in this process."""
    for index, owner in enumerate(owners):
        if not isinstance(owner, DataOwner):
            raise WorkloadError(f"owners[{index}] is of type {type(owner).__name__} (an asyncagg.DataOwner)", "owners")
        check_max_weight(owner.max_weight, f"data-owner-{index}", "owners")
    if not owners:
        raise WorkloadError("the list is empty (at least one asyncagg.DataOwner)", "owners")
    if not isinstance(model_owner, ModelOwner):
        raise WorkloadError(f"is of type {type(model_owner).__name__} (an asyncagg.ModelOwner)", "model_owner")
    try:
        shapes, dtypes = described(model_owner)
    except (TypeError, ValueError) as error:
        raise WorkloadError(str(error), "model_owner") from error
    return Workload(
        population=len(owners),
        shapes=shapes,
        max_weight=max(owner.max_weight for owner in owners),
        make_owner=owners.__getitem__,
        make_model_owner=lambda: model_owner,
        dtypes=dtypes,
    )


def described(model_owner: ModelOwner) -> tuple[Shapes, dict[str, str]]:
    """Shapes and dtypes of a gradient. TypeError or ValueError where the model's parameters are no finite arrays."""
    parameters = _initial(model_owner)
    shapes = model_owner.gradient_shapes()
    dtypes = {name: array.dtype for name, array in parameters.items() if name in shapes}
    said = model_owner.gradient_dtypes()
    if not isinstance(said, dict):
        raise TypeError(f"gradient_dtypes returned {type(said).__name__} (a dict of dtypes by name)")
    for name, given in said.items():
        dtypes[name] = np.dtype(given)
        if name not in shapes or dtypes[name].kind not in FLOATS + WHOLE:
            right = "a dtype of floats, integers or truth values, for a name in gradient_shapes"
            raise TypeError(f"gradient_dtypes: {name!r} is {dtypes[name]} ({right})")
    return shapes, {name: dtype.newbyteorder("<").str for name, dtype in dtypes.items()}


def _initial(model_owner: ModelOwner) -> Arrays:
    given = model_owner.initial_parameters()
    if not isinstance(given, dict):
        raise TypeError(f"initial_parameters returned {type(given).__name__} (a dict of named arrays)")
    try:
        parameters = as_arrays(given)
    except ArrayError as error:
        raise TypeError(f"initial_parameters: {error}") from None
    for name, array in parameters.items():
        if not isinstance(name, str):
            raise TypeError(f"initial_parameters: {name!r} is no name (a text)")
        if not np.isfinite(array).all():
            raise ValueError(f"initial_parameters: {name!r} has values that are not finite (finite ones)")
    return parameters


def check_fits(shapes: Shapes, key: str) -> None:
    """Raises WorkloadError at `key`, which decides the shapes, where this machine has no memory for such a model."""
    coordinates = sum(math.prod(shape) for shape in shapes.values())
    try:
        np.empty((coordinates, _BYTES_A_COORDINATE), np.uint8)  # never touched, so it costs no memory
    except (MemoryError, ValueError):  # ValueError: more than there can be addresses
        held = coordinates * _BYTES_A_COORDINATE / 2**30
        message = f"makes vectors of {coordinates} coordinates, and {held:.0f} GiB do not fit into memory (fewer)"
        raise WorkloadError(message, key) from None


def check_max_weight(value: object, whose: str, key: str) -> int:
    """Returns `value` if it can bound a weight: a positive integer."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise WorkloadError(f"max_weight of {whose} is {value!r} (it must be a positive integer)", key)
    return value
