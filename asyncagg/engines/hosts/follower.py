"""The process of compute nodes or data owners in a run on many hosts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from asyncagg.engines.hosts.join_tracker import REMINDER_NS, JoinTracker, diallers, peers
from asyncagg.engines.hosts.process_spec import HostRuntime
from asyncagg.engines.runtime.players import LocalPlayers
from asyncagg.engines.watch.interface import Observer
from asyncagg.net.clock import now_ns
from asyncagg.net.errors import NetError, PeerError
from asyncagg.players.model_owner import DONE
from asyncagg.protocols.names import MODEL_OWNER
from asyncagg.runs.trace import Trace

PARTING_NS = 2_000_000_000
"""How long a process that gives up tries to tell the model owner."""
REUNION_NS = 2_000_000_000
"""How long a compute node waits for those who dial it: longer than the pauses of whoever has lost it."""


async def follow(runtime: HostRuntime) -> str | None:
    """Serve to the end of the run; None when it went well, else how it ended.

    Raises NetError when the others cannot be reached, having told the model owner; StoreError where an account
    cannot be kept.
    """
    spec = runtime.spec
    say = spec.observation.said
    owner = next(entry for entry in spec.entries if entry.name == MODEL_OWNER)
    try:
        say(f"waiting up to {spec.wait_ns / 1e9:g} s for {MODEL_OWNER} at {owner.address}")
        run = await runtime.learn_run(spec.deadline_ns())
        say(f"{MODEL_OWNER}: reached, run {run.hex()[:12]}")
        environment = replace(
            runtime.environment(
                run, now_ns(), spec.identities, spec.roster, spec.ledgers / run.hex()[:12], spec.patience_ns
            ),
            note_own=spec.observation.noted,
        )
        spec.observation.add(_Search(spec.patience_ns, say))
        local_players = LocalPlayers(spec.experiment, environment, Trace(spec.observation.record), spec.players)
        spec.observation.view.players = lambda: local_players.players
        return await _played(runtime, local_players)
    finally:
        await runtime.close()


async def _played(runtime: HostRuntime, local_players: LocalPlayers) -> str | None:
    spec = runtime.spec
    deadline_ns = spec.deadline_ns()
    try:
        async with _watched(runtime, deadline_ns):
            await _arrive(runtime, local_players)
            local_players.begin(deadline_ns)
            await local_players.tasks.run(local_players.tasks.ended())
    except NetError as error:
        if not (isinstance(error, PeerError) and error.peer == MODEL_OWNER):
            await runtime.give_up(str(error), now_ns() + PARTING_NS)
        raise
    finally:
        local_players.injector.end()
    for trouble in dict.fromkeys(owner.trouble for owner in local_players.owners if owner.trouble is not None):
        spec.observation.said(f"left an attempt: {trouble}")
    return next(
        (player.ending for player in (*local_players.nodes, *local_players.owners) if player.ending != DONE), None
    )


async def _arrive(runtime: HostRuntime, local_players: LocalPlayers) -> None:
    """Listen, and let those who dial a node here find it before the model owner does and begins an attempt with it."""
    arrivals = [JoinTracker([node.me], diallers(node.me, runtime.spec.entries)) for node in local_players.nodes]
    for tracker in arrivals:
        runtime.spec.observation.add(tracker)
    await local_players.listen()
    for tracker in arrivals:
        await tracker.complete(now_ns() + min(REUNION_NS, runtime.spec.wait_ns // 4))


class _Search(Observer):
    """Says that the model owner is lost, and found again: once for all players here."""

    def __init__(self, patience_ns: int, say: Callable[[str], None]) -> None:
        self._patience_ns = patience_ns
        self._say = say
        self._lost = False

    def gone(self, local: str, remote: str, reason: str) -> None:
        """See `Observer`."""
        if remote == MODEL_OWNER and not self._lost:
            self._lost = True
            self._say(f"{MODEL_OWNER}: lost, looked for up to {self._patience_ns / 1e9:g} s")

    def joined(self, local: str, remote: str) -> None:
        """See `Observer`."""
        if remote == MODEL_OWNER and self._lost:
            self._lost = False
            self._say(f"{MODEL_OWNER}: reached again")


@contextlib.asynccontextmanager
async def _watched(runtime: HostRuntime, deadline_ns: int) -> AsyncIterator[None]:
    """Meanwhile it is said who is waited for, and turned to ok once everyone is there or a round begins."""
    spec = runtime.spec
    other_processes = [entry for entry in spec.entries if entry not in spec.mine]
    tracker = JoinTracker(spec.players, peers(spec.players[0], other_processes))
    spec.observation.add(tracker)

    async def watch() -> None:
        there = await tracker.complete(deadline_ns, spec.observation.said)
        while not there:  # rounds may go on without some
            there = await tracker.complete(now_ns() + REMINDER_NS)
        spec.observation.turned("ok")

    watching = asyncio.get_running_loop().create_task(watch(), name="join-tracker")
    try:
        yield
    finally:
        watching.cancel()
