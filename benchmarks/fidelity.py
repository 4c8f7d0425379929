"""How long a round takes in virtual time, and how long over sockets with the same links in real time.

The same scenario runs twice, on engine `sim` and on engine `tcp` over loopback, where links act by the real clock. The
first predicts, the second measures. Work is charged at the prices of the device `server` in the prediction, and done in
the measurement; rounds last over a second, so that it is the links, deadlines and faults that count.

Where root allows, `sim` also predicts rounds between hosts that are network namespaces, one process on each, over TLS.
There the links are the testbed's and act on packets below the kernels' TCP, whose headers, acknowledgements and
congestion control the prediction leaves out: figures without a target, some where that hardly counts and some where
it decides.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncagg
from benchmarks.table import Row
from benchmarks.testbed import Link, Testbed, obstacle
from benchmarks.testbed.hosts import one_each, play
from benchmarks.testbed.hosts import round_seconds as seconds_of

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

OWNERS, NODES = 3, 3


@dataclass(frozen=True, slots=True)
class Far:
    """Rounds between hosts; the first one, which waits for connections to be made, is not counted."""

    protocol: str
    dimension: int
    link: Link
    rounds: int = 6
    congestion: str | None = None
    """As for `Testbed`."""


FAT = Link(delay_ms=50, rate_mbit=20)
OVER_HOSTS = {
    # messages of a few packets: the prediction lacks little
    "plain, 150 ms": Far("plain", 1_000, Link(delay_ms=150)),
    "secagg, 50 ms": Far("secagg", 1_000, Link(delay_ms=50)),
    # lines that are full within a round trip or two
    "additive, 50 ms, 4 Mbit/s up": Far("additive", 20_000, Link(delay_ms=50, rate_mbit=4)),
    "secagg+, 50 ms, 4 Mbit/s up": Far("secagg+", 50_000, Link(delay_ms=50, rate_mbit=4)),
    # losses, which are few in a round: enough rounds for a mean
    "secagg+, 50 ms, 1 % loss": Far("secagg+", 1_000, Link(delay_ms=50, loss=0.01), rounds=30),
    # 800 kB to each owner, on lines that TCP takes many round trips to fill
    "plain, 800 kB, 50 ms, 20 Mbit/s up": Far("plain", 200_000, FAT),
    "plain, 800 kB, 50 ms, 20 Mbit/s up, Reno": Far("plain", 200_000, FAT, congestion="reno"),
    "plain, 800 kB, 50 ms, no limit": Far("plain", 200_000, Link(delay_ms=50)),
    "plain, 800 kB, 50 ms, no limit, Reno": Far("plain", 200_000, Link(delay_ms=50), congestion="reno"),
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


def network(link: Link) -> Tables:
    """What a testbed does between hosts, in the words of a scenario."""
    tables: Tables = {"latency": f"{link.delay_ms} ms", "loss": link.loss}
    return tables if link.rate_mbit is None else tables | {"bandwidth_up": f"{link.rate_mbit} Mbit"}


def compare_over_hosts(what: str, far: Far) -> Row:
    """Predicted and measured time of a scenario's rounds between network namespaces: the means."""
    linked = scenario(far.protocol, OWNERS, far.dimension, network(far.link), rounds=far.rounds)
    linked["aggregation"] |= {"compute_nodes": NODES, "minimum_cohort": OWNERS}
    result = asyncagg.run(linked, engine="sim")
    predicted = statistics.fmean(each["seconds"]["total"] for each in result["rounds"][1:])
    bed = Testbed(one_each(OWNERS, NODES), far.link, congestion=far.congestion)
    with tempfile.TemporaryDirectory() as folder, bed:
        bare = {key: table for key, table in linked.items() if key != "network"}
        measured = statistics.fmean(seconds_of(play(bed, bare, Path(folder, "play")))[1:])
    agreement = min(predicted, measured) / max(predicted, measured)
    said = f"{what}, between hosts ({bed.kind}, {bed.congestion}): measured {measured:.3f} s"
    return Row(said, agreement, "agreement", measured / predicted, f"{predicted:.3f} s in virtual time")


def over_hosts() -> list[Row]:
    """The rows between network namespaces; none, and why not on standard error, where there can be none."""
    if reason := obstacle():
        print(f"no figures between hosts: {reason}", file=sys.stderr)
        return []
    return [compare_over_hosts(what, far) for what, far in OVER_HOSTS.items()]


def main() -> list[Row]:
    return [compare(what, tables) for what, tables in SCENARIOS.items()] + over_hosts()
