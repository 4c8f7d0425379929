"""Executors of heavy pure functions: inline in virtual time, on threads in real engines."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from asyncagg.engines.runtime.prices import price_ns
from asyncagg.net.clock import call_at_ns, now_ns, time_ns
from asyncagg.net.links.model import stretch
from asyncagg.net.waiters import sleep_until
from asyncagg.players.base import Executor, Spent
from asyncagg.protocols.effects import Cost
from asyncagg.scenario.schema.compute import ComputeSection

INLINE_NS = 200_000
"""Work that is estimated to take less than this is not worth the trip to a thread."""
THREADS = 2
"""Threads at work at once: this many for the protocol, and this many for gradients."""
PATIENCE_NS = 500_000_000
"""A gradient that takes longer does not keep others waiting for its turn to end."""
MOST_GRADIENTS = 32
"""Gradients at once; when this many hang, no other is computed."""


def estimate_ns(cost: Cost) -> float:
    """A rough time for some work on an ordinary core; only used to decide where to run it."""
    return (
        (cost.key_pairs + cost.key_agreements) * 30_000
        + cost.shares * 100
        + cost.signatures * 50_000
        + cost.keystream_bytes / 8
        + cost.added_bytes / 8
        + cost.encoded_values * 2
        + cost.gradients * INLINE_NS
    )


class InlineExecutor:
    """Virtual time: one player's work happens at once, on the loop, and is charged to the player's one processor."""

    def __init__(self, prices: ComputeSection, slowness: Callable[[], float]) -> None:
        """`slowness` says how many times longer than usual work takes at present."""
        self._prices = prices
        self._slowness = slowness
        self._free_ns = 0

    async def run(self, cost: Cost, work: Callable[[], Any], spent: Spent) -> Any:
        try:
            return work()
        finally:
            charged_ns = stretch(price_ns(self._prices, cost), self._slowness())
            began_ns = max(now_ns(), self._free_ns) if charged_ns else now_ns()
            spent(began_ns, began_ns + charged_ns)
            if charged_ns:
                self._free_ns = began_ns + charged_ns
                await sleep_until(self._free_ns)


class ThreadExecutor:
    """Real time: heavy work on threads, so that the loop stays free; light work at once.

    Gradients, which are the user's code and may take for ever, have threads that nothing else needs.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="asyncagg-work")
        self._gradients = _Gradients()

    def of_one(self) -> OwnExecutor:
        """One player's own place here."""
        return OwnExecutor(self)

    async def run(self, cost: Cost, work: Callable[[], Any], spent: Spent, alone: asyncio.Lock | None = None) -> Any:
        """`alone` is held while a gradient is computed, also once nobody waits for it any more."""
        timed = _Timed(work, asyncio.get_running_loop())
        try:
            if estimate_ns(cost) < INLINE_NS:
                return timed()
            if cost.gradients:
                return await self._gradients.run(timed, alone or asyncio.Lock())
            return await asyncio.get_running_loop().run_in_executor(self._threads, timed)
        finally:
            timed.tell(spent)

    def close(self) -> None:
        """Drop what has not begun; what runs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._gradients.close()


class _Timed:
    """Some work, and when it was done, whichever thread did it."""

    __slots__ = ("_began_ns", "_ended_ns", "_loop", "_work")

    def __init__(self, work: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        self._work = work
        self._loop = loop
        self._began_ns: int | None = None
        self._ended_ns: int | None = None

    def __call__(self) -> Any:
        self._began_ns = time_ns(self._loop)
        try:
            return self._work()
        finally:
            self._ended_ns = time_ns(self._loop)

    def tell(self, spent: Spent) -> None:
        """Nothing where the work has not begun, or goes on although nobody waits for it."""
        if self._began_ns is not None and self._ended_ns is not None:
            spent(self._began_ns, self._ended_ns)


class OwnExecutor:
    """One player's use of the threads: its gradients are computed one after the other.

    A thread cannot be stopped: a retry begins once the call of the former attempt has returned.
    """

    def __init__(self, executor: ThreadExecutor) -> None:
        self._executor = executor
        self._alone = asyncio.Lock()

    async def run(self, cost: Cost, work: Callable[[], Any], spent: Spent) -> Any:
        return await self._executor.run(cost, work, spent, self._alone)


class _Gradients:
    """Threads for gradients: a few take turns, and whoever takes long goes on beside the next.

    Each call has a thread of its own that a process does not wait for when it ends, as it would for a pool's.
    """

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(MOST_GRADIENTS)
        self._turns = asyncio.Semaphore(THREADS)
        self._calls: dict[asyncio.Future[Any], None] = {}

    async def run(self, work: Callable[[], Any], alone: asyncio.Lock) -> Any:
        with ExitStack() as returned, ExitStack() as turn:
            for stack, each in ((returned, alone), (returned, self._room), (turn, self._turns)):
                await each.acquire()
                stack.callback(each.release)
            future = asyncio.wrap_future(_begin(work))
            return await self._outcome(future, returned.pop_all(), turn.pop_all())

    async def _outcome(self, future: asyncio.Future[Any], returned: ExitStack, turn: ExitStack) -> Any:
        """`turn` is closed when the call has returned or taken long, `returned` when it has returned."""
        self._calls[future] = None
        timer = call_at_ns(now_ns() + PATIENCE_NS, turn.close)

        def end(future: asyncio.Future[Any]) -> None:
            del self._calls[future]
            if not future.cancelled():
                future.exception()  # asked for: where nobody waits any more, nobody need hear of it
            timer.cancel()
            turn.close()
            returned.close()

        future.add_done_callback(end)
        return await asyncio.shield(future)

    def close(self) -> None:
        for future in list(self._calls):
            future.cancel()


def _begin(work: Callable[[], Any]) -> Future[Any]:
    """Start `work` on a thread of its own, and return its future."""
    call: Future[Any] = Future()
    call.set_running_or_notify_cancel()  # from now on nobody can cancel it

    def compute() -> None:
        try:
            call.set_result(work())
        except BaseException as error:  # for whoever waits, whatever it is
            call.set_exception(error)

    threading.Thread(target=compute, name="asyncagg-gradient", daemon=True).start()
    return call


class SlowedExecutor:
    """Real time for a player that a `slow` fault may strike: its work takes a factor longer than it did."""

    def __init__(self, executor: Executor, slowness: Callable[[], float]) -> None:
        self._executor = executor
        self._slowness = slowness

    async def run(self, cost: Cost, work: Callable[[], Any], spent: Spent) -> Any:
        began_ns = now_ns()

        def stretched(from_ns: int, until_ns: int) -> None:
            spent(from_ns, until_ns + stretch(until_ns - began_ns, max(self._slowness(), 1) - 1))

        try:
            return await self._executor.run(cost, work, stretched)
        finally:
            ended_ns, factor = now_ns(), self._slowness()
            if factor > 1:
                await sleep_until(ended_ns + stretch(ended_ns - began_ns, factor - 1))
