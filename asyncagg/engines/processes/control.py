"""The line between a parent process and one of its children: orders, questions and answers over a socket pair.

A message is four bytes of length and msgpack of [kind, number, fields]. Number 0 is an order or a notice, which is
handled before the next message is read; a positive one is a question, its negative the answer. Both ends are ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import msgpack

ALL_LOST = 75
"""Exit status of a child none of whose players can go on with a run that is not over (EX_TEMPFAIL, sysexits.h)."""
_LENGTH = 4
_LIMIT = 2**32 - 1
_ANSWER = "answer"

Fields = dict[str, Any]
Handler = Callable[[str, Fields], Coroutine[Any, Any, Fields | None]]


class ControlLost(Exception):
    """The process at the other end is gone, and with it what was asked."""


class Control:
    """One end of the line. `handle` is given every message that is no answer, and gives the answer to a question."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handle: Handler) -> None:
        self._reader = reader
        self._writer = writer
        self._handle = handle
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Fields]] = {}
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._lost = False
        self._failure: BaseException | None = None

    @classmethod
    async def over(cls, pair: socket.socket, handle: Handler) -> Control:
        """The line over our half of a socket pair, which it takes over."""
        return cls(*await asyncio.open_connection(sock=pair), handle)

    def tell(self, kind: str, **fields: Any) -> None:
        """Give an order or a notice; nothing happens where nobody is left to hear it."""
        self._write(kind, 0, fields)

    async def ask(self, kind: str, **fields: Any) -> Fields:
        """Ask, and wait for the answer. ControlLost when the other process ends before it."""
        if self._lost:
            raise ControlLost
        number = next(self._numbers)
        answer: asyncio.Future[Fields] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            self._write(kind, number, fields)
            told: Fields = await answer
            return told
        finally:
            del self._asked[number]

    async def serve(self) -> None:
        """Handle what comes until the other process closes its end or is gone. Raises what a handler raises."""
        try:
            while True:
                size = int.from_bytes(await self._reader.readexactly(_LENGTH), "big")
                kind, number, fields = msgpack.unpackb(await self._reader.readexactly(size), strict_map_key=False)
                if kind == _ANSWER:
                    self._answered(-number, fields)
                elif number:
                    self._start(self._reply(kind, number, fields))
                else:
                    await self._handle(kind, fields)
        except (asyncio.IncompleteReadError, ConnectionError):
            if self._failure is not None:
                raise self._failure from None
        finally:
            self._end()

    async def flushed(self) -> None:
        """Everything that was said has been handed to the system, or cannot be any more."""
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    def close(self) -> None:
        self._writer.close()

    def _write(self, kind: str, number: int, fields: Fields) -> None:
        if self._lost or self._writer.is_closing():
            return
        data = msgpack.packb([kind, number, fields])
        if len(data) > _LIMIT:
            raise ValueError(f"a message {kind} of {len(data)} bytes (at most {_LIMIT})")
        self._writer.write(len(data).to_bytes(_LENGTH, "big") + data)

    def _answered(self, number: int, fields: Fields) -> None:
        waiting = self._asked.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(fields)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    async def _reply(self, kind: str, number: int, fields: Fields) -> None:
        try:
            self._write(_ANSWER, -number, await self._handle(kind, fields) or {})
        except Exception as error:  # ours: `serve` ends with it
            self._failure = error
            self._writer.close()

    def _end(self) -> None:
        self._lost = True
        for task in list(self._tasks):
            task.cancel()
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(ControlLost())
        self._writer.close()
