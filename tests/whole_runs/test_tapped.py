"""What a tap on every channel sees: no input, no weight, no secret; and masked coordinates that are uniform."""

from __future__ import annotations

import numpy as np
import pytest
from support.runs import given
from support.tap import Tap

from asyncagg.crypto.keystream import Uniforms
from asyncagg.engines.experiment import prepare
from asyncagg.net.frames import Frame
from asyncagg.protocols.names import Label
from asyncagg.scenario.reading.load import parse
from asyncagg.vectors.encoder import Encoder
from asyncagg.vectors.packing import pack, unpack
from asyncagg.vectors.ring import Ring
from asyncagg.vectors.slices import SlicePlan

MASKED = ["pairwise", "additive", "secagg", "secagg+"]
WEIGHTS = [3, 50, 611, 1000]
DIMENSION = 30_000
CLIP = {"clip": 1.0}


def tapped(protocol: str, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch, engine: str = "sim") -> tuple[Tap, int]:
    """The tap of one round, and the ring's bits."""
    tap = Tap().install(monkeypatch)
    result = given(vectors, protocol, WEIGHTS, engine, encoding=CLIP)
    assert result["status"] == "ok", result["reason"]
    return tap, result["parameters"]["ring_bits"]


def fragments(vector: np.ndarray, weight: int, bits: int, index: int) -> dict[str, bytes]:
    """The first bytes of an owner's input in every form it has on its way to being masked."""
    scenario = {"name": "x", "owners": {"count": 4}, "workload": {"kind": "synthetic"}}
    key = prepare(parse(scenario)).draws_key(index)(Label(0, 1))
    encoder = Encoder(1.0, 16, Ring(bits), max(WEIGHTS))
    words = encoder.encode(vector, weight, Uniforms(key)).words
    alone = encoder.encode(vector, 1, Uniforms(key)).words
    return {
        "float32": vector[:4].astype("<f4").tobytes(),
        "float64": vector[:4].astype("<f8").tobytes(),
        "weighted words": words[:4].tobytes(),
        "words": alone[:4].tobytes(),
        "packed": bytes(pack(words[:64], bits))[:8],
    }


def seen(frames: list[Frame], needle: bytes) -> list[str]:
    return [frame.kind for frame in frames if needle in frame.body or needle in bytes(frame.payload)]


