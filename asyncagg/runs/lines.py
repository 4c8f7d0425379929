"""Files that grow by whole lines: what was written stays, and a crash leaves at most half a line at the end.

A half line is recognised by the newline that it lacks: whoever opens such a file again cuts it off, and nothing that
depends on it can have happened, as a line is written before anyone acts on it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from asyncagg.runs.atomic import sync_folder

_BLOCK = 64 * 1024


class OtherWriter(Exception):
    """The file is not as this process left it."""


class LineFile:
    """One file that this process alone adds to. It is opened for each addition, as there may be thousands."""

    def __init__(self, path: Path, durable: bool) -> None:
        """`durable`: what was added outlives a power cut, and adding takes its time. OSError but for a file that is
        not there yet."""
        self.path = path
        self._durable = durable
        self._left = _state(path)

    @property
    def size(self) -> int:
        """Bytes that the file has."""
        return 0 if self._left is None else self._left[1]

    def add(self, text: str) -> None:
        """Whole lines. The file is as it was where this fails: with OSError, or OtherWriter."""
        flags = os.O_CREAT | os.O_EXCL if self._left is None else 0
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | flags, 0o666)
        except FileExistsError:
            raise OtherWriter from None
        try:
            self._check(descriptor)
            _write(descriptor, text.encode(), self.size, self._durable)
            found = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        created, self._left = self._left is None, (found.st_ino, found.st_size)
        if created and self._durable:
            sync_folder(self.path.parent)

    def _check(self, descriptor: int) -> None:
        """OtherWriter unless the file is as it was left, and nobody adds to it at this moment."""
        with contextlib.suppress(OSError):  # a file system without locks: the size tells too, only later
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OtherWriter from None
        found = os.fstat(descriptor)
        if (found.st_ino, found.st_size) != (self._left or (found.st_ino, 0)):
            raise OtherWriter


def _state(path: Path) -> tuple[int, int] | None:
    """Inode, which tells a file from another of its name, and size in bytes; None where there is no file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size


def _write(descriptor: int, data: bytes, size: int, durable: bool) -> None:
    """Append at the end of a file of this size, which it has again where that fails."""
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        if durable:
            os.fsync(descriptor)
    except OSError:
        with contextlib.suppress(OSError):  # what went wrong first is what is told
            os.ftruncate(descriptor, size)
        raise


def cut(path: Path, size: int) -> None:
    """Take away all beyond so many bytes. OSError."""
    if path.exists() and path.stat().st_size > size:
        os.truncate(path, size)


def mend(path: Path) -> int:
    """Cut off what follows the last whole line; how many bytes that were. OSError."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        end = _start_of_line(file, size)
    cut(path, end)
    return size - end


def last(path: Path) -> str | None:
    """The last line of a file of whole lines, of which nothing else is read; None of an empty one.

    OSError, or ValueError for what is no text.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(_start_of_line(file, size - 1))
        return file.readline().decode().removesuffix("\n") if size else None


def read(path: Path, size: int) -> Iterator[str]:
    """The lines in the first so many bytes. OSError, or ValueError where these are not whole lines of text."""
    if not size:
        return
    with path.open("rb") as file:
        done = 0
        for line in file:
            done += len(line)
            if done > size or not line.endswith(b"\n"):
                break
            yield line.decode().removesuffix("\n")
            if done == size:
                return
    raise ValueError(f"has no whole lines in its first {size} bytes")


def _start_of_line(file: BinaryIO, end: int) -> int:
    """Offset where the line that reaches this place begins: behind the newline before it."""
    while end > 0:
        start = max(0, end - _BLOCK)
        file.seek(start)
        at = file.read(end - start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0
