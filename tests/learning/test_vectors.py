"""Vectors from a file: what is read, and every way in which a file can be wrong."""

import contextlib
import errno
import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from asyncagg.learning import WorkloadError
from asyncagg.learning.vectors import from_arrays

GOOD = np.arange(12, dtype=np.float64).reshape(3, 4)


@pytest.fixture
def file(tmp_path: Path):
    """Writes `v.npz` with the given arrays."""

    def write(**arrays: object) -> str:
        np.savez(tmp_path / "v.npz", **arrays)
        return "v.npz"

    return write


def handed_in(workload, round_index: int) -> list[list[float]]:
    owners = [workload.owner(index) for index in range(workload.population)]
    return [owner.compute_gradient({}, round_index)[0]["vector"].tolist() for owner in owners]


def test_two_dimensions_serve_every_round(make, file):
    workload = make("vectors", rounds=5, file=file(vectors=GOOD))
    assert handed_in(workload, 0) == handed_in(workload, 4) == GOOD.tolist()
    assert (workload.population, workload.dimension, workload.max_weight) == (3, 4, 1)


def test_three_dimensions_hold_a_round_each(make, file):
    table = np.arange(24.0).reshape(2, 3, 4)
    workload = make("vectors", rounds=2, file=file(vectors=table))
    assert [handed_in(workload, r) for r in range(2)] == table.tolist()


def test_published_parameters_are_empty_and_the_gradient_is_one_vector(make, file, train):
    workload = make("vectors", file=file(vectors=GOOD))
    model_owner = workload.model_owner()
    assert model_owner.initial_parameters() == {}
    assert model_owner.gradient_shapes() == workload.shapes == {"vector": (4,)}
    assert train(workload, 1) == ({}, [{}])


def test_weights(make, file):
    workload = make("vectors", file=file(vectors=GOOD, weights=[3, 1, 2]))
    assert [workload.owner(index).compute_gradient({}, 0)[1] for index in range(3)] == [3, 1, 2]
    assert workload.max_weight == 3


@pytest.mark.parametrize(
    "weights", [[1.0, 2.0, 3.0], np.array([1, 2, 3], np.uint8), np.array([1, 2, 3], np.longdouble)]
)
def test_whole_weights_may_be_of_any_number_type(make, file, weights):
    workload = make("vectors", file=file(vectors=GOOD, weights=weights))
    weight = workload.owner(1).compute_gradient({}, 0)[1]
    assert (weight, type(weight)) == (2, int)


@pytest.mark.parametrize(
    ("dtype", "held_as"),
    [("f2", "f8"), ("<f4", "f4"), (">f4", "f4"), (">f8", "f8"), (np.longdouble, "f8"), (">i8", "i8"), ("u1", "u1")],
)
def test_vectors_may_be_of_any_real_type(make, file, dtype, held_as):
    workload = make("vectors", file=file(vectors=np.asfortranarray(GOOD.astype(dtype))))
    vector = workload.owner(2).compute_gradient({}, 0)[0]["vector"]
    assert vector.tolist() == GOOD[2].tolist()
    assert vector.dtype == np.dtype(held_as)
    assert vector.flags.c_contiguous
    assert not vector.flags.writeable


@pytest.mark.parametrize("dtype", ["i1", ">i4", "i8", "u8", "?"])
def test_whole_numbers_stay_whole(make, file, dtype):
    table = (GOOD % 2).astype(dtype)
    workload = make("vectors", file=file(vectors=table))
    assert handed_in(workload, 0) == table.tolist()
    assert workload.layout.whole == (True,)
    assert workload.largest_whole == 1
    assert make("vectors", file=file(vectors=GOOD)).layout.whole == (False,)
    assert make("vectors", file=file(vectors=np.array([[-3], [2], [0]]))).largest_whole == 3


def test_arrays_of_other_names_do_not_matter(make, file):
    assert make("vectors", file=file(vectors=GOOD, labels=[1])).max_weight == 1


