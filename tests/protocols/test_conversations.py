"""All roles of every protocol by hand, in hundreds of random orders of delivery, with and without trouble.

What is promised each time: the sum of exactly the owners that are named as survivors, or a failure in words; never a
wrong sum and never a role that waits for ever.
"""

import random

import numpy as np
import pytest
from support.hand import LABEL, Faults, Hand, flipped

from asyncagg.protocols import messages as m
from asyncagg.protocols.names import LEAD, MODEL_OWNER, node_name, owner_name
from asyncagg.protocols.registry import BUILT_IN
from asyncagg.vectors.packing import unpack

NAMES = list(BUILT_IN)
VARIANTS = [
    *((name, {}) for name in NAMES),
    ("secagg", {"threat": "lying"}),
    ("secagg+", {"threat": "lying"}),
    ("secagg", {"reveal": "model-owner"}),
    ("plain", {"window": 2}),
    ("pairwise", {"window": 1}),
    ("additive", {"window": 1}),
]
IDS = [" ".join([name, *map(str, changes.values())]) for name, changes in VARIANTS]
variants = pytest.mark.parametrize(("name", "changes"), VARIANTS, ids=IDS)
SEEDS = range(30)
FEW = range(10)
O0, O1, O2, O3, O4 = map(owner_name, range(5))
N1, N2 = node_name(1), node_name(2)


def settled(hand: Hand) -> bool:
    """Right, or failed in words; and nobody is left waiting but who was told nothing, by a fault."""
    if hand.revealed is None:
        return bool(hand.reason or hand.lead.reason)
    return hand.is_right()


@variants
def test_every_order_of_delivery_gives_the_sum_of_everyone(name: str, changes: dict[str, object]) -> None:
    for seed in SEEDS:
        hand = Hand(name, seed=seed, **changes).play()
        assert hand.revealed is not None, (seed, hand.reason)
        assert hand.revealed.survivors == hand.owners
        assert hand.is_right(), seed
        assert hand.dropped == {}
        assert all(actor.done for roles in hand.actors.values() for actor in roles.values()), seed


@variants
@pytest.mark.parametrize("fate", ["dies", "silent"])
def test_owners_lost_at_any_effect_leave_a_right_sum_or_a_named_failure(
    name: str, changes: dict[str, object], fate: str
) -> None:
    sums = 0
    for seed in range(30):
        draw = random.Random(f"{fate}/{seed}")
        lost = {owner_name(index): draw.randrange(24) for index in draw.sample(range(5), draw.choice([1, 1, 2, 3]))}
        hand = Hand(name, seed=seed, faults=Faults(**{fate: lost}), **changes).play()
        assert settled(hand), (seed, lost, hand.reason)
        sums += hand.revealed is not None
        if hand.revealed is not None:
            assert set(hand.dropped) | set(hand.revealed.survivors) == set(hand.owners)
    assert sums > 5  # the property does not hold by failing always


@pytest.mark.parametrize("name", ["plain", "additive", "secagg", "secagg+"])
def test_one_owner_lost_at_any_effect_never_costs_the_others_their_round(name: str) -> None:
    for step in range(24):
        for fate in ("dies", "silent"):
            hand = Hand(name, seed=step, faults=Faults(**{fate: {O2: step}})).play()
            assert hand.revealed is not None, (step, hand.reason)
            assert hand.is_right()
            assert set(hand.owners) - {O2} <= set(hand.revealed.survivors)


def test_pairwise_names_whom_it_cannot_recover() -> None:
    hand = Hand("pairwise", faults=Faults(silent={O3: 7})).play()
    assert hand.revealed is None
    assert "pairwise cannot recover data-owner-3" in hand.lead.reason
    assert hand.dropped == {O3: "silent in upload"}


