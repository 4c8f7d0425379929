"""Synthetic vectors: seeded, bounded, cheap."""

import numpy as np
import pytest


def vector(workload, index: int, round_index: int) -> np.ndarray:
    return workload.owner(index).compute_gradient({}, round_index)[0]["vector"]


def test_vectors_follow_seed_owner_and_round(make):
    workload = make("synthetic", owners=10, dimension=50)
    first = vector(workload, 3, 1)
    np.testing.assert_array_equal(first, vector(make("synthetic", owners=10_000, dimension=50), 3, 1))
    for other in (
        vector(workload, 4, 1),
        vector(workload, 3, 2),
        vector(make("synthetic", seed=1, dimension=50), 2, 1),
    ):
        assert not np.array_equal(first, other)
    assert first.dtype == np.float32
    assert np.abs(first).max() <= 1


def test_weight_is_one_and_the_mean_is_a_step(make, train):
    workload = make("synthetic", dimension=4)
    assert workload.max_weight == 1
    assert (workload.dimension, workload.shapes) == (4, {"vector": (4,)})
    assert workload.owner(0).compute_gradient({}, 0)[1] == 1
    parameters, metrics = train(workload, 2)
    expected = -sum(vector(workload, index, r).astype(float) for index in range(3) for r in range(2)) / 3
    assert parameters["vector"] == pytest.approx(expected, abs=1e-6)
    assert metrics == [{}, {}]


def test_the_usual_dimension(make):
    assert make("synthetic").dimension == 1000


@pytest.mark.parametrize(("dimension", "gib"), [(10**14, "1490116"), (10**23, "1490116119384766")])
def test_a_dimension_that_no_memory_holds(refused, dimension, gib):
    error = refused("synthetic", dimension=dimension)
    assert error.key == "workload.dimension"
    assert error.message.startswith(f"makes vectors of {dimension} coordinates, and {gib}")
    assert error.message.endswith(" GiB do not fit into memory (fewer)")
