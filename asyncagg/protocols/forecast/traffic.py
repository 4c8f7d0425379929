"""Sizes of what crosses a channel, and the flows that several protocols have in common, in bytes of one owner.

All sizes stand in one table, `SIZES`. A protocol's own flows are in its forecast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from asyncagg.protocols.forecaster import Flow, Setting
from asyncagg.vectors.packing import packed_size
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
    box: int = 104
    """Sealed to one neighbour: two Shamir shares and an AEAD tag; beside it the tags of both shares."""
    share_tags: int = 16
    """Of the two shares that an owner holds itself."""
    share: int = 36
    """One Shamir share: nine 4-byte limbs."""
    seal: int = 16
    """Bytes that sealing adds to an answer: an AEAD tag."""
    parameters: int = 120
    """The arrays of a publish message without their data: names, shapes, types."""


SIZES: Final = Sizes()


def message(*parts: int) -> int:
    """Bytes of a message with these parts, its frame and label included."""
    return SIZES.frame + SIZES.label + sum(parts)


def bitmap(setting: Setting) -> int:
    """Bytes of a set of owners."""
    return (setting.owners + 7) // 8 + 3


def signature(setting: Setting) -> int:
    """Bytes of a signature, which is empty where the lead is taken to follow the protocol."""
    return SIZES.signature if setting.threat == "lying" else SIZES.empty


def publish_flow(setting: Setting, sealing_key: bool = False) -> Flow:
    """Parameters in, perhaps with the model owner's sealing key; out to the lead, that they have arrived."""
    sealing = SIZES.digest if sealing_key else SIZES.empty
    header = message(SIZES.parameters, bitmap(setting), sealing, signature(setting))
    return Flow(message(SIZES.digest), header + setting.parameter_bytes)


def key_exchange_flow(setting: Setting) -> Flow:
    """One key out; everyone's entries in (`steps.key_exchange`)."""
    entry = SIZES.index + SIZES.digest + 2 * SIZES.empty + signature(setting)
    out = message(SIZES.digest, SIZES.empty, SIZES.digest, signature(setting))
    roster = message(bitmap(setting), SIZES.digest, setting.owners * entry, 3 * SIZES.empty)
    return Flow(out, roster)


def permit_flow(setting: Setting) -> Flow:
    """Asking for a permit and getting it, where uploads need one."""
    return Flow(message(), message()) if setting.permits else Flow()


def packed_vector(setting: Setting, nodes: int) -> int:
    """A slice of the vector to each of `nodes` compute nodes. SliceError for more nodes than coordinates."""
    plan = SlicePlan(setting.dimension, nodes)
    lengths = [stop - start for start, stop in map(plan.bounds, range(plan.nodes))]
    return sum(message(SIZES.digest, SIZES.tag, packed_size(length, setting.ring_bits)) for length in lengths)


def upload_flow(setting: Setting) -> Flow:
    """A slice for every compute node."""
    return Flow(packed_vector(setting, setting.compute_nodes)) + permit_flow(setting)
