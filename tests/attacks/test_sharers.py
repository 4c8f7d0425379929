"""Another U2 for each owner: on the complete graph the floor of t stops it, on a k-regular one a signature."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from support.attack_driver import Coalition, Twist, changed, owners, play, scenario, sending

from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context, Terms
from asyncagg.protocols.effects import Abort, Effect, Rejected, Send
from asyncagg.protocols.names import LEAD, MODEL_OWNER, Player, owner_name
from asyncagg.protocols.secagg import owner, sharers_signature
from asyncagg.protocols.secagg.owner_secrets import ENTRY_BYTES
from asyncagg.protocols.secagg.session import Session

CORRUPT = owner_name(0)
VICTIM = owner_name(1)


def telling(players: Iterable[Player], others: Iterable[Player]) -> Twist:
    """Tell these owners that U2 is `others` alone, and show them those boxes alone."""
    told, shown = dict.fromkeys(players), dict.fromkeys(others)

    def shorten(context: Context, effect: Send) -> Iterable[Send]:
        message = effect.message
        assert isinstance(message, m.ShareBoxes)
        if effect.to not in told:
            return (effect,)
        senders = [player for player in context.players_in(message.sharers) if player != effect.to]
        boxes = [
            bytes(message.data[place * ENTRY_BYTES : (place + 1) * ENTRY_BYTES])
            for place, sender in enumerate(senders)
            if sender in shown
        ]
        return (Send(effect.to, replace(message, data=b"".join(boxes), sharers=context.bitmap_of(shown))),)

    return sending(m.ShareBoxes, shorten)


# -- the complete graph ----------------------------------------------------------------------------------------------


def with_floor(below: int) -> Callable[[Context, Session, tuple[Player, ...]], None]:
    """An owner's check on U2 with a floor of t − `below`."""

    def check(context: Context, session: Session, sharers: tuple[Player, ...]) -> None:
        floor = session.threshold - below
        if len(sharers) < floor:
            raise Rejected(f"{len(sharers)} owners shared their secrets, {floor} are needed")

    return check


