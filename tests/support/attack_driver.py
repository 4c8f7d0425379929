"""Real players on the virtual loop, some of whom misbehave, and what a coalition can compute from all it holds.

A twist is a function of a role's context and one of its effects: it gives the effects that are carried out instead.
The role itself goes on as if nothing had happened, so an attack is the honest code and one lie.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from unittest import mock

import numpy as np

from asyncagg.crypto import shamir
from asyncagg.crypto.agreement import KeyPair
from asyncagg.crypto.keystream import add_masks
from asyncagg.crypto.sealing import open_box
from asyncagg.engines import one_process, sim
from asyncagg.engines.experiment import prepare
from asyncagg.engines.launch import begin
from asyncagg.engines.runtime.players import LocalPlayers
from asyncagg.engines.runtime.stop_order import StopOrder
from asyncagg.net.frames import Limits
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import Effect, Rejected, Role, Send
from asyncagg.protocols.names import LEAD, MODEL_OWNER, Label, Player, index_of, owner_name
from asyncagg.protocols.permissions import Permissions
from asyncagg.protocols.secagg import owner
from asyncagg.protocols.secagg.owner_secrets import (
    ANSWER_LABEL,
    ERASURE,
    OwnerSecrets,
    commitment,
    survivors_digest,
)
from asyncagg.protocols.secagg.session import Session
from asyncagg.runs.result import RoundResult, RunResult
from asyncagg.runs.trace import Record
from asyncagg.scenario.reading.load import parse
from asyncagg.vectors.packing import unpack
from asyncagg.vectors.ring import RingVector

Twist = Callable[[Context, Effect], Iterable[Effect]]


def owners(*indices: int) -> list[Player]:
    return [owner_name(index) for index in indices]


def scenario(
    count: int, protocol: str, drops: Mapping[str, Iterable[int]] | None = None, **keys: Any
) -> dict[str, Any]:
    """A small scenario as a mapping; keywords are keys of `[aggregation]`, or top-level ones."""
    top = {key: keys.pop(key) for key in ("rounds", "seed", "encoding", "workload") if key in keys}
    return {
        "name": "attack",
        "engine": "sim",
        "owners": {"count": count},
        "aggregation": {"protocol": protocol, "compute_nodes": 2, "on_failure": "abort", "batch": 1, **keys},
        "workload": {"kind": "synthetic", "dimension": 12},
        "faults": [
            {"kind": "drop", "phase": phase, "players": owners(*silent)}
            for phase, silent in (drops or {}).items()
            if silent
        ],
        **top,
    }


# -- what is noted ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """One message of a role, with its vector as it was when it was sent."""

    label: Label
    sender: Player
    role: str
    to: Player
    message: m.Message


@dataclass(frozen=True, repr=False)
class Kept:
    """An owner's secrets in one attempt, noted before they are wiped."""

    session: Session
    mask: bytes
    b: bytes
    sealing: bytes
    held: dict[Player, tuple[bytes, bytes]]


@dataclass
class Played:
    """A run, and everything that was said in it."""

    result: RunResult
    means: dict[int, Any]
    trace: list[Record]
    troubles: dict[Player, str]
    """Owner → why it left its last attempt, in its own words."""
    local_players: LocalPlayers = field(init=False, repr=False)
    said: list[Said] = field(default_factory=list)
    inputs: dict[tuple[Label, Player], RingVector] = field(default_factory=dict)
    """The extended vector that each owner put in."""
    kept: dict[tuple[Label, Player], Kept] = field(default_factory=dict)
    sealing_pairs: dict[Label, KeyPair] = field(default_factory=dict)
    """The model owner's, of attempts that reveal to it."""

    @property
    def round(self) -> RoundResult:
        return self.result.rounds[0]

    @property
    def reason(self) -> str:
        return self.result.reason or ""

    def of(self, kind: type[m.Message], *, sender: str | None = None, to: str | None = None) -> list[Said]:
        return [
            each
            for each in self.said
            if isinstance(each.message, kind) and sender in (None, each.sender) and to in (None, each.to)
        ]

    def notes(self, event: str, about: str | None = None) -> list[str]:
        """Reasons in the trace: of drops, refusals, aborts."""
        return [record.detail for record in self.trace if record.event == event and about in (None, record.receiver)]


