"""Where a player listens: at the address that others dial or at another, taken early or late."""

from __future__ import annotations

import socket

import pytest
from support.channels import LIMITS, RUN, SECOND, Listener, Recorder

from asyncagg.net.clock import now_ns
from asyncagg.net.errors import ConnectFailed, ListenFailed
from asyncagg.net.tcp import dialler
from asyncagg.net.tcp.network import TcpNetwork

HERE = "127.0.0.1"


def free_port() -> int:
    with socket.create_server((HERE, 0)) as server:
        return int(server.getsockname()[1])


def node(port: int, **options: object) -> TcpNetwork:
    return TcpNetwork(["node-0"], RUN, LIMITS, {"node-0": (HERE, port)}, **options)  # type: ignore[arg-type]


def test_an_address_that_is_taken_is_nobody_elses() -> None:
    port = free_port()
    network = node(port)
    network.take_address("node-0")
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((HERE, port))
    network.give_back_addresses()
    socket.create_server((HERE, port)).close()


def test_an_address_that_is_listened_at_cannot_be_taken() -> None:
    with (
        socket.create_server((HERE, 0)) as server,
        pytest.raises(ListenFailed, match=r"^node-0 cannot listen on 127\.0\.0\.1:\d+: address already in use$"),
    ):
        node(server.getsockname()[1]).take_address("node-0")


@pytest.mark.asyncio(loop_factories=["real", "uvloop"])
@pytest.mark.parametrize("early", [False, True])
async def test_a_player_may_listen_elsewhere_than_others_dial(early: bool) -> None:
    port = free_port()
    addresses = {"node-0": ("192.0.2.1", 4440)}  # of no host here
    network = TcpNetwork(["node-0"], RUN, LIMITS, addresses, binds={"node-0": (HERE, port)})
    if early:
        network.take_address("node-0")
    await network.listen("node-0", Listener().accept)
    assert addresses == {"node-0": ("192.0.2.1", 4440)}
    owner = TcpNetwork(["owner-0"], RUN, LIMITS, {"node-0": (HERE, port)})
    await owner.dial("owner-0", "node-0", Recorder(), now_ns() + 10 * SECOND)
    await owner.close()
    await network.close()


@pytest.mark.asyncio(loop_factories=["real"])
async def test_an_address_that_was_taken_and_never_used_is_given_back_on_closing() -> None:
    port = free_port()
    network = node(port)
    network.take_address("node-0")
    await network.close()
    socket.create_server((HERE, port)).close()


@pytest.mark.asyncio(loop_factories=["real", "uvloop"])
async def test_a_name_that_does_not_resolve_yet_is_one_more_peer_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    there = node(port)
    await there.listen("node-0", Listener().accept)
    asked = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        if len(asked) < 4:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [HERE]

    monkeypatch.setattr(dialler, "_resolve", resolve)
    owner = TcpNetwork(["owner-0"], RUN, LIMITS, {"node-0": ("late.example", port)})
    await owner.dial("owner-0", "node-0", Recorder(), now_ns() + 60 * SECOND)
    assert asked == ["late.example"] * 4
    await owner.close()
    await there.close()


@pytest.mark.asyncio(loop_factories=["real"])
async def test_a_name_that_never_resolves_is_told_when_the_wait_is_over() -> None:
    owner = TcpNetwork(["owner-0"], RUN, LIMITS, {"node-0": ("no.invalid", 4440)})
    with pytest.raises(ConnectFailed, match=r"no\.invalid:4440"):
        await owner.dial("owner-0", "node-0", Recorder(), now_ns() + SECOND // 2)
    await owner.close()
