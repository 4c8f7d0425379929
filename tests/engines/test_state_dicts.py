"""State dicts as image and language models have them: trained right, or refused before an input leaves its owner."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.runs import Arrays, scenario

import asyncagg
from asyncagg.api import Result

pytestmark = pytest.mark.filterwarnings("ignore::asyncagg.OwnerWarning")  # what it says is in the reason

BATCHES = 391
"""Seen by a counter of batch normalisation in one round."""
WIDTHS = (4, 8, 16, 32)
"""Channels of the four stages: a sixteenth of those of the real one."""
COUNTER = "num_batches_tracked"


def batch_norm(name: str, channels: int) -> Arrays:
    return {
        f"{name}.weight": np.ones(channels, np.float32),
        f"{name}.bias": np.zeros(channels, np.float32),
        f"{name}.running_mean": np.zeros(channels, np.float32),
        f"{name}.running_var": np.ones(channels, np.float32),
        f"{name}.{COUNTER}": np.array(0, np.int64),
    }


def convolution(name: str, out: int, into: int, side: int) -> Arrays:
    return {f"{name}.weight": np.zeros((out, into, side, side), np.float32)}


def resnet_18() -> Arrays:
    """Names, order, dtypes and numbers of dimensions of the 122 tensors; narrower."""
    arrays = convolution("conv1", WIDTHS[0], 3, 7) | batch_norm("bn1", WIDTHS[0])
    into = WIDTHS[0]
    for stage, out in enumerate(WIDTHS, 1):
        for block in range(2):
            name = f"layer{stage}.{block}"
            arrays |= convolution(f"{name}.conv1", out, into, 3) | batch_norm(f"{name}.bn1", out)
            arrays |= convolution(f"{name}.conv2", out, out, 3) | batch_norm(f"{name}.bn2", out)
            if into != out:
                arrays |= convolution(f"{name}.downsample.0", out, into, 1) | batch_norm(f"{name}.downsample.1", out)
            into = out
    return arrays | {"fc.weight": np.zeros((10, into), np.float32), "fc.bias": np.zeros(10, np.float32)}


class Trainer(asyncagg.DataOwner):
    """Sends its state dict after some training: floats a little further, counters by the batches it saw."""

    max_weight = 3

    def __init__(self, index: int, **odd: Any) -> None:
        self.index = index
        self.odd = odd
        """Entries that it sends in place of the right ones; None: not at all."""
        self.sent: list[Arrays] = []

    def compute_gradient(self, parameters: Arrays, round: int) -> tuple[Arrays, int]:
        draw = np.random.default_rng([self.index, round])
        trained: Arrays = {
            name: each + BATCHES + self.index if each.dtype == np.int64 else each + self._step(draw, each)
            for name, each in parameters.items()
        }
        self.sent.append(trained)
        told = {name: each for name, each in (trained | self.odd).items() if each is not None}
        return told, 1 + self.index

    @staticmethod
    def _step(draw: np.random.Generator, each: np.ndarray) -> np.ndarray:
        return draw.normal(0, 0.01, each.shape).astype(np.float32)


class Server(asyncagg.ModelOwner):
    """The mean of the state dicts is the next one; counters are whole again."""

    def __init__(self, initial: Arrays) -> None:
        self.initial = initial
        self.means: list[Arrays] = []

    def initial_parameters(self) -> Arrays:
        return self.initial

    def apply(self, parameters: Arrays, mean: Arrays) -> Arrays:
        self.means.append(mean)
        return {
            name: np.rint(each).astype(np.int64) if parameters[name].dtype == np.int64 else each
            for name, each in mean.items()
        }


def play(owners: list[Trainer], server: Server, engine: str = "sim", **tables: Any) -> Result:
    values = scenario("secagg", engine=engine, aggregation={"weighting": "examples"}, **tables)
    return asyncagg.run(values, owners=owners, model_owner=server)


@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_a_state_dict_of_122_tensors_with_counters_trains_right(engine: str) -> None:
    initial = resnet_18()
    assert len(initial) == 122
    owners, server = [Trainer(index) for index in range(3)], Server(initial)
    result = play(owners, server, engine, rounds=3)
    assert result["status"] == "ok"
    assert [(each["attempts"], each["exact"], each["warnings"]) for each in result["rounds"]] == [(1, True, [])] * 3
    for index, mean in enumerate(server.means):
        assert list(mean) == list(initial)
        for name, each in mean.items():
            right = sum((1 + owner.index) * np.asarray(owner.sent[index][name], float) for owner in owners) / 6
            bound = 0 if name.endswith(COUNTER) else result["rounds"][index]["error_bound"] + 1e-6  # float32's own
            assert np.abs(np.asarray(each, float) - right).max() <= bound, name
    assert {name: each.dtype for name, each in result.model.items()} == {n: each.dtype for n, each in initial.items()}
    assert result.model[f"bn1.{COUNTER}"] == 3 * (BATCHES + 1)  # each mean is a third more


@pytest.mark.parametrize(
    ("odd", "attempts", "why"),
    [
        ({f"bn1.{COUNTER}": np.array(40_000)}, 3, f"returned whole numbers beyond 32767 in 'bn1.{COUNTER}'"),
        ({"fc.bias": np.full(10, np.nan, np.float32)}, 3, "compute_gradient returned NaN or infinity in 'fc.bias'"),
        (
            {"conv1.weight": np.zeros((4, 3, 7), np.float32)},
            1,
            "compute_gradient must return 'conv1.weight' of shape (4, 3, 7, 7)",
        ),
        ({f"layer4.1.bn2.{COUNTER}": None}, 1, f"and 119 more: 'layer4.1.bn2.{COUNTER}' missing"),
    ],
)
def test_one_that_cannot_be_summed_is_refused_before_an_input_leaves_its_owner(
    odd: dict[str, Any], attempts: int, why: str
) -> None:
    """Of what another attempt cannot change there is one attempt alone; a value might be another one."""
    owners, server = [Trainer(index, **odd) for index in range(3)], Server(resnet_18())
    result = play(owners, server)
    (each,) = result["rounds"]
    assert (result["status"], each["attempts"], server.means) == ("failed", attempts, [])
    assert why in result["reason"]
    assert "\n" not in result["reason"]
    sent = {record.kind for record in result.trace.records if record.event == "message" and "owner-" in record.sender}
    assert "masked-slice" not in sent


def test_an_update_of_low_rank_and_small_values_trains_right_with_a_clip_of_its_own() -> None:
    """An adapter of rank 4 beside counters: steps of 1e-4, for which the common clip would be far too coarse."""
    shapes = {f"block{layer}.lora_{side}": (4, 32) if side == "A" else (32, 4) for layer in range(6) for side in "AB"}
    initial: Arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}

    class Adapter(Trainer):
        @staticmethod
        def _step(draw: np.random.Generator, each: np.ndarray) -> np.ndarray:
            return draw.normal(0, 1e-4, each.shape).astype(np.float32)

    owners, server = [Adapter(index) for index in range(3)], Server(initial)
    result = play(owners, server, encoding={"clip_by": {"*.lora_?": 0.002}})
    assert result["rounds"][0]["warnings"] == []
    for name, mean in server.means[0].items():
        right = sum((1 + owner.index) * owner.sent[0][name].astype(float) for owner in owners) / 6
        assert np.std(mean - right) < 1e-3 * np.std(right), name
    coarse = play([Adapter(index) for index in range(3)], Server(initial))
    (warning,) = coarse["rounds"][0]["warnings"]
    assert "values are below one quantum" in warning
