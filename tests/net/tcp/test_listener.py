"""Who may connect at all: how many, how often, and what happens when the system has no more sockets."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest
from support.channels import LIMITS, RUN, SECOND, Listener, Recorder
from support.raw_peer import raw_peer

from asyncagg.net.clock import now_ns
from asyncagg.net.durations import SECOND_NS
from asyncagg.net.errors import ConnectFailed, Refusal, Refused, Untrusted
from asyncagg.net.options import TcpOptions
from asyncagg.net.rate_limit import RateLimiter
from asyncagg.net.tcp.hello import Facts, Hello
from asyncagg.net.tcp.network import Addresses, TcpNetwork

on_both_loops = pytest.mark.asyncio(loop_factories=["real", "uvloop"])
pytestmark = pytest.mark.timeout(20)


async def listen(**options: Any) -> tuple[TcpNetwork, Addresses, Listener]:
    addresses: Addresses = {"node-0": ("127.0.0.1", 0)}
    network = TcpNetwork(["node-0"], RUN, LIMITS, addresses, **options)
    listener = Listener()
    await network.listen("node-0", listener.accept)
    return network, addresses, listener


def dialler(addresses: Addresses, name: str = "owner-0", run: bytes | None = RUN, **options: Any) -> TcpNetwork:
    return TcpNetwork([name], run, LIMITS, addresses, **options)


async def dial(network: TcpNetwork, name: str = "owner-0", seconds: float = 10) -> Recorder:
    recorder = Recorder()
    await network.dial(name, "node-0", recorder, now_ns() + round(seconds * SECOND))
    return recorder


# --- how they come in


@on_both_loops
async def test_small_frames_wait_for_no_acknowledgement_on_either_side() -> None:
    undelayed: list[int] = []

    def look(transport: Any) -> None:
        undelayed.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    network, addresses, _ = await listen(admit=lambda hello, transport: look(transport))
    owner = dialler(addresses)
    channel = await owner.dial("owner-0", "node-0", Recorder(), now_ns() + 10 * SECOND)
    look(channel.session.transport)
    assert undelayed == [1, 1]
    await owner.close()
    await network.close()


# --- how often


def test_a_source_has_its_burst_and_then_its_rate() -> None:
    sources = RateLimiter(burst=3, per_second=2)
    assert [sources.take("10.0.0.1", 0) for _ in range(5)] == [True, True, True, False, False]
    assert sources.take("10.0.0.2", 0)
    half = SECOND_NS // 2
    assert [sources.take("10.0.0.1", half) for _ in range(2)] == [True, False]
    assert [sources.take("10.0.0.1", 100 * half) for _ in range(4)] == [True, True, True, False]


def test_an_ipv6_network_is_one_source() -> None:
    sources = RateLimiter(burst=1, per_second=1)
    assert sources.take("2001:db8:0:1::1", 0)
    assert not sources.take("2001:db8:0:1:ffff::2%eth0", 0)
    assert sources.take("2001:db8:0:2::1", 0)


def test_sources_are_forgotten() -> None:
    sources = RateLimiter(burst=2, per_second=1)
    for number in range(20_000):
        assert sources.take(f"10.0.{number >> 8}.{number & 255}", number)
        assert len(sources) <= 4096
    assert not [take for take in (sources.take("10.0.78.31", 20_000) for _ in range(2)) if take][1:]
    for number in range(5000):
        sources.take(f"10.1.{number >> 8}.{number & 255}", 100 * SECOND_NS)
    assert len(sources) <= 4096


@on_both_loops
async def test_a_source_that_connects_too_often_is_not_let_in_and_comes_back() -> None:
    options = TcpOptions(source_burst=2, source_per_second=20)
    network, addresses, listener = await listen(options=options)
    async with raw_peer(addresses["node-0"]), raw_peer(addresses["node-0"]), raw_peer(addresses["node-0"]) as third:
        assert await third.is_closed()
        assert network.refusals == {Refusal.TOO_FAST: 1}
        owner = dialler(addresses)
        await dial(owner)
        assert list(listener.channels) == ["owner-0"]
        await owner.close()
    await network.close()


# --- how many


@on_both_loops
async def test_no_more_connections_than_allowed() -> None:
    network, addresses, _ = await listen(options=TcpOptions(max_connections=2))
    owners = [dialler(addresses, f"owner-{n}") for n in range(3)]
    inside = [await dial(owner, f"owner-{n}") for n, owner in enumerate(owners[:2])]
    with pytest.raises(ConnectFailed, match=r"connection (lost|reset)"):
        await dial(owners[2], "owner-2", seconds=0.1)
    assert set(network.refusals) == {Refusal.TOO_MANY_CONNECTIONS}
    await owners[0].close()
    await dial(owners[2], "owner-2")
    assert inside[1].ends == []
    for owner in owners[1:]:
        await owner.close()
    await network.close()


@on_both_loops
async def test_who_waits_makes_room_for_others_when_all_is_full() -> None:
    network, addresses, _ = await listen(options=TcpOptions(max_connections=1))
    async with raw_peer(addresses["node-0"]) as idle:
        owner = dialler(addresses)
        await dial(owner)
        assert await idle.is_closed()
        assert network.refusals == {Refusal.TOO_MANY_WAITING: 1}
        await owner.close()
    await network.close()


@on_both_loops
async def test_a_system_without_sockets_is_given_a_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    network, addresses, _ = await listen()
    monkeypatch.setattr("asyncagg.net.tcp.listener._REST", 0.05)
    accept, failures = socket.socket.accept, [errno.EMFILE, errno.EMFILE, errno.EPERM]

    def failing(self: socket.socket) -> Any:
        if failures:
            raise OSError(failures.pop(), "failed")
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", failing)
    owner = dialler(addresses)
    started_ns = now_ns()
    await dial(owner)
    assert now_ns() - started_ns > 0.14 * SECOND
    assert network.refusals == {Refusal.TOO_MANY_CONNECTIONS: 3}
    await owner.close()
    await network.close()


@on_both_loops
async def test_nobody_waits_at_a_door_that_is_closed() -> None:
    network, addresses, listener = await listen()
    async with raw_peer(addresses["node-0"]) as early:
        owner = dialler(addresses)
        await dial(owner)
        network.unlisten("node-0")
        assert await early.is_closed()
        assert network.refusals == {}
        with pytest.raises(ConnectFailed, match="connection refused"):
            await dial(dialler(addresses, "owner-1"), "owner-1", seconds=0.1)
        await network.listen("node-0", listener.accept)
        await owner.close()
    await network.close()


# --- the run, and facts


@on_both_loops
async def test_the_run_is_learnt_from_one_who_tells_it() -> None:
    hellos: list[Hello] = []
    heard: list[tuple[str, Facts]] = []

    def admit(hello: Hello, transport: asyncio.BaseTransport) -> str | None:
        hellos.append(hello)
        return None

    def recognise(remote: str, facts: Facts) -> str | None:
        heard.append((remote, facts))
        return None

    facts: Facts = {"version": "1.2", "dimension": 7, "digest": b"\x00\xff"}
    network, addresses, listener = await listen(tells_run=True, facts=facts, admit=admit)
    owner = dialler(addresses, run=None, facts={"version": "1.1"}, recognise=recognise)
    with pytest.raises(ValueError, match="the run is not known yet"):
        await dial(owner)
    assert await owner.learn_run("node-0", now_ns() + 10 * SECOND) == RUN
    assert await owner.learn_run("node-0", now_ns()) == RUN
    await dial(owner)
    assert list(listener.channels) == ["owner-0"]
    assert [(hello.run, hello.players, hello.facts) for hello in hellos] == [
        (run, ("owner-0",), {"version": "1.1"}) for run in (b"", RUN)
    ]
    assert heard == [("node-0", facts)] * 2
    await owner.close()
    await network.close()


@on_both_loops
async def test_the_run_is_learnt_from_one_who_listens_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    addresses: Addresses = {"node-0": ("127.0.0.1", port)}
    owner = dialler(addresses, run=None)
    with pytest.raises(ConnectFailed, match=r"^cannot reach node-0 at 127\.0\.0\.1:\d+ after .* s: connection refused"):
        await owner.learn_run("node-0", now_ns() + SECOND // 20)
    learning = asyncio.create_task(owner.learn_run("node-0", now_ns() + 10 * SECOND))
    await asyncio.sleep(0.05)
    network = TcpNetwork(["node-0"], RUN, LIMITS, addresses, tells_run=True)
    await network.listen("node-0", Listener().accept)
    assert await learning == RUN
    await owner.close()
    await network.close()


@on_both_loops
async def test_who_learnt_the_run_may_not_go_on_over_the_same_connection() -> None:
    network, addresses, listener = await listen(tells_run=True)
    async with raw_peer(addresses["node-0"]) as peer:
        peer.hello(run=b"")
        peer.say("!open", [1])
        await peer.hear()
        assert await peer.is_closed()
    assert listener.channels == {}
    await network.close()


@on_both_loops
async def test_the_run_is_told_by_nobody_else() -> None:
    network, addresses, _ = await listen()
    owner = dialler(addresses, run=None)
    with pytest.raises(Refused, match="wrong-run: the run is not told here"):
        await owner.learn_run("node-0", now_ns() + 10 * SECOND)
    with pytest.raises(ValueError, match="is one of us"):
        await owner.learn_run("owner-0")
    await owner.close()
    await network.close()


@on_both_loops
async def test_who_does_not_know_the_run_cannot_listen() -> None:
    network = TcpNetwork(["node-0"], None, LIMITS, {"node-0": ("127.0.0.1", 0)})
    with pytest.raises(ValueError, match="the run is not known yet"):
        await network.listen("node-0", Listener().accept)
    await network.close()


@on_both_loops
async def test_whom_we_do_not_recognise_is_not_talked_to() -> None:
    network, addresses, listener = await listen(facts={"version": "2"}, tells_run=True)
    for run in (RUN, None):
        owner = dialler(addresses, run=run, recognise=lambda remote, facts: f"it has version {facts['version']}")
        with pytest.raises(Untrusted) as caught:
            await (owner.learn_run("node-0") if run is None else dial(owner))
        assert str(caught.value) == "will not talk to node-0: it has version 2"
        await owner.close()
    assert listener.channels == {}
    await network.close()
    assert network.refusals == {Refusal.DISTRUSTED: 1}  # who only learns the run is not heard after that


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"x": 1.5}, "x must be printable text, an integer or bytes"),
        ({"x": 1 << 64}, "an integer among the facts has more than 64 bits"),
        ({"x": "y" * 5000}, "facts of 5006 bytes, at most 4096"),
    ],
)
def test_facts_are_small_and_simple(facts: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TcpNetwork(["node-0"], RUN, LIMITS, {}, facts=facts)


@pytest.mark.parametrize("run", [b"", bytes(65)])
def test_a_run_has_a_nonce(run: bytes) -> None:
    with pytest.raises(ValueError, match="1 to 64 bytes"):
        TcpNetwork(["node-0"], run, LIMITS, {})
