"""Owners that come and go by the clock: one timer, for whoever is next."""

from __future__ import annotations

import asyncio
import heapq
from bisect import bisect_right
from collections.abc import Callable, Mapping

from asyncagg.net.clock import call_at_ns, now_ns
from asyncagg.protocols.names import Player, index_of, owner_name
from asyncagg.scenario.schema.availability import AvailabilityFault, Edges
from asyncagg.scenario.schema.scenario import Scenario


def timetable(scenario: Scenario) -> dict[Player, Edges]:
    """Owner → when it comes and goes, by index; nobody who is always there."""
    tables = [fault.intervals for fault in scenario.faults if isinstance(fault, AvailabilityFault)]
    named = ((owner, edges) for table in tables for owner, edges in table.items())
    known = {index_of(Player(owner)): edges for owner, edges in named}
    return {owner_name(index): known[index] for index in sorted(known)}


class AvailabilitySchedule:
    """Tells of every owner of a timetable when it goes and when it comes back; all of them are there before."""

    def __init__(
        self, owners: Mapping[Player, Edges], goes: Callable[[Player], None], comes: Callable[[Player], None]
    ) -> None:
        self._owners = list(owners.items())
        self._goes, self._comes = goes, comes
        self._there = [True] * len(self._owners)
        self._next: list[tuple[int, int]] = []
        """A heap: when, and the number of the owner that comes or goes then."""
        self._timer: asyncio.TimerHandle | None = None
        self._start_ns = 0

    def begin(self, start_ns: int) -> None:
        """Times count from `start_ns`; who is away by now goes at once."""
        self._start_ns = start_ns
        self._next = [(0, number) for number in range(len(self._owners))]
        self._look()

    def end(self) -> None:
        """Nobody comes or goes any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        """Everyone whose time has come, in the order of the timetable where it is the same."""
        now = now_ns() - self._start_ns
        while self._next and self._next[0][0] <= now:
            _, number = heapq.heappop(self._next)
            owner, edges = self._owners[number]
            passed = bisect_right(edges, now)
            self._turn(number, owner, passed % 2 == 1)
            if passed < len(edges):
                heapq.heappush(self._next, (edges[passed], number))
        self._timer = call_at_ns(self._start_ns + self._next[0][0], self._look) if self._next else None

    def _turn(self, number: int, owner: Player, there: bool) -> None:
        if there != self._there[number]:
            self._there[number] = there
            (self._comes if there else self._goes)(owner)
