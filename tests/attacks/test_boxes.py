"""Boxes that do not open, false complaints, framing, a lead that spoils boxes: nobody honest pays more than once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
from support.attack_driver import Coalition, Played, Twist, changed, owners, play, scenario, sending

import asyncagg
from asyncagg.crypto import shamir
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import Effect, Send
from asyncagg.protocols.names import LEAD, Player, index_of, owner_name
from asyncagg.protocols.secagg import owner
from asyncagg.protocols.secagg.owner_secrets import BOX_BYTES, ENTRY_BYTES, ERASURE, OwnerSecrets
from asyncagg.protocols.secagg.session import Session

BAD = owner_name(2)
THREATS = ("curious", "lying")
SIZES = [("secagg", 12), ("secagg+", 60)]
RETRY: dict[str, Any] = {"on_failure": "retry", "retries": 2, "corrupt": 0.05, "dropout": 0.1}


def spoiling(places: Callable[[int], Iterable[int]], part: slice = slice(0, BOX_BYTES)) -> Twist:
    """Spoil some boxes of those an owner seals, by their place; `part` of an entry is overwritten."""

    def garbage(message: m.SealedShares) -> bytes:
        data = bytearray(message.data)
        for place in places(len(data) // ENTRY_BYTES):
            entry = slice(place * ENTRY_BYTES + part.start, place * ENTRY_BYTES + part.stop)
            data[entry] = bytes(each ^ 0x55 for each in data[entry])
        return bytes(data)

    return changed(m.SealedShares, data=garbage)


ONE_BOX = spoiling(lambda count: [count // 2])
ALL_BOXES = spoiling(range)
TAGS = slice(BOX_BYTES, ENTRY_BYTES)


def complaints(played: Played) -> dict[Player, tuple[Player, ...]]:
    return {
        each.sender: next(iter(played.kept.values())).session.context.players_in(each.message.dealers)  # type: ignore[attr-defined]
        for each in played.of(m.Complaint)
    }


def kinds(played: Played) -> dict[str, int]:
    counted: dict[str, int] = {}
    for each in played.said:
        counted[each.message.kind] = counted.get(each.message.kind, 0) + 1
    return counted


# -- one bad box, all boxes bad --------------------------------------------------------------------------------------


@pytest.mark.parametrize("threat", THREATS)
@pytest.mark.parametrize(("protocol", "count"), SIZES)
@pytest.mark.parametrize("reveal", ["compute-nodes", "model-owner"])
@pytest.mark.parametrize("part", [slice(0, BOX_BYTES), TAGS])
def test_one_bad_box_ends_nothing_and_excludes_nobody(
    protocol: str, count: int, threat: str, reveal: str, part: slice
) -> None:
    """Garbage, or a share that is not what its tag says: the holder complains, and answers with an erasure."""
    values = scenario(count, protocol, {"upload": [7]}, threat=threat, reveal=reveal, **RETRY)
    played = play(values, {BAD: spoiling(lambda count: [count // 2], part)})
    assert (played.round.status, played.round.attempts, played.round.exact) == ("ok", 1, True)
    assert played.round.warnings == []
    assert played.round.dropped == {owner_name(7): "upload"}
    assert played.troubles == {}
    assert not played.notes("refuse")
    ((complainer, dealers),) = complaints(played).items()
    assert dealers == (BAD,)
    assert played.kept[played.said[0].label, complainer].held[BAD] == (ERASURE, ERASURE)
    Coalition(played, [BAD]).check_it_is_blind(count - 2)


@pytest.mark.parametrize("threat", THREATS)
@pytest.mark.parametrize(("protocol", "count"), SIZES)
def test_when_all_boxes_are_bad_the_second_attempt_goes_without_their_dealer(
    protocol: str, count: int, threat: str
) -> None:
    played = play(scenario(count, protocol, threat=threat, rounds=2, **RETRY), {BAD: ALL_BOXES})
    first, second = played.result.rounds
    assert (first.status, first.attempts, first.exact) == ("ok", 2, True)
    everyone_else = [owner for owner in owners(*range(count)) if owner != BAD]
    assert first.survivors == everyone_else
    assert first.dropped == {BAD: "upload"}
    assert first.reason is not None
    assert f"holders of the secrets of {BAD} are left" in first.reason
    assert first.warnings == [
        f"not invited again in this run: {BAD} (sealed boxes of which more owners complain than can be corrupt)"
    ]
    assert (second.attempts, second.survivors, second.warnings) == (1, everyone_else, [])
    assert second.dropped == {BAD: "publish"}
    assert {each.label.attempt for each in played.said if each.sender == BAD and each.label.round == 0} == {1}
    assert not [each for each in played.said if each.sender == BAD and each.label.round == 1]


def test_the_attempt_ends_before_there_are_survivors() -> None:
    played = play(scenario(12, "secagg", threat="lying", **{**RETRY, "on_failure": "abort"}), {BAD: ALL_BOXES})
    assert played.result.status == "failed"
    assert not played.of(m.Survivors)
    assert not played.of(m.CertifyRequest)
    assert played.round.dropped == {BAD: "upload"}


@pytest.mark.parametrize("threat", THREATS)
def test_a_box_that_holds_what_is_no_share_is_a_bad_one(threat: str) -> None:
    """It opens, and on what was tagged, but a number in it is not below p."""

    class NoShares(OwnerSecrets):
        def seal_shares(self, session: Session, me: Player) -> tuple[bytes, bytes]:
            if me != BAD:
                return super().seal_shares(session, me)
            right = shamir.share_to_bytes
            count = iter(range(10**6))

            def one_beyond(shares: Any) -> bytes:
                said = right(shares)
                return said[: shamir.SHARE_BYTES] + b"\xff" * shamir.SHARE_BYTES if next(count) == 0 else said

            with mock.patch.object(shamir, "share_to_bytes", one_beyond):
                return super().seal_shares(session, me)

    played = play(scenario(12, "secagg", threat=threat, **RETRY), secrets=NoShares)
    assert (played.round.attempts, played.round.exact) == (1, True)
    assert complaints(played) == {owner_name(0): (BAD,)}
    assert played.round.warnings == []


@pytest.mark.parametrize("threat", THREATS)
def test_over_sockets_a_complaint_is_heard_before_its_owner_is_in_the_sum(
    threat: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the erasure that follows would be a wrong share, and the round would say so."""

    class Spoils(OwnerSecrets):
        def seal_shares(self, session: Session, me: Player) -> tuple[bytes, bytes]:
            data, commitment = super().seal_shares(session, me)
            return (bytes([data[0] ^ 1]) + data[1:] if me == BAD else data), commitment

    monkeypatch.setattr(owner, "OwnerSecrets", Spoils)
    result = asyncagg.run({**scenario(10, "secagg", threat=threat, rounds=5, **RETRY), "engine": "tcp"})
    assert result["status"] == "ok"
    for each in result["rounds"]:
        assert (each["attempts"], each["exact"], each["warnings"]) == (1, True, [])


