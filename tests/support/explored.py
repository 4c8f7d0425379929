"""Small scenarios for the explorer."""

from __future__ import annotations

from typing import Any

from asyncagg.scenario.reading.load import parse
from asyncagg.scenario.schema.scenario import Scenario


def small(protocol: str, threat: str = "curious", owners: int = 4, nodes: int = 1, **aggregation: Any) -> Scenario:
    """A scenario of which one owner may be lost and one may be corrupt, unless `aggregation` says otherwise."""
    return parse(
        {
            "name": "small",
            "engine": "sim",
            "owners": {"count": owners},
            "aggregation": {
                "protocol": protocol,
                "threat": threat,
                "compute_nodes": nodes,
                "corrupt": 1 / owners,
                "dropout": 1 / owners,
                "batch": 1,
                **aggregation,
            },
            "workload": {"kind": "synthetic", "dimension": 4},
        }
    )
