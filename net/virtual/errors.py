"""Errors of a program in virtual time, worded so that the place is found: who waits where, what never ends."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from asyncagg.net.durations import SECOND_NS

_NAMED_AT_MOST = 20


class VirtualLoopError(Exception):
    """A program did what virtual time cannot carry: a mistake in the program, never in a peer."""


class Deadlock(VirtualLoopError):
    """Something is awaited and no callback or timer is left that could bring it about.

    at_ns: the instant; tasks: the names of all pending tasks, in natural order.
    """

    def __init__(self, at_ns: int, pending: Iterable[asyncio.Task[Any]]) -> None:
        ordered = sorted(pending, key=lambda task: _natural(task.get_name()))
        self.at_ns = at_ns
        self.tasks = tuple(task.get_name() for task in ordered)
        waits = [f"{task.get_name()}: {_whereabouts(task)}" for task in ordered]
        super().__init__(
            f"deadlock at {in_seconds(at_ns)}: nothing is left to run and {len(ordered)} task(s) wait for what "
            "cannot come\n  " + "\n  ".join(_shortened(waits))
        )


class Livelock(VirtualLoopError):
    """One instant took as many steps (callbacks) as the loop allows: time does not pass.

    at_ns: the instant; callers: the tasks by name (or the callbacks by description) that want to run again.
    """

    def __init__(self, at_ns: int, steps: int, callers: Iterable[str]) -> None:
        self.at_ns = at_ns
        self.callers = tuple(sorted(set(callers), key=_natural))
        super().__init__(
            f"livelock at {in_seconds(at_ns)}: {steps:,} steps and time did not pass; it goes on in "
            + ", ".join(_shortened(self.callers))
        )


class FenceError(VirtualLoopError):
    """A call that would let real time into virtual time: a thread, a socket, a signal, a process."""


@dataclass(frozen=True, slots=True)
class Unhandled:
    """Error that reached the loop's default exception handler: nobody else has dealt with it.

    at_ns: virtual time; exception: None where asyncio reports a mishap without one (a lost pending task).
    """

    at_ns: int
    message: str
    exception: BaseException | None


def in_seconds(at_ns: int) -> str:
    """A time as text, to the nanosecond."""
    whole, rest = divmod(at_ns, SECOND_NS)
    return f"{whole}.{rest:09} s"


def _natural(name: str) -> list[str | int]:
    """A sort key that puts data-owner-2 before data-owner-10: text and numbers take turns and never meet."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"([0-9]+)", name))]


def _shortened(items: Iterable[str]) -> list[str]:
    shown = list(items)
    more = len(shown) - _NAMED_AT_MOST
    return shown if more <= 0 else [*shown[:_NAMED_AT_MOST], f"and {more} more"]


def _whereabouts(task: asyncio.Task[Any]) -> str:
    """The chain of awaits in which a suspended task stands, outermost first: function (file:line) > …"""
    places: list[str] = []
    inner: Any = task.get_coro()
    while (frame := getattr(inner, "cr_frame", None) or getattr(inner, "gi_frame", None)) is not None:
        file = "/".join(PurePath(frame.f_code.co_filename).parts[-2:])
        places.append(f"{frame.f_code.co_qualname} ({file}:{frame.f_lineno})")
        inner = getattr(inner, "cr_await", None) or getattr(inner, "gi_yieldfrom", None)
    return " > ".join(places)
