"""What the sum over one set of owners gives away, beside the sums that became known before it.

Two sums that differ by few owners give away what those few sum up to, and sums that can be combined until a
single owner is left give away that owner. An upload whose survivors were never learnt counts as every sum it
may have become.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from asyncagg.protocols.ledger.span import Span
from asyncagg.protocols.names import Label, owner_name

Scope = Literal["inputs", "weights"]
State = Literal["known", "possible"]
_NAMED = 5
"""Owners that a sentence names; it counts the others."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One attempt whose sum became known, or may have."""

    label: Label
    parameters: bytes
    """Digest of the parameters that the inputs were computed on."""
    members: int
    """The survivors as bits over the population; while they are not known, all who may be among them."""
    least: int
    """Fewest of `members` that the sum may hold; all of them where the set is exact."""
    state: State

    @property
    def exact(self) -> bool:
        return self.least == self.members.bit_count()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a sum gives away, or may give away."""

    scope: Scope
    label: Label
    earlier: Label | None
    """The attempt it is too close to; None where several sums together give an owner away."""
    count: int
    """How many owners' sum is given away."""
    owners: tuple[int, ...]
    """Who they are, ascending; empty where that cannot be said."""
    possible: bool
    """It rests on an upload whose survivors are not known."""

    @property
    def sentence(self) -> str:
        """In words."""
        opening = f"{_attempt(self.label)} {'may give' if self.possible else 'gives'} away {self._what()}"
        same = " on the same parameters" if self.scope == "inputs" else ""
        if self.earlier is None:
            others = "sums" if self.scope == "inputs" else "total weights"
            return f"{opening}, together with earlier {others}{same}"
        sure = "may be" if self.possible else "is"
        return f"{opening}: that {sure} all it differs by from {_attempt(self.earlier)}{same}"

    def _what(self) -> str:
        kind = "input" if self.scope == "inputs" else "weight"
        if self.count == 1:
            return f"the {kind} of {_names(self.owners) if self.owners else 'one owner'}"
        who = _names(self.owners) if self.owners else f"{self.count} owners"
        return f"a combination of the {kind}s of {who}" if self.earlier else f"the {kind}s of {who}"


def condensed(findings: Iterable[Finding], most: int = 3) -> Iterator[str]:
    """The findings in words, for each attempt the first few and how many more there are.

    What an attempt whose survivors were never learnt may do to all later ones is said once.
    """
    counts: dict[Label, int] = {}
    unlearnt: dict[tuple[Scope, Label], int] = {}
    for finding in findings:
        if finding.earlier is not None and finding.possible and not finding.owners:
            about = finding.scope, finding.earlier
            unlearnt[about] = unlearnt.get(about, 0) + 1
            if unlearnt[about] > 1:
                continue
        counts[finding.label] = counts.get(finding.label, 0) + 1
        if counts[finding.label] <= most:
            yield finding.sentence
    for (scope, label), count in unlearnt.items():
        if count > 1:
            yield f"{_attempt(label)} ended unknown: {count - 1} later attempts may differ as little from it ({scope})"
    for label, count in counts.items():
        if count > most:
            yield f"{_attempt(label)} gives away {count - most} things more in the same way"


def _attempt(label: Label) -> str:
    return f"round {label.round}, attempt {label.attempt}"


def _names(owners: Sequence[int]) -> str:
    names: list[str] = [owner_name(owner) for owner in owners[:_NAMED]]
    if len(owners) > _NAMED:
        names.append(f"{len(owners) - _NAMED} more")
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def bits(members: int) -> tuple[int, ...]:
    """The positions of the ones, ascending."""
    found = []
    while members:
        lowest = members & -members
        found.append(lowest.bit_length() - 1)
        members ^= lowest
    return tuple(found)


def smallest_difference(members: int, earlier: Entry) -> int:
    """Fewest owners, but at least one, by which a set can differ from an earlier one; 0 if they are the same.

    An inexact earlier set may be any subset of its members that is not too small: the closest such set drops
    the members that are not in this set, unless that is this very set, from which others differ by one.
    """
    if earlier.exact:
        return (members ^ earlier.members).bit_count()
    shared = (members & earlier.members).bit_count()
    outside = (members & ~earlier.members).bit_count()
    return (outside + max(0, earlier.least - shared)) or 1


def too_close(entry: Entry, earlier: Iterable[Entry], minimum_cohort: int, scope: Scope) -> list[Finding]:
    """A finding for each difference of an exact set to an earlier one by fewer than `minimum_cohort`."""
    findings: dict[tuple[int, tuple[int, ...], bool], Finding] = {}
    for other in earlier:
        count = smallest_difference(entry.members, other)
        if not 1 <= count < minimum_cohort:
            continue
        owners = bits(entry.members ^ other.members) if other.exact else ()
        possible = "possible" in (entry.state, other.state)
        finding = Finding(scope, entry.label, other.label, count, owners, possible)
        findings.setdefault((count, owners, possible), finding)
    return list(findings.values())


@dataclass(slots=True)
class Basis:
    """The span of exact sets in their order; extended while that order goes on, made anew when it changed."""

    span: Span
    sets: tuple[int, ...] = ()

    def of(self, sets: tuple[int, ...]) -> Span:
        done = len(self.sets)
        if self.sets != sets[:done]:
            done, self.span = 0, Span.empty(self.span.owners)
        for members in sets[done:]:
            self.span = self.span.extended(members)
        self.sets = sets
        return self.span


def solved(entry: Entry, earlier: Sequence[Entry], basis: Basis, scope: Scope) -> list[Finding]:
    """A finding for the owners whose own value this exact set makes solvable, and one for those it may."""
    sets = _distinct(earlier, "known")
    if entry.members in sets:
        return []
    known = basis.of(sets)
    certain = _newly(known, entry.members)
    wide = known
    for members in _distinct(earlier, "possible"):
        wide = wide.extended(members)
    perhaps = () if wide is known else _newly(wide, entry.members)
    either = (
        (certain, entry.state == "possible"),
        (tuple(owner for owner in perhaps if owner not in certain), True),
    )
    return [Finding(scope, entry.label, None, len(owners), owners, possible) for owners, possible in either if owners]


def _distinct(entries: Iterable[Entry], state: State) -> tuple[int, ...]:
    """The exact sets of this state, each once, in their order."""
    return tuple(dict.fromkeys(entry.members for entry in entries if entry.exact and entry.state == state))


def _newly(span: Span, members: int) -> tuple[int, ...]:
    """Owners exposed with this set and not without it."""
    if not span.pivots:
        return bits(members) if members.bit_count() == 1 else ()
    wider = span.extended(members)
    if wider is span:
        return ()
    before = span.exposed()
    return tuple(owner for owner in wider.exposed() if owner not in before)
