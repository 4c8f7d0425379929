"""`ring`: masks that cancel along a ring, without any recovery. An example of a protocol from outside asyncagg.

    owner ↔ lead      Joined, Advertise (a fresh X25519 key); Roster
    owner → nodes     y_u = x_u + PRG(s_u,next) − PRG(s_previous,u), cut in slices
    nodes → receiver  sums, in which the masks have cancelled

An owner masks with two others, whatever their number; they need only two colluding neighbours and the compute nodes to
open its input. One owner missing after the roster makes the sum garbage, so the attempt fails and names it.
"""

from asyncagg.protocols import public as p


def owner(context: p.Context, vector: p.RingVector) -> p.Role[None]:
    yield from p.join(context)
    keys = yield from p.exchange_keys(context)
    cost = p.Cost(key_agreements=2, keystream_bytes=2 * vector.nbytes, expanded=2 * len(vector))
    yield from p.compute(cost, lambda: mask(context, vector, keys), "masks")
    yield from p.before_upload(context, keys.bitmap, len(keys.members))
    yield from p.upload(context, vector, p.MaskedSlice)


def mask(context: p.Context, vector: p.RingVector, keys: p.Exchanged) -> None:
    """Add the mask shared with the next owner of the roster to `vector`, and subtract that of the one before."""
    members = list(keys.members.values())
    here = list(keys.members).index(context.me)
    following, previous = members[(here + 1) % len(members)], members[here - 1]

    def seed(other, first, second):  # the direction is in it: of two owners each is the other's next and previous
        secret = p.shared(keys.pair, other.player, other.mask_key)
        return p.derive(secret, keys.session, "ring mask", str(first), str(second), length=16)

    added = seed(following, context.me, following.player)
    subtracted = seed(previous, previous.player, context.me)
    keys.pair.wipe()
    p.add_masks(vector, [(added, 1), (subtracted, -1)])


def lead(context: p.Context) -> p.Role[None]:
    lead = p.Lead(context)
    yield from lead.gather("publish", p.Joined, lead.same_parameters)
    roster = yield from p.show_keys(lead)
    yield from lead.upload()
    lost = [owner for owner in roster if owner not in lead.survivors]
    if lost:
        yield from lead.abort(f"ring cannot recover {lost[0]}")
    yield from lead.announce()
    yield from lead.report()


def node(context: p.Context) -> p.Role[None]:
    holder = p.SliceHolder(context, p.MaskedSlice)
    survivors = yield from holder.gather()
    yield from p.send_sum(context, survivors, holder.sum, p.SumSlice)


def receiver(context: p.Context) -> p.Role[p.Revealed]:
    return (yield from p.receive_slices(context, p.SumSlice))


class RingForecaster(p.Forecaster):
    """As `pairwise`, with two masks instead of one for each other owner."""

    def traffic(self, setting):
        return {
            "publish": p.publish_flow(setting),
            "advertise": p.key_exchange_flow(setting),
            "upload": p.upload_flow(setting),
        }

    def key_agreements(self, setting):
        return p.Work(each_owner=2)

    def mask_expansions(self, setting):
        return p.Work(each_owner=2)

    def keys_and_shares(self, setting):
        return setting.owners

    def openers(self, situation):
        return [f"Opening an input takes {p.nodes(situation.compute_nodes)} and its two neighbours on the ring."]

    def smallest_cohort(self, minimum_cohort, roster_floor, policy):
        return max(minimum_cohort, roster_floor)


RING = p.Protocol(
    name="ring",
    phases=("publish", "advertise", "upload", "reveal"),
    owner=owner,
    lead=lead,
    node=node,
    receiver=receiver,
    forecaster=RingForecaster(),
    kinds=(p.Advertise, p.Roster, p.MaskedSlice, p.SumSlice),
    threats=("curious",),
    reveals_only="the masks cancel in the compute nodes' own sum",
    completed_by_late_uploads=True,
)
