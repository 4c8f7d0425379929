"""A player that stops listening keeps its channels, is not dialled any more, and can be again where it was."""

import asyncio

import pytest
from support.channels import Recorder, memory_world, tcp_world

from asyncagg.net.errors import ConnectFailed

real = pytest.mark.asyncio(loop_factories=["real"])
WORLDS = pytest.mark.parametrize("make", [memory_world, tcp_world])


@real
@WORLDS
async def test_nobody_can_dial_until_it_listens_again(make) -> None:
    async with make() as world:
        first = await world.listen("node-0")
        await world.dial("owner-0", "node-0")
        world.listening.unlisten("node-0")
        with pytest.raises(ConnectFailed):
            await world.dial("owner-1", "node-0", seconds=0.05)
        second = await world.listen("node-0")
        await world.dial("owner-2", "node-0")
        assert (list(first.channels), list(second.channels)) == (["owner-0"], ["owner-2"])


@real
@WORLDS
async def test_who_dials_meanwhile_gets_through_when_it_listens_again(make) -> None:
    """Over the connection that is there, and over a new one."""
    async with make() as world:
        first = await world.listen("node-0")
        channel, _ = await world.dial("owner-0", "node-0")
        world.listening.unlisten("node-0")
        waiting = asyncio.ensure_future(world.dialling.dial("owner-1", "node-0", Recorder("owner-1")))
        for _ in range(20):
            await asyncio.sleep(0)
        channel.close()
        await first.recorder.has(ends=1)
        assert not waiting.done()
        second = await world.listen("node-0")
        await waiting
        assert list(second.channels) == ["owner-1"]
