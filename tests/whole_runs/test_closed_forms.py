"""The virtual time of every phase, worked out on paper and met to the nanosecond.

A phase lasts, in a result, from when the lead begins it to when it begins the next one; before the first there is the
one way of the model owner's `begin` to the lead. Below

    L          one way between any two players
    a, b       nanoseconds a byte takes on an owner's line up, and down; the other players' lines have no limit
    n, k, t    owners, neighbours of each (n − 1 on the complete graph), threshold
    [kind]     bytes of a message of that kind on the wire, of the owner that has the largest; [upload] are its three
               messages to the compute nodes together
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from support.runs import run, scenario

from asyncagg.engines.experiment import prepare
from asyncagg.scenario import parse
from asyncagg.vectors.packing import packed_size

MS = 1_000_000
L = 40 * MS
DIMENSION = 60

UPLOADS = ("clear-slice", "masked-slice", "share-slice", "sealed-seed")

Times = dict[str, int]
Sizes = Mapping[str, int]


@dataclass(frozen=True)
class Case:
    """A protocol over a graph, against a threat; `beacon` where the graph needs the model owner's coin."""

    protocol: str
    threat: str = "curious"
    owners: int = 4
    beacon: bool = False

    def __str__(self) -> str:
        return f"{self.protocol}-{self.threat}-{self.owners}"

    def tables(self, **more: Any) -> dict[str, Any]:
        graph = {"minimum_cohort": self.owners // 4} if self.owners > 4 else {}
        return {
            "owners": self.owners,
            "aggregation": {"threat": self.threat, **graph},
            "workload": {"dimension": DIMENSION},
            **more,
        }

    @property
    def shares(self) -> bool:
        return self.protocol.startswith("secagg")


CASES = [
    *(Case(protocol) for protocol in ("plain", "pairwise", "additive", "secagg", "secagg+")),
    *(Case(protocol, "lying") for protocol in ("secagg", "secagg+")),
    Case("secagg+", owners=100),
    Case("secagg+", "lying", owners=100, beacon=True),
]
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def measured(case: Case, **tables: Any) -> tuple[Times, Sizes]:
    """Nanoseconds of every phase and of the whole round; bytes of every kind, `upload` for an owner's three slices."""
    result = run(case.protocol, **case.tables(**tables))
    (only,) = result["rounds"]
    assert (only["status"], len(only["survivors"]), only["exact"]) == ("ok", case.owners, True)
    sizes: dict[str, int] = {}
    uploads: dict[str, int] = {}
    for record in result.trace.records:
        sizes[record.kind] = max(sizes.get(record.kind, 0), record.bytes)
        if record.kind in UPLOADS:
            uploads[record.sender] = uploads.get(record.sender, 0) + record.bytes
    sizes["upload"] = max(uploads.values())
    return {phase: round(seconds * 1e9) for phase, seconds in only["seconds"].items()}, sizes


def with_total(phases: Times) -> Times:
    """`begin` reaches the lead after L; then one phase follows the other."""
    return {"total": L + sum(phases.values()), **phases}


# -- latency ---------------------------------------------------------------------------------------------------------


def ways(case: Case) -> Times:
    """How many one-way delays each phase takes.

    publish    1: the parameters reach the owners when `begin` reaches the lead; `joined`
    advertise  0: the keys come with `joined`; 2 for the root of the roster and the model owner's coin
    share      2: roster, sealed shares; 2 more where the model owner signs once who shares (k-regular, lying)
    upload     3: share boxes or roster, slices, `held`; 1 in plain, where slices come with `joined`; 2 in additive,
               where the nodes' keys are under way at the same time as `joined`
    certify, unmask  2: the question, the answers
    reveal     2: what the nodes need to end (survivors, or keys of masks), sums
    """
    upload = {"plain": 1, "additive": 2}.get(case.protocol, 3)
    phases = {"publish": 1}
    if case.protocol not in ("plain", "additive"):
        phases["advertise"] = 2 if case.beacon else 0
    if case.shares:
        phases["share"] = 4 if case.beacon else 2
    phases["upload"] = upload
    if case.threat == "lying":
        phases["certify"] = 2
    if case.shares:
        phases["unmask"] = 2
    return {**phases, "reveal": 2}


@every_case
def test_with_constant_latency(case: Case) -> None:
    predicted = with_total({phase: count * L for phase, count in ways(case).items()})
    assert measured(case, network={"latency": "40 ms"})[0] == predicted


# -- bandwidth -------------------------------------------------------------------------------------------------------

A, B = 1_000, 400
"""8 Mbit/s up and 20 Mbit/s down."""


def on_the_lines(case: Case, size: Sizes) -> Times:
    """What the bytes add to the ways of each phase, on the lines of an owner."""
    held_up = {"publish": B * size["publish"] + A * size["joined"]}
    match case.protocol:
        case "plain":
            # The slices wait on the line behind `joined`.
            return held_up | {"upload": A * size["upload"]}
        case "pairwise":
            # `advertise` waits behind `joined`; the roster comes down before the slices go up.
            return held_up | {"advertise": A * size["advertise"], "upload": B * size["roster"] + A * size["upload"]}
        case "additive":
            # Two nodes' keys reach the owner at 2 L, after the parameters have come down. Then it uploads: until
            # 2 L + 2 b [node-key] + a [upload] + 2 L. The phase had begun with the last `joined`, at 2 L + held_up.
            return held_up | {"upload": 2 * B * size["node-key"] + A * size["upload"] - held_up["publish"]}
    return held_up | {
        "advertise": A * size["advertise"],
        "share": B * size["roster"] + A * size["sealed-shares"],
        "upload": B * size["share-boxes"] + A * size["upload"],
        "certify": B * size.get("certify-request", 0) + A * size.get("certify", 0),
        "unmask": B * size["unmask-request"] + A * size["unmask-shares"],
    }


@every_case
def test_with_bandwidth_at_the_owners(case: Case) -> None:
    lines = {"home": {"latency": "40 ms", "bandwidth_up": "8 Mbit", "bandwidth_down": "20 Mbit"}}
    tables = {"network": {"latency": "40 ms"}, "links": lines, "owners_table": {"link": "home"}}
    times, size = measured(case, **tables)
    extra = on_the_lines(case, size)
    assert times == with_total({phase: count * L + extra.get(phase, 0) for phase, count in ways(case).items()})


# -- work ------------------------------------------------------------------------------------------------------------

PRICES = {
    "key_pair": "11 us",
    "key_agreement": "13 us",
    "share": "700 ns",
    "box": "1700 ns",
    "signature": "19 us",
    "gradient": "5 ms",
    "keystream": "1 GB",
    "add": "500 MB",
    "encode": "250 MB",
}
PAIR, AGREE, SHARE, BOX, SIGN, GRADIENT = 11_000, 13_000, 700, 1_700, 19_000, 5 * MS
STREAM, ADD, ENCODE = 1, 2, 4
"""Nanoseconds a byte."""


@dataclass(frozen=True)
class Work:
    """The quantities that have prices: n, k, t; bytes of a whole vector, of every node's slice, and of it packed."""

    n: int
    k: int
    t: int
    whole: int
    slices: list[int]
    packed: list[int]


def work_of(case: Case) -> Work:
    experiment = prepare(parse(scenario(case.protocol, case.owners, **without_owners(case.tables()))))
    plan, ring = experiment.plan, experiment.encoder.ring
    lengths = [stop - start for start, stop in (plan.bounds(node) for node in range(plan.nodes))]
    graph = None if experiment.graph is None else experiment.graph.parameters(case.owners)
    return Work(
        n=case.owners,
        k=case.owners - 1 if graph is None else graph.neighbours,
        t=0 if graph is None else graph.threshold,
        whole=plan.length * ring.word_bytes,
        slices=[length * ring.word_bytes for length in lengths],
        packed=[packed_size(length, ring.bits) for length in lengths],
    )


def without_owners(tables: dict[str, Any]) -> dict[str, Any]:
    return {key: table for key, table in tables.items() if key != "owners"}


def unpacked(w: Work, expanded: int, of: list[int]) -> int:
    """What is left after the last commit has come to nodes 1 and 2, apart from the ways.

    Each adds that upload, removes `expanded` masks and packs its sum. Node 0 is the lead's own and L ahead. The model
    owner, which has one processor, unpacks the sum of node 1 and then that of node 2, as they come.
    """
    come = [ADD * packed + (expanded * STREAM + ADD) * words for packed, words in zip(w.packed, of, strict=True)]
    return max(come[-2] + ADD * of[-2], come[-1]) + ADD * of[-1]


def worked(case: Case, w: Work) -> Times:
    """What work adds to the ways of each phase.

    The n uploads reach a node together; it checks one after the other, and the last node has the longest slice. What
    was checked is added when the lead's commit comes, at the pace of that node, so only the last add counts.
    """
    ready = {"publish": GRADIENT + 8 * ENCODE * DIMENSION}
    pack, check = ADD * w.whole, w.n * ADD * w.packed[-1]
    match case.protocol:
        case "plain":
            return ready | {"upload": pack + check, "reveal": unpacked(w, 0, w.slices)}
        case "pairwise":
            mask = w.k * (AGREE + STREAM * w.whole)
            return ready | {"advertise": PAIR, "upload": mask + pack + check, "reveal": unpacked(w, 0, w.slices)}
        case "additive":
            # The keys of the nodes come at 2 L, the gradient (which takes less than L) is ready before: the wait for
            # it is part of `publish`, not of `upload`. Nodes 1 and 2 open n boxes, and expand n seeds at the end.
            split = PAIR + 2 * AGREE + 2 * STREAM * w.whole
            upload = split + pack + w.n * AGREE - ready["publish"]
            return ready | {"upload": upload, "reveal": w.n * STREAM * w.whole + 3 * ADD * w.whole}
    # Against a lying lead an owner checks n signatures in the roster, and n in the certificate. The lead rebuilds n
    # secrets out of t shares each; each node removes n self masks from its slice.
    lying = w.n * SIGN if case.threat == "lying" else 0
    mask = w.k * AGREE + (w.k + 1) * STREAM * w.whole
    added_before = Work(w.n, w.k, w.t, w.whole, w.slices, [0] * len(w.packed))
    return ready | {
        "advertise": 2 * PAIR,
        "share": lying + w.k * (AGREE + 2 * SHARE + BOX),
        "upload": w.k * BOX + mask + pack + check,
        "unmask": lying + w.t * w.n * SHARE,
        "reveal": unpacked(added_before, w.n, w.slices),
    }


@every_case
def test_with_prices_of_work(case: Case) -> None:
    extra = worked(case, work_of(case))
    predicted = with_total({phase: count * L + extra.get(phase, 0) for phase, count in ways(case).items()})
    assert measured(case, network={"latency": "40 ms"}, compute=PRICES)[0] == predicted
