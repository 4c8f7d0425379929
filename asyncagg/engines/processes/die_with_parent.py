"""The pipe by which a child process lives: when its parent is gone, however it went, the child ends at once.

The parent holds the writing end and never writes; the system closes it with the parent. A thread of the child waits for
that, whatever the child's event loop is doing.
"""

from __future__ import annotations

import os
import threading


def hold(descriptor: int) -> None:
    """End this process when the other end of the pipe is closed."""
    threading.Thread(target=_wait, args=(descriptor,), name="lifeline", daemon=True).start()


def _wait(descriptor: int) -> None:
    os.read(descriptor, 1)
    os._exit(1)
