"""Ctrl-C and SIGTERM, from the first moment to the last: nothing half done, and the end within two seconds.

While held, a signal is only noted: a scenario is loaded, a result is written. Released, it interrupts: asyncio's runner
cancels the run, which then closes in order. A thread that nothing in Python can block watches over both: a run that
does not end by itself is interrupted a second time, anywhere, and then the process ends.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Final, NoReturn

AGAIN_AFTER: Final = 0.6
"""Seconds after which a run that goes on is interrupted wherever it stands, as in the middle of a gradient."""
END_AFTER: Final = 1.6
"""Seconds after which the process ends whatever it does."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_noted: list[int] = []
_writers: list[int] = []
_wakers: list[Callable[[], None]] = []


def watch() -> None:
    """From now on signals are noted, and end the process if nothing else does. Once a process, by its main thread."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)  # written as a signal arrives, whatever Python is doing
    _writers.append(writer)
    threading.Thread(target=_guard, args=(reader,), name="interrupts", daemon=True).start()
    for number in _SIGNALS:
        signal.signal(number, _note)


def release() -> None:
    """From now on signals interrupt, as KeyboardInterrupt; one that was noted does so here."""
    if not _watched():
        return
    _mind_loops()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the one that asyncio's runner replaces by its own
    signal.signal(signal.SIGTERM, _terminate)
    if _noted:
        raise KeyboardInterrupt


def hold() -> None:
    """From now on signals are noted again."""
    while _watched() and signal.getsignal(signal.SIGINT) is not _note:
        try:
            for number in _SIGNALS:
                signal.signal(number, _note)
        except KeyboardInterrupt:  # impatience, a moment before
            note()


def note() -> None:
    """A KeyboardInterrupt was caught: from now on it is known that a signal has come."""
    _noted.append(signal.SIGINT)


def noted() -> bool:
    """True if a signal has come."""
    return bool(_noted)


def status() -> int:
    """The exit status after a signal: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + (_noted[0] if _noted else signal.SIGINT)


def leave(code: int) -> NoReturn:
    """End the process now: a signal is not followed by another, threads that still compute are not waited for."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # nobody reads it any more
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    working = [thread for thread in threading.enumerate() if not thread.daemon]
    if _noted or len(working) > 1:
        os._exit(code)
    sys.exit(code)


def _note(number: int, frame: FrameType | None) -> None:
    _noted.append(number)


def _terminate(number: int, frame: FrameType | None) -> None:
    """SIGTERM does what Ctrl-C does, with a status of its own."""
    _noted.append(number)
    signal.raise_signal(signal.SIGINT)


def _mind_loops() -> None:
    """Have loops leave signals to the guard, which wakes them."""
    from asyncagg.engines.runtime import (
        event_loops,  # here: what is never released, as `--help`, has no loop and starts at once
    )

    if not _wakers:
        event_loops.tell_of_signals(_writers[0])
        _wakers.append(event_loops.wake)


def _watched() -> bool:
    """True if signals are ours to handle: a command called from Python leaves them to its caller."""
    return signal.getsignal(signal.SIGTERM) in (_note, _terminate)


def _guard(reader: int) -> None:
    number = os.read(reader, 1)[0]
    _pass_on(reader, AGAIN_AFTER)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    _pass_on(reader, END_AFTER - AGAIN_AFTER)
    os._exit(128 + number)


def _pass_on(reader: int, seconds: float) -> None:
    """For so long, let the event loop know of every signal: of the one before, and of those that come."""
    until = time.monotonic() + seconds
    _wake()
    while (left := until - time.monotonic()) > 0:
        if select.select([reader], [], [], left)[0]:
            os.read(reader, 1)
            _wake()


def _wake() -> None:
    for wake in _wakers:
        wake()
