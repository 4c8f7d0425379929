"""`plain`: vectors in clear. No protection at all; the baseline for speed and accuracy.

owner → lead      Joined
owner → nodes     its slice, in clear
node  ↔ lead      Held / Commit
nodes → receiver  sums
"""

from __future__ import annotations

from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import Role
from asyncagg.protocols.steps.lead import Lead
from asyncagg.protocols.steps.reveal import Revealed, receive_slices, send_sum
from asyncagg.protocols.steps.upload import SliceHolder, join, upload
from asyncagg.vectors.ring import RingVector


def owner(context: Context, words: RingVector) -> Role[None]:
    yield from join(context)
    yield from upload(context, words, m.ClearSlice)


def lead(context: Context) -> Role[None]:
    lead = Lead(context)
    yield from lead.gather("publish", m.Joined, lead.same_parameters)
    yield from lead.upload()
    yield from lead.announce()
    yield from lead.report()


def node(context: Context) -> Role[None]:
    holder = SliceHolder(context, m.ClearSlice)
    yield from holder.gather()
    yield from send_sum(context, holder.sum, m.SumSlice)


def receiver(context: Context) -> Role[Revealed]:
    return (yield from receive_slices(context, m.SumSlice))
