"""Where an owner keeps its account: a line for each thing noted, and the same cost however many there are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Self

import pytest

from asyncagg.players.ledger_store import LedgerStore, StoreError
from asyncagg.protocols.ledger.entries import first_line, read_line
from asyncagg.protocols.messages import to_bitmap
from asyncagg.protocols.names import Label
from asyncagg.version import FORMAT

OWNERS = 6
A = bytes(range(32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledgers" / "data-owner-0.jsonl"


def bitmap(*members: int) -> bytes:
    return to_bitmap(members, OWNERS)


EVERYONE = bitmap(*range(OWNERS))


def note_round(store: LedgerStore, index: int) -> None:
    """One attempt at a round, as a role notes it."""
    store.account.uploaded(Label(index, 1), A, EVERYONE, 4)
    store.save()
    store.account.settled(Label(index, 1), A, bitmap(0, 1, 2, 3, 4))
    store.save()


@pytest.mark.parametrize("durable", [True, False])
def test_each_thing_noted_is_a_line_of_its_own(path: Path, durable: bool) -> None:
    store = LedgerStore(OWNERS, path, durable)
    assert not path.exists()
    store.save()
    assert not path.exists(), "there is nothing to write"
    note_round(store, 0)
    before = path.read_bytes()
    note_round(store, 1)
    assert path.read_bytes().startswith(before), "what was written stays"
    head, *texts = path.read_text().splitlines()
    assert head == first_line(OWNERS)
    assert [(entry.label, entry.state) for entry in (read_line(text, OWNERS) for text in texts)] == [
        (Label(0, 1), "possible"),
        (Label(0, 1), "known"),
        (Label(1, 1), "possible"),
        (Label(1, 1), "known"),
    ]
    again = LedgerStore(OWNERS, path, durable)
    assert (again.account.newest, again.torn) == (Label(1, 1), 0)
    note_round(again, 2)
    assert LedgerStore(OWNERS, path).account.newest == Label(2, 1)


def test_a_file_without_entries_has_no_newest(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(first_line(OWNERS) + "\n")
    assert LedgerStore(OWNERS, path).account.newest is None


def test_in_memory_only_the_newest_is_kept() -> None:
    store = LedgerStore(OWNERS)
    for index in range(50):
        note_round(store, index)
    assert store.account.newest == Label(49, 1)
    assert not store.account.take()


def test_two_processes_do_not_write_one_account(path: Path) -> None:
    first, second = LedgerStore(OWNERS, path, durable=True), LedgerStore(OWNERS, path, durable=True)
    first.account.settled(Label(0, 1), A, EVERYONE)
    first.save()
    first.account.settled(Label(1, 1), A, EVERYONE)
    first.save()
    kept = path.read_bytes()
    second.account.settled(Label(0, 2), A, EVERYONE)
    with pytest.raises(StoreError, match=r"another process writes this account \(one process for an owner\)"):
        second.save()
    assert path.read_bytes() == kept


# -- the same cost however long it is ----------------------------------------------------------------------------------


class Counted:
    """What is read from and written to a file, through the calls that do it."""

    def __init__(self, patch: pytest.MonkeyPatch, path: Path) -> None:
        self.written = self.read = 0
        write, open_ = os.write, Path.open

        def writes(descriptor: int, data: bytes) -> int:
            self.written += len(data)
            return write(descriptor, data)

        def opens(this: Path, *arguments: Any, **keys: Any) -> Any:
            file = open_(this, *arguments, **keys)
            return _Reading(file, self) if this == path else file

        patch.setattr(os, "write", writes)
        patch.setattr(Path, "open", opens)

    def taken(self) -> tuple[int, int]:
        counted, self.written, self.read = (self.written, self.read), 0, 0
        return counted


class _Reading:
    """A file that counts what is read of it."""

    def __init__(self, file: Any, counted: Counted) -> None:
        self.file = file
        self.counted = counted

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def seek(self, *arguments: int) -> int:
        return int(self.file.seek(*arguments))

    def read(self, size: int) -> bytes:
        return self._counted(self.file.read(size))

    def readline(self, size: int = -1) -> bytes:
        return self._counted(self.file.readline(size))

    def _counted(self, data: bytes) -> bytes:
        self.counted.read += len(data)
        return data


def test_a_late_round_costs_what_an_early_one_did(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asyncagg.runs.lines._BLOCK", 256)
    counted = Counted(monkeypatch, path)
    costs = []
    for index in range(100, 900):
        if index % 100 == 0:
            counted.taken()
            store = LedgerStore(OWNERS, path)
            costs.append(counted.taken())
        counted.taken()
        note_round(store, index)
        if index % 100 in (5, 95):
            costs.append(counted.taken())
    opened, early, late = costs[3::3], costs[1::3], costs[2::3]
    assert len(set(opened)) == 1, "to open it again reads the same"
    assert 0 < opened[0][1] < 2000
    assert set(early) == set(late)
    assert len(set(late)) == 1
    assert late[0][1] == 0


# -- crashes, damage, other versions -----------------------------------------------------------------------------------


@pytest.fixture
def kept(path: Path) -> bytes:
    """What two rounds left."""
    store = LedgerStore(OWNERS, path)
    for index in range(2):
        note_round(store, index)
    return path.read_bytes()


def test_wherever_a_crash_tore_it_the_last_whole_line_counts(path: Path, kept: bytes) -> None:
    for length in range(len(kept)):
        path.write_bytes(kept[:length])
        store = LedgerStore(OWNERS, path)
        whole = kept[:length].rpartition(b"\n")
        assert store.torn == len(whole[2])
        assert path.read_bytes() == whole[0] + whole[1]
        texts = whole[0].decode().splitlines()[1:]
        assert store.account.newest == (read_line(texts[-1], OWNERS).label if texts else None)
        note_round(store, 7)
        assert LedgerStore(OWNERS, path).account.newest == Label(7, 1)
        assert path.read_text().splitlines()[0] == first_line(OWNERS)


@pytest.mark.parametrize("left", [bytes(50), b"\xff\xfe", b'{"round":9,"attempt":1}'])
def test_a_torn_line_is_cut_whatever_it_holds(path: Path, kept: bytes, left: bytes) -> None:
    path.write_bytes(kept + left)
    store = LedgerStore(OWNERS, path)
    assert (store.torn, store.account.newest, path.read_bytes()) == (len(left), Label(1, 1), kept)


def refused(path: Path, content: bytes) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        LedgerStore(OWNERS, path)
    assert path.read_bytes() == content, "nothing of it is touched"
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


RIGHT = "(one that this version of asyncagg wrote; go on with the version that made it)"


@pytest.mark.parametrize("last", ["{}", "", "garbage", '{"round":1', "\x00"])
def test_a_last_line_that_is_whole_and_wrong_is_never_trusted(path: Path, kept: bytes, last: str) -> None:
    text = refused(path, kept + last.encode() + b"\n")
    assert text == f"is no account of this run: not an entry of an account {RIGHT}"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"schema": 99}', f"not an account of format {FORMAT}"),
        (b'{"schema": 99}\n{"schema": 99}', f"not an account of format {FORMAT}"),
        (b"my own notes", f"not an account of format {FORMAT}"),
        (bytes(10_000_000), f"not an account of format {FORMAT}"),
        (f'{{"format":{FORMAT},"owners":5}}\n'.encode(), "an account of 5 owners, the population has 6"),
        (b"\xff\xfe\xff\n", f"not an account of format {FORMAT}"),
    ],
)
def test_a_file_that_is_no_account_stays_as_it_is(path: Path, content: bytes, says: str) -> None:
    assert refused(path, content) == f"is no account of this run: {says} {RIGHT}"


def test_an_account_of_an_earlier_version_is_refused(path: Path) -> None:
    path.parent.mkdir()
    former = path.with_suffix(".json")
    former.write_text(json.dumps({"schema": 1, "owners": OWNERS, "entries": []}))
    with pytest.raises(StoreError) as caught:
        LedgerStore(OWNERS, path)
    assert str(caught.value) == (
        f"{former}: is an account of an earlier version (go on with the asyncagg that made it)"
    )


def test_what_cannot_be_opened_or_written_is_one_line(path: Path, tmp_path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StoreError, match=r"Is a directory \(an account that can be read and written\)"):
        LedgerStore(OWNERS, path)
    (tmp_path / "file").touch()
    store = LedgerStore(OWNERS, tmp_path / "none" / "data-owner-0.jsonl")
    (tmp_path / "none").touch()
    store.account.settled(Label(0, 1), A, EVERYONE)
    with pytest.raises(StoreError, match=r"File exists \(room for the account\)|Not a directory"):
        store.save()