@pytest.mark.parametrize(("count", "part"), [(4, owners(1)), (6, owners(1, 2)), (8, owners(1, 2, 3))])
def test_a_floor_of_t_less_one_would_open_a_part_of_the_sum(
    count: int, part: list[Player], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control. t = ⌊(n + 1)/2⌋ + 1 and one corrupt owner: the part masks with it and among itself alone.

    Everybody else, and the corrupt, sign that all survived, and open the part's self masks with all others.
    """
    monkeypatch.setattr(owner, "check_sharers", with_floor(1))
    values = scenario(count, "secagg", threat="lying", corrupt=0.1, dropout=0.25)
    played = play(values, {"lead": telling(part, [CORRUPT, *part])})
    coalition = Coalition(played, [CORRUPT])
    assert dict.fromkeys(part) in coalition.sums()
    if part == [VICTIM]:
        assert coalition.inputs() == [VICTIM]
        assert (coalition.compute_input(VICTIM) == played.inputs[coalition.label, VICTIM]).all()


@pytest.mark.parametrize(("count", "part"), [(4, owners(1)), (6, owners(1, 2)), (8, owners(1, 2, 3))])
def test_the_floor_of_t_keeps_each_owner_masked_with_a_signer(count: int, part: list[Player]) -> None:
    values = scenario(count, "secagg", threat="lying", corrupt=0.1, dropout=0.25)
    played = play(values, {"lead": telling(part, [CORRUPT, *part])})
    t = (count + 1) // 2 + 1
    for player in part:
        assert played.troubles[player] == f"{1 + len(part)} owners shared their secrets, {t} are needed (in share)"
    assert not [each for each in played.of(m.MaskedSlice) if each.sender in part]
    Coalition(played, [CORRUPT]).check_it_is_blind(count - 1 - len(part))


@pytest.mark.parametrize(("count", "part"), [(4, owners(1)), (6, owners(1, 2)), (8, owners(1, 2, 3))])
def test_with_exactly_t_told_the_part_is_not_closed(count: int, part: list[Player]) -> None:
    """One more name in their U2 satisfies the floor; it is a signer's, and its masks with the part are not known."""
    values = scenario(count, "secagg", threat="lying", corrupt=0.1, dropout=0.25)
    played = play(values, {"lead": telling(part, [CORRUPT, *part, owner_name(len(part) + 1)])})
    assert {each.sender for each in played.of(m.MaskedSlice)} >= {*part}
    Coalition(played, [CORRUPT]).check_it_is_blind(count - 1)


# -- k-regular graphs ------------------------------------------------------------------------------------------------

RING: dict[str, Any] = {"threat": "lying", "corrupt": 0.05, "dropout": 0.05, "minimum_cohort": 3}
WRONG = "the signature on U2 is not the model owner's in this session (in share)"


@pytest.mark.parametrize("signature", [b"", bytes(64), b"short"])
def test_a_u2_that_the_model_owner_did_not_sign_is_refused(signature: bytes) -> None:
    played = play(scenario(51, "secagg+", **RING), {"lead": changed(m.ShareBoxes, signature=signature)})
    assert {*played.troubles.values()} == {WRONG}
    assert len(played.troubles) == 51
    assert not played.of(m.MaskedSlice)


@cache
def neighbours_of_the_victim() -> tuple[Player, ...]:
    """The graph is drawn from keys, and those of `sim` from the scenario's seed: it is the same in every run of it."""
    played = play(scenario(51, "secagg+", **RING))
    return next(iter(played.kept.values())).session.neighbours(VICTIM)


def test_one_owner_cannot_be_told_another_u2() -> None:
    """A neighbour is left out of the victim's U2 alone, and its box with it."""
    gone, *others = neighbours_of_the_victim()
    told = [player for player in owners(*range(51)) if player != gone]
    played = play(scenario(51, "secagg+", **RING), {"lead": showing(told, others)})
    assert played.troubles == {VICTIM: WRONG}
    assert not played.of(m.MaskedSlice, sender=VICTIM)


def test_without_the_signature_an_owner_masks_with_whom_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the same lie, and a mask that the neighbour has with the victim and the victim has not with it."""
    monkeypatch.setattr(sharers_signature, "check", lambda session, sharers, signature: None)
    gone, *others = neighbours_of_the_victim()
    told = [player for player in owners(*range(51)) if player != gone]
    played = play(scenario(51, "secagg+", **RING), {"lead": showing(told, others)})
    coalition = Coalition(played, [CORRUPT])
    assert VICTIM in coalition.uploads()
    assert gone not in coalition._partners(VICTIM)
    assert VICTIM in coalition._partners(gone)


def showing(told: list[Player], boxes_of: list[Player]) -> Twist:
    """Tell the victim that U2 is `told`, and show it the boxes of these of its neighbours."""

    def change(context: Context, effect: Send) -> Iterable[Send]:
        message = effect.message
        assert isinstance(message, m.ShareBoxes)
        if effect.to != VICTIM:
            return (effect,)
        places = [neighbours_of_the_victim().index(player) for player in boxes_of]
        data = b"".join(bytes(message.data[place * ENTRY_BYTES : (place + 1) * ENTRY_BYTES]) for place in places)
        return (Send(effect.to, replace(message, data=data, sharers=context.bitmap_of(told))),)

    return sending(m.ShareBoxes, change)


def test_the_model_owner_signs_one_u2_an_attempt() -> None:
    """A second one is refused, and with it the lead: the attempt is over."""

    def again(context: Context, effect: Send) -> Iterable[Send]:
        yield effect
        yield Send(MODEL_OWNER, m.SharersFixed(bytes(32)))

    played = play(scenario(51, "secagg+", **RING), {"lead": sending(m.SharersFixed, again)})
    assert "sent sharers-fixed 2 times" in played.notes("refuse", LEAD)
    assert len(played.of(m.SharersSigned, sender=MODEL_OWNER)) == 1
    assert played.means == {}


def test_the_model_owner_signs_nothing_before_the_roster_is_fixed() -> None:
    def before(context: Context, effect: Send) -> Iterable[Send]:
        yield Send(MODEL_OWNER, m.SharersFixed(bytes(32)))
        yield effect

    played = play(scenario(51, "secagg+", **RING), {"lead": sending(m.RosterFixed, before)})
    assert "sent sharers-fixed, which is not its to send" in played.notes("refuse", LEAD)
    assert not played.of(m.SharersSigned)
    assert not played.of(m.MaskedSlice)


def test_a_model_owner_that_asks_for_more_graphs_than_the_retries_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lead aborts attempts until a graph suits it; k and t are right for two of them, and it wants three."""

    def abort(context: Context, effect: Effect) -> Iterable[Effect]:
        spoil = isinstance(effect, Send) and isinstance(effect.message, m.ShareBoxes)
        return (Abort("the graph does not suit me"),) if spoil else (effect,)

    values = scenario(51, "secagg+", on_failure="retry", retries=2, **RING)
    monkeypatch.setattr(Terms, "most_attempts", 2)
    played = play(values, {"lead": abort})
    assert played.round.attempts == 3
    assert {each.label.attempt for each in played.of(m.Advertise)} == {1, 2}
    one_too_many = "attempt 3 of this run is one more than its rounds and retries have (2)"
    assert set(played.troubles.values()) == {one_too_many}


def test_a_signature_is_good_in_one_session_only() -> None:
    """The last attempt's signature on the same U2, shown again."""
    first: list[bytes] = []

    def replay(context: Context, effect: Send) -> Iterable[Send]:
        message = effect.message
        assert isinstance(message, m.ShareBoxes)
        if context.label.attempt == 1:
            first.append(message.signature)
            return ()
        return (Send(effect.to, replace(message, signature=first[0])),)

    values = scenario(51, "secagg+", on_failure="retry", retries=1, **RING)
    played = play(values, {"lead": sending(m.ShareBoxes, replay)})
    assert played.round.attempts == 2
    assert WRONG in played.troubles.values()
    assert not played.of(m.MaskedSlice)


def test_the_model_owner_opens_no_other_u2_than_it_signed() -> None:
    """The owner that was lost in upload is left out of U2: its masks would stay in, or be somebody's to choose."""

    def fewer(message: m.Opening) -> bytes:
        bitmap = bytearray(message.sharers)
        bitmap[0] &= ~(1 << 3)
        return bytes(bitmap)

    def commitments(message: m.Opening) -> bytes:
        return message.commitments[: 3 * 32] + message.commitments[4 * 32 :]

    values = scenario(51, "secagg+", {"upload": [3]}, reveal="model-owner", **RING)
    played = play(values, {"lead": changed(m.Opening, sharers=fewer, commitments=commitments)})
    assert "the opening names other sharers than those that were signed" in played.reason
    assert played.means == {}


@pytest.mark.parametrize("change", ["somebody outside U2", "itself", "twice", "of nobody's box"])
def test_the_model_owner_takes_no_complaints_that_cannot_be(change: str) -> None:
    """U2 is all but owner 7."""
    given = {
        "somebody outside U2": ((7, b"\x02\x00"),),
        "itself": ((1, b"\x02\x00"),),
        "twice": ((1, b"\x04\x00"), (1, b"\x04\x00")),
        "of nobody's box": ((1, b"\x80\x00"),),
    }[change]
    values = scenario(12, "secagg", {"share": [7]}, reveal="model-owner")
    played = play(values, {"lead": changed(m.Opening, complaints=given)})
    assert "the opening holds complaints about boxes that were not given" in played.reason
    assert played.means == {}
