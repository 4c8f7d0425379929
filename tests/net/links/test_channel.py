"""The suite of every network, over links: in virtual time, over TCP in real time, and with faults at hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

pytest.register_assert_rewrite("support.channel_suite")

from support.channel_suite import ChannelSuite  # noqa: E402
from support.channels import LIMITS, World, memory_world, tcp_world  # noqa: E402

from asyncagg.net.channel import Network  # noqa: E402
from asyncagg.net.links.faults import ChannelFaults  # noqa: E402
from asyncagg.net.links.latency import Exponential, Uniform  # noqa: E402
from asyncagg.net.links.model import Link  # noqa: E402
from asyncagg.net.links.network import LinkedNetwork  # noqa: E402

GBIT = 1_000_000_000
MS = 1_000_000

FAST = Link(Uniform(0, 3 * MS), jitter_ns=MS, bandwidth_up=4 * GBIT, bandwidth_down=4 * GBIT)
ROUGH = Link(
    Exponential(30 * MS),
    jitter_ns=20 * MS,
    bandwidth_up=GBIT,
    bandwidth_down=GBIT,
    loss=1e-3,
    queue_limit=100_000_000,
)


def linked(world: World, link: Link, faults: Callable[[], ChannelFaults | None]) -> World:
    """The same world, each of its networks on links."""

    def wrap(network: Network) -> Network:
        return LinkedNetwork(network, lambda name: link, LIMITS, 1, faults())

    listening = wrap(world.listening)
    return World(listening, listening if world.dialling is world.listening else wrap(world.dialling))


class TestInVirtualTime(ChannelSuite):
    @pytest.fixture
    async def world(self) -> AsyncIterator[World]:
        async with memory_world() as bare:
            world = linked(bare, ROUGH, lambda: None)
            yield world
            await world.listening.close()


class TestWithFaultsAtHand(ChannelSuite):
    @pytest.fixture
    async def world(self) -> AsyncIterator[World]:
        async with memory_world() as bare:
            world = linked(bare, Link(), lambda: ChannelFaults(0))
            yield world
            await world.listening.close()


@pytest.mark.asyncio(loop_factories=["real"])
@pytest.mark.timeout(20)
class TestOverTcp(ChannelSuite):
    @pytest.fixture
    async def world(self) -> AsyncIterator[World]:
        async with tcp_world() as bare:
            world = linked(bare, FAST, lambda: ChannelFaults(0))
            yield world
            await world.dialling.close()
            await world.listening.close()