# -- no message more -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threat", THREATS)
@pytest.mark.parametrize(("protocol", "count"), SIZES)
def test_a_clean_round_has_no_message_more(protocol: str, count: int, threat: str) -> None:
    """But `sharers-fixed` and its answer, on a k-regular graph against a lying lead."""
    values = scenario(count, protocol, threat=threat, **RETRY)
    counted = kinds(play(values))
    fixed = protocol == "secagg+" and threat == "lying"
    lying = threat == "lying"
    assert "complaint" not in counted
    assert counted.pop("sharers-fixed", 0) == counted.pop("sharers-signed", 0) == int(fixed)
    assert counted.pop("roster-fixed", 0) == counted.pop("beacon", 0) == int(fixed)
    assert counted.pop("certify-request", 0) == counted.pop("certify", 0) == count * lying
    assert counted.pop("certificate", 0) == 2 * lying
    each = dict.fromkeys(["joined", "advertise", "roster", "sealed-shares", "share-boxes"], count)
    ends = dict.fromkeys(["unmask-request", "unmask-shares"], count)
    nodes = {"masked-slice": 2 * count, "held": 2 * count, "commit": 2 * count}
    rest = {"survivors": 2, "mask-keys": 2, "sum-slice": 2, "report": 1}
    assert counted == each | ends | nodes | rest


