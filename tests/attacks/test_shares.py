"""Attacks 11, 12, 14 and 16: bad shares, false dealers, impossible weights, tiny sums, nodes that miscount."""

from collections.abc import Iterable
from typing import Any
from unittest import mock

import numpy as np
import pytest
from support.attack_driver import Coalition, changed, owners, play, scenario, sending

from asyncagg.crypto import checksum, shamir
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import Effect, Send
from asyncagg.protocols.names import Player, index_of, node_name, owner_name
from asyncagg.protocols.secagg.owner_secrets import OwnerSecrets
from asyncagg.protocols.secagg.session import Session
from asyncagg.protocols.steps.reveal import SUM_SENDER, sum_id
from asyncagg.vectors.packing import pack, unpack

BAD = owner_name(2)


def garbled(message: m.UnmaskShares) -> bytes:
    """Every share off by one in its lowest limb."""
    data = bytearray(message.data)
    for place in range(0, len(data), shamir.SHARE_BYTES):
        data[place] ^= 1
    return bytes(data)


# -- shares ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threat", ["curious", "lying"])
@pytest.mark.parametrize("damage", [garbled, lambda message: b"\xff" * len(message.data)])
def test_wrong_shares_are_left_out_and_their_sender_is_named(damage: Any, threat: str) -> None:
    """An erasure without a complaint is a wrong share like any other."""
    values = scenario(12, "secagg", {"upload": [4]}, threat=threat, corrupt=0.0)
    played = play(values, {BAD: changed(m.UnmaskShares, data=damage)})
    assert played.round.exact
    assert "answered with wrong shares" in played.notes("refuse", BAD)
    assert not [each for each in owners(0, 1, 3, 5) if played.notes("refuse", each)]
    assert played.round.warnings == [f"not invited again in this run: {BAD} (answered with wrong shares)"]


@pytest.mark.parametrize("threat", ["curious", "lying"])
def test_as_many_wrong_shares_as_there_are_to_spare_and_one_more(threat: str) -> None:
    """n = 12, t = 7: any 5 answers may be wrong, where decoding would have stopped at half of them."""
    twist = changed(m.UnmaskShares, data=garbled)
    values = scenario(12, "secagg", corrupt=0.0, threat=threat)
    liars = owners(0, 2, 5, 8, 11)
    five = play(values, dict.fromkeys(liars, twist))
    assert five.round.exact
    assert [each for each in owners(*range(12)) if five.notes("refuse", each)] == liars
    assert all(each in five.round.warnings[0] for each in liars)
    six = play(values, dict.fromkeys([*liars, owner_name(9)], twist))
    assert "6 holders of the secrets of data-owner-0 answered rightly, 7 are needed" in six.reason
    assert six.means == {}
    named = [each for each in owners(*range(12)) if f"{each} (" in six.round.warnings[0]]
    assert named == sorted([*liars, owner_name(9)], key=index_of)


def test_one_wrong_share_among_right_ones_is_enough_to_be_named() -> None:
    def one(message: m.UnmaskShares) -> bytes:
        data = bytearray(message.data)
        data[7 * shamir.SHARE_BYTES] ^= 1
        return bytes(data)

    played = play(scenario(12, "secagg", corrupt=0.0), {BAD: changed(m.UnmaskShares, data=one)})
    assert played.round.exact
    assert played.notes("refuse", BAD) == ["answered with wrong shares"]


@pytest.mark.parametrize("reveal", ["compute-nodes", "model-owner"])
def test_an_owners_own_share_can_be_wrong_too(reveal: str) -> None:
    """On the complete graph it holds one, whose tags the lead has: it is left out, and its owner is guilty."""

    class Liar(OwnerSecrets):
        def answer(self, survivors: Any) -> bytes:
            _, me = self.noted  # type: ignore[attr-defined]
            if me == BAD:
                self._held[me] = (bytes(shamir.SHARE_BYTES), bytes(shamir.SHARE_BYTES))
            return super().answer(survivors)

    played = play(scenario(12, "secagg", reveal=reveal, corrupt=0.0), secrets=Liar)
    assert played.round.exact
    assert played.notes("refuse", BAD) == ["answered with wrong shares"]
    assert played.round.warnings == [f"not invited again in this run: {BAD} (answered with wrong shares)"]


