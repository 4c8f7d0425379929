"""Attacks 7 to 9, 13, 15 and 18: replays, keys used twice, forged publications, garbage, and secrets that show."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from support.attack_driver import Coalition, Played, Twist, changed, owners, play, scenario, sending

from asyncagg.crypto.agreement import KeyPair
from asyncagg.crypto.randomness import InsecureSeededRandomness
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context, check_published
from asyncagg.protocols.effects import Effect, Rejected, Send
from asyncagg.protocols.names import LEAD, MODEL_OWNER, owner_name
from asyncagg.protocols.secagg.owner_secrets import OwnerSecrets
from asyncagg.protocols.secagg.unmasking import Recovered

BAD = owner_name(2)


def replayed(kind: type[m.Message]) -> Twist:
    """What was said in round 0 to a player is said to it again in round 1, in place of what belongs there."""
    earlier: dict[str, m.Message] = {}

    def again(context: Context, effect: Send) -> Iterable[Effect]:
        if context.label.round == 0:
            data = getattr(effect.message, "data", None)
            kept = effect.message if data is None else replace(effect.message, data=bytes(data))  # type: ignore[type-var]
            earlier[effect.to] = kept
            return (effect,)
        old = earlier[effect.to]
        if isinstance(old, m.MaskedSlice):  # as of now: what is left to tell it by is its checksum
            old = replace(old, digest=context.digest)
        return (Send(effect.to, old),)

    return sending(kind, again)


def second_round(played: Played, kind: type[m.Message]) -> int:
    return sum(each.label.round == 1 for each in played.of(kind))


# -- replay ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["plain", "pairwise", "secagg"])
def test_an_upload_of_another_round_is_dropped_by_name(protocol: str) -> None:
    played = play(scenario(6, protocol, rounds=2, retries=0), {BAD: replayed(m.MaskedSlice)})
    assert any("checksum differs" in reason for reason in played.notes("drop", BAD))
    second = played.result.rounds[1]
    assert second.dropped == {BAD: "upload"}
    assert second.status == ("failed" if protocol == "pairwise" else "ok")
    assert second.exact is (None if protocol == "pairwise" else True)


LEAD_REPLAYS = {
    m.Roster: "the roster does not hold this owner's own entry",
    m.ShareBoxes: "box",
    m.UnmaskRequest: "0 members signed this set of survivors",
}


@pytest.mark.parametrize("kind", LEAD_REPLAYS)
def test_what_the_lead_said_in_another_round_is_refused(kind: type[m.Message]) -> None:
    values = scenario(6, "secagg", {}, rounds=2, threat="lying")
    values["workload"] = {"kind": "digits"}
    played = play(values, {"lead": replayed(kind)})
    assert LEAD_REPLAYS[kind] in played.troubles[owner_name(0)]
    assert played.result.rounds[1].status == "failed"
    if kind is not m.UnmaskRequest:
        assert second_round(played, m.MaskedSlice) == 0
    assert second_round(played, m.UnmaskShares) == 0


def test_a_certificate_of_another_round_releases_nothing() -> None:
    values = scenario(6, "secagg", {}, rounds=2, threat="lying")
    values["workload"] = {"kind": "digits"}
    played = play(values, {"lead": replayed(m.Certificate)})
    assert "0 members signed this set of survivors" in "".join(played.notes("abort"))
    assert second_round(played, m.SumSlice) == 0


def test_boxes_of_another_round_do_not_open_at_the_model_owner() -> None:
    played = play(scenario(6, "secagg", rounds=2, reveal="model-owner"), {BAD: replayed(m.UnmaskBox)})
    assert "its box does not open" in played.notes("refuse", BAD)
    assert played.result.rounds[1].exact


# -- nothing is used twice -------------------------------------------------------------------------------------------


def test_no_key_label_or_vector_is_used_in_two_attempts() -> None:
    """Three attempts of one round and a second round: every key, box, commitment and masked slice is new."""
    falls_silent = sending(m.UnmaskShares, lambda context, effect: ())
    values = scenario(6, "secagg", on_failure="retry", retries=2, rounds=2, dropout=0.0)
    twist = first_attempts(falls_silent, 3)
    played = play(values, {owner_name(index): twist for index in (0, 1, 2, 3)})
    labels = sorted({each.label for each in played.of(m.Advertise)})
    assert [tuple(label) for label in labels] == [(0, 1), (0, 2), (0, 3), (1, 1)]
    for values_of in (
        [each.message.mask_key for each in played.of(m.Advertise)],  # type: ignore[attr-defined]
        [each.message.sealing_key for each in played.of(m.Advertise)],  # type: ignore[attr-defined]
        [each.message.commitment for each in played.of(m.SealedShares)],  # type: ignore[attr-defined]
        [each.message.data for each in played.of(m.SealedShares)],  # type: ignore[attr-defined]
        [each.message.data for each in played.of(m.MaskedSlice)],  # type: ignore[attr-defined]
        [key for kept in played.kept.values() for key in (kept.mask, kept.b, kept.sealing, kept.session.id + kept.b)],
    ):
        assert values_of
        assert len(set(values_of)) == len(values_of)
    assert len({kept.session.id for kept in played.kept.values()}) == len(labels)


def first_attempts(twist: Twist, until: int) -> Twist:
    def only(context: Context, effect: Effect) -> Iterable[Effect]:
        label = context.label
        return twist(context, effect) if label.round == 0 and label.attempt < until else (effect,)

    return only


def test_the_boxes_of_a_pair_have_a_key_for_each_direction() -> None:
    played = play(scenario(3, "secagg"))
    kept = next(iter(played.kept.values()))
    one, other = owners(0, 1)
    there = kept.session.box_key(bytes(32), one, other, "share box")
    back = kept.session.box_key(bytes(32), other, one, "share box")
    assert there != back
    assert len({there, back, kept.session.box_key(bytes(32), one, other, "unmask box")}) == 3


@pytest.mark.parametrize("protocol", ["pairwise", "additive", "secagg", "secagg+"])
def test_uploads_are_uniform_on_the_whole_ring(protocol: str) -> None:
    """Inputs are all zero, or nearly; every bit of what the nodes are sent is set half of the time."""
    values = scenario(5, protocol, rounds=1, workload={"kind": "synthetic", "dimension": 4000})
    played = play(values)
    for owner in owners(0, 1, 2, 3, 4):
        data = b"".join(bytes(each.message.data) for each in played.of(m.MaskedSlice, sender=owner))  # type: ignore[attr-defined]
        bits = np.unpackbits(np.frombuffer(data, np.uint8))
        assert abs(int(bits.sum()) - len(bits) / 2) < 6 * np.sqrt(len(bits)) / 2


# -- the model owner's words -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["sealing key", "parameters", "attempt", "cohort"])
def test_a_publication_that_is_not_the_model_owners_is_refused(change: str) -> None:
    contexts: list[Context] = []

    def note(context: Context, effect: Effect) -> Iterable[Effect]:
        contexts.append(context)
        return (effect,)

    played = play(scenario(4, "secagg", threat="lying", reveal="model-owner"), {owner_name(0): note})
    context = contexts[0]
    (begin,) = {node_begin(played, context)}
    changes = {
        "sealing key": {"sealing_key": KeyPair.generate(context.randomness).public},
        "parameters": {"digest": bytes(32)},
        "attempt": {"label": type(context.label)(0, 2)},
        "cohort": {"invited": b"\7"},
    }
    assert check_published(context, begin) is None
    forged = replace(context, **changes[change])  # type: ignore[arg-type]
    wanted = "the model owner's signature on the parameters and its sealing key is wrong"
    assert check_published(forged, begin) == wanted


def node_begin(played: Played, context: Context) -> bytes:
    """The signature under the publication of this attempt, made again: Ed25519 is deterministic."""
    from asyncagg.protocols.context import published_text

    identity = played.local_players.model_owner.identity
    assert identity is not None
    return identity.sign(published_text(context))


# -- garbage ---------------------------------------------------------------------------------------------------------

GARBAGE = {
    "short key": changed(m.Advertise, mask_key=b"short"),
    "no key": changed(m.Advertise, mask_key=None),
    "a number": changed(m.Advertise, mask_key=7),
    "boxes cut": changed(m.SealedShares, data=lambda message: bytes(message.data)[:-1]),
    "no boxes": changed(m.SealedShares, data=b""),
    "short commitment": changed(m.SealedShares, commitment=b"no"),
    "slice cut": changed(m.MaskedSlice, data=lambda message: bytes(message.data)[:-1]),
    "slice flipped": changed(
        m.MaskedSlice, data=lambda message: bytes([message.data[0] ^ 1]) + bytes(message.data)[1:]
    ),
    "tag": changed(m.MaskedSlice, tag=bytes(16)),
    "short tag": changed(m.MaskedSlice, tag=b""),
}


@pytest.mark.parametrize("threat", ["curious", "lying"])
@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_costs_its_sender_its_part_and_nobody_else_anything(name: str, threat: str) -> None:
    played = play(scenario(6, "secagg", threat=threat), {BAD: GARBAGE[name]})
    assert played.round.exact
    assert list(played.round.dropped) == [BAD]
    (reason,) = played.notes("drop", BAD)
    assert "silent" not in reason
    Coalition(played, owners(0)).check_it_is_blind(4)


LATE_GARBAGE = {
    "shares cut": changed(m.UnmaskShares, data=lambda message: bytes(message.data)[:-1]),
    "no shares": changed(m.UnmaskShares, data=b""),
    "signature": changed(m.Certify, signature=bytes(64)),
    "short signature": changed(m.Certify, signature=b""),
}


@pytest.mark.parametrize("name", LATE_GARBAGE)
def test_garbage_after_the_upload_leaves_its_sender_in_the_sum(name: str) -> None:
    played = play(scenario(8, "secagg", threat="lying"), {BAD: LATE_GARBAGE[name]})
    assert played.round.exact
    assert not played.round.dropped
    assert list(played.round.silent_after) == [BAD]
    assert played.notes("refuse", BAD)


@pytest.mark.parametrize("kind", [m.Commit, m.Discard, m.Survivors])
def test_an_owner_cannot_speak_for_the_lead(kind: type[m.Message]) -> None:
    def speak(context: Context, effect: Send) -> Iterable[Effect]:
        forged = kind(b"\7") if kind is m.Survivors else kind(0)  # type: ignore[call-arg]
        yield Send(context.terms.nodes[1], forged)
        yield effect

    played = play(scenario(6, "secagg"), {BAD: sending(m.SealedShares, speak)})
    assert f"sent {kind.kind}, which is not for it to say to compute-node-1" in played.notes("refuse", BAD)
    assert played.round.exact
    assert list(played.round.dropped) == [BAD]


def test_an_owner_cannot_give_the_model_owner_a_sum() -> None:
    def speak(context: Context, effect: Send) -> Iterable[Effect]:
        yield Send(MODEL_OWNER, m.Report(b"\1", (), ()))
        yield Send(LEAD, m.Held(0))
        yield effect

    played = play(scenario(6, "secagg"), {BAD: sending(m.Advertise, speak)})
    assert list(dict.fromkeys(played.notes("refuse", BAD))) == [
        "sent report, which is not for it to say to model-owner",
        "sent held, which is not for it to say to compute-node-0",
    ]
    assert played.round.exact


# -- what shows ------------------------------------------------------------------------------------------------------


def test_secrets_show_nothing_of_themselves() -> None:
    played = play(scenario(4, "secagg"))
    secrets = OwnerSecrets(InsecureSeededRandomness(0, "test"))
    assert repr(secrets) == "OwnerSecrets(redacted)"
    assert "redacted" in repr(secrets.mask)
    assert "redacted" in repr(Recovered([(bytes(16), 1)]))
    text = "\n".join(record.line() for record in played.trace) + str(played.result.to_json())
    for kept in played.kept.values():
        for secret in (kept.mask, kept.b, kept.sealing):
            assert secret.hex() not in text
            assert str(secret) not in text


def test_an_owner_says_nothing_after_its_secrets_are_wiped() -> None:
    secrets = OwnerSecrets(InsecureSeededRandomness(0, "test"))
    secrets.wipe()
    with pytest.raises((Rejected, ValueError), match="wiped"):
        secrets.mask.secret()
    assert secrets.answer({}) == b""
