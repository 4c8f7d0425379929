"""Named arrays to one flat vector and back.

The order is that of the published parameters: names as the model owner's mapping lists them, each array
in C order. It is fixed by a `Layout`, which every player derives from the same published parameters; the
order in which an owner's own mapping lists its names does not matter.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from asyncagg.vectors.encoder import Reals

Arrays = Mapping[str, NDArray[Any]]


class LayoutError(ValueError):
    """Named arrays that do not fit the layout; says which name, and what would fit."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Names, shapes and dtypes of the arrays in a flat vector, in order.

    Attributes:
        names: all different.
        shapes: one a name.
        dtypes: one a name, in numpy's short form, '<f4'.

    Raises:
        LayoutError: tuples of different lengths, or a name twice.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.shapes) == len(self.dtypes) == len(set(self.names)):
            raise LayoutError("a layout needs different names, and one shape and one dtype for each")

    @classmethod
    def from_parameters(cls, parameters: Arrays) -> "Layout":
        """The layout of these arrays, in the mapping's own order.

        Raises:
            LayoutError: an array that does not hold real floating-point numbers.
        """
        for name, array in parameters.items():
            _check_floating(name, array)
        return cls(
            tuple(parameters),
            tuple(array.shape for array in parameters.values()),
            tuple(array.dtype.newbyteorder("<").str for array in parameters.values()),
        )

    @property
    def dimension(self) -> int:
        """Length d of the flat vector."""
        return sum(math.prod(shape) for shape in self.shapes)

    def flatten(self, arrays: Arrays) -> Reals:
        """One flat vector (d,), of the widest float type among `arrays`; always a copy.

        Raises:
            LayoutError: a name is missing or unknown, a shape differs, or an array is not of floats; all
                mistakes at once.
        """
        mistakes = list(self._mistakes(arrays))
        if mistakes:
            raise LayoutError("; ".join(mistakes))
        parts = [np.asarray(arrays[name]).reshape(-1) for name in self.names]
        return np.concatenate(parts) if parts else np.empty(0)

    def unflatten(self, flat: Reals, dtype: DTypeLike | None = None) -> dict[str, NDArray[Any]]:
        """Named arrays from a flat vector (d,); always copies.

        Args:
            dtype: of every array; absent: each its own, as in the layout.

        Raises:
            LayoutError: a vector of another length.
        """
        if flat.shape != (self.dimension,):
            raise LayoutError(f"a flat vector of {self.dimension} values is needed, not shape {flat.shape}")
        arrays: dict[str, NDArray[Any]] = {}
        start = 0
        for name, shape, own in zip(self.names, self.shapes, self.dtypes, strict=True):
            stop = start + math.prod(shape)
            arrays[name] = flat[start:stop].reshape(shape).astype(own if dtype is None else dtype)
            start = stop
        return arrays

    def _mistakes(self, arrays: Arrays) -> list[str]:
        expected = dict(zip(self.names, self.shapes, strict=True))
        mistakes = [f"{name!r} is missing (shape {shape})" for name, shape in expected.items() if name not in arrays]
        known = ", ".join(map(repr, self.names)) or "none"
        for name, array in arrays.items():
            if name not in expected:
                mistakes.append(f"{name!r} is unknown (names are {known})")
            elif np.shape(array) != expected[name]:
                mistakes.append(f"{name!r} has shape {np.shape(array)} (must be {expected[name]})")
            elif np.asarray(array).dtype.kind != "f":
                mistakes.append(f"{name!r} holds {np.asarray(array).dtype} (must be floating-point numbers)")
        return mistakes


def _check_floating(name: str, array: NDArray[Any]) -> None:
    if array.dtype.kind != "f":
        raise LayoutError(f"{name!r} holds {array.dtype} (must be floating-point numbers)")