# -- false complaints, framing ---------------------------------------------------------------------------------------


def complaining(pick: Callable[[Context], Iterable[Player]]) -> Twist:
    """Complain before the upload, whatever the boxes were like."""

    def before(context: Context, effect: Effect) -> Iterable[Effect]:
        match effect:
            case Send(to, m.MaskedSlice()) if to == LEAD:
                yield Send(LEAD, m.Complaint(context.bitmap_of(pick(context))))
        yield effect

    return before


@pytest.mark.parametrize("threat", THREATS)
def test_who_complains_of_too_many_is_out_and_nobody_else_is(threat: str) -> None:
    """R1: n = 12 and n_c = 1, so two complaints are one too many."""
    played = play(
        scenario(12, "secagg", threat=threat, rounds=2, **RETRY), {BAD: complaining(lambda context: owners(5, 6))}
    )
    first, second = played.result.rounds
    assert (first.attempts, first.exact, first.dropped) == (1, True, {BAD: "upload"})
    assert "complained of 2 dealers, of which at most 1 are corrupt" in played.notes("drop", BAD)
    assert first.warnings == [
        f"not invited again in this run: {BAD} (complained of more boxes than corrupt owners can have sealed)"
    ]
    assert (second.dropped, second.exact) == ({BAD: "publish"}, True)


@pytest.mark.parametrize("threat", THREATS)
def test_framing_does_nothing_while_enough_holders_are_left(threat: str) -> None:
    played = play(
        scenario(12, "secagg", {"upload": [9]}, threat=threat, **RETRY), {BAD: complaining(lambda context: owners(5))}
    )
    assert (played.round.attempts, played.round.exact) == (1, True)
    assert played.round.dropped == {owner_name(9): "upload"}
    assert played.round.warnings == []


@pytest.mark.parametrize("reveal", ["compute-nodes", "model-owner"])
def test_framing_where_just_enough_are_left_costs_the_framer_its_place_too(reveal: str) -> None:
    """n = 12, t = 7, five lost: any complaint dooms its dealer. Which of the two lies, nobody can tell."""
    policy = {**RETRY, "dropout": 0.45, "on_failure": "skip"}
    values = scenario(12, "secagg", {"upload": range(7, 12)}, rounds=2, reveal=reveal, **policy)
    values["faults"][0]["rounds"] = [0]
    played = play(values, {BAD: complaining(lambda context: owners(5))})
    first, second = played.result.rounds
    assert "6 holders of the secrets of data-owner-5 are left, the threshold is 7" in (first.reason or "")
    pair = [BAD, owner_name(5)]
    assert all(each in first.warnings[0] for each in pair)
    assert first.warnings[0].count("disagrees with another owner about a box") == 2
    assert (first.status, second.status, second.exact) == ("skipped", "ok", True)
    assert second.dropped == dict.fromkeys(pair, "publish")
    assert second.survivors == [each for each in owners(*range(12)) if each not in pair]


@pytest.mark.parametrize("dealers", [[2], [99], [], [7]])
def test_a_complaint_about_boxes_that_were_not_given_drops_its_owner_alone(dealers: list[int]) -> None:
    """About itself, somebody beyond the population, nobody, or one that shared nothing."""
    bitmap = bytearray(2)
    for index in dealers:
        if index < 16:
            bitmap[index >> 3] |= 1 << (index & 7)
    wrong = bytes(bitmap) if dealers != [99] else bytes(13)

    def complain(context: Context, effect: Effect) -> Iterable[Effect]:
        match effect:
            case Send(to, m.MaskedSlice()) if to == LEAD:
                yield Send(LEAD, m.Complaint(wrong))
        yield effect

    played = play(scenario(12, "secagg", {"share": [7]}, **RETRY), {BAD: complain})
    assert (played.round.attempts, played.round.exact) == (1, True)
    assert played.round.dropped == {BAD: "upload", owner_name(7): "share"}
    assert played.round.warnings == []


