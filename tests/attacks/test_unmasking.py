"""Attacks 1 to 3: both shares of one owner, different sets of survivors, vectors that come late."""

from collections.abc import Callable, Iterable

import pytest
from support.attack_driver import Coalition, changed, lead_said, owners, play, scenario, sending

from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import Effect, Enter, Role, Send, receive
from asyncagg.protocols.names import LEAD, MODEL_OWNER, Player, index_of, owner_name
from asyncagg.protocols.secagg import roles
from asyncagg.protocols.steps.lead import Lead

VICTIM = owner_name(3)
THREATS = ("curious", "lying")


def without(context: Context, members: bytes, player: Player) -> bytes:
    return context.bitmap_of(each for each in context.players_in(members) if each != player)


def asking_twice(context: Context, effect: Send) -> Iterable[Effect]:
    """After an owner was asked with the right survivors, ask it again as if the victim had dropped."""
    yield effect
    request = effect.message
    assert isinstance(request, m.UnmaskRequest)
    if effect.to != VICTIM:
        yield Send(effect.to, m.UnmaskRequest(without(context, request.members, VICTIM), request.signatures))


@pytest.mark.parametrize("threat", THREATS)
def test_an_owner_answers_one_request_a_session(threat: str) -> None:
    played = play(scenario(8, "secagg", threat=threat), {"lead": sending(m.UnmaskRequest, asking_twice)})
    assert "sent unmask-request 2 times" in played.notes("refuse", LEAD)
    assert len(played.of(m.UnmaskShares, sender=owner_name(0))) <= 1
    assert played.round.status == "failed"  # of such a lead an owner hears no more
    Coalition(played, owners(0)).check_it_is_blind(7)


@pytest.mark.parametrize("threat", THREATS)
def test_another_node_cannot_ask_instead(threat: str) -> None:
    """Compute node 1 asks for the other shares as soon as it holds a slice: nobody hears any more of it."""

    def ask(context: Context, effect: Send) -> Iterable[Effect]:
        members = context.bitmap_of(each for each in context.cohort if each != VICTIM)
        for player in context.cohort:
            yield Send(player, m.UnmaskRequest(members, ()))
        yield effect

    played = play(scenario(8, "secagg", threat=threat), {"compute-node-1": sending(m.Held, once(ask))})
    refused = played.notes("refuse", Player("compute-node-1"))
    assert refused == [f"sent unmask-request, which is not for it to say to {player}" for player in owners(*range(8))]
    assert played.round.exact  # they had sent it all that it needs
    Coalition(played, owners(0)).check_it_is_blind(7)


def once(change: Callable[[Context, Send], Iterable[Effect]]) -> Callable[[Context, Send], Iterable[Effect]]:
    """The change, for the first message alone."""
    done: list[bool] = []

    def first(context: Context, effect: Send) -> Iterable[Effect]:
        if done:
            return (effect,)
        done.append(True)
        return change(context, effect)

    return first


# -- different survivors to different owners -------------------------------------------------------------------------


def two_faced(context: Context) -> Role[None]:
    """A lead that tells half of the owners that the victim survived and the others that it dropped.

    Against a lying lead's owners it has signatures collected on both sets, and shows each half those on its own.
    """
    lead = Lead(context)
    yield from lead.gather("publish", m.Joined, lead.same_parameters)
    yield from roles._roster(lead)
    lead.alive.update(dict.fromkeys(lead.alive))
    shared = yield from lead.gather("share", m.SealedShares, lambda player, message: None)
    yield from relay(lead, shared)
    yield from lead.upload()
    yield from lead.announce()
    right = lead.bitmap(lead.survivors)
    wrong = without(context, right, VICTIM)
    others = [player for player in lead.survivors if player != VICTIM]
    half = len(others) // 2
    told = {**dict.fromkeys(others[:half], right), **dict.fromkeys(others[half:], wrong), VICTIM: right}
    signatures: dict[bytes, list[tuple[int, bytes]]] = {right: [], wrong: []}
    if context.terms.threat == "lying":
        yield Enter("certify")
        for player, members in told.items():
            yield Send(player, m.CertifyRequest(members))
        for player, members in told.items():
            answer = yield from receive(m.Certify, player)
            signatures[members].append((index_of(player), answer.signature))
    yield Enter("unmask")
    for player, members in told.items():
        yield Send(player, m.UnmaskRequest(members, tuple(signatures[members])))
    for player in told:
        yield from receive(m.UnmaskShares, player)


