"""What one peer may have of a listener, and who comes back: lost on one side, ended at once, given up, too often."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import pytest
from support.channels import LIMITS, MIB, RUN, SECOND, Listener, Recorder, tcp_world
from support.raw_peer import RawPeer, raw_peer

from asyncagg.engines.watch.interface import Observer
from asyncagg.engines.watch.presence import PresenceNetwork
from asyncagg.net.channel import Channel, Network
from asyncagg.net.clock import now_ns
from asyncagg.net.errors import ConnectFailed, NetError, Refusal, Refused
from asyncagg.net.frames import Everyone, Frame, FrameRules, pack_frame
from asyncagg.net.links.latency import Constant
from asyncagg.net.links.model import Link
from asyncagg.net.links.network import LinkedNetwork
from asyncagg.net.options import TcpOptions
from asyncagg.net.tcp.decoder import Decoder
from asyncagg.net.tcp.dialler import Dialler
from asyncagg.net.tcp.hello import BYE, HELLO, OPEN, OPENED, PING, REFUSE, WELCOME, pack
from asyncagg.net.tcp.network import Addresses, TcpNetwork
from asyncagg.net.tcp.outbound import Failure, Occupied
from asyncagg.net.tcp.session import NetworkState

on_both_loops = pytest.mark.asyncio(loop_factories=["real", "uvloop"])
pytestmark = pytest.mark.timeout(20)

MILLISECOND = SECOND // 1000
GOOD_WELCOME = {"run": RUN, "facts": {}}


@asynccontextmanager
async def node(**options: int) -> AsyncIterator[tuple[TcpNetwork, Addresses, Listener]]:
    addresses: Addresses = {"node-0": ("127.0.0.1", 0)}
    network = TcpNetwork(["node-0"], RUN, LIMITS, addresses, options=TcpOptions(**options))
    listener = Listener()
    await network.listen("node-0", listener.accept)
    try:
        yield network, addresses, listener
    finally:
        await network.close()


@asynccontextmanager
async def owner(addresses: Addresses, name: str = "owner-0", **options: int) -> AsyncIterator[TcpNetwork]:
    network = TcpNetwork([name], RUN, LIMITS, addresses, options=TcpOptions(**options))
    try:
        yield network
    finally:
        await network.close()


async def dial(network: Network, sink: Any = None, name: str = "owner-0", seconds: float = 10) -> Channel:
    return await network.dial(name, "node-0", sink or Recorder(), now_ns() + round(seconds * SECOND))


@asynccontextmanager
async def served(serve: Callable[[RawPeer], Any]) -> AsyncIterator[Addresses]:
    """A listener by hand: `serve` is awaited with each connection, which ends with it."""
    tasks: list[asyncio.Task[None]] = []

    async def handle(peer: RawPeer) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await serve(peer)
        finally:
            peer.writer.transport.abort()

    server = await asyncio.start_server(
        lambda *ends: tasks.append(asyncio.create_task(handle(RawPeer(*ends)))), "127.0.0.1", 0
    )
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


# --- what one player may have


@on_both_loops
async def test_one_player_cannot_have_all_the_connections() -> None:
    async with node(max_connections=3) as (_, addresses, listener), contextlib.AsyncExitStack() as peers:
        inside = [await peers.enter_async_context(raw_peer(addresses["node-0"])) for _ in range(3)]
        for peer in inside:
            peer.hello()
            assert (await peer.hear()).kind == WELCOME
        for peer in inside[:2]:
            assert await peer.is_closed()
        async with owner(addresses, "honest") as honest:
            await dial(honest, name="honest")
        assert list(listener.channels) == ["honest"]


@on_both_loops
async def test_a_connection_that_is_in_use_does_not_go_for_a_newer_one_of_its_player() -> None:
    async with node() as (_, addresses, listener), raw_peer(addresses["node-0"]) as first:
        await first.join()
        async with raw_peer(addresses["node-0"]) as second:
            second.hello()
            assert (await second.hear()).kind == WELCOME
            first.say("note", "still here")
            await listener.recorder.has(frames=1)
            assert listener.recorder.ends == []


def header(kind: str, payload: int) -> bytes:
    """The first bytes of a frame of `owner-0` with so large a payload."""
    return pack_frame(Frame("owner-0", "node-0", kind, b"", bytes(payload)))[:1000]


@on_both_loops
async def test_large_frames_of_a_player_without_a_channel_are_refused_and_take_no_memory() -> None:
    async with node() as (_, addresses, listener), raw_peer(addresses["node-0"]) as peer:
        peer.hello()
        await peer.hear()
        start = header("vector", 8 * MIB)
        tracemalloc.start()
        try:
            peer.write(start)
            reason = await peer.hear_reason()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert reason == "unknown-sender: owner-0 has opened no channel on this connection"
        assert peak < MIB
        assert listener.channels == {}


@on_both_loops
async def test_a_large_frame_on_its_way_to_a_channel_that_was_closed_takes_no_memory_and_is_no_offence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[int] = []
    monkeypatch.setattr(
        "asyncagg.net.tcp.buffers.BufferPool.take", lambda pool, size: taken.append(size) or bytearray(size)
    )
    async with node() as (network, addresses, listener), raw_peer(addresses["node-0"]) as peer:
        await peer.join()
        listener.channels["owner-0"].close("enough")
        assert (await peer.hear()).kind == BYE
        peer.write(pack_frame(Frame("owner-0", "node-0", "vector", b"", bytes(8 * MIB))))
        peer.say(OPEN, [7])
        peer.say("note", "after")
        assert (await peer.hear()).kind == OPENED
        await listener.recorder.has(frames=1)
        assert listener.recorder.bodies == [msgpack.packb("after")]
        assert network.refusals == {}
        assert taken == []


@pytest.mark.parametrize("piece", [1000, 65_535, 1 << 20])
def test_what_nobody_wants_is_skipped_without_memory_to_the_byte(piece: int) -> None:
    def no_memory(size: int) -> memoryview:
        raise AssertionError(size)

    decoder = Decoder(FrameRules(LIMITS, Everyone(), Everyone()), no_memory)
    decoder.wants = lambda header: header.sender != "unwanted"
    kept = Frame("owner-0", "node-0", "note", b"kept")
    data = pack_frame(kept)
    for size in (65_536, 65_537, 300_000):
        data += pack_frame(Frame("unwanted", "node-0", "vector", b"x", bytes(size))) + pack_frame(kept)
    data += pack_frame(Frame("unwanted", "node-0", "roster", bytes(150_000))) + pack_frame(kept)
    frames: list[Frame] = []
    while data:
        room = decoder.get_buffer()
        count = min(len(room), piece, len(data))
        room[:count], data = data[:count], data[count:]
        frames.extend(decoder.buffer_updated(count))
    assert frames == [kept] * 5
    assert not decoder.inside_frame


def test_the_end_of_a_stream_inside_what_is_skipped_is_inside_a_frame() -> None:
    decoder = Decoder(FrameRules(LIMITS, Everyone(), Everyone()), lambda size: memoryview(bytearray(size)))
    decoder.wants = lambda header: False
    start = header("vector", MIB)
    decoder.get_buffer()[: len(start)] = start
    assert list(decoder.buffer_updated(len(start))) == []
    assert decoder.inside_frame


@on_both_loops
async def test_who_opens_channels_without_end_is_refused_and_nobody_else() -> None:
    async with node(opening_burst=3, openings_per_second=1) as (network, addresses, listener):
        async with raw_peer(addresses["node-0"]) as peer, owner(addresses, "honest") as honest:
            await dial(honest, name="honest")
            peer.hello()
            await peer.hear()
            for number in range(1000):
                peer.say(OPEN, [number])
                peer.say(BYE, [number, ""])
            assert [(await peer.hear()).kind for _ in range(3)] == [OPENED] * 3
            reason = await peer.hear_reason()
            assert reason == "too-fast: owner-0 opens more channels than 3 at once and 1 a second"
            await listener.recorder.has(ends=3)
            assert {name for name, _ in listener.recorder.ends} == {"owner-0"}
            assert network.refusals == {Refusal.TOO_FAST: 1}
        async with raw_peer(addresses["node-0"]) as again:  # over whichever connection
            again.hello()
            assert await again.hear_reason() == "excluded: owner-0 was refused before, and may come back later"


# --- refused


@on_both_loops
async def test_a_refusal_of_one_player_ends_no_connection_that_carries_others() -> None:
    async with node() as (network, addresses, listener), raw_peer(addresses["node-0"]) as peer:
        await peer.join(["owner-0", "owner-1"])
        listener.channels["owner-0"].refuse("lies")
        frame = await peer.hear()
        assert (frame.kind, msgpack.unpackb(frame.body)) == (BYE, [0, "refused: bad-message: lies"])
        peer.say(OPEN, [7], sender="owner-0")
        frame = await peer.hear()
        assert frame.kind == BYE
        assert msgpack.unpackb(frame.body) == [7, "excluded: owner-0 was refused before, and may come back later"]
        peer.say("note", "still here", sender="owner-1")
        await listener.recorder.has(frames=1)
        assert network.refusals == {Refusal.BAD_MESSAGE: 1, Refusal.EXCLUDED: 1}


@on_both_loops
async def test_a_connection_that_carries_one_player_alone_ends_with_it_and_no_other_comes() -> None:
    async with node() as (network, addresses, listener):
        async with raw_peer(addresses["node-0"]) as peer:
            await peer.join()
            listener.channels["owner-0"].refuse("lies")
            assert await peer.hear_reason() == "bad-message: lies"
        async with raw_peer(addresses["node-0"]) as again:
            again.hello()
            assert await again.hear_reason() == "excluded: owner-0 was refused before, and may come back later"
        async with raw_peer(addresses["node-0"]) as fleet:  # of whom some may come
            fleet.hello(players=["owner-0", "owner-1"])
            assert (await fleet.hear()).kind == WELCOME
        assert network.refusals == {Refusal.BAD_MESSAGE: 1, Refusal.EXCLUDED: 1}


@on_both_loops
@pytest.mark.parametrize("what", ["small", "large", "ping", "bye"])
async def test_frames_without_effect_end_the_connection_when_they_are_too_many(what: str) -> None:
    async with node(unasked_burst=5, unasked_per_second=1) as (network, addresses, listener):
        async with raw_peer(addresses["node-0"]) as peer:
            await peer.join(["owner-0", "owner-1"])
            listener.channels["owner-0"].refuse("lies")
            await peer.hear()
            for _ in range(5):
                without_effect(peer, what)
            peer.say("note", sender="owner-1")
            await listener.recorder.has(frames=1)
            without_effect(peer, what)
            reason = "too-fast: owner-0 sends more that nobody waits for than 5 at once and 1 a second"
            assert await peer.hear_reason() == reason
        assert network.refusals == {Refusal.BAD_MESSAGE: 1, Refusal.TOO_FAST: 1}


def without_effect(peer: RawPeer, what: str) -> None:
    match what:
        case "small":
            peer.say("note")
        case "large":
            peer.write(pack_frame(Frame("owner-0", "node-0", "vector", b"", bytes(100_000))))
        case "ping":
            peer.say(PING)
        case "bye":
            peer.say(BYE, [99, ""])


@on_both_loops
async def test_how_much_goes_without_effect_is_remembered_over_connections() -> None:
    async with node(unasked_burst=5, unasked_per_second=1) as (_, addresses, _):
        heard = []
        for _ in range(2):
            async with raw_peer(addresses["node-0"]) as peer:
                peer.hello()
                assert (await peer.hear()).kind == WELCOME
                for _ in range(3):
                    peer.say(PING)
                peer.writer.write_eof()
                heard.append(await peer.reader.read())
        assert heard[0] == b""
        assert b"too-fast: owner-0 sends more that nobody waits for" in heard[1]


# --- lost on one side


class Middlebox:
    """Stands between an owner and the node, and can lose the owner's side of what goes through it."""

    def __init__(self, inner: tuple[str, int], resets: bool) -> None:
        self._inner = inner
        self._resets = resets  # the node's side too, as soon as the node says something
        self._lost = False
        self._pairs: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> tuple[Middlebox, Addresses]:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        return self, {"node-0": self._server.sockets[0].getsockname()[:2]}

    async def __aexit__(self, *args: object) -> None:
        self._server.close()
        for pair in self._pairs:
            for writer in pair:
                writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def lose(self) -> None:
        """Reset the owner's side."""
        ours, _ = self._pairs[0]
        self._lost = True
        ours.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_connection(*self._inner)
        first = not self._pairs
        self._pairs.append((writer, their_writer))
        self._tasks.append(asyncio.create_task(self._copy(reader, their_writer, first)))
        self._tasks.append(asyncio.create_task(self._copy(their_reader, writer, first)))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bool) -> None:
        ends = self._pairs[0]
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                if first and self._lost and self._resets:
                    ends[1].transport.abort()
                if not (first and self._lost):
                    writer.write(data)
        if not (first and self._lost):
            writer.transport.abort()


