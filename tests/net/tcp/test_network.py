"""What is particular to TCP: addresses, attempts, shared connections, signs of life, closing, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
import socket
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from support.channels import LIMITS, MIB, RUN, SECOND, Listener, Recorder, tcp_world
from support.raw_peer import RawPeer, raw_peer

from asyncagg.net.channel import Channel, Network
from asyncagg.net.clock import now_ns
from asyncagg.net.errors import ConnectFailed, ListenFailed, NetError, PeerError, Refused
from asyncagg.net.frames import Frame, pack_frame
from asyncagg.net.options import TcpOptions
from asyncagg.net.tcp.buffers import release
from asyncagg.net.tcp.hello import BYE, OPEN, OPENED, PING, REFUSE, WELCOME, Hello, pack_reason
from asyncagg.net.tcp.network import Addresses, TcpNetwork

pytestmark = [pytest.mark.asyncio(loop_factories=["real", "uvloop"]), pytest.mark.timeout(20)]

MILLISECOND = SECOND // 1000
GOOD_WELCOME = {"run": RUN, "facts": {}}


@asynccontextmanager
async def network(*players: str, addresses: Addresses, run: bytes = RUN, **options: Any) -> AsyncIterator[TcpNetwork]:
    made = TcpNetwork(players, run, LIMITS, addresses, **options)
    try:
        yield made
    finally:
        await made.close()


def somewhere() -> Addresses:
    return {"node-0": ("127.0.0.1", 0)}


def free_port() -> int:
    """A port that nobody listens on, though somebody might by the time it is used."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


async def dial(dialling: Network, recorder: Recorder | None = None, seconds: float = 10) -> Channel:
    deadline_ns = now_ns() + round(seconds * SECOND)
    return await dialling.dial("owner-0", "node-0", recorder or Recorder(), deadline_ns)


