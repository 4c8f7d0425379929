"""Bad boxes and wrong shares in any order of delivery: a complaint is always heard before its owner is in the sum."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from support.hand import Faults, Hand

from asyncagg.crypto.shamir import SHARE_BYTES
from asyncagg.protocols import messages as m
from asyncagg.protocols.names import Player, owner_name
from asyncagg.protocols.secagg.owner_secrets import ENTRY_BYTES

SEEDS = range(40)
VARIANTS: list[dict[str, Any]] = [
    {},
    {"threat": "lying"},
    {"reveal": "model-owner"},
    {"threat": "lying", "reveal": "model-owner"},
    {"window": 2},
]
variants = pytest.mark.parametrize("changes", VARIANTS, ids=lambda changes: " ".join(map(str, changes.values())) or "-")
BAD, OTHER = owner_name(2), owner_name(4)


def garbage(boxes: Iterable[int]) -> Any:
    """Some boxes of `BAD` are spoilt."""
    spoilt = list(boxes)

    def tamper(sender: Player, receiver: Player, message: m.Message) -> Iterable[m.Message]:
        if sender != BAD or not isinstance(message, m.SealedShares):
            return (message,)
        data = bytearray(message.data)
        for place in spoilt:
            data[place * ENTRY_BYTES] ^= 1
        return (replace(message, data=bytes(data)),)

    return tamper


@variants
@pytest.mark.parametrize("name", ["secagg", "secagg+"])
def test_one_bad_box_in_any_order(name: str, changes: dict[str, Any]) -> None:
    for seed in SEEDS:
        hand = Hand(name, seed=seed, faults=Faults(tamper=garbage([1])), **changes).play()
        assert hand.revealed is not None, (seed, hand.reason)
        assert hand.is_right(), seed
        assert hand.revealed.survivors == hand.owners
        assert hand.revealed.culprits == {}
        assert [sender for sender, _, said in hand.said if isinstance(said, m.Complaint)] == [owner_name(1)]


@variants
@pytest.mark.parametrize("fate", ["dies", "silent"])
def test_a_bad_box_and_a_lost_owner_leave_a_right_sum_or_a_failure_in_words(fate: str, changes: dict[str, Any]) -> None:
    """Five owners and t = 3: with the complainer and the lost one out there are three holders left."""
    sums = 0
    for seed in SEEDS:
        faults = Faults(tamper=garbage([1]), **{fate: {OTHER: 3 + seed % 20}})
        hand = Hand("secagg", seed=seed, faults=faults, **changes).play()
        if hand.revealed is not None:
            sums += 1
            assert hand.is_right(), seed
            assert hand.revealed.culprits == {}
        else:
            assert hand.reason or hand.lead.reason
            assert {*hand.lead.culprits} in ({BAD, owner_name(1)}, set())
    assert sums > len(SEEDS) // 2


@variants
def test_all_boxes_bad_in_any_order(changes: dict[str, Any]) -> None:
    """Four complaints and c* = 1: guilty, whoever is heard first; and nobody else is."""
    for seed in SEEDS:
        hand = Hand("secagg", seed=seed, faults=Faults(tamper=garbage(range(4))), **changes).play()
        assert hand.revealed is None
        assert "holders of the secrets of data-owner-2 are left, the threshold is 3" in hand.lead.reason
        assert hand.lead.culprits == {BAD: "bad-boxes"}
        assert not [said for _, _, said in hand.said if isinstance(said, m.Survivors)]


@pytest.mark.parametrize("changes", [{}, {"threat": "lying"}, {"window": 2}])
def test_a_liar_in_any_order(changes: dict[str, Any]) -> None:
    def lie(sender: Player, receiver: Player, message: m.Message) -> Iterable[m.Message]:
        if sender == BAD and isinstance(message, m.UnmaskShares):
            data = bytearray(message.data)
            for place in range(0, len(data), SHARE_BYTES):
                data[place] ^= 1
            return (m.UnmaskShares(bytes(data)),)
        return (message,)

    for seed in SEEDS:
        hand = Hand("secagg", seed=seed, faults=Faults(tamper=lie), **changes).play()
        assert hand.revealed is not None
        assert hand.is_right(), seed
        assert hand.revealed.culprits == {BAD: "wrong-shares"}