# -- playing ---------------------------------------------------------------------------------------------------------


def twisted(role: Role[Any], context: Context, twist: Twist | None, note: Callable[[Effect], None]) -> Role[Any]:
    """The role with its effects noted and twisted; what it is told is the answer to the last one."""
    step: Callable[[], Effect] = partial(role.send, None)
    while True:
        try:
            effect = step()
        except StopIteration as stop:
            return stop.value
        answer = None
        try:
            for each in (effect,) if twist is None else twist(context, effect):
                note(each)
                answer = yield each
            step = partial(role.send, answer)
        except Rejected as error:
            step = partial(role.throw, error)
        except GeneratorExit:
            role.close()
            raise


def sending(kind: type[m.Message], change: Callable[[Context, Send], Iterable[Effect]]) -> Twist:
    """A twist of the messages of one kind alone."""

    def twist(context: Context, effect: Effect) -> Iterable[Effect]:
        match effect:
            case Send(_, message) if isinstance(message, kind):
                return change(context, effect)
        return (effect,)

    return twist


def changed(kind: type[m.Message], to: Iterable[str] | None = None, **changes: Any) -> Twist:
    """A twist of some fields of one kind of message; a function is given the message, anything else is the value."""
    only = None if to is None else list(to)

    def change(context: Context, effect: Send) -> Iterable[Effect]:
        if only is not None and effect.to not in only:
            return (effect,)
        message: Any = effect.message
        values = {key: value(message) if callable(value) else value for key, value in changes.items()}
        return (Send(effect.to, replace(message, **values)),)

    return sending(kind, change)


def anything(permissions: Permissions) -> Limits:
    """What a liar's own network lets it say: every kind to everybody. Who is told must notice."""
    return Limits(dict.fromkeys(m.KINDS, (1 << 20, 1 << 20)))


def play(
    values: dict[str, Any],
    twists: Mapping[str, Twist] | None = None,
    *,
    lead: Callable[[Context], Role[None]] | None = None,
    secrets: type[OwnerSecrets] = OwnerSecrets,
) -> Played:
    """Run a scenario in which `twists` (by role: "lead", or the name of an owner, node or the model owner) apply.

    `lead` replaces the lead's whole role, `secrets` what owners keep theirs in.
    """
    ready = parse(values)
    experiment = prepare(ready)
    finished = begin(ready)
    played = Played(finished.result, finished.means, [], {})
    protocol = experiment.protocol
    twists = twists or {}

    def wrapped(role: str, make: Callable[..., Role[Any]]) -> Callable[..., Role[Any]]:
        def play_role(context: Context, *words: RingVector) -> Role[Any]:
            if words:
                played.inputs[context.label, context.me] = words[0].copy()
            if context.sealing_pair is not None:
                played.sealing_pairs[context.label] = KeyPair(context.sealing_pair.secret())
            name = "lead" if role == "lead" else context.me
            return twisted(make(context, *words), context, twists.get(name), partial(_note, played, role, context))

        return play_role

    experiment = replace(
        experiment,
        protocol=replace(
            protocol,
            owner=wrapped("owner", protocol.owner),
            lead=wrapped("lead", lead or protocol.lead),
            node=wrapped("node", protocol.node),
            receiver=wrapped("receiver", protocol.receiver),
        ),
    )
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(sim, "frame_limits", anything))
        stack.enter_context(mock.patch.object(owner, "OwnerSecrets", _watched(secrets, played)))
        remembered = _remembered(played)
        local_players = stack.enter_context(mock.patch.object(one_process, "LocalPlayers", side_effect=remembered))
        sim.run(experiment, finished, lambda each: None, StopOrder())
    assert local_players.call_count == 1
    played.trace += finished.trace.records
    played.troubles = {owner.me: owner.trouble for owner in played.local_players.owners if owner.trouble is not None}
    return played


def _remembered(played: Played) -> Callable[..., LocalPlayers]:
    def local_players(*arguments: Any) -> LocalPlayers:
        played.local_players = LocalPlayers(*arguments)
        return played.local_players

    return local_players


