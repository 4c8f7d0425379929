"""A protocol for testing engines and players: sums modulo 256 in clear, with failures on demand and no cryptography."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from asyncagg.protocols import effects as e
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context
from asyncagg.protocols.interface import Protocol
from asyncagg.protocols.names import LEAD, MODEL_OWNER, Guilt, Label, Player, index_of, owner_name
from asyncagg.protocols.plain import PLAIN
from asyncagg.protocols.steps.lead import Lead, from_guilt_pairs, from_phase_pairs
from asyncagg.protocols.steps.reveal import Revealed
from asyncagg.vectors.ring import RingVector

TAG = bytes(16)


@dataclass(slots=True)
class Failures:
    """What goes wrong, by attempt (from 1) unless it says otherwise."""

    lead_aborts: tuple[int, ...] = ()
    node_rejects: tuple[int, ...] = ()
    owners_reject: dict[Player, int] = field(default_factory=dict)
    """Owner → the attempt in which it does not go along."""
    bugs: dict[str, int] = field(default_factory=dict)
    """Role → the attempt in which our own code has a mistake."""
    culprits: dict[Label, dict[Player, Guilt]] = field(default_factory=dict)
    """Whom the lead names, in which attempts."""


def dummy(failures: Failures) -> Protocol:
    """The protocol; phases and forecast as in `plain`."""

    def bug(role: str, context: Context) -> None:
        if failures.bugs.get(role) == context.label.attempt:
            raise ZeroDivisionError(f"a mistake in {role}")

    def owner(context: Context, words: RingVector) -> e.Role[None]:
        yield e.Enter("publish")
        bug("owner", context)
        yield e.Send(LEAD, m.Joined(context.digest))
        if failures.owners_reject.get(context.me) == context.label.attempt:
            raise e.Rejected("I would rather not")
        for node in context.terms.nodes:
            start, stop = context.terms.slice_bounds(index_of(node))
            data = yield from e.compute(e.Cost(), lambda a=start, b=stop: words[a:b].astype(np.uint8).tobytes())
            yield e.Send(node, m.ClearSlice(data, context.digest, TAG))

    def lead(context: Context) -> e.Role[None]:
        lead = Lead(context)
        bug("lead", context)
        yield from lead.gather("publish", m.Joined, lead.same_parameters)
        lead.culprits.update(failures.culprits.get(context.label, {}))
        if context.label.attempt in failures.lead_aborts:
            yield from lead.abort("on demand")
        yield from lead.upload()
        yield from lead.announce()
        yield from lead.report()

    def node(context: Context) -> e.Role[None]:
        bug("node", context)
        if context.label.attempt in failures.node_rejects and context.me != LEAD:
            raise e.Rejected("no more of this")
        held: dict[int, bytes] = {}
        total = np.zeros(np.subtract(*context.terms.slice_bounds(index_of(context.me))[::-1]), np.uint8)
        while True:
            event: e.Event = yield e.Receive((m.ClearSlice, m.Commit, m.Discard, m.Survivors), (LEAD,))
            match event:
                case e.Got(peer, m.ClearSlice(data)):
                    held[index_of(peer)] = bytes(data)
                    yield e.Send(LEAD, m.Held(index_of(peer)))
                case e.Got(_, m.Commit(index)):
                    total += np.frombuffer(held[index], np.uint8)
                case e.Got(_, m.Survivors()):
                    yield e.Send(MODEL_OWNER, m.SumSlice(total.tobytes(), TAG))
                    return
                case e.Gone(peer, reason):
                    raise e.PeerGone(peer, reason)

    def receiver(context: Context) -> e.Role[Revealed]:
        bug("receiver", context)
        sums = yield from e.collect(m.SumSlice, context.terms.nodes)
        report = yield from e.receive(m.Report, LEAD)
        dtype = context.terms.ring.dtype
        slices = [np.frombuffer(each.data, np.uint8).astype(dtype) for each in sums.values()]
        words, weight, _ = context.terms.plan.collect(slices, context.terms.ring)
        members = tuple(owner_name(each) for each in m.from_bitmap(report.members, context.terms.population))
        culprits = from_guilt_pairs(report.culprits)
        return Revealed(words, weight, members, from_phase_pairs(report.dropped), {}, culprits)

    return replace(PLAIN, name="dummy", owner=owner, lead=lead, node=node, receiver=receiver)
