"""One suite for every network: in memory, in virtual and in real time, over TCP and over TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

pytest.register_assert_rewrite("support.channel_suite")

from support.authority import Authority  # noqa: E402
from support.channel_suite import ChannelSuite  # noqa: E402
from support.channels import World, memory_world, tcp_world  # noqa: E402


@pytest.mark.asyncio(loop_factories=["virtual", "real"])
class TestMemory(ChannelSuite):
    @pytest.fixture
    async def world(self) -> AsyncIterator[World]:
        async with memory_world() as world:
            yield world


@pytest.mark.asyncio(loop_factories=["real", "uvloop"])
@pytest.mark.timeout(20)
class TestTcp(ChannelSuite):
    @pytest.fixture
    async def world(self) -> AsyncIterator[World]:
        async with tcp_world() as world:
            yield world


@pytest.mark.asyncio(loop_factories=["real", "uvloop"])
@pytest.mark.timeout(20)
class TestTls(ChannelSuite):
    @pytest.fixture
    async def world(self) -> AsyncIterator[World]:
        async with tcp_world(certify=Authority().tls) as world:
            yield world