@asynccontextmanager
async def raw_listener(serve: Callable[[RawPeer], Any]) -> AsyncIterator[Addresses]:
    """A listener by hand: `serve` is awaited with each connection, which ends with it."""
    tasks: list[asyncio.Task[None]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await serve(RawPeer(reader, writer))
        finally:
            writer.transport.abort()

    def start(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.create_task(handle(reader, writer)))

    server = await asyncio.start_server(start, "127.0.0.1", 0)
    try:
        yield {"node-0": server.sockets[0].getsockname()[:2]}
    finally:
        server.close()
        for _ in range(3):  # who was let in just now is handed over
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []


async def let_in(peer: RawPeer) -> None:
    """Answer the hello and the first open as a listener does."""
    hello = await peer.hear()
    peer.say(WELCOME, GOOD_WELCOME, "node-0", hello.sender)
    opening = await peer.hear()
    assert opening.kind == OPEN
    peer.write(pack_frame(Frame("node-0", opening.sender, OPENED, opening.body)))


async def for_ever(peer: RawPeer) -> None:
    await asyncio.Event().wait()


# --- addresses


async def test_the_system_may_choose_the_port() -> None:
    addresses = somewhere()
    async with network("node-0", addresses=addresses) as listening:
        await listening.listen("node-0", Listener().accept)
        assert addresses["node-0"][1] > 0


async def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        async with network("node-0", addresses={"node-0": ("127.0.0.1", port)}) as listening:
            with pytest.raises(ListenFailed) as caught:
                await listening.listen("node-0", Listener().accept)
    assert str(caught.value) == f"node-0 cannot listen on 127.0.0.1:{port}: address already in use"


async def test_an_address_that_is_not_ours_is_named() -> None:
    async with network("node-0", addresses={"node-0": ("192.0.2.1", 4000)}) as listening:
        with pytest.raises(ListenFailed, match=r"^node-0 cannot listen on 192\.0\.2\.1:4000: \w"):
            await listening.listen("node-0", Listener().accept)


async def test_listening_is_for_local_players_with_an_address() -> None:
    async with network("node-0", "node-1", addresses=somewhere()) as listening:
        for player in ("node-1", "node-2"):
            with pytest.raises(ValueError, match=f"{player} is not local, has no address"):
                await listening.listen(player, Listener().accept)
    with pytest.raises(NetError, match="the network is closed"):
        await listening.listen("node-0", Listener().accept)


async def test_players_have_different_names_and_are_not_too_many() -> None:
    with pytest.raises(ValueError, match="different names"):
        TcpNetwork(["a", "a"], RUN, LIMITS, {})
    with pytest.raises(ValueError, match="at most 1024"):
        TcpNetwork([f"p{n}" for n in range(1025)], RUN, LIMITS, {})


# --- attempts


async def test_nobody_there_is_one_clear_line() -> None:
    port = free_port()
    async with network("owner-0", addresses={"node-0": ("127.0.0.1", port)}) as dialling:
        with pytest.raises(ConnectFailed) as caught:
            await dial(dialling, seconds=0.1)
    line = rf"cannot reach node-0 at 127\.0\.0\.1:{port} after [\d.]+ s: connection refused"
    assert re.fullmatch(line, str(caught.value))
    assert (caught.value.peer, caught.value.reason) == ("node-0", "connection refused")


async def test_a_name_with_several_addresses_has_one_reason() -> None:
    async with network("owner-0", addresses={"node-0": ("localhost", free_port())}) as dialling:
        with pytest.raises(ConnectFailed, match=r"node-0 at localhost:\d+ after .* s: connection refused$"):
            await dial(dialling, seconds=0.1)


async def test_an_unknown_player_has_no_address() -> None:
    async with network("owner-0", addresses={}) as dialling:
        with pytest.raises(ConnectFailed, match=r"^cannot reach node-0 after [\d.]+ s: it has no address yet$"):
            await dial(dialling, seconds=0.1)


async def test_a_listener_that_comes_later_is_found() -> None:
    addresses: Addresses = {"node-0": ("127.0.0.1", free_port())}
    listener = Listener()
    async with (
        network("owner-0", addresses=addresses) as dialling,
        network("node-0", addresses=addresses) as listening,
    ):
        attempt = asyncio.create_task(dial(dialling))
        await asyncio.sleep(0.05)  # several attempts fail meanwhile
        await listening.listen("node-0", listener.accept)
        (await attempt).send("note")
        await listener.recorder.has(frames=1)


async def test_a_listener_that_does_not_answer_is_given_up() -> None:
    options = TcpOptions(hello_ns=20 * MILLISECOND)
    async with (
        raw_listener(for_ever) as addresses,
        network("owner-0", addresses=addresses, options=options) as dialling,
    ):
        with pytest.raises(ConnectFailed, match="no answer to the hello"):
            await dial(dialling, seconds=0.1)


async def test_something_else_that_listens_is_named() -> None:
    async def serve(peer: RawPeer) -> None:
        peer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await for_ever(peer)

    async with raw_listener(serve) as addresses, network("owner-0", addresses=addresses) as dialling:
        with pytest.raises(ConnectFailed, match="garbage: does not begin like a frame"):
            await dial(dialling, seconds=0.1)


@pytest.mark.parametrize(
    "body", [None, 7, {}, {"run": RUN}, {"run": RUN, "facts": []}, {"run": b"", "facts": {}}, {"run": 7, "facts": {}}]
)
async def test_a_welcome_without_run_and_facts_is_no_welcome(body: Any) -> None:
    refusals: list[str] = []

    async def serve(peer: RawPeer) -> None:
        await peer.hear()
        peer.say(WELCOME, body, "node-0", "owner-0")
        refusals.append(await peer.hear_reason())

    async with raw_listener(serve) as addresses, network("owner-0", addresses=addresses) as dialling:
        with pytest.raises(ConnectFailed, match="refused: bad-hello"):
            await dial(dialling, seconds=0.1)
    assert refusals[0].startswith("bad-hello")


@pytest.mark.parametrize(
    "reason", ["not-admitted: owner-0 is not expected", "wrong-version: owner-0 speaks format 1, this side format 2"]
)
async def test_a_refusal_is_final(reason: str) -> None:
    hellos = []

    async def serve(peer: RawPeer) -> None:
        hellos.append(await peer.hear())
        peer.say(REFUSE, [reason], "node-0", "stranger")
        assert await peer.is_closed()

    async with raw_listener(serve) as addresses, network("owner-0", addresses=addresses) as dialling:
        with pytest.raises(Refused) as caught:
            await dial(dialling)
        assert str(caught.value) == f"refused by node-0: {reason}"
        assert len(hellos) == 1


async def test_another_run_is_refused_by_name() -> None:
    addresses = somewhere()
    async with (
        network("node-0", addresses=addresses) as listening,
        network("owner-0", addresses=addresses, run=b"another run") as dialling,
    ):
        await listening.listen("node-0", Listener().accept)
        with pytest.raises(Refused, match="wrong-run: the hello is for another run"):
            await dial(dialling)


@pytest.mark.parametrize(("ours", "theirs"), [(2, 3), (3, 2)])
async def test_who_speaks_another_format_is_refused_by_name(ours: int, theirs: int) -> None:
    addresses, refused = somewhere(), []
    async with (
        network(
            "node-0", addresses=addresses, wire_format=ours, on_refusal=lambda *said: refused.append(said[1])
        ) as here,
        network("owner-0", addresses=addresses, wire_format=theirs) as dialling,
        network("owner-1", addresses=addresses, wire_format=ours) as alike,
    ):
        await here.listen("node-0", Listener().accept)
        with pytest.raises(Refused) as caught:
            await dial(dialling)
        said = f"owner-0 speaks format {theirs}, this side format {ours}: run the same asyncagg on both"
        assert str(caught.value) == f"refused by node-0: wrong-version: {said}"
        assert refused == [f"wrong-version: {said}"]
        await alike.dial("owner-1", "node-0", Recorder(), now_ns() + SECOND)


async def test_a_name_that_another_process_has_is_refused() -> None:
    addresses = somewhere()
    async with (
        network("node-0", addresses=addresses) as listening,
        network("owner-0", addresses=addresses) as first,
        network("owner-0", addresses=addresses, options=TcpOptions(keepalive_ns=20 * MILLISECOND)) as second,
    ):
        listener = Listener()
        await listening.listen("node-0", listener.accept)
        await dial(first)
        with pytest.raises(Refused, match="owner-0 is already connected"):
            await dial(second)
        assert listener.recorder.ends == []


async def test_a_dial_given_up_while_the_listener_thinks_is_taken_back() -> None:
    heard: list[Frame] = []

    async def serve(peer: RawPeer) -> None:
        await peer.hear()
        peer.say(WELCOME, GOOD_WELCOME, "node-0", "owner-0")
        heard.extend([await peer.hear(), await peer.hear()])
        peer.write(pack_frame(Frame("node-0", "owner-0", OPENED, heard[0].body)))
        assert await peer.is_closed()

    async with raw_listener(serve) as addresses, network("owner-0", addresses=addresses) as dialling:
        with pytest.raises(ConnectFailed, match="no answer"):
            await dial(dialling, seconds=0.1)
    assert [frame.kind for frame in heard] == [OPEN, BYE]
    assert heard[1].body == pack_reason(1, reason="gave up dialling")


async def test_a_connection_lost_while_dialling_is_tried_again() -> None:
    attempts = []

    async def serve(peer: RawPeer) -> None:
        attempts.append(peer)
        if len(attempts) > 2:
            await let_in(peer)
            await for_ever(peer)
        await peer.hear()  # then the connection ends

    async with raw_listener(serve) as addresses:
        options = TcpOptions(linger_ns=10 * MILLISECOND)
        async with network("owner-0", addresses=addresses, options=options) as dialling:
            await dial(dialling)
    assert len(attempts) == 3


# --- one connection for many


async def test_the_players_of_a_process_share_one_connection() -> None:
    addresses = somewhere()
    hellos: list[Hello] = []

    def admit(hello: Hello, transport: asyncio.BaseTransport) -> None:
        hellos.append(hello)

    owners = [f"owner-{n}" for n in range(50)]
    async with (
        network("node-0", addresses=addresses, admit=admit) as listening,
        network(*owners, addresses=addresses) as dialling,
    ):
        listener = Listener()
        await listening.listen("node-0", listener.accept)
        channels = await asyncio.gather(*(dialling.dial(owner, "node-0", Recorder()) for owner in owners))
        assert [list(hello.players) for hello in hellos] == [owners]
        for channel in channels[:-1]:
            channel.close()
        channels[-1].send("note")
        await listener.recorder.has(frames=1, ends=49)
        channels[-1].close()
        await dialling.dial("owner-3", "node-0", Recorder())
        assert len(hellos) == 2  # the last to close closed the connection


async def test_one_network_may_hold_both_ends() -> None:
    addresses: Addresses = {"node-0": ("127.0.0.1", 0), "node-1": ("127.0.0.1", 0)}
    async with network("node-0", "node-1", "owner-0", addresses=addresses) as both:
        nodes = [Listener(), Listener()]
        for index, node in enumerate(nodes):
            await both.listen(f"node-{index}", node.accept)
        (await both.dial("owner-0", "node-0", Recorder())).send("note")
        (await both.dial("node-1", "node-0", Recorder())).send("note")
        (await both.dial("owner-0", "node-1", Recorder())).send("note")
        await nodes[0].recorder.has(frames=2)
        await nodes[1].recorder.has(frames=1)


# --- signs of life


async def test_a_quiet_connection_stays() -> None:
    pings = []
    enough = asyncio.Event()

    async def serve(peer: RawPeer) -> None:
        await let_in(peer)
        for _ in range(10):
            pings.append((await peer.hear()).kind)
            peer.say(PING, None, "node-0", "owner-0")
        enough.set()
        await for_ever(peer)

    recorder = Recorder()
    options = TcpOptions(keepalive_ns=10 * MILLISECOND, linger_ns=10 * MILLISECOND)
    async with (
        raw_listener(serve) as addresses,
        network("owner-0", addresses=addresses, options=options) as dialling,
    ):
        channel = await dial(dialling, recorder)
        await enough.wait()
        assert recorder.ends == []
        assert channel.sent == 0
    assert pings == [PING] * 10


async def test_two_quiet_ends_keep_each_other_alive() -> None:
    async with tcp_world(options=TcpOptions(keepalive_ns=20 * MILLISECOND)) as world:
        node = await world.listen("node-0")
        channel, owner = await world.dial("owner-0", "node-0")
        await asyncio.sleep(0.2)  # more than three intervals
        channel.send("note")
        await node.recorder.has(frames=1)
        assert owner.ends == node.recorder.ends == []


async def test_a_silent_peer_is_cut() -> None:
    addresses = somewhere()
    options = TcpOptions(keepalive_ns=20 * MILLISECOND)
    async with network("node-0", addresses=addresses, options=options) as listening:
        listener = Listener()
        await listening.listen("node-0", listener.accept)
        async with raw_peer(addresses["node-0"]) as peer:
            await peer.join()
            await listener.recorder.has(ends=1)
            assert listener.recorder.ends == [("owner-0", "silent for 0.06 s")]


async def test_a_peer_that_takes_nothing_is_cut_and_the_others_are_not() -> None:
    addresses = somewhere()
    options = TcpOptions(stall_ns=50 * MILLISECOND)
    async with (
        network("node-0", addresses=addresses, options=options) as listening,
        network("owner-1", addresses=addresses) as dialling,
    ):
        listener = Listener()
        await listening.listen("node-0", listener.accept)
        honest = Recorder()
        await dialling.dial("owner-1", "node-0", honest)
        async with raw_peer(addresses["node-0"]) as peer:
            await peer.join()
            peer.writer.transport.pause_reading()
            payload = bytes(8 * MIB)
            for _ in range(8):
                listener.channels["owner-0"].send("vector", b"", payload)
                listener.channels["owner-1"].send("vector", b"", payload)
            await listener.recorder.has(ends=1)
            assert listener.recorder.ends == [("owner-0", "stalled: took nothing for 0.05 s")]
        await honest.has(frames=8)


async def test_what_waits_is_held_by_reference() -> None:
    async def serve(peer: RawPeer) -> None:
        await let_in(peer)
        peer.writer.transport.pause_reading()
        await for_ever(peer)

    async with raw_listener(serve) as addresses:
        dialling = TcpNetwork(["owner-0"], RUN, LIMITS, addresses)
        channel = await dial(dialling)
        payload = bytes(8 * MIB)
        tracemalloc.start()
        try:
            for _ in range(100):
                channel.send("vector", b"", payload)
            await asyncio.sleep(0.01)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 2 * MIB
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await dialling.close()


# --- memory


async def test_payload_memory_given_back_is_received_into_again() -> None:
    class Releasing(Recorder):
        seen: tuple[int, ...] = ()

        def deliver(self, frame: Frame) -> None:
            self.seen += (np.frombuffer(frame.payload, np.uint8).ctypes.data,)
            release(frame.payload)
            super().deliver(frame)

    async with tcp_world() as world:
        sink = Releasing()
        await world.listening.listen("node-0", lambda channel: sink)
        channel, _ = await world.dial("owner-0", "node-0")
        for _ in range(5):
            channel.send("vector", b"", bytes(MIB))
        await sink.has(frames=5)
        assert sink.seen == sink.seen[:1] * 5


# --- the end


async def test_a_reset_is_told_as_such() -> None:
    async def serve(peer: RawPeer) -> None:
        await let_in(peer)
        option = (1).to_bytes(4, "little") + bytes(4)  # linger 0: close with a reset
        peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)

    recorder = Recorder()
    async with raw_listener(serve) as addresses, network("owner-0", addresses=addresses) as dialling:
        channel = await dial(dialling, recorder)
        await recorder.has(ends=1)
        assert recorder.ends == [("node-0", "connection reset")]
        assert channel.send("note") == 0


