"""The model owner's account: which sums became known, or may have, and what they give away two by two.

It is there for the result, and proves nothing against the model owner itself. An attempt is noted before it is
published, and counts as one whose sum may be known until it has ended. Of what there is to say the first sentences are
kept and the others counted, so that an account stays as small as its comparison does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from asyncagg.protocols.batches import Batches
from asyncagg.protocols.ledger.comparison import COMPARED, Rules, SumComparison
from asyncagg.protocols.ledger.disclosure import Finding, Scope, attempt, sentence
from asyncagg.protocols.ledger.entries import Entry
from asyncagg.protocols.names import Label

EACH: Final = 3
"""Sentences on one attempt."""
SENTENCES: Final = 100
"""Sentences on a run."""


class SumAccount:
    """The account of one run."""

    def __init__(self, rules: Rules, compared: int = COMPARED) -> None:
        self.rules = rules
        self._comparison = SumComparison(rules, compared)
        self._summary = _Summary(rules.cut)
        self._last: Entry | None = None
        self._open = False
        """True if the last entry is of an attempt that has not ended: it is not compared yet."""
        self._noted: list[Entry] = []

    @classmethod
    def again(cls, rules: Rules, entries: Iterable[Entry]) -> SumAccount:
        """The account in which all this was noted and written down. ValueError as the methods raise it."""
        account = cls(rules)
        for entry in entries:
            account._note(entry)
        account.take()
        return account

    def published(self, label: Label, parameters: bytes, members: bytes, least: int) -> None:
        """Note an attempt that is about to be published, whose sum may be over `least` of these owners or more.

        Args:
            parameters: digest of the parameters.
            members: those who will be invited, as a bitmap over the population.

        Raises:
            ValueError: not a set of some owners, or `least` out of range.
        """
        self._note(Entry.possible(self.rules.owners, label, parameters, members, least))

    def withdrawn(self, label: Label) -> None:
        """Note that the last attempt, which this is, failed before any upload."""
        if self._last is not None and self._last.label == label:
            self._note(replace(self._last, state="withdrawn"))

    def settled(self, label: Label, parameters: bytes, members: bytes) -> None:
        """Note that the sum over exactly these owners is known.

        Raises:
            ValueError: not a set of some owners, or not of whole batches.
        """
        self._note(Entry.known(self.rules.owners, label, parameters, members))

    def has_sum(self, label: Label) -> bool:
        """True if there may be a sum of this attempt, and it is the last."""
        return self._last is not None and self._last.label == label and self._last.state != "withdrawn"

    def take(self) -> tuple[Entry, ...]:
        """Take the entries noted since the last call: for whoever writes them down."""
        noted, self._noted = tuple(self._noted), []
        return noted

    def sentences(self) -> list[str]:
        """Sentences on what the sums give away two by two, at the end of a run."""
        self._conclude()
        said = self._summary.sentences()
        if self._comparison.left_out:
            said.append(f"each sum was compared with the last {self._comparison.compared:,} different ones only")
        return said

    def _note(self, entry: Entry) -> None:
        if self._last is None or self._last.label != entry.label:
            self._conclude()
        if entry.state == "known":
            self._summary.add(self._comparison.findings(entry))
        self._last, self._open = entry, entry.state == "possible"
        self._noted.append(entry)

    def _conclude(self) -> None:
        """The last attempt is over. Where nobody said how, it counts as every sum that it may have become."""
        if self._last is not None and self._open:
            self._summary.add(self._comparison.findings(self._last))
            self._open = False


class _Summary:
    """Summary of a run's findings: the first sentences, and how much more there is.

    What an attempt whose survivors were never learnt may do to all later ones is said once.
    """

    def __init__(self, batches: Batches | None) -> None:
        self._batches = batches
        self._said: list[str] = []
        self._unlearnt: dict[tuple[Scope, Label], int] = {}
        """Attempts with unlearnt survivors that something was said of, and how many later ones may be close to them."""
        self._more = 0

    def add(self, findings: Iterable[Finding]) -> None:
        """Those of one attempt."""
        said = 0
        for finding in findings:
            about = finding.scope, finding.earlier
            if finding.unlearnt and about in self._unlearnt:
                self._unlearnt[about] += 1
            elif said == EACH or len(self._said) == SENTENCES:
                self._more += 1
            else:
                said += 1
                self._said.append(sentence(finding, self._batches))
                if finding.unlearnt:
                    self._unlearnt[about] = 0

    def sentences(self) -> list[str]:
        """All of it."""
        later = [
            f"{attempt(label)} ended unknown: {count} later attempts may differ as little from it ({scope})"
            for (scope, label), count in self._unlearnt.items()
            if count
        ]
        more = [f"{self._more} more of the same kind are not listed"] if self._more else []
        return [*self._said, *later, *more]
