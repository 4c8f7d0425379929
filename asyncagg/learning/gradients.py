"""What `compute_gradient` returns, checked at the border; and how its failure is told, to others and to its owner.

A failure has two texts. `told` may leave the owner: the type and the place of an exception (`ValueError at
mine.py:20`), or our own sentence. It holds no value and no position, no shape and no name that only the owner's arrays
have, and no text of an exception, since all of these may say something of the data. `own` is for the owner's own log,
with the traceback where there is one.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass

from asyncagg.learning.owners import Arrays, DataOwner
from asyncagg.learning.users import RAISED, place_of
from asyncagg.vectors.arrays import ArrayError, as_arrays, as_weight
from asyncagg.vectors.encoder import EncodingError, Reals
from asyncagg.vectors.flatten import Layout, LayoutError
from asyncagg.vectors.vector_encoder import ArrayRefused

MUST = "compute_gradient must return"
_SHOWN = 3
"""Names that a sentence lists."""


class GradientFailed(Exception):
    """An owner's own computation did not give a usable gradient."""

    def __init__(self, told: str, own: str | None = None, *, lasting: bool = False, trace: str = "") -> None:
        """`lasting`: what was returned is of a wrong form, so that asking again changes nothing."""
        super().__init__(told)
        self.told = told
        self.own = own or told
        self.lasting = lasting
        self.trace = trace


@dataclass(frozen=True, slots=True)
class Border:
    """What must hold of a gradient and its weight."""

    layout: Layout
    weighted: bool
    """Whether the weight is what `compute_gradient` says; else 1."""
    max_weight: int

    def taken(self, owner: DataOwner, parameters: Arrays, round_index: int) -> tuple[Reals, int]:
        """The owner's gradient as one flat vector (d,), which may hold NaN, and its weight; GradientFailed."""
        try:
            gradient, weight = _pair(owner.compute_gradient(parameters, round_index))
            self._check_names(gradient)
            return self._flat(_arrays(gradient)), self._weight(weight)
        except GradientFailed:
            raise
        except RAISED as error:  # what it says is for its owner alone
            raise raised(error, owner) from error

    def _flat(self, arrays: Arrays) -> Reals:
        try:
            return self.layout.flatten(arrays)
        except LayoutError as error:
            raise self._misshapen(arrays, error) from error

    def _check_names(self, gradient: Mapping[str, object]) -> None:
        """GradientFailed unless the arrays have the names of the layout."""
        names = self.layout.names
        missing = [name for name in names if name not in gradient]
        unknown = [name for name in gradient if name not in names]
        if not missing and not unknown:
            return
        right = f"{MUST} arrays named {_listed(names)}"
        wrong = [f"{_listed(missing)} missing"] if missing else []
        told = "; ".join([*wrong, *(["others are there"] if unknown else [])])
        own = "; ".join([*wrong, *([f"{_listed(unknown)} unknown"] if unknown else [])])
        remedy = "or override gradient_shapes of the model owner"
        raise GradientFailed(f"{right}: {told} ({remedy})", f"{right}: {own} ({remedy})", lasting=True)

    def _misshapen(self, arrays: Arrays, error: LayoutError) -> GradientFailed:
        shapes = zip(self.layout.names, self.layout.shapes, strict=True)
        wrong = [f"{name!r} of shape {shape}" for name, shape in shapes if arrays[name].shape != shape]
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        told = f"{MUST} {', '.join(wrong[:_SHOWN])}{more}, as in gradient_shapes, and it has another"
        return GradientFailed(told, f"{told}: {error}", lasting=True)

    def _weight(self, weight: object) -> int:
        if not self.weighted:
            return 1
        try:
            whole = as_weight(weight)
        except ArrayError as error:
            raise GradientFailed(f"{MUST} (dict of arrays, weight): {error}", lasting=True) from error
        if 1 <= whole <= self.max_weight:
            return whole
        right = "a weight of 1, since" if self.max_weight == 1 else f"a weight from 1 to {self.max_weight}, since"
        told = (
            f"{MUST} {right} the run's max_weight is {self.max_weight}"
            " (set max_weight in the owner's class, or aggregation.max_weight, to the largest weight of any owner)"
        )
        raise GradientFailed(told, f"{told}; it returned the weight {whole}", lasting=True)


def unusable(error: EncodingError) -> GradientFailed:
    """The failure of a vector that was refused where it is encoded, as NaN is."""
    if isinstance(error, ArrayRefused):
        return GradientFailed(f"compute_gradient returned {error.what} in {error.name!r} ({error.right})", str(error))
    return GradientFailed("compute_gradient returned what cannot be encoded", str(error))


def raised(error: BaseException, owner: DataOwner) -> GradientFailed:
    """The failure of an owner's code that raised."""
    told = f"{type(error).__name__} at {place_of(error, type(owner).compute_gradient)}"
    return GradientFailed(told, trace="".join(traceback.format_exception(error)))


def _arrays(gradient: Mapping[str, object]) -> Arrays:
    try:
        return as_arrays(gradient)
    except ArrayError as error:
        raise GradientFailed(f"{MUST} arrays of numbers: {error}", lasting=True) from error


def _pair(returned: object) -> tuple[Mapping[str, object], object]:
    """The gradient and the weight; GradientFailed where these were not returned."""
    if isinstance(returned, tuple | list) and len(returned) == 2 and isinstance(returned[0], Mapping):
        return returned[0], returned[1]
    raise GradientFailed(f"{MUST} (dict of arrays, weight), not {_form(returned)}", lasting=True)


def _form(returned: object) -> str:
    match returned:
        case None:
            return "None"
        case Mapping():
            return "a dict alone: without a weight"
        case [first, _] if isinstance(returned, tuple | list):
            return f"({type(first).__name__}, weight)"
        case tuple() | list():
            return f"a {type(returned).__name__} of another length than 2"
    return f"a {type(returned).__name__}"


def _listed(names: tuple[str, ...] | list[str]) -> str:
    shown = ", ".join(map(repr, names[:_SHOWN]))
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
