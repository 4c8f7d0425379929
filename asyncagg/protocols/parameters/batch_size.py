"""Size of a batch, and the cost of batches in owners that are lost with their mates.

A batch protects its honest owners only if it has enough of them, two at least, once the identity list is cut. A of N
owners are corrupt, fixed before the cut is drawn; a batch of T then has fewer than h honest owners with probability
Pr[Hyp(N, A, T) > T − h], and a union bound covers all B = ⌊N/T⌋. With T ≥ A + h it is certain, however the cut is made.
Batches that have an owner more are only safer.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from asyncagg.protocols.parameters.choose import Auto
from asyncagg.protocols.parameters.hypergeometric import Hypergeometric
from asyncagg.protocols.parameters.population import Infeasible, Population

HONEST: Final = 2
"""h: honest owners that every batch is to have."""
BATCH_BITS: Final = 40
"""σ: some batch has fewer with probability at most 2^−σ, once, when the batches are drawn."""
LEAST_BITS: Final = 1
"""A size chosen by hand that is not even worth this much is refused."""
_MOST_BITS: Final = 128
"""Cap on bits that are reported."""


def auto_batch(owners: int, corrupt: int, honest: int = HONEST, bits: int = BATCH_BITS) -> int:
    """The least T with B·Pr[Hyp(N, A, T) > T − h] ≤ 2^−bits, exactly; at most A + h. N up to 10^6.

    To have h left after E evictions in a batch, ask for h + E. Infeasible if there are not so many honest owners.
    """
    if owners - corrupt < honest:
        raise Infeasible(
            f"{owners} owners with {corrupt} corrupt cannot be cut into batches with {honest} honest ones each; "
            "lower corrupt"
        )
    sizes = range(1, min(owners, corrupt + honest))
    return 1 + bisect_left(sizes, True, key=lambda size: has_bits(owners, corrupt, size, bits, honest))


def has_bits(owners: int, corrupt: int, batch: int, bits: int, honest: int = HONEST) -> bool:
    """True if every batch of at least so many has its honest owners but for 2^−bits, exactly."""
    return Hypergeometric(owners, corrupt, batch).rare_above(batch - honest, bits, owners // batch)


def batch_bits(owners: int, corrupt: int, batch: int, honest: int = HONEST) -> float | None:
    """−log2 of the bound on some batch having fewer honest owners, rounded down to 0.01, 0 to 128; None: it is certain
    that none has."""
    failing = Hypergeometric(owners, corrupt, batch)
    if batch - honest >= failing.high:
        return None
    probability = owners // batch * failing.above(batch - honest)
    if probability <= 2.0**-_MOST_BITS:
        return float(_MOST_BITS)
    return max(0.0, math.floor(-math.log2(probability) * 100) / 100)


def most_corrupt(owners: int, batch: int, honest: int = HONEST, bits: int = BATCH_BITS) -> int:
    """Most corrupt owners for which batches of this size have `bits`; −1 if there may not be any."""
    counts = range(owners - honest + 1)
    return bisect_left(counts, True, key=lambda corrupt: not has_bits(owners, corrupt, batch, bits, honest)) - 1


# -- what is lost with a batch -----------------------------------------------------------------------------------------


def expected_share(batch: int, loss: float) -> float:
    """(1 − d)^T: expected share of owners in a sum where each is lost with probability d, with all of its batch."""
    return (1.0 - loss) ** batch


def usually_lost(owners: int, batch: int, loss: float) -> int:
    """⌊mean + 3 standard deviations⌋ of the owners that a round loses, where each is lost with probability d by itself.

    N/T batches of T are each lost with probability p = 1 − (1 − d)^T: N·(p + 3·√(p(1−p)·T/N)), and at most everyone.
    """
    p = 1.0 - expected_share(batch, loss)
    return min(owners, math.floor(owners * (p + 3.0 * math.sqrt(p * (1.0 - p) * batch / owners))))


def covering_dropout(owners: int, batch: int, loss: float) -> Decimal:
    """The least δ in hundredths for which ⌊δN⌋ owners are as many as a round usually loses."""
    return Decimal(-(-100 * usually_lost(owners, batch, loss) // owners)) / 100


def covered_loss(owners: int, batch: int, lost: int) -> Decimal:
    """The largest loss rate of an owner, in hundredths of a percent, at which a round usually loses at most `lost`
    owners; 0 where not even one batch may be lost."""
    if lost < batch:
        return Decimal(0)
    rates = range(10_001)
    beyond = bisect_left(rates, True, key=lambda rate: usually_lost(owners, batch, rate / 10_000) > lost)
    return Decimal(beyond - 1) / 10_000


def rounds_that_end(batches: int, batch: int, may_be_lost: int, loss: float) -> float:
    """Probability that at most so many of the batches of a round are lost, where each owner is with probability d."""
    stays = expected_share(batch, loss)
    if stays in (0.0, 1.0):
        return 1.0 if stays or may_be_lost >= batches else 0.0
    gone, kept = math.log1p(-stays), math.log(stays)
    terms = (
        _log_ways(batches, lost) + lost * gone + (batches - lost) * kept
        for lost in range(min(may_be_lost, batches) + 1)
    )
    return min(1.0, math.fsum(map(math.exp, terms)))


def _log_ways(of: int, chosen: int) -> float:
    return math.lgamma(of + 1) - math.lgamma(chosen + 1) - math.lgamma(of - chosen + 1)


# -- all of it for one population --------------------------------------------------------------------------------------


def batch_size(population: Population, batch: int | Auto, honest: int = HONEST) -> int:
    """T of a population: the one given by hand if it is worth anything, or chosen. Infeasible, in words, if not."""
    owners, corrupt = population.owners, population.all_corrupt
    if batch == "auto":
        return auto_batch(owners, corrupt, honest)
    if not 1 <= batch <= owners:
        raise Infeasible(f'batch = {batch}: must be 1 (no batches) to {owners}, all owners, or "auto"')
    if batch > 1 and not has_bits(owners, corrupt, batch, LEAST_BITS, honest):
        least, by_itself = (auto_batch(owners, corrupt, honest, bits) for bits in (LEAST_BITS, BATCH_BITS))
        raise Infeasible(
            f"batch = {batch}: with {corrupt} of {owners} owners corrupt, some batch is likely to have fewer than "
            f'{honest} honest owners (at least {least} by hand; "auto" is {by_itself})'
        )
    return batch


@dataclass(frozen=True, slots=True)
class BatchFigures:
    """Figures of a population in batches of one size."""

    owners: int
    """N."""
    corrupt: int
    """A."""
    honest: int
    """h: honest owners that every batch has, but for 2^−bits."""
    batch: int
    """T."""
    batches: int
    """B."""
    bits: float | None
    """None: it is certain."""
    in_round: int
    """Batches in the cohort of a round; B where everyone is in it."""
    lost: int
    """⌊δn⌋: owners of a cohort that may be lost at a time."""
    lost_in_all: int | None
    """Owners of a cohort that may be lost over all phases together, against a lying lead: n − q; None: `lost`."""

    @property
    def smallest(self) -> int:
        """Owners in the smallest batch."""
        return self.owners // self.batches

    @property
    def largest(self) -> int:
        """Owners in the largest batch."""
        return -(-self.owners // self.batches)

    @property
    def batches_lost(self) -> int:
        """⌊⌊δn⌋/T⌋: most batches that may be lost at a time."""
        return self.lost // self.batch

    @property
    def any_batches_lost(self) -> int:
        """Number that may be lost, whichever they are: fewer where batches larger than T make a difference."""
        return self.lost // self.largest

    @property
    def blockers(self) -> int:
        """K: owners in different batches that end every round by staying away, until one is evicted."""
        return self.batches_lost + 1

    @property
    def corrupt_can_block(self) -> bool:
        """True if those assumed corrupt are enough for it."""
        return self.blockers <= self.corrupt

    @property
    def nobody_may_be_missing(self) -> bool:
        """True if no batch may be lost: one missing owner ends the round."""
        return self.batches_lost == 0

    @property
    def one_batch(self) -> bool:
        """True if there is one batch only: everyone or nothing."""
        return self.batches == 1

    @property
    def weak(self) -> bool:
        """True if the batches have fewer bits than chosen ones would have."""
        return self.bits is not None and self.bits < BATCH_BITS

    @property
    def covered_loss(self) -> Decimal:
        """The largest loss rate of an owner whose usual losses the cohort may lose, in hundredths of a percent."""
        return covered_loss(self.in_round * self.smallest, self.batch, self.lost)

    def share(self, loss: float) -> float:
        """Expected share of owners in a sum, at this loss rate of an owner."""
        return expected_share(self.batch, loss)

    def rounds_that_end(self, loss: float) -> float:
        """Probability that a round's first attempt loses no more batches than it may."""
        return rounds_that_end(self.in_round, self.batch, self.batches_lost, loss)


def batch_figures(population: Population, honest: int = HONEST) -> BatchFigures:
    """The figures of a population for its `batch`."""
    owners, batch, cohort = population.owners, population.batch, population.cohort
    batches = owners // batch
    return BatchFigures(
        owners=owners,
        corrupt=population.all_corrupt,
        honest=honest,
        batch=batch,
        batches=batches,
        bits=batch_bits(owners, population.all_corrupt, batch, honest),
        in_round=cohort * batches // owners,
        lost=population.lost(cohort),
        lost_in_all=cohort - population.quorum() if population.lying else None,
    )
