"""A player's desk: its channels, its conversations, and the checks between a peer's bytes and a role.

A frame becomes a message of a label. Messages of the current label go to the conversation of the role they are for,
later ones wait (bounded) until the player is told of that label, earlier ones are dropped. Bytes that are not a
message cost their sender its part in the attempt, and nobody else anything.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from asyncagg.net.channel import Channel, Network
from asyncagg.net.clock import now_ns
from asyncagg.net.errors import NetError, PeerError
from asyncagg.net.frames import Frame
from asyncagg.players.driver import Ended, RoleDriver, RoundFailed
from asyncagg.players.ledger_store import LedgerStore
from asyncagg.players.usage import PlayerUsage
from asyncagg.protocols import messages as m
from asyncagg.protocols.effects import Cost
from asyncagg.protocols.names import Label, Phase, Player
from asyncagg.protocols.steps.lead import from_guilt_pairs, from_phase_pairs, guilt_pairs, phase_pairs
from asyncagg.runs.trace import Event, Record, Trace

NO_ROUND = Label(0, 0)
STASHED_PER_OWNER = 4
"""Messages of the kinds that a peer may send once for every owner."""


class Executor(Protocol):
    """Where heavy pure functions run: threads in real engines, inline and charged in virtual time."""

    async def run(self, cost: Cost, work: Callable[[], Any]) -> Any: ...


async def _nobody(label: Label, phase: Phase) -> None:
    """Whom the lead need not tell of a phase."""


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
    population: int
    phase_began: Callable[[Label, Phase], Awaitable[None]] = _nobody
    """Told by the lead, which waits for it at each phase: an experiment acts out its faults then."""


class BasePlayer(ABC):
    """One player's connections and conversations; the three kinds of player add what they do with a new label."""

    roles: tuple[m.RoleName, ...]

    def __init__(self, me: Player, environment: PlayerEnvironment) -> None:
        self.me = me
        self.environment = environment
        self.deadlines = environment.deadlines
        self.permit_limit_ns = environment.permit_limit_ns
        self.usage = PlayerUsage()
        self.store: LedgerStore | None = None
        """Where this player's privacy ledger is kept, if it keeps one."""
        self.channels: dict[str, Channel] = {}
        self.departed: dict[str, str] = {}
        self.label = NO_ROUND
        self.drivers: dict[m.RoleName, RoleDriver] = {}
        self._stash: dict[str, list[tuple[Label, m.Message]]] = {}
        self._redials: dict[str, asyncio.Task[None]] = {}

    # -- channels (this object is the sink of all its channels) ------------------------------------------------------

    async def dial(self, remote: Player, deadline_ns: int | None) -> None:
        self.joined(await self.environment.network.dial(self.me, remote, self, deadline_ns))

    def redial(self, remote: Player, reason: str) -> None:
        """A channel that we dialled is lost: dial again until it is there, unless the other side will not have us."""
        if not reason.startswith("refused") and remote not in self._redials:
            self._start_redialling(remote)

    def redial_now(self, remote: Player) -> asyncio.Task[None] | None:
        """Where a lost channel is dialled again, try at once and not after the network's next pause; the attempt."""
        former = self._redials.pop(remote, None)
        if former is None:
            return None
        former.cancel()
        return self._start_redialling(remote)

    def _start_redialling(self, remote: Player) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._dial_again(remote), name=f"{self.me} to {remote}")
        self._redials[remote] = task
        task.add_done_callback(lambda done: self._redialled(remote, done))
        return task

    def _redialled(self, remote: Player, done: asyncio.Task[None]) -> None:
        if self._redials.get(remote) is done:
            del self._redials[remote]

    async def _dial_again(self, remote: Player) -> None:
        try:
            await self.dial(remote, None)
        except NetError as error:
            self.departed[remote] = str(error)

    def stop_redialling(self) -> None:
        for task in list(self._redials.values()):
            task.cancel()

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
        self._stash.pop(peer, None)
        for driver in self.drivers.values():
            driver.depart(peer, reason)

    def deliver(self, frame: Frame) -> None:
        peer = Player(frame.sender)
        try:
            label, message = m.decode(frame.kind, frame.body, frame.payload)
            self.usage.of(min(label.round, self.label.round + 1)).received += frame.size  # no peer makes it grow
            self.route(peer, label, message)
        except m.MessageError as error:
            self._refuse(peer, str(error))

    # -- messages ---------------------------------------------------------------------------------------------------

    def route(self, peer: Player, label: Label, message: m.Message) -> None:
        """Bring a message to whom it is for: this player itself, a conversation, the stash, or nobody."""
        if isinstance(message, m.Failed):
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
            self._keep(peer, label, message)

    @abstractmethod
    def control(self, peer: Player, label: Label, message: m.Message) -> bool:
        """Handle what is for the player and not for a role; True if it was."""

    @abstractmethod
    def ends_attempt(self, peer: Player) -> bool:
        """Whether this peer's failure is the end of the attempt for this player."""

    def _failed(self, peer: Player, label: Label, message: m.Failed) -> None:
        if label > self.label:
            self._keep(peer, label, message)
        if label != self.label:
            return
        for driver in self.drivers.values():
            if self.ends_attempt(peer):
                dropped, culprits = from_phase_pairs(message.dropped), from_guilt_pairs(message.culprits)
                driver.fail(Ended(message.reason, dropped, message.exposed, culprits))
            else:
                driver.depart(peer, message.reason)

    def _keep(self, peer: Player, label: Label, message: m.Message) -> None:
        """Hold what belongs to a label this player has not been told of yet; only the latest label of a peer.

        One message of a kind, so that a peer cannot fill the memory with vectors nobody asked for.
        """
        kept = self._stash.setdefault(peer, [])
        if kept and kept[-1][0] != label:
            kept.clear()
        full = len(kept) >= STASHED_PER_OWNER * self.environment.population
        if not (full if message.many else any(type(message) is type(earlier) for _, earlier in kept)):
            kept.append((label, message))

    def _refuse(self, peer: Player, reason: str) -> None:
        if self.drivers:
            for driver in self.drivers.values():
                driver.refuse(peer, reason)
        else:
            self.note(self.label, "publish", "refuse", peer, reason)

    async def persist(self) -> None:
        """Write down what must outlive this process."""
        if self.store is not None and self.store.durable:
            await asyncio.to_thread(self.store.save)  # waiting for the disk is not for the loop
        elif self.store is not None:
            self.store.save()

    # -- for conversations ------------------------------------------------------------------------------------------

    def open(self, label: Label, *roles: m.RoleName) -> list[RoleDriver]:
        """Begin a label with these roles, and hand them what has already come for it."""
        self.label = label
        self.drivers = {role: RoleDriver(self, role, label, self.environment.population) for role in roles}
        stash, self._stash = self._stash, {}
        for peer, kept in stash.items():
            for kept_label, message in kept:
                self.route(Player(peer), kept_label, message)
        return list(self.drivers.values())

    def send(self, label: Label, to: Player, message: m.Message, phase: Phase) -> None:
        """Say something; a peer that is not there hears nothing, and its departure is told as such."""
        if to == self.me:
            asyncio.get_running_loop().call_soon(self.route, self.me, label, message)
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
            failure.reason[:500], phase_pairs(failure.dropped), failure.exposed, guilt_pairs(failure.culprits)
        )
        for player in players:
            if player != self.me:
                self.send(label, player, message, "reveal")
