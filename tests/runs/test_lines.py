"""Files that grow by whole lines: whole or not at all, by one process, and what a crash tore off is found."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncagg.runs import lines
from asyncagg.runs.lines import LineFile, OtherWriter


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.jsonl"


@pytest.mark.parametrize("durable", [True, False])
def test_lines_are_added_and_found_again(path: Path, durable: bool) -> None:
    file = LineFile(path, durable)
    assert file.size == 0
    file.add("one\n")
    file.add("two\nthree ·\n")
    assert path.read_text() == "one\ntwo\nthree ·\n"
    assert file.size == path.stat().st_size
    again = LineFile(path, durable)
    assert again.size == file.size
    again.add("four\n")
    assert list(lines.read(path, again.size)) == ["one", "two", "three ·", "four"]
    assert list(lines.read(path, file.size)) == ["one", "two", "three ·"]
    assert lines.last(path) == "four"


def test_file_and_folder_are_brought_to_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        done.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    file = LineFile(path, durable=True)
    file.add("one\n")
    file.add("two\n")
    assert done == [path.name, path.parent.name, path.name]


# -- one writer --------------------------------------------------------------------------------------------------------


def test_two_writers_of_one_file(path: Path) -> None:
    first, second = LineFile(path, False), LineFile(path, False)
    first.add("one\n")
    with pytest.raises(OtherWriter):
        second.add("other\n")
    first.add("two\n")
    third = LineFile(path, False)
    first.add("three\n")
    with pytest.raises(OtherWriter):
        third.add("other\n")
    assert path.read_text() == "one\ntwo\nthree\n"


def test_a_file_that_somebody_is_adding_to(path: Path) -> None:
    file = LineFile(path, False)
    file.add("one\n")
    with path.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OtherWriter):
            file.add("two\n")
    file.add("two\n")


def test_another_file_of_the_same_length(path: Path) -> None:
    file = LineFile(path, False)
    file.add("one\n")
    (path.parent / "new").write_text("two\n")
    (path.parent / "new").replace(path)
    with pytest.raises(OtherWriter):
        file.add("three\n")
    assert path.read_text() == "two\n"


def test_where_locks_are_not_to_be_had(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", none)
    file, other = LineFile(path, False), LineFile(path, False)
    file.add("one\n")
    with pytest.raises(OtherWriter):
        other.add("two\n")


# -- a full disk -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fails", ["write", "fsync"])
def test_what_cannot_be_written_whole_is_taken_back(path: Path, fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = LineFile(path, durable=True)
    file.add("one\n")
    write = os.write

    def half(descriptor: int, data: bytes) -> int:
        if len(data) < 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data[: len(data) // 2])

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, fails, half if fails == "write" else full)
        with pytest.raises(OSError, match="No space left"):
            file.add("two, which is long enough to be torn\n")
    assert path.read_text() == "one\n"
    file.add("two\n")
    assert path.read_text() == "one\ntwo\n"


def test_a_disk_takes_what_it_can_at_a_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    LineFile(path, False).add("a line longer than that\n")
    assert path.read_text() == "a line longer than that\n"


# -- torn lines --------------------------------------------------------------------------------------------------------


@given(
    whole=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=30), max_size=5),
    torn=st.binary(max_size=40).filter(lambda data: b"\n" not in data),
    block=st.sampled_from([1, 7, 65536]),
)
def test_half_a_line_is_cut_off(
    whole: list[str], torn: bytes, block: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("torn") / "file"
    sound = "".join(f"{line}\n" for line in whole).encode()
    path.write_bytes(sound + torn)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "_BLOCK", block)
        assert lines.mend(path) == len(torn)
        assert path.read_bytes() == sound
        assert lines.last(path) == (whole[-1] if whole else None)
    assert list(lines.read(path, len(sound))) == whole


def test_what_counts_are_whole_lines(path: Path) -> None:
    path.write_text("one\ntwo\nthr")
    assert list(lines.read(path, 0)) == []
    assert list(lines.read(path, 4)) == ["one"]
    for size in (3, 5, 9, 11, 12, 100):
        with pytest.raises(ValueError, match=f"no whole lines in its first {size} bytes"):
            list(lines.read(path, size))
    with pytest.raises(FileNotFoundError):
        list(lines.read(path.parent / "none", 1))
    path.write_bytes(b"\xff\n")
    with pytest.raises(ValueError, match="utf-8"):
        list(lines.read(path, 2))


def test_what_is_beyond_is_cut(path: Path) -> None:
    lines.cut(path, 4)  # there is none
    path.write_text("one\ntwo\n")
    lines.cut(path, 100)
    assert path.read_text() == "one\ntwo\n"
    lines.cut(path, 4)
    assert path.read_text() == "one\n"
    LineFile(path, False).add("three\n")
    assert path.read_text() == "one\nthree\n"
