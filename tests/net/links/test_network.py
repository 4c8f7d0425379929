"""Channels over links: order, ends, coming back, full queues, closing, and a look at real time."""

import asyncio
import gc
import itertools
import weakref

import pytest
from support.channels import LIMITS
from support.linked import End, LinkedWorld, transmission_ns

from asyncagg.net.clock import now_ns
from asyncagg.net.errors import FrameError, PeerError
from asyncagg.net.frames import Frame
from asyncagg.net.links.channel import QUEUE_FULL
from asyncagg.net.links.faults import ChannelFaults
from asyncagg.net.links.latency import Constant, Uniform
from asyncagg.net.links.model import Link
from asyncagg.net.links.network import LinkedNetwork
from asyncagg.net.memory import MemoryNetwork
from asyncagg.net.tcp.network import TcpNetwork
from asyncagg.net.virtual.loop import Deadlock, run_virtual

MS = 1_000_000
S = 1_000_000_000
MBIT = 1_000_000


async def test_a_later_message_never_overtakes_an_earlier_one():
    world = LinkedWorld({"owner": Link(Uniform(0, 100 * MS), jitter_ns=50 * MS, loss=0.1, bandwidth_up=MBIT)}, seed=4)
    node = await world.listen("node")
    owner = await world.dial("owner", "node")
    for nth in range(200):
        owner.channel.send("note", nth.to_bytes(2, "big"))
        node["owner"].channel.send("note", nth.to_bytes(2, "big"))
        await world.sleep_ns(2 * MS)
    await world.settle()
    for end in (owner, node["owner"]):
        assert end.bodies == [nth.to_bytes(2, "big") for nth in range(200)]
        assert end.times == sorted(end.times)


async def test_an_end_comes_behind_what_was_sent_before():
    world = LinkedWorld({"owner": Link(Constant(40 * MS), bandwidth_up=MBIT), "node": Link(bandwidth_down=MBIT)})
    node = await world.listen("node")
    owner = await world.dial("owner", "node")
    size = owner.channel.send("vector", payload=bytes(2000))
    owner.channel.close("done")
    await world.settle()
    taken = 40 * MS + 2 * transmission_ns(size, MBIT)
    assert node["owner"].times == [taken]
    assert node["owner"].told == [(taken, "closed: done")]
    assert node["owner"].channel.send("note") == 0
    assert owner.told == []


async def test_after_our_own_close_nothing_is_heard_and_sending_is_an_error():
    world = LinkedWorld({"owner": Link(Constant(40 * MS), bandwidth_down=1000)})
    node = await world.listen("node")
    owner = await world.dial("owner", "node")
    node["owner"].channel.send("note")  # on its way down at the owner's when that closes
    await world.sleep_ns(41 * MS)
    node["owner"].channel.send("note")  # arrives at a closed end
    owner.channel.close()
    owner.channel.close("twice")
    with pytest.raises(PeerError, match="closed"):
        owner.channel.send("note")
    await world.settle()
    assert owner.times == []
    assert node["owner"].told == [(81 * MS, "closed")]


async def test_when_both_close_at_once_nobody_is_told():
    world = LinkedWorld({"owner": Link(Constant(40 * MS))})
    node = await world.listen("node")
    owner = await world.dial("owner", "node")
    owner.channel.close()
    node["owner"].channel.close()
    await world.settle()
    assert owner.told == node["owner"].told == []


async def test_sizes_and_refusals_are_those_of_the_network_inside():
    world = LinkedWorld({"owner": Link(Constant(MS))})
    await world.listen("node")
    owner = await world.dial("owner", "node")
    bare = LinkedWorld({})
    await bare.listen("node")
    other = await bare.dial("owner", "node")
    for body, payload in itertools.product((0, 1, 64), (0, 127, 128, 70_000)):
        assert owner.channel.send("vector", bytes(body), bytes(payload)) == other.channel.send(
            "vector", bytes(body), bytes(payload)
        )
    assert owner.channel.sent == other.channel.sent
    for channel in (owner.channel, other.channel):
        with pytest.raises(FrameError, match="too-large"):
            channel.send("note", bytes(5000))
        with pytest.raises(FrameError, match="unknown-kind"):
            channel.send("nonsense")


