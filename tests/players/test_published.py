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
        (("a", (2,), "<i4"),),
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