def relay(lead: Lead, shared: dict[Player, m.SealedShares]) -> Role[None]:
    """Every box to whom it is for, on the complete graph."""
    size = roles.BOX_BYTES
    names = list(shared)
    for receiver in names:
        boxes = b""
        for sender in names:
            if sender != receiver:
                place = [each for each in names if each != sender].index(receiver)
                boxes += bytes(shared[sender].data[place * size : (place + 1) * size])
        yield Send(receiver, m.ShareBoxes(boxes, lead.bitmap(lead.alive)))


def test_parameters_against_a_curious_lead_do_not_stop_a_lying_one() -> None:
    """The control: with t = n/2 and no certificate, the attack does compute the victim's input, to the last bit."""
    played = play(scenario(8, "secagg", threat="curious", threshold=4, dropout=0.4), lead=two_faced)
    coalition = Coalition(played, owners(0))
    assert coalition.inputs() == [VICTIM]
    assert (coalition.compute_input(VICTIM) == played.inputs[coalition.label, VICTIM]).all()


@pytest.mark.parametrize("count", [7, 8, 10, 11])
def test_two_sets_of_survivors_cannot_both_be_certified(count: int) -> None:
    played = play(scenario(count, "secagg", threat="lying", dropout=0.2), lead=two_faced)
    refusals = [trouble for trouble in played.troubles.values() if "members signed this set of survivors" in trouble]
    assert len(refusals) == count
    assert not played.of(m.UnmaskShares)
    assert played.result.status == "failed"
    Coalition(played, owners(0)).check_it_is_blind(count)


