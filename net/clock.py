"""The running loop's clock in integer nanoseconds: exact on a loop that counts in them, the nearest on any other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import TypeVarTuple

from asyncagg.net.durations import SECOND_NS

Ts = TypeVarTuple("Ts")


class IntegerTimeLoop(asyncio.AbstractEventLoop):
    """An event loop whose clock counts whole nanoseconds; floats, which asyncio's calls take, would round them."""

    def time_ns(self) -> int:
        """The loop's time in nanoseconds, exact."""
        raise NotImplementedError

    def call_at_ns(
        self, when_ns: int, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run `callback(*args)` at exactly `when_ns` nanoseconds, at once if that has passed."""
        raise NotImplementedError

    def call_from_outside(self, callback: Callable[[], object]) -> None:
        """Run `callback()` soon; for another thread, which ends what runs here: when that happens is left to chance."""
        raise NotImplementedError


def now_ns() -> int:
    """The running loop's time in nanoseconds since an arbitrary start. RuntimeError where no loop runs."""
    return time_ns(asyncio.get_running_loop())


def time_ns(loop: asyncio.AbstractEventLoop) -> int:
    """A loop's time, by `now_ns`; from any thread."""
    return loop.time_ns() if isinstance(loop, IntegerTimeLoop) else round(loop.time() * SECOND_NS)


def call_at_ns(when_ns: int, callback: Callable[[*Ts], object], *args: *Ts) -> asyncio.TimerHandle:
    """Run `callback(*args)` when the running loop's `now_ns()` reaches `when_ns`, at once if it has."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, IntegerTimeLoop):
        return loop.call_at_ns(when_ns, callback, *args)
    return loop.call_at(when_ns / SECOND_NS, callback, *args)
