"""What strangers and bad peers do to a TCP listener: each is refused by name, and disturbs nobody else."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgpack
import pytest
from support.channels import LIMITS, MIB, RUN, SECOND, Listener, Recorder
from support.raw_peer import raw_peer

from asyncagg.net.errors import Refusal
from asyncagg.net.frames import MAGIC, Frame, pack_frame
from asyncagg.net.options import TcpOptions
from asyncagg.net.tcp.hello import BYE, HELLO, OPEN, OPENED, PING, REFUSE, WELCOME, Hello
from asyncagg.net.tcp.network import Addresses, TcpNetwork

pytestmark = [pytest.mark.asyncio(loop_factories=["real", "uvloop"]), pytest.mark.timeout(20)]


@dataclass
class Node:
    """`node-0`, listening, with an honest owner connected that must notice nothing."""

    addresses: Addresses
    options: TcpOptions
    listener: Listener = field(default_factory=Listener)
    refusals: list[str] = field(default_factory=list)
    refusal: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, address: str, reason: str) -> None:
        self.refusals.append(f"{address} {reason}")
        self.refusal.set()

    def __post_init__(self) -> None:
        self.network = TcpNetwork(
            ["node-0"], RUN, LIMITS, self.addresses, options=self.options, admit=haunted, on_refusal=self.note
        )

    @property
    def address(self) -> tuple[str, int]:
        return self.addresses["node-0"]

    async def refused(self, code: Refusal, count: int = 1) -> None:
        """Return when so many refusals of this kind are counted; no others must be."""
        async with asyncio.timeout(10):
            while len(self.refusals) < count:
                self.refusal.clear()
                await self.refusal.wait()
        assert self.network.refusals == {code: count}
        assert len(self.refusals) == count
        assert all(refusal.startswith("127.0.0.1:") for refusal in self.refusals)


def haunted(hello: Hello, transport: asyncio.BaseTransport) -> str | None:
    """Admit no player who is a ghost."""
    return next((f"{player} is a ghost" for player in hello.players if "ghost" in player), None)


async def start(**options: int) -> tuple[Node, TcpNetwork]:
    """The node and the network of the honest owner."""
    addresses: Addresses = {"node-0": ("127.0.0.1", 0)}
    node = Node(addresses, TcpOptions(**options))
    await node.network.listen("node-0", node.listener.accept)
    return node, TcpNetwork(["honest"], RUN, LIMITS, addresses)


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """The node before and after something hostile: an honest channel must work on."""
    node, owners = await start()
    recorder = Recorder()
    channel = await owners.dial("honest", "node-0", recorder)
    yield node
    heard = len(node.listener.recorder.frames)
    channel.send("vector", b"", bytes(MIB))
    node.listener.channels["honest"].send("note")
    await node.listener.recorder.has(frames=heard + 1)
    await recorder.has(frames=1)
    assert recorder.ends == []
    await owners.close()
    await node.network.close()


# --- strangers


@pytest.mark.parametrize("data", [b"\x00", b"GET / HTTP/1.1\r\n\r\n", bytes(100_000), b"\x16\x04"])
async def test_garbage(node: Node, data: bytes) -> None:
    async with raw_peer(node.address) as peer:
        peer.write(data)
        await node.refused(Refusal.GARBAGE)
        assert node.refusals[0].endswith("garbage: does not begin like a frame")


async def test_an_oversized_header_is_refused_before_it_arrives(node: Node) -> None:
    async with raw_peer(node.address) as peer:
        peer.write(MAGIC + b"\xff\xff")
        assert await peer.hear_reason() == "bad-header: header of 65535 bytes, at most 1024"
        await node.refused(Refusal.BAD_HEADER)


async def test_a_stranger_may_say_nothing_but_hello(node: Node) -> None:
    async with raw_peer(node.address) as peer:
        peer.say("note")
        assert await peer.hear_reason() == "unknown-kind: 'note' is not for owner-0 to say to node-0"
        await node.refused(Refusal.UNKNOWN_KIND)


async def test_a_strangers_hello_is_bounded(node: Node) -> None:
    async with raw_peer(node.address) as peer:
        peer.write(pack_frame(Frame("owner-0", "node-0", HELLO, bytes(300_000)))[:100])
        assert (await peer.hear_reason()).startswith("too-large: !hello: body of 300000 bytes")
        await node.refused(Refusal.TOO_LARGE)


async def test_a_frame_cut_short(node: Node) -> None:
    async with raw_peer(node.address) as peer:
        peer.write(pack_frame(Frame("owner-0", "node-0", HELLO, b"1234"))[:-1])
        peer.writer.write_eof()
        assert await peer.is_closed()
        await node.refused(Refusal.TRUNCATED)


async def test_coming_and_going_is_no_offence(node: Node) -> None:
    for _ in range(3):
        async with raw_peer(node.address) as peer:
            peer.writer.write_eof()
            assert await peer.is_closed()
    assert node.network.refusals == {}


GOOD = {"version": 0, "run": RUN, "players": ["owner-0"], "facts": {}}


@pytest.mark.parametrize(
    ("hello", "reason"),
    [
        (
            GOOD | {"version": 2},
            "wrong-version: owner-0 speaks format 2, this side format 0: run the same asyncagg on both",
        ),
        (
            GOOD | {"version": 2, "players": 7},
            "wrong-version: owner-0 speaks format 2, this side format 0: run the same asyncagg on both",
        ),
        (GOOD | {"version": "1"}, "bad-hello: no map with a version"),
        (GOOD | {"run": b"another"}, "wrong-run: the hello is for another run"),
        (GOOD | {"run": None}, "wrong-run: the run is not told here"),
        (GOOD | {"run": b""}, "wrong-run: the run is not told here"),
        (GOOD | {"run": [RUN]}, "wrong-run: the hello is for another run"),
        (GOOD | {"players": []}, "bad-hello: 0 players, must be 1 to 1024"),
        (GOOD | {"players": [f"p{n}" for n in range(1025)]}, "bad-hello: 1025 players, must be 1 to 1024"),
        (GOOD | {"players": ["owner-0", "owner-0"]}, "bad-hello: a player is named twice"),
        (GOOD | {"players": ["owner-0", "two words"]}, "bad-hello: a player's name is not well-formed"),
        (GOOD | {"players": ["owner-0", 7]}, "bad-hello: a player's name is not well-formed"),
        (GOOD | {"players": "owner-0"}, "bad-hello: players must be a list"),
        (GOOD | {"facts": None}, "bad-hello: facts must be a map"),
        (GOOD | {"facts": {"a\nb": 7}}, "bad-hello: a fact's name must be printable text"),
        (GOOD | {"facts": {"x": True}}, "bad-hello: x must be printable text, an integer or bytes"),
        (GOOD | {"facts": {"x": [1]}}, "bad-hello: x must be printable text, an integer or bytes"),
        (GOOD | {"facts": {"x": "\x1b[31m"}}, "bad-hello: x must be printable text, an integer or bytes"),
        (GOOD | {"facts": {"x": bytes(4100)}}, "bad-hello: facts of 4106 bytes, at most 4096"),
        (GOOD | {"players": ["owner-1"]}, "bad-hello: must carry owner-0 and not node-0"),
        (GOOD | {"players": ["owner-0", "node-0"]}, "bad-hello: must carry owner-0 and not node-0"),
        (GOOD | {"players": ["owner-0", "ghost-1"]}, "not-admitted: ghost-1 is a ghost"),
        ([1, RUN], "bad-hello: no map with a version"),
        (None, "bad-hello: the body is not msgpack"),
    ],
)
async def test_a_bad_hello(node: Node, hello: Any, reason: str) -> None:
    async with raw_peer(node.address) as peer:
        peer.say(HELLO, hello)
        assert await peer.hear_reason() == reason
        await node.refused(Refusal(reason.split(":")[0]))


async def test_a_hello_for_somebody_else(node: Node) -> None:
    async with raw_peer(node.address) as peer:
        peer.say(HELLO, GOOD, receiver="node-1")
        assert await peer.hear_reason() == "unknown-receiver: 'node-1' is not reached here"
        await node.refused(Refusal.UNKNOWN_RECEIVER)


@pytest.mark.parametrize("body", [b"\xc1", b"\x82\x01", b"\xdf\xff\xff\xff\xff", b"\x81\x90\x01", b"\x91" * 4000])
async def test_a_hello_of_garbage(node: Node, body: bytes) -> None:
    async with raw_peer(node.address) as peer:
        peer.write(pack_frame(Frame("owner-0", "node-0", HELLO, body)))
        assert (await peer.hear_reason()).startswith("bad-hello")
        await node.refused(Refusal.BAD_HELLO)


async def test_a_thousand_players_fit_one_hello(node: Node) -> None:
    players = [f"{n:04}".ljust(64, "x") for n in range(1024)]
    facts = {"proof": bytes(4000)}
    async with raw_peer(node.address) as peer:
        peer.say(HELLO, GOOD | {"players": players, "facts": facts}, sender=players[5])
        assert (await peer.hear()).kind == WELCOME


# --- strangers who take their time


async def test_a_stranger_must_say_hello_in_time_however_slowly_it_drips() -> None:
    node, _ = await start(hello_ns=SECOND // 20)
    async with raw_peer(node.address) as silent, raw_peer(node.address) as slow:
        slow.write(pack_frame(Frame("owner-0", "node-0", HELLO, b"12345678"))[:5])
        assert await silent.hear_reason() == "no-hello: within 0.05 s"
        assert await slow.hear_reason() == "no-hello: within 0.05 s"
        await node.refused(Refusal.NO_HELLO, 2)
    await node.network.close()


async def test_idle_strangers_make_room_for_those_who_say_hello() -> None:
    node, owners = await start(max_waiting=3)
    async with raw_peer(node.address) as first, raw_peer(node.address), raw_peer(node.address):
        channel = await owners.dial("honest", "node-0", Recorder())
        assert await first.is_closed()  # without a word: it may come again
        await node.refused(Refusal.TOO_MANY_WAITING)
        channel.send("note")
        await node.listener.recorder.has(frames=1)
        await owners.close()
    await node.network.close()


async def test_a_crowd_of_idle_strangers_keeps_nobody_out() -> None:
    node, owners = await start(max_waiting=8)
    crowd = [await asyncio.open_connection(*node.address) for _ in range(200)]
    channel = await owners.dial("honest", "node-0", Recorder())
    channel.send("note")
    await node.listener.recorder.has(frames=1)
    for _, writer in crowd:
        writer.transport.abort()
    await owners.close()
    await node.network.close()


# --- peers that were let in


def bad_frames() -> dict[str, tuple[bytes, str]]:
    good = ("owner-0", "node-0", "note")
    return {
        "unknown kind": (
            pack_frame(Frame(*good[:2], "vote")),
            "unknown-kind: 'vote' is not for owner-0 to say to node-0",
        ),
        "second hello": (
            pack_frame(Frame(*good[:2], HELLO)),
            "unknown-kind: '!hello' is not a kind of frame here",
        ),
        "listener's word": (
            pack_frame(Frame(*good[:2], OPENED)),
            "unknown-kind: '!opened' is not a kind of frame",
        ),
        "large body": (
            pack_frame(Frame(*good, bytes(4097))),
            "too-large: note: body of 4097 bytes, at most 4096",
        ),
        "large payload": (
            pack_frame(Frame(*good[:2], "vector", b"", bytes(8 * MIB + 1)))[:1000],
            "too-large: vector: payload of 8388609 bytes, at most 8388608",
        ),
        "spoofed sender": (
            pack_frame(Frame("honest", "node-0", "note")),
            "unknown-sender: 'honest' does not speak on this connection",
        ),
        "other receiver": (
            pack_frame(Frame("owner-0", "node-1", "note")),
            "unknown-receiver: 'node-1' is not reached here",
        ),
        "garbage": (b"garbage", "garbage: does not begin like a frame"),
        "open twice": (
            pack_frame(Frame(*good[:2], OPEN, msgpack.packb([9]))),
            "bad-control: owner-0 opened its channel twice",
        ),
        "open what": (pack_frame(Frame(*good[:2], OPEN, b"\xc1")), "bad-control: the body is not msgpack"),
        "open wrongly": (pack_frame(Frame(*good[:2], OPEN, b"\x91\xa1x")), "bad-control: expected ['int']"),
        "bye wrongly": (
            pack_frame(Frame(*good[:2], BYE, b"\x91\x00")),
            "bad-control: expected ['int', 'str']",
        ),
        "long reason": (
            pack_frame(Frame(*good[:2], BYE, bytes(1025))),
            "too-large: !bye: body of 1025 bytes",
        ),
    }


@pytest.mark.parametrize("case", bad_frames())
async def test_a_bad_frame_ends_the_connection_of_its_sender(node: Node, case: str) -> None:
    data, reason = bad_frames()[case]
    async with raw_peer(node.address) as peer:
        await peer.join()
        peer.say("note", "before")
        peer.write(data)
        heard = await peer.hear_reason()
        assert heard.startswith(reason)
        await node.listener.recorder.has(frames=1, ends=1)
        assert node.listener.recorder.ends == [("owner-0", f"refused: {heard}")]
        await node.refused(Refusal(reason.split(":")[0]))


async def test_every_player_of_a_refused_connection_is_gone(node: Node) -> None:
    async with raw_peer(node.address) as peer:
        await peer.join(["owner-0", "owner-1", "owner-2"])
        peer.say("vote", sender="owner-1")
        await node.listener.recorder.has(ends=3)
        assert [name for name, _ in node.listener.recorder.ends] == ["owner-0", "owner-1", "owner-2"]
        assert len({reason for _, reason in node.listener.recorder.ends}) == 1


async def test_a_peer_that_goes_on_after_its_refusal_is_not_heard(node: Node) -> None:
    async with raw_peer(node.address) as peer:
        await peer.join()
        peer.say("vote")
        for _ in range(100):
            peer.say("note", "still talking")
        assert (await peer.hear()).kind == REFUSE
        assert await peer.is_closed()
        assert node.listener.recorder.frames == []


async def test_a_peer_that_floods_after_its_refusal_is_cut(monkeypatch: Any) -> None:
    monkeypatch.setattr("asyncagg.net.tcp.connection._DISCARD_AT_MOST", MIB)
    node, _ = await start(linger_ns=3600 * SECOND)
    async with raw_peer(node.address) as peer:
        await peer.join()
        peer.say("vote")
        peer.write(bytes(8 * MIB))
        assert (await peer.hear()).kind == REFUSE
        assert await peer.is_closed()
        await node.network.close()


async def test_an_oversized_payload_takes_no_memory(node: Node) -> None:
    async with raw_peer(node.address) as peer:
        await peer.join()
        tracemalloc.start()
        try:
            header = msgpack.packb(["owner-0", "node-0", "vector", 0, 1 << 30])
            peer.write(MAGIC + len(header).to_bytes(2, "big") + header + bytes(1000))
            assert await peer.hear_reason() == "too-large: vector: payload of 1073741824 bytes, at most 8388608"
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < MIB


async def test_a_frame_cut_short_by_a_peer_that_was_let_in(node: Node) -> None:
    async with raw_peer(node.address) as peer:
        await peer.join()
        peer.write(pack_frame(Frame("owner-0", "node-0", "vector", b"", bytes(5 * MIB)))[: 2 * MIB])
        peer.writer.write_eof()
        await node.listener.recorder.has(ends=1)
        assert node.listener.recorder.ends == [("owner-0", "connection lost inside a frame")]
        await node.refused(Refusal.TRUNCATED)


async def test_a_peer_that_vanishes(node: Node) -> None:
    async with raw_peer(node.address) as peer:
        await peer.join()
        peer.writer.write_eof()
        await node.listener.recorder.has(ends=1)
        assert node.listener.recorder.ends == [("owner-0", "connection lost")]
        assert node.network.refusals == {}


async def test_a_peer_that_finds_fault_with_us(node: Node) -> None:
    async with raw_peer(node.address) as peer:
        await peer.join()
        peer.say(REFUSE, ["too-large: \x1b[31mred"])
        await node.listener.recorder.has(ends=1)
        assert node.listener.recorder.ends == [("owner-0", "refused: too-large: ?[31mred")]
        assert await peer.is_closed()


async def test_frames_and_ends_of_no_channel_are_nothing(node: Node) -> None:
    async with raw_peer(node.address) as peer:
        peer.hello(players=["owner-0", "owner-1"])
        assert (await peer.hear()).kind == WELCOME
        peer.say("note", sender="owner-1")  # carried, and never opened
        peer.say(BYE, [0, "never opened"], sender="owner-1")
        peer.say(PING)
        peer.say(OPEN, [4])
        assert (await peer.hear()).kind == OPENED
        peer.say(BYE, [3, "an earlier channel"])
        peer.say("note", "heard")
        await node.listener.recorder.has(frames=1)
        assert node.listener.recorder.bodies == [msgpack.packb("heard")]
        assert node.listener.recorder.ends == []


# --- names that are taken


async def test_a_living_channel_is_not_replaced(node: Node) -> None:
    async with raw_peer(node.address) as first, raw_peer(node.address) as second:
        await first.join()
        second.hello()
        assert (await second.hear()).kind == WELCOME
        second.say(OPEN, [1])
        answer = await second.hear()
        assert (answer.kind, msgpack.unpackb(answer.body)) == (BYE, [1, "owner-0 is already connected"])
        await node.refused(Refusal.ALREADY_CONNECTED)
        first.say("note", "still here")
        await node.listener.recorder.has(frames=1)
        assert node.listener.recorder.ends == []


async def test_a_channel_that_missed_its_keepalive_is_replaced(node: Node, monkeypatch: Any) -> None:
    async with raw_peer(node.address) as first, raw_peer(node.address) as second:
        await first.join()
        monkeypatch.setattr("asyncagg.net.tcp.connection.Connection.is_doubtful", lambda connection: True)
        await second.join()
        await node.listener.recorder.has(ends=1)
        assert node.listener.recorder.ends == [("owner-0", "replaced by a newer connection")]
        assert await first.is_closed()
        node.listener.channels["owner-0"].send("note", b"to the second")
        assert (await second.hear()).body == b"to the second"
