"""The workload `vectors`: the owners' vectors are given, in a file or as arrays, and nothing is learnt."""

from __future__ import annotations

import difflib
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from asyncagg.learning.errors import WorkloadError
from asyncagg.learning.owners import Arrays, DataOwner, ModelOwner, Shapes
from asyncagg.learning.workload import Workload
from asyncagg.vectors.arrays import WHOLE, ArrayError, as_array, as_weight

NAME = "vector"
_KEY = "workload.file"

_UNSOUND = (
    ArithmeticError,
    EOFError,
    LookupError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""Exceptions that zipfile and numpy raise on damaged files: numpy parses the headers as Python literals."""


def workload(owners: int, rounds: int, base: Path, *, file: str) -> Workload:
    """Owners with the vectors of `file`, an .npz with `vectors` and perhaps `weights`: see `from_arrays`."""
    arrays = _read(file, base)
    try:
        return from_arrays(arrays["vectors"], arrays.get("weights"), owners=owners, rounds=rounds)
    except WorkloadError as error:
        raise WorkloadError(f"{file}: {error.message}", _KEY) from None


def from_arrays(vectors: ArrayLike, weights: ArrayLike | None = None, *, owners: int, rounds: int) -> Workload:
    """Owners with the given vectors.

    `vectors`: real, finite numbers, owners × d (the same in every round) or rounds × owners × d; integers and
    truth values are added up as whole numbers. `weights`: (owners,) positive whole numbers of any type; 1 each
    when absent. Both are checked whole, and errors name the owner.
    """
    table = _check_vectors(_taken(vectors, "vectors"), owners, rounds)
    counts = [1] * owners if weights is None else _check_weights(_taken(weights, "weights"), owners)
    dimension = table.shape[-1]
    whole = table.dtype.kind in WHOLE
    return Workload(
        population=owners,
        shapes={NAME: (dimension,)},
        max_weight=max(counts),
        make_owner=lambda index: VectorOwner(table[:, index], counts[index]),
        make_model_owner=lambda: VectorModelOwner(dimension),
        dtypes={NAME: table.dtype.str},
        largest_whole=max(abs(int(table.min())), abs(int(table.max()))) if whole else 0,
    )


class VectorOwner(DataOwner):
    """Hands in its vector of the round (rounds × d) with a fixed weight."""

    def __init__(self, vectors: NDArray[Any], weight: int) -> None:
        self.max_weight = weight
        self._vectors = vectors

    def compute_gradient(self, parameters: Arrays, round: int) -> tuple[Arrays, int]:
        """The vector of this round, read-only: float32, float64 or of whole numbers."""
        return {NAME: self._vectors[round]}, self.max_weight


class VectorModelOwner(ModelOwner):
    """Has no model: publishes no parameters, and leaves the mean to the run directory."""

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension

    def initial_parameters(self) -> Arrays:
        """None."""
        return {}

    def apply(self, parameters: Arrays, mean: Arrays) -> Arrays:
        """None still."""
        return {}

    def gradient_shapes(self) -> Shapes:
        """One vector."""
        return {NAME: (self._dimension,)}


def _read(file: str, base: Path) -> dict[str, NDArray[Any]]:
    """The arrays `vectors` and, where there, `weights` of an .npz. Pickled objects are never loaded."""
    path = base / file
    try:
        with zipfile.ZipFile(path):  # numpy would take other kinds of file too
            pass
        with np.load(path, allow_pickle=False) as archive:
            names = list(archive.files)
            arrays = {name: archive[name] for name in ("vectors", "weights") if name in names}
    except FileNotFoundError:
        raise WorkloadError(
            f"there is no file {path} (a relative path starts at the scenario's folder)", _KEY
        ) from None
    except OSError as error:
        raise WorkloadError(f"{path} cannot be read: {error.strerror or error}", _KEY) from None
    except MemoryError:
        raise WorkloadError(f"{file}: its arrays do not fit into memory", _KEY) from None
    except _UNSOUND as error:
        said = " ".join(str(error).split())
        raise WorkloadError(f"{file} is not a sound .npz of numbers: {said} (numpy.savez makes one)", _KEY) from None
    _check_names(file, names)
    return arrays


def _check_names(file: str, names: list[str]) -> None:
    if "vectors" not in names:
        held = ", ".join(names) or "nothing"
        raise WorkloadError(f"{file} has no array `vectors` (it holds {held})", _KEY)
    near = difflib.get_close_matches("weights", names, n=1, cutoff=0.8)
    if near and "weights" not in names:  # a slip that would otherwise give every owner the weight 1
        raise WorkloadError(f"{file} has no array `weights` but one named `{near[0]}` (rename it)", _KEY)


def _taken(values: ArrayLike, name: str) -> NDArray[Any]:
    try:
        return as_array(values)
    except ArrayError as error:
        raise WorkloadError(f"`{name}` holds {error}", name) from None


def _check_vectors(vectors: NDArray[Any], owners: int, rounds: int) -> NDArray[Any]:
    """Returns a read-only view, rounds × owners × d, of contiguous rows: float32, float64 or whole numbers."""
    if vectors.ndim not in (2, 3) or vectors.shape[-1] == 0:
        shape = " × ".join(map(str, vectors.shape)) or "a single number"
        raise WorkloadError(f"`vectors` is {shape} (owners × d, or rounds × owners × d, with d ≥ 1)", "vectors")
    if vectors.shape[-2] != owners:
        raise WorkloadError(f"`vectors` is for {vectors.shape[-2]} owners, the scenario has {owners}", "vectors")
    if vectors.ndim == 3 and vectors.shape[0] != rounds:
        raise WorkloadError(f"`vectors` is for {vectors.shape[0]} rounds, the scenario has {rounds}", "vectors")
    dtype = vectors.dtype.newbyteorder("<")
    if dtype.kind not in WHOLE and dtype.itemsize != 4:
        dtype = np.dtype("<f8")
    with np.errstate(over="ignore"):  # wider than float64 and beyond it: infinite, and refused
        table = np.ascontiguousarray(vectors, dtype)
    _check_finite(table)
    return np.broadcast_to(table, (rounds, *table.shape[-2:]))


def _check_finite(table: NDArray[Any]) -> None:
    bad = np.argwhere(~np.isfinite(table).all(axis=-1))
    if len(bad):
        where = f"data-owner-{bad[0][-1]}" + (f" in round {bad[0][0]}" if table.ndim == 3 else "")
        more = f", and in {len(bad) - 1} more" if len(bad) > 1 else ""
        raise WorkloadError(f"NaN or Inf in the vector of {where}{more} (finite numbers)", "vectors")


def _check_weights(weights: NDArray[Any], owners: int) -> list[int]:
    if weights.shape != (owners,):
        shape = " × ".join(map(str, weights.shape)) or "a single number"
        raise WorkloadError(f"`weights` is {shape} (one for each of the scenario's {owners} owners)", "weights")
    return [_check_weight(index, weight) for index, weight in enumerate(weights.tolist())]


def _check_weight(index: int, weight: object) -> int:
    try:
        whole = as_weight(weight)
    except ArrayError:
        whole = 0
    if whole < 1:
        raise WorkloadError(f"the weight of data-owner-{index} is {weight} (a positive integer)", "weights")
    return whole
