"""A data owner's account: the sums it took part in, noted before it uploads and before it answers.

    uploaded   before an upload: the sum may become known, over whichever set the survivors turn out to be
    settled    before the owner signs or answers for the survivors: it becomes known, whatever comes of it

It refuses nothing, and it looks back at nothing but its newest label, so that a round costs the same however many were
before it. An owner sees only the sums it was in: what they give away together, nobody can tell from one account.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from asyncagg.protocols.ledger.entries import Entry
from asyncagg.protocols.names import Label


@dataclass(slots=True)
class OwnerAccount:
    """Entries that one owner has noted and not written down yet, and the last attempt that it noted anything of."""

    owners: int
    """N: sets are bitmaps over the pinned population."""
    newest: Label | None = None
    """No attempt up to this one is taken part in again."""
    _noted: deque[Entry] = field(default_factory=deque)

    def uploaded(self, label: Label, parameters: bytes, members: bytes, least: int) -> None:
        """Note an upload that is about to start; write it down before it does.

        Args:
            parameters: digest of the parameters.
            members: everyone who may be in the sum: the roster, or U2; a bitmap over the population.
            least: fewest of them that the sum may hold; all, where nobody can be recovered from (`pairwise`).

        Raises:
            ValueError: not a set of some owners, or `least` out of range.
        """
        self._note(Entry.possible(self.owners, label, parameters, members, least))

    def settled(self, label: Label, parameters: bytes, members: bytes) -> None:
        """Note the survivors, before signing or answering for them. ValueError for no set of some owners."""
        self._note(Entry.known(self.owners, label, parameters, members))

    def take(self) -> tuple[Entry, ...]:
        """Take the entries noted since the last call: for whoever writes them down, in any thread."""
        noted = []
        while self._noted:
            noted.append(self._noted.popleft())
        return tuple(noted)

    def _note(self, entry: Entry) -> None:
        self._noted.append(entry)
        self.newest = entry.label
