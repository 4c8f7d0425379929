"""What one owner sends and receives in one attempt, in bytes, phase by phase, before anything runs.

All sizes stand in one table, `SIZES`; the rest follows the protocols' flows for an owner that stays to the
end while everyone answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from asyncagg.protocols.names import Phase, ProtocolName, Reveal, Threat
from asyncagg.vectors.packing import packed_size
from asyncagg.vectors.ring import smallest_ring
from asyncagg.vectors.slices import SlicePlan


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of what crosses a channel; the parts of a body include the msgpack heads around them."""

    frame: int = 51
    """Prefix and header of a frame between an owner and a compute node."""
    label: int = 3
    """Round, attempt and the array head: what every body begins with."""
    digest: int = 34
    """Any 32 bytes: a digest, public key, commitment or sealed seed."""
    signature: int = 66
    empty: int = 2
    """A byte string that is not used."""
    index: int = 3
    """An owner's index and the head of the array that it opens."""
    tag: int = 18
    """The checksum of a slice."""
    box: int = 88
    """Sealed to one neighbour: two Shamir shares and an AEAD tag."""
    share: int = 36
    """One Shamir share: nine 4-byte limbs."""
    seal: int = 16
    """What sealing adds to an answer: an AEAD tag."""
    parameters: int = 120
    """The arrays of a publish message without their data: names, shapes, types."""


SIZES: Final = Sizes()


@dataclass(frozen=True, slots=True)
class Flow:
    """Bytes of one owner, frames included."""

    sent: int = 0
    received: int = 0

    def __add__(self, other: Flow) -> Flow:
        return Flow(self.sent + other.sent, self.received + other.received)


@dataclass(frozen=True, slots=True)
class Setting:
    """What is aggregated, and how."""

    protocol: ProtocolName
    owners: int
    """N, which the ring is sized for; all of them advertise."""
    compute_nodes: int
    dimension: int
    """d."""
    bits: int
    """Of one encoded value."""
    max_weight: int = 1
    neighbours: int = 0
    """k (secagg, secagg+)."""
    threat: Threat = "curious"
    reveal: Reveal = "compute-nodes"
    dropped: int = 0
    """Owners silent from upload on."""
    parameter_bytes: int = 0
    """What the model owner publishes each round."""
    permits: bool = False
    """Whether uploads wait for a permit."""

    @property
    def ring_bits(self) -> int:
        """b. RingError if no ring is large enough."""
        return smallest_ring(self.owners, self.max_weight, self.bits).bits

    @property
    def survivors(self) -> int:
        """S: owners in the sum."""
        return self.owners - self.dropped

    @property
    def shares_secrets(self) -> bool:
        """Whether owners mask along a graph and share the secrets of their masks."""
        return self.protocol in ("secagg", "secagg+")

    @property
    def complete(self) -> bool:
        return self.neighbours == self.owners - 1

    @property
    def holders(self) -> int:
        """Who holds a share of one owner's secrets: its neighbours, and itself on the complete graph."""
        return self.neighbours + self.complete

    @property
    def bitmap(self) -> int:
        """Bytes of a set of owners."""
        return (self.owners + 7) // 8 + 3

    @property
    def signature(self) -> int:
        return SIZES.signature if self.threat == "lying" else SIZES.empty


def traffic(setting: Setting) -> dict[Phase, Flow]:
    """Bytes of one owner, in the order of phases. RingError or SliceError if the setting is impossible."""
    phases: dict[Phase, Flow] = {"publish": _publish(setting)}
    if setting.protocol == "pairwise" or setting.shares_secrets:
        phases["advertise"] = _advertise(setting)
    if setting.shares_secrets:
        phases["share"] = _share(setting)
    phases["upload"] = _upload(setting)
    if setting.shares_secrets and setting.threat == "lying":
        phases["certify"] = _certify(setting)
    if setting.shares_secrets:
        phases["unmask"] = _unmask(setting)
    return phases


def _message(*parts: int) -> int:
    return SIZES.frame + SIZES.label + sum(parts)


def _publish(setting: Setting) -> Flow:
    """Parameters in (`additive`: and every further node's key); out to the lead, that they have arrived."""
    sealing = SIZES.digest if setting.reveal == "model-owner" else SIZES.empty
    header = _message(SIZES.parameters, setting.bitmap, sealing, setting.signature)
    keys = (setting.compute_nodes - 1) * _message(SIZES.digest, setting.signature)
    received = header + setting.parameter_bytes + (keys if setting.protocol == "additive" else 0)
    return Flow(_message(SIZES.digest), received)


def _advertise(setting: Setting) -> Flow:
    """Own keys out; in, the entries this owner needs: its neighbours', or with a lying lead everyone's."""
    second = SIZES.digest if setting.shares_secrets else SIZES.empty
    out = _message(SIZES.digest, second, SIZES.digest, setting.signature)
    entry = SIZES.index + SIZES.digest + second + SIZES.empty + setting.signature
    regular = setting.shares_secrets and not setting.complete
    some = regular and setting.threat == "curious"
    root = SIZES.digest if some else SIZES.empty
    drawn = regular and setting.threat == "lying"
    beacon = SIZES.digest + SIZES.signature if drawn else 2 * SIZES.empty
    listed = (setting.neighbours + 1 if some else setting.owners) * entry
    return Flow(out, _message(setting.bitmap, SIZES.digest, listed, root, beacon))


def _share(setting: Setting) -> Flow:
    """A box for each neighbour and a commitment out; a box of each neighbour and U2 in."""
    boxes = setting.neighbours * SIZES.box
    return Flow(_message(boxes, SIZES.digest), _message(boxes, setting.bitmap))


def _upload(setting: Setting) -> Flow:
    """A slice for every node; with `additive` one share, and a sealed seed for every other node."""
    shared = setting.protocol == "additive"
    plan = SlicePlan(setting.dimension, 1 if shared else setting.compute_nodes)
    lengths = [stop - start for start, stop in map(plan.bounds, range(plan.nodes))]
    sent = sum(_message(SIZES.digest, SIZES.tag, packed_size(length, setting.ring_bits)) for length in lengths)
    if shared:
        sent += (setting.compute_nodes - 1) * _message(3 * SIZES.digest)
    return Flow(sent, 0) + (Flow(_message(), _message()) if setting.permits else Flow())


def _certify(setting: Setting) -> Flow:
    """U3 in, a signature on it out."""
    return Flow(_message(SIZES.signature), _message(setting.bitmap))


def _unmask(setting: Setting) -> Flow:
    """U3 in, with a lying lead all survivors' signatures on it; out, a share of one secret of each owner."""
    signatures = setting.survivors * (SIZES.index + SIZES.signature) if setting.threat == "lying" else 0
    sealing = SIZES.seal if setting.reveal == "model-owner" else 0
    return Flow(_message(setting.holders * SIZES.share, sealing), _message(setting.bitmap, signatures))
