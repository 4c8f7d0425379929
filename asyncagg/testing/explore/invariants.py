"""Invariants of every state, and of every end of a run: small functions that say what is wrong, or nothing.

    no mistake         no role raises anything but what roles may
    one secret         nobody but an owner ever knows both of its secrets
    one set            in one attempt one set of owners is opened: by all alike, signed by enough, by its members
    whole batches      what is accepted is a union of whole batches, and not smaller than promised
    right sum          what the model owner has is the survivors' sum; where it has none, it is told why
    bounded mailbox    nobody can make a role keep more than each peer may say
    deadlines          the lead never waits for owners or compute nodes without a deadline
    ends               what owners do, or their connections, ends by the lead's deadlines; where nothing went wrong, or
                       no more owners are lost than may be, there is a sum

One secret, one set and whole batches look at what honest players gave away (`facts`): at nothing, for protocols whose
messages that does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from asyncagg.engines.by_hand.setting import HandSetting
from asyncagg.protocols.batches import indices_in, set_of
from asyncagg.protocols.names import MODEL_OWNER, Player, index_of
from asyncagg.protocols.steps.reveal import Revealed
from asyncagg.testing.explore.behaviour import Node
from asyncagg.testing.explore.facts import Fact, Released, Signed, Uploaded
from asyncagg.testing.explore.knowledge import Knowledge


@dataclass(frozen=True)
class Look:
    """One state, as invariants see it."""

    setting: HandSetting
    nodes: tuple[Node, ...]
    """Of all roles, in the order of `setting.places`."""
    facts: Mapping[Player, tuple[Fact, ...]]
    """Of all players."""
    liar: Player | None
    """Player that lied; None if nobody did."""
    early: bool
    """True if a deadline passed while something was on its way."""
    is_final: bool
    """True if nothing can happen any more."""

    @cached_property
    def corrupt(self) -> frozenset[Player]:
        """Owners of the coalition."""
        owners, count = self.setting.owners, self.setting.terms.corrupt
        liars = [owner for owner in owners if owner == self.liar]
        others = [owner for owner in reversed(owners) if owner != self.liar]
        return frozenset((liars + others)[:count])

    @cached_property
    def knowledge(self) -> Knowledge:
        return Knowledge(self.facts, self.corrupt)

    @cached_property
    def honest(self) -> list[tuple[Player, Fact]]:
        """Facts of players that are neither corrupt nor lied."""
        return [
            (player, fact)
            for player, facts in self.facts.items()
            if player not in self.corrupt and player != self.liar
            for fact in facts
        ]

    @cached_property
    def released(self) -> dict[int, Player]:
        """Sets for whose sum an honest player gave what it has → one that did."""
        return {fact.members: player for player, fact in self.honest if isinstance(fact, Released)}

    @property
    def receiver(self) -> Node:
        return self.nodes[-1]

    @property
    def lead(self) -> Node:
        return self.nodes[len(self.setting.owners)]


Invariant = Callable[[Look], Iterator[str]]


def no_mistake(look: Look) -> Iterator[str]:
    for place, node in zip(look.setting.places, look.nodes, strict=True):
        if node.end is not None and node.end.how == "broken":
            yield f"{place} raised {node.end.reason}"


def one_secret(look: Look) -> Iterator[str]:
    known: dict[Player, list[str]] = {}
    for secret in look.knowledge.secrets:
        known.setdefault(secret.owner, []).append(secret.name)
    for owner, names in known.items():
        if len(names) > 1:
            yield f"the coalition knows {' and '.join(sorted(names))} of {owner}"


def one_set(look: Look) -> Iterator[str]:
    sets = list(look.released)
    if len(sets) > 1:
        one, other = sets[:2]
        yield (f"two sets are opened: {_named(one)} by {look.released[one]}, {_named(other)} by {look.released[other]}")
    signed: dict[Player, int] = {}
    owners = look.setting.owners
    for player, fact in look.honest:
        match fact:
            case Released(members, signers) if signers.bit_count() < look.setting.quorum:
                count, needed = signers.bit_count(), look.setting.quorum
                yield f"{player} released {_named(members)} on {count} signatures, {needed} are needed"
            case Signed(members) if signed.setdefault(player, members) != members:
                yield f"{player} signed {_named(signed[player])} and {_named(members)}"
            case Released(members) if signed.get(player, members) != members:
                yield f"{player} signed {_named(signed[player])} and released {_named(members)}"
            case Signed(members) | Released(members) if player in owners and not members >> index_of(player) & 1:
                yield f"{player} helps to open {_named(members)}, which it is not in"


def whole_batches(look: Look) -> Iterator[str]:
    setting = look.setting
    honest = set_of(index_of(owner) for owner in setting.owners if owner not in look.corrupt)
    for player, what, members in _accepted(look):
        if not setting.terms.batches.whole(members):
            yield f"{player} {what} {_named(members)}, which tears a batch"
        if members.bit_count() < setting.least:
            yield f"{player} {what} {_named(members)}, at least {setting.least} owners were promised"
    allowed = {members & honest for members in look.released}
    for part in look.knowledge.sums():
        members = set_of(index_of(owner) for owner in part)
        if members not in allowed:
            yield f"the coalition can compute the sum of {_named(members)} alone"


def _accepted(look: Look) -> Iterator[tuple[Player, str, int]]:
    """The sets that honest players went along with: (who, what it did, the set)."""
    for player, fact in look.honest:
        match fact:
            case Uploaded(_, roster, sharers):
                yield player, "uploaded with a roster of", roster
                yield player, "uploaded under masks with", sharers
            case Signed(members):
                yield player, "signed", members
            case Released(members):
                yield player, "released", members


def right_sum(look: Look) -> Iterator[str]:
    end, setting = look.receiver.end, look.setting
    if end is None or end.how == "broken":
        return
    if end.how != "done":
        if not end.reason:
            yield "the model owner has no sum, and no reason"
        return
    revealed: Revealed = end.result
    total = setting.terms.ring.zeros(setting.terms.dimension)
    for owner in revealed.survivors:
        total += setting.inputs[owner][0]
    weight = sum(setting.inputs[owner][1] for owner in revealed.survivors)
    if revealed.weight != weight or not np.array_equal(setting.terms.ring.cut(total), revealed.words):
        yield f"what the model owner has is not the sum of {', '.join(revealed.survivors)}"
    members = set_of(index_of(owner) for owner in revealed.survivors)
    if not setting.terms.batches.whole(members):
        yield f"the sum of {_named(members)} tears a batch"


def bounded_mailbox(look: Look) -> Iterator[str]:
    for place, node in zip(look.setting.places, look.nodes, strict=True):
        if node.crowded:
            yield f"{place} keeps {node.crowded}"


def deadlines(look: Look) -> Iterator[str]:
    lead = look.lead
    if lead.end is None and None not in lead.timers and lead.peers != {MODEL_OWNER}:
        yield f"in {lead.phase} the lead waits for {', '.join(sorted(lead.peers)) or 'nobody'} without a deadline"


def ends(look: Look) -> Iterator[str]:
    if not look.is_final:
        return
    end, owners = look.receiver.end, look.setting.owners
    if end is None and (look.liar is None or look.liar in owners):
        yield "nothing can happen any more, and the model owner still waits"
    if look.liar is None and not look.early and _may_lose(look) and (end is None or end.how != "done"):
        yield f"there is no sum ({'it waits' if end is None else end.reason}), although no more than may be are lost"


def _may_lose(look: Look) -> bool:
    """True if the protocol has to do without those that are lost, and their batches."""
    terms, owners = look.setting.terms, look.setting.owners
    lost = 0
    for place, node in zip(look.setting.places, look.nodes, strict=True):
        if node.end is not None and node.end.how == "crashed":
            lost |= terms.batches.batch(terms.batches.batch_of(index_of(place.player)))
    if lost and look.setting.protocol.completed_by_late_uploads:
        return False
    left = len(owners) - lost.bit_count()
    least = look.setting.survivors_floor(left)
    return least is not None and left >= least


def _named(members: int) -> str:
    return "{" + ", ".join(str(index) for index in indices_in(members)) + "}"


ALL: tuple[tuple[str, Invariant], ...] = (
    ("no mistake", no_mistake),
    ("one secret", one_secret),
    ("one set", one_set),
    ("whole batches", whole_batches),
    ("right sum", right_sum),
    ("bounded mailbox", bounded_mailbox),
    ("deadlines", deadlines),
    ("ends", ends),
)


def broken(look: Look) -> Iterator[str]:
    """All that does not hold, each with the name of its invariant."""
    for name, invariant in ALL:
        yield from (f"{name}: {what}" for what in invariant(look))
