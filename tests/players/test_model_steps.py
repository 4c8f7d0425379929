"""What the user's model returns is taken for what it is, and what it may not return is named."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import msgpack
import numpy as np
import pytest
from support.runs import Nothing, Vector

from asyncagg.engines.processes import codec
from asyncagg.learning import workload
from asyncagg.learning.errors import WorkloadError
from asyncagg.players.model_steps import StepFailed, learn
from asyncagg.players.outcome import RoundOutcome


class Measured(Nothing):
    """Its metrics are whatever it was told to return."""

    def __init__(self, metrics: Any) -> None:
        super().__init__()
        self.metrics = metrics

    def evaluate(self, parameters: dict[str, np.ndarray]) -> Any:
        return self.metrics


@pytest.mark.parametrize(
    "value",
    [0.5, 2, True, np.float32(0.1), np.float64(3), np.int64(7), np.bool_(True), np.array(0.25), Fraction(1, 4), np.nan],
)
def test_metrics_are_numbers_of_any_kind_and_become_floats(value: Any) -> None:
    learnt = learn(Measured({"loss": value}), {}, {})
    assert not isinstance(learnt, StepFailed)
    (figure,) = learnt[2].values()
    assert type(figure) is float
    assert figure == float(value) or np.isnan(value)
    told = msgpack.packb(codec.outcome(RoundOutcome(0, metrics=learnt[2])))
    assert str(codec.to_outcome(msgpack.unpackb(told)).metrics) == str({"loss": figure})


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"accuracy": 1, "loss": "0.5"}, "'loss' is of type str (a number, by name)"),
        ({"loss": None}, "'loss' is of type NoneType (a number, by name)"),
        ({"loss": np.zeros(2)}, "'loss' is of type ndarray (a number, by name)"),
        ({"loss": 1j}, "'loss' is of type complex (a number, by name)"),
        ({3: 1.0}, "3 is of type float (a number, by name)"),
        (None, "it returned NoneType (a dict of numbers by name)"),
        (0.5, "it returned float (a dict of numbers by name)"),
    ],
)
def test_a_metric_that_is_no_number_is_named(metrics: Any, said: str) -> None:
    failed = learn(Measured(metrics), {}, {})
    assert isinstance(failed, StepFailed)
    assert re.fullmatch(r"the model owner's evaluate raised TypeError at test_model_steps\.py:\d+", failed.told)
    assert failed.text == f"{failed.told}: {said}"
    assert failed.trace.endswith(f"TypeError: {said}\n")


class Stepping(Nothing):
    """Its next parameters are whatever it was told to return."""

    def __init__(self, updated: Any) -> None:
        super().__init__()
        self.updated = updated

    def apply(self, parameters: dict[str, np.ndarray], mean: dict[str, np.ndarray]) -> Any:
        return self.updated


@pytest.mark.parametrize(
    ("updated", "said"),
    [
        (None, "TypeError: it returned NoneType (a dict of named arrays)"),
        ({"w": "text"}, "ArrayError: 'w' holds text (real numbers: floats, integers or truth values)"),
        (
            {"w": np.ones(3) + 1j},
            "ArrayError: 'w' holds complex numbers (real numbers: floats, integers or truth values)",
        ),
        ({"w": np.zeros(9)}, "ValueError: it returned arrays of shapes {'w': (9,)} ({'w': (3,)}, as before)"),
        ({"v": np.zeros(3)}, "ValueError: it returned arrays of shapes {'v': (3,)} ({'w': (3,)}, as before)"),
        ({"w": np.array([0, np.nan, 1])}, "ValueError: 'w' has values that are not finite (finite ones; …"),
    ],
)
def test_parameters_that_cannot_follow_the_former_ones_are_named(updated: Any, said: str) -> None:
    told = learn(Stepping(updated), {"w": np.zeros(3)}, {})
    assert isinstance(told, StepFailed)
    kind, _, text = said.removesuffix("…").partition(": ")
    assert told.told.startswith(f"the model owner's apply raised {kind} at test_model_steps.py:")
    assert told.text.startswith(f"{told.told}: {text}")


def test_the_next_parameters_are_a_copy() -> None:
    mine = np.zeros(3)
    learnt = learn(Stepping({"w": mine}), {"w": np.ones(3)}, {})
    mine[:] = 7
    assert not isinstance(learnt, StepFailed)
    assert learnt[0]["w"].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("initial", "said"),
    [
        (None, "initial_parameters returned NoneType"),
        ({"s": "abc"}, "initial_parameters: 's' holds text"),
        ({"s": np.array([1, np.inf])}, "initial_parameters: 's' has values that are not finite"),
    ],
)
def test_a_model_that_begins_with_no_arrays_is_refused(initial: Any, said: str) -> None:
    class Odd(Nothing):
        def initial_parameters(self) -> Any:
            return initial

    with pytest.raises(WorkloadError, match=said):
        workload.given([Vector(np.zeros(60))], Odd())


def test_a_model_that_changes_what_it_was_given_changes_nothing_of_the_players() -> None:
    """What the player keeps is written down after a step that failed, and the step is taken again."""

    class InPlace(Nothing):
        shape = (3,)

        def apply(self, parameters: dict[str, np.ndarray], mean: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            parameters["w"] += 1
            parameters["w"] = np.resize(parameters["w"], self.shape)
            return parameters

        def evaluate(self, parameters: dict[str, np.ndarray]) -> dict[str, float]:
            parameters["w"] += 1
            return {}

    parameters, model = {"w": np.zeros(3)}, InPlace()
    learnt = learn(model, parameters, {})
    assert (learnt[0]["w"].tolist(), parameters["w"].tolist()) == ([1, 1, 1], [0, 0, 0])
    model.shape = (5,)
    failed = learn(model, parameters, {})
    assert isinstance(failed, StepFailed)
    assert failed.text.endswith(": it returned arrays of shapes {'w': (5,)} ({'w': (3,)}, as before)")
    assert parameters["w"].tolist() == [0, 0, 0]
