"""A data owner's account and the lines it is written in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncagg.protocols.ledger.account import OwnerAccount
from asyncagg.protocols.ledger.entries import Entry, check_first_line, first_line, read_line
from asyncagg.protocols.messages import to_bitmap
from asyncagg.protocols.names import Label
from asyncagg.version import FORMAT

A = bytes(range(32))
N = 12


def bitmap(*members):
    return to_bitmap(members, N)


def test_what_is_noted_is_taken_once_and_in_order():
    account = OwnerAccount(N)
    account.uploaded(Label(3, 1), A, bitmap(0, 1, 2, 3), 2)
    account.settled(Label(3, 1), A, bitmap(0, 1, 2))
    assert account.newest == Label(3, 1)
    assert [(entry.state, entry.members, entry.least) for entry in account.take()] == [
        ("possible", 0b1111, 2),
        ("known", 0b111, 3),
    ]
    assert account.take() == ()
    assert account.newest == Label(3, 1)


@pytest.mark.parametrize("least", [0, 4])
def test_the_fewest_must_be_possible(least):
    with pytest.raises(ValueError, match=f"{least} of 3 owners"):
        OwnerAccount(N).uploaded(Label(0, 1), A, bitmap(0, 1, 2), least)


@pytest.mark.parametrize("members", [b"", bytes(2), b"\xff\xff", bytes(3)])
def test_what_is_no_set_of_the_population_is_a_mistake(members):
    with pytest.raises(ValueError, match="some of the 12 owners"):
        OwnerAccount(N).settled(Label(0, 1), A, members)


@given(st.integers(0, 10**6), st.integers(1, 99), st.integers(1, 2**N - 1), st.data())
def test_an_entry_is_read_as_it_was_written(round_index, attempt, members, data):
    state = data.draw(st.sampled_from(["known", "possible", "withdrawn"]))
    count = members.bit_count()
    least = count if state == "known" else data.draw(st.integers(1, count))
    entry = Entry(Label(round_index, attempt), A, members, least, state)
    assert read_line(entry.line(), N) == entry
    assert "\n" not in entry.line()


GOOD = json.loads(Entry.possible(N, Label(3, 1), A, bitmap(0, 1, 2, 3), 2).line())


@pytest.mark.parametrize(
    "change",
    [
        {"round": -1},
        {"attempt": "0"},
        {"attempt": True},
        {"parameters": "zz"},
        {"parameters": None},
        {"members": "1fff"},
        {"members": "0"},
        {"members": "-f"},
        {"members": "x"},
        {"members": 15},
        {"least": 0},
        {"least": 5},
        {"least": 2.0},
        {"state": "known"},
        {"state": "other"},
        {"more": 1},
    ],
)
def test_a_wrong_entry_is_refused(change):
    with pytest.raises(ValueError, match="entry"):
        read_line(json.dumps(GOOD | change), N)


@pytest.mark.parametrize("line", ["", "3", "[]", "{}", "{", "null", "[" * 100_000, '{"round":3}'])
def test_what_is_no_entry_is_refused(line):
    with pytest.raises(ValueError, match="not an entry of an account"):
        read_line(line, N)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", f"not an account of format {FORMAT}"),
        ("[]", f"not an account of format {FORMAT}"),
        ('{"schema": 1, "owners": 12, "entries": []}', f"not an account of format {FORMAT}"),
        (f'{{"format": {FORMAT}, "owners": 5}}', "an account of 5 owners, the population has 12"),
    ],
)
def test_another_first_line_is_refused(line, says):
    check_first_line(first_line(N), N)
    with pytest.raises(ValueError, match=says):
        check_first_line(line, N)
