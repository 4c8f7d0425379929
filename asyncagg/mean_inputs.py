"""Inputs of `secure_mean`: checked, with errors in the caller's own words, and the encoding that fits them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import index
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from asyncagg.protocols.names import PHASES
from asyncagg.vectors.arrays import ArrayError, as_array, as_arrays, as_weight
from asyncagg.vectors.clips import ClipError, clips_of
from asyncagg.vectors.encoder import MAX_BITS, MIN_BITS
from asyncagg.vectors.flatten import Layout, LayoutError
from asyncagg.vectors.ring import MAX_BITS as WORD_BITS

NAME: Final = "vector"
"""Of the one array, where the vectors have no names."""
_USUAL_BITS: Final = 24
_FEWEST_BITS: Final = 16
"""Of a float's encoding, unless the caller asks for fewer."""
_SMALLEST_CLIP: Final = 1e-30
_LARGEST_CLIP: Final = 1e30

Rows = tuple[dict[str, NDArray[Any]], ...]


@dataclass(frozen=True)
class Inputs:
    """The owners' arrays by name, one dict an owner, all of one layout."""

    rows: Rows
    layout: Layout
    named: bool
    """True if the caller gave names."""

    @cached_property
    def largest(self) -> dict[str, float]:
        """Name → the largest magnitude of any owner."""
        names = self.layout.names
        return {name: max(_magnitude(row[name]) for row in self.rows) for name in names}

    @property
    def largest_whole(self) -> int:
        """The largest magnitude of whole numbers."""
        named = zip(self.layout.names, self.layout.whole, strict=True)
        return max((int(self.largest[name]) for name, whole in named if whole), default=0)

    def returned(self, mean: NDArray[np.float64]) -> Any:
        """The mean (d,) as the vectors were given: named arrays, or flat."""
        return self.layout.unflatten(mean) if self.named else mean


def inputs_of(vectors: Any) -> Inputs:
    """The vectors of all owners. ValueError for what has no mean."""
    if isinstance(vectors, Mapping):
        raise ValueError("vectors must be a list with a dict of arrays for each owner, not one dict")
    try:
        if isinstance(vectors, list | tuple) and any(isinstance(each, Mapping) for each in vectors):
            return _inputs(*_named_rows(vectors), named=True)
        table = _table(vectors)
    except ArrayError as error:
        raise ValueError(f"vectors hold {error}") from None
    layout = Layout((NAME,), (table.shape[1:],), (table.dtype.str,))
    return _inputs(tuple({NAME: row} for row in table), layout, named=False)


def weights_of(weights: Any, owners: int) -> list[int]:
    """One positive whole number an owner; 1 each where there are none. TypeError or ValueError for anything else."""
    if weights is None:
        return [1] * owners
    try:
        counted = [as_weight(weight) for weight in weights]
    except (ArrayError, TypeError):
        raise TypeError(f"weights must be {owners} positive whole numbers, not {weights!r}") from None
    if len(counted) != owners or min(counted) < 1:
        raise ValueError(f"weights must be {owners} positive whole numbers, one for each owner")
    return counted


def fallen_of(dropped: Mapping[str, Sequence[int]] | None, owners: int) -> dict[str, list[int]]:
    """Phase → the owners that fall silent in it. TypeError or ValueError for anything else."""
    right = f"must map phases to lists of owners, 0 to {owners - 1}, as {{'upload': [0]}}"
    try:
        fallen = {phase: [index(each) for each in indices] for phase, indices in (dropped or {}).items()}
    except (AttributeError, TypeError):
        raise TypeError(f"dropped {right}, not {dropped!r}") from None
    if any(not 0 <= each < owners for indices in fallen.values() for each in indices):
        raise ValueError(f"dropped {right}, not {dropped!r}")
    for phase in fallen:
        if phase not in PHASES:
            raise ValueError(f"dropped has the phase {phase!r} ({_near(phase, PHASES)})")
    return fallen


