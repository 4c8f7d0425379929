"""What all players have in common: channels, the roles of an attempt, and the checks between a peer's bytes and a role.

A frame becomes a message of a label. Messages of the current label go to the driver of the role they are for,
later ones wait (bounded) until the player is told of that label, earlier ones are dropped. Bytes that are not a
message, or that their sender may not say, cost it its part in the attempt and its channel, and nobody else anything.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from asyncagg.net.channel import REFUSED, Channel, Network
from asyncagg.net.clock import now_ns
from asyncagg.net.errors import PeerError
from asyncagg.net.frames import Frame
from asyncagg.players.arrivals.allowance import Allowance
from asyncagg.players.arrivals.stash import NO_ROUND, Stash
from asyncagg.players.driver import Ended, RoleDriver, RoundFailed
from asyncagg.players.ledger_store import LedgerStore
from asyncagg.players.outcome import OwnNote
from asyncagg.players.redialler import Redialler
from asyncagg.players.usage import PlayerUsage
from asyncagg.protocols import messages as m
from asyncagg.protocols.effects import Cost
from asyncagg.protocols.names import CAUSES, Label, Phase, Player
from asyncagg.protocols.permissions import Permissions
from asyncagg.protocols.steps.lead import from_guilt_pairs, from_phase_pairs, guilt_pairs, phase_pairs
from asyncagg.runs.trace import Event, Record, Trace


class Executor(Protocol):
    """Where heavy pure functions run: threads in real engines, inline and charged in virtual time."""

    async def run(self, cost: Cost, work: Callable[[], Any]) -> Any: ...


async def _nobody(label: Label, phase: Phase) -> None:
    """Default callback: does nothing."""


def _unread(note: OwnNote) -> None:
    """Default callback: does nothing."""


@dataclass(frozen=True, slots=True)
class PlayerEnvironment:
    """What an engine gives to every player."""

    network: Network
    executor: Executor
    trace: Trace
    deadlines: Mapping[Phase, int]
    """Phase → nanoseconds."""
    permit_limit_ns: int
    start_ns: int
    permissions: Permissions
    """Who may say what to whom."""
    permits: bool = False
    """Whether uploads need one."""
    patience_ns: int | None = None
    """How long a player that has lost the model owner looks for it; None: for as long as the run goes on."""
    phase_began: Callable[[Label, Phase], Awaitable[None]] = _nobody
    """Told by the lead, which waits for it at each phase: an experiment acts out its faults then."""
    note_own: Callable[[OwnNote], None] = _unread
    """Told by data owners what is for their own eyes alone."""


class BasePlayer(ABC):
    """One player's connections and roles; the three kinds of player add what they do with a new label."""

    roles: tuple[m.RoleName, ...]

    def __init__(self, me: Player, environment: PlayerEnvironment) -> None:
        self.me = me
        self.environment = environment
        self.deadlines = environment.deadlines
        self.permit_limit_ns = environment.permit_limit_ns
        self.usage = PlayerUsage()
        self.store: LedgerStore | None = None
        """Where this player's account is kept, if it keeps one."""
        self.channels: dict[str, Channel] = {}
        self.departed: dict[str, str] = {}
        self.label = NO_ROUND
        self.drivers: dict[m.RoleName, RoleDriver] = {}
        self.redialler = Redialler(me, self.dial, self.gave_up)
        self._stash = Stash(me, environment.permissions, permits=environment.permits)
        self._allowance = Allowance(me, environment.permissions)

    # -- channels (this object is the sink of all its channels) ------------------------------------------------------

    async def dial(self, remote: Player, deadline_ns: int | None) -> None:
        self.joined(await self.environment.network.dial(self.me, remote, self, deadline_ns))

    def gave_up(self, remote: Player, reason: str) -> None:
        """A lost peer is dialled no more: it will not have us, or was not reached in time."""
        self.departed[remote] = reason

    def crash(self) -> None:
        """Stop as a process does: whoever talks to this player loses it, and what was under way is forgotten.

        Who runs the player cancels `run`; calling `run` again brings it back with what it kept.
        """
        for channel in self.channels.values():
            channel.close("crashed")
        self.channels.clear()
        self.departed.clear()
        self.drivers.clear()
        self._stash.clear()

    def forget(self) -> None:
        """Lose what a crashed player kept in memory."""
        self.label = NO_ROUND

    def accept(self, channel: Channel) -> BasePlayer:
        self.joined(channel)
        return self

    def joined(self, channel: Channel) -> None:
        """A channel to this peer is there, perhaps again."""
        self.channels[channel.remote] = channel
        self.departed.pop(channel.remote, None)

    def gone(self, peer: str, reason: str) -> None:
        self.channels.pop(peer, None)
        self.departed[peer] = reason
        self._stash.forget(peer)
        for driver in self.drivers.values():
            driver.depart(peer, reason)

    def disconnect(self, peer: Player, reason: str) -> None:
        """A peer is refused: hear no more of it. It may come back in a later attempt."""
        channel = self.channels.get(peer)
        if channel is not None:
            channel.refuse(reason)
            self.gone(peer, f"{REFUSED}{reason}")

    def deliver(self, frame: Frame) -> None:
        peer = Player(frame.sender)
        try:
            self._allowance.take(peer, frame.kind)
            label, message = m.decode(frame.kind, frame.body, frame.payload)
            self.usage.of(min(label.round, self.label.round + 1)).received += frame.size  # no peer makes it grow
            self.route(peer, label, message, len(frame.body) + len(frame.payload))
        except m.MessageError as error:
            self._refuse(peer, str(error))

    # -- messages ---------------------------------------------------------------------------------------------------

    def route(self, peer: Player, label: Label, message: m.Message, size: int) -> None:
        """Bring a message to whom it is for: this player itself, a role, the stash, or nobody.

        MessageError for one that its sender may not say now; `size` is in bytes.
        """
        if label > self.label and isinstance(message, m.Failed):
            self._stash.keep(peer, label, message, size, self.label)
        elif isinstance(message, m.Failed):
            self._failed(peer, label, message)
        elif self.control(peer, label, message):
            return
        elif label == self.label:
            driver = self.drivers.get(message.to)
            if driver is not None:
                driver.deliver(peer, message)
            elif message.to not in self.roles:
                self._refuse(peer, f"sent {message.kind}, which is not for {self.me}")
        elif label > self.label:
            self._stash.keep(peer, label, message, size, self.label)

    @abstractmethod
    def control(self, peer: Player, label: Label, message: m.Message) -> bool:
        """Handle what is for the player and not for a role; True if it was."""

    @abstractmethod
    def ends_attempt(self, peer: Player) -> bool:
        """Whether this peer's failure is the end of the attempt for this player."""

    def _failed(self, peer: Player, label: Label, message: m.Failed) -> None:
        if label != self.label:
            return
        for driver in self.drivers.values():
            if self.ends_attempt(peer):
                dropped, culprits = from_phase_pairs(message.dropped), from_guilt_pairs(message.culprits)
                driver.fail(Ended(message.reason, dropped, message.exposed, culprits))
            else:
                driver.depart(peer, message.reason, CAUSES[message.cause])

    def _refuse(self, peer: Player, reason: str) -> None:
        if not self.drivers:
            self.note(self.label, "publish", "refuse", peer, reason)
            self.disconnect(peer, reason)
        for driver in self.drivers.values():
            driver.refuse(peer, reason)

    async def persist(self) -> None:
        """Write down what must outlive this process."""
        if self.store is not None and self.store.durable:
            await asyncio.to_thread(self.store.save)  # waiting for the disk is not for the loop
        elif self.store is not None:
            self.store.save()

    # -- for the drivers of roles -----------------------------------------------------------------------------------

    def open(self, label: Label, *roles: m.RoleName) -> list[RoleDriver]:
        """Begin a label with these roles, and hand them what has already come for it."""
        self.label = label
        self._allowance.begin()
        self.environment.network.pardon(self.me)
        self.drivers = {role: RoleDriver(self, role, label, self.environment.permissions) for role in roles}
        for peer, kept_label, message, size in self._stash.taken():
            try:
                self.route(peer, kept_label, message, size)
            except m.MessageError as error:
                self._refuse(peer, str(error))
        return list(self.drivers.values())

    def send(self, label: Label, to: Player, message: m.Message, phase: Phase) -> None:
        """Say something; a peer that is not there hears nothing, and its departure is told as such."""
        if to == self.me:
            asyncio.get_running_loop().call_soon(self.route, self.me, label, message, 0)
            return
        channel = self.channels.get(to)
        if channel is None:
            return
        kind, body, payload = m.encode(label, message)
        try:
            size = channel.send(kind, body, payload)
        except PeerError:
            return  # closed a moment ago
        if not size:
            return  # the connection has just ended: `gone` follows
        self.usage.of(label.round).sent += size
        self.environment.trace.add(
            Record(
                self.now(),
                label.round,
                label.attempt,
                phase,
                "message",
                self.me,
                to,
                kind,
                size,
                message.exposure,
                "",
            )
        )

    async def compute(self, label: Label, cost: Cost, work: Callable[[], Any]) -> Any:
        self.usage.of(label.round).charge(cost)
        return await self.environment.executor.run(cost, work)

    def note(self, label: Label, phase: Phase, event: Event, about: str, detail: str) -> None:
        """A trace record that is not a message."""
        self.environment.trace.add(
            Record(self.now(), label.round, label.attempt, phase, event, self.me, about, "", 0, "", detail)
        )

    async def phase_began(self, label: Label, phase: Phase) -> None:
        self.usage.of(label.round).phases.append((self.now(), phase))
        self.note(label, phase, "phase", "", "")
        await self.environment.phase_began(label, phase)

    def now(self) -> int:
        return now_ns() - self.environment.start_ns

    def tell_failure(self, label: Label, failure: RoundFailed, *players: Player) -> None:
        """Say that this player ends the attempt, or its part in it."""
        message = m.Failed(
            failure.reason[:500],
            phase_pairs(failure.dropped),
            failure.exposed,
            guilt_pairs(failure.culprits),
            CAUSES.index(failure.cause),
        )
        for player in players:
            if player != self.me:
                self.send(label, player, message, "reveal")
