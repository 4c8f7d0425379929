"""Notes on batches for a population, in plain sentences with its own numbers: `check`, `plan`, `result.json`."""

from __future__ import annotations

from collections.abc import Iterator

from asyncagg.protocols.forecast.sentences import owners as counted
from asyncagg.protocols.parameters.batch_size import BATCH_BITS, BatchFigures, auto_batch, most_corrupt

LOSSES = (0.01, 0.05, 0.1)
"""Loss rates of an owner for which it is said how rounds fare."""


def batch_sentences(figures: BatchFigures, dropout: object) -> tuple[str, ...]:
    """Sentences: how owners are cut, what that promises, what a missing owner costs."""
    return (_cut(figures), _price(figures, dropout), _blocking(figures), _fate(figures))


def without_batches() -> str:
    """The sentence on a lying lead that may choose every owner of every sum."""
    return "Several sums together may open single inputs: batch = 1."


def public_draws() -> str:
    """The sentence on rounding that everybody can repeat, against a lying lead."""
    return (
        'rounding_draws = "seeded" is public: sums of many attempts tell what is below one quantum of single inputs '
        '(rounding_draws = "system" does not).'
    )


def batch_notes(figures: BatchFigures) -> Iterator[str]:
    """Sentences on anything odd or weak about these batches, and on a remedy."""
    if figures.one_batch:
        yield f"There is one batch only: with fewer than {2 * figures.batch} owners it is everyone or nothing."
    if figures.nobody_may_be_missing:
        better = _better(figures, figures.lost)
        yield f"No owner may be missing: dropout covers {figures.lost} owners, a batch has {figures.batch} ({better})."
    elif figures.corrupt_can_block:
        better = _better(figures, figures.lost // figures.corrupt)
        yield (
            f"The {counted(figures.corrupt)} assumed corrupt are enough to end every round by staying away: "
            f"{figures.blockers} in different batches do it ({better})."
        )
    if figures.weak:
        right = f"batch = {auto_batch(figures.owners, figures.corrupt, figures.honest)} has them"
        yield f"Batches of {figures.batch} have {figures.bits:g} bits, fewer than {BATCH_BITS} ({right})."


def _sizes(figures: BatchFigures) -> str:
    if figures.smallest == figures.largest:
        return f"{figures.smallest}"
    return f"{figures.smallest} or {figures.largest}"


def _cut(figures: BatchFigures) -> str:
    sure = (
        f"certain with {counted(figures.corrupt)} corrupt"
        if figures.bits is None
        else f"but for 2^-{figures.bits:g}, once, when the batches were drawn"
    )
    many = "1 batch" if figures.one_batch else f"{figures.batches} batches"
    return (
        f"The {figures.owners} owners are cut once into {many} of {_sizes(figures)}. Only whole batches are ever "
        "added: whatever rounds, retries and runs these identities see, nothing smaller than one batch's sum can be "
        f"computed, and every batch has at least {figures.honest} honest owners ({sure})."
    )


def _price(figures: BatchFigures, dropout: object) -> str:
    few = {0: "no batch", 1: "1 batch"}
    lost = few.get(figures.batches_lost, f"{figures.batches_lost} batches")
    mates = figures.largest - 1
    return f"One missing owner takes up to {mates} others along; dropout = {dropout} covers {lost} at a time."


def _blocking(figures: BatchFigures) -> str:
    blockers = figures.blockers
    who = "1 owner ends" if blockers == 1 else f"{blockers} owners in different batches end"
    enough = "yes" if figures.corrupt_can_block else "no"
    return (
        f"{who} every round by staying away, until one is evicted (without batches {figures.lost + 1}); the "
        f"{counted(figures.corrupt)} assumed corrupt are enough for that: {enough}."
    )


def _fate(figures: BatchFigures) -> str:
    ends = ", ".join(f"{figures.rounds_that_end(loss):.0%} at {loss:.0%}" for loss in LOSSES)
    shares = ", ".join(f"{figures.share(loss):.0%}" for loss in LOSSES)
    return f"Rounds that end at the first attempt, by an owner's own loss rate: {ends}; owners in a sum: {shares}."


def _better(figures: BatchFigures, batch: int) -> str:
    """Remedy in words: the γ that would allow batches of this size, if they are smaller, or a higher dropout."""
    if 2 <= batch < figures.batch:
        corrupt = most_corrupt(figures.owners, batch, figures.honest)
        if corrupt >= 0:
            return f"corrupt = {corrupt / figures.owners:.2g} or less allows batches of {batch}; or a higher dropout"
    return "a higher dropout, or more owners"
