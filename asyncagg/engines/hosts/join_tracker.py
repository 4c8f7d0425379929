"""Track of the other processes: those that have joined this one, and those still waited for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence

from asyncagg.engines.watch.interface import Observer
from asyncagg.net.clock import now_ns
from asyncagg.net.durations import SECOND_NS
from asyncagg.protocols.names import LEAD, MODEL_OWNER, Player, role_of
from asyncagg.runs.trace import Record
from asyncagg.scenario.hosts_config import HostEntry

REMINDER_NS = 10 * SECOND_NS
"""Interval between reminders of who is still waited for."""
NAMED = 4
"""Most processes that a reminder names."""


def role_table(entries: Sequence[HostEntry], here: Sequence[str]) -> Iterator[str]:
    """Table of processes and their places; `here` are the names of this process's own entries."""
    width = max(len(entry.name) for entry in entries)
    for entry in entries:
        yield f"{entry.name:<{width}}  {'this process' if entry.name in here else place(entry)}"


def place(entry: HostEntry) -> str:
    """Place of a process, in words."""
    return f"at {entry.address}" if entry.listens else f"on {entry.host}"


def peers(me: Player, entries: Sequence[HostEntry]) -> list[HostEntry]:
    """The processes that a player has channels to: owners and owners have none, nodes only with the lead."""
    if role_of(me) == "data-owner":
        return [entry for entry in entries if entry.listens]
    everyone = me in (LEAD, MODEL_OWNER)
    return [each for each in entries if everyone or role_of(each.name) != "compute-node" or each.name == LEAD]


def diallers(me: Player, entries: Sequence[HostEntry]) -> list[HostEntry]:
    """The processes among its peers that dial a compute node."""
    return [
        each
        for each in peers(me, entries)
        if role_of(each.name) == "data-owner" or (me == LEAD and role_of(each.name) == "compute-node")
        if me not in each.players
    ]


class JoinTracker(Observer):
    """Watches every player of `entries` join each of the players `here`."""

    def __init__(self, here: Sequence[Player], entries: Sequence[HostEntry]) -> None:
        self.entries = {entry.name: entry for entry in entries}
        self._missing = {
            entry.name: dict.fromkeys((local, remote) for local in here for remote in entry.players)
            for entry in entries
        }
        self._of = {player: entry.name for entry in entries for player in entry.players}
        self._begun = False
        self._changed = asyncio.Event()

    def joined(self, local: str, remote: str) -> None:
        if remote in self._of:
            self._missing[self._of[remote]].pop((Player(local), remote), None)
            self._changed.set()

    def gone(self, local: str, remote: str, reason: str) -> None:
        if remote in self._of:
            self._missing[self._of[remote]][Player(local), remote] = None

    def record(self, record: Record) -> None:
        """Wait for nobody once a round has begun."""
        if record.attempt and not self._begun:
            self._begun = True
            self._changed.set()

    def missing(self) -> list[HostEntry]:
        """The processes of which a player has not joined."""
        return [entry for name, entry in self.entries.items() if self._missing[name]]

    def absent(self, entry: HostEntry) -> int:
        """Number of players of a process that have not joined."""
        return len(dict.fromkeys(remote for _, remote in self._missing[entry.name]))

    async def complete(self, deadline_ns: int, say: Callable[[str], None] = lambda line: None) -> bool:
        """Wait until everyone has joined or a round has begun; False at the deadline. Reminders are said."""
        while not await self._complete_by(min(deadline_ns, now_ns() + REMINDER_NS)):
            left_ns = deadline_ns - now_ns()
            if left_ns <= 0:
                return False
            say(f"waiting for {self._names()}; {left_ns / 1e9:.0f} s left")
        return True

    async def _complete_by(self, deadline_ns: int) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout((deadline_ns - now_ns()) / 1e9):
                while self.missing() and not self._begun:
                    self._changed.clear()
                    await self._changed.wait()
        return self._begun or not self.missing()

    def _names(self) -> str:
        missing = self.missing()
        named = [f"{entry.name} {place(entry)}" for entry in missing[:NAMED]]
        return ", ".join([*named, *([f"and {len(missing) - NAMED} more"] if len(missing) > NAMED else [])])
