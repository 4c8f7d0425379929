"""The four roles of a protocol driven by hand: no loop, no clock, any order of delivery that a seed can think of.

Channels keep their order, whole and at most once, as real ones do; between channels everything is chance. A phase or a
permit runs out only when nothing else can happen. Messages go through their bytes on every way, and a payload that was
released is overwritten, so that whoever looks at it again adds garbage.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from asyncagg.crypto.agreement import KeyPair
from asyncagg.crypto.randomness import InsecureSeededRandomness
from asyncagg.crypto.signing import Identity
from asyncagg.protocols import effects as e
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context, GraphPolicy, Terms
from asyncagg.protocols.interface import Protocol
from asyncagg.protocols.names import LEAD, MODEL_OWNER, Label, Player, index_of, node_name, owner_name
from asyncagg.protocols.parameters.population import Population, exact
from asyncagg.protocols.registry import find
from asyncagg.protocols.steps.reveal import Revealed
from asyncagg.vectors.ring import RingVector, smallest_ring
from asyncagg.vectors.slices import SlicePlan

LABEL = Label(0, 1)
BITS = 8
MAX_WEIGHT = 5

Tamper = Callable[[Player, Player, m.Message], Iterable[m.Message]]
"""(sender, receiver, message) → what comes instead: nothing, the message, it and others."""


def terms_of(protocol: Protocol, owners: int, **changes: Any) -> Terms:
    """Terms of a small run of `owners` over three compute nodes and seven coordinates."""
    threat = changes.pop("threat", "curious")
    population = Population(owners, exact(0.0), exact(0.3), threat)
    masked = "share" in protocol.phases
    values: dict[str, Any] = {
        "protocol": protocol.name,
        "threat": threat,
        "reveal": "model-owner" if protocol.shares else "compute-nodes",
        "population": owners,
        "compute_nodes": 3,
        "dimension": 7,
        "ring": smallest_ring(owners, MAX_WEIGHT, BITS),
        "plan": SlicePlan(7, 1 if protocol.shares else 3),
        "clip": 1.0,
        "bits": BITS,
        "max_weight": MAX_WEIGHT,
        "minimum_cohort": 2,
        "corrupt": 0,
        "corrupt_nodes": 1,
        "roster_floor": population.roster_floor if masked else 2,
        "run": bytes(16),
        "scenario": bytes(32),
        "window": owners,
        "graph": GraphPolicy(protocol.name, population) if masked else None,  # type: ignore[arg-type]
    }
    return Terms(**(values | changes))


@dataclass(slots=True)
class Actor:
    """One role: what it waits for, what has come for it, how it ended."""

    player: Player
    kind: str
    role: e.Role[Any]
    inbox: deque[tuple[Player, m.Message]] = field(default_factory=deque)
    gone: dict[Player, str] = field(default_factory=dict)
    seen: dict[tuple[Player, str], int] = field(default_factory=dict)
    refused: dict[Player, str] = field(default_factory=dict)
    expired: deque[Player | None] = field(default_factory=deque)
    wait: e.Receive | None = None
    answer: Any = None
    steps: int = 0
    phase: str = ""
    done: bool = False
    result: Any = None
    reason: str = ""
    """Why it ended before its end."""
    culprits: dict[Player, str] = field(default_factory=dict)
    """Whom it then named as not to be invited again."""

    def event(self) -> e.Event | None:
        """What there is to tell a role that waits, in the order that `effects` promises."""
        if self.wait is None:
            return None
        for place, (peer, message) in enumerate(self.inbox):
            if type(message) in self.wait.kinds:
                del self.inbox[place]
                return e.Got(peer, message)
        for peer in list(self.gone):
            if peer in self.wait.peers:
                return e.Gone(peer, self.gone.pop(peer))
        return e.Expired(self.expired.popleft()) if self.expired else None


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong. Steps are effects of the owner's role: the n-th is not carried out any more."""

    dies: dict[Player, int] = field(default_factory=dict)
    """Its connections end, and everyone is told."""
    silent: dict[Player, int] = field(default_factory=dict)
    """It says nothing any more, and nobody is told."""
    tamper: Tamper = lambda sender, receiver, message: (message,)


