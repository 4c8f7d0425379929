"""Store of a data owner's account: a file that a restart finds again, or memory in virtual time."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from asyncagg.protocols.ledger.account import OwnerAccount
from asyncagg.protocols.ledger.entries import check_first_line, first_line, read_line
from asyncagg.protocols.names import Label
from asyncagg.runs import lines
from asyncagg.runs.atomic import make_folder
from asyncagg.runs.lines import LineFile, OtherWriter

_LONGEST_FIRST = 1000
"""Bytes of another file's first line that are looked at."""


class StoreError(Exception):
    """An account that cannot be kept, or gone on with; the text says which file and why."""


class LedgerStore:
    """One owner's account. `save` adds what is new to the file; without a path nothing outlives this process.

    Of a file that is there already only the first line and the last are read: all that an owner asks of its account is
    which attempt was its last. Raises StoreError where the file is no account of this population, or cannot be written.
    """

    def __init__(self, owners: int, path: Path | None = None, durable: bool = False) -> None:
        """`durable`: what was saved outlives a power cut, and saving takes its time; see `runs.lines`."""
        self.path = path
        self.durable = durable
        self.torn = 0
        """Bytes of half a line that a crash had left at the end of the file, and that were cut off."""
        self._lock = Lock()
        self._file: LineFile | None = None
        self.account = OwnerAccount(owners)
        if path is not None:
            self._open(path)

    def save(self) -> None:
        """May be called from any thread."""
        with self._lock:
            noted = self.account.take()
            if self._file is None or not noted:
                return
            texts = [] if self._file.size else [first_line(self.account.owners)]
            texts += [entry.line() for entry in noted]
            try:
                make_folder(self._file.path.parent, self.durable)
                self._file.add("".join(f"{text}\n" for text in texts))
            except OtherWriter:
                why = "another process writes this account (one process for an owner)"
                raise StoreError(f"{self.path}: {why}") from None
            except OSError as error:
                raise StoreError(f"{self.path}: {error.strerror} (room for the account)") from None

    def _open(self, path: Path) -> None:
        former = path.with_suffix(".json")
        if former.exists():
            raise StoreError(f"{former}: is an account of an earlier version (go on with the asyncagg that made it)")
        try:
            if path.exists():
                self._check(path)
                self.torn = lines.mend(path)
                self.account.newest = self._newest(path)
            self._file = LineFile(path, self.durable)
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror} (an account that can be read and written)") from None
        except ValueError as error:
            right = "one that this version of asyncagg wrote; go on with the version that made it"
            raise StoreError(f"{path}: is no account of this run: {error} ({right})") from None

    def _check(self, path: Path) -> None:
        """ValueError unless the file begins as an account does, or ends before it is clear that it does not."""
        right = f"{first_line(self.account.owners)}\n".encode()
        with path.open("rb") as file:
            if not right.startswith(file.read(len(right))):
                file.seek(0)
                check_first_line(file.readline(_LONGEST_FIRST).decode(errors="replace"), self.account.owners)

    def _newest(self, path: Path) -> Label | None:
        """The attempt of the last entry; None without one. ValueError for what is no entry."""
        last = lines.last(path)
        if last is None or last == first_line(self.account.owners):
            return None
        return read_line(last, self.account.owners).label
