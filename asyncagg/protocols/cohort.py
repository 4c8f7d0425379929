"""The cohort of a round: who may be invited to it, drawn from the seed of the cut and the round alone.

Every player computes it for itself, so that nobody chooses who is in the cohort. Without batches it has `per_round`
owners; with batches it has ⌊per_round · B / N⌋ whole batches, and as many owners as they have.

The draw, exactly: the key is the first 16 bytes of SHA-256("asyncagg cohort 1" ‖ seed ‖ round), with the label in
ASCII, the seed of 32 bytes, and the round as 8 bytes little-endian. The words are the little-endian 32-bit words of
AES-128-CTR under it from block 0. The numbers 0 … B − 1 (0 … N − 1 without batches) are shuffled by them as a masking
graph's labels are (`graph.shuffled`); the first of the result are the cohort's batches, or owners.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from asyncagg.crypto.keystream import keystream
from asyncagg.protocols.batches import Batches, indices_in
from asyncagg.protocols.names import owner_name
from asyncagg.protocols.parameters.graph import Words, shuffled
from asyncagg.protocols.parameters.population import Infeasible

_LABEL: Final = b"asyncagg cohort 1"


@dataclass(frozen=True, slots=True)
class Cohorts:
    """The cohorts of all rounds of a run. Infeasible if there is room for no batch in one."""

    batches: Batches
    per_round: int
    """Owners in a cohort, 1 to N; with batches about as many."""
    rounds: int
    """Rounds of the run; there is no cohort of any other round."""

    def __post_init__(self) -> None:
        if not 1 <= self.per_round <= self.batches.owners:
            raise Infeasible(f"per_round = {self.per_round}: must be 1 to {self.batches.owners}")
        if not self.drawn:
            raise Infeasible(
                f"per_round = {self.per_round} is less than one batch: must be at least "
                f"{-(-self.batches.owners // self.batches.count)}, or batches smaller than {self.batches.size}"
            )

    @property
    def drawn(self) -> int:
        """Number of batches (owners where there are none) drawn for a round: ⌊per_round · B / N⌋."""
        return self.per_round * self.batches.count // self.batches.owners

    @property
    def most(self) -> int:
        """Owners in the largest cohort that can be drawn."""
        base, larger = divmod(self.batches.owners, self.batches.count)
        return self.drawn * base + min(self.drawn, larger)

    @property
    def fewest(self) -> int:
        """Owners in the smallest cohort that can be drawn."""
        base, larger = divmod(self.batches.owners, self.batches.count)
        return self.drawn * base + max(0, self.drawn + larger - self.batches.count)

    def of(self, round_index: int) -> int:
        """The cohort of a round, as a set of owners. ValueError for a round that the run does not have."""
        if refusal := self._no_such_round(round_index):
            raise ValueError(refusal)
        return _drawn(self.batches, self.drawn, round_index)

    def refusal(self, round_index: int, invited: int) -> str | None:
        """None, or why a set of owners may not be invited to a round: one is not in its cohort, or a batch is torn."""
        if refusal := self._no_such_round(round_index):
            return refusal
        if strangers := indices_in(invited & ~self.of(round_index)):
            return f"{owner_name(strangers[0])} is invited and is not in the cohort of round {round_index}"
        return self.batches.refusal(invited)

    def _no_such_round(self, round_index: int) -> str | None:
        if 0 <= round_index < self.rounds:
            return None
        return f"round {round_index} is not one of the run's (0 to {self.rounds - 1})"


@lru_cache(maxsize=16)
def _drawn(batches: Batches, count: int, round_index: int) -> int:
    """Kept, because all players of one process draw the same cohort."""
    if count == batches.count:
        return batches.everyone
    key = hashlib.sha256(_LABEL + batches.seed + round_index.to_bytes(8, "little")).digest()[:16]
    order = shuffled(batches.count, lambda first, words: _words(key, first, words))
    members = 0
    for number in order[:count]:
        members |= batches.batch(number)
    return members


def _words(key: bytes, first: int, count: int) -> Words:
    return np.frombuffer(keystream(key, 4 * first, 4 * count), dtype="<u4")
