"""Named arrays to one flat vector and back.

The order is that of the model's gradient: names as the model owner's mapping lists them, each array in C
order. It is fixed by a `Layout`, which every player derives from the same model before the first round, and
which says too where whole numbers stand; the order in which an owner's own mapping lists its names does not
matter, nor the types of its arrays.
"""

import difflib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asyncagg.vectors.arrays import WHOLE, Arrays, in_one
from asyncagg.vectors.encoder import Reals

_SHOWN = 5
"""Names that an error lists."""


class LayoutError(ValueError):
    """Named arrays that do not fit the layout; says which name, and what would fit."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Names, shapes and dtypes of the arrays in a flat vector, in order.

    Attributes:
        names: all different.
        shapes: one a name.
        dtypes: one a name, in numpy's short form, '<f4': what the model has there, whatever an owner sends.

    Raises:
        LayoutError: tuples of different lengths, or a name twice.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.shapes) == len(self.dtypes) == len(set(self.names)):
            raise LayoutError("a layout needs different names, and one shape and one dtype for each")

    @property
    def dimension(self) -> int:
        """Length d of the flat vector."""
        return sum(math.prod(shape) for shape in self.shapes)

    @property
    def whole(self) -> tuple[bool, ...]:
        """For each name whether whole numbers stand there, which are added up without rounding."""
        return tuple(np.dtype(dtype).kind in WHOLE for dtype in self.dtypes)

    @property
    def bounds(self) -> tuple[tuple[int, int], ...]:
        """For each name the first and last + 1 of its coordinates."""
        return tuple(pairwise(accumulate(map(math.prod, self.shapes), initial=0)))

    def flatten(self, arrays: Arrays) -> Reals:
        """One flat vector (d,); always a copy.

        It is of the widest type among `arrays` where all are floats, up to float64, and else float64, which holds
        every whole number that can be encoded.

        Args:
            arrays: of accepted kinds, as `as_arrays` gives them.

        Raises:
            LayoutError: a name is missing or unknown, or a shape differs; all mistakes at once, each kind told once.
        """
        self.check(arrays)
        parts = [np.asarray(arrays[name]).reshape(-1) for name in self.names]
        if not parts:
            return np.empty(0)
        with np.errstate(over="ignore"):  # wider than float64 and beyond it: infinite, and refused where it is encoded
            return np.concatenate(parts, dtype=self._type_of(parts), casting="unsafe")

    def check(self, arrays: Arrays) -> None:
        """LayoutError as `flatten` raises it."""
        mistakes = list(self._mistakes(arrays))
        if mistakes:
            raise LayoutError(in_one(mistakes, len(self.names)))

    def unflatten(self, flat: Reals) -> dict[str, NDArray[Any]]:
        """Named arrays from a flat vector (d,), of its type; always copies.

        Raises:
            LayoutError: a vector of another length.
        """
        if flat.shape != (self.dimension,):
            raise LayoutError(f"a flat vector of {self.dimension} values is needed, not shape {flat.shape}")
        return {
            name: flat[start:stop].reshape(shape).copy()
            for name, shape, (start, stop) in zip(self.names, self.shapes, self.bounds, strict=True)
        }

    def _type_of(self, parts: list[NDArray[Any]]) -> np.dtype[Any]:
        wide = np.dtype(np.float64)
        if any(self.whole) or any(part.dtype.kind in WHOLE for part in parts):
            return wide
        return min(wide, np.result_type(*parts), key=lambda dtype: dtype.itemsize)

    def _mistakes(self, arrays: Arrays) -> Iterator[tuple[str, str]]:
        """Cause and sentence of each."""
        expected = dict(zip(self.names, self.shapes, strict=True))
        for name, shape in expected.items():
            if name not in arrays:
                yield "missing", f"{name!r} is missing (shape {shape})"
        for name, array in arrays.items():
            if name not in expected:
                yield "unknown", f"{name!r} is unknown ({self._known(name)})"
            elif np.shape(array) != expected[name]:
                yield "shape", f"{name!r} has shape {np.shape(array)} (must be {expected[name]})"

    def _known(self, name: object) -> str:
        """Names that would be right, in words."""
        near = difflib.get_close_matches(str(name), self.names, n=1)
        if near:
            return f"did you mean {near[0]!r}?"
        shown = ", ".join(map(repr, self.names[:_SHOWN])) or "none"
        return f"names are {shown}" + (f" and {len(self.names) - _SHOWN} more" if len(self.names) > _SHOWN else "")
