"""Attacks 4, 5, 10 and 17: who is in a roster, with which keys and parameters, and who draws its graph."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from support.attack_driver import Coalition, Twist, changed, owners, play, scenario, sending

from asyncagg.crypto.signing import Identity
from asyncagg.engines.experiment import prepare
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context, GraphPolicy
from asyncagg.protocols.effects import Effect, Enter, Rejected, Send
from asyncagg.protocols.names import LEAD, MODEL_OWNER, Label, owner_name
from asyncagg.protocols.parameters.graph import masking_graph
from asyncagg.protocols.parameters.population import Population, exact
from asyncagg.protocols.secagg.owner import check_sharers
from asyncagg.protocols.secagg.session import Session
from asyncagg.protocols.steps.roster import Member, advert_text
from asyncagg.scenario.reading.load import parse

PROTOCOLS = ("pairwise", "secagg")
BAD = owner_name(2)


def roster_of(change: Any) -> Twist:
    """The lead's roster with its entries, members and so on changed, in every copy."""

    def twist(context: Context, effect: Send) -> Iterable[Effect]:
        return (Send(effect.to, change(context, effect.to, effect.message)),)

    return sending(m.Roster, twist)


def subset(context: Context, roster: m.Roster, indices: Iterable[int]) -> m.Roster:
    kept = list(indices)
    return replace(
        roster,
        members=context.bitmap_of(owner_name(index) for index in kept),
        entries=tuple(entry for entry in roster.entries if entry[0] in kept),
    )


