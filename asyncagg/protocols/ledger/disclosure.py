"""Disclosure by two sums together: by how few owners, or batches, the sets of their owners differ.

Two sums over sets that differ by few owners give away what those few sum up to. Where the population is cut into
batches, of which only whole ones are added, sets differ by whole batches, and by one at least: then it is that batch's
sum that is given away, and no single owner's input. A sum whose survivors were never learnt counts as every sum that it
may have become.

What more than two sums give away together is not looked for here: with batches it is never less than the sum of one,
and without them nothing bounds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from asyncagg.protocols.batches import Batches
from asyncagg.protocols.ledger.entries import Entry
from asyncagg.protocols.names import Label, owner_name

Scope = Literal["inputs", "weights"]
"""Inputs are compared where sums are on the same parameters, weights always."""

_NAMED: Final = 5
"""Owners that a sentence names; it counts the others."""


@dataclass(frozen=True, slots=True)
class SetRange:
    """The sets of units that a sum may be over: those of `members` that have `least` of them or more."""

    members: int
    """Bit i for unit i: an owner, or a batch where there are several owners in one."""
    least: int
    """At least one; all of them where the set is known exactly."""
    known: bool
    """It is the set of a sum that did become known."""

    @property
    def exact(self) -> bool:
        return self.least == self.members.bit_count()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that two sums give away, or may give away."""

    scope: Scope
    label: Label
    earlier: Label
    """The first attempt with the other sum."""
    count: int
    """Number of units whose sum is given away."""
    units: int
    """Set of these units, bit i for unit i; empty where it cannot be said."""
    possible: bool
    """It rests on an attempt whose survivors are not known."""
    unlearnt: bool
    """That attempt is the earlier one, and any later one may be as close to it."""


def set_range(entry: Entry, batches: Batches | None) -> SetRange:
    """Range of an entry's set, as far as it is known, in owners or in whole batches.

    Raises:
        ValueError: the survivors are known, and are no union of whole batches: whoever opens a sum checks that before.
    """
    if batches is None:
        return SetRange(entry.members, entry.least, entry.state == "known")
    if entry.state == "known" and (torn := batches.refusal(entry.members)) is not None:
        raise ValueError(torn)
    whole = _batches_in(entry.members, batches)
    least = whole.bit_count() if entry.state == "known" else max(1, -(-entry.least // batches.largest))
    return SetRange(whole, min(least, whole.bit_count()), entry.state == "known")


def _batches_in(members: int, batches: Batches) -> int:
    """Numbers of the batches that a set holds whole, bit i for batch i."""
    return sum(1 << number for number in range(batches.count) if not batches.batch(number) & ~members)


def smallest_difference(one: SetRange, other: SetRange) -> int:
    """Fewest units, but at least one, by which two such sets can differ; 0 if there is only one set and it is both.

    The closest two sets share what both ranges do, and have as many other units as each has to have. Where that is one
    set, and the ranges hold others, one of these differs from it by a single unit.
    """
    shared = (one.members & other.members).bit_count()
    apart = max(0, one.least - shared) + max(0, other.least - shared)
    return apart if apart or (one.exact and other.exact) else 1


def too_close(
    scope: Scope, label: Label, one: SetRange, others: Iterable[tuple[SetRange, Label]], fewest: int
) -> list[Finding]:
    """A finding for each way in which a set can differ from others, with their labels, by fewer than `fewest` units."""
    findings: dict[tuple[int, int, bool], Finding] = {}
    for other, earlier in others:
        count = smallest_difference(one, other)
        if 1 <= count < fewest:
            units = one.members ^ other.members if one.exact and other.exact else 0
            possible = not (one.known and other.known)
            former = findings.get((count, units, possible))
            if former is None or earlier < former.earlier:
                finding = Finding(scope, label, earlier, count, units, possible, not other.exact)
                findings[count, units, possible] = finding
    return list(findings.values())


# -- in words ----------------------------------------------------------------------------------------------------------


def sentence(finding: Finding, batches: Batches | None) -> str:
    """Sentence on what is given away, and by which attempts."""
    gives, sure = ("may give", "may be") if finding.possible else ("gives", "is")
    what = _of_owners(finding) if batches is None else _of_batch(finding, batches)
    same = " on the same parameters" if finding.scope == "inputs" else ""
    return (
        f"{attempt(finding.label)} {gives} away {what}: that {sure} all it differs by from "
        f"{attempt(finding.earlier)}{same}"
    )


def attempt(label: Label) -> str:
    """An attempt in words."""
    return f"round {label.round}, attempt {label.attempt}"


def _of_owners(finding: Finding) -> str:
    kind = "input" if finding.scope == "inputs" else "weight"
    owners = bits(finding.units)
    if finding.count == 1:
        return f"the {kind} of {_names(owners) if owners else 'one owner'}"
    return f"a combination of the {kind}s of {_names(owners) if owners else f'{finding.count} owners'}"


def _of_batch(finding: Finding, batches: Batches) -> str:
    kind, one = ("sum", "input") if finding.scope == "inputs" else ("total weight", "weight")
    named = bits(finding.units)
    if not named:
        return f"the {kind} of one batch, and no single owner's {one}"
    size = batches.batch(named[0]).bit_count()
    return f"the {kind} of batch {named[0]} ({size} owners), and no single owner's {one}"


def _names(owners: Sequence[int]) -> str:
    names: list[str] = [owner_name(owner) for owner in owners[:_NAMED]]
    if len(owners) > _NAMED:
        names.append(f"{len(owners) - _NAMED} more")
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def bits(members: int) -> tuple[int, ...]:
    """The positions of the ones, ascending; fast where there are few in a large set."""
    found = []
    while members:
        lowest = members & -members
        found.append(lowest.bit_length() - 1)
        members ^= lowest
    return tuple(found)
