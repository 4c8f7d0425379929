"""Published parameters: what the model owner digests is what every owner gets, whatever the arrays were."""

import numpy as np
import pytest

from asyncagg.crypto.digest import parameter_digest
from asyncagg.players.published import ParametersError, as_published, pack_parameters, unpack_parameters
from asyncagg.protocols import messages as m

KINDS = {
    "float32": np.ones((2, 3), np.float32),
    "float64": np.ones((2, 3)),
    "big-endian": np.ones(4, ">f8"),
    "half": np.ones(4, np.float16),
    "integers": np.arange(6).reshape(2, 3),
    "large integers": np.array([2**63 - 1, -(2**63)]),
    "bytes": np.arange(6, dtype=np.uint8),
    "big-endian integers": np.arange(6, dtype=">u4"),
    "truth values": np.array([True, False]),
    "wider than float64": np.ones(3, np.longdouble),
    "a number": np.float64(3.0),
    "nothing": np.zeros((0, 4)),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "every other": np.arange(10.0)[::2],
}


def published(arrays: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], m.Publish]:
    ready = as_published(arrays)
    described, data = pack_parameters(ready)
    _, message = m.decode(*m.encode((0, 1), m.Publish(data, described, b"\x01", b"", b"")))  # type: ignore[arg-type]
    assert isinstance(message, m.Publish)
    return ready, message


@pytest.mark.parametrize("kind", list(KINDS))
def test_arrays_of_every_kind_arrive_with_the_digest_they_left_with(kind: str) -> None:
    ready, message = published({"a": KINDS[kind], "b": np.zeros(1)})
    arrived = unpack_parameters(message)
    assert parameter_digest(arrived) == parameter_digest(ready)
    np.testing.assert_array_equal(arrived["a"], KINDS[kind])
    assert not arrived["a"].flags.writeable


@pytest.mark.parametrize(
    "described",
    [
        (("a", (3,), "<f4"),),
        (("a", (1,), "<f4"),),
        (("a", (2,), ">i4"),),
        (("a", (1,), "<c8"),),
        (("a", (2,), "<U1"),),
        (("a", (2,), "O"),),
        (("a", (1,), "<f4"), ("a", (1,), "<f4")),
        (("a", (1,) * 70 + (2,), "<f4"),),
        (("a", (0, 2**31 - 1, 2**31 - 1, 2**31 - 1), "<f8"), ("b", (2,), "<f4")),
        (("a", (2**31 - 1,) * 9, "<f8"),),
    ],
)
def test_descriptions_that_do_not_fit_the_bytes_are_refused(described: tuple[object, ...]) -> None:
    message = m.Publish(bytes(8), described, b"\x01", b"", b"")  # type: ignore[arg-type]
    with pytest.raises(ParametersError, match="parameter"):
        unpack_parameters(message)


def test_arrays_arrive_in_the_type_that_they_have() -> None:
    kinds = ["<f2", "<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "|b1"]
    arrived = unpack_parameters(published({kind: np.ones(3, kind) for kind in kinds})[1])
    assert [array.dtype.str for array in arrived.values()] == kinds


def test_bytes_that_are_no_truth_values_are_refused() -> None:
    with pytest.raises(ParametersError, match=r"parameter 'a': bytes that are no truth values \(must be 0 or 1\)"):
        unpack_parameters(m.Publish(b"\0\1\2", (("a", (3,), "|b1"),), b"\x01", b"", b""))
