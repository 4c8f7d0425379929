"""Where a data owner's privacy ledger lives: a file that a restart finds again, or memory in virtual time."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Lock

from asyncagg.protocols.ledger.account import Ledger, Rules
from asyncagg.runs.atomic import make_folder, replace


class StoreError(Exception):
    """A ledger that cannot be kept, or read again; the text says which file and why."""


class LedgerStore:
    """One owner's ledger. `save` replaces the file in one step; without a path it keeps the ledger in memory.

    Raises StoreError where the file is no ledger of these rules, or cannot be written.
    """

    def __init__(self, rules: Rules, path: Path | None = None, durable: bool = False) -> None:
        """`durable`: what was saved outlives a power cut, and saving takes its time; see `runs.atomic`."""
        self.path = path
        self.durable = durable
        self._lock = Lock()
        self.ledger = Ledger(rules)
        self._written = _version(path)
        if path is not None and path.exists():
            try:
                self.ledger = Ledger.from_data(rules, json.loads(path.read_text()))
            except OSError as error:
                raise StoreError(f"{path}: {error.strerror} (a privacy ledger that can be read)") from None
            except ValueError as error:
                raise StoreError(f"{path}: is no privacy ledger of this run: {error}") from None

    def save(self) -> None:
        """May be called from any thread."""
        if self.path is None:
            return
        with self._lock:
            if _version(self.path) != self._written:
                raise StoreError(f"{self.path}: another process writes this privacy ledger (one process for an owner)")
            data = json.dumps(self.ledger.to_data()).encode()
            try:
                make_folder(self.path.parent, self.durable)
                replace(self.path, lambda file: file.write(data), self.durable)
            except OSError as error:
                raise StoreError(f"{self.path}: {error.strerror} (room for the privacy ledger)") from None
            self._written = _version(self.path)


def _version(path: Path | None) -> tuple[int, int] | None:
    """What tells a file from those that take its place; None while there is none."""
    try:
        found = None if path is None else path.stat()
    except OSError:
        return None
    return None if found is None else (found.st_ino, found.st_mtime_ns)
