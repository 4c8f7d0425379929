"""Frames on their way out of one connection: in order, never interleaved, large payloads by reference.

A transport copies whatever the socket does not take at once, and in Python 3.11 moves that copy in memory
after every send. So it is given a large payload in chunks, the next one only when it has got rid of the last.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

CHUNK = 512 * 1024
JOINED = 32 * 1024
"""Payloads up to this size are copied behind their header: cheaper than another system call."""


class SendQueue:
    """The write side of a transport that pauses it while it has bytes left.

    What is put while nothing waits goes out at once; what follows in the same turn of the loop goes out
    together at its end, for a system call costs several times what a small frame does.
    """

    __slots__ = ("_empty", "_gathering", "_loop", "_paused", "_queue", "_queued", "_transport", "given")

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._queue: deque[bytes | memoryview] = deque()
        self._queued = 0
        self._paused = False
        self._gathering = False
        self._empty: Callable[[], None] | None = None
        self.given = 0
        """Bytes given to the transport so far."""

    @property
    def waiting(self) -> int:
        """Bytes that the operating system has not taken."""
        return self._queued + self._transport.get_write_buffer_size()

    @property
    def taken(self) -> int:
        """Bytes that it has."""
        return self.given - self._transport.get_write_buffer_size()

    def put(self, head: bytes, payload: memoryview | bytes = b"") -> None:
        """Send `head` and then `payload`, behind all that was put before."""
        if len(payload) <= JOINED:
            self._add(head + payload if payload else head)
        else:
            self._add(head)
            self._add(memoryview(payload))
        if not self._gathering:
            self._gathering = True
            self._loop.call_soon(self._gathered)
            self._pump()

    def pause(self) -> None:
        """The transport has not got rid of all that it was given."""
        self._paused = True

    def resume(self) -> None:
        """It has; we go on in a moment.

        In Python 3.11 a close, or a write that fails, inside `resume_writing` ends the connection twice.
        """
        self._paused = False
        self._loop.call_soon(self._pump)

    def when_empty(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, as soon as the operating system has taken everything."""
        self._empty = callback
        self._loop.call_soon(self._pump)

    def drop(self) -> None:
        """Forget what has not been given to the transport."""
        self._queue.clear()
        self._queued = 0

    def _add(self, data: bytes | memoryview) -> None:
        self._queue.append(data)
        self._queued += len(data)

    def _gathered(self) -> None:
        self._gathering = False
        self._pump()

    def _pump(self) -> None:
        if self._transport.is_closing():
            self.drop()
        while self._queue and not self._paused:
            self._give(self._next_chunk())
        if self._empty is not None and not self._paused:
            callback, self._empty = self._empty, None
            callback()

    def _next_chunk(self) -> bytes | memoryview:
        """The front of the queue: a piece of a large payload, or as many small frames as make a chunk."""
        data = self._queue[0]
        if isinstance(data, memoryview):
            return self._next_piece(data)
        parts: list[bytes | memoryview] = []
        size = 0
        while size < CHUNK and self._queue and isinstance(self._queue[0], bytes):
            parts.append(self._queue.popleft())
            size += len(parts[-1])
        return b"".join(parts)

    def _next_piece(self, payload: memoryview) -> memoryview:
        if len(payload) > CHUNK:
            self._queue[0] = payload[CHUNK:]
        else:
            self._queue.popleft()
        return payload[:CHUNK]

    def _give(self, data: bytes | memoryview) -> None:
        self._queued -= len(data)
        self.given += len(data)
        self._transport.write(data)
