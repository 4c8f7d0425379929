"""The driver alone, at a host that only takes notes: effects, order of events, timers, and how an attempt ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from asyncagg.net.clock import now_ns
from asyncagg.net.waiters import sleep_until
from asyncagg.players import driver as module
from asyncagg.players.driver import Ended, RoleDriver, RoundFailed
from asyncagg.protocols import effects as e
from asyncagg.protocols import messages as m
from asyncagg.protocols.names import LEAD, PHASES, Label, Phase, Player, node_name, owner_name
from asyncagg.protocols.permissions import Permissions

O1, O2, O3 = owner_name(1), owner_name(2), owner_name(3)
N1 = node_name(1)
NOW = Label(1, 2)
DIGEST = bytes(32)
S = 1_000_000_000
PERMISSIONS = Permissions(list(m.KINDS.values()), m.Measures(4, 4, 64, 64, 0), [64] * 3)
JOINED = m.Joined(DIGEST)


class Host:
    """What a player offers to its drivers, written down."""

    deadlines = dict.fromkeys(PHASES, 10 * S) | {"upload": 3 * S}
    permit_limit_ns = S
    me = LEAD

    def __init__(self, departed: dict[str, str] | None = None) -> None:
        self.departed = departed or {}
        self.said: list[tuple[Any, ...]] = []
        self.fault_takes_ns = 0
        self.disconnected: list[str] = []

    def send(self, label: Label, to: Player, message: m.Message, phase: Phase) -> None:
        self.said.append(("send", label, to, message, phase))

    def disconnect(self, peer: str, reason: str) -> None:
        self.disconnected.append(peer)

    async def compute(self, label: Label, cost: e.Cost, work: Callable[[], Any]) -> Any:
        self.said.append(("compute", label, cost))
        return work()

    async def persist(self) -> None:
        self.said.append(("persist",))

    async def phase_began(self, label: Label, phase: Phase) -> None:
        self.said.append(("phase", label, phase))
        await sleep_until(now_ns() + self.fault_takes_ns)

    def note(self, label: Label, phase: Phase, event: str, about: str, detail: str) -> None:
        self.said.append((event, label, phase, about, detail))


def make_driver(role: m.RoleName = "lead", host: Host | None = None) -> tuple[RoleDriver, Host]:
    host = host or Host()
    return RoleDriver(host, role, NOW, PERMISSIONS), host


def listening(times: int, *kinds: type[m.Message], peers: tuple[str, ...] = (), phase: Phase | None = None) -> Any:
    """A role that waits so often, and returns what it was told."""

    def role() -> e.Role[list[e.Event]]:
        told = []
        if phase is not None:
            yield e.Enter(phase)
        for _ in range(times):
            told.append((yield e.Receive(kinds, peers)))
        return told

    return role()


# -- effects ---------------------------------------------------------------------------------------------------------


async def test_each_effect_reaches_the_host_and_what_it_gives_the_role(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, host = make_driver("owner")
    released = []
    monkeypatch.setattr(module, "release", released.append)

    def role() -> e.Role[tuple[Any, ...]]:
        first = yield e.Send(LEAD, JOINED)
        yield e.Enter("upload")
        made = yield e.Compute(e.Cost(key_pairs=2), lambda: 42)
        yield e.Persist()
        yield e.Drop(O2, "too late")
        yield e.Release(b"payload")
        yield e.Send(N1, JOINED)
        return first, made

    assert await driver.run(role()) == (None, 42)
    assert host.said == [
        ("send", NOW, LEAD, JOINED, "publish"),
        ("compute", NOW, e.Cost(key_pairs=2)),
        ("persist",),
        ("drop", NOW, "upload", O2, "too late"),
        ("send", NOW, N1, JOINED, "upload"),
    ]
    assert released == [b"payload"]


async def test_only_the_lead_tells_of_phases() -> None:
    for role in ("owner", "node", "receiver"):
        driver, host = make_driver(role)
        await driver.run(listening(0, phase="upload"))
        assert host.said == []
    driver, host = make_driver("lead")
    await driver.run(listening(0, phase="upload"))
    assert host.said == [("phase", NOW, "upload")]


# -- what a role is told, and in which order --------------------------------------------------------------------------


async def test_messages_come_in_order_of_arrival_whatever_their_kind_then_those_who_left_then_the_time() -> None:
    driver, _ = make_driver()
    driver.depart(O3, "connection lost")
    for peer, message in ((O1, JOINED), (O2, m.Ready()), (O2, JOINED), (O1, m.Ready())):
        driver.deliver(peer, message)
    driver._expire(None)
    told = await driver.run(listening(6, m.Ready, m.Joined, peers=(O3,)))
    assert told == [
        e.Got(O1, JOINED),
        e.Got(O2, m.Ready()),
        e.Got(O2, JOINED),
        e.Got(O1, m.Ready()),
        e.Gone(O3, "connection lost"),
        e.Expired(None),
    ]


async def test_a_kind_that_is_not_waited_for_waits() -> None:
    driver, _ = make_driver()
    driver.deliver(O1, m.Ready())
    driver.deliver(O1, JOINED)
    assert driver.held(m.Ready) == 1
    assert await driver.run(listening(1, m.Joined)) == [e.Got(O1, JOINED)]
    assert (driver.held(m.Ready), driver.held(m.Joined)) == (1, 0)


async def test_a_departure_is_told_once_to_whom_it_matters_and_also_if_it_was_before() -> None:
    driver, _ = make_driver(host=Host({O1: "closed", O2: "lost"}))
    assert await driver.run(listening(1, m.Joined, peers=(O2,))) == [e.Gone(O2, "lost")]
    driver.depart(O2, "lost again")
    driver.deliver(O3, JOINED)
    assert await driver.run(listening(2, m.Joined, peers=(O1, O2, O3))) == [e.Got(O3, JOINED), e.Gone(O1, "closed")]


async def test_who_waits_is_woken_by_what_it_waits_for_and_by_nothing_else() -> None:
    driver, _ = make_driver("owner")
    waiting = asyncio.create_task(driver.run(listening(1, m.Joined, peers=(O1,))))
    for step in (lambda: driver.deliver(O1, m.Ready()), lambda: driver.depart(O2, "lost")):
        step()
        await asyncio.sleep(1)
        assert not waiting.done()
    driver.deliver(O2, JOINED)
    assert await waiting == [e.Got(O2, JOINED)]


# -- time ------------------------------------------------------------------------------------------------------------


async def test_a_phase_of_the_lead_ends_at_its_deadline_counted_from_when_faults_have_struck() -> None:
    driver, host = make_driver()
    host.fault_takes_ns = 2 * S
    assert await driver.run(listening(1, m.Joined, phase="upload")) == [e.Expired(None)]
    assert now_ns() == 5 * S


async def test_permits_run_out_by_owner_and_end_with_their_phase() -> None:
    driver, _ = make_driver()

    def role() -> e.Role[list[tuple[int, e.Event]]]:
        told = []
        yield e.Enter("upload")
        yield e.Permitted(O1)
        told.append((now_ns(), (yield e.Receive((m.Joined,)))))
        yield e.Permitted(O2)
        yield e.Enter("unmask")
        told.append((now_ns(), (yield e.Receive((m.Joined,)))))
        return [*told, (now_ns(), e.Expired())]

    assert await driver.run(role()) == [(0, e.Expired(O1)), (S, e.Expired(None)), (11 * S, e.Expired())]


async def test_what_expired_before_a_phase_is_not_told_in_it() -> None:
    driver, _ = make_driver()

    def role() -> e.Role[e.Event]:
        yield e.Enter("upload")
        yield e.Compute(e.Cost(), lambda: driver._expire(None))
        yield e.Enter("unmask")
        driver.deliver(O1, JOINED)
        event: e.Event = yield e.Receive((m.Ready,), ())
        return event

    assert await driver.run(role()) == e.Expired(None)
    assert now_ns() == 10 * S


async def test_owners_and_nodes_wait_without_a_clock_and_no_timer_outlives_its_role() -> None:
    owner, _ = make_driver("owner")
    waiting = asyncio.create_task(owner.run(listening(1, m.Joined, phase="upload")))
    lead, _ = make_driver("lead")
    await lead.run(listening(0, phase="upload"))
    await asyncio.sleep(1000)
    assert not waiting.done()
    assert not lead._mailbox._expired
    waiting.cancel()


# -- refusals and bounds ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("role", "tells_the_lead"), [("lead", False), ("node", True), ("receiver", False)])
async def test_the_second_of_a_kind_ends_its_senders_part(role: m.RoleName, tells_the_lead: bool) -> None:
    driver, host = make_driver(role)
    for _ in range(3):
        driver.deliver(O1, JOINED)
    driver.deliver(O2, JOINED)
    said = "sent joined 2 times"
    report = [("send", NOW, LEAD, m.Faulty(1, said), "publish")] if tells_the_lead else []
    assert host.said == [*report, ("refuse", NOW, "publish", O1, said)]
    told = await driver.run(listening(3, m.Joined, peers=(O1, O2)))
    assert told == [e.Got(O1, JOINED), e.Got(O2, JOINED), e.Gone(O1, f"refused: {said}")]


async def test_what_a_role_refuses_is_refused_once_and_its_reason_cut() -> None:
    driver, host = make_driver("node")

    def role() -> e.Role[None]:
        for _ in range(2):
            yield e.Refuse(O1, "x" * 900)
        yield e.Refuse(N1, "y")

    await driver.run(role())
    assert host.said == [
        ("send", NOW, LEAD, m.Faulty(1, "x" * 500), "publish"),
        ("refuse", NOW, "publish", O1, "x" * 900),
        ("refuse", NOW, "publish", N1, "y"),  # of compute nodes the lead is not told
    ]


# -- how an attempt ends -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [RoundFailed("no", {O1: "upload"}, True), Ended("somebody else did")])
async def test_who_may_ends_the_attempt_whether_the_role_waits_or_not(failure: RoundFailed) -> None:
    driver, _ = make_driver()
    waiting = asyncio.create_task(driver.run(listening(1, m.Joined)))
    await asyncio.sleep(1)
    driver.fail(failure)
    with pytest.raises(type(failure)) as caught:
        await waiting
    assert caught.value is failure
    driver, host = make_driver()
    driver.fail(failure)
    with pytest.raises(type(failure)):
        await driver.run(listening(0, phase="upload"))
    assert host.said == []


def ending(ends: Exception | e.Effect) -> e.Role[None]:
    yield e.Enter("unmask")
    if isinstance(ends, Exception):
        raise ends
    yield ends


@pytest.mark.parametrize(
    ("ends", "reason"),
    [
        (e.PeerGone(N1, "connection lost"), "compute-node-1: connection lost (in unmask)"),
        (e.Rejected("the roster is too small"), "the roster is too small (in unmask)"),
        (m.MessageError("certificate.members: too long"), "certificate.members: too long (in unmask)"),
        (e.Abort("too few"), "too few"),
    ],
)
async def test_a_role_that_cannot_go_on_says_where(ends: Exception | e.Effect, reason: str) -> None:
    driver, _ = make_driver()
    with pytest.raises(RoundFailed) as caught:
        await driver.run(ending(ends))
    assert (caught.value.reason, str(caught.value)) == (reason, reason)
    assert not isinstance(caught.value, Ended)


async def test_an_abort_carries_who_was_dropped_and_whether_uploads_had_begun() -> None:
    driver, _ = make_driver()
    with pytest.raises(RoundFailed) as caught:
        await driver.run(ending(e.Abort("too few", {O1: "share"}, exposed=True)))
    assert (caught.value.dropped, caught.value.exposed) == ({O1: "share"}, True)


async def test_a_rejection_out_of_heavy_work_comes_to_the_role_first() -> None:
    driver, _ = make_driver("node")

    def reject() -> None:
        raise e.Rejected("the checksum differs")

    def role() -> e.Role[str]:
        try:
            yield e.Compute(e.Cost(), reject)
        except e.Rejected as error:
            return f"{error}, and I know whose it is"
        raise AssertionError

    assert await driver.run(role()) == "the checksum differs, and I know whose it is"


async def test_a_mistake_of_ours_is_raised_as_it_is_and_the_role_is_closed() -> None:
    driver, _ = make_driver()
    closed = []

    def role() -> e.Role[None]:
        try:
            yield e.Enter("upload")
            yield e.Compute(e.Cost(), lambda: 1 // 0)
        finally:
            closed.append(True)

    with pytest.raises(ZeroDivisionError):
        await driver.run(role())
    assert closed == [True]
    await asyncio.sleep(100)
    assert not driver._mailbox._expired
