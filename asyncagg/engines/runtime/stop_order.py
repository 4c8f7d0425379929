"""The order that ends a run before its time, given by another thread than the one that plays it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from asyncagg.net.clock import IntegerTimeLoop

T = TypeVar("T")


class StopOrder:
    """Cancels the task that plays a run, on whatever loop it is: the run then closes in order, as on Ctrl-C."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given = self._heard = False
        self._cancel: Callable[[], object] | None = None

    def give(self) -> None:
        """Stop the run, or let it not begin. Any thread may say so, at any time, more than once."""
        with self._lock:
            self._given = True
            if self._cancel is not None:
                self._cancel()

    def insist(self, interrupt: Callable[[], None]) -> None:
        """Call `interrupt`, unless the run has heard the order: then it closes, and must be let."""
        with self._lock:
            if not self._heard:
                interrupt()

    async def heed(self, play: Coroutine[Any, Any, T]) -> T:
        """The result of `play`; CancelledError once the order is given."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if task is None:
            raise RuntimeError("no task plays this run (await it on a loop of its own)")
        call = loop.call_from_outside if isinstance(loop, IntegerTimeLoop) else loop.call_soon_threadsafe
        with self._lock:
            self._cancel = partial(call, partial(self._hear, task))
            if self._given:
                self._cancel()
        try:
            return await play
        finally:
            with self._lock:
                self._cancel = None

    def _hear(self, task: asyncio.Task[T]) -> None:
        with self._lock:
            self._heard = True
        task.cancel()
