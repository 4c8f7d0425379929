"""A delay line: actions in order, each at its own time or later, with one timer for all of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TypeVarTuple

from asyncagg.net.clock import call_at_ns, now_ns
from asyncagg.net.links.model import HostQueue

Ts = TypeVarTuple("Ts")


class _Item(NamedTuple):
    when_ns: int
    size: int
    action: Callable[..., object]
    arguments: tuple[object, ...]


class DelayLine:
    """One direction of one channel: what is on its way, `size` bytes of each counted in the host's queue."""

    __slots__ = ("_held", "_items", "_queue", "_timer", "last_ns")

    def __init__(self, queue: HostQueue) -> None:
        self._queue = queue
        self._items: deque[_Item] | None = None  # most lines of a large network never need it
        self._timer: asyncio.TimerHandle | None = None
        self._held = False
        self.last_ns = 0
        """The time of the last action; the next one is not earlier."""

    @property
    def busy(self) -> bool:
        """True if actions are left that time will bring."""
        return bool(self._items) and not self._held

    def put(self, present_ns: int, when_ns: int, size: int, action: Callable[[*Ts], object], *arguments: *Ts) -> None:
        """Do `action(*arguments)` at `when_ns`, behind all that was put before; now, if it need not wait."""
        self.last_ns = max(when_ns, self.last_ns)
        if not self._items and not self._held and self.last_ns <= present_ns:
            action(*arguments)
            return
        if self._items is None:
            self._items = deque()
        self._queue.load += size
        self._items.append(_Item(self.last_ns, size, action, arguments))
        self._arm()

    def hold(self) -> None:
        """Let nothing happen until `release`."""
        self._held = True
        self._disarm()

    def release(self) -> None:
        """Go on: what is due happens as soon as the loop comes to it, the rest at its time."""
        self._held = False
        self._arm()

    def flush(self) -> None:
        """Do at once what is left."""
        while self._items:
            self._do_first(self._items)
        self._disarm()

    def clear(self) -> None:
        """Forget what is left."""
        for item in self._items or ():
            self._queue.load -= item.size
        self._items = None
        self._disarm()

    def _arm(self) -> None:
        if self._items and not self._held and self._timer is None:
            self._timer = call_at_ns(self._items[0].when_ns, self._run)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        self._timer = None
        present_ns = now_ns()
        try:
            while self._items and not self._held and self._items[0].when_ns <= present_ns:
                self._do_first(self._items)
        finally:
            self._arm()

    def _do_first(self, items: deque[_Item]) -> None:
        item = items.popleft()
        self._queue.load -= item.size
        item.action(*item.arguments)
