"""The upload as an owner and a compute node see it: pack, send every node its slice, hold, and add only on `Commit`.

A batch counts everywhere or nowhere: a node tells the lead `Held` when it has an owner's complete slice with the right
checksum, keeps it, and adds the batch when the lead says that every node holds all of it. `Discard` forgets it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from asyncagg.crypto import checksum
from asyncagg.protocols import messages as m
from asyncagg.protocols.batches import indices_in
from asyncagg.protocols.context import Context, owners_in
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
    Rejected,
    Release,
    Role,
    Send,
    compute,
    receive,
)
from asyncagg.protocols.names import LEAD, Player, index_of, owner_name
from asyncagg.vectors.packing import add_packed, pack
from asyncagg.vectors.ring import RingVector

S = TypeVar("S", bound=m.Message)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A slice ready to go: its packed bytes and their checksum."""

    data: bytearray
    tag: bytes


def join(context: Context) -> Role[None]:
    """An owner's first words: it has the parameters, and its vector is ready."""
    yield Enter("publish")
    yield Send(LEAD, m.Joined(context.digest))


def pack_slice(context: Context, words: RingVector, node: int) -> Sealed:
    """One node's slice of an extended vector, cut to the ring's bits and packed, with its checksum."""
    start, stop = context.terms.slice_bounds(node)
    data = pack(words[start:stop], context.terms.ring.bits)
    return Sealed(data, checksum.tag(context.round_id, index_of(context.me), node, data))


def pack_cost(context: Context) -> Cost:
    return Cost(added_bytes=context.terms.plan.length * context.terms.ring.word_bytes)


def permission(context: Context) -> Role[None]:
    """Wait for the lead's permit, where the nodes' memory does not hold everyone at once."""
    if context.terms.permits:
        yield Send(LEAD, m.Ready())
        yield from receive(m.Permit, LEAD)


def upload(context: Context, words: RingVector, kind: type[m.MaskedSlice]) -> Role[None]:
    """Send every compute node its slice of the (masked) extended vector."""
    yield Enter("upload")
    nodes = context.terms.nodes
    slices = yield from compute(
        pack_cost(context), lambda: [pack_slice(context, words, node) for node in range(len(nodes))], "pack"
    )
    yield from permission(context)
    for node, sealed in zip(nodes, slices, strict=True):
        yield Send(node, kind(sealed.data, context.digest, sealed.tag))


