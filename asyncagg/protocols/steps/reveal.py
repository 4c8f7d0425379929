"""The end of an attempt: nodes send their sums, the model owner checks the counts and has the sum of the survivors.

Every slice carries a count coordinate, 1 for each owner, that must decode to the number of survivors in every slice: a
sum that was unmasked wrongly passes with probability 2^-b a slice instead of unnoticed. The checksum of a slice binds
it to the survivors whose uploads its node added: a lead that reports others is found out by every honest node's slice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from asyncagg.crypto import checksum
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context, Terms, owners_in
from asyncagg.protocols.effects import (
    Abort,
    Cost,
    Enter,
    Event,
    Gone,
    Got,
    PeerGone,
    Receive,
    Refuse,
    Release,
    Role,
    Send,
    compute,
)
from asyncagg.protocols.names import LEAD, MODEL_OWNER, Guilt, Phase, Player, index_of, node_name
from asyncagg.protocols.secagg import beacon, sharers_signature
from asyncagg.protocols.steps.lead import from_guilt_pairs, from_phase_pairs
from asyncagg.vectors.packing import pack, packed_size, unpack
from asyncagg.vectors.ring import RingVector

SUM_SENDER = 2**31 - 1
"""Stands for the owner's index in the checksum of a sum."""


@dataclass(frozen=True, slots=True)
class Revealed:
    """Result at the model owner of a good attempt."""

    words: RingVector
    """(d,) ring elements: the sum of the survivors' weighted encodings."""
    weight: int
    """W: sum of the survivors' weights."""
    survivors: tuple[Player, ...]
    dropped: dict[Player, Phase]
    silent_after: dict[Player, Phase]
    culprits: dict[Player, Guilt] = field(default_factory=dict)
    """Owners that are not to be invited again in this run."""


def send_sum(context: Context, survivors: Iterable[Player], words: RingVector, kind: type[m.SumSlice]) -> Role[None]:
    """A node's sum over the uploads of these survivors, to the model owner directly."""
    yield Enter("reveal")
    node = index_of(context.me)
    data = yield from compute(Cost(added_bytes=words.nbytes), lambda: pack(words, context.terms.ring.bits), "pack")
    bound = sum_id(context, context.bitmap_of(survivors))
    yield Send(MODEL_OWNER, kind(data, checksum.tag(bound, SUM_SENDER, node, data)))


def sum_id(context: Context, members: bytes) -> bytes:
    """Names the sum over these survivors (a bitmap) in this attempt."""
    return context.round_id + members