@on_both_loops
@pytest.mark.parametrize("resets", [True, False], ids=["reset when it speaks", "silent"])
async def test_a_player_whose_connection_was_lost_on_its_side_alone_comes_back(resets: bool) -> None:
    keepalive_ns = (10_000 if resets else 100) * MILLISECOND
    async with (
        node(keepalive_ns=keepalive_ns) as (network, addresses, listener),
        Middlebox(addresses["node-0"], resets) as (middlebox, outside),
        owner(outside, keepalive_ns=keepalive_ns) as dialling,
    ):
        lost = Recorder()
        await dial(dialling, lost)
        middlebox.lose()
        await lost.has(ends=1)
        assert listener.recorder.ends == []
        (await dial(dialling, seconds=5)).send("note", b"back")
        await listener.recorder.has(frames=1, ends=1)
        reasons = r"connection (reset|lost)" if resets else r"replaced by a newer connection|silent for 0\.3 s"
        assert re.fullmatch(reasons, listener.recorder.ends[0][1])
        assert network.refusals[Refusal.ALREADY_CONNECTED] >= 1


@on_both_loops
async def test_a_player_comes_back_while_what_it_sent_before_is_on_its_way() -> None:
    async with tcp_world() as world:
        listener = await world.listen("node-0")
        channel, _ = await world.dial("owner-0", "node-0")
        for _ in range(12):
            channel.send("vector", b"", bytes(8 * MIB))
        channel.close("and back")
        again, _ = await world.dial("owner-0", "node-0")
        again.send("note", b"back")
        await listener.recorder.has(frames=13, ends=1)
        assert listener.recorder.ends == [("owner-0", "closed: and back")]
        assert listener.recorder.bodies[-1] == b"back"


