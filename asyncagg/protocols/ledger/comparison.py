"""Compares each sum with those before it, at a cost that does not grow with them.

A set is compared with the last `COMPARED` different ones of its scope only: inputs with those on the same parameters,
total weights with all. Nothing more is kept. `left_out` says whether a set was missing from a comparison for that.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from asyncagg.protocols.batches import Batches
from asyncagg.protocols.ledger.disclosure import Finding, SetRange, set_range, too_close
from asyncagg.protocols.ledger.entries import Entry
from asyncagg.protocols.names import Label

COMPARED: Final = 1024
"""Different sets that a scope keeps: with nine owners, or batches, all there are and more."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules by which an account finds two sums too close."""

    owners: int
    """N: sets are bitmaps over the pinned population."""
    minimum_cohort: int
    """Sums that differ by fewer owners are too close; with batches, those that differ by one."""
    weights: bool
    """True if weights are private, so that total weights are compared over all rounds."""
    batches: Batches | None = None
    """The cut of the population; None, or batches of one: owners are what sets differ by."""

    @property
    def cut(self) -> Batches | None:
        """The batches, where there are owners that are only added up together."""
        return None if self.batches is None or self.batches.size == 1 else self.batches

    @property
    def fewest(self) -> int:
        """Owners, or batches, that two sums must differ by."""
        return self.minimum_cohort if self.cut is None else 2


class SumComparison:
    """The sums of one run."""

    def __init__(self, rules: Rules, compared: int = COMPARED) -> None:
        self.rules = rules
        self.compared = compared
        self._inputs = _Recent(compared)
        self._weights = _Recent(compared)

    @property
    def left_out(self) -> bool:
        """True if a sum was compared with fewer than all before it."""
        return self._inputs.left_out or self._weights.left_out

    def findings(self, entry: Entry) -> list[Finding]:
        """Compare the sum of an ended attempt with those before it, keep it, and return what they give away together.

        Raises:
            ValueError: the survivors are known, and are no union of whole batches.
        """
        rules = self.rules
        range_ = set_range(entry, rules.cut)
        if not range_.members:
            return []  # no whole batch was invited
        others = self._inputs.exchange(entry.parameters, range_, entry.label)
        found = too_close("inputs", entry.label, range_, others, rules.fewest)
        if rules.weights:
            others = self._weights.exchange(b"", range_, entry.label)
            found += too_close("weights", entry.label, range_, others, rules.fewest)
        return found


class _Recent:
    """The last so many different sets of a scope, each with the first attempt that had it."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.left_out = False
        self._labels: dict[bytes, dict[SetRange, Label]] = {}
        """By parameters."""
        self._order: OrderedDict[tuple[bytes, SetRange], None] = OrderedDict()
        """The set seen last comes last."""

    def exchange(self, parameters: bytes, range_: SetRange, label: Label) -> Iterable[tuple[SetRange, Label]]:
        """Keep a set on these parameters, and return the sets that it is to be compared with."""
        group = self._labels.setdefault(parameters, {})
        others = list(group.items())
        group.setdefault(range_, label)
        self._order[parameters, range_] = None
        self._order.move_to_end((parameters, range_))
        if len(self._order) > self.most:
            self._forget(parameters)
        return others

    def _forget(self, parameters: bytes) -> None:
        """The oldest set; it will be missing where it was on the parameters of now."""
        oldest, gone = self._order.popitem(last=False)[0]
        self.left_out |= oldest == parameters
        del self._labels[oldest][gone]
        if not self._labels[oldest]:
            del self._labels[oldest]
