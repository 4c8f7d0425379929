"""What a link does to messages: closed forms met to the nanosecond, seeded draws, values out of range."""

import asyncio
import itertools
import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.linked import LinkedWorld, transmission_ns

from asyncagg.net.clock import now_ns
from asyncagg.net.links.latency import Constant, Cubic, Lognormal, Uniform
from asyncagg.net.links.model import MAX_RTO_NS, SEGMENT, HostQueue, Link, Path, losses_in_a_row, retransmission_ns
from asyncagg.net.links.presets import PRESETS
from asyncagg.net.virtual.loop import run_virtual

MS = 1_000_000
S = 1_000_000_000
MBIT = 1_000_000


# --- closed forms


async def test_one_message_takes_up_latency_and_down():
    links = {"owner": Link(Constant(40 * MS), bandwidth_up=7 * MBIT), "node": Link(bandwidth_down=3 * MBIT)}
    world = LinkedWorld(links)
    node = await world.listen("node")
    owner = await world.dial("owner", "node")
    await asyncio.sleep(1.5)
    size = owner.channel.send("vector", b"body", bytes(1001))
    await world.settle()
    up, down = transmission_ns(size, 7 * MBIT), transmission_ns(size, 3 * MBIT)
    assert node["owner"].times == [1_500_000_000 + up + 40 * MS + down]
    assert node["owner"].channel.received == owner.channel.sent == size


async def test_channels_share_the_line_up_first_in_first_out():
    world = LinkedWorld({"owner": Link(Constant(5 * MS), bandwidth_up=MBIT)})
    first, second = await world.listen("node-0"), await world.listen("node-1")
    to_first, to_second = await world.dial("owner", "node-0"), await world.dial("owner", "node-1")
    sizes = [
        to_first.channel.send("vector", payload=bytes(1000)),
        to_second.channel.send("vector", payload=bytes(10)),
        to_first.channel.send("vector", payload=bytes(1)),
    ]
    departures = list(itertools.accumulate(transmission_ns(size, MBIT) for size in sizes))
    await world.settle()
    assert first["owner"].times == [departures[0] + 5 * MS, departures[2] + 5 * MS]
    assert second["owner"].times == [departures[1] + 5 * MS]


async def test_senders_share_the_line_down_in_order_of_arrival():
    world = LinkedWorld(
        {
            "near": Link(Constant(10 * MS)),
            "far": Link(Constant(10 * MS + 1)),
            "node": Link(bandwidth_down=MBIT),
        }
    )
    node = await world.listen("node")
    far, near = await world.dial("far", "node"), await world.dial("near", "node")
    far_size = far.channel.send("vector", payload=bytes(500))
    near_size = near.channel.send("vector", payload=bytes(900))
    await world.settle()
    near_done = 10 * MS + transmission_ns(near_size, MBIT)
    assert node["near"].times == [near_done]
    assert node["far"].times == [near_done + transmission_ns(far_size, MBIT)]


async def test_an_idle_line_starts_at_once():
    world = LinkedWorld({"owner": Link(bandwidth_up=MBIT)})
    node = await world.listen("node")
    owner = await world.dial("owner", "node")
    size = owner.channel.send("note")
    await asyncio.sleep(1)
    owner.channel.send("note")
    await world.settle()
    assert node["owner"].times == [transmission_ns(size, MBIT), S + transmission_ns(size, MBIT)]


async def test_both_directions_take_the_latency_of_the_player_that_dialled():
    world = LinkedWorld({"owner": Link(Constant(40 * MS)), "node": Link(Constant(3 * MS))})
    node = await world.listen("node")
    owner = await world.dial("owner", "node")
    owner.channel.send("note")
    await world.sleep_ns(50 * MS)
    node["owner"].channel.send("note")
    await world.settle()
    assert node["owner"].times == [40 * MS]
    assert owner.times == [90 * MS]


async def test_bandwidth_is_that_of_the_hosts_whoever_dialled():
    world = LinkedWorld({"node": Link(bandwidth_up=2 * MBIT), "owner": Link(bandwidth_down=MBIT)})
    node = await world.listen("node")
    owner = await world.dial("owner", "node")
    size = node["owner"].channel.send("vector", payload=bytes(4000))
    await world.settle()
    assert owner.times == [transmission_ns(size, 2 * MBIT) + transmission_ns(size, MBIT)]