@on_both_loops
@pytest.mark.parametrize(("keepalive", "seconds"), [(50 * MILLISECOND, 10), (10 * SECOND, 0.15)])
async def test_the_second_of_a_name_is_refused_when_the_first_has_had_time_to_be_missed(
    keepalive: int, seconds: float
) -> None:
    async with node() as (_, addresses, listener), owner(addresses) as first:
        await dial(first)
        async with owner(addresses, keepalive_ns=keepalive) as second:
            began_ns = now_ns()
            with pytest.raises(Refused, match=r"^refused by node-0: owner-0 is already connected$"):
                await dial(second, seconds=seconds)
            assert 150 * MILLISECOND <= now_ns() - began_ns < 5 * SECOND
        assert listener.recorder.ends == []


async def test_another_trouble_in_between_gives_a_lost_connection_new_time_to_be_missed() -> None:
    """In virtual time: 3 s of patience with "already connected", spent once, then a host that is away for a minute."""
    state = NetworkState(("owner-0",), RUN, LIMITS, TcpOptions(keepalive_ns=SECOND))
    began_ns = now_ns()

    async def attempt() -> Failure | None:
        passed_ns = now_ns() - began_ns
        if passed_ns < 2 * SECOND or 62 * SECOND < passed_ns < 64 * SECOND:
            return Occupied("node-0", "owner-0 is already connected")
        return "connection refused" if passed_ns <= 62 * SECOND else None

    await Dialler(state, {}, None)._insist("node-0", attempt, None)
    assert 64 * SECOND <= now_ns() - began_ns < 66 * SECOND


