"""One place in a run of several processes, and the child process that fills it at present."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from asyncagg.engines.processes.control import Control, ControlLost, Fields, Handler
from asyncagg.protocols.terms import Player, index_of, role_of

REAP_NS = 2_000_000_000
"""How long a child that has hung up may take to end."""
_TAIL_BYTES = 4096


class Offspring:
    """Starts the process of some players, knows it by its control line, and can end it. Its log outlives it."""

    def __init__(self, players: Sequence[Player], logs: Path) -> None:
        self.players = tuple(players)
        self.name = place_name(self.players)
        self.deaths = 0
        self.ready = False
        self._log = logs / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1
        self._control: Control | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def live(self, handle: Handler, setup: Fields) -> str:
        """Start the process, tell it who it is, and serve its line until it is gone; how it ended, in words."""
        self.ready = False
        line = self._start()
        try:
            self._control = await Control.over(line, handle)
            self._control.tell("setup", **setup)
            await self._control.serve()
            return await self._reap()
        finally:
            self.kill()

    def tell(self, kind: str, **fields: object) -> None:
        """Give the child an order; one that is not there hears nothing."""
        if self._control is not None:
            self._control.tell(kind, **fields)

    async def ask(self, kind: str, limit_ns: int, **fields: object) -> Fields | None:
        """The child's answer; None where it is gone or too late."""
        if self._control is None:
            return None
        with contextlib.suppress(ControlLost, TimeoutError):
            async with asyncio.timeout(limit_ns / 1e9):
                return await self._control.ask(kind, **fields)
        return None

    def kill(self) -> None:
        """End the process at once, if there is one, and wait for it."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def _start(self) -> socket.socket:
        """A new process; our end of its line."""
        ours, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        arguments = [sys.executable, "-m", "asyncagg.engines.processes.child", self.name, str(theirs.fileno())]
        try:
            with theirs, self._log.open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603
                    arguments,
                    stdin=lifeline,
                    stdout=log,
                    stderr=log,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # the terminal's Ctrl-C is for the parent alone
                )
        finally:
            os.close(lifeline)
        return ours

    async def _reap(self) -> str:
        """How the process, which has hung up, ended."""
        process = self._process
        if process is None:
            raise ValueError("no process")
        loop = asyncio.get_running_loop()
        try:
            status = await loop.run_in_executor(None, process.wait, REAP_NS / 1e9)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        if status < 0:
            return f"was ended by {signal.Signals(-status).name}"
        return f"ended with status {status}{self._last_words() if status else ''}"

    def _last_words(self) -> str:
        """The last line of the log: the error, where Python wrote one."""
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - _TAIL_BYTES))
            lines = log.read().decode(errors="replace").split("\n")
        words = next((line for line in reversed(lines) if line.strip()), "")
        return f": {words.strip()} (see {self._log})" if words else ""


def place_name(players: Sequence[Player]) -> str:
    """`compute-node-0`, or `data-owner-0..49` for a fleet of consecutive owners."""
    first, last = players[0], players[-1]
    return first if first == last else f"{first}..{index_of(last)}"


def places(players: Sequence[Player], per_process: int) -> list[tuple[Player, ...]]:
    """Who lives with whom: data owners in fleets of `per_process`, everyone else alone."""
    alone: list[tuple[Player, ...]] = [(player,) for player in players if role_of(player) != "data-owner"]
    owners = [player for player in players if role_of(player) == "data-owner"]
    return alone + [tuple(owners[first : first + per_process]) for first in range(0, len(owners), per_process)]
