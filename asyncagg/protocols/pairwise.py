"""`pairwise`: masks that cancel in the sum, without any recovery.

    owner → lead      Joined, Advertise (a fresh X25519 key)
    lead  → owners    Roster
    owner → nodes     y_u = x_u + Σ_{v<u} PRG(s_uv) − Σ_{v>u} PRG(s_uv), cut in slices
    node  ↔ lead      Held / Commit
    nodes → receiver  sums, in which the masks have cancelled

One owner missing after the roster makes the sum garbage, so the lead fails the attempt and names it; the model owner
may retry without it, with fresh keys. Safe if two honest owners stay outside the coalition.
"""

from __future__ import annotations

from asyncagg.crypto.kdf import derive
from asyncagg.crypto.keystream import add_masks
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context, GraphPolicy
from asyncagg.protocols.effects import Cost, Role, compute
from asyncagg.protocols.forecast.sentences import assumed, nodes
from asyncagg.protocols.forecast.traffic import key_exchange_flow, publish_flow, upload_flow
from asyncagg.protocols.forecaster import Flow, Forecaster, Setting, Situation, Work
from asyncagg.protocols.interface import Protocol
from asyncagg.protocols.names import Phase, index_of
from asyncagg.protocols.steps.key_exchange import Exchanged, exchange_keys, shared, show_keys
from asyncagg.protocols.steps.lead import Lead
from asyncagg.protocols.steps.ledger import before_upload
from asyncagg.protocols.steps.reveal import Revealed, receive_slices, send_sum
from asyncagg.protocols.steps.upload import SliceHolder, join, upload
from asyncagg.vectors.ring import RingVector


def owner(context: Context, words: RingVector) -> Role[None]:
    yield from join(context)
    keys = yield from exchange_keys(context)
    others = len(keys.members) - 1
    cost = Cost(key_agreements=others, keystream_bytes=others * words.nbytes, expanded=others * len(words))
    yield from compute(cost, lambda: _mask(context, words, keys), "masks")
    yield from before_upload(context, keys.bitmap, len(keys.members))
    yield from upload(context, words, m.MaskedSlice)


def _mask(context: Context, words: RingVector, keys: Exchanged) -> None:
    """Add the mask of every pair to `words`, in place: plus for a lower partner, minus for a higher one."""
    me = index_of(context.me)
    masks = []
    for player, member in keys.members.items():
        other = index_of(player)
        if other != me:
            low, high = sorted((me, other))
            secret = shared(keys.pair, player, member.mask_key)
            seed = derive(secret, keys.session, "pair mask", low, high, length=16)
            masks.append((seed, 1 if other < me else -1))
    keys.pair.wipe()
    add_masks(words, masks)


def lead(context: Context) -> Role[None]:
    lead = Lead(context)
    yield from lead.gather("publish", m.Joined, lead.same_parameters)
    roster = yield from show_keys(lead)
    yield from lead.upload()
    lost = [owner for owner in roster if owner not in lead.survivors]
    if lost:
        yield from lead.abort(f"pairwise cannot recover {', '.join(lost[:5])}{' …' if len(lost) > 5 else ''}")
    yield from lead.announce()
    yield from lead.report()


def node(context: Context) -> Role[None]:
    holder = SliceHolder(context, m.MaskedSlice)
    survivors = yield from holder.gather()
    yield from send_sum(context, survivors, holder.sum, m.SumSlice)


def receiver(context: Context) -> Role[Revealed]:
    return (yield from receive_slices(context, m.SumSlice))


class PairwiseForecaster(Forecaster):
    """Keys to everyone through the lead, and a masked vector."""

    def traffic(self, setting: Setting) -> dict[Phase, Flow]:
        return {
            "publish": publish_flow(setting),
            "advertise": key_exchange_flow(setting),
            "upload": upload_flow(setting),
        }

    def key_agreements(self, setting: Setting) -> Work:
        return Work(each_owner=setting.owners - 1)

    def mask_expansions(self, setting: Setting) -> Work:
        return Work(each_owner=setting.owners - 1)

    def keys_and_shares(self, setting: Setting) -> int:
        """n keys."""
        return setting.owners

    def openers(self, situation: Situation) -> list[str]:
        others = situation.smallest_cohort - 1
        return [
            f"Opening an input takes {nodes(situation.compute_nodes)} and every other owner of its roster, "
            f"{others} or more. {assumed(situation.corrupt_owners)}"
        ]

    def assumptions(self, situation: Situation) -> list[str]:
        if situation.threat == "lying":
            return []
        return [
            "If an owner vanishes after the roster, its vector arrives late and the round is retried without "
            "it, the two sums differ by its input; the run's account says when that may have happened."
        ]

    def smallest_cohort(self, minimum_cohort: int, roster_floor: int, policy: GraphPolicy | None) -> int:
        """A whole roster is summed."""
        return max(minimum_cohort, roster_floor)


PAIRWISE = Protocol(
    name="pairwise",
    phases=("publish", "advertise", "upload", "reveal"),
    owner=owner,
    lead=lead,
    node=node,
    receiver=receiver,
    forecaster=PairwiseForecaster(),
    kinds=(m.Advertise, m.Roster, m.MaskedSlice, m.SumSlice),
    reveals_only="the masks cancel in the compute nodes' own sum",
    completed_by_late_uploads=True,
)