# --- ended at once


class Watching(Observer):
    """Writes down what an observer is told."""

    def __init__(self, seen: list[str]) -> None:
        self.seen = seen

    def joined(self, local: str, remote: str) -> None:
        self.seen.append("joined")

    def gone(self, local: str, remote: str, reason: str) -> None:
        self.seen.append("gone")


class Told(Recorder):
    """Writes down when it is told of the end."""

    def __init__(self, seen: list[str]) -> None:
        super().__init__()
        self.seen = seen

    def gone(self, peer: str, reason: str) -> None:
        self.seen.append("told")
        super().gone(peer, reason)


@on_both_loops
@pytest.mark.parametrize("around", ["plain", "linked"])
@pytest.mark.parametrize("end", ["bye", "refuse", "garbage", "eof"])
async def test_a_channel_that_ends_as_it_opens_is_there_before_it_is_gone(end: str, around: str) -> None:
    endings = {
        "bye": pack_frame(Frame("node-0", "owner-0", BYE, pack([1, "not today"]))),
        "refuse": pack_frame(Frame("node-0", "owner-0", REFUSE, pack(["no"]))),
        "garbage": b"garbage",
        "eof": b"\xa6",
    }

    async def serve(peer: RawPeer) -> None:
        await peer.hear()
        peer.say(WELCOME, GOOD_WELCOME, "node-0", "owner-0")
        opening = await peer.hear()
        opened = pack_frame(Frame("node-0", "owner-0", OPENED, opening.body))
        note = pack_frame(Frame("node-0", "owner-0", "note"))
        peer.write(opened + note + endings[end])
        if end == "eof":
            peer.writer.write_eof()
        await peer.is_closed()

    seen: list[str] = []
    told = Told(seen)
    async with served(serve) as addresses:
        inner: Network = TcpNetwork(["owner-0"], RUN, LIMITS, addresses, options=TcpOptions(linger_ns=MILLISECOND))
        if around == "linked":
            inner = LinkedNetwork(inner, lambda player: Link(Constant(MILLISECOND)), LIMITS, 0)
        network = PresenceNetwork(inner, Watching(seen))
        channel = await dial(network, told)
        seen.append("returned")
        await told.has(ends=1)
        assert seen == ["joined", "returned", "gone", "told"]
        assert channel.send("note") == 0
        await network.close()