def test_an_absolute_path(make, file, tmp_path):
    assert make("vectors", file=str(tmp_path / file(vectors=GOOD))).dimension == 4


def test_arrays_without_a_file():
    workload = from_arrays(GOOD.tolist(), [1, 2, 3], owners=3, rounds=1)
    assert handed_in(workload, 0) == GOOD.tolist()
    with pytest.raises(WorkloadError, match=r"weights: the weight of data-owner-0 is 0 \(a positive integer\)"):
        from_arrays(GOOD, [0, 1, 2], owners=3, rounds=1)


def with_one(value: float, shape: tuple[int, ...], *place: int) -> np.ndarray:
    array = np.zeros(shape)
    array[place] = value
    return array


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "v.npz has no array `vectors` (it holds nothing)"),
        ({"vector": GOOD, "x": GOOD}, "v.npz has no array `vectors` (it holds vector, x)"),
        (
            {"vectors": GOOD, "weight": [1, 1, 1]},
            "v.npz has no array `weights` but one named `weight` (rename it)",
        ),
        (
            {"vectors": with_one(NAN, (3, 4), 1, 2)},
            "NaN or Inf in the vector of data-owner-1 (finite numbers)",
        ),
        (
            {"vectors": with_one(-INF, (3, 4), 2, 0)},
            "NaN or Inf in the vector of data-owner-2 (finite numbers)",
        ),
        (
            {"vectors": with_one(NAN, (2, 3, 4), 1, 2, 3)},
            "NaN or Inf in the vector of data-owner-2 in round 1 (fin",
        ),
        (
            {"vectors": np.full((3, 4), INF)},
            "NaN or Inf in the vector of data-owner-0, and in 2 more (finite",
        ),
        ({"vectors": np.zeros(4)}, "`vectors` is 4 (owners × d, or rounds × owners × d, with d ≥ 1)"),
        ({"vectors": 1.0}, "`vectors` is a single number (owners × d"),
        ({"vectors": np.zeros((2, 2, 3, 4))}, "`vectors` is 2 × 2 × 3 × 4 (owners × d"),
        ({"vectors": np.zeros((3, 0))}, "`vectors` is 3 × 0 (owners × d"),
        ({"vectors": np.zeros((4, 3))}, "`vectors` is for 4 owners, the scenario has 3"),
        ({"vectors": np.zeros((2, 4, 3))}, "`vectors` is for 4 owners, the scenario has 3"),
        ({"vectors": np.zeros((1, 3, 4))}, "`vectors` is for 1 rounds, the scenario has 2"),
        ({"vectors": np.zeros((3, 3, 4))}, "`vectors` is for 3 rounds, the scenario has 2"),
        ({"vectors": np.zeros((3, 4), complex)}, "`vectors` holds complex numbers (real numbers: floats, integers or"),
        ({"vectors": np.full((3, 4), "1")}, "`vectors` holds text (real numbers: floats, integers or truth"),
        ({"vectors": GOOD, "weights": [1, 0, 1]}, "the weight of data-owner-1 is 0 (a positive integer)"),
        ({"vectors": GOOD, "weights": [1, 1, -2]}, "the weight of data-owner-2 is -2 (a positive integer)"),
        ({"vectors": GOOD, "weights": [1.5, 1, 1]}, "the weight of data-owner-0 is 1.5 (a positive integer)"),
        ({"vectors": GOOD, "weights": [NAN, 1, 1]}, "the weight of data-owner-0 is nan (a positive integer)"),
        ({"vectors": GOOD, "weights": [INF, 1, 1]}, "the weight of data-owner-0 is inf (a positive integer)"),
        ({"vectors": GOOD, "weights": [True, False, True]}, "the weight of data-owner-1 is False (a positive integer)"),
        ({"vectors": GOOD, "weights": ["1", "1", "1"]}, "`weights` holds text (real numbers"),
        ({"vectors": GOOD, "weights": [1, 1]}, "`weights` is 2 (one for each of the scenario's 3 owners)"),
        (
            {"vectors": GOOD, "weights": [[1, 1, 1]]},
            "`weights` is 1 × 3 (one for each of the scenario's 3 owners)",
        ),
        ({"vectors": GOOD, "weights": 2}, "`weights` is a single number (one for each"),
    ],
)
def test_bad_arrays(refused, file, arrays, message):
    error = refused("vectors", rounds=2, file=file(**arrays))
    assert error.key == "workload.file"
    assert error.message.removeprefix("v.npz: ").startswith(message)


