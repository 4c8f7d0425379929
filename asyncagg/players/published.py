"""Published parameters as bytes on the wire and back: named arrays one after another, each of its own type."""

from __future__ import annotations

import math

import msgpack
import numpy as np

from asyncagg.learning.owners import Arrays
from asyncagg.protocols import messages as m

TRUTH_VALUES = "|b1"
TYPES = ("<f2", "<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", TRUTH_VALUES)


class ParametersError(ValueError):
    """Published bytes that are not the arrays they claim to be."""


def as_published(parameters: Arrays) -> Arrays:
    """The arrays as they arrive at an owner: of their own type, little-endian; floats beyond 8 bytes as float64."""
    dtypes = {name: np.asarray(array).dtype.newbyteorder("<") for name, array in parameters.items()}
    return {
        name: np.asarray(array, dtype=dtypes[name] if dtypes[name].str in TYPES else "<f8")
        for name, array in parameters.items()
    }


def pack_parameters(published: Arrays) -> tuple[tuple[tuple[str, tuple[int, ...], str], ...], bytes]:
    """`(name, shape, dtype)` of every array of `as_published`, in order, and all their bytes."""
    described = tuple((name, array.shape, array.dtype.str) for name, array in published.items())
    return described, b"".join(array.tobytes() for array in published.values())


def description_bytes(parameters: Arrays) -> int:
    """Bytes that names, shapes and types of published arrays take in a message; both types take as many."""
    described, _ = pack_parameters(as_published(parameters))
    return len(msgpack.packb(described))


def unpack_parameters(message: m.Publish) -> Arrays:
    """The arrays of a `Publish`, read-only views of its payload; ParametersError if they do not fit it."""
    arrays: Arrays = {}
    data, offset = memoryview(message.data), 0
    for name, shape, dtype in message.arrays:
        if dtype not in TYPES or name in arrays:
            raise ParametersError(f"parameter {name!r}: dtype {dtype!r} (must be one of {', '.join(TYPES)}, once)")
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if offset + size > len(data):
            raise ParametersError(f"parameter {name!r}: {size} bytes from {offset}, only {len(data)} were sent")
        try:
            array = np.frombuffer(data[offset : offset + size], dtype=dtype).reshape(shape)
        except ValueError as error:  # more dimensions than numpy has, or too large beside one of length 0
            raise ParametersError(f"parameter {name!r}: {error}") from None
        if dtype == TRUTH_VALUES and array.view(np.uint8).max(initial=0) > 1:
            raise ParametersError(f"parameter {name!r}: bytes that are no truth values (must be 0 or 1)")
        array.flags.writeable = False
        arrays[name] = array
        offset += size
    if offset != len(data):
        raise ParametersError(f"parameters take {offset} bytes, {len(data)} were sent")
    return arrays
