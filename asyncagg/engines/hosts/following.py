"""The process of compute nodes or data owners in a run on many hosts."""

from __future__ import annotations

from asyncagg.engines.cast import Cast, World
from asyncagg.engines.hosts.post import HostSite, Post
from asyncagg.engines.hosts.preflight import TROUBLE
from asyncagg.players.model_owner import DONE
from asyncagg.protocols.terms import MODEL_OWNER, Player
from asyncagg.runs.trace import Trace
from net.clock import now_ns
from net.errors import NetError
from net.frames import Frame

PARTING_NS = 2_000_000_000
"""How long a process that gives up tries to tell the model owner."""


async def follow(post: Post) -> str | None:
    """Serve to the end of the run; None when it went well, else how it ended.

    Raises NetError when the others cannot be reached, having told the model owner.
    """
    site = HostSite(post, None)
    try:
        run = await site.learn_run(post.deadline_ns())
        post.tell(f"{MODEL_OWNER}: reached, run {run.hex()[:12]}")
        ledgers = post.ledgers / run.hex()[:12]
        world = site.world(run, now_ns(), post.identities, post.roster, ledgers)
        cast = Cast(post.experiment, world, Trace(post.observation.record), post.players)
        post.observation.view.players = lambda: cast.players
        return await _played(post, cast, world)
    finally:
        await site.close()


async def _played(post: Post, cast: Cast, world: World) -> str | None:
    try:
        await cast.listen()
        post.observation.turned("ok")
        cast.begin(post.deadline_ns())
        await cast.company.run(cast.company.ended())
    except NetError as error:
        await _give_up(str(error), post, world)
        raise
    finally:
        cast.director.end()
    for trouble in dict.fromkeys(owner.trouble for owner in cast.owners if owner.trouble is not None):
        post.tell(f"left an attempt: {trouble}")
    return next((desk.ending for desk in (*cast.nodes, *cast.owners) if desk.ending != DONE), None)


async def _give_up(reason: str, post: Post, world: World) -> None:
    """Say to the model owner why this process does not take part; in vain where it cannot be reached either."""
    for entry in post.mine:
        player = Player(entry.players[0])
        try:
            channel = await world.network(player).dial(player, MODEL_OWNER, _Nobody(), now_ns() + PARTING_NS)
            channel.close(TROUBLE + reason)
        except NetError:
            return


class _Nobody:
    """A sink for a channel that is closed at once."""

    def deliver(self, frame: Frame) -> None:
        pass

    def gone(self, peer: str, reason: str) -> None:
        pass