@variants
def test_an_owner_that_reaches_one_node_and_not_another_counts_nowhere(name: str, changes: dict[str, object]) -> None:
    def swallow(sender: str, to: str, message: m.Message) -> list[m.Message]:
        lost = sender == O1 and to == N2 and message.phase == "upload"
        return [] if lost else [message]

    for seed in FEW:
        hand = Hand(name, seed=seed, faults=Faults(tamper=swallow), **changes).play()
        assert O1 in hand.dropped
        if name == "pairwise":
            assert "cannot recover data-owner-1" in hand.reason
        else:
            assert hand.revealed is not None
            assert hand.revealed.survivors == (O0, O2, O3, O4)
            assert hand.is_right()


@pytest.mark.parametrize("name", NAMES)
def test_a_flipped_bit_drops_that_owner_as_checksum_or_box(name: str) -> None:
    def flip(sender: str, to: str, message: m.Message) -> list[m.Message]:
        if sender == O1 and to == LEAD and isinstance(message, m.MaskedSlice):
            return [flipped(message, 1)]
        return [message]

    for seed in range(10):
        hand = Hand(name, seed=seed, faults=Faults(tamper=flip)).play()
        assert hand.dropped[O1] == "compute-node-0: checksum differs: bytes changed on the way"
        assert set(hand.dropped) == {O1}
        assert hand.revealed is None or hand.is_right()


@pytest.mark.parametrize("public", [bytes(32), b"\x09" + bytes(31)], ids=["small order", "another key"])
def test_a_wrong_seed_box_drops_that_owner_and_nobody_else(public: bytes) -> None:
    def spoil(sender: str, to: str, message: m.Message) -> list[m.Message]:
        if sender == O1 and isinstance(message, m.SealedSeed):
            return [m.SealedSeed(message.digest, public, message.box, message.signature)]
        return [message]

    hand = Hand("additive", faults=Faults(tamper=spoil)).play()
    assert hand.revealed is not None
    assert hand.revealed.survivors == (O0, O2, O3, O4)
    assert hand.is_right()
    assert "compute-node" in hand.dropped[O1]


def test_a_node_key_of_small_order_is_refused_by_every_owner_in_words() -> None:
    def spoil(sender: str, to: str, message: m.Message) -> list[m.Message]:
        return [m.NodeKey(bytes(32), b"")] if isinstance(message, m.NodeKey) else [message]

    hand = Hand("additive", faults=Faults(tamper=spoil)).play()
    assert hand.revealed is None
    assert "small order" in hand.actors[O1]["owner"].reason


@variants
def test_a_message_said_twice_ends_its_senders_part_and_nobody_elses(name: str, changes: dict[str, object]) -> None:
    def twice(sender: str, to: str, message: m.Message) -> list[m.Message]:
        return [message, message] if sender == O4 else [message]

    for seed in range(20):
        hand = Hand(name, seed=seed, faults=Faults(tamper=twice), **changes).play()
        assert settled(hand), seed
        assert set(hand.dropped) <= {O4}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stranger", [O2, N1])
def test_what_is_not_a_players_to_say_is_refused_by_name(name: str, stranger: str) -> None:
    """An owner that commits, fixes survivors, reports and sends sums is refused wherever it does."""
    forged = [
        (N1, m.Commit(0)),
        (N2, m.Survivors(b"\x01")),
        (MODEL_OWNER, m.Report(b"\x03", (), (), ())),
        (MODEL_OWNER, m.SumSlice(b"\x00" * 9, bytes(16))),
        (LEAD, m.Held(0)),
        (LEAD, m.Faulty(0, "I say so")),
        (O0, m.Permit()),
    ]
    for seed in range(10):
        hand = Hand(name, seed=seed)
        for to, message in forged:
            if to != stranger and not (stranger == N1 and isinstance(message, m.Held | m.Faulty)):
                hand.inject(stranger, to, message)
        hand.play()
        assert settled(hand), seed
        assert set(hand.dropped) <= {O2}
        if stranger == O2 and name != "pairwise":
            assert hand.revealed is not None, (seed, hand.reason)
            assert {O0, O1, O3, O4} <= set(hand.revealed.survivors)


@pytest.mark.parametrize("name", NAMES)
def test_owners_with_other_parameters_are_dropped(name: str) -> None:
    def other(sender: str, to: str, message: m.Message) -> list[m.Message]:
        return [m.Joined(b"\x01" * 32)] if sender == O0 and isinstance(message, m.Joined) else [message]

    hand = Hand(name, faults=Faults(tamper=other)).play()
    assert hand.dropped == {O0: "parameters-differ"}
    assert hand.revealed is not None
    assert hand.revealed.survivors == (O1, O2, O3, O4)


