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
from asyncagg.protocols.forecast.traffic import publish_flow, upload_flow
from asyncagg.protocols.forecaster import Flow, Forecaster, Setting, Situation, Work
from asyncagg.protocols.interface import Protocol
from asyncagg.protocols.names import Phase
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
    survivors = yield from holder.gather()
    yield from send_sum(context, survivors, holder.sum, m.SumSlice)


def receiver(context: Context) -> Role[Revealed]:
    return (yield from receive_slices(context, m.SumSlice))


class PlainForecaster(Forecaster):
    """The vector alone, in the ring."""

    def traffic(self, setting: Setting) -> dict[Phase, Flow]:
        return {"publish": publish_flow(setting), "upload": upload_flow(setting)}

    def key_agreements(self, setting: Setting) -> Work:
        return Work()

    def mask_expansions(self, setting: Setting) -> Work:
        return Work()

    def keys_and_shares(self, setting: Setting) -> int:
        return 0

    def openers(self, situation: Situation) -> list[str]:
        if situation.compute_nodes == 1:
            return ["plain protects nothing: compute-node-0 reads every input."]
        return [
            f"plain protects nothing: each of the {situation.compute_nodes} compute nodes reads its slice of every "
            "input, and together they read every input whole."
        ]


PLAIN = Protocol(
    name="plain",
    phases=("publish", "upload", "reveal"),
    owner=owner,
    lead=lead,
    node=node,
    receiver=receiver,
    forecaster=PlainForecaster(),
    kinds=(m.ClearSlice, m.SumSlice),
    protects=False,
    reveals_only="nothing is hidden from the compute nodes",
)