async def test_closing_tells_all_the_players_of_the_other_side() -> None:
    async with tcp_world() as world:
        node = await world.listen("node-0")
        owners = [(await world.dial(f"owner-{n}", "node-0"))[1] for n in range(3)]
        await world.listening.close()
        for owner in owners:
            await owner.has(ends=1)
            assert owner.ends == [("node-0", "closed: the network is closed")]
        assert node.recorder.ends == []


async def test_closing_twice_is_closing_once() -> None:
    async with tcp_world() as world:
        await world.listen("node-0")
        await world.dial("owner-0", "node-0")
        await world.dialling.close()
        await world.dialling.close()


async def test_closing_does_not_wait_for_ever_for_the_other_side() -> None:
    async def serve(peer: RawPeer) -> None:
        await let_in(peer)
        await for_ever(peer)

    options = TcpOptions(linger_ns=20 * MILLISECOND)
    async with (
        raw_listener(serve) as addresses,
        network("owner-0", addresses=addresses, options=options) as dialling,
    ):
        await dial(dialling)
        async with asyncio.timeout(5):
            await dialling.close()


async def test_cancelled_closing_cuts_what_is_open() -> None:
    reached = asyncio.Event()

    async def serve(peer: RawPeer) -> None:
        await let_in(peer)
        while (await peer.hear()).kind != BYE:
            pass
        assert await peer.is_closed()
        reached.set()
        await for_ever(peer)

    async with raw_listener(serve) as addresses:
        dialling = TcpNetwork(["owner-0"], RUN, LIMITS, addresses)
        await dial(dialling)
        closing = asyncio.create_task(dialling.close())
        await reached.wait()
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing


