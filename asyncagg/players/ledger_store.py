"""Where a data owner's privacy ledger lives: a file that a restart finds again, or memory in virtual time."""

from __future__ import annotations

import json
import os
from pathlib import Path

from asyncagg.protocols.ledger import Ledger, Rules


class LedgerStore:
    """One owner's ledger. `save` replaces the file in one step; without a path it keeps the ledger in memory."""

    def __init__(self, rules: Rules, path: Path | None = None) -> None:
        self.path = path
        stored = path is not None and path.exists()
        self.ledger = Ledger.from_data(rules, json.loads(path.read_text())) if stored and path else Ledger(rules)

    def save(self) -> None:
        if self.path is None:
            return
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.ledger.to_data()), encoding="utf-8")
        os.replace(temporary, self.path)
