"""One role driven by hand: it is fed what happens to it, and does at once all that follows, without loop or clock.

The mailbox is the one that every engine uses, and the rules around it are those of `RoleDriver`: messages wait until
their kind is asked for, a peer that says what it may not is refused, only the lead has deadlines. Messages come as
bytes and go as bytes. A payload that the role released is overwritten: whoever looks at it again sees zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

from asyncagg.engines.by_hand.setting import LABEL, Place
from asyncagg.players.arrivals.mailbox import Mailbox
from asyncagg.protocols import effects as e
from asyncagg.protocols import messages as m
from asyncagg.protocols.names import LEAD, Phase, Player, index_of, role_of
from asyncagg.protocols.permissions import Permissions
from asyncagg.protocols.steps.lead import guilt_pairs, phase_pairs


class Item(NamedTuple):
    """A message as bytes."""

    kind: str
    body: bytes
    payload: bytes

    @classmethod
    def of(cls, message: m.Message) -> Item:
        kind, body, payload = m.encode(LABEL, message)
        return cls(kind, bytes(body), bytes(payload))

    def message(self) -> m.Message:
        """It as a role gets it; a payload is a copy that may be written to. MessageError where it is no message."""
        return m.decode(self.kind, self.body, bytearray(self.payload))[1] if self.payload else _decoded(self)


@lru_cache(maxsize=1 << 14)
def _decoded(item: Item) -> m.Message:
    """Kept, because nothing in a message without a payload can be written to."""
    return m.decode(item.kind, item.body, b"")[1]


class Arrives(NamedTuple):
    """A message for this role."""

    peer: Player
    item: Item


class Departs(NamedTuple):
    """A peer is gone, or has ended its part."""

    peer: Player
    reason: str


class Expires(NamedTuple):
    """A deadline of the lead has passed: of the phase (None), or of a permit."""

    key: Player | None


class Ends(NamedTuple):
    """Somebody who may has ended the attempt for this role."""

    reason: str


Input = Arrives | Departs | Expires | Ends


class Says(NamedTuple):
    """The role says something; None: it cuts the connection, after which it says nothing more there."""

    to: Player
    item: Item | None


@dataclass(frozen=True, slots=True)
class End:
    """End of a role."""

    how: str
    """done, failed (it tells the others), ended (it was told), broken (a mistake in its code), crashed."""
    reason: str = ""
    result: Any = None


class Turn(NamedTuple):
    """One thing that a role was told, where it stood then, and what it did until it waited again."""

    standing: tuple[str, ...]
    """Its phase, and the kinds that it waited for."""
    event: e.Event | None
    """None: its beginning."""
    effects: list[e.Effect]
    phase: Phase = "publish"
    """Phase in which the role was when it was told."""


class HandDriver:
    """One role from its beginning."""

    def __init__(self, place: Place, role: e.Role[Any], permissions: Permissions) -> None:
        self.place = place
        self.phase: Phase = "publish"
        self.mailbox = Mailbox(place.player, permissions)
        self.wait: e.Receive | None = None
        self.end: End | None = None
        self.farewell: m.Failed | None = None
        """Message in which its player tells others of its failure."""
        self.timers: dict[Player | None, None] = {}
        """Deadlines that have not passed, at the lead."""
        self.turns: list[Turn] = []
        """Results of the beginning, or of the last `feed`."""
        self.said: list[Says] = []
        """Messages that the role sent then."""
        self.aside: list[Arrives] = []
        """Messages that wait in the mailbox."""
        self._role = role
        self._go_on(None)

    def feed(self, *inputs: Input) -> None:
        """Let these things happen to the role, one after the other; what comes of the last one is noted."""
        for what in inputs:
            self.said, self.turns = [], []
            if self.end is None:
                self._take(what)
                self._run()

    def _take(self, what: Input) -> None:
        match what:
            case Arrives(peer, item):
                refusal = self.mailbox.put(peer, item.message())
                if refusal is not None:
                    self._refuse(peer, refusal)
                else:
                    self.aside.append(what)
            case Departs(peer, reason):
                self.mailbox.depart(peer, reason)
            case Expires(key):
                self.timers.pop(key, None)
                self.mailbox.expire(key)
            case Ends(reason):
                self._stop(End("ended", reason))

    def _run(self) -> None:
        """Hand out what there is, one event after the other."""
        while self.end is None and self.wait is not None:
            event = self.mailbox.next(self.wait.kinds, self.wait.peers)
            if event is None:
                return
            self._go_on(event)

    def _go_on(self, event: e.Event | None) -> None:
        """Tell the role something, and carry out what it wants until it waits again or ends."""
        turn = Turn(self.standing(), _copied(event), [], self.phase)
        self.turns.append(turn)
        if isinstance(event, e.Got):
            kind = event.message.kind
            self.aside.remove(next(each for each in self.aside if (each.peer, each.item.kind) == (event.peer, kind)))
        self.wait = None
        step: Callable[[], e.Effect] = partial(self._role.send, event)
        try:
            while self.end is None and self.wait is None:
                effect = step()
                turn.effects.append(_copied(effect))
                self._carry_out(effect)
                step = self._following(effect)
        except StopIteration as stop:
            self._stop(End("done", result=stop.value))
        except e.Rejected as error:
            self._fail(str(error), e.Abort("", dict.fromkeys(error.culprits, self.phase), False, error.culprits))
        except (e.PeerGone, m.MessageError) as error:
            self._fail(str(error))
        except Exception as error:  # whatever a role's own code raises is what is looked for
            self._stop(End("broken", f"{type(error).__name__}: {error} (in {self.phase})"))

    def _following(self, effect: e.Effect) -> Callable[[], e.Effect]:
        """Continuation of the role after an effect; what heavy work rejects is thrown where the role waits for it."""
        if not isinstance(effect, e.Compute):
            return partial(self._role.send, None)
        try:
            return partial(self._role.send, effect.work())
        except e.Rejected as error:
            return partial(self._role.throw, error)

    def _carry_out(self, effect: e.Effect) -> None:
        match effect:
            case e.Send(to, message):
                self.said.append(Says(to, Item.of(message)))
            case e.Receive():
                self.wait = effect
            case e.Enter(name):
                self._enter(name)
            case e.Permitted(owner):
                self.timers[owner] = None
            case e.Release(payload) if isinstance(payload, bytearray):
                payload[:] = bytes(len(payload))
            case e.Refuse(peer, reason):
                self._refuse(peer, reason)
            case e.Abort():
                self._fail(effect.reason, effect)

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        if self.place.role == "lead":
            self.mailbox.forget_expired()
            self.timers = {None: None}

    def _refuse(self, peer: Player, reason: str) -> None:
        if not self.mailbox.refuse(peer):
            return
        if self.place.role == "node" and role_of(peer) == "data-owner":
            self.said.append(Says(LEAD, Item.of(m.Faulty(index_of(peer), reason[:500]))))
        self.mailbox.depart(peer, f"refused: {reason}")
        self.said.append(Says(peer, None))

    def _fail(self, reason: str, abort: e.Abort | None = None) -> None:
        abort = abort or e.Abort(reason)
        reason = f"{reason} (in {self.phase})"
        self.farewell = m.Failed(reason[:500], phase_pairs(abort.dropped), abort.exposed, guilt_pairs(abort.culprits))
        self._stop(End("failed", reason))

    def _stop(self, end: End) -> None:
        self.end = end
        self.wait = None
        self.timers = {}
        self._role.close()

    def standing(self) -> tuple[str, ...]:
        """Phase of the role, and the kinds it waits for."""
        kinds = () if self.wait is None else self.wait.kinds
        return (self.phase, *(kind.kind for kind in kinds))


def _copied(each: Any) -> Any:
    """An event or effect with a payload of its own: the role may overwrite the one it has."""
    match each:
        case e.Got(peer, m.VectorMessage() as message):
            return e.Got(peer, replace(message, data=bytes(message.data)))
        case e.Send(to, m.VectorMessage() as message):
            return e.Send(to, replace(message, data=bytes(message.data)))
    return each
