"""The wire format: sizes, limits, and a decoder that neither cuts nor hostile bytes confuse."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncagg.net.errors import FrameError, Refusal
from asyncagg.net.frames import (
    MAGIC,
    MAX_HEADER,
    Everyone,
    Frame,
    FrameRules,
    Limits,
    is_name,
    pack_frame,
    pack_header,
    pack_stem,
)
from asyncagg.net.tcp.decoder import SCRATCH, Decoder
from asyncagg.net.tcp.hello import pack_reason

LIMITS = Limits({"note": (2000, 0), "vector": (100, 1 << 20), "roster": (200_000, 70_000)})
GATE = FrameRules(LIMITS, ("owner-0", "owner-1"), ("node-0",))

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
sizes = st.one_of(st.integers(0, 300), st.sampled_from([65_535, 65_536, 100_000]))


def decode(data: bytes, cuts: Iterator[int], decoder: Decoder | None = None) -> tuple[list[Frame], str | None]:
    """The frames in `data` when it arrives in pieces of these sizes, and the refusal at the end, if any."""
    decoder = decoder or Decoder(GATE, lambda size: memoryview(bytearray(size)))
    frames: list[Frame] = []
    position = 0
    while position < len(data):
        buffer = decoder.get_buffer()
        count = min(len(buffer), len(data) - position, next(cuts))
        buffer[:count] = data[position : position + count]
        position += count
        try:
            frames.extend(decoder.buffer_updated(count))
        except FrameError as error:
            return frames, str(error)
    return frames, None


def whole() -> Iterator[int]:
    while True:
        yield 1 << 30


def random_cuts(seed: int) -> Iterator[int]:
    draw = random.Random(seed)
    while True:
        yield draw.choice([1, 2, 7, 50, 4000, SCRATCH, 200_000])


def raw_frame(*fields: object, rest: bytes = b"") -> bytes:
    """A frame with any header at all."""
    header = msgpack.packb(list(fields))
    return MAGIC + len(header).to_bytes(2, "big") + header + rest


# --- sizes


def test_the_wire_format_is_this() -> None:
    frame = Frame("owner-0", "node-0", "vector", b"\x01\x02", b"\xff\xfe\xfd")
    header = bytes.fromhex("95 a7 6f776e65722d30 a6 6e6f64652d30 a6 766563746f72 02 03")
    assert pack_frame(frame) == bytes.fromhex("a667 0019") + header + b"\x01\x02\xff\xfe\xfd"


@given(names, names, names, sizes, sizes)
def test_sizes_are_computed_as_they_are_packed(sender: str, receiver: str, name: str, body: int, payload: int) -> None:
    frame = Frame(sender, receiver, name, bytes(body), bytes(payload))
    assert frame.size == len(pack_frame(frame))
    kind = Limits({name: (body, payload)}).check(name, body, payload)
    head = pack_header(pack_stem(sender, receiver), kind, body, payload)
    assert pack_frame(frame) == head + frame.body + frame.payload
    assert len(head) <= MAX_HEADER


@pytest.mark.parametrize("payload", [(1 << 8 * width) + step for width in (1, 2, 4) for step in (-1, 0)])
def test_sizes_of_large_counts(payload: int) -> None:
    kind = Limits({"huge": (0, 1 << 40)}).check("huge", 0, payload)
    stem = pack_stem("a", "b")
    assert pack_header(stem, kind, 0, payload)[4:] == msgpack.packb(["a", "b", "huge", 0, payload])


def test_a_frame_shows_no_contents() -> None:
    frame = Frame("owner-0", "node-0", "vector", b"secret", b"gradient")
    assert repr(frame) == "Frame(owner-0 -> node-0, vector, body 6 B, payload 8 B)"


# --- limits


def test_limits_name_what_is_wrong() -> None:
    assert LIMITS.check("vector", 100, 1 << 20).name == "vector"
    for arguments, code in [
        (("vote", 0, 0), Refusal.UNKNOWN_KIND),
        (("vector", 101, 0), Refusal.TOO_LARGE),
        (("vector", 0, (1 << 20) + 1), Refusal.TOO_LARGE),
        (("note", 0, 1), Refusal.TOO_LARGE),
    ]:
        with pytest.raises(FrameError) as caught:
            LIMITS.check(*arguments)
        assert caught.value.code == code


@pytest.mark.parametrize("kind", ["", "!ping", "a b", "k" * 65, "größe"])
def test_kinds_have_names_that_are_not_the_networks_own(kind: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        Limits({kind: (0, 0)})


def test_limits_are_not_negative() -> None:
    with pytest.raises(ValueError, match="note: limits are sizes"):
        Limits({"note": (-1, 0)})


@pytest.mark.parametrize("name", ["model-owner", "data-owner-7", "compute-node-0", "a", "0", "x" * 64])
def test_players_have_names(name: str) -> None:
    assert is_name(name)
    assert name in Everyone()


def test_the_longest_reason_fits_what_is_accepted() -> None:
    assert len(pack_reason(1 << 63, reason="\U0001f600" * 1000)) <= 1024


# --- decoding


@st.composite
def streams(draw: st.DrawFn) -> list[Frame]:
    """A few frames that the rules lets through, of sizes around those where the decoder changes its ways."""
    frames = []
    for kind in draw(st.lists(st.sampled_from(["note", "vector", "roster"]), max_size=6)):
        max_body = {"note": 2000, "vector": 100, "roster": 200_000}[kind]
        max_payload = {"note": 0, "vector": 1 << 20, "roster": 70_000}[kind]
        body = min(max_body, draw(st.sampled_from([0, 1, 100, 2000, SCRATCH - 1, SCRATCH, SCRATCH + 1, 200_000])))
        payload = min(max_payload, draw(st.sampled_from([0, 1, 5000, SCRATCH, 70_000, 300_000])))
        filler = draw(st.integers(0, 255))
        sender = draw(st.sampled_from(["owner-0", "owner-1"]))
        frames.append(Frame(sender, "node-0", kind, bytes([filler]) * body, bytes([filler ^ 255]) * payload))
    return frames


@given(streams(), st.integers(0, 1 << 32))
@settings(max_examples=60)
def test_any_cutting_gives_the_same_frames(frames: list[Frame], seed: int) -> None:
    data = b"".join(map(pack_frame, frames))
    assert decode(data, whole()) == (frames, None)
    assert decode(data, random_cuts(seed)) == (frames, None)


def test_byte_by_byte_gives_the_same_frames() -> None:
    frames = [
        Frame("owner-0", "node-0", "roster", b"a" * 66_000, b"b" * 3),
        Frame("owner-1", "node-0", "note", b"c"),
    ]
    data = b"".join(map(pack_frame, frames))
    assert decode(data, iter(lambda: 1, 0)) == (frames, None)


@given(st.binary(max_size=3000), st.integers(0, 1 << 32))
@settings(max_examples=200)
def test_garbage_is_refused_however_it_is_cut(data: bytes, seed: int) -> None:
    frames, refusal = decode(data, whole())
    assert frames == []
    assert refusal is not None or MAGIC.startswith(data[:2]) or data.startswith(MAGIC)
    assert decode(data, random_cuts(seed)) == (frames, refusal)


@given(st.binary(max_size=400), st.integers(0, 1 << 32))
@settings(max_examples=300)
def test_garbage_for_a_header_is_refused_by_name(header: bytes, seed: int) -> None:
    data = MAGIC + len(header).to_bytes(2, "big") + header
    frames, refusal = decode(data, random_cuts(seed))
    assert frames == []
    assert refusal is not None


@given(streams(), st.data())
@settings(max_examples=60)
def test_a_damaged_stream_gives_frames_and_then_at_most_a_refusal(frames: list[Frame], data: st.DataObject) -> None:
    stream = bytearray(b"".join(map(pack_frame, frames)) or b"\0")
    for _ in range(data.draw(st.integers(1, 3))):
        stream[data.draw(st.integers(0, len(stream) - 1))] ^= data.draw(st.integers(1, 255))
    seed = data.draw(st.integers(0, 1 << 32))
    assert decode(bytes(stream), random_cuts(seed)) == decode(bytes(stream), whole())


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        (b"G", "garbage: does not begin like a frame"),
        (b"GET / HTTP/1.1\r\n\r\n", "garbage: does not begin like a frame"),
        (MAGIC[:1] + b"?", "garbage: does not begin like a frame"),
        (MAGIC + b"\x04\x01", "bad-header: header of 1025 bytes, at most 1024"),
        (MAGIC + b"\xff\xff", "bad-header: header of 65535 bytes, at most 1024"),
        (MAGIC + b"\x00\x00", "bad-header: not [from, to, kind, body size, payload size]"),
        (raw_frame("owner-0", "node-0", "note", 0), "bad-header: not [from"),
        (raw_frame("owner-0", "node-0", "note", 0, 0, 0), "bad-header: not [from"),
        (raw_frame("owner-0", "node-0", "note", 0.0, 0), "bad-header: not [from"),
        (raw_frame("owner-0", "node-0", "note", True, 0), "bad-header: not [from"),
        (raw_frame("owner-0", "node-0", b"note", 0, 0), "bad-header: not [from"),
        (raw_frame("owner-0", "node-0", None, 0, 0), "bad-header: not [from"),
        (raw_frame(["owner-0"], "node-0", "note", 0, 0), "bad-header: not [from"),
        (raw_frame("owner-0", "node-0", "note", -1, 0), "bad-header: a size is negative"),
        (raw_frame("owner-0", "node-0", "note", 0, -(1 << 60)), "bad-header: a size is negative"),
        (
            MAGIC + b"\x00\x18\x95\xa7owner-0\xa6node-0\xa4note\xcc\x01\x00",
            "bad-header: not in its shortest form",
        ),
        (raw_frame("owner-0", "node-0", "nöte", 0, 0), "bad-header: a name is not ASCII"),
        (raw_frame("owner-0", "node-0", "a\x1b[2Jb", 0, 0), "unknown-kind: 'a?[2Jb' is not for owner-0"),
        (
            raw_frame("owner-0", "node-0", "note", 2001, 0),
            "too-large: note: body of 2001 bytes, at most 2000",
        ),
        (raw_frame("owner-0", "node-0", "note", 0, 1), "too-large: note: payload of 1 bytes, at most 0"),
        (raw_frame("owner-0", "node-0", "vector", 0, (1 << 64) - 1), "too-large: vector: payload of 18446"),
        (raw_frame("owner-9", "node-0", "note", 0, 0), "unknown-sender: 'owner-9' does not speak"),
        (raw_frame("", "node-0", "note", 0, 0), "unknown-sender: '' does not speak"),
        (raw_frame("owner-0", "node-1", "note", 0, 0), "unknown-receiver: 'node-1' is not reached here"),
    ],
)
def test_what_no_honest_peer_sends_is_refused_by_name(data: bytes, refusal: str) -> None:
    good = Frame("owner-0", "node-0", "note", b"before")
    for cuts in (whole(), iter(lambda: 1, 0)):
        frames, found = decode(pack_frame(good) + data, cuts)
        assert frames == [good]
        assert found is not None
        assert found.startswith(refusal)


def test_a_refused_frame_takes_no_memory() -> None:
    taken: list[int] = []

    def allocate(size: int) -> memoryview:
        taken.append(size)
        return memoryview(bytearray(size))

    decoder = Decoder(GATE, allocate)
    data = raw_frame("owner-0", "node-0", "vector", 0, (1 << 20) + 1, rest=bytes(30_000))
    tracemalloc.start()
    try:
        _, refusal = decode(data, whole(), decoder)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refusal is not None
    assert taken == []
    assert peak < 20_000


def test_a_large_frame_takes_its_memory_once() -> None:
    taken: list[int] = []

    def allocate(size: int) -> memoryview:
        taken.append(size)
        return memoryview(bytearray(size))

    frame = Frame("owner-0", "node-0", "vector", b"body", bytes(1 << 20))
    decoder = Decoder(GATE, allocate)
    assert decode(pack_frame(frame) * 2, random_cuts(1), decoder) == ([frame, frame], None)
    assert taken == [1 << 20, 1 << 20]


def test_a_large_payload_is_received_straight_into_its_memory() -> None:
    memory = bytearray(1 << 20)
    decoder = Decoder(GATE, lambda size: memoryview(memory))
    head = pack_frame(Frame("owner-0", "node-0", "vector", b"", bytes(1 << 20)))[: -(1 << 20)]
    assert decode(head + b"start", whole(), decoder) == ([], None)
    rest = decoder.get_buffer()
    assert rest.obj is memory
    assert len(rest) == len(memory) - len(b"start")
    assert memory.startswith(b"start")


def test_a_new_gate_holds_from_the_next_frame_on() -> None:
    decoder = Decoder(GATE, lambda size: memoryview(bytearray(size)))
    data = pack_frame(Frame("owner-0", "node-0", "note")) * 3
    decoder.get_buffer()[: len(data)] = data
    frames = decoder.buffer_updated(len(data))
    next(frames)
    next(frames)
    decoder.set_rules(FrameRules(LIMITS, ("owner-1",), ("node-0",)))
    with pytest.raises(FrameError, match="'owner-0' does not speak"):
        next(frames)


@pytest.mark.parametrize("size", [10, 70_000])
def test_a_decoder_knows_whether_a_frame_is_unfinished(size: int) -> None:
    data = pack_frame(Frame("owner-0", "node-0", "vector", b"", bytes(size)))
    for end in (1, 3, 10, len(data) - size, len(data) - 1):
        decoder = Decoder(GATE, lambda size: memoryview(bytearray(size)))
        decode(data[:end], whole(), decoder)
        assert decoder.inside_frame
        decode(data[end:], whole(), decoder)
        assert not decoder.inside_frame
