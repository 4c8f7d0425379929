"""One place in a run of several processes, and the child process that fills it at present.

A process that has died is noticed by the end of its control line. One that has been stopped, or hangs, answers no more:
it is asked now and then whether it is there, and ended if it is not.
"""

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

from asyncagg.engines.processes.control import ALL_LOST, Control, ControlLost, Fields, Handler
from asyncagg.net.durations import SECOND_NS
from asyncagg.protocols.names import Player, index_of, role_of

READY_NS = 120 * SECOND_NS
"""Longest time that a process may take to begin: imports, data, the user's own classes."""
PAUSE_NS = 5 * SECOND_NS
"""Pause between two questions whether a process is there."""
SILENCE_NS = 30 * SECOND_NS
"""Longest time for the answer; it is waited for twice, in case it was this process that stood still."""
REAP_NS = 2 * SECOND_NS
"""Longest time that a child that has hung up may take to end."""
_TAIL_BYTES = 4096


class ChildHandle:
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
        self._silent_ns: int | None = None
        """Time that the process had given no answer when it was ended for that; None: it was not."""

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def live(self, handle: Handler, setup: Fields) -> str:
        """Start the process, tell it who it is, and serve its line until it is gone; how it ended, in words."""
        self.ready, self._silent_ns = False, None
        line = self._start()
        watch: asyncio.Task[None] | None = None
        try:
            self._control = await Control.over(line, handle)
            self._control.tell("setup", **setup)
            watch = asyncio.get_running_loop().create_task(self._watch(self._control))
            await self._control.serve()
            return await self._reap()
        finally:
            if watch is not None:
                watch.cancel()
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

    async def _watch(self, control: Control) -> None:
        """End the process when it gives no answer: nobody may wait for ever for one that has been stopped."""
        limit_ns = READY_NS // 2
        with contextlib.suppress(ControlLost):
            while await _answers(control, limit_ns) or await _answers(control, limit_ns):
                limit_ns = SILENCE_NS
                await asyncio.sleep(PAUSE_NS / 1e9)
            self._silent_ns = 2 * limit_ns
            if self._process is not None and self._process.poll() is None:
                self._process.kill()

    async def _reap(self) -> str:
        """Wait for the process, which has hung up, and return how it ended."""
        process = self._process
        if process is None:
            raise ValueError("no process")
        loop = asyncio.get_running_loop()
        try:
            status = await loop.run_in_executor(None, process.wait, REAP_NS / 1e9)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        if self._silent_ns is not None:
            return f"was ended after {self._silent_ns / 1e9:g} s without an answer"
        if status == ALL_LOST:
            return "left, as none of its players could go on"
        if status < 0:
            return f"was ended by {_signal_name(-status)}"
        return f"ended with status {status}{self._last_words() if status else ''}"

    def _last_words(self) -> str:
        """The last line of the log: the error, where Python wrote one."""
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - _TAIL_BYTES))
            lines = log.read().decode(errors="replace").split("\n")
        words = next((line for line in reversed(lines) if line.strip()), "")
        return f": {words.strip()} (see {self._log})" if words else ""


async def _answers(control: Control, limit_ns: int) -> bool:
    """True if the process answers in time. ControlLost when it is gone."""
    try:
        async with asyncio.timeout(limit_ns / 1e9):
            await control.ask("pulse")
    except TimeoutError:
        return False
    return True


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # between the first and the last real-time signal they have no names
        return f"signal {number}"


def place_name(players: Sequence[Player]) -> str:
    """`compute-node-0`, or `data-owner-0..49` for a fleet of consecutive owners."""
    first, last = players[0], players[-1]
    return first if first == last else f"{first}..{index_of(last)}"


def places(players: Sequence[Player], per_process: int) -> list[tuple[Player, ...]]:
    """Groups of players that share a process: data owners by `per_process`, everyone else alone."""
    alone: list[tuple[Player, ...]] = [(player,) for player in players if role_of(player) != "data-owner"]
    owners = [player for player in players if role_of(player) == "data-owner"]
    return alone + [tuple(owners[first : first + per_process]) for first in range(0, len(owners), per_process)]
