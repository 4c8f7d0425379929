"""Named arrays to a flat vector and back, in the order of the published parameters."""

import numpy as np
import pytest

from asyncagg.vectors.flatten import Layout, LayoutError

PARAMETERS = {
    "weights": np.arange(6, dtype=np.float32).reshape(2, 3),
    "bias": np.array([10.0, 11.0], np.float32),
    "scale": np.array(12.0, np.float32),
    "none": np.zeros((0, 4), np.float32),
}


def test_the_layout_of_parameters():
    layout = Layout.from_parameters(PARAMETERS)
    assert layout.names == ("weights", "bias", "scale", "none")
    assert layout.shapes == ((2, 3), (2,), (), (0, 4))
    assert layout.dtypes == ("<f4",) * 4
    assert layout.dimension == 9
    assert hash(layout) == hash(Layout.from_parameters(PARAMETERS))


def test_order_is_the_layouts_whatever_the_order_given():
    layout = Layout.from_parameters(PARAMETERS)
    flat = layout.flatten(dict(reversed(PARAMETERS.items())))
    assert flat.dtype == np.float32
    assert flat.tolist() == [0, 1, 2, 3, 4, 5, 10, 11, 12]


def test_round_trip_keeps_names_shapes_and_values():
    layout = Layout.from_parameters(PARAMETERS)
    back = layout.unflatten(layout.flatten(PARAMETERS))
    assert list(back) == list(PARAMETERS)
    for name, array in PARAMETERS.items():
        assert back[name].dtype == array.dtype
        assert np.array_equal(back[name], array)
        assert back[name].shape == array.shape


def test_types_widen_on_the_way_in_and_are_chosen_on_the_way_out():
    layout = Layout.from_parameters(PARAMETERS)
    flat = layout.flatten(PARAMETERS | {"bias": np.array([0.1, 0.2])})
    assert flat.dtype == np.float64
    assert {array.dtype for array in layout.unflatten(flat).values()} == {np.dtype("f4")}
    assert {array.dtype for array in layout.unflatten(flat, np.float64).values()} == {np.dtype("f8")}


def test_flattening_copies_and_takes_any_memory_order():
    layout = Layout.from_parameters(PARAMETERS)
    parameters = PARAMETERS | {"weights": np.asfortranarray(PARAMETERS["weights"])}
    flat = layout.flatten(parameters)
    flat[:] = -1
    assert parameters["weights"][1, 2] == 5
    only = Layout(("a",), ((3,),), ("<f8",))
    given = np.ones(3)
    only.flatten({"a": given})[:] = 2
    assert given.tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", [None, np.float32, np.float64])
def test_unflattening_copies(dtype):
    flat = np.arange(3.0)
    for array in Layout(("a", "b"), ((2,), ()), ("<f8", "<f8")).unflatten(flat, dtype).values():
        array[...] = -1
    assert flat.tolist() == [0, 1, 2]


def test_no_parameters_are_an_empty_vector():
    layout = Layout.from_parameters({})
    assert layout.dimension == 0
    assert layout.flatten({}).shape == (0,)
    assert layout.unflatten(np.empty(0)) == {}


def test_all_mistakes_are_told_by_name_with_what_would_be_right():
    layout = Layout.from_parameters(PARAMETERS)
    wrong = {
        "weights": np.zeros((3, 2)),
        "scale": np.array(1),
        "bais": np.zeros(2),
        "none": PARAMETERS["none"],
    }
    with pytest.raises(LayoutError) as caught:
        layout.flatten(wrong)
    assert str(caught.value).split("; ") == [
        "'bias' is missing (shape (2,))",
        "'weights' has shape (3, 2) (must be (2, 3))",
        "'scale' holds int64 (must be floating-point numbers)",
        "'bais' is unknown (names are 'weights', 'bias', 'scale', 'none')",
    ]


@pytest.mark.parametrize("flat", [np.zeros(8), np.zeros(10), np.zeros((9, 1))])
def test_a_vector_of_another_length_is_refused(flat):
    with pytest.raises(LayoutError, match="flat vector of 9 values"):
        Layout.from_parameters(PARAMETERS).unflatten(flat)


def test_parameters_are_floating_point():
    with pytest.raises(LayoutError, match="'steps' holds int64"):
        Layout.from_parameters({"steps": np.array([1])})


def test_layouts_pair_names_shapes_and_dtypes():
    with pytest.raises(LayoutError, match="different names"):
        Layout(("a", "a"), ((1,), (1,)), ("<f4", "<f4"))
    with pytest.raises(LayoutError, match="one shape and one dtype"):
        Layout(("a",), (), ("<f4",))