@on_both_loops
async def test_who_closes_a_channel_that_has_just_ended_hears_nothing_of_it() -> None:
    async with tcp_world() as world:
        await world.listen("node-0", greet=lambda channel: channel.close("not today"))
        channel, recorder = await world.dial("owner-0", "node-0")
        channel.close()
        for _ in range(5):
            await asyncio.sleep(0)
        assert recorder.ends == []


# --- listening, and not


@on_both_loops
async def test_who_opens_its_channel_twice_is_refused_though_nobody_listens() -> None:
    async with node() as (network, addresses, listener), raw_peer(addresses["node-0"]) as peer:
        await peer.join()
        network.unlisten("node-0")
        peer.say(OPEN, [9])
        assert await peer.hear_reason() == "bad-control: owner-0 opened its channel twice"
        await network.listen("node-0", listener.accept)
        assert listener.recorder.ends == [("owner-0", "refused: bad-control: owner-0 opened its channel twice")]


@on_both_loops
async def test_who_was_refused_while_nobody_listened_has_no_channel_afterwards() -> None:
    async with (
        node() as (network, addresses, listener),
        raw_peer(addresses["node-0"]) as bad,
        raw_peer(addresses["node-0"]) as good,
    ):
        for peer, player in ((bad, "owner-0"), (good, "owner-1")):
            peer.say(HELLO, {"version": 0, "run": RUN, "players": [player], "facts": {}}, sender=player)
            assert (await peer.hear()).kind == WELCOME
        network.unlisten("node-0")
        bad.say(OPEN, [1])
        bad.say("vote")
        good.say(OPEN, [1], sender="owner-1")
        assert await bad.hear_reason() == "unknown-kind: 'vote' is not for owner-0 to say to node-0"
        await network.listen("node-0", listener.accept)
        assert (await good.hear()).kind == OPENED
        assert list(listener.channels) == ["owner-1"]


