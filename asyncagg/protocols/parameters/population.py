"""The pinned owners of a run and what it assumes about them, counted exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from asyncagg.protocols.names import Threat
from asyncagg.protocols.parameters.degree import Instance
from asyncagg.protocols.parameters.hypergeometric import MEMBERS_MAX


class Infeasible(ValueError):
    """No safe parameters exist, or those given are not safe; the text says why and what would do."""


def exact(value: Decimal | float | str) -> Decimal:
    """The decimal a user wrote: 0.3 is three tenths, not the nearest binary fraction. ValueError if not
    finite."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a number") from None
    if not number.is_finite():
        raise ValueError(f"{value!r} is not a finite number")
    return number


@dataclass(frozen=True, slots=True)
class Population:
    """Who is there, and how many may collude or drop. Infeasible if that makes no sense."""

    owners: int
    """N."""
    corrupt: Decimal
    """γ: fraction colluding with the lead, 0 ≤ γ < 1."""
    dropout: Decimal
    """δ: fraction that may drop and still be recovered from, 0 ≤ δ < 1."""
    threat: Threat

    def __post_init__(self) -> None:
        if not 1 <= self.owners <= MEMBERS_MAX:
            raise Infeasible(f"{self.owners} owners: must be 1 to {MEMBERS_MAX}")
        for name, rate in (("corrupt", self.corrupt), ("dropout", self.dropout)):
            if not 0 <= rate < 1:
                raise Infeasible(f"{name} = {rate}: must be at least 0 and below 1")

    @property
    def lying(self) -> bool:
        return self.threat == "lying"

    @property
    def corrupt_owners(self) -> int:
        """n_c = ⌈γN⌉."""
        return math.ceil(Fraction(self.corrupt) * self.owners)

    @property
    def roster_floor(self) -> int:
        """N − ⌊δN⌋: an owner refuses a smaller roster."""
        return self.owners - self.lost(self.owners)

    def lost(self, members: int) -> int:
        """⌊δn⌋: how many of n may drop."""
        return math.floor(Fraction(self.dropout) * members)

    def instance(self, members: int) -> Instance:
        """What a k-regular graph of n members must withstand: A = ⌊γN⌋ corrupt, ⌊δn⌋ dropped."""
        corrupt = math.floor(Fraction(self.corrupt) * self.owners)
        return Instance(members, corrupt, self.lost(members), self.lying)

    def describe(self, members: int) -> str:
        who = f"{members} owners" if members == self.owners else f"{members} of {self.owners} owners"
        return f"{who} with corrupt = {self.corrupt}, dropout = {self.dropout} and a {self.threat} lead"
