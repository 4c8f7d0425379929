"""Faults of channels, each at a known instant of virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from support.channels import tcp_world
from support.linked import End, LinkedWorld

from asyncagg.net.clock import now_ns
from asyncagg.net.errors import ConnectFailed, PeerError
from asyncagg.net.links.channel import QUEUE_FULL
from asyncagg.net.links.faults import RESET, ChannelFaults
from asyncagg.net.links.latency import Constant
from asyncagg.net.links.model import Link

MS = 1_000_000
MBIT = 1_000_000
OWNERS = ("owner-0", "owner-1")

Ends = dict[str, End]


@pytest.fixture
def faults() -> ChannelFaults:
    return ChannelFaults(seed=3)


@pytest.fixture
def world(faults: ChannelFaults) -> LinkedWorld:
    link = Link(Constant(40 * MS))
    return LinkedWorld({"owner-0": link, "owner-1": link}, faults=faults)


@pytest.fixture
async def node(world: LinkedWorld) -> Ends:
    return await world.listen("node-0")


@pytest.fixture
async def owner(world: LinkedWorld, node: Ends) -> End:
    return await world.dial("owner-0", "node-0")


@pytest.fixture
async def other(world: LinkedWorld, node: Ends) -> AsyncIterator[End]:
    end = await world.dial("owner-1", "node-0")
    yield end
    assert end.told == []  # the bystander of every test


def say(end: End, *bodies: bytes) -> None:
    for body in bodies:
        end.channel.send("note", body)


# --- partition and hold


async def test_what_a_partition_holds_back_arrives_in_order_when_it_heals(
    world: LinkedWorld, faults: ChannelFaults, node: Ends, owner: End, other: End
) -> None:
    say(owner, b"before")
    await world.sleep_ns(10 * MS)
    assert faults.partition("owner-0", "node-0") == "partition: owner-0 | node-0"
    say(owner, b"during")
    say(other, b"elsewhere")
    say(node["owner-0"], b"back")
    await world.sleep_ns(990 * MS)
    say(owner, b"just before")
    await world.sleep_ns(10 * MS)
    assert node["owner-0"].frames == owner.frames == []
    assert faults.heal("owner-0", "node-0") == "heal: owner-0 | node-0"
    say(owner, b"after")
    await world.settle()
    healed = 1010 * MS
    assert node["owner-0"].bodies == [b"before", b"during", b"just before", b"after"]
    assert node["owner-0"].times == [healed, healed, 1040 * MS, 1050 * MS]
    assert owner.times == [healed]
    assert node["owner-1"].times == [50 * MS]
    assert owner.told == node["owner-0"].told == []


async def test_a_partition_from_everyone_else(
    world: LinkedWorld, faults: ChannelFaults, node: Ends, owner: End, other: End
) -> None:
    text = faults.partition(OWNERS)
    assert text == "partition: owner-0, owner-1 | everyone else"
    say(owner, b"1")
    say(node["owner-1"], b"2")
    await world.settle()
    assert node["owner-0"].frames == other.frames == []
    faults.heal(OWNERS)
    await world.settle()
    assert node["owner-0"].bodies == [b"1"]
    assert other.bodies == [b"2"]


async def test_a_partition_leaves_its_own_side_alone(world: LinkedWorld, faults: ChannelFaults) -> None:
    friends = await world.listen("owner-1")
    owner = await world.dial("owner-0", "owner-1")
    faults.partition(OWNERS)
    faults.hold(OWNERS)
    say(owner, b"between us")
    await world.settle()
    assert friends["owner-0"].times == [40 * MS]


async def test_an_end_does_not_pass_a_partition_either(
    world: LinkedWorld, faults: ChannelFaults, node: Ends, owner: End
) -> None:
    faults.partition("node-0")
    owner.channel.close("unheard")
    await world.sleep_ns(500 * MS)
    assert node["owner-0"].told == []
    faults.heal("node-0")
    await world.settle()
    assert node["owner-0"].told == [(500 * MS, "closed: unheard")]


async def test_overlapping_cuts_end_one_by_one(
    world: LinkedWorld, faults: ChannelFaults, node: Ends, owner: End, other: End
) -> None:
    faults.partition("node-0", OWNERS)
    faults.hold("owner-0", "node-0")
    say(owner, b"1")
    say(other, b"2")
    await world.sleep_ns(100 * MS)
    faults.heal("node-0", OWNERS)
    await world.sleep_ns(100 * MS)
    assert node["owner-1"].times == [100 * MS]
    assert node["owner-0"].frames == []
    faults.release("owner-0", "node-0")
    await world.settle()
    assert node["owner-0"].times == [200 * MS]


async def test_a_hold_is_for_one_direction(
    world: LinkedWorld, faults: ChannelFaults, node: Ends, owner: End, other: End
) -> None:
    assert faults.hold("node-0") == "hold: node-0 -> everyone else"
    say(owner, b"there")
    say(node["owner-0"], b"back")
    await world.sleep_ns(300 * MS)
    assert node["owner-0"].times == [40 * MS]
    assert owner.frames == []
    assert faults.release("node-0") == "release: node-0 -> everyone else"
    await world.settle()
    assert owner.times == [300 * MS]


async def test_a_cut_ends_with_the_groups_it_began_with(faults: ChannelFaults) -> None:
    faults.partition("owner-0", "node-0")
    with pytest.raises(ValueError, match="no partition of these groups"):
        faults.heal("owner-0")
    with pytest.raises(ValueError, match="no hold of these groups"):
        faults.release("owner-0", "node-0")
    faults.heal("owner-0", "node-0")
    with pytest.raises(ValueError, match="no partition"):
        faults.heal("owner-0", "node-0")


async def test_dialling_across_a_partition_waits_for_its_end(
    world: LinkedWorld, faults: ChannelFaults, node: Ends
) -> None:
    faults.partition("owner-0", "node-0")
    with pytest.raises(ConnectFailed, match=r"cannot reach node-0 after 0\.1 s: cut off by a fault"):
        await world.dial("owner-0", "node-0", deadline_ns=100 * MS)
    assert now_ns() == 100 * MS
    dialling = asyncio.create_task(world.dial("owner-0", "node-0", deadline_ns=900 * MS))
    await world.sleep_ns(200 * MS)
    assert not dialling.done()
    faults.heal("owner-0", "node-0")
    say(await dialling, b"at last")
    await world.settle()
    assert node["owner-0"].times == [340 * MS]


async def test_dialling_takes_both_directions(world: LinkedWorld, faults: ChannelFaults, node: Ends) -> None:
    faults.hold("node-0", "owner-0")
    dialling = asyncio.create_task(world.dial("owner-0", "node-0"))
    await world.sleep_ns(100 * MS)
    assert not dialling.done()
    faults.release("node-0", "owner-0")
    await dialling
    assert now_ns() == 100 * MS


async def test_a_channel_that_is_made_during_a_cut_is_cut(world: LinkedWorld, faults: ChannelFaults) -> None:
    dialling = asyncio.create_task(world.dial("owner-0", "node-0"))
    await world.sleep_ns(MS)
    faults.partition("owner-0", "node-0")  # the handshake has begun
    node = await world.listen("node-0")
    say(await dialling, b"1")
    await world.sleep_ns(100 * MS)
    assert node["owner-0"].frames == []
    faults.heal("owner-0", "node-0")
    await world.settle()
    assert node["owner-0"].times == [101 * MS]


async def test_closing_the_network_does_not_wait_for_a_partition_to_heal(
    world: LinkedWorld, faults: ChannelFaults, node: Ends, owner: End, other: End
) -> None:
    faults.partition("owner-0")
    say(owner, b"never")
    say(other, b"soon")
    dialling = asyncio.create_task(world.dial("owner-0", "node-1"))
    await asyncio.sleep(0)
    await world.network.close()
    assert now_ns() == 40 * MS
    assert node["owner-0"].frames == []
    assert node["owner-1"].bodies == [b"soon"]
    with pytest.raises(PeerError, match="the network is closed"):
        await dialling


async def test_what_is_held_back_counts_as_in_flight(faults: ChannelFaults) -> None:
    world = LinkedWorld({"owner-0": Link(queue_limit=1000)}, faults=faults)
    node = await world.listen("node-0")
    owner = await world.dial("owner-0", "node-0")
    faults.partition("owner-0")
    say(owner, bytes(1000), b"too much")
    await world.settle()
    assert [reason for _, reason in owner.told] == [QUEUE_FULL]
    assert [reason for _, reason in node["owner-0"].told] == [QUEUE_FULL]


# --- reset


async def test_a_reset_is_told_to_both_sides_now_and_loses_what_is_on_its_way(
    world: LinkedWorld, faults: ChannelFaults, node: Ends, owner: End, other: End
) -> None:
    say(owner, b"arrives")
    await world.sleep_ns(40 * MS)
    say(owner, b"lost")
    say(other, b"not touched")
    await world.sleep_ns(MS)
    assert faults.reset("owner-0", "node-0") == "reset: owner-0 | node-0"
    assert owner.channel.send("note") == 0
    await world.settle()
    assert owner.told == node["owner-0"].told == [(41 * MS, RESET)]
    assert node["owner-0"].bodies == [b"arrives"]
    assert node["owner-1"].bodies == [b"not touched"]


async def test_after_a_reset_a_player_may_come_back(
    world: LinkedWorld, faults: ChannelFaults, node: Ends, owner: End
) -> None:
    faults.reset("owner-0")
    faults.reset("owner-0")
    again = await world.dial("owner-0", "node-0")
    say(again, b"here again")
    await world.settle()
    assert len(owner.told) == 1
    assert node["owner-0"].bodies == [b"here again"]


async def test_a_player_that_has_closed_hears_nothing_of_a_reset(
    world: LinkedWorld, faults: ChannelFaults, node: Ends, owner: End
) -> None:
    owner.channel.close("never arrives")
    faults.reset("node-0")
    await world.settle()
    assert owner.told == []
    assert node["owner-0"].told == [(0, RESET)]


@pytest.mark.asyncio(loop_factories=["real"])
async def test_a_reset_reaches_the_other_process_over_tcp() -> None:
    async with tcp_world(1, 1) as bare:
        faults = ChannelFaults(0)  # the diallers' process alone is told of the fault
        listening = LinkedWorld({"node-0": Link(bandwidth_up=MBIT)}, inner=bare.listening)
        dialling = LinkedWorld({}, inner=bare.dialling, faults=faults)
        node = await listening.listen("node-0")
        owner = await dialling.dial("owner-0", "node-0")
        faults.reset("owner-0", "node-0")
        await owner.has(ends=1)
        await node["owner-0"].has(ends=1)
        assert owner.ends == [("node-0", RESET)]
        assert node["owner-0"].ends == [("owner-0", RESET)]


# --- corrupt


def differences(sent: bytes, got: bytes) -> list[int]:
    assert len(sent) == len(got)
    return [place for place, (one, other) in enumerate(zip(sent, got, strict=True)) if one != other]


async def test_one_byte_of_the_next_payloads_is_changed(
    world: LinkedWorld, faults: ChannelFaults, node: Ends, owner: End, other: End
) -> None:
    assert faults.corrupt("owner-0", count=2) == "corrupt: the next 2 of any kind from owner-0"
    payload = bytearray(range(200))
    say(owner, b"")  # nothing in it to change
    for end in (owner, other, owner, owner):
        end.channel.send("vector", b"body", payload)
    await world.settle()
    got = [bytes(frame.payload) for frame in node["owner-0"].frames[1:]]
    assert [len(differences(payload, each)) for each in got] == [1, 1, 0]
    assert payload == bytes(range(200))
    assert {frame.body for frame in node["owner-0"].frames[1:]} == {b"body"}
    assert bytes(node["owner-1"].frames[0].payload) == payload


async def test_a_frame_without_payload_is_changed_in_its_body_and_kinds_can_be_chosen(
    world: LinkedWorld, faults: ChannelFaults, node: Ends, owner: End
) -> None:
    assert faults.corrupt("owner-0", kind="roster") == "corrupt: the next 1 roster from owner-0"
    owner.channel.send("note", b"safe")
    owner.channel.send("roster", b"a list of names")
    owner.channel.send("roster", b"a list of names")
    await world.settle()
    note, first, second = node["owner-0"].bodies
    assert note == b"safe"
    assert len(differences(b"a list of names", first)) == 1
    assert second == b"a list of names"


async def test_corruption_always_changes_something(
    world: LinkedWorld, faults: ChannelFaults, node: Ends, owner: End
) -> None:
    faults.corrupt("owner-0", count=2000)
    say(owner, *[b"\x00"] * 2000)
    await world.settle()
    assert len(set(node["owner-0"].bodies)) > 200
    assert b"\x00" not in node["owner-0"].bodies


async def corrupted(seed: int, bystanders: int) -> bytes:
    faults = ChannelFaults(seed)
    world = LinkedWorld({}, faults=faults)
    node = await world.listen("node-0")
    for nth in range(1, bystanders + 1):
        end = await world.dial(f"owner-{nth}", "node-0")
        faults.corrupt(f"owner-{nth}")
        end.channel.send("vector", payload=bytes(1000))
    owner = await world.dial("owner-0", "node-0")
    faults.corrupt("owner-0")
    owner.channel.send("vector", payload=bytes(1000))
    await world.settle()
    return bytes(node["owner-0"].frames[0].payload)


async def test_the_damage_follows_from_the_seed_and_the_player() -> None:
    assert await corrupted(1, bystanders=0) == await corrupted(1, bystanders=3)
    assert await corrupted(1, bystanders=0) != await corrupted(2, bystanders=0)


# --- slow


async def test_a_slow_player_takes_a_factor_longer_on_its_line_and_on_its_way(faults: ChannelFaults) -> None:
    world = LinkedWorld({"owner-0": Link(Constant(40 * MS), bandwidth_up=8 * MBIT)}, faults=faults)
    node = await world.listen("node-0")
    owner = await world.dial("owner-0", "node-0")
    said = faults.slow("owner-0", factor=2.5, delay_ns=7 * MS)
    assert said == "slow: owner-0 takes 2.5 times as long and 0.007 s more"
    size = owner.channel.send("note", bytes(1000))
    owner.channel.send("note", bytes(1000))
    say(node["owner-0"], b"as quick as ever")
    await world.sleep_ns(500 * MS)
    up_ns = size * 2500  # at 8 Mbit/s a byte takes 1 us
    assert node["owner-0"].times == [each * up_ns + 107 * MS for each in (1, 2)]
    assert owner.times == [40 * MS]
    faults.slow("owner-0")
    owner.channel.send("note", bytes(1000))
    await world.settle()
    assert node["owner-0"].times[2] == 540 * MS + size * 1000


async def test_a_slow_player_may_be_merely_late(
    world: LinkedWorld, faults: ChannelFaults, node: Ends, owner: End, other: End
) -> None:
    faults.slow("owner-0", delay_ns=60 * MS)
    say(owner, b"1")
    say(other, b"2")
    await world.settle()
    assert node["owner-0"].times == [100 * MS]
    assert node["owner-1"].times == [40 * MS]


# --- the calls


@pytest.mark.parametrize(("factor", "delay_ns"), [(0.5, 0), (float("nan"), 0), (1e7, 0), (1, -1)])
def test_slowness_out_of_range_is_refused(faults: ChannelFaults, factor: float, delay_ns: int) -> None:
    with pytest.raises(ValueError, match="to be slow is a factor"):
        faults.slow("owner-0", factor, delay_ns)


def test_nothing_to_corrupt_is_refused(faults: ChannelFaults) -> None:
    with pytest.raises(ValueError, match="must be positive, got 0"):
        faults.corrupt("owner-0", count=0)


def test_large_groups_are_told_in_short(faults: ChannelFaults) -> None:
    owners = [f"owner-{nth}" for nth in range(50)]
    told = faults.partition(owners, "node-0")
    assert told == "partition: owner-0, owner-1, owner-2, owner-3 and 46 more | node-0"