@pytest.mark.parametrize("name", ["plain", "secagg"])
def test_a_lead_that_lies_to_nodes_about_the_survivors_gets_no_sum(name: str) -> None:
    def lie(sender: str, to: str, message: m.Message) -> list[m.Message]:
        return [m.Survivors(b"\x0f")] if isinstance(message, m.Survivors) and to == N1 else [message]

    hand = Hand(name, faults=Faults(tamper=lie)).play()
    assert hand.revealed is None
    assert "names 4 survivors, compute-node-1 added 5" in hand.reason


def test_a_sum_of_others_than_the_survivors_is_noticed_by_its_checksum() -> None:
    """A node that adds one owner's slice less is found out although its checksum is right."""
    hand = Hand("plain")
    context_sum = {}

    def lie(sender: str, to: str, message: m.Message) -> list[m.Message]:
        if isinstance(message, m.Commit) and to == N1 and message.batch == 2:
            context_sum["skipped"] = True
            return []
        if isinstance(message, m.Survivors) and to == N1:
            return [m.Survivors(b"\x1b")]
        return [message]

    hand.faults = Faults(tamper=lie)
    hand.play()
    assert context_sum == {"skipped": True}
    assert hand.revealed is None
    assert (
        "compute-node-1: the checksum of its sum differs: it is not over the 5 survivors of the report" in hand.reason
    )


@pytest.mark.parametrize("name", NAMES)
def test_fewer_than_the_minimum_cohort_never_get_a_sum(name: str) -> None:
    for seed in range(10):
        hand = Hand(name, seed=seed, faults=Faults(silent={O0: 2, O1: 2, O2: 2, O3: 2})).play()
        assert hand.revealed is None
        assert "the minimum cohort is 2" in hand.reason or "at least 2 are needed" in hand.reason


@pytest.mark.parametrize("name", NAMES)
def test_a_node_never_holds_more_than_a_window_of_uncommitted_slices(name: str) -> None:
    for seed in FEW:
        hand = Hand(name, seed=seed, window=2).play()
        assert hand.revealed is not None
        open_now: dict[str, None] = {}
        for _, to, message in hand.said:
            if isinstance(message, m.Permit):
                open_now[to] = None
                assert len(open_now) <= 2
            elif isinstance(message, m.Commit):
                open_now.pop(owner_name(message.batch), None)


@pytest.mark.parametrize("name", ["plain", "additive", "secagg", "secagg+"])
def test_permits_that_run_out_cost_only_their_holders(name: str) -> None:
    def swallow(sender: str, to: str, message: m.Message) -> list[m.Message]:
        return [] if sender in (O0, O1) and isinstance(message, m.MaskedSlice | m.SealedSeed) else [message]

    for seed in FEW:
        hand = Hand(name, owners=7, seed=seed, window=2, faults=Faults(tamper=swallow)).play()
        assert set(hand.dropped) == {O0, O1}
        assert hand.revealed is not None
        assert len(hand.revealed.survivors) == 5
        assert hand.is_right()


@pytest.mark.parametrize("name", ["pairwise", "additive", "secagg", "secagg+"])
def test_no_slice_is_the_input_in_clear(name: str) -> None:
    hand = Hand(name).play()
    for sender, to, message in hand.said:
        if isinstance(message, m.MaskedSlice):
            start, stop = hand.terms.slice_bounds(int(to[-1]))
            words = unpack(message.data, stop - start, hand.terms.ring.bits)
            clear = hand.terms.plan.extend(*hand.inputs[sender], hand.terms.ring)[start:stop]
            assert not np.array_equal(words, clear)
            assert message.exposure == "masked"


def test_labels_are_bound_into_every_message() -> None:
    kind, body, payload = m.encode(LABEL, m.Ready())
    assert m.decode(kind, body, payload) == (LABEL, m.Ready())