def check_keywords(given: Mapping[str, Any], known: Sequence[str]) -> None:
    """TypeError for a keyword that `secure_mean` does not take."""
    for name in given:
        if name not in known:
            raise TypeError(f"secure_mean takes no keyword {name!r} ({_near(name, known)})")


def encoding_of(inputs: Inputs, heaviest: int, bits: int | None, clip: float | Mapping[str, float] | None) -> Any:
    """The table `[encoding]`: as asked for, or what fits.

    Args:
        heaviest: the largest weight that there is room for.
        bits: None: as many as whole numbers need, and for floats 24, or fewer where the weights leave no more.
        clip: of all arrays of floats, or by name; None: the largest magnitude in each.

    Raises:
        ValueError, TypeError: what cannot be, in the keywords of `secure_mean`.
    """
    clips = _clips(inputs, clip)
    largest = max(clips.values(), default=1.0)
    by_name = clips if inputs.named and clips else {}
    return {"bits": _bits(inputs, heaviest, bits), "clip": largest, "clip_by": by_name}


# -- vectors ----------------------------------------------------------------------------------------------------------


def _inputs(rows: Rows, layout: Layout, named: bool) -> Inputs:
    if not layout.dimension:
        raise ValueError("vectors must have at least one number")
    for owner, row in enumerate(rows):
        if strange := [name for name, array in row.items() if not np.isfinite(array).all()]:
            where = f"in {strange[0]!r} of owner {owner}" if named else f"at owner {owner}"
            raise ValueError(f"vectors hold NaN or Inf {where}, must be finite numbers")
    return Inputs(rows, layout, named)


def _table(vectors: Any) -> NDArray[Any]:
    """Owners × d."""
    if isinstance(vectors, list | tuple):  # row by row: each may be a tensor
        rows = [as_array(row) for row in vectors]
        if len({row.shape for row in rows}) > 1:
            raise ValueError("vectors must be owners × d: as many numbers from every owner")
        vectors = [row.astype(_common(rows), copy=False) for row in rows]
    table = as_array(vectors)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"vectors must be owners × d, not of shape {table.shape}")
    return _narrowed(table)


def _named_rows(vectors: Sequence[Any]) -> tuple[Rows, Layout]:
    if not all(isinstance(each, Mapping) for each in vectors):
        raise ValueError("vectors must be a dict of arrays from every owner, or an array from every owner")
    rows = [_named_row(owner, each) for owner, each in enumerate(vectors)]
    names = tuple(rows[0])
    layout = Layout(names, tuple(array.shape for array in rows[0].values()), ("<f8",) * len(names))
    for owner, row in enumerate(rows):
        try:
            layout.check(row)
        except LayoutError as error:
            raise ValueError(f"vectors must have the same arrays from every owner: of owner {owner}, {error}") from None
    types = {name: _common([row[name] for row in rows]) for name in names}
    same = tuple({name: _narrowed(row[name].astype(types[name], copy=False)) for name in names} for row in rows)
    return same, Layout(names, layout.shapes, tuple(array.dtype.str for array in same[0].values()))


