"""The checks between a peer's bytes and a role: labels, duplicates, bounds, and who may end what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from asyncagg.net.frames import Frame, Limits
from asyncagg.net.memory import MemoryNetwork
from asyncagg.players.base import STASHED_PER_OWNER, BasePlayer, PlayerEnvironment
from asyncagg.players.driver import Ended, RoleDriver, RoundFailed
from asyncagg.protocols import effects as e
from asyncagg.protocols import messages as m
from asyncagg.protocols.names import LEAD, MODEL_OWNER, PHASES, Label, Player, node_name, owner_name
from asyncagg.runs.trace import Trace

O1, O2 = owner_name(1), owner_name(2)
N1 = node_name(1)
NOW, LATER, EARLIER = Label(1, 2), Label(2, 1), Label(1, 1)
DIGEST = bytes(32)
SECOND = 1_000_000_000


class Inline:
    """Works at once."""

    async def run(self, cost: e.Cost, work: Callable[[], Any]) -> Any:
        return work()


class Plain(BasePlayer):
    """A player that does nothing of its own."""

    roles = ("node", "lead")

    def control(self, peer: Player, label: Label, message: m.Message) -> bool:
        return False

    def ends_attempt(self, peer: Player) -> bool:
        return peer == MODEL_OWNER


def make_player() -> Plain:
    environment = PlayerEnvironment(
        network=MemoryNetwork(Limits(m.limits(4, 4, 64, 64))),
        executor=Inline(),
        trace=Trace(),
        deadlines=dict.fromkeys(PHASES, SECOND),
        permit_limit_ns=SECOND // 10,
        start_ns=0,
        population=4,
    )
    return Plain(LEAD, environment)


def frame(sender: str, label: Label, message: m.Message) -> Frame:
    kind, body, payload = m.encode(label, message)
    return Frame(sender, LEAD, kind, body, bytes(payload))


async def hear(driver: RoleDriver, *kinds: type[m.Message], peers: tuple[str, ...] = ()) -> e.Event:
    """What a role that waits for these is told."""

    def role() -> e.Role[e.Event]:
        event: e.Event = yield e.Receive(kinds, peers)
        return event

    async with asyncio.timeout(5):
        return await driver.run(role())


def refusals(player: BasePlayer) -> list[tuple[str, str]]:
    return [(record.receiver, record.detail) for record in player.environment.trace.records if record.event == "refuse"]


# -- labels ----------------------------------------------------------------------------------------------------------


async def test_what_belongs_to_the_attempt_reaches_its_role() -> None:
    player = make_player()
    lead, node = player.open(NOW, "lead", "node")
    player.deliver(frame(O1, NOW, m.Joined(DIGEST)))
    player.deliver(frame(O1, NOW, m.ClearSlice(b"1234", DIGEST, bytes(16))))
    assert await hear(lead, m.Joined) == e.Got(O1, m.Joined(DIGEST))
    assert isinstance(await hear(node, m.ClearSlice), e.Got)


async def test_late_labels_are_dropped_without_a_word() -> None:
    player = make_player()
    (lead,) = player.open(NOW, "lead")
    player.deliver(frame(O1, EARLIER, m.Joined(DIGEST)))
    player.deliver(frame(O2, NOW, m.Joined(DIGEST)))
    assert await hear(lead, m.Joined) == e.Got(O2, m.Joined(DIGEST))
    assert refusals(player) == []


async def test_early_labels_wait_until_the_player_is_told_of_them() -> None:
    player = make_player()
    player.open(NOW, "lead")
    player.deliver(frame(O1, LATER, m.Joined(DIGEST)))
    (lead,) = player.open(LATER, "lead")
    assert await hear(lead, m.Joined) == e.Got(O1, m.Joined(DIGEST))


async def test_what_waits_is_bounded_for_each_peer_and_dropped_when_it_leaves() -> None:
    player = make_player()
    for _ in range(100):
        player.deliver(frame(O1, LATER, m.Joined(DIGEST)))
    assert len(player._stash[O1]) == 1
    for number in range(100):
        player.deliver(frame(O1, Label(5, number), m.Joined(DIGEST)))
    assert len(player._stash[O1]) == 1
    for _ in range(100):
        player.deliver(frame(N1, LATER, m.Held(1)))
    assert len(player._stash[N1]) == STASHED_PER_OWNER * 4
    player.gone(O1, "connection lost")
    assert O1 not in player._stash


async def test_labels_that_a_peer_makes_up_take_no_memory() -> None:
    player = make_player()
    player.open(NOW, "lead")
    for number in range(1000):
        player.deliver(frame(O1, Label(10 + number, 1), m.Joined(DIGEST)))
    assert len(player.usage.rounds) <= 2


# -- refusals --------------------------------------------------------------------------------------------------------


async def test_the_second_of_a_kind_ends_its_senders_part_and_nobody_elses() -> None:
    player = make_player()
    (lead,) = player.open(NOW, "lead")
    for sender in (O1, O1, O2):
        player.deliver(frame(sender, NOW, m.Joined(DIGEST)))
    player.deliver(frame(O1, NOW, m.Ready()))
    assert refusals(player) == [(O1, "sent joined 2 times")]
    told = [await hear(lead, m.Joined, m.Ready, peers=(O1, O2)) for _ in range(3)]
    assert told[:2] == [e.Got(O1, m.Joined(DIGEST)), e.Got(O2, m.Joined(DIGEST))]
    assert told[2] == e.Gone(O1, "refused: sent joined 2 times")


async def test_kinds_that_may_come_often_are_bounded_too() -> None:
    player = make_player()
    player.open(NOW, "lead")
    for _ in range(4 * 4 + 16):
        player.deliver(frame(N1, NOW, m.Held(1)))
    assert refusals(player) == []
    player.deliver(frame(N1, NOW, m.Held(1)))
    assert refusals(player) == [(N1, "sent held 33 times")]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Frame(O1, LEAD, "joined", b"\xc1"), "joined: body is not msgpack"),
        (Frame(O1, LEAD, "joined", b"\x93\x01\x02\x03"), "joined.digest: not bytes"),
        (Frame(O1, LEAD, "nonsense", b""), "unknown kind 'nonsense'"),
        (frame(O1, NOW, m.Report(b"\x01", (), (), ())), "sent report, which is not for compute-node-0"),
        (frame(O1, NOW, m.Permit()), "sent permit, which is not for compute-node-0"),
    ],
)
async def test_what_is_no_message_for_this_player_is_refused_by_name(bad: Frame, reason: str) -> None:
    player = make_player()
    (lead,) = player.open(NOW, "lead")
    player.deliver(bad)
    ((peer, said),) = refusals(player)
    assert peer == O1
    assert said.startswith(reason)
    gone = await hear(lead, m.Joined, peers=(O1,))
    assert isinstance(gone, e.Gone)
    player.open(LATER, "lead")
    player.deliver(frame(O1, LATER, m.Joined(DIGEST)))
    assert len(refusals(player)) == 1  # the next attempt is a new one


async def test_a_node_tells_the_lead_whom_it_refuses() -> None:
    player = make_player()
    lead, node = player.open(NOW, "lead", "node")
    for _ in range(2):
        player.deliver(frame(O1, NOW, m.ClearSlice(b"1234", DIGEST, bytes(16))))
    assert node is not lead
    told = await hear(lead, m.Faulty)
    assert told == e.Got(LEAD, m.Faulty(1, "sent clear-slice 2 times"))


# -- ends ------------------------------------------------------------------------------------------------------------


async def test_failed_ends_the_attempt_only_from_who_may() -> None:
    player = make_player()
    (lead,) = player.open(NOW, "lead")
    player.deliver(frame(O1, NOW, m.Failed("I am out", (), False, ())))
    assert await hear(lead, m.Joined, peers=(O1,)) == e.Gone(O1, "I am out")
    player.deliver(frame(MODEL_OWNER, EARLIER, m.Failed("long ago", (), False, ())))
    player.deliver(frame(MODEL_OWNER, NOW, m.Failed("over", ((2, 3),), True, ((1, 0),))))
    with pytest.raises(Ended, match="over") as ended:
        await hear(lead, m.Joined)
    assert (ended.value.dropped, ended.value.exposed) == ({O2: "upload"}, True)
    assert ended.value.culprits == {O1: "wrong-shares"}


async def test_a_failure_that_came_early_ends_the_attempt_it_is_about() -> None:
    player = make_player()
    player.open(NOW, "lead")
    player.deliver(frame(MODEL_OWNER, LATER, m.Failed("over", (), False, ())))
    (lead,) = player.open(LATER, "lead")
    with pytest.raises(Ended, match="over"):
        await hear(lead, m.Joined)


async def test_who_left_before_the_attempt_is_gone_in_it() -> None:
    player = make_player()
    player.gone(O1, "connection lost")
    (lead,) = player.open(NOW, "lead")
    assert await hear(lead, m.Joined, peers=(O1, O2)) == e.Gone(O1, "connection lost")


async def test_what_a_peer_said_comes_before_its_departure_and_departures_come_before_deadlines() -> None:
    player = make_player()
    (lead,) = player.open(NOW, "lead")
    player.deliver(frame(O1, NOW, m.Joined(DIGEST)))
    player.gone(O1, "connection lost")
    events: list[e.Event] = []

    def role() -> e.Role[None]:
        yield e.Enter("publish")
        yield e.Permitted(O2)
        for _ in range(4):
            events.append((yield e.Receive((m.Joined,), (O1,))))

    await lead.run(role())
    expected: list[Any] = [e.Got(O1, m.Joined(DIGEST)), e.Gone(O1, "connection lost"), e.Expired(O2), e.Expired(None)]
    assert events == expected
    assert asyncio.get_running_loop().time() == 1.0


async def test_a_new_phase_forgets_the_permits_and_the_deadline_of_the_last() -> None:
    player = make_player()
    (lead,) = player.open(NOW, "lead")

    def role() -> e.Role[e.Event]:
        yield e.Enter("upload")
        yield e.Permitted(O2)
        yield e.Enter("unmask")
        event: e.Event = yield e.Receive((m.Joined,))
        return event

    assert await lead.run(role()) == e.Expired(None)
    assert asyncio.get_running_loop().time() == 1.0


@pytest.mark.parametrize("error", [e.Rejected("not with me"), m.MessageError("not a bitmap"), e.PeerGone(N1, "lost")])
async def test_peer_errors_end_the_attempt_in_words_and_others_are_raised(error: Exception) -> None:
    def role(raised: Exception) -> e.Role[None]:
        yield e.Enter("upload")
        raise raised

    player = make_player()
    with pytest.raises(RoundFailed, match=r"\(in upload\)"):
        await player.open(NOW, "node")[0].run(role(error))
    with pytest.raises(ZeroDivisionError):
        await player.open(LATER, "node")[0].run(role(ZeroDivisionError()))


async def test_what_heavy_work_rejects_is_the_roles_to_catch() -> None:
    def work() -> None:
        raise e.Rejected("a wrong box")

    def role() -> e.Role[str]:
        try:
            yield from e.compute(e.Cost(), work)
        except e.Rejected as error:
            return str(error)
        return "missed"

    (node,) = make_player().open(NOW, "node")
    assert await node.run(role()) == "a wrong box"
