"""Base of compute nodes and data owners: they dial out, and serve attempts until the run is over."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from asyncagg.crypto.randomness import Randomness
from asyncagg.crypto.signing import Identity
from asyncagg.players.base import BasePlayer, PlayerEnvironment
from asyncagg.protocols.context import Terms
from asyncagg.protocols.interface import Protocol
from asyncagg.protocols.names import LEAD, MODEL_OWNER, Player


class Follower(BasePlayer):
    """A player that does what the model owner begins; the tasks of one attempt end with the next."""

    def __init__(
        self,
        me: Player,
        environment: PlayerEnvironment,
        terms: Terms,
        protocol: Protocol,
        randomness: Randomness,
        identity: Identity | None,
    ) -> None:
        super().__init__(me, environment)
        self.terms = terms
        self.protocol = protocol
        self.randomness = randomness
        self.identity = identity
        self._finished: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._tasks: list[asyncio.Task[None]] = []
        self.ending: str | None = None
        """End of the run, in words, as this player was told or noticed it; None: it goes on."""
        self.lost = asyncio.Event()
        """Set while this player has no part in the run any more, although nobody has told it that it is over."""

    async def serve(self, peers: tuple[Player, ...], deadline_ns: int | None) -> None:
        """Dial these in turn, then serve attempts until the run is finished, or a peer is lost for good."""
        if self._finished.done():
            self._finished = asyncio.get_running_loop().create_future()
        self.lost.clear()
        try:
            for peer in peers:
                await self.redialler.reach(peer, deadline_ns)
            await self._finished
        finally:
            self.redialler.stop()
            self.cancel_tasks()

    def crash(self) -> None:
        """Stop as a crash does: no task of the attempt takes another step, or disturbs this player when it is back."""
        super().crash()
        self.cancel_tasks()

    def gone(self, peer: str, reason: str) -> None:
        super().gone(peer, reason)
        if not self._finished.done() and self.dials(Player(peer)):
            patience_ns = self.environment.patience_ns if peer == MODEL_OWNER else None
            self.redialler.lost(Player(peer), reason, patience_ns)

    def gave_up(self, remote: Player, reason: str) -> None:
        """See `BasePlayer`: without this peer there is nothing left to do, and whoever runs the player is to know."""
        super().gave_up(remote, reason)
        self.lost.set()
        self.finish(f"{remote} lost: {reason}")
        for channel in self.channels.values():
            channel.close(f"left the run: {remote} lost")
        self.channels.clear()

    def dials(self, peer: Player) -> bool:
        """True if the channel to this peer is ours to dial."""
        return True

    def ends_attempt(self, peer: Player) -> bool:
        return peer in (LEAD, MODEL_OWNER)

    def finish(self, reason: str) -> None:
        """The run is over."""
        if not self._finished.done():
            self.ending = reason
            self._finished.set_result(reason)

    # -- tasks of one attempt ---------------------------------------------------------------------------------------

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run a part of the attempt as a task of its own."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def cancel_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """An error that is no peer's and no user's is ours: raise it where the run is awaited."""
        if not task.cancelled() and (error := task.exception()) is not None and not self._finished.done():
            self._finished.set_exception(error)
