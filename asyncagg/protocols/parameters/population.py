"""The pinned owners of a run, the cohorts drawn from them, and what is assumed about both, counted exactly.

A fraction γ of the population is corrupt: A = ⌈γN⌉ owners. How many of them are in a cohort of n is a matter of the
draw: at most n_c but for 2^−(σ + 1 + ℓ), where a lying model owner picks among 2^ℓ rounds. With everyone in every round
n_c = A.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache

from asyncagg.protocols.names import Threat
from asyncagg.protocols.parameters.degree import PRIVACY_BITS, Instance
from asyncagg.protocols.parameters.hypergeometric import MEMBERS_MAX, Hypergeometric


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
    """Population, and the fractions of it that may collude or drop. Infeasible if that makes no sense."""

    owners: int
    """N."""
    corrupt: Decimal
    """γ: fraction colluding with the lead, 0 ≤ γ < 1."""
    dropout: Decimal
    """δ: fraction that may drop and still be recovered from, 0 ≤ δ < 1."""
    threat: Threat
    per_round: int | None = None
    """n: owners in the cohort of a round, drawn from all; None: everyone."""
    rounds: int = 1
    """A lying model owner may pick the round whose cohort suits the coalition."""
    attempts: int = 1
    """Attempts in a round; a lying lead may abort them until a graph suits it."""
    batch: int = 1
    """T: only whole batches of at least so many owners are added up; 1: none."""

    def __post_init__(self) -> None:
        if not 1 <= self.owners <= MEMBERS_MAX:
            raise Infeasible(f"{self.owners} owners: must be 1 to {MEMBERS_MAX}")
        for name, rate in (("corrupt", self.corrupt), ("dropout", self.dropout)):
            if not 0 <= rate < 1:
                raise Infeasible(f"{name} = {rate}: must be at least 0 and below 1")
        for name, count in (("per_round", self.cohort), ("batch", self.batch)):
            if not 1 <= count <= self.owners:
                raise Infeasible(f"{name} = {count}: must be 1 to {self.owners}, all owners")
        for name, count in (("rounds", self.rounds), ("attempts", self.attempts)):
            if count < 1:
                raise Infeasible(f"{name} = {count}: must be 1 or more")

    @property
    def lying(self) -> bool:
        return self.threat == "lying"

    @property
    def cohort(self) -> int:
        """n: owners invited to a round."""
        return self.owners if self.per_round is None else self.per_round

    @property
    def all_corrupt(self) -> int:
        """A = ⌈γN⌉: corrupt owners of the population."""
        return math.ceil(Fraction(self.corrupt) * self.owners)

    @property
    def published_corrupt(self) -> int:
        """⌊γN⌋: corrupt owners as published tables of neighbours and thresholds count them; a run never does."""
        return math.floor(Fraction(self.corrupt) * self.owners)

    @property
    def corrupt_owners(self) -> int:
        """n_c: most corrupt owners in a cohort, A where the cohort is everyone."""
        return _most_corrupt(self.owners, self.all_corrupt, self.cohort, PRIVACY_BITS + 1 + self.cohort_bits)

    @property
    def cohort_bits(self) -> int:
        """ℓ = ⌈log2 rounds⌉ where the lead lies: bits that a choice among all cohorts is worth."""
        return (self.rounds - 1).bit_length() if self.lying else 0

    @property
    def graph_bits(self) -> int:
        """⌈log2(rounds · attempts)⌉ where the lead lies: bits that a choice among all graphs is worth."""
        return (self.rounds * self.attempts - 1).bit_length() if self.lying else 0

    @property
    def roster_floor(self) -> int:
        """n − ⌊δn⌋: an owner refuses a smaller roster."""
        return self.cohort - self.lost(self.cohort)

    def lost(self, members: int) -> int:
        """⌊δn⌋: how many of n may drop."""
        return math.floor(Fraction(self.dropout) * members)

    def quorum(self, threshold: int = 0) -> int:
        """q = max(t, ⌊(n + n_c)/2⌋ + 1): signatures that make a certificate, whatever the roster.

        Two sessions of an attempt, of one roster or of two, cannot both have as many from one cohort.
        """
        return max(threshold, (self.cohort + self.corrupt_owners) // 2 + 1)

    def instance(self, members: int) -> Instance:
        """Demands on a k-regular graph of n' members: A corrupt owners, as many as are drawn, and ⌊δn'⌋ lost."""
        return self._instance(members, self.all_corrupt)

    def published_instance(self, members: int) -> Instance:
        """The same with ⌊γN⌋ corrupt owners."""
        return self._instance(members, self.published_corrupt)

    def _instance(self, members: int, corrupt: int) -> Instance:
        return Instance(
            members,
            corrupt,
            self.lost(members),
            self.lying,
            None if self.cohort == self.owners else Hypergeometric(self.owners, corrupt, self.cohort),
            self.cohort_bits,
            self.graph_bits,
            self.batch if self.lying and self.batch > 1 else None,
        )

    def describe(self, members: int) -> str:
        who = " of ".join(dict.fromkeys(map(str, (members, self.cohort, self.owners))))
        return f"{who} owners with corrupt = {self.corrupt}, dropout = {self.dropout} and a {self.threat} lead"


@lru_cache(maxsize=256)
def _most_corrupt(owners: int, corrupt: int, cohort: int, bits: int) -> int:
    """Least c with Pr[Hyp(N, A, n) > c] ≤ 2^−bits."""
    return Hypergeometric(owners, corrupt, cohort).least_above(bits, 1)
