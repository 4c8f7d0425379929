"""The process of compute nodes or data owners in a run on many hosts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from asyncagg.engines.cast import Cast
from asyncagg.engines.hosts.post import HostSite
from asyncagg.engines.hosts.roll import REMINDER_NS, Roll, diallers, peers
from asyncagg.players.model_owner import DONE
from asyncagg.protocols.terms import MODEL_OWNER
from asyncagg.runs.trace import Trace
from net.clock import now_ns
from net.errors import NetError, PeerError

PARTING_NS = 2_000_000_000
"""How long a process that gives up tries to tell the model owner."""
REUNION_NS = 2_000_000_000
"""How long a compute node waits for those who dial it: longer than the pauses of whoever has lost it."""


async def follow(site: HostSite) -> str | None:
    """Serve to the end of the run; None when it went well, else how it ended.

    Raises NetError when the others cannot be reached, having told the model owner; StoreError where a privacy ledger
    cannot be kept.
    """
    post = site.post
    say = post.observation.said
    owner = next(entry for entry in post.entries if entry.name == MODEL_OWNER)
    try:
        say(f"waiting up to {post.wait_ns / 1e9:g} s for {MODEL_OWNER} at {owner.address}")
        run = await site.learn_run(post.deadline_ns())
        say(f"{MODEL_OWNER}: reached, run {run.hex()[:12]}")
        world = site.world(run, now_ns(), post.identities, post.roster, post.ledgers / run.hex()[:12])
        cast = Cast(post.experiment, world, Trace(post.observation.record), post.players)
        post.observation.view.players = lambda: cast.players
        return await _played(site, cast)
    finally:
        await site.close()


async def _played(site: HostSite, cast: Cast) -> str | None:
    post = site.post
    deadline_ns = post.deadline_ns()
    try:
        async with _watched(site, deadline_ns):
            await _arrive(site, cast)
            cast.begin(deadline_ns)
            await cast.company.run(cast.company.ended())
    except NetError as error:
        if not (isinstance(error, PeerError) and error.peer == MODEL_OWNER):
            await site.give_up(str(error), now_ns() + PARTING_NS)
        raise
    finally:
        cast.director.end()
    for trouble in dict.fromkeys(owner.trouble for owner in cast.owners if owner.trouble is not None):
        post.observation.said(f"left an attempt: {trouble}")
    return next((desk.ending for desk in (*cast.nodes, *cast.owners) if desk.ending != DONE), None)


async def _arrive(site: HostSite, cast: Cast) -> None:
    """Listen, and let those who dial a node here find it before the model owner does and begins an attempt with it."""
    arrivals = [Roll([node.me], diallers(node.me, site.post.entries)) for node in cast.nodes]
    for roll in arrivals:
        site.post.observation.add(roll)
    await cast.listen()
    for roll in arrivals:
        await roll.complete(now_ns() + min(REUNION_NS, site.post.wait_ns // 4))


@contextlib.asynccontextmanager
async def _watched(site: HostSite, deadline_ns: int) -> AsyncIterator[None]:
    """Meanwhile it is said who is waited for, and turned to ok once everyone is there or a round begins."""
    post = site.post
    elsewhere = [entry for entry in post.entries if entry not in post.mine]
    roll = Roll(post.players, peers(post.players[0], elsewhere))
    post.observation.add(roll)

    async def watch() -> None:
        there = await roll.complete(deadline_ns, post.observation.said)
        while not there:  # rounds may go on without some
            there = await roll.complete(now_ns() + REMINDER_NS)
        post.observation.turned("ok")

    watching = asyncio.get_running_loop().create_task(watch(), name="roll")
    try:
        yield
    finally:
        watching.cancel()
