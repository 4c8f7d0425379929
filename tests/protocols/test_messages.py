"""Messages as bytes: every kind there and back, and nothing but a `MessageError` for anything else."""

from dataclasses import fields

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncagg.protocols import messages as m
from asyncagg.protocols.names import Label

LABEL = Label(3, 2)
H32, H64, TAG = b"h" * 32, b"s" * 64, b"t" * 16
ENTRY = (4, H32, b"k" * 32, b"", b"")
EXAMPLES: list[m.Message] = [
    m.Publish(b"\0" * 24, (("w", (2, 3), "<f4"),), b"\x07", b"", b""),
    m.Begin(b"\x07", H32, b"", H64),
    m.Finish("done"),
    m.Joined(H32),
    m.Advertise(H32, b"", H32, b""),
    m.Roster(b"\x07", H32, (ENTRY, ENTRY), b"", b"", b""),
    m.RosterFixed(H32),
    m.Beacon(H32, H64),
    m.SealedShares(b"boxes", H32),
    m.ShareBoxes(b"boxes", b"\x07", H64),
    m.SharersFixed(H32),
    m.SharersSigned(H64),
    m.Complaint(b"\x05"),
    m.Excluded("late"),
    m.Ready(),
    m.Permit(),
    m.MaskedSlice(b"slice", H32, TAG),
    m.ClearSlice(b"slice", H32, TAG),
    m.ShareSlice(b"slice", H32, TAG, H64),
    m.NodeKey(H32, b""),
    m.SealedSeed(H32, H32, b"b" * 32, H64),
    m.Held(2**31 - 1),
    m.Faulty(0, "checksum differs"),
    m.Commit(1),
    m.Discard(1),
    m.Survivors(b"\x07"),
    m.CertifyRequest(b"\x07"),
    m.Certify(H64),
    m.Certificate(H32, b"\x07", ((0, H64), (2, H64))),
    m.UnmaskRequest(b"\x07", ()),
    m.UnmaskShares(b"shares"),
    m.UnmaskBox(b"box"),
    m.MaskKeys(b"k" * 32, 1),
    m.Opening(b"answers", b"\x07", b"\x07", b"\x07", b"\x07", (ENTRY,), b"c" * 96, (), ((1, b"\x04"),)),
    m.SumSlice(b"sum", TAG),
    m.SumShare(b"sum", TAG),
    m.MaskedSum(b"sum", TAG),
    m.Report(b"\x07", ((1, 3),), (), ((2, 4),)),
    m.Losses(((1, 2, "its vector has another shape"),)),
    m.Failed("no", ((1, 0),), True, ((1, 1),), 1),
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary(max_size=70) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


def test_there_is_an_example_of_every_kind() -> None:
    assert [example.kind for example in EXAMPLES] == list(m.KINDS)


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: message.kind)
def test_every_kind_comes_back_as_it_was(message: m.Message) -> None:
    kind, body, payload = m.encode(LABEL, message)
    assert m.decode(kind, body, payload) == (LABEL, message)
    described = len(msgpack.packb(message.arrays)) if isinstance(message, m.Publish) else 0
    assert len(body) <= type(message).largest(m.Measures(3, 3, 24, described, 16))[0]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: message.kind)
def test_any_field_of_another_type_or_size_is_refused_by_name(message: m.Message) -> None:
    kind, body, payload = m.encode(LABEL, message)
    values = msgpack.unpackb(body)
    names = [field.name for field in fields(message) if field.name != "data"]
    for place, name in enumerate(names, start=2):
        for wrong in (None, 1.5, {}, -1, 2**63, [[]]):
            bad = msgpack.packb([*values[:place], wrong, *values[place + 1 :]])
            with pytest.raises(m.MessageError, match=rf"{kind}\.{name}: not "):
                m.decode(kind, bad, payload)
    for bad in (values[:-1], [*values, 0], {"round": 1}, 7):
        with pytest.raises(m.MessageError, match=kind):
            m.decode(kind, msgpack.packb(bad), payload)


@pytest.mark.parametrize("label", [(-1, 1), (2**31, 1), (0, 2**40), (True, 1), (0, "1"), (0.0, 1)])
def test_a_label_is_two_small_numbers(label: tuple[object, object]) -> None:
    with pytest.raises(m.MessageError, match="label is not a round and an attempt"):
        m.decode("ready", msgpack.packb(label), b"")


def test_a_kind_without_a_vector_carries_none() -> None:
    with pytest.raises(m.MessageError, match="carries 3 bytes of payload"):
        m.decode("ready", msgpack.packb([0, 1]), b"abc")


@pytest.mark.parametrize("kind", list(m.KINDS))
@given(data=st.data())
@settings(max_examples=30)
def test_junk_is_a_message_error_and_nothing_else(kind: str, data: st.DataObject) -> None:
    fields_or_junk = st.one_of(
        st.binary(max_size=200),
        st.lists(anything, max_size=9).map(msgpack.packb),
        st.lists(anything, max_size=9).map(lambda values: msgpack.packb([0, 1, *values])),
    )
    body, payload = data.draw(fields_or_junk), data.draw(st.binary(max_size=8))
    try:
        label, message = m.decode(kind, body, payload)
    except m.MessageError:
        return
    assert m.decode(*m.encode(label, message)) == (label, message)


@given(st.text(max_size=60), st.binary(max_size=60))
@settings(max_examples=50)
def test_an_unknown_kind_is_refused(kind: str, body: bytes) -> None:
    if kind not in m.KINDS:
        with pytest.raises(m.MessageError, match="unknown kind"):
            m.decode(kind, body, b"")


@pytest.mark.parametrize("body", [b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x91" * 5000, b"\xc1", b""])
def test_sizes_that_a_body_only_claims_cost_nothing(body: bytes) -> None:
    with pytest.raises(m.MessageError):
        m.decode("ready", body, b"")


@given(st.integers(1, 40), st.data())
def test_bitmaps_come_back_and_name_nobody_beyond_the_population(population: int, data: st.DataObject) -> None:
    members = tuple(sorted(data.draw(st.sets(st.integers(0, population - 1)))))
    bitmap = m.to_bitmap(members, population)
    assert m.from_bitmap(bitmap, population) == members
    with pytest.raises(m.MessageError, match="population"):
        m.from_bitmap(bitmap + b"\0", population)
    if population % 8:
        with pytest.raises(m.MessageError, match="beyond the population"):
            m.from_bitmap(bitmap[:-1] + b"\xff", population)
