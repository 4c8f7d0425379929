"""Owners whose own code fails, each in a way of its own: given to a run in this process, or as the module of others."""

from typing import Any

import numpy as np

import asyncagg

SECRET = "patient 4711"
WAYS = ("raises", "nothing", "no weight", "too heavy", "a fraction", "NaN", "another shape", "text")
"""Of `data-owner-0` … `data-owner-7`; those after them do as they should."""
TOLD = (
    "ValueError at failing.py:",
    "compute_gradient must return (dict of arrays, weight), not None",
    "compute_gradient must return (dict of arrays, weight), not a dict alone: without a weight",
    "compute_gradient must return a weight from 1 to 9, since the run's max_weight is 9",
    "compute_gradient must return (dict of arrays, weight): the weight is no whole number but a float",
    "compute_gradient returned NaN or infinity in 'w' (finite numbers)",
    "compute_gradient must return 'w' of shape (6,), as in gradient_shapes, and it has another",
    "compute_gradient must return arrays of numbers: 'w' holds text",
)
"""How what is told of each begins."""
OWN = (
    f"ValueError: {SECRET}",
    "not None",
    "without a weight",
    "it returned the weight 4711",
    "no whole number",
    "first at index 4",
    "'w' has shape (4711,) (must be (6,))",
    "'w' holds text",
)
"""What its owner's own log says of each."""
PLAYERS = tuple(f"data-owner-{index}" for index in range(len(WAYS)))
GOOD = 16
COUNT = len(WAYS) + GOOD


class Failing(asyncagg.DataOwner):
    """Fails in the way of its number; which rounds it was asked in stands in `asked`."""

    max_weight = 9

    def __init__(self, index: int, ways: tuple[str, ...] = WAYS) -> None:
        self.way = ways[index] if index < len(ways) else ""
        self.asked: list[int] = []

    def compute_gradient(self, parameters: dict[str, Any], round: int) -> Any:
        self.asked.append(round)
        ones = np.ones(6)
        match self.way:
            case "raises":
                raise ValueError(SECRET)
            case "nothing":
                return None
            case "no weight":
                return {SECRET: ones}
            case "too heavy":
                return {"w": ones}, 4711
            case "a fraction":
                return {"w": ones}, 4711.5
            case "NaN":
                return {"w": np.where(np.arange(6) == 4, np.nan, ones)}, 1
            case "infinity":
                return {"w": np.where(np.arange(6) == 4, -np.inf, ones)}, 1
            case "another shape":
                return {"w": np.zeros(4711)}, 1
            case "text":
                return {"w": np.full(6, SECRET)}, 1
        return {"w": ones}, 2


class Model(asyncagg.ModelOwner):
    def initial_parameters(self) -> dict[str, Any]:
        return {"w": np.zeros(6)}

    def apply(self, parameters: dict[str, Any], mean: dict[str, Any]) -> dict[str, Any]:
        return {"w": parameters["w"] + mean["w"]}


def values(engine: str, threat: str = "curious", count: int = COUNT, **tables: Any) -> dict[str, Any]:
    """A scenario of three rounds, without its workload."""
    return {
        "name": "failing",
        "engine": engine,
        "rounds": 3,
        "owners": {"count": count},
        "aggregation": {
            "protocol": "secagg",
            "compute_nodes": 2,
            "threat": threat,
            "batch": 1,
            "dropout": 0.34,
            "corrupt": 0.01,
            **tables.pop("aggregation", {}),
        },
        "encoding": {"rounding": "nearest", **({} if threat == "curious" else {"rounding_draws": "system"})},
        **tables,
    }