class Hand:
    """One attempt at one round, with all its players."""

    def __init__(
        self,
        name: str | Protocol,
        owners: int = 5,
        seed: int = 0,
        faults: Faults | None = None,
        **terms: Any,
    ) -> None:
        self.protocol = find(name) if isinstance(name, str) else name
        self.draw = random.Random(f"hand/{seed}")
        self.faults = faults or Faults()
        terms.setdefault("threat", "curious")
        self.identities = self._identities(seed, owners, terms["threat"])
        public = {player: identity.public for player, identity in self.identities.items()}
        self.terms = terms_of(self.protocol, owners, identities=public, **terms)
        self.owners = tuple(owner_name(index) for index in range(owners))
        self.queues: dict[tuple[Player, Player], deque[m.Message | str]] = {}
        self.said: list[tuple[Player, Player, m.Message]] = []
        self.permitted: list[Player] = []
        self.dropped: dict[Player, str] = {}
        self.failed: str | None = None
        self.inputs: dict[Player, tuple[RingVector, int]] = {}
        self.actors: dict[Player, dict[str, Actor]] = {}
        self._people(seed)

    @staticmethod
    def _identities(seed: int, owners: int, threat: str) -> dict[Player, Identity]:
        if threat == "curious":
            return {}
        names = [MODEL_OWNER, *map(node_name, range(3)), *map(owner_name, range(owners))]
        return {name: Identity.generate(InsecureSeededRandomness(seed, "identity", name)) for name in names}

    def _people(self, seed: int) -> None:
        pair = None
        if self.protocol.seals_answers(self.terms):
            pair = KeyPair.generate(InsecureSeededRandomness(seed, "pair"))
        values = np.random.default_rng(seed)

        def context(player: Player) -> Context:
            return Context(
                terms=self.terms,
                me=player,
                label=LABEL,
                invited=m.to_bitmap(list(range(self.terms.population)), self.terms.population),
                digest=bytes(32),
                randomness=InsecureSeededRandomness(seed, "secrets", player),
                identity=self.identities.get(player),
                sealing_key=b"" if pair is None else pair.public,
                sealing_pair=pair if player == MODEL_OWNER else None,
            )

        self._enter(MODEL_OWNER, "receiver", self.protocol.receiver(context(MODEL_OWNER)))
        for node in self.terms.nodes:
            self._enter(node, "node", self.protocol.node(context(node)))
        self._enter(LEAD, "lead", self.protocol.lead(context(LEAD)))
        for owner in self.owners:
            weight = int(values.integers(1, MAX_WEIGHT + 1))
            words = values.integers(0, 1 << BITS, self.terms.dimension).astype(self.terms.ring.dtype)
            words *= words.dtype.type(weight)
            self.inputs[owner] = words, weight
            extended = self.terms.plan.extend(words, weight, self.terms.ring)
            self._enter(owner, "owner", self.protocol.owner(context(owner), extended))

    def _enter(self, player: Player, kind: str, role: e.Role[Any]) -> None:
        self.actors.setdefault(player, {})[kind] = Actor(player, kind, role)

    # -- running ----------------------------------------------------------------------------------------------------

    def play(self, most: int = 100_000) -> Hand:
        """Until nothing can happen any more. A role that still waits then is one that would hang."""
        for _ in range(most):
            moves = [actor for actor in self._everyone() if not actor.done and self._can_move(actor)]
            channels = [pair for pair, queue in self.queues.items() if queue]
            if moves or channels:
                chosen = self.draw.randrange(len(moves) + len(channels))
                if chosen < len(moves):
                    self._move(moves[chosen])
                else:
                    self._arrive(*channels[chosen - len(moves)])
            elif not self._expire():
                return self
        raise AssertionError("this attempt never ends")

    @property
    def lead(self) -> Actor:
        return self.actors[LEAD]["lead"]

    @property
    def revealed(self) -> Revealed | None:
        found: Revealed | None = self.actors[MODEL_OWNER]["receiver"].result
        return found

    @property
    def reason(self) -> str:
        """Why the model owner has no sum."""
        return self.actors[MODEL_OWNER]["receiver"].reason

    def is_right(self) -> bool:
        """Whether what was revealed is the survivors' sum and weight."""
        revealed = self.revealed
        assert revealed is not None
        total = self.terms.ring.zeros(self.terms.dimension)
        for owner in revealed.survivors:
            total += self.inputs[owner][0]
        weight = sum(self.inputs[owner][1] for owner in revealed.survivors)
        return weight == revealed.weight and np.array_equal(self.terms.ring.cut(total), revealed.words)

    def _everyone(self) -> Iterable[Actor]:
        return (actor for roles in self.actors.values() for actor in roles.values())

    @staticmethod
    def _can_move(actor: Actor) -> bool:
        if actor.wait is None:
            return True
        event = actor.event()
        if event is None:
            return False
        actor.answer, actor.wait = event, None
        return True

    def _move(self, actor: Actor) -> None:
        """Carry out one effect."""
        if actor.steps == self.faults.dies.get(actor.player, -1):
            self._die(actor)
            return
        actor.steps += 1
        answer, actor.answer = actor.answer, None
        try:
            wrong = isinstance(answer, e.Rejected)
            effect = actor.role.throw(answer) if wrong else actor.role.send(answer)
            actor.answer = self._carry_out(actor, effect)
        except StopIteration as stop:
            actor.done, actor.result = True, stop.value
        except (e.PeerGone, e.Rejected, m.MessageError) as error:
            self._fail(actor, str(error))

    def _carry_out(self, actor: Actor, effect: e.Effect) -> Any:
        match effect:
            case e.Send(to, message):
                self.send(actor.player, to, message)
            case e.Receive():
                actor.wait = effect
            case e.Compute(_, work, _):
                try:
                    return work()
                except e.Rejected as error:  # the role may have something to add to it
                    return error
            case e.Enter(name):
                actor.phase = name
                actor.expired.clear()
            case e.Permitted(owner):
                self.permitted.append(owner)
            case e.Release(payload):
                payload[:] = bytes(len(payload))  # type: ignore[index]
            case e.Drop(owner, reason):
                self.dropped[owner] = reason
            case e.Refuse(peer, reason):
                self._refuse(actor, peer, reason)
            case e.Abort(reason, culprits=culprits):
                actor.culprits = culprits
                self._fail(actor, reason)
        return None

    def _expire(self) -> bool:
        """Let the lead's permits run out one after the other, then its phase; False when nobody waits for that."""
        lead = self.lead
        if lead.done or lead.wait is None:
            return False
        lead.expired.append(self.permitted.pop(0) if self.permitted else None)
        return True

    # -- messages ---------------------------------------------------------------------------------------------------

    def send(self, sender: Player, to: Player, message: m.Message) -> None:
        """Say something, unless a fault keeps it."""
        steps = max(actor.steps for actor in self.actors[sender].values())
        if sender in self.faults.silent and steps > self.faults.silent[sender]:
            return
        queue = self.queues.setdefault((sender, to), deque())
        for each in self.faults.tamper(sender, to, message):
            self.said.append((sender, to, each))
            queue.append(each)

    def inject(self, sender: Player, to: Player, message: m.Message) -> None:
        """Have a player say what its role never would."""
        self.queues.setdefault((sender, to), deque()).append(message)

    def _arrive(self, sender: Player, to: Player) -> None:
        item = self.queues[sender, to].popleft()
        if isinstance(item, str):
            self._depart(sender, to, item)
            return
        kind, body, payload = m.encode(LABEL, item)
        label, message = m.decode(kind, body, bytearray(payload))
        assert label == LABEL
        if isinstance(message, m.Excluded):
            self._end(self.actors[to]["owner"], f"excluded: {message.reason}")
            return
        actor = self.actors[to].get(message.to)
        if actor is None:
            for other in self.actors[to].values():
                self._refuse(other, sender, f"sent {kind}, which is not for {to}")
        elif not actor.done and sender not in actor.refused:
            self._take(actor, sender, message)

    def _take(self, actor: Actor, sender: Player, message: m.Message) -> None:
        count = actor.seen[sender, message.kind] = actor.seen.get((sender, message.kind), 0) + 1
        if count > 1 and not message.many:
            self._refuse(actor, sender, f"sent {message.kind} {count} times")
        else:
            actor.inbox.append((sender, message))

    # -- ends -------------------------------------------------------------------------------------------------------

    def _refuse(self, actor: Actor, peer: Player, reason: str) -> None:
        if actor.kind == "node" and peer in self.inputs:
            self.send(actor.player, LEAD, m.Faulty(index_of(peer), reason))
        actor.refused.setdefault(peer, reason)
        actor.gone.setdefault(peer, f"refused: {reason}")

    def _die(self, actor: Actor) -> None:
        self._end(actor, "died")
        for other in self.actors:
            if other != actor.player:
                self.queues.setdefault((actor.player, other), deque()).append("connection lost")

    def _end(self, actor: Actor, reason: str) -> None:
        if not actor.done:
            actor.done, actor.reason = True, reason
            actor.role.close()

    def _fail(self, actor: Actor, reason: str) -> None:
        """As players do: an owner tells the lead, a node also the model owner, the lead everybody."""
        self._end(actor, reason)
        if actor.kind == "lead":
            hearers: Iterable[Player] = (MODEL_OWNER, *self.terms.nodes, *self.owners)
            for other in self.actors[LEAD].values():
                self._end(other, reason)
        elif actor.kind == "node":
            hearers = (MODEL_OWNER, LEAD)
        else:
            hearers = (LEAD,) if actor.kind == "owner" else ()
        for hearer in hearers:
            self.queues.setdefault((actor.player, hearer), deque()).append(reason)

    def _depart(self, peer: Player, to: Player, reason: str) -> None:
        for actor in self.actors[to].values():
            ends = (peer == LEAD and actor.kind != "lead") or peer == MODEL_OWNER
            if ends:
                self._end(actor, reason)
            else:
                actor.gone.setdefault(peer, reason)


def flipped(message: m.VectorMessage, at: int = 0) -> m.VectorMessage:
    """The message with one bit of its payload changed on the way."""
    data = bytearray(message.data)
    data[at] ^= 1
    return replace(message, data=data)
