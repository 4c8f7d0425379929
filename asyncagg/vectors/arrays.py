"""Kinds of numbers that are accepted, the same everywhere: arrays, and weights.

    floats of any width                                   as they are; wider than float64 as float64
    integers of any width, with sign and without          whole numbers
    truth values                                          whole numbers, 0 and 1
    lists of these, and whatever numpy reads as an array  as the array that it is: tensors on the CPU, columns of tables
    complex numbers, text, dates, Python objects, rows of different lengths, masked values      refused

A weight may be of any type, as long as it is a whole number: 5, 5.0, numpy's own, a tensor of one.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

FLOATS: Final = "f"
WHOLE: Final = "biu"
"""Numpy's letters for kinds of dtypes."""

_REFUSED: Final = {
    "c": "complex numbers",
    "U": "text",
    "S": "text",
    "T": "text",
    "M": "dates",
    "m": "times",
    "O": "Python objects",
}
_RIGHT: Final = "real numbers: floats, integers or truth values"


class ArrayError(ValueError):
    """Raised for anything but the numbers that are accepted; of `as_array` the text goes on after "holds"."""


def as_array(value: object) -> NDArray[Any]:
    """The value as an array of an accepted kind; no copy where none is needed.

    Raises:
        ArrayError: it is none. What the value's own code raises, when it is read, passes through.
    """
    array = _read(value)
    if array.dtype.kind not in FLOATS + WHOLE:
        raise ArrayError(f"{_REFUSED.get(array.dtype.kind, array.dtype.name)} ({_RIGHT})")
    return array


def as_arrays(values: Mapping[str, object]) -> dict[str, NDArray[Any]]:
    """All values by name, each as `as_array` gives it. ArrayError names all that are none."""
    arrays: dict[str, NDArray[Any]] = {}
    mistakes = []
    for name, value in values.items():
        try:
            arrays[name] = as_array(value)
        except ArrayError as error:
            mistakes.append((str(error), f"{name!r} holds {error}"))
    if mistakes:
        raise ArrayError(in_one(mistakes, len(values)))
    return arrays


def as_weight(value: Any) -> int:
    """A whole number, whatever type holds it. ArrayError for anything else; the text does not tell the value."""
    complex_one = getattr(getattr(value, "dtype", None), "kind", None) == "c"
    try:
        if not complex_one and (whole := int(value)) == value:
            return int(whole)
    except (TypeError, ValueError, OverflowError):  # no number, NaN, infinity
        pass
    raise ArrayError(f"the weight is no whole number but a {type(value).__name__} (5, 5.0, or any type's whole number)")


def as_type(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """A copy of the array in another accepted type: floats are rounded to it, whole numbers must fit.

    Raises:
        ArrayError: a type of whole numbers, and values that are not whole or beyond it.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        cast = array.astype(dtype)
    if dtype.kind in WHOLE and not np.array_equal(cast, array):
        raise ArrayError(f"numbers that are not whole, or beyond {dtype.name} (whole ones that fit)")
    return cast


def in_one(mistakes: Iterable[tuple[str, str]], arrays: int) -> str:
    """One sentence for each cause, of (cause, sentence): the first that has it, and how many more of `arrays` do."""
    by_cause: dict[str, list[str]] = {}
    for cause, sentence in mistakes:
        by_cause.setdefault(cause, []).append(sentence)
    return "; ".join(
        first if not more else f"{first}, and so with {len(more)} more of {arrays} arrays"
        for first, *more in by_cause.values()
    )


def _read(value: object) -> NDArray[Any]:
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ArrayError(f"masked values ({_RIGHT}, none left out)")
    if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        return np.from_dlpack(value)
    try:
        return np.asarray(value)
    except ValueError:
        if isinstance(value, list | tuple):  # numpy's own words for it speak of "inhomogeneous shape"
            raise ArrayError(f"rows of different lengths ({_RIGHT}, as many in every row)") from None
        raise