async def test_a_channel_whose_link_does_nothing_is_the_inner_one():
    world = LinkedWorld({"slow": Link(Constant(1)), "narrow": Link(bandwidth_down=1), "idle": Link(jitter_ns=0)})
    node = await world.listen("node")
    plain = type(await world.inner.dial("nobody", "node", node))
    assert type((await world.dial("idle", "node")).channel) is plain
    assert type(node["idle"].channel) is plain
    assert type((await world.dial("slow", "node")).channel) is not plain
    assert type(node["slow"].channel) is not plain
    assert type((await world.dial("narrow", "node")).channel) is not plain
    assert type(node["narrow"].channel) is plain  # the line down is the business of the other end


async def test_dialling_again_waits_until_the_end_has_arrived():
    world = LinkedWorld({"owner": Link(Constant(40 * MS))})
    node = await world.listen("node")
    owner = await world.dial("owner", "node")
    earlier = node["owner"]
    owner.channel.send("note", b"1")
    owner.channel.close("restart")
    again = await world.dial("owner", "node")
    assert now_ns() == 40 * MS
    assert earlier.bodies == [b"1"]
    assert earlier.told == [(40 * MS, "closed: restart")]
    again.channel.send("note", b"2")
    await world.settle()
    assert node["owner"].bodies == [b"2"]
    assert node["owner"].times == [80 * MS]


async def test_dialling_again_gives_up_at_its_deadline():
    world = LinkedWorld({"owner": Link(Constant(40 * MS))})
    await world.listen("node")
    owner = await world.dial("owner", "node")
    owner.channel.close()
    with pytest.raises(PeerError, match="still closing"):
        await world.dial("owner", "node", deadline_ns=30 * MS)
    assert now_ns() == 30 * MS


async def test_a_new_channel_never_speaks_before_the_end_of_the_old_one():
    world = LinkedWorld({"node": Link(bandwidth_down=1000)})
    node = await world.listen("node")
    owner = await world.dial("owner", "node")
    earlier = node["owner"]
    owner.channel.send("note", b"old")  # seconds on the node's line down
    owner.channel.close()
    again = await world.dial("owner", "node")
    assert earlier.bodies == [b"old"]
    assert [reason for _, reason in earlier.told] == ["closed"]
    again.channel.send("note", b"new")
    await world.settle()
    assert node["owner"].bodies == [b"new"]


async def test_too_much_in_flight_up_breaks_the_channel_that_sends_more():
    world = LinkedWorld({"owner": Link(Constant(40 * MS), queue_limit=5000)})
    node, other = await world.listen("node"), await world.listen("other")
    owner, bystander = await world.dial("owner", "node"), await world.dial("owner", "other")
    bystander.channel.send("vector", payload=bytes(4000))
    assert owner.channel.send("vector", payload=bytes(60_000)) > 0  # found 4,000 in flight
    assert owner.channel.send("note") == 0
    assert owner.told == []  # told by the loop, not from inside send
    await world.settle()
    assert owner.told == [(0, QUEUE_FULL)]
    assert node["owner"].told == [(0, QUEUE_FULL)]
    assert node["owner"].times == []
    assert len(other["owner"].times) == 1
    assert bystander.channel.send("vector", payload=bytes(60_000)) > 0  # what was lost is not in flight
    await world.settle()
    assert len(other["owner"].times) == 2


async def test_the_limit_itself_may_be_in_flight_and_what_has_arrived_is_not():
    size = Frame("owner", "node", "note", bytes(1000)).size
    world = LinkedWorld({"owner": Link(Constant(40 * MS), queue_limit=size)})
    node = await world.listen("node")
    owner = await world.dial("owner", "node")
    for _ in range(5):
        assert owner.channel.send("note", bytes(1000)) == size
        assert owner.channel.send("note", bytes(1000)) == size
        await world.sleep_ns(40 * MS)
    await world.settle()
    assert len(node["owner"].frames) == 10
    assert owner.told == []


async def test_a_channel_that_has_ended_is_forgotten():
    world = LinkedWorld({"owner": Link(Constant(40 * MS))}, faults=ChannelFaults(0))
    node = await world.listen("node")
    sinks = []
    for end in ("ours", "theirs"):
        owner = await world.dial("owner", "node")
        (owner if end == "ours" else node["owner"]).channel.close()
        await world.settle()
        sinks += [weakref.ref(owner), weakref.ref(node.pop("owner"))]
        del owner
    gc.collect()
    assert [sink() for sink in sinks] == [None] * 4


async def test_too_much_in_flight_down_breaks_the_channel_that_brings_more():
    world = LinkedWorld({"node": Link(bandwidth_down=MBIT, queue_limit=1500), "owner": Link(Constant(MS))})
    node = await world.listen("node")
    owner = await world.dial("owner", "node")
    for _ in range(3):
        owner.channel.send("vector", payload=bytes(1000))
    await world.settle()
    assert node["owner"].times == []
    assert node["owner"].told == [(MS, QUEUE_FULL)]
    assert owner.told == [(MS, QUEUE_FULL)]


