"""Where heavy pure functions run: inline in virtual time, on threads in real engines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asyncagg.protocols.effects import Cost

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
    """Virtual time: work happens at once, on the loop."""

    async def run(self, cost: Cost, work: Callable[[], Any]) -> Any:
        return work()


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