async def test_nothing_is_left_behind() -> None:
    """Whatever connections are doing when networks close, no socket is left to the garbage collector."""
    addresses = somewhere()
    async with network("node-0", addresses=addresses) as listening:
        await listening.listen("node-0", Listener().accept)
        dialling = [TcpNetwork(["owner-0"], run, LIMITS, addresses) for run in (RUN, b"other")]
        attempts = [asyncio.create_task(dial(each)) for each in dialling]
        strangers = [socket.create_connection(addresses["node-0"]) for _ in range(3)]
        await asyncio.sleep(0)
        for each in dialling:
            await each.close()
        for attempt in attempts:
            with pytest.raises(PeerError, match=r"the network is closed|wrong-run"):
                await attempt
    for stranger in strangers:
        stranger.close()
    gc.collect()


async def test_a_sink_that_fails_is_our_mistake_and_is_heard_of() -> None:
    class Failing(Recorder):
        def deliver(self, frame: Frame) -> None:
            raise ZeroDivisionError

    handled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: handled.append(context))
    async with tcp_world() as world:
        sink = Failing()
        await world.listening.listen("node-0", lambda channel: sink)
        channel, owner = await world.dial("owner-0", "node-0")
        channel.send("note")
        await sink.has(ends=1)
        await owner.has(ends=1)
    assert isinstance(handled[0]["exception"], ZeroDivisionError)
    assert sink.ends == [("owner-0", "connection lost: ZeroDivisionError here")]
