"""The digest of parameters, by which players find out that they were given the same ones, bit for bit."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asyncagg.crypto.kdf import encode_fields


def parameter_digest(parameters: Mapping[str, NDArray[Any]]) -> bytes:
    """SHA-256 over names, dtypes, shapes and contents, in the mapping's order; 32 bytes.

    Contents are the arrays' bytes in C order, little-endian, so that one unit in the last place, a zero's
    sign or the order of names makes another digest, and memory layout does not.
    """
    state = hashlib.sha256(encode_fields("asyncagg parameters", len(parameters)))
    for name, array in parameters.items():
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        state.update(encode_fields(name, little.dtype.str, array.ndim, *array.shape, little.nbytes))
        state.update(little.reshape(-1).view(np.uint8).data)
    return state.digest()
