"""Named arrays to a flat vector and back, in the order of the model's gradient."""

import numpy as np
import pytest

from asyncagg.vectors.flatten import Layout, LayoutError

PARAMETERS = {
    "weights": np.arange(6, dtype=np.float32).reshape(2, 3),
    "bias": np.array([10.0, 11.0], np.float32),
    "scale": np.array(12.0, np.float32),
    "none": np.zeros((0, 4), np.float32),
}
LAYOUT = Layout(("weights", "bias", "scale", "none"), ((2, 3), (2,), (), (0, 4)), ("<f4",) * 4)
COUNTED = Layout(("w", "n", "seen"), ((2,), (), (3,)), ("<f4", "<i8", "|b1"))


def test_what_a_layout_says():
    assert LAYOUT.dimension == 9
    assert LAYOUT.bounds == ((0, 6), (6, 8), (8, 9), (9, 9))
    assert LAYOUT.whole == (False,) * 4
    assert COUNTED.whole == (False, True, True)


def test_order_is_the_layouts_whatever_the_order_given():
    flat = LAYOUT.flatten(dict(reversed(PARAMETERS.items())))
    assert flat.dtype == np.float32
    assert flat.tolist() == [0, 1, 2, 3, 4, 5, 10, 11, 12]


def test_round_trip_keeps_names_shapes_and_values():
    back = LAYOUT.unflatten(LAYOUT.flatten(PARAMETERS))
    assert list(back) == list(PARAMETERS)
    for name, array in PARAMETERS.items():
        assert back[name].dtype == array.dtype
        assert np.array_equal(back[name], array)
        assert back[name].shape == array.shape


@pytest.mark.parametrize(
    ("given", "flat"),
    [("f2", "f4"), ("f4", "f4"), ("f8", "f8"), (np.longdouble, "f8"), ("i1", "f8"), ("u8", "f8"), ("?", "f8")],
)
def test_types_widen_to_float64_at_most(given, flat):
    assert LAYOUT.flatten(PARAMETERS | {"bias": np.array([1, 0], given)}).dtype == np.dtype(flat)


def test_whole_numbers_stay_what_they_are_beside_narrow_floats():
    flat = COUNTED.flatten(
        {"w": np.ones(2, np.float16), "n": np.array(2**31 - 1), "seen": np.array([True, False, True])}
    )
    assert flat.dtype == np.float64
    assert flat.tolist() == [1, 1, 2**31 - 1, 1, 0, 1]


def test_what_is_beyond_float64_is_infinite_there():
    wide = np.array([np.finfo(np.longdouble).max, 1], np.longdouble)
    assert LAYOUT.flatten(PARAMETERS | {"bias": wide})[6:8].tolist() == [np.inf, 1]


def test_flattening_copies_and_takes_any_memory_order():
    parameters = PARAMETERS | {"weights": np.asfortranarray(PARAMETERS["weights"])}
    flat = LAYOUT.flatten(parameters)
    flat[:] = -1
    assert parameters["weights"][1, 2] == 5
    only = Layout(("a",), ((3,),), ("<f8",))
    given = np.ones(3)
    only.flatten({"a": given})[:] = 2
    assert given.tolist() == [1, 1, 1]


def test_unflattening_copies():
    flat = np.arange(3.0)
    for array in Layout(("a", "b"), ((2,), ()), ("<f8", "<f8")).unflatten(flat).values():
        array[...] = -1
    assert flat.tolist() == [0, 1, 2]


def test_no_arrays_are_an_empty_vector():
    layout = Layout((), (), ())
    assert layout.dimension == 0
    assert layout.flatten({}).shape == (0,)
    assert layout.unflatten(np.empty(0)) == {}


def test_all_mistakes_are_told_by_name_with_what_would_be_right():
    wrong = {
        "weights": np.zeros((3, 2)),
        "scale": np.array(1),
        "bais": np.zeros(2),
        "none": PARAMETERS["none"],
        "x": np.zeros(2),
    }
    with pytest.raises(LayoutError) as caught:
        LAYOUT.flatten(wrong)
    assert str(caught.value).split("; ") == [
        "'bias' is missing (shape (2,))",
        "'weights' has shape (3, 2) (must be (2, 3))",
        "'bais' is unknown (did you mean 'bias'?), and so with 1 more of 4 arrays",
    ]


def test_one_mistake_in_many_arrays_is_told_once():
    names = tuple(f"layer-{index}" for index in range(122))
    layout = Layout(names, ((2, 2),) * 122, ("<f4",) * 122)
    with pytest.raises(LayoutError) as caught:
        layout.flatten({name: np.zeros(4) for name in names})
    assert str(caught.value) == "'layer-0' has shape (4,) (must be (2, 2)), and so with 121 more of 122 arrays"
    with pytest.raises(LayoutError) as caught:
        layout.flatten({"gradient": np.zeros(4)})
    assert str(caught.value) == (
        "'layer-0' is missing (shape (2, 2)), and so with 121 more of 122 arrays; 'gradient' is unknown"
        " (names are 'layer-0', 'layer-1', 'layer-2', 'layer-3', 'layer-4' and 117 more)"
    )


@pytest.mark.parametrize("flat", [np.zeros(8), np.zeros(10), np.zeros((9, 1))])
def test_a_vector_of_another_length_is_refused(flat):
    with pytest.raises(LayoutError, match="flat vector of 9 values"):
        LAYOUT.unflatten(flat)


def test_layouts_pair_names_shapes_and_dtypes():
    with pytest.raises(LayoutError, match="different names"):
        Layout(("a", "a"), ((1,), (1,)), ("<f4", "<f4"))
    with pytest.raises(LayoutError, match="one shape and one dtype"):
        Layout(("a",), (), ("<f4",))
