"""A watched network is as good as any, and tells who comes and who goes, once each."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

pytest.register_assert_rewrite("support.channel_suite")

from support.channel_suite import ChannelSuite  # noqa: E402
from support.channels import World, memory_world, tcp_world  # noqa: E402

from asyncagg.engines.watch.interface import Observer  # noqa: E402
from asyncagg.engines.watch.presence import PresenceNetwork  # noqa: E402
from asyncagg.net.errors import ConnectFailed  # noqa: E402


class Seen(Observer):
    """What was told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []

    def joined(self, local: str, remote: str) -> None:
        self.told.append(("joined", local, remote))

    def gone(self, local: str, remote: str, reason: str) -> None:
        self.told.append(("gone", local, remote, reason))


@pytest.mark.asyncio(loop_factories=["real"])
class TestOverTcp(ChannelSuite):
    @pytest.fixture
    async def world(self) -> AsyncIterator[World]:
        async with tcp_world() as inner:
            yield World(PresenceNetwork(inner.listening, Seen()), PresenceNetwork(inner.dialling, Seen()))


async def test_both_ends_are_told_of_the_beginning_and_the_other_one_of_the_end() -> None:
    here, there = Seen(), Seen()
    async with memory_world() as inner:
        world = World(PresenceNetwork(inner.listening, here), PresenceNetwork(inner.dialling, there))
        node = await world.listen("node-0")
        channel, _ = await world.dial("owner-0", "node-0")
        channel.close("enough")
        await node.recorder.has(ends=1)
    assert here.told == [("joined", "node-0", "owner-0"), ("gone", "node-0", "owner-0", "closed: enough")]
    assert there.told == [("joined", "owner-0", "node-0")]


async def test_whoever_was_not_let_in_never_joined() -> None:
    seen = Seen()
    async with memory_world() as inner:
        world = World(inner.listening, PresenceNetwork(inner.dialling, seen))
        with pytest.raises(ConnectFailed, match="cannot reach node-1"):
            await world.dial("owner-0", "node-1", seconds=1)
    assert seen.told == []