def test_a_complaint_that_comes_after_the_upload_is_not_heard() -> None:
    """So an erasure that follows is a wrong share."""

    def late(context: Context, effect: Effect) -> Iterable[Effect]:
        match effect:
            case Send(to, m.UnmaskShares(data)):
                yield Send(LEAD, m.Complaint(context.bitmap_of(owners(5))))
                place = 5 * len(ERASURE)
                yield Send(to, m.UnmaskShares(bytes(data[:place]) + ERASURE + bytes(data[place + len(ERASURE) :])))
            case _:
                yield effect

    played = play(scenario(12, "secagg", **RETRY), {BAD: late})
    assert (played.round.attempts, played.round.exact) == (1, True)
    assert played.round.warnings == [f"not invited again in this run: {BAD} (answered with wrong shares)"]


def test_a_second_complaint_ends_its_owners_part_alone() -> None:
    def twice(context: Context, effect: Effect) -> Iterable[Effect]:
        match effect:
            case Send(to, m.MaskedSlice()) if to == LEAD:
                yield Send(LEAD, m.Complaint(context.bitmap_of(owners(5))))
                yield Send(LEAD, m.Complaint(context.bitmap_of(owners(6))))
        yield effect

    played = play(scenario(12, "secagg", **RETRY), {BAD: twice})
    assert "sent complaint 2 times" in played.notes("refuse", BAD)
    assert (played.round.attempts, played.round.exact) == (1, True)
    assert played.round.warnings == []


# -- a lead that spoils boxes ----------------------------------------------------------------------------------------


def relayed(count: int, part: slice = slice(0, BOX_BYTES)) -> Twist:
    """The lead spoils the first so many boxes of every owner but owner 0, its own."""

    def spoil(context: Context, effect: Send) -> Iterable[Effect]:
        message = effect.message
        assert isinstance(message, m.ShareBoxes)
        data = bytearray(message.data)
        for place in range(count if effect.to != owner_name(0) else 0):
            entry = slice(place * ENTRY_BYTES + part.start, place * ENTRY_BYTES + part.stop)
            data[entry] = bytes(each ^ 0x55 for each in data[entry])
        yield Send(effect.to, replace(message, data=bytes(data)))

    return sending(m.ShareBoxes, spoil)


@pytest.mark.parametrize("threat", THREATS)
@pytest.mark.parametrize("part", [slice(0, BOX_BYTES), TAGS])
@pytest.mark.parametrize(("protocol", "count"), SIZES)
def test_more_bad_boxes_than_corrupt_dealers_name_the_lead(protocol: str, count: int, threat: str, part: slice) -> None:
    played = play(scenario(count, protocol, threat=threat, **RETRY), {"lead": relayed(10, part)})
    assert played.result.status == "failed"
    trouble = played.troubles[owner_name(5)]
    assert trouble.startswith(f"{LEAD}: 10 of the boxes it relayed are bad, and at most ")
    assert "it lies, or the connection to it is broken" in trouble
    assert {each.sender for each in played.of(m.MaskedSlice)} <= {owner_name(0)}


@pytest.mark.parametrize("threat", THREATS)
def test_a_lead_that_spoils_few_boxes_gains_nothing(threat: str) -> None:
    """Masks are as U2 says: it makes owners complain of an honest one, which is denial of service and no more."""
    played = play(scenario(12, "secagg", threat=threat, **{**RETRY, "on_failure": "abort"}), {"lead": relayed(1)})
    assert played.result.status == "failed"
    heard = complaints(played)
    assert heard == {each: (owner_name(0),) for each in owners(*range(1, 12)) if each in heard}
    assert len(heard) >= 5
    Coalition(played, owners(0)).check_it_is_blind(10)
    assert index_of(next(iter(played.round.dropped))) == 0