SENDS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 3000), st.integers(0, 30 * MS)),
    min_size=1,
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(sends=SENDS, seed=st.integers(0, 100))
def test_any_traffic_agrees_with_a_slow_reference(sends, seed):
    rng = random.Random(seed)
    links = {
        name: Link(
            Constant(rng.randrange(1, 50 * MS)),
            bandwidth_up=rng.choice([None, rng.randrange(MBIT, 9 * MBIT)]),
            bandwidth_down=rng.choice([None, rng.randrange(MBIT, 9 * MBIT)]),
        )
        for name in ("owner-0", "owner-1", "owner-2", "node-0", "node-1")
    }

    async def play() -> tuple[list, list]:
        world = LinkedWorld(links)
        nodes = [await world.listen(f"node-{n}") for n in range(2)]
        pairs = list(itertools.product(range(3), range(2)))
        ends = {(o, n): await world.dial(f"owner-{o}", f"node-{n}") for o, n in pairs}
        sent = []
        for owner, node, payload, pause_ns in sends:
            await world.sleep_ns(pause_ns)
            size = ends[owner, node].channel.send("vector", payload=bytes(payload))
            sent.append((now_ns(), f"owner-{owner}", f"node-{node}", size))
        await world.settle()
        taken = [
            (time, peer.name, f"node-{n}", frame.size)
            for n, node in enumerate(nodes)
            for peer in node.values()
            for time, frame in zip(peer.times, peer.frames, strict=True)
        ]
        return sent, taken

    sent, taken = run_virtual(play())
    assert sorted(taken) == sorted(reference(links, sent))


def reference(links, sent):
    """When each of the sent messages is delivered, one list after the other; arrivals do not tie here."""
    up_free, down_free, arrived = Counter(), Counter(), []
    for now, source, target, size in sent:
        link = links[source]
        up = transmission_ns(size, link.bandwidth_up) if link.bandwidth_up else 0
        up_free[source] = max(now, up_free[source]) + up if link.bandwidth_up else now
        arrived.append((up_free[source] + link.latency.ns, source, target, size))
    taken = []
    for time, source, target, size in sorted(arrived, key=lambda each: each[0]):
        bandwidth = links[target].bandwidth_down
        if bandwidth:
            time = down_free[target] = max(time, down_free[target]) + transmission_ns(size, bandwidth)
        taken.append((time, source, target, size))
    return taken


def test_transmission_times_are_rounded_up_to_the_nanosecond():
    queue = HostQueue(3, None)
    assert queue.serve(10, 1) == 10 + 2_666_666_667
    assert queue.serve(0, 0) == 10 + 2_666_666_667  # behind what is there
    assert HostQueue(None, None).serve(10, 10**9) == 10


# --- draws


def delays(seed, source="owner-1", target="node", link=None, count=50):
    path = Path(link or Link(Uniform(10 * MS, 90 * MS), jitter_ns=5 * MS, loss=0.2), seed, source, target)
    return [path.delay_ns(3000) for _ in range(count)]


def test_delays_follow_from_the_seed_and_the_two_players():
    assert delays(1) == delays(1)
    assert delays(1) != delays(2)
    assert delays(1) != delays(1, source="owner-2")
    assert delays(1) != delays(1, target="node-2")
    assert delays(1, "a", "b") != delays(1, "b", "a")


