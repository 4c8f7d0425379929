"""The running loop's clock in integer nanoseconds: exact on a VirtualLoop, the nearest on any other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVarTuple

from asyncagg.net.virtual.loop import VirtualLoop

Ts = TypeVarTuple("Ts")
_SECOND = 1_000_000_000


def now_ns() -> int:
    """The running loop's time in nanoseconds since an arbitrary start. RuntimeError where no loop runs."""
    loop = asyncio.get_running_loop()
    return loop.time_ns() if isinstance(loop, VirtualLoop) else round(loop.time() * _SECOND)


def call_at_ns(when_ns: int, callback: Callable[[*Ts], object], *args: *Ts) -> asyncio.TimerHandle:
    """Run `callback(*args)` when the running loop's `now_ns()` reaches `when_ns`, at once if it has."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, VirtualLoop):
        return loop.call_at_ns(when_ns, callback, *args)
    return loop.call_at(when_ns / _SECOND, callback, *args)