@pytest.mark.parametrize("protocol", ["secagg", "secagg+"])
def test_the_model_owner_leaves_wrong_shares_out_too(protocol: str) -> None:
    class Liar(OwnerSecrets):
        def answer(self, survivors: Any) -> bytes:
            right = super().answer(survivors)
            return garbled(m.UnmaskShares(right)) if self.noted[1] == BAD else right  # type: ignore[attr-defined]

    count = 12 if protocol == "secagg" else 60
    values = scenario(count, protocol, {"upload": [4]}, reveal="model-owner", corrupt=0.05, dropout=0.1)
    played = play({**values, "rounds": 2}, secrets=Liar)
    first, second = played.result.rounds
    assert first.exact
    assert "answered with wrong shares" in played.notes("refuse", BAD)
    assert first.warnings == [f"not invited again in this run: {BAD} (answered with wrong shares)"]
    assert (second.dropped[BAD], second.exact) == ("publish", True)


class Inconsistent(OwnerSecrets):
    """Deals shares that lie on no polynomial of the right degree."""

    def seal_shares(self, session: Session, me: Player) -> tuple[bytes, bytes]:
        if me != BAD:
            return super().seal_shares(session, me)

        def noise(secrets: list[bytes], points: list[int], threshold: int, randomness: Any) -> Any:
            return np.arange(len(secrets) * len(points) * shamir.LIMBS, dtype=np.uint32).reshape(
                len(secrets), len(points), shamir.LIMBS
            ) ** 3 % np.uint32(2**31 - 1)

        with mock.patch.object(shamir, "share", noise):
            return super().seal_shares(session, me)


class Another(OwnerSecrets):
    """Deals good shares of a secret that is not the one it committed to."""

    def seal_shares(self, session: Session, me: Player) -> tuple[bytes, bytes]:
        boxes, commitment = super().seal_shares(session, me)
        return boxes, bytes(32) if me == BAD else commitment


@pytest.mark.parametrize("reveal", ["compute-nodes", "model-owner"])
@pytest.mark.parametrize("secrets", [Inconsistent, Another])
def test_an_inconsistent_dealer_is_named_and_no_holder_is(secrets: type[OwnerSecrets], reveal: str) -> None:
    """Tags tell them apart: every holder answers with what the dealer tagged."""
    played = play(scenario(8, "secagg", reveal=reveal), secrets=secrets)
    assert f"the shares of {BAD} do not make the secret it committed to" in played.reason
    assert played.means == {}
    assert played.round.warnings == [f"not invited again in this run: {BAD} (dealt shares that do not make its secret)"]
    assert not played.notes("refuse")
    Coalition(played, owners(0)).check_it_is_blind(2)


@pytest.mark.parametrize("reveal", ["compute-nodes", "model-owner"])
@pytest.mark.parametrize("secrets", [Inconsistent, Another])
def test_a_false_dealer_and_a_liar_are_both_named_for_what_they_did(secrets: type[OwnerSecrets], reveal: str) -> None:
    liar = owner_name(0)

    class Both(secrets):  # type: ignore[misc, valid-type]
        def answer(self, survivors: Any) -> bytes:
            right = super().answer(survivors)
            return garbled(m.UnmaskShares(right)) if self.noted[1] == liar else right

    played = play(scenario(8, "secagg", reveal=reveal, on_failure="retry", retries=1), secrets=Both)
    assert (played.round.attempts, played.round.exact) == (2, True)
    assert sorted(played.round.dropped) == [liar, BAD]
    assert f"{liar} (answered with wrong shares)" in played.round.warnings[0]
    assert f"{BAD} (dealt shares that do not make its secret)" in played.round.warnings[0]


# -- sums ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["plain", "additive", "secagg", "secagg+"])
def test_a_sum_of_fewer_than_the_minimum_cohort_is_not_made(protocol: str) -> None:
    values = scenario(6, protocol, {"upload": [0, 1]}, minimum_cohort=5, dropout=0.4)
    played = play(values)
    assert "4 owners uploaded, at least 5 are needed" in played.reason
    assert not played.of(m.SumSlice)
    assert played.round.dropped == dict.fromkeys(owners(0, 1), "upload")


@pytest.mark.parametrize("protocol", ["plain", "additive", "secagg"])
def test_nodes_refuse_a_lead_that_releases_a_tiny_sum(protocol: str) -> None:
    """The lead commits one owner alone, and announces it."""

    def one(context: Context, effect: Effect) -> Iterable[Effect]:
        match effect:
            case Send(to, m.Commit(index)) if index != 0:
                return ()
            case Send(to, m.Survivors()):
                return (Send(to, m.Survivors(context.bitmap_of(owners(0)))),)
        return (effect,)

    played = play(scenario(6, protocol), {"lead": one})
    assert "1 survivors, the minimum cohort is 2" in "".join(played.notes("abort"))
    assert not played.of(m.SumSlice)


def test_nodes_refuse_survivors_that_they_did_not_add() -> None:
    def fewer(message: m.Survivors) -> bytes:
        return bytes([message.members[0] & 0b111110])

    played = play(scenario(6, "secagg"), {"lead": changed(m.Survivors, members=fewer)})
    assert "the lead names 5 survivors, compute-node-1 added 6 others" in "".join(played.notes("abort"))
    assert not played.of(m.SumSlice)


