"""The driver: one role of one attempt, its mailbox, and the loop that carries out its effects.

The same driver runs in every engine. It knows time only through the running loop's clock: at the lead a timer for
each phase, and one for each permit. Each (peer, kind) is taken at most once an attempt, which bounds the mailbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Protocol, TypeVar

from asyncagg.net.clock import call_at_ns, now_ns
from asyncagg.net.tcp.buffers import release
from asyncagg.players.arrivals.mailbox import Mailbox
from asyncagg.protocols import effects as e
from asyncagg.protocols.messages import Faulty, Message, MessageError, RoleName
from asyncagg.protocols.names import LEAD, Cause, Guilt, Label, Phase, Player, index_of, role_of
from asyncagg.protocols.permissions import Permissions
from asyncagg.runs.trace import Event as Traced

T = TypeVar("T")


class DriverHost(Protocol):
    """Interface of the player whose role a driver runs."""

    me: Player
    deadlines: Mapping[Phase, int]
    permit_limit_ns: int
    departed: dict[str, str]

    def disconnect(self, peer: Player, reason: str) -> None: ...
    def send(self, label: Label, to: Player, message: Message, phase: Phase) -> None: ...
    async def compute(self, label: Label, phase: Phase, cost: e.Cost, work: Callable[[], Any], name: str) -> Any: ...
    async def persist(self) -> None: ...
    async def phase_began(self, label: Label, phase: Phase) -> None: ...
    def note(self, label: Label, phase: Phase, event: Traced, about: str, detail: str) -> None: ...


class RoundFailed(Exception):
    """An attempt ended without a sum, or this player's part in it did."""

    def __init__(
        self,
        reason: str,
        dropped: dict[Player, Phase] | None = None,
        exposed: bool = False,
        culprits: dict[Player, Guilt] | None = None,
        cause: Cause = "lost",
        lost: tuple[Player, ...] = (),
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cause = cause
        """Cause of the failure; not "lost" where it was this player's own computation."""
        self.dropped = dropped or {}
        self.exposed = exposed
        self.culprits = culprits or {}
        """Owners that are not to be invited again."""
        self.lost = lost
        """Compute nodes that the lead has lost."""


class Ended(RoundFailed):
    """Another player ended the attempt, or this player's part in it: nobody needs to be told."""


class RoleDriver:
    """One role in one attempt."""

    def __init__(self, host: DriverHost, role: RoleName, label: Label, permissions: Permissions) -> None:
        self.host = host
        self.role = role
        self.label = label
        self.phase: Phase = "publish"
        self._mailbox = Mailbox(host.me, permissions)
        self._told_lead = False
        self._waiting: asyncio.Future[None] | None = None
        self._wanted: tuple[type[Message], ...] = ()
        self._failure: RoundFailed | None = None
        self._timers: dict[Player | None, asyncio.TimerHandle] = {}
        for peer, reason in host.departed.items():
            self.depart(peer, reason)

    # -- what arrives -----------------------------------------------------------------------------------------------

    def deliver(self, peer: Player, message: Message) -> None:
        """A message of this label for this role."""
        refusal = self._mailbox.put(peer, message)
        if refusal is not None:
            self.refuse(peer, refusal)
        elif type(message) in self._wanted:
            self._wake()

    def depart(self, peer: str, reason: str, cause: Cause = "lost") -> None:
        """A peer's connection is gone, or it has ended its part in this attempt."""
        if self._may_do_without(peer):
            return
        self._mailbox.depart(peer, reason, cause)
        self._wake()

    def _may_do_without(self, peer: str) -> bool:
        """True if a compute node has lost the lead, but has not heard from it in this attempt, nor told it anything.

        It dials it again, and has missed nothing: the lead waits for nodes it had lost before it begins. A node that
        stood still notices one lost connection after the other, and may be in the next attempt in between.
        """
        return self.role == "node" and peer == LEAD and not self._told_lead and not self._mailbox.has_heard(peer)

    def is_back(self, peer: str) -> None:
        """A peer that had left is there again, before the role has begun."""
        self._mailbox.is_back(peer)

    def fail(self, failure: RoundFailed) -> None:
        """Someone who may has ended the attempt."""
        self._failure = failure
        self._wake()

    def refuse(self, peer: Player, reason: str) -> None:
        """End this peer's part in the attempt, and its channel; nobody else is touched."""
        if not self._mailbox.refuse(peer):
            return
        if self.role == "node" and role_of(peer) == "data-owner":
            self.host.send(self.label, LEAD, Faulty(index_of(peer), reason[:500]), self.phase)
        self.host.note(self.label, self.phase, "refuse", peer, reason)
        self._mailbox.depart(peer, f"refused: {reason}")
        self.host.disconnect(peer, reason)

    def held(self, kind: type[Message]) -> int:
        """Number of messages of a kind that wait to be taken."""
        return self._mailbox.held(kind)

    # -- the loop ---------------------------------------------------------------------------------------------------

    async def run(self, role: e.Role[T]) -> T:
        """Drive the role to its end; RoundFailed when the attempt ends before."""
        step: Callable[[], e.Effect] = partial(role.send, None)
        try:
            while True:
                if self._failure is not None:
                    raise self._failure
                effect = step()
                try:
                    step = partial(role.send, await self._carry_out(effect))
                except e.Rejected as error:  # out of heavy work: the role may have something to add to it
                    step = partial(role.throw, error)
        except StopIteration as stop:
            result: T = stop.value
            return result
        except e.PeerGone as gone:
            raise RoundFailed(f"{gone} (in {self.phase})") from None
        except e.Rejected as error:
            dropped = dict.fromkeys(error.culprits, self.phase)
            raise RoundFailed(f"{error} (in {self.phase})", dropped, culprits=error.culprits) from None
        except MessageError as error:
            raise RoundFailed(f"{error} (in {self.phase})") from None
        finally:
            role.close()
            self._stop_timers()

    async def _carry_out(self, effect: e.Effect) -> Any:
        match effect:
            case e.Send(to, message):
                self._told_lead |= to == LEAD
                if to == LEAD and LEAD in self.host.departed:
                    self.depart(LEAD, self.host.departed[LEAD])
                self.host.send(self.label, to, message, self.phase)
            case e.Receive(kinds, peers):
                return await self._receive(kinds, peers)
            case e.Compute(cost, work, name):
                return await self.host.compute(self.label, self.phase, cost, work, name)
            case e.Enter(name):
                await self._enter(name)
            case e.Permitted(owner):
                self._start_timer(owner, self.host.permit_limit_ns)
            case e.Persist():
                await self.host.persist()
            case e.Release(payload):
                release(payload)
            case e.Drop(owner, reason):
                self.host.note(self.label, self.phase, "drop", owner, reason)
            case e.Refuse(peer, reason):
                self.refuse(peer, reason)
            case e.Abort(reason, dropped, exposed, culprits):
                raise RoundFailed(reason, dict(dropped), exposed, dict(culprits))
        return None

    async def _receive(self, kinds: tuple[type[Message], ...], peers: Collection[str]) -> e.Event:
        while True:
            if self._failure is not None:
                raise self._failure
            event = self._mailbox.next(kinds, peers)
            if event is not None:
                return event
            self._wanted = kinds
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting, self._wanted = None, ()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    # -- time -------------------------------------------------------------------------------------------------------

    async def _enter(self, name: Phase) -> None:
        self.phase = name
        if self.role == "lead":
            self._stop_timers()  # permits end with the phase they were given in
            self._mailbox.forget_expired()
            await self.host.phase_began(self.label, name)
            self._start_timer(None, self.host.deadlines[name])

    def _start_timer(self, key: Player | None, limit_ns: int) -> None:
        self._timers[key] = call_at_ns(now_ns() + limit_ns, self._expire, key)

    def _stop_timers(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _expire(self, key: Player | None) -> None:
        self.host.note(self.label, self.phase, "deadline", key or "", "")
        self._mailbox.expire(key)
        self._wake()
