"""The privacy ledger: whose sums became known, on which parameters, and what they give away together.

Each owner keeps one and persists it before it uploads; the lead and the model owner keep one for the result,
which proves nothing against them. Sets are compared in two scopes: the inputs of sums on the same parameters,
and, where weights are private, the total weights of all rounds.

    examine    what a set would give away, without recording it
    uploaded   before an upload: an entry `possible`, until the survivors are learnt
    withdrawn  when an attempt failed before any upload: no entry
    settled    before the owner signs or answers for the survivors: an entry `known`, whatever comes of it

A strict ledger refuses what gives something away and does not record it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from asyncagg.protocols.ledger.disclosure import Basis, Entry, Finding, Scope, solved, too_close
from asyncagg.protocols.ledger.span import Span
from asyncagg.protocols.names import Label

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Rules:
    """What a ledger watches for."""

    owners: int
    """N: sets are bitmaps over the pinned population."""
    minimum_cohort: int
    """Sums that differ by fewer owners are too close."""
    strict: bool
    """Refuse instead of warn; implied by threat `lying`."""
    weights: bool
    """Whether weights are private, so that total weights are compared over all rounds."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a set gives away, and whether it is refused for that."""

    findings: tuple[Finding, ...]
    refused: bool

    @property
    def reason(self) -> str:
        """All findings in one line; empty if there are none."""
        return "; ".join(finding.sentence for finding in self.findings)