EVERYONE = b"\x3f"
"""All six owners, as a bitmap."""


def recount(context: Context, effect: Send) -> Iterable[Effect]:
    """The node's sum with one owner less in its count, and a checksum that fits."""
    message = effect.message
    assert isinstance(message, m.SumSlice)
    terms, node = context.terms, index_of(context.me)
    start, stop = terms.slice_bounds(node)
    words = unpack(message.data, stop - start, terms.ring.bits)
    for place in range(len(words)):
        words[place] -= 1  # wherever its count is
    terms.ring.cut(words)
    data = pack(words, terms.ring.bits)
    yield Send(effect.to, type(message)(data, checksum.tag(sum_id(context, EVERYONE), SUM_SENDER, node, data)))


@pytest.mark.parametrize("threat", ["curious", "lying"])
@pytest.mark.parametrize("protocol", ["plain", "secagg", "additive"])
def test_a_lead_that_reports_other_survivors_is_found_out_by_the_sums(protocol: str, threat: str) -> None:
    """As many, so that counts and weights agree: only what the sums are bound to tells."""
    values = scenario(6, protocol, {"upload": [3]}, threat=threat, dropout=0.3)
    honest = play(values)
    assert honest.means
    played = play(values, {"lead": changed(m.Report, members=b"\x3d", dropped=((1, 3),))})
    assert "the checksum of its sum differs: it is not over the 5 survivors of the report" in played.reason
    assert played.means == {}


@pytest.mark.parametrize("protocol", ["plain", "pairwise", "secagg"])
def test_a_node_that_loses_an_owner_is_named_by_its_count(protocol: str) -> None:
    played = play(scenario(6, protocol), {"compute-node-1": sending(m.SumSlice, recount)})
    assert "compute-node-1: the sum counts 5 owners, the survivors are 6" in played.reason
    assert played.means == {}


def test_a_node_that_claims_what_it_does_not_hold_is_named() -> None:
    """It says `Held` for an owner whose slice it refuses, and comes to grief at the commit."""

    def claim(context: Context, effect: Send) -> Iterable[Effect]:
        fault = effect.message
        assert isinstance(fault, m.Faulty)
        yield Send(effect.to, m.Held(fault.owner))

    twists = {
        BAD: changed(m.MaskedSlice, [node_name(1)], tag=bytes(16)),
        "compute-node-1": sending(m.Faulty, claim),
    }
    played = play(scenario(6, "secagg"), twists)
    assert f"the lead commits {BAD}, whose slice compute-node-1 does not hold" in "".join(played.notes("abort"))
    assert played.means == {}


def test_a_lead_that_removes_a_mask_too_few_is_caught_by_the_count() -> None:
    def fewer(message: m.MaskKeys) -> bytes:
        return bytes(message.data)[:-16]

    played = play(scenario(6, "secagg"), {"lead": changed(m.MaskKeys, data=fewer)})
    assert "the sum counts" in played.reason
    assert played.means == {}


@pytest.mark.parametrize("weight", [0, -1, 5, 7])
def test_a_total_weight_that_cannot_be_is_refused(weight: int) -> None:
    """Six owners of weight 1 can only come to 6."""

    def heavier(context: Context, effect: Send) -> Iterable[Effect]:
        message = effect.message
        assert isinstance(message, m.SumSlice)
        terms, node = context.terms, index_of(context.me)
        start, stop = terms.slice_bounds(node)
        words = unpack(message.data, stop - start, terms.ring.bits)
        words[-2] = weight % 2**terms.ring.bits
        data = pack(words, terms.ring.bits)
        yield Send(effect.to, type(message)(data, checksum.tag(sum_id(context, EVERYONE), SUM_SENDER, node, data)))

    played = play(scenario(6, "plain", compute_nodes=1), {"compute-node-0": sending(m.SumSlice, heavier)})
    assert "of 6 survivors is not within 1 to 1 each" in played.reason
    assert played.means == {}


@pytest.mark.parametrize("threat", ["curious", "lying"])
def test_pairwise_does_not_open_a_second_sum_after_a_first_began(threat: str) -> None:
    """A late vector completes the first attempt's sum, which differs from the second's by one owner's input."""
    values = scenario(6, "pairwise", {"upload": [3]}, threat=threat, on_failure="retry", retries=2)
    played = play(values)
    if threat == "lying":
        assert "no retry once an upload began" in played.reason
        assert played.round.attempts == 1
    else:
        assert played.round.attempts == 2
        assert played.round.exact
        assert played.round.warnings