def _note(played: Played, role: str, context: Context, effect: Effect) -> None:
    match effect:
        case Send(to, message):
            data = getattr(message, "data", None)
            copy: Any = message if data is None else replace(message, data=bytes(data))  # type: ignore[type-var]
            played.said.append(Said(context.label, context.me, role, to, copy))


def _watched(base: type[OwnerSecrets], played: Played) -> type[OwnerSecrets]:
    """Owner's secrets that are noted, for the test to know what a corrupt owner knows."""

    class Watched(base):  # type: ignore[misc, valid-type]
        def seal_shares(self, session: Session, me: Player) -> tuple[bytes, bytes]:
            self.noted = (session, me)
            return super().seal_shares(session, me)

        def wipe(self) -> None:
            if hasattr(self, "noted"):
                session, me = self.noted
                played.kept[session.context.label, me] = Kept(
                    session, self.mask.secret(), bytes(self._b), self.sealing.secret(), dict(self._held)
                )
            super().wipe()

    return Watched


# -- what a coalition knows ------------------------------------------------------------------------------------------


class Coalition:
    """Lead, all compute nodes and some owners of secagg or secagg+, with all they were told in one attempt.

    With `model_owner` also the model owner and the key that it opens answers with.
    """

    def __init__(self, played: Played, corrupt: Iterable[Player] = (), *, model_owner: bool = False) -> None:
        self.played = played
        self.label = max(label for label, _ in played.kept)
        self.corrupt = dict.fromkeys(corrupt)
        self.kept = {me: kept for (label, me), kept in played.kept.items() if label == self.label}
        self.shares: dict[tuple[Player, int], dict[int, bytes]] = {}
        """(whose, 0: of s_sk, 1: of b) → point → share."""
        self._collect(model_owner)
        self.secrets = {
            (player, which): secret
            for player in self.kept
            for which in (0, 1)
            if (secret := self._open(player, which)) is not None
        }

    def _said(self, kind: type[m.Message]) -> list[Said]:
        return [each for each in self.played.of(kind) if each.label == self.label]

    def _collect(self, model_owner: bool) -> None:
        for me in self.corrupt:
            for whose, both in self.kept[me].held.items():
                for which, share in enumerate(both):
                    self._take(me, whose, which, share)
        told = {each.to: each.message.members for each in self._said(m.UnmaskRequest)}  # type: ignore[attr-defined]
        for each in self._said(m.UnmaskShares):
            self._read(each.sender, told[each.sender], each.message.data)  # type: ignore[attr-defined]
        pair = self.played.sealing_pairs.get(self.label)
        if model_owner and pair is not None:
            for each in self._said(m.UnmaskBox):
                session, members = self.kept[each.sender].session, told[each.sender]
                secret = pair.shared(session.members[each.sender].sealing_key)
                key = session.box_key(secret, each.sender, MODEL_OWNER, ANSWER_LABEL)
                aad = session.binding(each.sender, MODEL_OWNER, ANSWER_LABEL, survivors_digest(members))
                self._read(each.sender, members, open_box(key, aad, each.message.data))  # type: ignore[attr-defined]

    def _read(self, holder: Player, members: bytes, answer: bytes) -> None:
        survivors = dict.fromkeys(self.kept[holder].session.context.players_in(members))
        for place, whose in enumerate(sorted(self.kept[holder].held, key=index_of)):
            share = answer[place * shamir.SHARE_BYTES : (place + 1) * shamir.SHARE_BYTES]
            self._take(holder, whose, 1 if whose in survivors else 0, share)

    def _take(self, holder: Player, whose: Player, which: int, share: bytes) -> None:
        if share != ERASURE:
            self.shares.setdefault((whose, which), {})[self.kept[holder].session.point(holder)] = share

    def _open(self, player: Player, which: int) -> bytes | None:
        """A secret, from its shares alone unless its owner is one of the coalition."""
        kept = self.kept[player]
        if player in self.corrupt:
            return (kept.mask, kept.b)[which]
        shares = self.shares.get((player, which), {})
        if len(shares) < kept.session.threshold:
            return None
        table = shamir.shares_from_bytes(list(shares.values()))[np.newaxis]
        secret = shamir.reconstruct(list(shares), table, kept.session.threshold)[0]
        right = secret is not None and (
            commitment(secret, kept.session.id) == commitment(kept.b, kept.session.id)
            if which
            else KeyPair(secret).public == KeyPair(kept.mask).public
        )
        return secret if right else None

    def uploads(self) -> dict[Player, RingVector]:
        """Honest owner → its whole masked vector, of those that the nodes were sent."""
        slices: dict[Player, dict[int, bytes]] = {}
        for each in self._said(m.MaskedSlice):
            slices.setdefault(each.sender, {})[index_of(each.to)] = each.message.data  # type: ignore[attr-defined]
        terms = next(iter(self.kept.values())).session.context.terms
        whole = {}
        for sender, parts in slices.items():
            bounds = [terms.slice_bounds(node) for node in range(len(terms.nodes))]
            right = [len(parts.get(node, b"")) == terms.slice_bytes(node) for node in range(len(bounds))]
            if sender not in self.corrupt and all(right):
                whole[sender] = np.concatenate(
                    [unpack(parts[node], stop - start, terms.ring.bits) for node, (start, stop) in enumerate(bounds)]
                )
        return whole

    def _partners(self, player: Player) -> list[Player]:
        (boxes,) = [each.message for each in self._said(m.ShareBoxes) if each.to == player]
        session = self.kept[player].session
        sharers = session.context.players_in(boxes.sharers)  # type: ignore[attr-defined]
        return [other for other in session.neighbours(player) if other in sharers]

    def _knows_pair(self, one: Player, other: Player) -> bool:
        return any((each, 0) in self.secrets for each in (one, other))

    def sums(self) -> list[dict[Player, None]]:
        """The smallest sets of honest owners whose sum of inputs the coalition can compute.

        Each unknown mask of a pair is in two vectors with opposite signs, or in one of which the other was never
        sent; only whole components of the graph of unknown masks add up to something without any.
        """
        there = self.uploads()
        opened, left = [], dict.fromkeys(there)
        while left:
            component, open_, stack = {}, True, [next(iter(left))]
            while stack:
                player = stack.pop()
                if player in component:
                    continue
                component[player] = None
                left.pop(player, None)
                open_ &= (player, 1) in self.secrets
                for other in self._partners(player):
                    if not self._knows_pair(player, other):
                        open_ &= other in there and player in self._partners(other)
                        stack += [other] if other in there else []
            if open_:
                opened.append(component)
        return opened

    def inputs(self) -> list[Player]:
        """Honest owners whose input the coalition can compute."""
        return [next(iter(each)) for each in self.sums() if len(each) == 1]

    def compute_input(self, player: Player) -> RingVector:
        """The input of one of `inputs`, in fact: its upload without all its masks."""
        kept, words = self.kept[player], self.uploads()[player].astype(np.uint64)
        session, ring = kept.session, kept.session.context.terms.ring
        masks = [(session.self_mask_key(player, self.secrets[player, 1]), -1)]
        for other in self._partners(player):
            mine, theirs = self.secrets.get((player, 0)), self.secrets.get((other, 0))
            if mine is not None:
                key, sign = session.pair_mask_key(KeyPair(mine), player, other, session.members[other].mask_key)
                masks.append((key, -sign))
            elif theirs is not None:
                key, sign = session.pair_mask_key(KeyPair(theirs), other, player, session.members[player].mask_key)
                masks.append((key, sign))
        result = words.astype(ring.dtype)
        add_masks(result, masks)
        ring.cut(result)
        return result

    def check_it_is_blind(self, least: int = 2) -> None:
        """AssertionError if the coalition can compute an honest input, or a sum of fewer than `least`."""
        small = [list(each) for each in self.sums() if len(each) < least]
        assert not small, f"the coalition can compute the sums of {small}"


def lead_said(played: Played, kind: type[m.Message]) -> list[Any]:
    return [each.message for each in played.of(kind, sender=LEAD) if each.role == "lead"]
