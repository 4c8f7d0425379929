"""`additive`: seed-compressed additive shares over m compute nodes (Pond and its kin).

    node j>0 → owners  NodeKey: a fresh X25519 key of this attempt
    owner → lead       Joined
    owner → node 0     x − Σ_j PRG(s_j)
    owner → node j>0   box(s_j): 16 secret bytes instead of d·b/8
    node  ↔ lead       Held / Commit
    node  → receiver   its sum of shares; all m of them add up to the sum

Private while one compute node is honest. Nodes send their sums to the model owner directly, never through the lead, so
no compute node sees the mean. Dropouts are free.

Against a lying lead owners sign what they send to the nodes, and every node checks that before it says `Held`: the
honest node answers for who is in the sum, and an upload that somebody else made in an owner's name would leave the
others of its batch alone in it.
"""

from __future__ import annotations

import hashlib

import numpy as np

from asyncagg.crypto.agreement import KeyPair
from asyncagg.crypto.errors import CryptoError
from asyncagg.crypto.kdf import derive, encode_fields
from asyncagg.crypto.keystream import add_masks
from asyncagg.crypto.sealing import open_box, seal
from asyncagg.crypto.signing import verify
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import Cost, Enter, Rejected, Role, Send, collect, compute
from asyncagg.protocols.forecast.traffic import SIZES, message, packed_vector, permit_flow, publish_flow, signature
from asyncagg.protocols.forecaster import Flow, Forecaster, Setting, Situation, Work
from asyncagg.protocols.interface import Protocol
from asyncagg.protocols.names import LEAD, Phase, Player
from asyncagg.protocols.steps.key_exchange import shared
from asyncagg.protocols.steps.lead import Lead
from asyncagg.protocols.steps.ledger import before_upload
from asyncagg.protocols.steps.reveal import Revealed, receive_shares, send_sum
from asyncagg.protocols.steps.upload import Holder, SliceHolder, join, pack_cost, pack_slice, permission
from asyncagg.vectors.ring import RingVector

SEED_BYTES = 16


def owner(context: Context, words: RingVector) -> Role[None]:
    yield from join(context)
    yield Enter("upload")
    others = context.terms.nodes[1:]
    shown = yield from collect(m.NodeKey, others)
    for each, key in shown.items():
        check_node_key(context, each, key)
    keys = {each: key.public for each, key in shown.items()}
    cost = Cost(
        key_pairs=1,
        key_agreements=len(others),
        keystream_bytes=len(others) * words.nbytes,
        expanded=len(others) * len(words),
    )
    seeds = yield from compute(cost, lambda: _share(context, words, keys), "masks")
    packed = yield from compute(pack_cost(context), lambda: pack_slice(context, words, 0), "pack")
    yield from before_upload(context, context.invited, context.terms.minimum_cohort)
    yield from permission(context)
    signature = yield from compute(Cost(), lambda: context.sign(slice_text(context, context.me, packed.data)))
    yield Send(LEAD, m.ShareSlice(packed.data, context.digest, packed.tag, signature))
    for each, sealed in seeds.items():
        yield Send(each, sealed)


def _share(context: Context, words: RingVector, keys: dict[Player, bytes]) -> dict[Player, m.SealedSeed]:
    """Subtract one share for every other node from `words`, in place, and seal its seed to that node."""
    pair = KeyPair.generate(context.randomness)
    masks, sealed = [], {}
    for node, public in keys.items():
        seed = context.randomness.bytes(SEED_BYTES)
        masks.append((seed, -1))
        aad = _binding(context, context.me, node)
        box = seal(derive(shared(pair, node, public), context.round_id, "seed box", aad, length=16), aad, seed)
        signature = context.sign(seed_text(context, context.me, node, pair.public, box))
        sealed[node] = m.SealedSeed(context.digest, pair.public, box, signature)
    add_masks(words, masks)
    return sealed


def _binding(context: Context, owner: Player, node: Player) -> bytes:
    """Associated data of a seed's box: this attempt, its sender and its receiver."""
    return encode_fields(context.round_id, owner, node, m.SealedSeed.kind)


def node_key_text(context: Context, node: Player, public: bytes) -> bytes:
    """Text that a compute node signs when it shows its key."""
    return encode_fields("asyncagg node key", context.round_id, str(node), public)


def check_node_key(context: Context, node: Player, shown: m.NodeKey) -> None:
    """Rejected, against a lying lead, unless the key is this pinned node's."""
    if context.terms.threat == "curious":
        return
    public = context.terms.identities.get(node)
    if public is None or not verify(public, node_key_text(context, node, shown.public), shown.signature):
        raise Rejected(f"the signature of {node} on its key is wrong")


def slice_text(context: Context, owner: Player, data: m.Buffer) -> bytes:
    """Text that an owner signs of its slice; SHA-256, for anybody can make another slice with the same checksum."""
    return encode_fields("asyncagg share slice", context.round_id, str(owner), hashlib.sha256(data).digest())


def seed_text(context: Context, owner: Player, node: Player, public: bytes, box: bytes) -> bytes:
    """Text that an owner signs of the seed that it seals to a compute node."""
    return encode_fields("asyncagg share seed", context.round_id, str(owner), str(node), public, box)


def not_of(context: Context, owner: Player, text: bytes, signature: bytes) -> str | None:
    """None, or that an upload is not this pinned owner's; without identities nobody signs."""
    if context.terms.threat == "curious":
        return None
    public = context.terms.identities.get(owner)
    if public is None or not verify(public, text, signature):
        return f"the signature of {owner} on its upload is wrong"
    return None


