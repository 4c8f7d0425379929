"""Before the first round on many hosts: who is there, who is not and why, in lines that a person reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

from asyncagg.engines.watch.observer import Observer
from asyncagg.scenario.hosts import Entry
from net.clock import now_ns

TROUBLE = "cannot start: "
"""What the reason begins with when a process tells the model owner that it gives up."""
REFUSALS = 20
"""Most refusals that are told: anyone can make them."""


def role_table(entries: Sequence[Entry], here: Sequence[str]) -> Iterator[str]:
    """Who is where; `here` are the names of this process's own entries."""
    width = max(len(entry.name) for entry in entries)
    for entry in entries:
        place = "this process" if entry.name in here else entry.address if entry.listens else f"on {entry.host}"
        yield f"{entry.name:<{width}}  {place}"


class Preflight(Observer):
    """At the model owner: watches the others join until everyone is there, nobody more will come, or the deadline."""

    def __init__(self, entries: Sequence[Entry], tell: Callable[[str], None]) -> None:
        self._missing = {entry.name: dict.fromkeys(entry.players) for entry in entries}
        self._entries = {entry.name: entry for entry in entries}
        self._of = {player: entry.name for entry in entries for player in entry.players}
        self._troubles: dict[str, str] = {}
        self._tell = tell
        self._changed = asyncio.Event()
        self._refusals: dict[str, None] = {}

    def refused(self, address: str, reason: str) -> None:
        """See `Observer`; each reason once, and not many."""
        if reason not in self._refusals and len(self._refusals) < REFUSALS:
            self._refusals[reason] = None
            self._tell(f"{address}: refused: {reason}")

    def joined(self, local: str, remote: str) -> None:
        """See `Observer`."""
        name = self._of.get(remote)
        if name is None:
            return
        self._missing[name].pop(remote, None)
        self._changed.set()

    def gone(self, local: str, remote: str, reason: str) -> None:
        """See `Observer`."""
        name = self._of.get(remote)
        if name is None:
            return
        self._missing[name][remote] = None
        self._troubles[name] = reason.removeprefix("closed: ").removeprefix(TROUBLE)
        self._changed.set()

    async def complete(self, deadline_ns: int) -> list[Entry]:
        """Wait; the processes that are not there, each of which a line has told of."""
        began_ns = now_ns()
        told: dict[str, None] = {}
        try:
            async with asyncio.timeout((deadline_ns - began_ns) / 1e9):
                while not all(name in told for name in self._entries):
                    self._changed.clear()
                    for name, missing in self._missing.items():
                        if name not in told and (not missing or name in self._troubles):
                            told[name] = None
                            self._say(name, began_ns)
                    if not all(name in told for name in self._entries):
                        await self._changed.wait()
        except TimeoutError:
            for name in self._entries:
                if name not in told:
                    self._say(name, began_ns)
        return [entry for name, entry in self._entries.items() if self._missing[name]]

    def _say(self, name: str, began_ns: int) -> None:
        entry, missing = self._entries[name], self._missing[name]
        after = f"{(now_ns() - began_ns) / 1e9:.1f} s"
        if not missing:
            return  # the log has told of it
        if name in self._troubles:
            self._tell(f"{name}: gave up: {self._troubles[name]}")
        else:
            where = entry.address if entry.listens else entry.host
            some = "" if len(missing) == len(entry.players) else f" ({len(missing)} of {len(entry.players)} players)"
            self._tell(f"{name}: did not join within {after}{some} (asyncagg serve {name}, on {where})")