async def test_closing_the_network_delivers_what_was_sent_and_leaves_no_timer():
    world = LinkedWorld({"owner": Link(Constant(40 * MS), bandwidth_up=MBIT), "node": Link(bandwidth_down=MBIT)})
    node = await world.listen("node")
    owner = await world.dial("owner", "node")
    size = owner.channel.send("vector", payload=bytes(2000))
    await world.network.close()
    assert node["owner"].times == [40 * MS + 2 * transmission_ns(size, MBIT)]
    assert now_ns() == node["owner"].times[0]
    assert owner.told == node["owner"].told == []
    with pytest.raises(PeerError, match="closed"):
        owner.channel.send("note")
    with pytest.raises(PeerError, match="closed"):
        await world.dial("owner", "node")


def test_nothing_is_left_to_run_after_the_end():
    async def play():
        world = LinkedWorld({"owner": Link(Constant(40 * MS)), "node": Link(bandwidth_down=1000)})
        await world.listen("node")
        owner = await world.dial("owner", "node")
        owner.channel.send("note")
        closing = asyncio.ensure_future(world.network.close())
        await world.sleep_ns(41 * MS)
        closing.cancel()
        await asyncio.wait_for(asyncio.get_running_loop().create_future(), None)

    with pytest.raises(Deadlock) as stuck:
        run_virtual(play())
    assert stuck.value.at_ns == 41 * MS


async def test_our_own_close_comes_before_an_end_that_waits_on_the_line_down():
    world = LinkedWorld({"node": Link(bandwidth_down=1000)})
    node = await world.listen("node")
    owner = await world.dial("owner", "node")
    owner.channel.send("note")
    owner.channel.close("unheard")
    await world.sleep_ns(MS)
    assert node["owner"].channel.send("note") == 0  # it is over, though the node does not know yet
    node["owner"].channel.close()
    await world.settle()
    assert node["owner"].times == node["owner"].told == []


class LateDial(MemoryNetwork):
    """Whoever dials gets the channel after its first frames, or its end, as may be over sockets."""

    async def dial(self, local, remote, sink, deadline_ns=None):
        channel = await super().dial(local, remote, sink, deadline_ns)
        await asyncio.sleep(0.01)
        return channel


@pytest.mark.parametrize("queue_limit", [None, 10])
async def test_a_channel_may_end_before_the_dialling_side_has_it(queue_limit):
    link = Link(bandwidth_down=1000, queue_limit=queue_limit)
    network = LinkedNetwork(LateDial(LIMITS), lambda name: link if name == "owner" else Link(), LIMITS, 0)

    def greet(channel):
        for _ in range(3):
            channel.send("note")
        channel.close("not today")
        return End("owner")

    await network.listen("node", greet)
    end = End("node")
    channel = await network.dial("owner", "node", end)
    assert channel.send("note") == 0
    await asyncio.sleep(10)
    reasons = [reason for _, reason in end.told]
    assert (len(end.frames), reasons) == ((0, [QUEUE_FULL]) if queue_limit else (3, ["closed: not today"]))
    channel = await network.dial("owner", "node", End("node"))  # the pair is free again


@pytest.mark.asyncio(loop_factories=["real"])
async def test_real_time_over_tcp_takes_what_the_closed_form_says():
    links = {"owner": Link(Constant(60 * MS), bandwidth_up=8 * MBIT), "node": Link(bandwidth_down=16 * MBIT)}
    inner = TcpNetwork(["owner", "node"], b"run", LIMITS, {"node": ("127.0.0.1", 0)})
    world = LinkedWorld(links, inner=inner)
    node = await world.listen("node")
    owner = await world.dial("owner", "node", deadline_ns=now_ns() + 5 * S)
    start = now_ns()
    size = owner.channel.send("vector", b"1", bytes(50_000))
    owner.channel.send("vector", b"2", bytes(50_000))
    await node["owner"].has(frames=2)
    departures = [nth * transmission_ns(size, 8 * MBIT) for nth in (1, 2)]
    predicted = [start + each + 60 * MS + transmission_ns(size, 16 * MBIT) for each in departures]
    assert node["owner"].bodies == [b"1", b"2"]
    for measured, closed_form in zip(node["owner"].times, predicted, strict=True):
        assert closed_form - 1000 <= measured < closed_form + 250 * MS
    await world.network.close()
