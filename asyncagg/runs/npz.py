"""Arrays in an `.npz` file: written as numpy does, read without trust in what wrote it.

Read are arrays of plain values in the form that `write` gives them: uncompressed, little-endian, in C order. Nothing is
unpickled, and no more memory is taken than the file is long.
"""

from __future__ import annotations

import math
import os
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

KINDS = "biufc"
"""Truth values, whole numbers with and without sign, floats, complex numbers: numpy's letters."""

_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    rb"\{'descr': '([<|][biufc][0-9]{1,2})', 'fortran_order': False, 'shape': \(([0-9]*(?:, ?[0-9]+)*),?\), \} *\n"
)
_HOSTILE = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,
    TypeError,
    OverflowError,
    struct.error,
)
"""All that zipfile and numpy raise for bytes that are no such file."""


class NpzError(ValueError):
    """A file that is none of `write`'s; the text says what is wrong with it."""


def write(file: BinaryIO | Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write as `numpy.savez` does, for any names: its own would take one called `file` for its argument."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asanyarray(array), allow_pickle=False)


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Every array by its name, writable; NpzError for hostile or damaged bytes, OSError where there are none."""
    with path.open("rb") as file:
        try:
            return _read(file)
        except _HOSTILE as error:
            raise NpzError(f"is damaged or no .npz file: {error}") from None


def _read(file: BinaryIO) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if any(each.compress_type != zipfile.ZIP_STORED or each.compress_size != each.file_size for each in entries):
            raise NpzError("it is compressed")
        if sum(each.file_size for each in entries) > os.fstat(file.fileno()).st_size:
            raise NpzError("its entries are longer than the file")
        arrays: dict[str, NDArray[Any]] = {}
        for each in entries:
            name = each.filename.removesuffix(".npy")
            if name in arrays or name == each.filename:
                raise NpzError(f"entry {each.filename!r}")
            arrays[name] = _array(archive.read(each), name)
    return arrays


def _array(data: bytes, name: str) -> NDArray[Any]:
    """The array of an `.npy` entry. Its shape is believed only if the values are there."""
    start = len(_MAGIC) + 2
    end = start + int.from_bytes(data[len(_MAGIC) : start], "little")
    header = _HEADER.fullmatch(data[start:end])
    if header is None or not data.startswith(_MAGIC):
        raise NpzError(f"{name}: not an array of plain values")
    dtype = np.dtype(header[1].decode())
    shape = tuple(int(length) for length in header[2].split(b",") if length)
    if math.prod(shape) * dtype.itemsize != len(data) - end:
        raise NpzError(f"{name}: {len(data) - end} bytes of values for shape {shape} of {dtype}")
    return np.frombuffer(data, dtype, offset=end).reshape(shape).copy()