@on_both_loops
async def test_a_player_listens_once_however_often_it_is_told_to_at_the_same_time() -> None:
    network = TcpNetwork(["node-0"], RUN, LIMITS, {"node-0": ("localhost", 0)})
    listener = Listener()
    first = asyncio.create_task(network.listen("node-0", listener.accept))
    await asyncio.sleep(0)
    with pytest.raises(ValueError, match="listens already"):
        await network.listen("node-0", listener.accept)
    await first
    await network.close()


@on_both_loops
@pytest.mark.parametrize("ended", ["unlisten", "close"])
async def test_who_is_told_to_stop_while_it_is_about_to_listen_does_not(ended: str) -> None:
    addresses: Addresses = {"node-0": ("localhost", 0)}
    network = TcpNetwork(["node-0"], RUN, LIMITS, addresses)
    listening = asyncio.create_task(network.listen("node-0", Listener().accept))
    await asyncio.sleep(0)
    if ended == "close":
        await network.close()
    else:
        network.unlisten("node-0")
    with pytest.raises(NetError, match="the network is closed" if ended == "close" else "is to listen no more"):
        await listening
    assert addresses == {"node-0": ("localhost", 0)}
    if ended == "unlisten":
        await network.listen("node-0", Listener().accept)
        assert addresses["node-0"][1] > 0
    await network.close()


# --- attempts


@on_both_loops
async def test_a_name_whose_first_address_is_silent_is_reached_at_its_second(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        assert host == "node.example"
        return ["127.0.0.1", "127.0.0.2"]

    monkeypatch.setattr("asyncagg.net.tcp.dialler._resolve", resolve)
    addresses: Addresses = {"node-0": ("127.0.0.2", 0)}
    listening = TcpNetwork(["node-0"], RUN, LIMITS, addresses)
    listener = Listener()
    await listening.listen("node-0", listener.accept)
    port = addresses["node-0"][1]
    with socket.create_server(("127.0.0.1", port)):
        async with owner({"node-0": ("node.example", port)}, hello_ns=SECOND) as dialling:
            await dial(dialling, seconds=0.9)
    assert list(listener.channels) == ["owner-0"]
    await listening.close()


@on_both_loops
async def test_a_connection_that_nobody_waits_for_any_more_is_closed() -> None:
    gave_up, closed = asyncio.Event(), asyncio.Event()

    async def serve(peer: RawPeer) -> None:
        await peer.hear()
        await gave_up.wait()
        peer.say(WELCOME, GOOD_WELCOME, "node-0", "owner-0")
        assert await peer.is_closed()
        closed.set()

    async with served(serve) as addresses, owner(addresses, hello_ns=SECOND // 4) as dialling:
        with pytest.raises(ConnectFailed, match="no answer"):
            await dial(dialling, seconds=0.05)
        gave_up.set()
        async with asyncio.timeout(5):
            await closed.wait()
