"""Thousands of strangers at a listener that is at work: what they cost, in memory and in delay."""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter

import pytest
from support.authority import Authority
from support.channels import LIMITS, MIB, RUN, SECOND, Recorder

from asyncagg.net.channel import Channel
from asyncagg.net.clock import now_ns
from asyncagg.net.errors import Refusal
from asyncagg.net.frames import Frame
from asyncagg.net.tcp.buffers import release
from asyncagg.net.tcp.network import Addresses, TcpNetwork
from benchmarks.strangers import STRANGERS

pytestmark = [
    pytest.mark.asyncio(loop_factories=["real", "uvloop"]),
    pytest.mark.timeout(100),
    pytest.mark.long,
]


class Echo(Recorder):
    """Sends every frame back."""

    channel: Channel

    def deliver(self, frame: Frame) -> None:
        self.channel.send("vector", b"", frame.payload)


class Returned(Recorder):
    """Waits for what comes back."""

    def __init__(self) -> None:
        super().__init__()
        self.came = asyncio.Event()

    def deliver(self, frame: Frame) -> None:
        release(frame.payload)
        self.came.set()


def resident() -> float:
    """Memory of this process in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / MIB


async def rounds(channel: Channel, sink: Returned, count: int) -> float:
    """Seconds for each of `count` exchanges of a megabyte: the middle one."""
    taken = []
    for _ in range(count):
        began = perf_counter()
        sink.came.clear()
        channel.send("vector", b"", bytes(MIB))
        await sink.came.wait()
        taken.append(perf_counter() - began)
    return statistics.median(taken)


@asynccontextmanager
async def strangers(port: int) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STRANGERS, "0.01", str(port), stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"all here\n"
    try:
        yield
    finally:
        process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # its pipe, which nothing else closes


@pytest.mark.parametrize("encrypted", [False, True])
async def test_a_flood_costs_next_to_nothing(encrypted: bool) -> None:
    certify = Authority().tls if encrypted else lambda *players: None
    addresses: Addresses = {"node-0": ("127.0.0.1", 0)}
    node = TcpNetwork(["node-0"], RUN, LIMITS, addresses, tls=certify("node-0"))
    owner = TcpNetwork(["owner-0"], RUN, LIMITS, addresses, tls=certify("owner-0"))
    echo, sink = Echo(), Returned()

    def accept(channel: Channel) -> Recorder:
        echo.channel = channel
        return echo

    await node.listen("node-0", accept)
    channel = await owner.dial("owner-0", "node-0", sink, now_ns() + 10 * SECOND)
    await rounds(channel, sink, 100)
    quiet, before = await rounds(channel, sink, 400), resident()
    async with strangers(addresses["node-0"][1]):
        flooded, after = await rounds(channel, sink, 400), resident()
    print(f"{1000 * quiet:.2f} ms, flooded {1000 * flooded:.2f} ms; {after - before:+.1f} MiB; {node.refusals}")
    assert echo.ends == sink.ends == []
    assert node.refusals[Refusal.TOO_MANY_WAITING] > 0
    assert node.refusals[Refusal.TOO_FAST] > 0
    assert after - before < 40
    assert flooded < 1.5 * quiet + 0.002  # what the strangers themselves take of the machine is in it
    await owner.close()
    await node.close()
