"""Runs in a thread of its own: for callers whose own thread has a loop already, as a notebook's has.

A thread cannot be ended from outside. What plays in it is told to stop (`StopOrder`); if it does not hear, as in the
middle of a gradient that is long, KeyboardInterrupt is raised wherever it stands; and a call that does not even notice
that, such as one into a library that sleeps, is left behind with a warning. The command line does the same on Ctrl-C.
A run that has heard is not interrupted, however long it takes on a busy machine: it is closing what it has open.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

from asyncagg.engines.runtime.stop_order import StopOrder

AGAIN_AFTER: Final = (0.6, 0.5)
"""Seconds to wait before each time that a run that hears nothing is interrupted wherever it stands.

More than once, as an interruption is lost where it happens to strike a destructor.
"""
END_AFTER: Final = 1.6
"""Seconds after which nobody waits for it any more."""

T = TypeVar("T")


class RunThread(Generic[T]):
    """One run, which begins at once. Who stops waiting for it stops it."""

    def __init__(self, work: Callable[[StopOrder], T]) -> None:
        self._work = work
        self._order = StopOrder()
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._over: Future[None] = Future()
        self._over.set_running_or_notify_cancel()  # from now on nobody can cancel it
        self._thread = threading.Thread(target=self._run, name="asyncagg-run", daemon=True)
        self._thread.start()

    def wait(self) -> T:
        """Return or raise what the work does. KeyboardInterrupt here stops the run within `END_AFTER` seconds."""
        try:
            self._over.result()
        except BaseException:
            self._stop()
            raise
        return self._outcome()

    async def outcome(self) -> T:
        """As `wait`, without blocking the loop. When this is cancelled the run is stopped."""
        try:
            await asyncio.wrap_future(self._over)
        except asyncio.CancelledError:
            await self._stop_async()
            raise
        return self._outcome()

    def _run(self) -> None:
        try:
            self._results.append(self._work(self._order))
        except BaseException as error:  # handed to the caller's thread whatever it is
            self._error = error
        finally:
            self._over.set_result(None)

    def _outcome(self) -> T:
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._results[0]

    def _stop(self) -> None:
        self._order.give()
        for seconds in AGAIN_AFTER:
            if not self._ends_within(seconds):
                self._order.insist(self._interrupt)
        self._ends_within(END_AFTER - sum(AGAIN_AFTER))
        self._leave()

    async def _stop_async(self) -> None:
        self._order.give()
        for seconds in AGAIN_AFTER:
            if not await self._ends_within_async(seconds):
                self._order.insist(self._interrupt)
        await self._ends_within_async(END_AFTER - sum(AGAIN_AFTER))
        self._leave()

    def _ends_within(self, seconds: float) -> bool:
        try:
            self._over.result(seconds)
        except TimeoutError:
            return False
        return True

    async def _ends_within_async(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await asyncio.wrap_future(self._over)
        except TimeoutError:
            return False
        return True

    def _interrupt(self) -> None:
        """Raise KeyboardInterrupt in the thread before its next step in Python."""
        identity = self._thread.ident
        if identity is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(identity), ctypes.py_object(KeyboardInterrupt))

    def _leave(self) -> None:
        if self._over.done():
            self._thread.join()
            return
        text = "the run was told to stop, and goes on until a call that it is in returns (an owner's, or the model's)"
        warnings.warn(text, RuntimeWarning, stacklevel=3)