@dataclass(slots=True)
class Ledger:
    """The entries of one player, in the order in which they were recorded or settled."""

    rules: Rules
    _entries: dict[Label, Entry] = field(default_factory=dict)
    _findings: dict[Label, tuple[Finding, ...]] = field(default_factory=dict)
    _bases: dict[tuple[Scope, bytes], Basis] = field(default_factory=dict)

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(self._entries.values())

    @property
    def newest(self) -> Label | None:
        """The latest attempt with an entry; None without any."""
        return max(self._entries, default=None)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the recorded sets give away: the warnings of a run."""
        return tuple(finding for label in self._entries for finding in self._findings[label])

    def examine(self, label: Label, parameters: bytes, members: bytes) -> Verdict:
        """What the sum of exactly these owners would give away, beside all other attempts.

        Args:
            parameters: digest of the parameters.
            members: bitmap over the population, least significant bit first, of at least one owner.

        Raises:
            ValueError: not such a bitmap.
        """
        return self._examine(self._exact(label, parameters, members))

    def uploaded(self, label: Label, parameters: bytes, members: bytes, least: int) -> Verdict:
        """Record an upload that is about to start. Persist the ledger before it does; do not start if
        refused.

        Args:
            members: everyone who may be in the sum: the roster, or U2.
            least: fewest of them that the sum may hold; all, where nobody can be recovered from (`pairwise`).

        Raises:
            ValueError: as `examine`, or `least` out of range.
        """
        entry = self._exact(label, parameters, members)
        if not 1 <= least <= entry.least:
            raise ValueError(f"{least} of {entry.least} owners: must be at least 1 and at most all")
        expected = replace(entry, state="possible")
        return self._record(replace(expected, least=least), self._examine(expected))

    def withdrawn(self, label: Label) -> None:
        """Strike an upload that did not start after all: the attempt failed before."""
        self._entries.pop(label, None)
        self._findings.pop(label, None)

    def settled(self, label: Label, parameters: bytes, members: bytes) -> Verdict:
        """Record the survivors of an attempt, before signing or answering for them; do neither if refused."""
        entry = self._exact(label, parameters, members)
        return self._record(entry, self._examine(entry))

    def _exact(self, label: Label, parameters: bytes, members: bytes) -> Entry:
        value = int.from_bytes(members, "little")
        if len(members) != (self.rules.owners + 7) // 8 or value >> self.rules.owners or not value:
            raise ValueError(f"not a set of some of the {self.rules.owners} owners: {members[:16].hex()}")
        return Entry(label, parameters, value, value.bit_count(), "known")

    def _examine(self, entry: Entry) -> Verdict:
        findings: list[Finding] = []
        for scope, parameters, others in self._scopes(entry):
            close = too_close(entry, others, self.rules.minimum_cohort, scope)
            basis = self._bases.setdefault((scope, parameters), Basis(Span.empty(self.rules.owners)))
            findings += close
            findings += [found for found in solved(entry, others, basis, scope) if not _said(found, close)]
        return Verdict(tuple(findings), self.rules.strict and bool(findings))

    def _scopes(self, entry: Entry) -> Iterator[tuple[Scope, bytes, list[Entry]]]:
        """Each scope, the parameters that it is for, and the other attempts the entry is compared with."""
        others = [other for label, other in self._entries.items() if label != entry.label]
        yield "inputs", entry.parameters, [each for each in others if each.parameters == entry.parameters]
        if self.rules.weights:
            yield "weights", b"", others

    def _record(self, entry: Entry, verdict: Verdict) -> Verdict:
        if not verdict.refused:
            self._entries.pop(entry.label, None)
            self._entries[entry.label] = entry
            self._findings[entry.label] = verdict.findings
        return verdict

    # -- persistence ---------------------------------------------------------------------------------------

    def to_data(self) -> dict[str, Any]:
        """All entries as plain data that JSON can hold."""
        return {
            "schema": SCHEMA,
            "owners": self.rules.owners,
            "entries": [
                {
                    "round": entry.label.round,
                    "attempt": entry.label.attempt,
                    "parameters": entry.parameters.hex(),
                    "members": f"{entry.members:x}",
                    "least": entry.least,
                    "state": entry.state,
                }
                for entry in self._entries.values()
            ],
        }

    @classmethod
    def from_data(cls, rules: Rules, data: object) -> Ledger:
        """A ledger again, under the rules of now. ValueError, naming the entry, if the data is not a
        ledger's."""
        if not isinstance(data, dict) or data.get("schema") != SCHEMA or not isinstance(data.get("entries"), list):
            raise ValueError(f"not a privacy ledger of schema {SCHEMA}")
        if data.get("owners") != rules.owners:
            raise ValueError(f"a privacy ledger of {data.get('owners')} owners, the population has {rules.owners}")
        ledger = cls(replace(rules, strict=False))
        for position, item in enumerate(data["entries"]):
            entry = _entry(item, rules.owners)
            if entry is None:
                raise ValueError(f"privacy ledger: entry {position} is damaged")
            ledger._record(entry, ledger._examine(replace(entry, least=entry.members.bit_count())))
        ledger.rules = rules
        return ledger


def _said(found: Finding, close: list[Finding]) -> bool:
    """Whether each owner that can be solved for is said, as surely, to be the whole difference to another
    set."""
    sure = [each for each in close if len(each.owners) == 1 and (found.possible or not each.possible)]
    return all(owner in [each.owners[0] for each in sure] for owner in found.owners)


def _entry(item: object, owners: int) -> Entry | None:
    """An entry of stored data; None if anything about it is wrong."""
    if not isinstance(item, dict):
        return None
    numbers = [item.get(name) for name in ("round", "attempt", "least")]
    texts = [item.get(name) for name in ("parameters", "members")]
    state = item.get("state")
    if not all(type(number) is int and number >= 0 for number in numbers):
        return None
    if not all(isinstance(text, str) for text in texts) or state not in ("known", "possible"):
        return None
    try:
        parameters, members = bytes.fromhex(item["parameters"]), int(item["members"], 16)
    except ValueError:
        return None
    count = members.bit_count()
    if members <= 0 or members >> owners or not 1 <= item["least"] <= count:
        return None
    if state == "known" and item["least"] != count:
        return None
    return Entry(Label(item["round"], item["attempt"]), parameters, members, item["least"], state)