# -- Sybils and small rosters ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_owner_without_its_identity_is_dropped_by_name(protocol: str) -> None:
    """A Sybil: keys of its own, signed by a key that nobody pinned."""

    def forge(context: Context, effect: Send) -> Iterable[Effect]:
        advert = effect.message
        assert isinstance(advert, m.Advertise)
        member = Member(context.me, advert.mask_key, advert.sealing_key, advert.digest, b"")
        signature = Identity(bytes(32)).sign(advert_text(context, member))
        yield Send(effect.to, replace(advert, signature=signature))

    played = play(scenario(8, protocol, threat="lying"), {BAD: sending(m.Advertise, forge)})
    assert f"the signature of {BAD} on its keys is wrong" in played.notes("drop", BAD)
    assert played.round.exact
    assert played.round.dropped == {BAD: "advertise"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_lead_cannot_put_keys_of_its_own_under_an_owners_name(protocol: str) -> None:
    def swap(context: Context, to: str, roster: m.Roster) -> m.Roster:
        entries = tuple(
            (index, bytes([9]) + key[1:], sealing, own, signature)
            if owner_name(index) == BAD and to != BAD
            else (index, key, sealing, own, signature)
            for index, key, sealing, own, signature in roster.entries
        )
        return replace(roster, entries=entries)

    played = play(scenario(6, protocol, threat="lying"), {"lead": roster_of(swap)})
    assert f"the signature of {BAD} on its keys is wrong" in played.troubles[owner_name(0)]
    # In pairwise the one owner that was shown the truth goes on: its masks with all the others are whole.
    assert {said.sender for said in played.of(m.MaskedSlice)} <= {BAD}
    assert played.result.status == "failed"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_roster_of_the_victim_and_the_colluders_is_refused(protocol: str) -> None:
    def few(context: Context, to: str, roster: m.Roster) -> m.Roster:
        return subset(context, roster, (0, 1, int(to.rpartition("-")[2])))

    played = play(scenario(10, protocol, threat="lying"), {"lead": roster_of(few)})
    assert "a roster of 3 owners, must be at least 7" in played.troubles[owner_name(5)]
    assert not played.of(m.MaskedSlice)


def test_owners_from_outside_the_cohort_are_refused() -> None:
    """A cohort of 6 of 20: the lead calls in a colluder that was not invited, with a good signature."""
    values = scenario(20, "secagg", threat="lying")
    values["owners"]["per_round"] = 6

    def stranger(context: Context, to: str, roster: m.Roster) -> m.Roster:
        absent = next(index for index in range(20) if owner_name(index) not in context.cohort)
        entries = [(absent, bytes(31) + b"\1", bytes(31) + b"\2", b"", bytes(64)), *roster.entries]
        members = context.bitmap_of([*context.players_in(roster.members), owner_name(absent)])
        return replace(roster, members=members, entries=tuple(sorted(entries)))

    played = play(values, {"lead": roster_of(stranger)})
    assert any("which is not invited to this attempt" in trouble for trouble in played.troubles.values())
    assert not played.of(m.MaskedSlice)


@pytest.mark.parametrize("threat", ["curious", "lying"])
def test_pairwise_masks_with_the_whole_roster_or_not_at_all(threat: str) -> None:
    """All are members, but the victim is shown its own entry and a colluder's alone, beside some root."""

    def hide(context: Context, to: str, roster: m.Roster) -> m.Roster:
        shown = tuple(entry for entry in roster.entries if owner_name(entry[0]) in (to, owner_name(0)))
        return replace(roster, entries=shown, root=bytes(32))

    played = play(scenario(6, "pairwise", threat=threat), {"lead": roster_of(hide)})
    assert "the roster does not list all its members" in played.troubles[owner_name(3)]
    assert not played.of(m.MaskedSlice)


def test_a_lying_lead_shows_the_whole_roster() -> None:
    def hide(context: Context, to: str, roster: m.Roster) -> m.Roster:
        return replace(roster, entries=roster.entries[:5] + roster.entries[6:], root=bytes(32))

    played = play(scenario(8, "secagg", threat="lying"), {"lead": roster_of(hide)})
    assert "a lying lead has to show the whole roster" in played.troubles[owner_name(0)]
    assert not played.of(m.MaskedSlice)


def test_nobody_dictates_a_threshold() -> None:
    """There is no message that carries one: owners compute it, for the population they were given."""
    names = {field for kind in m.KINDS.values() for field in kind.__dataclass_fields__}
    assert not names & {"threshold", "t", "neighbours", "k", "degree", "dropped_owners"}


# -- U2 --------------------------------------------------------------------------------------------------------------


def session_of(count: int, corrupt: str, dropout: str) -> tuple[Context, Session]:
    """An owner's session of `count` owners against a lying lead, without keys: what U2 is checked against."""
    experiment = prepare(parse(scenario(3, "secagg", threat="lying")))
    population = Population(count, exact(corrupt), exact(dropout), "lying")
    policy = GraphPolicy("secagg+", population)
    known = {"graph": policy, "population": count, "cut": None, "cohorts": None, "assumed": None}
    terms = replace(experiment.terms(bytes(16)), minimum_cohort=2, **known)
    context = Context(terms, owner_name(7), Label(0, 1), bytes((count + 7) // 8), bytes(32), None)  # type: ignore[arg-type]
    parameters = policy.parameters(count)
    names = tuple(owner_name(index) for index in range(count))
    graph = masking_graph(count, parameters.neighbours, bytes(32))
    return context, Session(context, names, {}, bytes(32), parameters, graph)


@pytest.mark.parametrize("count", [2000, 10_000])
def test_an_owner_masks_with_at_least_a_threshold_of_neighbours(count: int) -> None:
    """A lead that may lose more owners than one has neighbours leaves all of the victim's out of its U2.

    It would upload with its self mask alone, and its neighbours, to whom it was said to be in U2, would open that.
    """
    context, session = session_of(count, "0.05", "0.05")
    near = dict.fromkeys(session.neighbours(context.me))
    t = session.threshold
    assert len(near) <= count - session.survivors_floor()
    nobody = tuple(name for name in session.names if name not in near)
    with pytest.raises(Rejected, match=f"0 holders of the secrets of {context.me} are left, the threshold is {t}"):
        check_sharers(context, session, nobody)
    spared = dict.fromkeys(list(near)[: t - 1])
    with pytest.raises(Rejected, match=f"{t - 1} holders of the secrets"):
        check_sharers(context, session, tuple(name for name in session.names if name not in near or name in spared))
    spared = dict.fromkeys(list(near)[:t])
    check_sharers(context, session, tuple(name for name in session.names if name not in near or name in spared))


def test_a_small_u2_is_refused() -> None:
    """The victim is told that it shares with a colluder alone; its pairwise mask would be known."""

    def small(context: Context, effect: Send) -> Iterable[Effect]:
        boxes = effect.message
        assert isinstance(boxes, m.ShareBoxes)
        members = context.bitmap_of({effect.to: None, owner_name(0): None})
        yield Send(effect.to, replace(boxes, sharers=members))

    played = play(scenario(8, "secagg", threat="lying"), {"lead": sending(m.ShareBoxes, small)})
    assert "2 owners shared their secrets, 5 are needed" in played.troubles[owner_name(3)]
    assert not played.of(m.MaskedSlice)


# -- parameters ------------------------------------------------------------------------------------------------------


def one_ulp(*kinds: type[m.Message]) -> Twist:
    """An owner that was given other parameters than everyone else says so in each of its messages."""

    def twist(context: Context, effect: Effect) -> Iterable[Effect]:
        match effect:
            case Send(to, message) if isinstance(message, kinds):
                return (Send(to, replace(message, digest=bytes(32))),)  # type: ignore[call-arg]
        return (effect,)

    return twist


@pytest.mark.parametrize("protocol", ["plain", "pairwise", "additive", "secagg", "secagg+"])
def test_an_owner_with_other_parameters_is_dropped_by_name(protocol: str) -> None:
    played = play(scenario(6, protocol), {BAD: one_ulp(m.Joined, m.Advertise)})
    assert "parameters-differ" in played.notes("drop", BAD)
    assert played.round.exact
    assert played.round.dropped == {BAD: "publish"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_other_parameters_are_noticed_in_the_advert(protocol: str) -> None:
    played = play(scenario(6, protocol), {BAD: one_ulp(m.Advertise)})
    assert "parameters-differ" in played.notes("drop", BAD)
    assert played.round.dropped == {BAD: "advertise"}


@pytest.mark.parametrize("protocol", ["plain", "additive"])
def test_other_parameters_are_noticed_in_the_upload(protocol: str) -> None:
    played = play(scenario(6, protocol), {BAD: one_ulp(m.MaskedSlice, m.SealedSeed)})
    assert any("parameters-differ" in reason for reason in played.notes("drop", BAD))
    assert played.round.dropped == {BAD: "upload"}


@pytest.mark.parametrize("threat", ["curious", "lying"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_two_digests_in_a_roster_end_it_before_anything_is_sealed(protocol: str, threat: str) -> None:
    def two(context: Context, to: str, roster: m.Roster) -> m.Roster:
        first, *others = roster.entries
        return replace(roster, entries=((*first[:3], bytes(32), first[4]), *others))

    played = play(scenario(6, protocol, threat=threat), {"lead": roster_of(two)})
    assert "parameters-differ" in played.troubles[owner_name(3)]
    assert not played.of(m.SealedShares)
    assert not played.of(m.MaskedSlice)


# -- keys ------------------------------------------------------------------------------------------------------------


def high_bit(key: bytes) -> bytes:
    return key[:31] + bytes([key[31] ^ 0x80])


KEYS = {
    "small order": (lambda advert: bytes(32), "small order"),
    "small order, 1": (lambda advert: b"\1" + bytes(31), "small order"),
    "the other key": (lambda advert: advert.sealing_key, "its key is somebody's key already"),
    "twin of the other key": (lambda advert: high_bit(advert.sealing_key), "its key is somebody's key already"),
}


@pytest.mark.parametrize("threat", ["curious", "lying"])
@pytest.mark.parametrize("name", KEYS)
def test_a_bad_key_drops_its_owner_alone(name: str, threat: str) -> None:
    key, reason = KEYS[name]

    def resign(context: Context, effect: Send) -> Iterable[Effect]:
        advert = effect.message
        assert isinstance(advert, m.Advertise)
        member = Member(context.me, key(advert), advert.sealing_key, advert.digest, b"")
        yield Send(
            effect.to, replace(advert, mask_key=key(advert), signature=context.sign(advert_text(context, member)))
        )

    played = play(scenario(8, "secagg", threat=threat), {BAD: sending(m.Advertise, resign)})
    assert any(reason in each for each in played.notes("drop", BAD))
    assert played.round.exact
    assert played.round.dropped == {BAD: "advertise"}


@pytest.mark.parametrize("twin", [False, True])
def test_a_copied_key_drops_whoever_comes_second(twin: bool) -> None:
    first: list[bytes] = []

    def note(context: Context, effect: Send) -> Iterable[Effect]:
        assert isinstance(effect.message, m.Advertise)
        first.append(effect.message.mask_key)
        yield effect

    def copy(context: Context, effect: Send) -> Iterable[Effect]:
        key = high_bit(first[0]) if twin else first[0]
        yield Send(effect.to, replace(effect.message, mask_key=key))  # type: ignore[call-arg]

    twists = {owner_name(0): sending(m.Advertise, note), owner_name(5): sending(m.Advertise, copy)}
    played = play(scenario(8, "secagg"), twists)
    assert "its key is somebody's key already" in played.notes("drop", owner_name(5))
    assert played.round.exact


@pytest.mark.parametrize(("protocol", "key"), [("secagg", b""), ("pairwise", bytes(32)), ("secagg", b"short")])
def test_a_sealing_key_that_is_none_drops_its_owner_alone(protocol: str, key: bytes) -> None:
    played = play(scenario(8, protocol), {BAD: changed(m.Advertise, sealing_key=key)})
    assert played.round.exact
    assert played.round.dropped == {BAD: "advertise"}


@pytest.mark.parametrize("twin", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_owner_refuses_its_own_key_under_another_name(protocol: str, twin: bool) -> None:
    """A reflected key, and its twin: the mask would be one that the owner shares with itself."""

    def reflect(context: Context, to: str, roster: m.Roster) -> m.Roster:
        own = next(entry[1] for entry in roster.entries if owner_name(entry[0]) == to)
        other = next(entry for entry in roster.entries if owner_name(entry[0]) != to)
        forged = (other[0], high_bit(own) if twin else own, *other[2:])
        return replace(roster, entries=tuple(forged if entry == other else entry for entry in roster.entries))

    played = play(scenario(6, protocol), {"lead": roster_of(reflect)})
    assert "have the same key" in played.troubles[owner_name(3)]
    assert not played.of(m.MaskedSlice)


def test_a_small_order_key_in_a_roster_is_refused_by_name() -> None:
    def small(context: Context, to: str, roster: m.Roster) -> m.Roster:
        entries = [
            (entry[0], entry[1], bytes(32), *entry[3:]) if owner_name(entry[0]) == BAD and to != BAD else entry
            for entry in roster.entries
        ]
        return replace(roster, entries=tuple(entries))

    played = play(scenario(6, "secagg"), {"lead": roster_of(small)})
    assert f"{BAD}: a public key of small order" in played.troubles[owner_name(0)]
    assert not played.of(m.MaskedSlice)


# -- the beacon ------------------------------------------------------------------------------------------------------

GRAPH = {"threat": "lying", "corrupt": 0.05, "dropout": 0.05, "minimum_cohort": 3}


@pytest.mark.parametrize("change", ["value", "root"])
def test_a_beacon_that_is_not_the_model_owners_for_this_roster_is_refused(change: str) -> None:
    """Drawn by the lead itself, or asked for with another roster: the graph would be the lead's choice."""
    twist = (
        changed(m.Roster, beacon=bytes(32))
        if change == "value"
        else changed(m.RosterFixed, root=lambda fixed: bytes(32))
    )
    played = play(scenario(51, "secagg+", **GRAPH), {"lead": twist})
    assert "the beacon is not the model owner's for this roster" in played.troubles[owner_name(0)]
    assert not played.of(m.SealedShares)


def test_the_model_owner_gives_one_beacon_an_attempt() -> None:
    def again(context: Context, effect: Send) -> Iterable[Effect]:
        yield effect
        yield effect

    played = play(scenario(51, "secagg+", **GRAPH), {"lead": sending(m.RosterFixed, again)})
    assert "sent roster-fixed 2 times" in played.notes("refuse", LEAD)
    assert len(played.of(m.Beacon, sender=MODEL_OWNER)) == 1


def test_with_its_beacon_a_graph_is_drawn_and_opens_nothing_but_the_sum() -> None:
    played = play(scenario(51, "secagg+", {"upload": [3]}, **GRAPH))
    assert played.round.exact
    assert len(played.of(m.Beacon)) == 1
    Coalition(played, owners(0, 1)).check_it_is_blind(48)


def test_a_phase_is_not_entered_twice() -> None:
    """The lead plays the same code as everyone: its phases are those of the protocol, in order."""
    phases: list[str] = []

    def note(context: Context, effect: Effect) -> Iterable[Effect]:
        match effect:
            case Enter(name):
                phases.append(name)
        return (effect,)

    play(scenario(6, "secagg", threat="lying"), {"lead": note})
    assert phases == ["publish", "advertise", "share", "upload", "certify", "unmask", "reveal"]
