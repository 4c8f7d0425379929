"""Dials lost peers again, each in a task of its own, until the peer is there, will never have us, or is given up.

A peer that is merely not there is tried all the time: the network's own pauses between attempts are at most a second. A
peer that refused us, or that we refused, is left alone for 1, 2, 4 … 60 s first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from asyncagg.net.channel import REFUSED
from asyncagg.net.clock import now_ns
from asyncagg.net.durations import SECOND_NS
from asyncagg.net.errors import NetError, NotNow
from asyncagg.net.exclusion import Backoff
from asyncagg.protocols.names import Player

Dial = Callable[[Player, int | None], Awaitable[None]]
"""Opens a channel to a peer, before the deadline if there is one."""


class Redialler:
    """Of one player."""

    def __init__(self, me: Player, dial: Dial, gave_up: Callable[[Player, str], None]) -> None:
        """`gave_up` is told of a peer that will not have us any more, or was not reached in time, and why."""
        self._me = me
        self._dial = dial
        self._gave_up = gave_up
        self._tasks: dict[Player, asyncio.Task[None]] = {}
        self._backoffs: dict[Player, Backoff] = {}
        self._deadlines: dict[Player, int | None] = {}

    async def reach(self, remote: Player, deadline_ns: int | None) -> None:
        """Open a channel. NetError when that cannot be, or not before the deadline."""
        while True:
            try:
                await self._dial(remote, deadline_ns)
                return
            except NotNow:
                wait_ns = self._wait_ns(remote)
                if deadline_ns is not None and now_ns() + wait_ns >= deadline_ns:
                    raise
            await asyncio.sleep(wait_ns / SECOND_NS)

    def lost(self, remote: Player, reason: str, patience_ns: int | None = None) -> None:
        """A channel has ended: dial again, for as long as this; None: for ever."""
        if remote not in self._tasks:
            self._deadlines[remote] = None if patience_ns is None else now_ns() + patience_ns
            self._start(remote, self._wait_ns(remote) if reason.startswith(REFUSED) else 0)

    def hurry(self, remote: Player) -> asyncio.Task[None] | None:
        """Dial a lost channel at once, not after the network's next pause; return the attempt, None if none waited."""
        former = self._tasks.pop(remote, None)
        if former is None:
            return None
        former.cancel()
        return self._start(remote, 0)

    def stop(self) -> None:
        """Dial nobody any more."""
        for task in list(self._tasks.values()):
            task.cancel()

    def _start(self, remote: Player, wait_ns: int) -> asyncio.Task[None]:
        again = self._again(remote, wait_ns)
        task = asyncio.get_running_loop().create_task(again, name=f"{self._me} to {remote}")
        self._tasks[remote] = task
        task.add_done_callback(lambda done: self._ended(remote, done))
        return task

    def _ended(self, remote: Player, done: asyncio.Task[None]) -> None:
        if self._tasks.get(remote) is done:
            del self._tasks[remote]

    async def _again(self, remote: Player, wait_ns: int) -> None:
        try:
            if wait_ns:
                await asyncio.sleep(wait_ns / SECOND_NS)
            await self.reach(remote, self._deadlines.get(remote))
        except NetError as error:
            self._gave_up(remote, str(error))

    def _wait_ns(self, remote: Player) -> int:
        return self._backoffs.setdefault(remote, Backoff()).refused(now_ns())