def test_each_purpose_has_a_stream_of_its_own():
    plain = delays(1, link=Link(Uniform(10 * MS, 90 * MS)))
    lossy = delays(1, link=Link(Uniform(10 * MS, 90 * MS), loss=0.2))
    waits = {(late - early) // (200 * MS) for early, late in zip(plain, lossy, strict=True)}
    assert {0, 1} <= waits <= {0, 1, 3, 7, 15, 31}
    assert all((late - early) % (200 * MS) == 0 for early, late in zip(plain, lossy, strict=True))


async def arrivals(owners, seed):
    link = Link(Lognormal(40 * MS, 0.5), jitter_ns=3 * MS, loss=0.05)
    world = LinkedWorld(dict.fromkeys(owners, link), seed=seed)
    node = await world.listen("node")
    ends = [await world.dial(owner, "node") for owner in owners]
    for _ in range(20):
        for end in ends:
            end.channel.send("vector", payload=bytes(5000))
    await world.settle()
    return {owner: node[owner].times for owner in owners}


def test_a_run_is_the_same_twice_and_another_player_shifts_nobody():
    few = run_virtual(arrivals(["owner-0", "owner-1"], seed=7))
    assert run_virtual(arrivals(["owner-0", "owner-1"], seed=7)) == few
    more = run_virtual(arrivals(["owner-2", "owner-1", "owner-3", "owner-0"], seed=7))
    assert {name: more[name] for name in few} == few
    assert run_virtual(arrivals(["owner-0", "owner-1"], seed=8)) != few


def test_known_draws():
    # fixed for good: the streams' names and the order of draws are part of what a seed means
    assert delays(0, "data-owner-0", "compute-node-0", count=4) == KNOWN


KNOWN = [46_635_204, 80_785_901, 644_375_905, 47_109_336]


def test_jitter_is_uniform_around_the_latency_and_never_negative():
    around = delays(3, link=Link(Constant(40 * MS), jitter_ns=10 * MS), count=4000)
    assert min(around) >= 30 * MS
    assert max(around) <= 50 * MS
    quarters = Counter((delay - 30 * MS) * 4 // (20 * MS) for delay in around)
    assert all(900 < quarters[quarter] < 1100 for quarter in range(4))
    small = delays(3, link=Link(Constant(MS), jitter_ns=10 * MS), count=200)
    assert min(small) == 0


def test_the_least_latency_of_a_pair_is_drawn_once():
    link = Link(Cubic(10 * MS, 100 * MS, a=0, clip=1, unit=5))
    first = delays(5, link=link)
    assert len(set(first)) == 1
    assert first == delays(5, link=link)
    assert first[0] != delays(5, source="owner-2", link=link)[0]


def test_losses_in_a_row_have_the_distribution_of_the_unluckiest_segment():
    rng = random.Random("losses")
    loss, segments, count = 0.3, 4, 20_000

    def unluckiest() -> int:
        return max(next(k for k in itertools.count() if rng.random() >= loss) for _ in range(segments))

    simulated = Counter(unluckiest() for _ in range(count))
    size = segments * SEGMENT
    drawn = Counter(losses_in_a_row(loss, size, rng.random()) for _ in range(count))
    for losses in range(6):
        assert drawn[losses] == pytest.approx(simulated[losses], abs=4 * math.sqrt(count / 4))


@pytest.mark.parametrize(
    ("size", "u", "losses"),
    [
        (0, 0.0, 0),
        (1, 0.89, 0),
        (1, 0.91, 1),
        (SEGMENT, 0.991, 2),
        (SEGMENT + 1, 0.82, 1),
        (10 * SEGMENT, 0.3, 0),
    ],
)
def test_losses_in_a_row_at_ten_percent(size, u, losses):
    assert losses_in_a_row(0.1, size, u) == losses


def test_losses_end_for_every_draw():
    for loss in (1e-12, 0.5, 0.999):
        assert losses_in_a_row(loss, 10**9, 1 - 2.0**-53) < 100_000


def test_each_loss_in_a_row_doubles_the_wait_up_to_a_minute():
    waits = [retransmission_ns(S, losses) for losses in range(9)]
    assert waits == [each * S for each in (0, 1, 3, 7, 15, 31, 63, 123, 183)]
    assert retransmission_ns(1, 200) > 100 * MAX_RTO_NS


async def test_a_loss_delays_this_message_and_those_behind_it_and_loses_nothing():
    world = LinkedWorld({"owner": Link(Constant(10 * MS), loss=0.3, rto_ns=S)}, seed=1)
    node = await world.listen("node")
    owner = await world.dial("owner", "node")
    for nth in range(30):
        owner.channel.send("note", bytes([nth]))
        await world.sleep_ns(MS)
    await world.settle()
    path = Path(Link(Constant(10 * MS), loss=0.3, rto_ns=S), 1, "owner", "node")
    alone = [nth * MS + path.delay_ns(SEGMENT) for nth in range(30)]
    assert node["owner"].times == list(itertools.accumulate(alone, max))
    assert node["owner"].bodies == [bytes([nth]) for nth in range(30)]
    assert max(node["owner"].times) > S


# --- values


def test_presets_are_links_that_delay():
    assert list(PRESETS) == ["datacenter", "broadband", "mobile-4g", "satellite", "flamingo-2023"]
    assert all(link.delays for link in PRESETS.values())
    ninety_nine = PRESETS["mobile-4g"].latency.delay_ns(0.99), PRESETS["datacenter"].latency.delay_ns(0.99)
    assert [round(each, -4) for each in ninety_nine] == [112_000_000, 640_000]


@pytest.mark.parametrize(
    "mistake",
    [
        {"jitter_ns": -1},
        {"loss": 1.0},
        {"loss": -0.1},
        {"loss": math.nan},
        {"rto_ns": 0},
        {"rto_ns": 61 * S},
        {"bandwidth_up": 0},
        {"bandwidth_down": -5},
        {"queue_limit": 0},
    ],
)
def test_a_link_out_of_range_is_refused_by_name(mistake):
    (name,) = mistake
    with pytest.raises(ValueError, match=f"a link's {name} must be"):
        Link(**mistake)
