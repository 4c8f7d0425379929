"""Coroutines that wait for one thing to happen, each until its own deadline."""

from __future__ import annotations

import asyncio

from asyncagg.net.clock import call_at_ns


class Waiters:
    """Those who wait until `why` no longer holds."""

    __slots__ = ("_futures", "why")

    def __init__(self, why: str) -> None:
        self.why = why
        self._futures: dict[asyncio.Future[None], None] = {}

    async def wait(self, deadline_ns: int | None) -> None:
        """Return when woken, or at the deadline; None is no deadline."""
        future = asyncio.get_running_loop().create_future()
        self._futures[future] = None
        timer = None if deadline_ns is None else call_at_ns(deadline_ns, _resolve, future)
        try:
            await future
        finally:
            self._futures.pop(future, None)
            if timer is not None:
                timer.cancel()

    def wake(self) -> None:
        """Let everyone look again."""
        for future in self._futures:
            _resolve(future)


async def sleep_until(when_ns: int) -> None:
    """Return when the running loop's `now_ns()` has reached `when_ns`."""
    await Waiters("it is early").wait(when_ns)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