class Sums:
    """The model owner's side: one report (and opening) from the lead, one sum from every node, in any order."""

    def __init__(self, context: Context, kind: type[m.SumSlice]) -> None:
        self.context = context
        self.kind = kind
        self.report: m.Report | None = None
        self.opening: m.Opening | None = None
        self.beacon: m.Beacon | None = None
        self.session = b""
        """Session id, once the beacon is given."""
        self.sharers = b""
        """H(U2) where it had to be signed."""
        self.early: dict[Player, m.SumSlice] = {}
        """Sums that came before the report, which says whose they must be."""
        self.slices: dict[Player, RingVector] = {}

    def collect(self) -> Role[m.Report]:
        yield Enter("reveal")
        missing = dict.fromkeys(self.context.terms.nodes)
        lost: dict[Player, str] = {}
        opens = self.kind is m.MaskedSum
        while missing or self.report is None or (opens and self.opening is None):
            for node in lost if self.report is not None else ():
                if node in missing:
                    raise PeerGone(node, lost[node])
            watched = {node: None for node in missing if node not in lost}
            if self.report is None or (opens and self.opening is None):
                watched[LEAD] = None
            event: Event = yield Receive((m.Report, m.RosterFixed, m.SharersFixed, m.Opening, self.kind), watched)
            match event:
                case Got(peer, m.Report() as report) if peer == LEAD:
                    self.report = report
                    for node, message in self.early.items():
                        yield from self._take(node, message, report.members)
                case Got(peer, m.RosterFixed(root)) if peer == LEAD:
                    self.beacon = beacon.make(self.context, root)
                    self.session = self.context.session_id(root, self.beacon.value)
                    yield Send(LEAD, self.beacon)
                case Got(peer, m.SharersFixed(digest) as fixed) if peer == LEAD and self.beacon is not None:
                    self.sharers = digest
                    yield Send(LEAD, sharers_signature.sign(self.context, self.session, fixed))
                case Got(peer, m.Opening() as opening) if peer == LEAD:
                    self.opening = opening
                case Got(peer, m.SumSlice() as message) if peer in missing:
                    del missing[peer]
                    if self.report is None:
                        self.early[peer] = message
                    else:
                        yield from self._take(peer, message, self.report.members)
                case Got(peer, message):
                    yield Refuse(peer, f"sent {message.kind}, which is not its to send")
                case Gone(peer, reason) if peer != LEAD:
                    lost[peer] = reason  # the lead, which knows whether uploads had begun, says so or reports
                case Gone(peer, reason):
                    raise PeerGone(peer, reason)
        return self.report

    def _take(self, peer: Player, message: m.SumSlice, members: bytes) -> Role[None]:
        terms, node = self.context.terms, index_of(peer)
        start, stop = terms.slice_bounds(node)
        wanted = packed_size(stop - start, terms.ring.bits)
        if len(message.data) != wanted:
            yield Abort(f"{peer}: sum of {len(message.data)} bytes, must be {wanted}")
        if not checksum.matches(sum_id(self.context, members), SUM_SENDER, node, message.data, message.tag):
            survivors = len(owners_in(members, terms.population))
            yield Abort(
                f"{peer}: the checksum of its sum differs: it is not over the {survivors} survivors of the report, or "
                "bytes changed on the way"
            )
        unpack_sum: Callable[[], RingVector] = lambda: unpack(message.data, stop - start, terms.ring.bits)  # noqa: E731
        self.slices[peer] = yield from compute(
            Cost(added_bytes=(stop - start) * terms.ring.word_bytes), unpack_sum, "unpack"
        )
        yield Release(message.data)


def check_sum(context: Context, report: m.Report, slices: list[RingVector]) -> Role[Revealed]:
    """The sum out of all slices, once every count is the number of survivors and the weight is possible."""
    terms, culprits = context.terms, from_guilt_pairs(report.culprits)
    words, weight, counts = terms.plan.collect(slices, terms.ring)
    survivors = owners_in(report.members, terms.population)
    wrong = _what_is_wrong(terms, len(survivors), weight, counts)
    torn = context.not_whole(report.members)
    if wrong is None and torn is not None:
        wrong = f"the survivors: {torn}"
    if wrong is not None:
        yield Abort(wrong, culprits=culprits)
    return Revealed(
        words,
        weight,
        survivors,
        from_phase_pairs(report.dropped),
        from_phase_pairs(report.silent_after),
        culprits,
    )


def _what_is_wrong(terms: Terms, survivors: int, weight: int, counts: tuple[int, ...]) -> str | None:
    for node, count in enumerate(counts):
        if count != survivors:
            who = node_name(node) if terms.plan.nodes > 1 else "the compute nodes"
            return f"{who}: the sum counts {count} owners, the survivors are {survivors}"
    if survivors < terms.minimum_cohort:
        return f"{survivors} survivors, the minimum cohort is {terms.minimum_cohort}"
    if not survivors <= weight <= survivors * terms.max_weight:
        return f"total weight {weight} of {survivors} survivors is not within 1 to {terms.max_weight} each"
    return None


def receive_slices(context: Context, kind: type[m.SumSlice]) -> Role[Revealed]:
    """The receiver where each compute node sums its own slice."""
    sums = Sums(context, kind)
    report = yield from sums.collect()
    return (yield from check_sum(context, report, [sums.slices[node] for node in context.terms.nodes]))


def receive_shares(context: Context, kind: type[m.SumSlice]) -> Role[Revealed]:
    """The receiver where each compute node sums its own share of the whole vector."""
    sums = Sums(context, kind)
    report = yield from sums.collect()
    total = np.zeros(context.terms.plan.length, dtype=context.terms.ring.dtype)
    for node in context.terms.nodes:
        total += sums.slices[node]
    return (yield from check_sum(context, report, [total]))
