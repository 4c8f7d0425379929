"""The border of `compute_gradient`: what passes, and how what does not is told, to others and to its owner."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.runs import Bad
from support.tensors import Tensor

from asyncagg.learning.gradients import Border, GradientFailed, unusable
from asyncagg.vectors.flatten import Layout
from asyncagg.vectors.vector_encoder import VectorEncoder

W, B = np.linspace(-1, 1, 6).reshape(2, 3), np.zeros(3, np.float32)
SECRET = "patient 4711"
LAYOUT = Layout(("w", "b", "n"), ((2, 3), (3,), ()), ("<f8", "<f4", "<i8"))
GOOD: dict[str, Any] = {"w": W, "b": B, "n": 3}
HERE = Path(__file__)
MUST = "compute_gradient must return"


def taken(what: Any, *, weighted: bool = True, max_weight: int = 9) -> tuple[np.ndarray, int]:
    return Border(LAYOUT, weighted, max_weight).taken(Bad(what), {}, 0)


def failure(what: Any, **options: Any) -> GradientFailed:
    with pytest.raises(GradientFailed) as caught:
        taken(what, **options)
    return caught.value


@pytest.mark.parametrize(
    ("weight", "weighted", "counts"), [(5, True, 5), (5.0, True, 5), (np.int8(9), True, 9), ("x", False, 1)]
)
def test_what_is_right_passes_in_the_order_of_the_layout(weight: Any, weighted: bool, counts: int) -> None:
    values, counted = taken(({"n": 3, "b": B, "w": W.tolist()}, weight), weighted=weighted)
    assert values.tolist() == [*W.reshape(-1), 0, 0, 0, 3]
    assert counted == counts


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (None, f"{MUST} (dict of arrays, weight), not None"),
        (GOOD, f"{MUST} (dict of arrays, weight), not a dict alone: without a weight"),
        ((GOOD,), f"{MUST} (dict of arrays, weight), not a tuple of another length than 2"),
        ((W, 1), f"{MUST} (dict of arrays, weight), not (ndarray, weight)"),
        (W, f"{MUST} (dict of arrays, weight), not a ndarray"),
        (
            ({**GOOD, "w": np.array(SECRET)}, 1),
            f"{MUST} arrays of numbers: 'w' holds text (real numbers: floats, integers or truth values)",
        ),
        (
            ({"w": W, "b": B, SECRET: 1}, 1),
            f"{MUST} arrays named 'w', 'b', 'n': 'n' missing; others are there"
            " (or override gradient_shapes of the model owner)",
        ),
        (
            ({**GOOD, "w": W[:1], "b": np.zeros(4711)}, 1),
            f"{MUST} 'w' of shape (2, 3), 'b' of shape (3,), as in gradient_shapes, and it has another",
        ),
        (
            (GOOD, 1.5),
            f"{MUST} (dict of arrays, weight): the weight is no whole number but a float"
            " (5, 5.0, or any type's whole number)",
        ),
        (
            (GOOD, 4711),
            f"{MUST} a weight from 1 to 9, since the run's max_weight is 9"
            " (set max_weight in the owner's class, or aggregation.max_weight, to the largest weight of any owner)",
        ),
    ],
)
def test_what_is_of_a_wrong_form_is_told_in_our_words_and_will_be_so_again(what: Any, told: str) -> None:
    error = failure(what)
    assert (error.told, error.lasting, error.trace) == (told, True, "")
    assert "4711" not in error.told
    assert error.own


def test_nothing_and_too_much_weight_are_told_alike_and_their_owner_sees_which() -> None:
    small, large = failure((GOOD, 0)), failure((GOOD, 10))
    assert small.told == large.told
    assert (small.own[-1], large.own[-2:]) == ("0", "10")


def test_where_the_bound_is_one_the_sentence_says_so() -> None:
    assert "a weight of 1, since the run's max_weight is 1 (set max_weight" in failure((GOOD, 5.0), max_weight=1).told


def test_of_what_is_raised_type_and_place_are_told_and_its_text_is_in_the_owners_traceback() -> None:
    error = failure(ValueError(SECRET))
    assert re.fullmatch(r"ValueError at runs\.py:\d+", error.told)
    assert not error.lasting
    assert error.trace.endswith(f"ValueError: {SECRET}\n")


def at(remark: str) -> str:
    """`test_gradients.py:102`: the line of this file that ends with the remark."""
    lines = HERE.read_text().splitlines()
    return f"{HERE.name}:{next(number for number, line in enumerate(lines, 1) if line.endswith(f'# {remark}'))}"


class Deep(Bad):
    """Fails within a library, and within its own code below that."""

    def compute_gradient(self, parameters: Any, round: int) -> Any:
        if self.what == "library":
            json.loads("{")  # in a library
        return json.loads("{}", object_hook=self._hook)

    def _hook(self, value: Any) -> Any:
        raise KeyError(SECRET)  # in its own hook


class Wrong(Bad):
    def compute_gradient(self) -> Any:  # takes nothing
        return self.what


@pytest.mark.parametrize(
    ("owner", "told"),
    [
        (Deep("library"), f"JSONDecodeError at {at('in a library')}"),
        (Deep("own"), f"KeyError at {at('in its own hook')}"),
        (Wrong(None), f"TypeError at {at('takes nothing')}"),
        (Bad(({**GOOD, "w": Tensor(W, requires_grad=True)}, 1)), "RuntimeError at tensors.py:"),
    ],
)
def test_the_place_is_the_innermost_line_of_the_users_own(owner: Bad, told: str) -> None:
    with pytest.raises(GradientFailed) as caught:
        Border(LAYOUT, True, 9).taken(owner, {}, 0)
    assert caught.value.told.startswith(told)


@pytest.mark.parametrize(
    ("what", "told", "own"),
    [
        (
            {"w": np.where(W[1, 1] == W, np.nan, W)},
            "compute_gradient returned NaN or infinity in 'w' (finite numbers)",
            "'w' holds NaN or infinity, first at index 4 (finite numbers)",
        ),
        (
            {"n": 4711},
            "compute_gradient returned whole numbers beyond 127 in 'n'"
            " (the most at 8 bits a value: more bits, or floats in the model)",
            "'n' holds whole numbers beyond 127, first at index 0"
            " (the most at 8 bits a value: more bits, or floats in the model)",
        ),
    ],
)
def test_where_values_cannot_be_encoded_the_position_is_for_the_owner_alone(what: Any, told: str, own: str) -> None:
    values, _ = taken(({**GOOD, **what}, 1))
    encoder = VectorEncoder.for_population(LAYOUT, 4, (8.0, 8.0, 8.0), 8, 9, "nearest")
    with pytest.raises(ValueError, match="holds") as caught:
        encoder.encode(values, 1)
    error = unusable(caught.value)
    assert (error.told, error.own, error.lasting) == (told, own, False)
