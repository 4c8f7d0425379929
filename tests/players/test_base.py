"""The checks between a peer's bytes and a role: labels, duplicates, bounds, and who may end what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from asyncagg.net.frames import Frame, Limits
from asyncagg.net.memory import MemoryNetwork
from asyncagg.players.arrivals.allowance import ATTEMPTS
from asyncagg.players.base import BasePlayer, PlayerEnvironment
from asyncagg.players.driver import Ended, RoleDriver, RoundFailed
from asyncagg.protocols import effects as e
from asyncagg.protocols import messages as m
from asyncagg.protocols.names import LEAD, PHASES, Label, Player, node_name, owner_name
from asyncagg.protocols.permissions import Permissions
from asyncagg.runs.trace import Trace

O1, O2 = owner_name(1), owner_name(2)
N1 = node_name(1)
NOW, LATER, EARLIER = Label(1, 2), Label(2, 1), Label(1, 1)
DIGEST = bytes(32)
SECOND = 1_000_000_000
SLICE = 64
PERMISSIONS = Permissions(list(m.KINDS.values()), m.Measures(4, 4, 64, 64, 0), [SLICE] * 3)


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
        return peer == N1


def make_player(permits: bool = False) -> Plain:
    environment = PlayerEnvironment(
        network=MemoryNetwork(Limits({})),
        executor=Inline(),
        trace=Trace(),
        deadlines=dict.fromkeys(PHASES, SECOND),
        permit_limit_ns=SECOND // 10,
        start_ns=0,
        permissions=PERMISSIONS,
        permits=permits,
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


def slice_for(label: Label, size: int = SLICE, kind: type[m.MaskedSlice] = m.MaskedSlice) -> Frame:
    return frame(O1, label, kind(bytes(size), DIGEST, bytes(16)))


async def test_what_waits_is_bounded_for_each_peer_and_dropped_when_it_leaves() -> None:
    player = make_player()
    player.open(NOW, "lead")
    player.deliver(frame(O1, LATER, m.Joined(DIGEST)))
    kept = len(player._stash)
    player.deliver(frame(O2, LATER, m.Joined(DIGEST)))
    assert len(player._stash) == 2 * kept
    for number in range(2, 12):
        player.deliver(frame(O1, Label(2, number), m.Joined(DIGEST)))
    assert len(player._stash) == 2 * kept  # of the latest attempt alone
    player.deliver(frame(O1, Label(2, 3), m.Advertise(DIGEST, b"", DIGEST, b"")))
    assert len(player._stash) == 2 * kept  # which is not that of an earlier one
    for _ in range(8):
        player.deliver(frame(N1, LATER, m.Held(1)))
    assert refusals(player) == []
    player.gone(O1, "connection lost")
    player.gone(N1, "connection lost")
    assert len(player._stash) == kept


async def test_only_the_next_attempts_are_waited_for() -> None:
    player = make_player()
    player.open(NOW, "lead")
    for label in (Label(3, 1), Label(1000, 1)):
        player.deliver(frame(O1, label, m.Joined(DIGEST)))
    assert len(player._stash) == 0
    for label in (Label(1, 3), Label(1, 7), Label(2, 1), Label(2, 9)):
        player.deliver(frame(O1, label, m.Joined(DIGEST)))
        assert len(player._stash) > 0
    assert refusals(player) == []


async def test_a_kind_that_comes_twice_ahead_of_its_attempt_costs_its_sender_the_channel() -> None:
    player = make_player()
    (lead,) = player.open(NOW, "lead")
    for _ in range(2):
        player.deliver(frame(O1, LATER, m.Joined(DIGEST)))
    assert refusals(player) == [(O1, "sent joined again, ahead of its attempt")]
    assert isinstance(await hear(lead, m.Joined, peers=(O1,)), e.Gone)


async def test_more_bytes_ahead_than_the_largest_message_cost_their_sender_the_channel() -> None:
    player = make_player()
    player.open(NOW, "node")
    for kind in (m.MaskedSlice, m.ClearSlice):
        player.deliver(slice_for(LATER, 40 * SLICE, kind))  # beyond the limit of the header, which is not checked here
    ((peer, reason),) = refusals(player)
    assert peer == O1
    assert reason.startswith("sent ")
    assert "bytes ahead of their attempt, at most " in reason
    assert len(player._stash) == 0


async def test_a_slice_that_needs_a_permit_does_not_wait() -> None:
    player = make_player(permits=True)
    player.open(NOW, "node")
    player.deliver(slice_for(LATER))
    assert len(player._stash) == 0
    assert refusals(player) == []


async def test_stale_messages_without_end_cost_their_sender_the_channel() -> None:
    player = make_player()
    player.open(NOW, "lead")
    for _ in range(ATTEMPTS):
        player.deliver(frame(O1, EARLIER, m.Joined(DIGEST)))
    assert refusals(player) == []
    player.deliver(frame(O1, EARLIER, m.Joined(DIGEST)))
    assert refusals(player) == [(O1, f"sent joined more than {ATTEMPTS} times too often")]


async def test_what_comes_with_every_attempt_is_never_too_much() -> None:
    player = make_player()
    for attempt in range(1, 4 * ATTEMPTS):
        player.open(Label(1, attempt), "lead")
        player.deliver(frame(O1, Label(1, attempt), m.Joined(DIGEST)))
    for attempt in range(1, ATTEMPTS):  # and some that were held up
        player.deliver(frame(O2, Label(1, attempt), m.Joined(DIGEST)))
    assert refusals(player) == []


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
    for _ in range(2 * 4):
        player.deliver(frame(N1, NOW, m.Held(1)))
    assert refusals(player) == []
    player.deliver(frame(N1, NOW, m.Held(1)))
    assert refusals(player) == [(N1, "sent held 9 times")]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Frame(O1, LEAD, "joined", b"\xc1"), "joined: body is not msgpack"),
        (Frame(O1, LEAD, "joined", b"\x93\x01\x02\x03"), "joined.digest: not bytes"),
        (Frame(O1, LEAD, "nonsense", b""), "sent nonsense, which is not for it to say to compute-node-0"),
        (frame(O1, NOW, m.Report(b"\x01", (), (), ())), "sent report, which is not for it to say to compute-node-0"),
        (frame(N1, NOW, m.Joined(DIGEST)), "sent joined, which is not for it to say to compute-node-0"),
    ],
)
async def test_what_is_no_message_for_this_player_is_refused_by_name(bad: Frame, reason: str) -> None:
    player = make_player()
    (lead,) = player.open(NOW, "lead")
    player.deliver(bad)
    ((peer, said),) = refusals(player)
    assert peer == bad.sender
    assert said.startswith(reason)
    gone = await hear(lead, m.Joined, peers=(peer,))
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
    player.deliver(frame(N1, EARLIER, m.Failed("long ago", (), False, ())))
    player.deliver(frame(N1, NOW, m.Failed("over", ((2, 3),), True, ((1, 0),))))
    with pytest.raises(Ended, match="over") as ended:
        await hear(lead, m.Joined)
    assert (ended.value.dropped, ended.value.exposed) == ({O2: "upload"}, True)
    assert ended.value.culprits == {O1: "wrong-shares"}


async def test_a_failure_that_came_early_ends_the_attempt_it_is_about() -> None:
    player = make_player()
    player.open(NOW, "lead")
    player.deliver(frame(N1, LATER, m.Failed("over", (), False, ())))
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
