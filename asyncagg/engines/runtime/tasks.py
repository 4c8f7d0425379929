"""The tasks of all players in one process: begun together, ended together, and singly by a crash or a restart."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

from asyncagg.engines.waits import FAREWELL_NS
from asyncagg.protocols.names import MODEL_OWNER, Player

T = TypeVar("T")


class PlayerTasks:
    """Everyone but the model owner, whose end is the end of the run. An error of any of them ends all."""

    def __init__(self) -> None:
        self._tasks: dict[Player, asyncio.Task[None]] = {}
        self._main: asyncio.Task[Any] | None = None
        self._failure: BaseException | None = None

    def start(self, player: Player, part: Coroutine[Any, Any, None]) -> None:
        """Begin a player's part, perhaps again."""
        task = asyncio.get_running_loop().create_task(part, name=player)
        task.add_done_callback(self._ended)
        self._tasks[player] = task

    def stop(self, player: Player) -> None:
        """Cut a player's part short."""
        self._tasks[player].cancel()

    def runs(self, player: Player) -> bool:
        """True if a player's part has begun and neither ended nor been cut short."""
        task = self._tasks.get(player)
        return task is not None and not task.done() and not task.cancelling()

    async def ended(self) -> None:
        """Return when every part that has begun is over."""
        await asyncio.gather(*self._tasks.values())

    async def run(self, main: Coroutine[Any, Any, T]) -> T:
        """The result of the model owner's part, when the others have ended too or had time to.

        Whoever is cut off by a fault never hears of the end; its part is cut short. Raises what a player raised.
        """
        self._main = asyncio.get_running_loop().create_task(main, name=MODEL_OWNER)
        try:
            result: T = await self._main
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL_NS / 1e9):
                    await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        except asyncio.CancelledError:
            if self._failure is not None:
                raise self._failure from None
            raise
        finally:
            everyone = [self._main, *self._tasks.values()]
            for task in everyone:
                task.cancel()
            await asyncio.gather(*everyone, return_exceptions=True)
        if self._failure is not None:
            raise self._failure
        return result

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None or self._failure is not None:
            return
        self._failure = error
        if self._main is not None:
            self._main.cancel()
