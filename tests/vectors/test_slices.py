"""The cut for the compute nodes, with counts and weight."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncagg.vectors.ring import Ring, add_into
from asyncagg.vectors.slices import SliceError, SlicePlan


def cut(plan, extended):
    return [extended[slice(*plan.bounds(node))] for node in range(plan.nodes)]


def test_the_extended_vector_as_drawn():
    plan = SlicePlan(5, 2)
    extended = plan.extend(np.array([10, 11, 12, 13, 14], "<u4"), 7, Ring(18))
    assert extended.tolist() == [10, 11, 1, 12, 13, 14, 7, 1]
    assert [plan.bounds(0), plan.bounds(1), plan.length] == [(0, 3), (3, 8), 8]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.data())
def test_slices_cover_the_vector_and_sum_to_coordinates_weight_and_counts(dimension, data):
    plan = SlicePlan(dimension, data.draw(st.integers(1, dimension)))
    ring = data.draw(st.sampled_from([Ring(18), Ring(40)]))
    bounds = [plan.bounds(node) for node in range(plan.nodes)]
    assert [0, *(stop for _, stop in bounds)] == [*(start for start, _ in bounds), plan.length]
    sizes = [stop - start for start, stop in map(plan.coordinates, range(plan.nodes))]
    assert sum(sizes) == dimension
    assert max(sizes) - min(sizes) <= 1
    owners = [np.arange(dimension, dtype=ring.dtype) * (owner + 1) for owner in range(4)]
    total = ring.zeros(plan.length)
    for owner, words in enumerate(owners):
        add_into(total, plan.extend(words, owner + 5, ring))
    collected = plan.collect(cut(plan, total), ring)
    assert np.array_equal(collected.words, sum(owners[1:], owners[0]))
    assert (collected.weight, collected.counts) == (5 + 6 + 7 + 8, (4,) * plan.nodes)


def test_what_lies_above_the_ring_is_cut():
    plan, ring = SlicePlan(4, 2), Ring(10)
    total = plan.extend(np.arange(4, dtype="<u4"), 9, ring) + np.uint32(5 << 10)
    words, weight, counts = plan.collect(cut(plan, total), ring)
    assert (words.tolist(), weight, counts) == ([0, 1, 2, 3], 9, (1, 1))


@pytest.mark.parametrize("nodes", [0, -1, 4])
def test_every_node_has_a_coordinate(nodes):
    with pytest.raises(SliceError, match=f"{nodes} compute nodes cannot share 3 coordinates"):
        SlicePlan(3, nodes)


def test_a_vector_of_no_coordinates_has_no_plan():
    with pytest.raises(SliceError, match="share 0 coordinates"):
        SlicePlan(0, 1)


@pytest.mark.parametrize("node", [-1, 2])
def test_there_is_no_such_slice(node):
    with pytest.raises(SliceError, match="slices are 0 to 1"):
        SlicePlan(4, 2).bounds(node)


@pytest.mark.parametrize("words", [np.zeros(3, "<u4"), np.zeros(4, "<u8"), np.zeros((4, 1), "<u4")])
def test_vectors_of_another_shape_or_type_are_not_extended(words):
    with pytest.raises(SliceError, match="the vector must be 4 words of type uint32"):
        SlicePlan(4, 2).extend(words, 1, Ring(18))


@pytest.mark.parametrize("weight", [-1, 1 << 18])
def test_weights_beyond_the_ring_are_refused(weight):
    with pytest.raises(SliceError, match="within the ring of 18 bits"):
        SlicePlan(4, 2).extend(np.zeros(4, "<u4"), weight, Ring(18))


@pytest.mark.parametrize(
    ("sizes", "text"), [([3], "1 slices were given, the plan has 2"), ([3, 3], "slice 1 must be 4 words")]
)
def test_slices_that_are_not_the_plans_are_refused(sizes, text):
    with pytest.raises(SliceError, match=text):
        SlicePlan(4, 2).collect([np.zeros(size, "<u4") for size in sizes], Ring(18))
