"""Strangers at the ports of a run over TCP: each is refused under a name of its own, and the run is unharmed."""

from __future__ import annotations

import asyncio
import tracemalloc

import msgpack
import pytest
from support.runs import scenario
from support.tap import Tap

from asyncagg.api import Result, run_async
from asyncagg.net.errors import Refusal
from asyncagg.net.frames import MAGIC, PREFIX, Frame, pack_frame
from asyncagg.net.tcp.hello import HELLO
from asyncagg.version import FORMAT


def hello(to: str, **changes: object) -> bytes:
    said = {"version": FORMAT, "run": b"another run of it", "players": ["data-owner-0"], "facts": {}} | changes
    return pack_frame(Frame("data-owner-0", to, HELLO, msgpack.packb(said)))


def header(to: str, kind: str, body: int, payload: int) -> bytes:
    packed = msgpack.packb(["data-owner-0", to, kind, body, payload])
    return PREFIX.pack(MAGIC, len(packed)) + packed


def attacks(to: str) -> dict[Refusal, bytes]:
    """What strangers say to a player, by what they are refused for."""
    return {
        Refusal.GARBAGE: b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        Refusal.TOO_LARGE: header(to, HELLO, 2**31, 2**40),
        Refusal.UNKNOWN_KIND: header(to, "masked-slice", 64, 1 << 30),
        Refusal.TRUNCATED: hello(to)[:-5],
        Refusal.WRONG_RUN: hello(to),
        Refusal.WRONG_VERSION: hello(to, version=FORMAT + 1),
    }


async def attack(port: int, data: bytes, cut: bool) -> None:
    """Say it, and wait to be shown the door."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        if cut:
            writer.write_eof()
        async with asyncio.timeout(5):
            await reader.read()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def strangers(player: str, listening: asyncio.Future[int]) -> None:
    """Every attack on one player's port, as soon as it is there."""
    port = await listening
    for code, data in attacks(player).items():
        await attack(port, data, cut=code is Refusal.TRUNCATED)


@pytest.mark.asyncio(loop_factories=["real"])
async def test_a_run_does_not_notice_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    players = ["model-owner", "compute-node-0", "compute-node-1", "compute-node-2"]
    ports: dict[str, asyncio.Future[int]] = {player: loop.create_future() for player in players}
    tap = Tap().install(monkeypatch)
    tap.on_listen = lambda player, network: loop.call_soon_threadsafe(
        ports[player].set_result, network._addresses[player][1]
    )
    tracemalloc.start()
    async with asyncio.timeout(30), asyncio.TaskGroup() as together:
        run = together.create_task(run_async(scenario("secagg", 4, "tcp", rounds=40)))
        for player, listening in ports.items():
            together.create_task(strangers(player, listening))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    result: Result = run.result()
    assert result["status"] == "ok", result["reason"]
    assert all(each["exact"] and len(each["survivors"]) == 4 for each in result["rounds"])
    for network in tap.networks[: len(players)]:
        assert network.refusals == dict.fromkeys(attacks(""), 1)
    assert peak < 100 << 20