class Holder(ABC, Generic[S]):
    """A compute node during the upload: what it holds, and who has been added.

    A batch is added as a whole or not at all: on the lead's `Commit` all of its owners are held, or the lead lies.
    """

    kind: type[S]

    def __init__(self, context: Context) -> None:
        self.context = context
        self.node = index_of(context.me)
        self.batches = context.terms.batches
        self.expected = dict.fromkeys(context.cohort)
        self.held: dict[int, dict[Player, None]] = {}
        """Batch → its owners that are held."""
        self.added: dict[Player, None] = {}

    @abstractmethod
    def check(self, owner: Player, message: S) -> Role[str | None]:
        """None, or why this upload is refused."""

    @abstractmethod
    def hold(self, batch: int, owner: Player, message: S) -> Role[None]:
        """Keep an upload that was found right, apart from the sum."""

    @abstractmethod
    def add(self, batch: int) -> Role[None]:
        """Make what is held of this batch part of the sum."""

    @abstractmethod
    def forget(self, batch: int) -> Role[None]:
        """Forget what is held of this batch."""

    def gather(self) -> Role[tuple[Player, ...]]:
        """Hold and add until the lead fixes the survivors: exactly those that were added, in order of index."""
        yield Enter("upload")
        while True:
            event: Event = yield Receive((self.kind, m.Commit, m.Discard, m.Survivors), (LEAD,))
            match event:
                case Got(peer, message) if isinstance(message, self.kind):
                    yield from self._hold(peer, message)
                case Got(peer, message) if peer != LEAD:
                    yield Refuse(peer, f"sent {message.kind}, which only the lead may")
                case Got(_, m.Commit(batch)):
                    yield from self._commit(self._known(batch))
                case Got(_, m.Discard(batch)):
                    yield from self._discard(self._known(batch))
                case Got(_, m.Survivors(members)):
                    return (yield from self._survivors(members))
                case Gone(peer, reason):
                    raise PeerGone(peer, reason)

    def _known(self, batch: int) -> int:
        if batch >= self.batches.count:
            raise Rejected(f"the lead names batch {batch}, there are {self.batches.count}")
        return batch

    def _hold(self, owner: Player, message: S) -> Role[None]:
        if owner not in self.expected:
            return  # discarded, and told so
        reason = yield from self.check(owner, message)
        if reason is None:
            batch = self.batches.batch_of(index_of(owner))
            yield from self.hold(batch, owner, message)
            self.held.setdefault(batch, {})[owner] = None
            yield Send(LEAD, m.Held(index_of(owner)))
        else:
            self.expected.pop(owner)
            yield Send(LEAD, m.Faulty(index_of(owner), reason))

    def _commit(self, batch: int) -> Role[None]:
        held = self.held.pop(batch, {})
        missing = [owner for owner in self._members(batch) if owner not in held]
        if missing:
            yield Abort(f"the lead commits {missing[0]}, whose slice {self.context.me} does not hold")
            return
        self.added.update(held)
        yield from self.add(batch)

    def _discard(self, batch: int) -> Role[None]:
        for owner in self._members(batch):
            self.expected.pop(owner, None)
        if self.held.pop(batch, None) is not None:
            yield from self.forget(batch)

    def _members(self, batch: int) -> tuple[Player, ...]:
        return tuple(owner_name(index) for index in indices_in(self.batches.batch(batch)))

    def _survivors(self, members: bytes) -> Role[tuple[Player, ...]]:
        terms = self.context.terms
        survivors = owners_in(members, terms.population)
        if dict.fromkeys(survivors) != self.added:
            yield Abort(f"the lead names {len(survivors)} survivors, {self.context.me} added {len(self.added)} others")
        if len(survivors) < terms.minimum_cohort:
            yield Abort(f"{len(survivors)} survivors, the minimum cohort is {terms.minimum_cohort}")
        torn = self.context.not_whole(members)
        if torn is not None:
            yield Abort(f"the survivors: {torn}")
        return survivors


class SliceHolder(Holder[m.MaskedSlice]):
    """A node that adds packed slices as they are: masks cancel in the sum, or are removed from it later."""

    def __init__(self, context: Context, kind: type[m.MaskedSlice]) -> None:
        super().__init__(context)
        self.kind = kind
        start, stop = context.terms.slice_bounds(self.node)
        self.sum: RingVector = np.zeros(stop - start, dtype=context.terms.ring.dtype)
        self._open: dict[int, RingVector] = {}
        """Batch → the sum of its slices so far, where batches have several owners."""
        self._alone: dict[int, m.MaskedSlice] = {}
        """Owner → its slice, where every owner is a batch: added as it came."""

    def check(self, owner: Player, message: m.MaskedSlice) -> Role[str | None]:
        wanted = self.context.terms.slice_bytes(self.node)
        if message.digest != self.context.digest:
            return "parameters-differ"
        if len(message.data) != wanted:
            return f"slice of {len(message.data)} bytes, must be {wanted}"
        right = yield from compute(
            Cost(added_bytes=wanted),
            lambda: checksum.matches(self.context.round_id, index_of(owner), self.node, message.data, message.tag),
            "check",
        )
        return None if right else "checksum differs: bytes changed on the way"

    def hold(self, batch: int, owner: Player, message: m.MaskedSlice) -> Role[None]:
        if self.batches.size == 1:
            self._alone[batch] = message
            return
        if batch not in self._open:
            self._open[batch] = np.zeros_like(self.sum)
        yield from self._add_packed(self._open[batch], message)

    def add(self, batch: int) -> Role[None]:
        if self.batches.size == 1:
            yield from self._add_packed(self.sum, self._alone.pop(batch))
            return
        total = self._open.pop(batch)
        yield from compute(Cost(added_bytes=total.nbytes), lambda: np.add(self.sum, total, out=self.sum), "add")

    def forget(self, batch: int) -> Role[None]:
        self._open.pop(batch, None)
        message = self._alone.pop(batch, None)
        if message is not None:
            yield Release(message.data)

    def _add_packed(self, total: RingVector, message: m.MaskedSlice) -> Role[None]:
        yield from compute(
            Cost(added_bytes=len(message.data)),
            lambda: add_packed(total, message.data, self.context.terms.ring.bits),
            "add",
        )
        yield Release(message.data)
