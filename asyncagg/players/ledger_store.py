"""Where a data owner's privacy ledger lives: a file that a restart finds again, or memory in virtual time."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Lock

from asyncagg.protocols.ledger import Ledger, Rules
from asyncagg.runs.atomic import replace


class LedgerStore:
    """One owner's ledger. `save` replaces the file in one step; without a path it keeps the ledger in memory."""

    def __init__(self, rules: Rules, path: Path | None = None, durable: bool = False) -> None:
        """`durable`: what was saved outlives a power cut, and saving takes its time; see `runs.atomic`."""
        self.path = path
        self.durable = durable
        self._lock = Lock()
        stored = path is not None and path.exists()
        self.ledger = Ledger.from_data(rules, json.loads(path.read_text())) if stored and path else Ledger(rules)

    def save(self) -> None:
        """May be called from any thread."""
        if self.path is None:
            return
        with self._lock:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            data = json.dumps(self.ledger.to_data()).encode()
            replace(self.path, lambda file: file.write(data), self.durable)
