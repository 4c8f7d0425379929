"""The event loop of a process that talks to others: uvloop where it is installed, a tenth of the memory with TLS.

While it runs, uvloop has itself and nobody else told of signals, and sleeps on until it is. Whoever must be told
whatever the loop does says so first (`tell_of_signals`), and then wakes it for every signal (`wake`).
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any


class _Signals:
    """Descriptor that is told of signals, as `signal.set_wakeup_fd` wants it, and the loop that therefore is not."""

    descriptor = -1
    loop: asyncio.AbstractEventLoop | None = None


def factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """For `asyncio.Runner`; None means asyncio's own loop, which wakes for signals by itself."""
    try:
        import uvloop
    except ImportError:
        return None

    class Loop(uvloop.Loop):
        """Leaves signals to those who are told of them already: uvloop takes them as it begins, and puts back in the
        end what was there.
        """

        def create_task(self, *args: Any, **options: Any) -> asyncio.Task[Any]:
            if not self.is_running():
                self.call_soon(_tell, self)  # before the task's first step, which may be long
            return super().create_task(*args, **options)

        def run_forever(self) -> None:
            self.call_soon(_tell, self)
            try:
                super().run_forever()
            finally:
                if _Signals.loop is self:
                    _Signals.loop = None

    return Loop


def tell_of_signals(descriptor: int) -> None:
    """The descriptor, set by `signal.set_wakeup_fd`, to which every signal's number is to be written from now on."""
    _Signals.descriptor = descriptor


def wake() -> None:
    """Have the loop that runs, if one does, handle the signals that have arrived. Any thread may say so."""
    loop = _Signals.loop
    if loop is not None:
        with suppress(RuntimeError):  # it has been closed since
            loop.call_soon_threadsafe(_look)


def _tell(loop: asyncio.AbstractEventLoop) -> None:
    if _Signals.descriptor >= 0 and threading.current_thread() is threading.main_thread():
        signal.set_wakeup_fd(_Signals.descriptor, warn_on_full_buffer=False)
        _Signals.loop = loop


def _look() -> None:
    """Nothing: Python handles the signals that have arrived before it runs any function."""
