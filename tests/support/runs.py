"""Runs of small scenarios, and owners that misbehave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import asyncagg
from asyncagg.api import Result

Arrays = dict[str, np.ndarray]
DIMENSION = 60


def scenario(protocol: str, owners: int = 4, engine: str = "sim", **tables: Any) -> dict[str, Any]:
    """A scenario with made-up vectors; `tables` are merged into its own."""
    values: dict[str, Any] = {
        "name": "test",
        "engine": engine,
        "owners": {"count": owners},
        "aggregation": {"protocol": protocol, "compute_nodes": 3, "batch": 1},
        "workload": {"kind": "synthetic", "dimension": DIMENSION},
    }
    for key, table in tables.items():
        key = key.removesuffix("_table")
        values[key] = {**values.get(key, {}), **table} if isinstance(table, Mapping) else table
    return values


def run(protocol: str, owners: int = 4, engine: str = "sim", **tables: Any) -> Result:
    return asyncagg.run(scenario(protocol, owners, engine, **tables))


class Vector(asyncagg.DataOwner):
    """Hands in one vector, always."""

    def __init__(self, values: np.ndarray, weight: int = 1) -> None:
        self.values = values
        self.weight = self.max_weight = weight

    def compute_gradient(self, parameters: Arrays, round: int) -> tuple[Arrays, int]:
        return {"vector": self.values}, self.weight


class Bad(Vector):
    """Hands in whatever it was told to."""

    def __init__(self, what: Any) -> None:
        super().__init__(np.zeros(1))
        self.what = what

    def compute_gradient(self, parameters: Arrays, round: int) -> Any:
        if isinstance(self.what, BaseException):
            raise self.what
        return self.what


class Nothing(asyncagg.ModelOwner):
    """Learns nothing: only the mean is wanted."""

    def __init__(self, dimension: int = DIMENSION) -> None:
        self.dimension = dimension

    def initial_parameters(self) -> Arrays:
        return {}

    def apply(self, parameters: Arrays, mean: Arrays) -> Arrays:
        return parameters

    def gradient_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"vector": (self.dimension,)}


def given(
    vectors: np.ndarray, protocol: str, weights: list[int] | None = None, engine: str = "sim", **tables: Any
) -> Result:
    """A run over given vectors, owners × d."""
    counted = weights or [1] * len(vectors)
    owners = [Vector(row, weight) for row, weight in zip(vectors, counted, strict=True)]
    return asyncagg.run(
        scenario(protocol, len(vectors), engine, **tables), owners=owners, model_owner=Nothing(vectors.shape[1])
    )


def pieces_add_up(each: Mapping[str, Any]) -> None:
    """Check that the critical path is as long as the round, to the nanosecond, and that every piece takes time."""
    pieces = each["critical_path"]
    assert sum(round(piece["seconds"] * 1e9) for piece in pieces) == round(each["seconds"]["total"] * 1e9)
    assert all(piece["seconds"] > 0 for piece in pieces)
