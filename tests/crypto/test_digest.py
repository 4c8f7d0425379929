"""The parameter digest: one bit of difference anywhere shows, memory layout does not."""

import hashlib

import numpy as np
import pytest

from asyncagg.crypto.digest import parameter_digest
from asyncagg.crypto.kdf import encode_fields

PARAMETERS = {"weights": np.arange(6, dtype="f4").reshape(2, 3), "bias": np.zeros(2, "f4")}


def changed(**arrays):
    return PARAMETERS | arrays


def test_the_digest_as_described():
    state = hashlib.sha256(encode_fields("asyncagg parameters", 2))
    state.update(encode_fields("weights", "<f4", 2, 2, 3, 24) + PARAMETERS["weights"].tobytes())
    state.update(encode_fields("bias", "<f4", 1, 2, 8) + bytes(8))
    assert parameter_digest(PARAMETERS) == state.digest()


@pytest.mark.parametrize(
    "parameters",
    [
        changed(bias=np.array([0, np.nextafter(np.float32(0), np.float32(1))], "f4")),
        changed(bias=np.array([0.0, -0.0], "f4")),
        changed(bias=np.zeros(2)),
        changed(bias=np.zeros(2, "i4")),
        changed(bias=np.zeros((2, 1), "f4")),
        changed(bias=np.zeros((1, 2), "f4")),
        changed(weights=np.arange(6, dtype="f4").reshape(3, 2)),
        changed(more=np.zeros(0)),
        dict(reversed(PARAMETERS.items())),
        {"weights": PARAMETERS["weights"], "Bias": PARAMETERS["bias"]},
        {"weights": PARAMETERS["weights"]},
        {},
    ],
)
def test_every_difference_shows(parameters):
    assert parameter_digest(parameters) != parameter_digest(PARAMETERS)


def test_memory_layout_does_not_show():
    weights = PARAMETERS["weights"]
    for same in (np.asfortranarray(weights), weights.astype(">f4"), np.repeat(weights, 2, axis=1)[:, ::2]):
        assert parameter_digest(changed(weights=same)) == parameter_digest(PARAMETERS)


def test_scalars_and_no_parameters_have_digests():
    assert len({parameter_digest({}), parameter_digest({"a": np.array(1.0)})}) == 2
    assert parameter_digest({"a": np.array(1.0)}) != parameter_digest({"a": np.array([1.0])})