def _named_row(owner: int, given: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    try:
        return as_arrays(given)
    except ArrayError as error:
        raise ValueError(f"vectors must be real numbers: of owner {owner}, {error}") from None


def _common(arrays: Sequence[NDArray[Any]]) -> np.dtype[Any]:
    """The type that holds all: of whole numbers where all arrays are."""
    whole = all(array.dtype.kind in "biu" for array in arrays)
    common = np.result_type(*arrays)
    return common if not whole or common.kind in "biu" else np.dtype(np.int64)


def _narrowed(array: NDArray[Any]) -> NDArray[Any]:
    """Floats as float64 at most."""
    if array.dtype.kind != "f" or array.dtype.itemsize <= 8:
        return array
    with np.errstate(over="ignore"):
        return array.astype(np.float64)


def _magnitude(array: NDArray[Any]) -> float:
    """An integer where the array holds whole numbers, which is exact."""
    largest: float = max(abs(array.max(initial=0).item()), abs(array.min(initial=0).item()))
    return largest


# -- bits and clips ---------------------------------------------------------------------------------------------------


def _bits(inputs: Inputs, heaviest: int, bits: int | None) -> int:
    owners = len(inputs.rows)
    room = ((1 << WORD_BITS) - 1) // (owners * heaviest)
    most = min(MAX_BITS, (room + 1).bit_length() - 1)
    least, why = _least_bits(inputs, asked=bits is not None)
    left = f"{owners} owners of weight up to {heaviest} leave {max(most, 0)} bits a number"
    if bits is None:
        if most < least:
            raise ValueError(f"weights must be smaller: {left}, and {why} at least {least}")
        return min(most, max(least, 0 if all(inputs.layout.whole) else _USUAL_BITS))
    if isinstance(bits, bool) or not isinstance(bits, int) or not MIN_BITS <= bits <= MAX_BITS:
        raise ValueError(f"bits must be a whole number from {MIN_BITS} to {MAX_BITS}, not {bits!r}")
    if bits < least:
        raise ValueError(f"bits must be more than {bits}: {why} at least {least}")
    if bits > most:
        raise ValueError(f"bits must be fewer than {bits}: {left}")
    return bits


def _least_bits(inputs: Inputs, asked: bool) -> tuple[int, str]:
    """Fewest bits of an encoded number, and what needs them."""
    largest = inputs.largest_whole
    needed = max(largest.bit_length() + 1, MIN_BITS)
    if needed > MAX_BITS:
        most = 2 ** (MAX_BITS - 1) - 1
        raise ValueError(f"vectors hold whole numbers up to {largest}, must be at most {most}, or floats")
    if largest:
        return needed, f"whole numbers up to {largest} take"
    return MIN_BITS if asked else _FEWEST_BITS, "numbers take"


def _clips(inputs: Inputs, clip: float | Mapping[str, float] | None) -> dict[str, float]:
    """Name → clip, of every array of floats."""
    layout = inputs.layout
    floats = [name for name, whole in zip(layout.names, layout.whole, strict=True) if not whole]
    largest = inputs.largest
    if clip is None:
        return {name: _own_clip(largest[name], name if inputs.named else None) for name in floats}
    if not floats:
        raise ValueError("vectors hold whole numbers, which are never clipped: must be floats, or clip left out")
    if not isinstance(clip, Mapping):
        return dict.fromkeys(floats, _checked(clip))
    given = {name: _checked(each) for name, each in clip.items()}
    try:
        chosen = clips_of(layout, 0.0, given)
    except ClipError as error:
        raise ValueError(f"clip: {error.key!r} {error}") from None
    by_name = dict(zip(layout.names, chosen, strict=True))
    return {name: by_name[name] or _own_clip(largest[name], name) for name in floats}


def _own_clip(largest: float, name: str | None) -> float:
    if largest > _LARGEST_CLIP:
        what = "vectors hold numbers" if name is None else f"vectors hold, in {name!r}, numbers"
        raise ValueError(f"{what} beyond {_LARGEST_CLIP:g}, must be at most that, or give clip to cut them off")
    return max(float(largest), _SMALLEST_CLIP) if largest else 1.0


def _checked(clip: Any) -> float:
    try:
        value = float(as_array(clip).item())
    except ValueError:
        value = float("nan")
    if not _SMALLEST_CLIP <= value <= _LARGEST_CLIP:
        right = f"a number from {_SMALLEST_CLIP:g} to {_LARGEST_CLIP:g}, or such numbers by name"
        raise ValueError(f"clip must be {right}, not {clip!r}")
    return value


def _near(word: object, choices: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(word), choices, n=1)
    return f"did you mean {near[0]!r}?" if near else f"one of {', '.join(choices)}"
