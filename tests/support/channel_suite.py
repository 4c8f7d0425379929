"""What every network of channels must do: a test class inherits `ChannelSuite` and has a `world` fixture.

Players `node-0`, `node-1` listen; `owner-0`… dial.
"""

from __future__ import annotations

import asyncio
import random
import re
from typing import Any

import numpy as np
import pytest
from support.channels import MIB, Recorder, World

from asyncagg.net.channel import Channel
from asyncagg.net.errors import ConnectFailed, FrameError, NotNow, PeerError, Refusal, Refused
from asyncagg.net.frames import Frame, pack_frame

SIZES = [0, 1, 31, 127, 128, 255, 256, 32768, 32769, 65535, 65536, 65537, MIB, 8 * MIB - 1, 8 * MIB]


class ChannelSuite:
    # --- frames

    async def test_frames_arrive_whole_in_order_and_once(self, world: World) -> None:
        draw = random.Random("order")
        node = await world.listen("node-0")
        channel, owner = await world.dial("owner-0", "node-0")
        there = [(b"%d" % n, draw.randbytes(draw.choice([0, 3, 70_000, 700_000]))) for n in range(60)]
        for body, payload in there:
            channel.send("vector", body, payload)
            node.channels["owner-0"].send("note", body)
        await node.recorder.has(frames=60)
        await owner.has(frames=60)
        assert [(frame.body, bytes(frame.payload)) for frame in node.recorder.frames] == there
        assert owner.bodies == [body for body, _ in there]

    @pytest.mark.parametrize("size", SIZES)
    async def test_payloads_of_every_size_arrive_as_they_were(self, world: World, size: int) -> None:
        node = await world.listen("node-0")
        channel, _ = await world.dial("owner-0", "node-0")
        payload = random.Random(size).randbytes(size)
        channel.send("vector", b"", payload)
        channel.send("note", b"after")
        await node.recorder.has(frames=2)
        frame, after = node.recorder.frames
        assert frame == Frame("owner-0", "node-0", "vector", b"", payload)
        assert after == Frame("owner-0", "node-0", "note", b"after", b"")

    async def test_bodies_larger_than_a_scratch_buffer_arrive(self, world: World) -> None:
        node = await world.listen("node-0")
        channel, _ = await world.dial("owner-0", "node-0")
        bodies = [bytes([n]) * size for n, size in enumerate([65_535, 65_536, 150_000, 200_000, 3])]
        for body in bodies:
            channel.send("roster", body)
        await node.recorder.has(frames=5)
        assert node.recorder.bodies == bodies
        assert {type(body) for body in node.recorder.bodies} == {bytes}

    @pytest.mark.parametrize(
        "payload",
        [
            bytearray(b"0123"),
            memoryview(b"..0123")[2:],
            np.frombuffer(b"0123", "<u4"),
            np.frombuffer(b"0123", np.uint8).reshape(2, 2),
        ],
        ids=["bytearray", "memoryview", "words", "matrix"],
    )
    async def test_a_payload_is_any_contiguous_buffer_and_arrives_flat(self, world: World, payload: Any) -> None:
        node = await world.listen("node-0")
        channel, _ = await world.dial("owner-0", "node-0")
        channel.send("vector", b"", payload)
        await node.recorder.has(frames=1)
        arrived = node.recorder.frames[0].payload
        assert len(arrived) == 4
        assert bytes(arrived) == b"0123"

    async def test_an_empty_array_is_an_empty_payload(self, world: World) -> None:
        node = await world.listen("node-0")
        channel, _ = await world.dial("owner-0", "node-0")
        channel.send("vector", b"", np.empty((0, 3)))
        await node.recorder.has(frames=1)
        assert node.recorder.frames[0].payload == b""

    async def test_a_payload_with_gaps_is_our_mistake(self, world: World) -> None:
        await world.listen("node-0")
        channel, _ = await world.dial("owner-0", "node-0")
        with pytest.raises(ValueError, match="C-contiguous"):
            channel.send("vector", b"", np.zeros(8, np.uint8)[::2])
        assert channel.sent == 0

    async def test_one_payload_may_go_to_many(self, world: World) -> None:
        node = await world.listen("node-0")
        payload = random.Random(1).randbytes(300_000)
        owners = [(await world.dial(f"owner-{n}", "node-0"))[1] for n in range(5)]
        for channel in node.channels.values():
            channel.send("vector", b"", payload)
        for owner in owners:
            await owner.has(frames=1)
            assert owner.frames[0].payload == payload

    # --- sizes

    @pytest.mark.parametrize("body", [0, 127, 128, 255, 256, 4096])
    async def test_sizes_are_those_on_the_wire(self, world: World, body: int) -> None:
        node = await world.listen("node-0")
        channel, _ = await world.dial("owner-0", "node-0")
        frame = Frame("owner-0", "node-0", "note", bytes(body))
        assert channel.send("note", frame.body) == frame.size == len(pack_frame(frame)) == channel.sent
        await node.recorder.has(frames=1)
        assert node.channels["owner-0"].received == frame.size
        assert (channel.received, node.channels["owner-0"].sent) == (0, 0)

    async def test_a_million_bytes_cost_less_than_a_thousandth_more(self, world: World) -> None:
        await world.listen("node-0")
        channel, _ = await world.dial("owner-0", "node-0")
        assert 1_000_000 < channel.send("vector", b"", bytes(1_000_000)) < 1_001_000

    # --- limits

    @pytest.mark.parametrize("kind", ["unheard-of", "!ping", "!bye", ""])
    async def test_an_unknown_kind_is_our_mistake(self, world: World, kind: str) -> None:
        node = await world.listen("node-0")
        channel, owner = await world.dial("owner-0", "node-0")
        with pytest.raises(FrameError, match="is not a kind of frame here") as caught:
            channel.send(kind)
        assert caught.value.code == Refusal.UNKNOWN_KIND
        await self._still_works(channel, node.recorder, owner)

    @pytest.mark.parametrize(
        ("body", "payload", "message"),
        [
            (65, 0, "vector: body of 65 bytes, at most 64"),
            (0, 8 * MIB + 1, "vector: payload of 8388609 bytes, at most 8388608"),
        ],
    )
    async def test_too_large_is_our_mistake(self, world: World, body: int, payload: int, message: str) -> None:
        node = await world.listen("node-0")
        channel, owner = await world.dial("owner-0", "node-0")
        with pytest.raises(FrameError, match=message) as caught:
            channel.send("vector", bytes(body), bytes(payload))
        assert caught.value.code == Refusal.TOO_LARGE
        await self._still_works(channel, node.recorder, owner)

    async def _still_works(self, channel: Channel, there: Recorder, here: Recorder) -> None:
        channel.send("note", b"still here")
        await there.has(frames=1)
        assert there.bodies == [b"still here"]
        assert there.ends == here.ends == []

    # --- many players

    async def test_each_player_hears_what_is_meant_for_it(self, world: World) -> None:
        nodes = [await world.listen("node-0"), await world.listen("node-1")]
        names = [f"owner-{n}" for n in range(100)]
        pairs = [(name, node) for name in names for node in ("node-0", "node-1")]
        dialled = await asyncio.gather(*(world.dial(*pair) for pair in pairs))
        for (name, node), (channel, _) in zip(pairs, dialled, strict=True):
            channel.send("note", f"{name} to {node}".encode())
        for index, node in enumerate(nodes):
            await node.recorder.has(frames=100)
            assert sorted(node.recorder.bodies) == sorted(f"{n} to node-{index}".encode() for n in names)
            for name, channel in node.channels.items():
                channel.send("note", f"node-{index} to {name}".encode())
        for (name, node), (_, owner) in zip(pairs, dialled, strict=True):
            await owner.has(frames=1)
            assert owner.bodies == [f"{node} to {name}".encode()]

    async def test_one_player_closing_disturbs_no_other(self, world: World) -> None:
        node = await world.listen("node-0")
        (first, _), (second, other) = [await world.dial(f"owner-{n}", "node-0") for n in range(2)]
        first.close("done")
        second.send("note", b"here")
        await node.recorder.has(frames=1, ends=1)
        assert node.recorder.ends == [("owner-0", "closed: done")]
        node.channels["owner-1"].send("note", b"and here")
        await other.has(frames=1)
        assert other.ends == []

    # --- ends

    async def test_what_was_sent_before_the_end_arrives_before_it(self, world: World) -> None:
        node = await world.listen("node-0")
        channel, owner = await world.dial("owner-0", "node-0")
        for _ in range(3):
            channel.send("vector", b"", bytes(2 * MIB))
        channel.close("all said")
        await node.recorder.has(ends=1)
        assert len(node.recorder.frames) == 3
        assert node.recorder.ends == [("owner-0", "closed: all said")]
        assert owner.ends == []

    async def test_the_listener_may_end_it_too(self, world: World) -> None:
        node = await world.listen("node-0")
        channel, owner = await world.dial("owner-0", "node-0")
        node.channels["owner-0"].close()
        await owner.has(ends=1)
        assert owner.ends == [("node-0", "closed")]
        assert channel.send("note", b"too late") == 0
        assert channel.sent == 0
        channel.close()
        assert node.recorder.ends == []

    async def test_gone_is_told_once_whatever_follows(self, world: World) -> None:
        node = await world.listen("node-0")
        channel, owner = await world.dial("owner-0", "node-0")
        channel.close("once")
        channel.close("twice")
        await node.recorder.has(ends=1)
        node.channels["owner-0"].close()
        await self._exchange(world)
        assert node.recorder.ends == [("owner-0", "closed: once")]
        assert owner.ends == []

    async def test_both_may_close_at_once(self, world: World) -> None:
        node = await world.listen("node-0")
        channel, owner = await world.dial("owner-0", "node-0")
        channel.close()
        node.channels["owner-0"].close()
        await self._exchange(world)
        assert owner.ends == node.recorder.ends == []

    async def _exchange(self, world: World) -> None:
        """Say something between two other players, there and back: what was sent before has arrived."""
        node = await world.listen("node-1", greet=lambda channel: channel.send("note"))
        channel, owner = await world.dial("owner-1", "node-1")
        channel.send("note")
        await node.recorder.has(frames=1)
        await owner.has(frames=1)

    async def test_sending_after_our_own_close_is_our_mistake(self, world: World) -> None:
        await world.listen("node-0")
        channel, _ = await world.dial("owner-0", "node-0")
        channel.close()
        with pytest.raises(PeerError, match="node-0: the channel is closed") as caught:
            channel.send("note")
        assert caught.value.peer == "node-0"

    async def test_a_reason_is_one_short_line(self, world: World) -> None:
        node = await world.listen("node-0")
        channel, _ = await world.dial("owner-0", "node-0")
        channel.close("\x1b[2J\n" + "é" * 1000)
        await node.recorder.has(ends=1)
        assert node.recorder.ends == [("owner-0", "closed: ?[2J?" + "é" * 195)]

    async def test_a_sink_may_close_while_it_is_told(self, world: World) -> None:
        node = await world.listen("node-0", greet=lambda channel: channel.close("not today"))
        channel, owner = await world.dial("owner-0", "node-0")
        await owner.has(ends=1)
        assert owner.ends == [("node-0", "closed: not today")]
        assert node.recorder.frames == []
        assert channel.send("note") == 0

    # --- dialling

    async def test_a_listener_may_speak_first(self, world: World) -> None:
        await world.listen("node-0", greet=lambda channel: channel.send("note", b"welcome"))
        _, owner = await world.dial("owner-0", "node-0")
        await owner.has(frames=1)
        assert owner.bodies == [b"welcome"]

    async def test_dialling_waits_for_the_listener(self, world: World) -> None:
        dialling = asyncio.create_task(world.dial("owner-0", "node-0"))
        await asyncio.sleep(0)
        node = await world.listen("node-0")
        channel, _ = await dialling
        channel.send("note", b"found you")
        await node.recorder.has(frames=1)

    async def test_dialling_nobody_ends_at_the_deadline_in_one_line(self, world: World) -> None:
        with pytest.raises(ConnectFailed) as caught:
            await world.dial("owner-0", "node-0", seconds=0.1)
        assert re.fullmatch(r"cannot reach node-0.* after [\d.]+ s: .+", str(caught.value))
        assert caught.value.peer == "node-0"
        await world.listen("node-0")
        await world.dial("owner-0", "node-0")

    async def test_a_pair_has_one_channel(self, world: World) -> None:
        node = await world.listen("node-0")
        channel, owner = await world.dial("owner-0", "node-0")
        with pytest.raises(Refused, match="owner-0 is already connected"):
            await world.dial("owner-0", "node-0")
        await self._still_works(channel, node.recorder, owner)

    async def test_a_player_may_come_back(self, world: World) -> None:
        node = await world.listen("node-0")
        for attempt in range(5):
            channel, owner = await world.dial("owner-0", "node-0")
            node.channels["owner-0"].send("note", b"%d" % attempt)
            await owner.has(frames=1)
            assert owner.bodies == [b"%d" % attempt]
            node.channels["owner-0"].send("note", b"on its way when the channel closes")
            channel.close(f"{attempt}")
        await node.recorder.has(ends=5)
        assert node.recorder.ends == [("owner-0", f"closed: {attempt}") for attempt in range(5)]

    # --- refusals

    async def test_who_is_refused_is_told_and_stays_away_until_it_is_pardoned_and_a_while_after(
        self, world: World
    ) -> None:
        node = await world.listen("node-0")
        _, bad = await world.dial("owner-0", "node-0")
        good, other = await world.dial("owner-1", "node-0")
        node.channels["owner-0"].refuse("sent what it must not")
        await bad.has(ends=1)
        assert bad.ends == [("node-0", "refused: bad-message: sent what it must not")]
        for pardoned in (False, True):
            with pytest.raises(NotNow, match="owner-0 was refused before, and may come back"):
                await world.dial("owner-0", "node-0")
            if not pardoned:
                world.listening.pardon("node-0")
        await asyncio.sleep(1)
        await world.dial("owner-0", "node-0")
        good.send("note", b"undisturbed")
        await node.recorder.has(frames=1)
        assert (node.recorder.ends, other.ends) == ([], [])

    async def test_who_dialled_may_refuse_too(self, world: World) -> None:
        node = await world.listen("node-0")
        channel, owner = await world.dial("owner-0", "node-0")
        _, other = await world.dial("owner-1", "node-0")
        channel.refuse("lies")
        await node.recorder.has(ends=1)
        assert node.recorder.ends == [("owner-0", "refused: bad-message: lies")]
        world.dialling.pardon("owner-0")
        with pytest.raises(NotNow, match="node-0 was refused before, and may come back"):
            await world.dial("owner-0", "node-0")
        await asyncio.sleep(1)
        await world.dial("owner-0", "node-0")
        assert (owner.ends, other.ends) == ([], [])

    async def test_what_a_refused_player_goes_on_saying_is_not_heard(self, world: World) -> None:
        node = await world.listen("node-0")
        bad, recorder = await world.dial("owner-0", "node-0")
        good, _ = await world.dial("owner-1", "node-0")
        bad.send("note", b"bad")
        await node.recorder.has(frames=1)
        bad.send("note", b"worse")
        bad.send("vector", b"", bytes(MIB))
        node.channels["owner-0"].refuse("bad")
        good.send("note", b"good")
        await node.recorder.has(frames=2)
        await recorder.has(ends=1)
        assert node.recorder.bodies == [b"bad", b"good"]
        with pytest.raises(PeerError, match="the channel is closed"):
            node.channels["owner-0"].send("note")

    async def test_a_channel_that_is_gone_may_be_refused_once_more(self, world: World) -> None:
        node = await world.listen("node-0")
        channel, _ = await world.dial("owner-0", "node-0")
        channel.close("done")
        await node.recorder.has(ends=1)
        node.channels["owner-0"].refuse("too late")
        with pytest.raises(NotNow, match="was refused before"):
            await world.dial("owner-0", "node-0")

    async def test_a_dial_that_is_cancelled_leaves_nothing(self, world: World) -> None:
        dialling = asyncio.create_task(world.dial("owner-0", "node-0"))
        await asyncio.sleep(0.01)
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        node = await world.listen("node-0")
        channel, owner = await world.dial("owner-0", "node-0")
        await self._still_works(channel, node.recorder, owner)

    @pytest.mark.parametrize("local", ["", "two words", "-first", "näme", "x" * 65, "!x", "node-0"])
    async def test_a_bad_name_is_our_mistake(self, world: World, local: str) -> None:
        await world.listen("node-0")
        with pytest.raises(ValueError, match=r"is no name|cannot dial"):
            await world.dial(local, "node-0")

    async def test_nobody_listens_twice(self, world: World) -> None:
        await world.listen("node-0")
        with pytest.raises(ValueError, match="listens already"):
            await world.listen("node-0")

    # --- closing the network

    async def test_closing_delivers_what_was_sent(self, world: World) -> None:
        node = await world.listen("node-0")
        channel, owner = await world.dial("owner-0", "node-0")
        channel.send("vector", b"", bytes(8 * MIB))
        await world.dialling.close()
        await node.recorder.has(frames=1)
        assert owner.ends == []
        with pytest.raises(PeerError):
            channel.send("note")

    async def test_a_closed_network_dials_no_more(self, world: World) -> None:
        await world.listen("node-0")
        waiting = asyncio.create_task(world.dial("owner-1", "node-1"))
        await asyncio.sleep(0.01)
        await world.dialling.close()
        for dialling in (waiting, world.dial("owner-0", "node-0")):
            with pytest.raises(PeerError, match="the network is closed"):
                await dialling
