"""How long a round takes in virtual time, and how long over sockets with the same links in real time.

The same scenario runs twice, on engine `sim` and on engine `tcp` over loopback, where links act by the real clock. The
first predicts, the second measures. Work is charged at the prices of the device `server` in the prediction, and done in
the measurement; rounds last over a second, so that it is the links, deadlines and faults that count.
"""

from __future__ import annotations

from typing import Any

import asyncagg
from benchmarks.table import Row

WITHIN = 0.95
"""Least agreement: the shorter time over the longer one."""

Tables = dict[str, Any]


def scenario(protocol: str, owners: int, dimension: int, link: Tables, **more: Any) -> Tables:
    """One round over a made-up vector, with one link for everyone."""
    return {
        "name": "fidelity",
        "owners": {"count": owners},
        "aggregation": {"protocol": protocol, "compute_nodes": 3},
        "workload": {"kind": "synthetic", "dimension": dimension},
        "network": link,
        "compute": {"device": "server"},
        **more,
    }


NARROW = {"latency": "60 ms", "bandwidth_up": "1 Mbit", "bandwidth_down": "4 Mbit"}
LOSSY = {"latency": "100 ms", "jitter": "30 ms", "loss": 0.05}
GONE = {"kind": "drop", "players": {"count": 2}, "phase": "upload"}
CUT = {"kind": "partition", "players": ["compute-node-1"], "phase": "upload", "lasts": "800 ms"}

SCENARIOS = {
    "plain, 5 one-way delays of 300 ms": scenario("plain", 10, 1_000, {"latency": "300 ms"}),
    "pairwise behind a satellite": scenario("pairwise", 10, 10_000, {"preset": "satellite"}),
    "additive, 1 Mbit/s up": scenario("additive", 8, 20_000, NARROW),
    "secagg behind a satellite": scenario("secagg", 12, 10_000, {"preset": "satellite"}),
    "secagg, 5 % loss and jitter": scenario("secagg", 8, 1_000, LOSSY),
    "secagg+ on mobile lines, 1 s to upload, 2 drop": scenario(
        "secagg+", 20, 5_000, {"preset": "mobile-4g"}, faults=[GONE], phases={"upload": {"deadline": "1 s"}}
    ),
    "secagg+, a node cut off for 800 ms": scenario("secagg+", 10, 1_000, {"latency": "50 ms"}, faults=[CUT]),
}


def round_seconds(tables: Tables, engine: str) -> float:
    """How long the one round of a scenario takes; RuntimeError if it ends without a mean."""
    result = asyncagg.run(tables, engine=engine)
    if result["status"] != "ok":
        raise RuntimeError(f"engine {engine}: {result['reason']}")
    seconds: float = result["rounds"][0]["seconds"]["total"]
    return seconds


def compare(what: str, tables: Tables) -> Row:
    """Predicted and measured time of one scenario's round."""
    predicted, measured = (round_seconds(tables, engine) for engine in ("sim", "tcp"))
    agreement = min(predicted, measured) / max(predicted, measured)
    said = f"{what}: measured {measured:.3f} s"
    return Row(said, agreement, "agreement", measured / predicted, f"{predicted:.3f} s in virtual time", WITHIN)


def main() -> list[Row]:
    return [compare(what, tables) for what, tables in SCENARIOS.items()]
