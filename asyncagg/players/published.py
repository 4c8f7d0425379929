"""Published parameters as bytes on the wire and back: named arrays one after another, floats only."""

from __future__ import annotations

import math

import msgpack
import numpy as np

from asyncagg.learning.owners import Arrays
from asyncagg.protocols import messages as m

FLOATS = ("<f4", "<f8")


class ParametersError(ValueError):
    """Published bytes that are not the arrays they claim to be."""


def as_published(parameters: Arrays) -> Arrays:
    """The arrays as they arrive at an owner: float64 stays what it is, everything else becomes float32."""
    wide = {name: np.asarray(array).dtype == np.float64 for name, array in parameters.items()}
    return {name: np.asarray(array, dtype="<f8" if wide[name] else "<f4") for name, array in parameters.items()}


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
        if dtype not in FLOATS or name in arrays:
            raise ParametersError(f"parameter {name!r}: dtype {dtype!r} (must be one of {', '.join(FLOATS)}, once)")
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if offset + size > len(data):
            raise ParametersError(f"parameter {name!r}: {size} bytes from {offset}, only {len(data)} were sent")
        try:
            array = np.frombuffer(data[offset : offset + size], dtype=dtype).reshape(shape)
        except ValueError as error:  # more dimensions than numpy has, or too large beside one of length 0
            raise ParametersError(f"parameter {name!r}: {error}") from None
        array.flags.writeable = False
        arrays[name] = array
        offset += size
    if offset != len(data):
        raise ParametersError(f"parameters take {offset} bytes, {len(data)} were sent")
    return arrays