def lead(context: Context) -> Role[None]:
    lead = Lead(context)
    yield from lead.gather("publish", m.Joined, lead.same_parameters)
    yield from lead.upload()
    yield from lead.announce()
    yield from lead.report()


def node(context: Context) -> Role[None]:
    if context.me == LEAD:
        holder = ShareHolder(context, m.ShareSlice)
        survivors = yield from holder.gather()
        yield from send_sum(context, survivors, holder.sum, m.SumShare)
    else:
        yield from _seed_node(context)


def _seed_node(context: Context) -> Role[None]:
    """A node that holds seeds: it expands those of the survivors once they are fixed, block by block."""
    holder = SeedHolder(context)
    public = holder.pair.public
    message = m.NodeKey(public, context.sign(node_key_text(context, context.me, public)))
    for player in context.cohort:
        yield Send(player, message)
    survivors = yield from holder.gather()
    words = np.zeros(context.terms.plan.length, dtype=context.terms.ring.dtype)
    cost = Cost(keystream_bytes=len(holder.seeds) * words.nbytes, expanded=len(holder.seeds) * len(words))
    yield from compute(cost, lambda: add_masks(words, [(seed, 1) for seed in holder.seeds.values()]), "masks")
    yield from send_sum(context, survivors, words, m.SumShare)


class ShareHolder(SliceHolder):
    """Compute node 0: a slice is right when its owner signed it, too."""

    def check(self, owner: Player, message: m.MaskedSlice) -> Role[str | None]:
        refusal = yield from super().check(owner, message)
        if refusal is not None:
            return refusal
        signature = message.signature if isinstance(message, m.ShareSlice) else b""
        text = slice_text(self.context, owner, message.data)
        return not_of(self.context, owner, text, signature)


class SeedHolder(Holder[m.SealedSeed]):
    """A node that is sent seeds: it opens each one before it says `Held`."""

    kind = m.SealedSeed

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.pair = KeyPair.generate(context.randomness)
        self.opened: dict[Player, bytes] = {}
        self.seeds: dict[Player, bytes] = {}
        self._apart: dict[int, dict[Player, bytes]] = {}
        """Batch → seeds of its owners, while it is not in the sum."""

    def check(self, owner: Player, message: m.SealedSeed) -> Role[str | None]:
        if message.digest != self.context.digest:
            return "parameters-differ"
        return (yield from compute(Cost(key_agreements=1), lambda: self._open(owner, message), "boxes"))

    def _open(self, owner: Player, message: m.SealedSeed) -> str | None:
        """Keep the seed in an owner's box; None, or why there is none."""
        text = seed_text(self.context, owner, self.context.me, message.public, message.box)
        forged = not_of(self.context, owner, text, message.signature)
        if forged is not None:
            return forged
        aad = _binding(self.context, owner, self.context.me)
        try:
            key = derive(self.pair.shared(message.public), self.context.round_id, "seed box", aad, length=16)
            self.opened[owner] = open_box(key, aad, message.box)
        except CryptoError as error:
            return str(error)
        return None

    def hold(self, batch: int, owner: Player, message: m.SealedSeed) -> Role[None]:
        self._apart.setdefault(batch, {})[owner] = self.opened.pop(owner)
        yield from ()

    def add(self, batch: int) -> Role[None]:
        self.seeds |= self._apart.pop(batch)
        yield from ()

    def forget(self, batch: int) -> Role[None]:
        self._apart.pop(batch, None)
        yield from ()


def receiver(context: Context) -> Role[Revealed]:
    return (yield from receive_shares(context, m.SumShare))


class AdditiveForecaster(Forecaster):
    """One share of the vector, and a sealed seed for every other compute node."""

    def traffic(self, setting: Setting) -> dict[Phase, Flow]:
        others = setting.compute_nodes - 1
        keys = Flow(0, others * message(SIZES.digest, signature(setting)))
        signed = signature(setting)
        share = Flow(packed_vector(setting, nodes=1) + signed + others * message(3 * SIZES.digest, signed))
        return {"publish": publish_flow(setting) + keys, "upload": share + permit_flow(setting)}

    def key_agreements(self, setting: Setting) -> Work:
        others = setting.compute_nodes - 1
        return Work(others, others * setting.survivors)

    def mask_expansions(self, setting: Setting) -> Work:
        return self.key_agreements(setting)

    def keys_and_shares(self, setting: Setting) -> int:
        """m keys (one out, m − 1 of the nodes in) and m − 1 seeds."""
        return 2 * setting.compute_nodes - 1

    def openers(self, situation: Situation) -> list[str]:
        nodes, corrupt = situation.compute_nodes, situation.corrupt_nodes
        if nodes == 1:
            return ["compute-node-0 opens every input by itself: additive shares need at least 2 compute nodes."]
        fewer = "one alone sees" if nodes == 2 else f"any {nodes - 1} of them see"
        opening = f"Opening an input takes all {nodes} compute nodes, lead included; {fewer} random numbers only."
        if corrupt >= nodes:
            return [f"{opening} But all {nodes} are assumed to collude, so nothing is protected."]
        return [f"{opening} {corrupt} of them may collude, by assumption."]

    def who_sees_the_sum(self, situation: Situation) -> str:
        return "Only the model owner sees the sum: the compute nodes send it their shares of it directly."


ADDITIVE = Protocol(
    name="additive",
    phases=("publish", "upload", "reveal"),
    owner=owner,
    lead=lead,
    node=node,
    receiver=receiver,
    forecaster=AdditiveForecaster(),
    kinds=(m.NodeKey, m.ShareSlice, m.SealedSeed, m.SumShare),
    shares=True,
    reveals=("model-owner",),
    reveals_only="the compute nodes send their shares to the model owner",
    least_nodes=2,
)
