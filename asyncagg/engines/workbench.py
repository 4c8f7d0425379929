"""Where heavy pure functions run: inline in virtual time, on threads in real engines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asyncagg.engines.costs import price_ns
from asyncagg.protocols.effects import Cost
from asyncagg.scenario.compute import Compute
from net.clock import now_ns
from net.links import stretch
from net.waiters import sleep_until

INLINE_NS = 200_000
"""Work that is estimated to take less than this is not worth the trip to a thread."""
THREADS = 2


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


class InlineBench:
    """Virtual time: one player's work happens at once, on the loop, and is charged to the player's one processor."""

    def __init__(self, prices: Compute, slowness: Callable[[], float]) -> None:
        """`slowness` says how many times longer than usual work takes at present."""
        self._prices = prices
        self._slowness = slowness
        self._free_ns = 0

    async def run(self, cost: Cost, work: Callable[[], Any]) -> Any:
        try:
            return work()
        finally:
            charged_ns = stretch(price_ns(self._prices, cost), self._slowness())
            if charged_ns:
                self._free_ns = max(now_ns(), self._free_ns) + charged_ns
                await sleep_until(self._free_ns)


class ThreadBench:
    """Real time: heavy work on threads, so that the loop stays free; light work at once."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="asyncagg-work")

    async def run(self, cost: Cost, work: Callable[[], Any]) -> Any:
        if estimate_ns(cost) < INLINE_NS:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Drop what has not begun; what runs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class SlowedBench:
    """Real time for a player that a `slow` fault may strike: its work takes a factor longer than it did."""

    def __init__(self, bench: ThreadBench, slowness: Callable[[], float]) -> None:
        self._bench = bench
        self._slowness = slowness

    async def run(self, cost: Cost, work: Callable[[], Any]) -> Any:
        began_ns = now_ns()
        try:
            return await self._bench.run(cost, work)
        finally:
            ended_ns, factor = now_ns(), self._slowness()
            if factor > 1:
                await sleep_until(ended_ns + stretch(ended_ns - began_ns, factor - 1))
