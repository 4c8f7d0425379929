"""Messages a second between 10,000 coroutines on the virtual loop, and on asyncio's own doing the same work.

The coroutines stand in a ring. 2,000 tokens go round in it, and every hand-over wakes a coroutine that waits
at its mailbox. In the second workload each coroutine sleeps up to 1 ms before it hands a token on; asyncio's
loop sleeps for real there, 25 ms of more than a second, so both loops are bound by the processor.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from asyncagg.net.virtual.loop import VirtualLoop
from benchmarks.table import Row

COROUTINES = 10_000
TOKENS = 2_000
MESSAGES = 100_000
REPEATS = 7
TARGET = 150_000


class Mailbox:
    """A queue for one reader, on a bare future."""

    __slots__ = ("_items", "_waiter")

    def __init__(self) -> None:
        self._items: deque[int] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def put(self, item: int) -> None:
        self._items.append(item)
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.set_result(None)

    async def get(self) -> int:
        if not self._items:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._items.popleft()


async def _relay(mailbox: Mailbox, following: Mailbox, place: int, sleeps: bool) -> None:
    for _ in range(MESSAGES // COROUTINES):
        token = await mailbox.get()
        if sleeps:
            await asyncio.sleep((place * 7919 + token * 104_729) % 1_000_003 * 1e-9)
        following.put(token)


async def _messages_per_second(sleeps: bool) -> float:
    ring = [Mailbox() for _ in range(COROUTINES)]
    relays = [
        asyncio.create_task(_relay(mailbox, ring[(place + 1) % COROUTINES], place, sleeps))
        for place, mailbox in enumerate(ring)
    ]
    await asyncio.sleep(0)  # all stand at their mailboxes now
    began = time.perf_counter()
    for token in range(TOKENS):
        ring[token * (COROUTINES // TOKENS)].put(token)
    await asyncio.gather(*relays)
    return MESSAGES / (time.perf_counter() - began)


def _measure(make_loop: Callable[[], asyncio.AbstractEventLoop], sleeps: bool) -> float:
    with asyncio.Runner(loop_factory=make_loop) as runner:
        return runner.run(_messages_per_second(sleeps))


def _row(what: str, sleeps: bool) -> Row:
    """The best of some repeats, the loops by turns: what slows this machine down now and then slows both."""
    loops = (VirtualLoop, asyncio.new_event_loop)
    runs = [[_measure(make_loop, sleeps) for make_loop in loops] for _ in range(REPEATS)]
    virtual, stock = (max(column) for column in zip(*runs, strict=True))
    return Row(what, virtual, "messages/s", virtual / stock, "asyncio's own loop", target=TARGET)


def main() -> list[Row]:
    """Two rows: messages that wake a waiting coroutine, and the same with a sleep before each."""
    return [
        _row(f"{COROUTINES:,} coroutines, mailboxes", sleeps=False),
        _row(f"{COROUTINES:,} coroutines, mailboxes, a sleep each", sleeps=True),
    ]