def test_rows_of_unequal_length_are_objects_and_never_unpickled(refused, file):
    ragged = np.array([np.zeros(2), np.zeros(3), np.zeros(2)], dtype=object)
    error = refused("vectors", file=file(vectors=ragged))
    assert error.message.startswith("v.npz is not a sound .npz of numbers: Object arrays cannot be loaded")


def npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, GOOD)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage", npy(), pickle.dumps([1, 2]), b"PK\x03\x04" + bytes(40)],
    ids=["empty", "garbage", "npy", "pickle", "zip cut off"],
)
def test_not_an_npz(refused, tmp_path, content):
    (tmp_path / "v.npz").write_bytes(content)
    error = refused("vectors", file="v.npz")
    assert error.key == "workload.file"
    assert error.message.startswith("v.npz is not a sound .npz of numbers: ")


def test_an_archive_whose_member_is_no_array(refused, tmp_path):
    with zipfile.ZipFile(tmp_path / "v.npz", "w") as archive:
        archive.writestr("vectors", b"text")
    assert "v.npz" in refused("vectors", file="v.npz").message


@pytest.mark.parametrize(
    "header",
    [b"{'descr': '<f8', 'shape': (08, 4), ", b"{'descr': (", b"{1: 2, 'shape': (3, 4)}", b"x" * 20000],
)
def test_an_array_with_a_damaged_header(refused, tmp_path, header):
    with zipfile.ZipFile(tmp_path / "v.npz", "w") as archive:
        archive.writestr("vectors.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    error = refused("vectors", file="v.npz")
    assert error.message.startswith("v.npz is not a sound .npz of numbers: ")


def test_an_array_that_claims_to_be_enormous(refused, tmp_path):
    claimed = npy().replace(b"(3, 4), }".ljust(24), b"(3, 4000000000000000), }".ljust(24))
    assert len(claimed) == len(npy())
    with zipfile.ZipFile(tmp_path / "v.npz", "w") as archive:
        archive.writestr("vectors.npy", claimed)
    assert refused("vectors", file="v.npz").key == "workload.file"


def test_any_damaged_byte_is_refused_or_harmless(make, tmp_path, file):
    file(vectors=GOOD, weights=[1, 2, 3])
    sound = (tmp_path / "v.npz").read_bytes()
    for place in range(0, len(sound), 3):
        for damaged in (sound[:place], sound[:place] + bytes([sound[place] ^ 0x55]) + sound[place + 1 :]):
            (tmp_path / "v.npz").write_bytes(damaged)
            with contextlib.suppress(WorkloadError):
                assert handed_in(make("vectors", file="v.npz"), 0) == GOOD.tolist()


def test_no_such_file(refused, tmp_path):
    error = refused("vectors", file="missing/v.npz")
    path = tmp_path / "missing" / "v.npz"
    assert error.message == f"there is no file {path} (a relative path starts at the scenario's folder)"


def test_a_folder(refused, tmp_path):
    error = refused("vectors", file=".")
    assert error.message == f"{tmp_path} cannot be read: {os.strerror(errno.EISDIR)}"


def test_a_path_that_no_file_can_have(refused):
    assert refused("vectors", file="a\0b").key == "workload.file"