@pytest.mark.parametrize("engine", ["sim", "tcp"])
@pytest.mark.parametrize("protocol", MASKED)
def test_nobody_between_an_owner_and_the_sum_sees_an_input(
    protocol: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = np.random.default_rng(5).uniform(-1, 1, (4, DIMENSION))
    tap, bits = tapped(protocol, vectors, monkeypatch, engine)
    assert len(tap.frames) > 30
    for index, (vector, weight) in enumerate(zip(vectors, WEIGHTS, strict=True)):
        for form, needle in fragments(vector, weight, bits, index).items():
            assert seen(tap.frames, needle) == [], (index, form)


def test_the_tap_would_find_an_input_in_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(5).uniform(-1, 1, (4, DIMENSION))
    tap, bits = tapped("plain", vectors, monkeypatch)
    packed = fragments(vectors[2], WEIGHTS[2], bits, 2)["packed"]
    assert seen(tap.frames, packed) == ["clear-slice"]


@pytest.mark.parametrize("protocol", MASKED)
def test_no_secret_that_a_player_drew_is_on_any_channel(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.zeros((4, 200))
    tap, _ = tapped(protocol, vectors, monkeypatch)
    secrets = [drawn for drawn in tap.drawn if len(drawn) >= 16][1:]  # the first is the nonce of the run
    assert len(secrets) >= 4
    for secret in secrets:
        assert seen(tap.frames, secret) == []


@pytest.mark.parametrize("protocol", MASKED)
def test_masked_coordinates_are_uniform_over_the_whole_ring(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chi-squared over 256 cells of the top and of the low bits, for inputs of zero: 255 degrees of freedom."""
    tap, bits = tapped(protocol, np.zeros((4, DIMENSION)), monkeypatch)
    plan = SlicePlan(DIMENSION, 1 if protocol == "additive" else 3)
    uploads = [*tap.of("masked-slice"), *tap.of("share-slice")]
    assert uploads
    for sender in {frame.sender: None for frame in uploads}:
        words = []
        for frame in uploads:
            if frame.sender == sender:
                start, stop = plan.bounds(int(frame.receiver[-1]) if plan.nodes > 1 else 0)
                words.append(unpack(frame.payload, stop - start, bits))
        found = np.concatenate(words)
        for cells in (found >> (bits - 8), found & 255):
            counts = np.bincount(cells.astype(np.int64), minlength=256)
            expected = len(found) / 256
            statistic = float(((counts - expected) ** 2 / expected).sum())
            assert abs(statistic - 255) < 5 * np.sqrt(2 * 255), (sender, statistic)


@pytest.mark.parametrize("protocol", ["pairwise", "secagg", "secagg+"])
def test_weights_and_counts_are_masked_too(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tap, bits = tapped(protocol, np.zeros((4, 300)), monkeypatch)
    plan = SlicePlan(300, 3)
    ends = []
    for frame in tap.of("masked-slice"):
        start, stop = plan.bounds(int(frame.receiver[-1]))
        words = unpack(frame.payload, stop - start, bits)
        ends += [int(words[-1]), *([int(words[-2])] if frame.receiver == "compute-node-2" else [])]
    assert not {*ends} & {1, *WEIGHTS}


def test_two_attempts_never_share_a_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same owner masks the same zeros in three rounds: no two differences may be small."""
    tap = Tap().install(monkeypatch)
    given(np.zeros((4, 300)), "pairwise", rounds=3, encoding=CLIP)
    slices = [bytes(frame.payload) for frame in tap.of("masked-slice") if frame.sender == "data-owner-1"]
    assert len(slices) == 9
    assert len(set(slices)) == len(slices)


@pytest.mark.parametrize("engine", ["sim", "tcp"])
@pytest.mark.parametrize("protocol", ["plain", "additive", "secagg", "secagg+"])
def test_a_flipped_byte_costs_its_owner_the_round_and_nobody_else(
    protocol: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meddle(frame: Frame) -> tuple[Frame, ...]:
        if frame.sender == "data-owner-1" and frame.kind in ("masked-slice", "clear-slice", "share-slice"):
            return (frame._replace(payload=bytes([frame.payload[0] ^ 4]) + frame.payload[1:]),)
        return (frame,)

    Tap(meddle).install(monkeypatch)
    vectors = np.random.default_rng(5).uniform(-1, 1, (4, 300))
    result = given(vectors, protocol, WEIGHTS, engine, encoding=CLIP)
    (each,) = result["rounds"]
    assert (each["status"], each["exact"], each["attempts"]) == ("ok", True, 1)
    assert each["dropped"] == {"data-owner-1": "upload"}
    assert "checksum differs" in next(r.detail for r in result.trace.records if r.event == "drop")


@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_bytes_that_are_no_message_end_their_senders_part(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def meddle(frame: Frame) -> tuple[Frame, ...]:
        spoilt = frame.sender == "data-owner-1" and frame.kind == "joined"
        return (frame._replace(body=b"\xc1garbage"),) if spoilt else (frame,)

    Tap(meddle).install(monkeypatch)
    result = given(np.zeros((4, 300)), "secagg", engine=engine)
    (each,) = result["rounds"]
    assert (each["status"], each["exact"], each["dropped"]) == ("ok", True, {"data-owner-1": "publish"})
    assert any("joined: body is not msgpack" in r.detail for r in result.trace.records if r.event == "refuse")


@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_a_sum_that_no_inputs_add_up_to_is_a_named_failure(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner that puts any ring elements it likes into its slice spoils the round, by name, and ends no run."""

    vectors = np.zeros((4, 300))
    original = SlicePlan.extend

    def extend(self: SlicePlan, words: np.ndarray, weight: int, ring: Ring) -> np.ndarray:
        extended = original(self, words, weight, ring)
        if weight == 50:
            extended[:90] = ring.mask // 2
        return extended

    monkeypatch.setattr(SlicePlan, "extend", extend)
    result = given(vectors, "secagg", WEIGHTS, engine, aggregation={"retries": 1})
    assert result["status"] == "failed"
    assert "the sum is not one of encoded vectors" in result["reason"]
    assert result["rounds"][0]["attempts"] == 2