@pytest.mark.parametrize("corrupt", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("count", range(3, 30))
def test_at_the_exact_bound_two_halves_and_all_the_corrupt_fall_one_short(count: int, corrupt: float) -> None:
    from asyncagg.protocols.context import GraphPolicy
    from asyncagg.protocols.parameters.population import Population, exact

    population = Population(count, exact(corrupt), exact(0), "lying")
    quorum = GraphPolicy("secagg", population).quorum(count)
    n_c = population.corrupt_owners
    larger_half = (count - n_c + 1) // 2
    assert 2 * quorum > count + n_c
    assert min(larger_half, count - n_c - larger_half) + n_c < quorum


def test_an_owner_opens_only_the_set_it_signed() -> None:
    def other(context: Context, effect: Send) -> Iterable[Effect]:
        request = effect.message
        assert isinstance(request, m.UnmaskRequest)
        yield Send(effect.to, m.UnmaskRequest(without(context, request.members, VICTIM), request.signatures))

    played = play(scenario(8, "secagg", threat="lying"), {"lead": sending(m.UnmaskRequest, other)})
    assert "another set of survivors than was signed" in played.troubles[owner_name(0)]
    assert not played.of(m.UnmaskShares)
    Coalition(played, owners(0)).check_it_is_blind(7)


@pytest.mark.parametrize("threat", THREATS)
def test_survivors_outside_u2_are_refused(threat: str) -> None:
    """The victim fell silent in `share`; the lead counts it as a survivor all the same."""

    def add(message: m.UnmaskRequest | m.CertifyRequest) -> bytes:
        members = bytearray(message.members)
        members[0] |= 1 << index_of(VICTIM)
        return bytes(members)

    twist = changed(m.UnmaskRequest if threat == "curious" else m.CertifyRequest, members=add)
    played = play(scenario(8, "secagg", {"share": [3]}, threat=threat), {"lead": twist})
    assert "the survivors include an owner that is not in U2" in played.troubles[owner_name(0)]
    assert not played.of(m.UnmaskShares)


@pytest.mark.parametrize("threat", THREATS)
def test_an_owner_that_uploaded_is_in_the_sum_or_answers_nothing(threat: str) -> None:
    kind = m.UnmaskRequest if threat == "curious" else m.CertifyRequest

    def drop(context: Context, effect: Send) -> Iterable[Effect]:
        yield Send(effect.to, type(effect.message)(*without_self(context, effect)))  # type: ignore[call-arg]

    def without_self(context: Context, effect: Send) -> tuple[object, ...]:
        message = effect.message
        assert isinstance(message, m.UnmaskRequest | m.CertifyRequest)
        members = without(context, message.members, effect.to)
        return (members, message.signatures) if isinstance(message, m.UnmaskRequest) else (members,)

    played = play(scenario(6, "secagg", threat=threat), {"lead": sending(kind, drop)})
    assert "the survivors do not include this owner, which uploaded" in played.troubles[owner_name(0)]
    assert not played.of(m.UnmaskShares)


@pytest.mark.parametrize("threat", THREATS)
def test_too_few_survivors_are_not_opened(threat: str) -> None:
    """A lead that names itself, so to speak: the asked owner and one colluder as the only survivors."""
    kind = m.UnmaskRequest if threat == "curious" else m.CertifyRequest

    def two(context: Context, effect: Send) -> Iterable[Effect]:
        members = context.bitmap_of({effect.to: None, owner_name(0): None})
        message = effect.message
        yield Send(
            effect.to,
            m.UnmaskRequest(members, message.signatures)
            if isinstance(message, m.UnmaskRequest)
            else m.CertifyRequest(members),
        )

    played = play(scenario(8, "secagg", threat=threat), {"lead": sending(kind, two)})
    assert "2 survivors, at least 5 are needed" in played.troubles[VICTIM]
    assert not played.of(m.UnmaskShares)


# -- late vectors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["secagg", "secagg+"])
@pytest.mark.parametrize("threat", THREATS)
def test_a_vector_of_an_owner_declared_dead_stays_masked(threat: str, protocol: str) -> None:
    """A node hides the victim's upload, which it has; the victim's mask key is rebuilt, its own mask never is."""

    def hide(context: Context, effect: Send) -> Iterable[Effect]:
        message = effect.message
        assert isinstance(message, m.Held)
        return () if owner_name(message.owner) == VICTIM else (effect,)

    played = play(scenario(8, protocol, threat=threat), {"compute-node-1": sending(m.Held, hide)})
    assert played.round.exact
    assert played.round.dropped == {VICTIM: "upload"}
    coalition = Coalition(played, owners(0))
    assert VICTIM in coalition.uploads()
    assert (VICTIM, 0) in coalition.secrets
    assert (VICTIM, 1) not in coalition.secrets
    coalition.check_it_is_blind(6)


def test_what_comes_after_discard_is_not_added() -> None:
    """The owner is dropped for one slice that is wrong; its other one is at a node, and stays out of the sum."""
    flip = changed(m.MaskedSlice, ["compute-node-1"], data=lambda message: flipped(bytes(message.data)))
    played = play(scenario(6, "secagg"), {VICTIM: flip})
    assert played.round.exact
    assert played.round.dropped == {VICTIM: "upload"}
    assert any("checksum differs" in reason for reason in played.notes("drop", VICTIM))
    Coalition(played, owners(0)).check_it_is_blind(4)


def flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def test_boxes_of_two_sets_of_survivors_cannot_be_mixed() -> None:
    """Reveal `model-owner`: half of the answers are bound to another U3, and do not open."""

    def halves(context: Context, effect: Send) -> Iterable[Effect]:
        request = effect.message
        assert isinstance(request, m.UnmaskRequest)
        members = request.members if index_of(effect.to) < 5 else without(context, request.members, VICTIM)
        yield Send(effect.to, m.UnmaskRequest(members, request.signatures))

    values = scenario(9, "secagg", reveal="model-owner", threat="curious")
    played = play(values, {"lead": sending(m.UnmaskRequest, halves)})
    for late in owners(5, 6, 7, 8):
        assert "its box does not open" in played.notes("refuse", late)
    assert played.round.exact  # the five others are exactly t
    Coalition(played, owners(0)).check_it_is_blind(8)


def test_the_model_owner_refuses_a_set_without_its_certificate() -> None:
    values = scenario(8, "secagg", reveal="model-owner", threat="lying")
    played = play(values, {"lead": changed(m.Opening, signatures=())})
    assert "0 members signed this set of survivors, 5 are needed" in played.reason
    assert played.means == {}


def test_a_node_releases_nothing_without_the_certificate() -> None:
    played = play(scenario(8, "secagg", threat="lying"), {"lead": changed(m.Certificate, signatures=())})
    assert "0 members signed this set of survivors, 5 are needed" in "".join(played.notes("abort"))
    assert not played.of(m.SumSlice, to=MODEL_OWNER)


def test_the_model_owner_alone_with_everyone_but_the_owners_sees_the_sum_only() -> None:
    """Reveal `model-owner`: with the model owner in it, the coalition can compute the sum of all, and no less."""
    played = play(scenario(8, "secagg", {"upload": [3]}, reveal="model-owner", threat="lying"))
    Coalition(played, owners(0)).check_it_is_blind(8)
    coalition = Coalition(played, owners(0), model_owner=True)
    assert [len(each) for each in coalition.sums()] == [6]
    assert not lead_said(played, m.MaskKeys)
