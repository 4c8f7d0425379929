"""The one table of accepted numbers: what passes as what, and one sentence for what does not."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from support.tensors import ByDlpack, Tensor

from asyncagg.vectors.arrays import ArrayError, as_array, as_arrays, as_type, as_weight, in_one

TAKEN = ["f2", "f4", "f8", np.longdouble, ">f4", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]
REFUSED = [
    (np.array(["1"]), "text"),
    (np.array([b"1"]), "text"),
    ("1", "text"),
    (np.array([1 + 0j]), "complex numbers"),
    ([1j], "complex numbers"),
    (None, "Python objects"),
    ([1, None], "Python objects"),
    ({"a": 1}, "Python objects"),
    (2**70, "Python objects"),
    ([[1], [1, 2]], "rows of different lengths"),
    (([1.0], [1.0, 2.0]), "rows of different lengths"),
    (np.array(["2020-01-01"], "M8[D]"), "dates"),
    (np.array([3], "m8[s]"), "times"),
    (np.zeros(2, [("a", "f4")]), "void32"),
    (np.ma.array([1.0, 2.0], mask=[False, True]), "masked values"),
]


@pytest.mark.parametrize("dtype", TAKEN)
def test_numbers_of_any_width_are_taken_as_they_are(dtype):
    given = np.array([0, 1], dtype)
    assert as_array(given) is given


@pytest.mark.parametrize("kind", [Tensor, ByDlpack, list, np.ma.array])
def test_what_can_be_read_as_an_array_is_one(kind):
    assert as_array(kind([1.5, 2.5])).tolist() == [1.5, 2.5]


@pytest.mark.parametrize(("value", "what"), REFUSED, ids=lambda each: each if isinstance(each, str) else "")
def test_the_rest_is_refused_in_one_sentence(value, what):
    with pytest.raises(ArrayError) as caught:
        as_array(value)
    assert str(caught.value).startswith(f"{what} (real numbers: floats, integers or truth values")


def test_what_a_value_raises_when_it_is_read_passes_through():
    with pytest.raises(RuntimeError, match="requires grad"):
        as_array(Tensor([1.0], requires_grad=True))


def test_one_cause_in_many_arrays_is_told_once():
    arrays = {f"layer-{index}": np.array(["a"]) if index % 2 else np.zeros(1) for index in range(122)}
    with pytest.raises(ArrayError) as caught:
        as_arrays(arrays | {"last": 1j})
    assert str(caught.value) == (
        "'layer-1' holds text (real numbers: floats, integers or truth values), and so with 60 more of 123 arrays; "
        "'last' holds complex numbers (real numbers: floats, integers or truth values)"
    )
    assert in_one([], 0) == ""


@pytest.mark.parametrize(
    "weight",
    [5, 5.0, True + 4, Decimal(5), Fraction(5), np.array(5), np.array(5.0), Tensor(5), Tensor(5.0)]
    + [np.dtype(dtype).type(5) for dtype in TAKEN if dtype != "?"],
)
def test_a_weight_is_a_whole_number_of_any_type(weight):
    assert (as_weight(weight), type(as_weight(weight))) == (5, int)


def test_truth_values_weigh_one_and_none():
    assert [as_weight(each) for each in (True, False, np.True_, np.False_)] == [1, 0, 1, 0]


def test_large_weights_are_exact():
    assert [as_weight(each) for each in (2**63 + 1, np.uint64(2**63 + 1), 1e20)] == [2**63 + 1, 2**63 + 1, 10**20]


@pytest.mark.parametrize(
    "weight", [2.5, np.float32(0.5), float("nan"), float("inf"), "5", b"5", 5 + 0j, np.complex64(5), None, [5], [1, 2]]
)
def test_a_weight_that_is_no_whole_number_is_refused_without_being_told(weight):
    with pytest.raises(
        ArrayError, match=r"^the weight is no whole number but a \w+ \(5, 5\.0, or any type's whole number\)$"
    ):
        as_weight(weight)


@pytest.mark.parametrize(
    ("values", "to", "stays"),
    [
        ([1.0, -2.0], "i8", True),
        ([1.5], "i8", False),
        ([np.nan], "i8", False),
        ([2.0**63], "i8", False),
        ([-1.0], "u8", False),
        ([300], "u1", False),
        ([0, 1], "?", True),
        ([0.0, 1.0], "?", True),
        ([2], "?", False),
        ([np.uint64(2**63)], "i8", False),
        ([1.1], "f4", True),
        ([1e300], "f4", True),  # rounded to infinity, which whoever asks refuses
        ([2**53 + 1], "f8", True),
    ],
)
def test_an_array_takes_another_type_where_its_whole_numbers_fit(values, to, stays):
    given = np.array(values)
    if stays:
        assert as_type(given, np.dtype(to)).dtype == np.dtype(to)
    else:
        with pytest.raises(ArrayError, match="that are not whole, or beyond"):
            as_type(given, np.dtype(to))


def test_another_type_is_always_a_copy():
    given = np.zeros(3)
    as_type(given, given.dtype)[:] = 1
    assert given.tolist() == [0, 0, 0]
