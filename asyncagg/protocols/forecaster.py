"""Forecast of a protocol before anything runs: the interface `Forecaster`, and the vocabulary of a forecast.

`Setting` and `Situation` are the questions, `Flow`, `Work` and sentences the answers. A protocol implements
`Forecaster` beside its roles; `asyncagg.protocols.forecast` adds the answers up for `check`, `plan` and results, and
knows no protocol by name. Sizes of messages and flows that several protocols share are in `forecast.traffic`, parts of
sentences in `forecast.sentences`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncagg.protocols.names import Phase, Reveal, Threat
from asyncagg.vectors.ring import smallest_ring

if TYPE_CHECKING:
    from asyncagg.protocols.context import GraphPolicy
    from asyncagg.protocols.parameters.choose import GraphParameters


@dataclass(frozen=True, slots=True)
class Flow:
    """Bytes of one owner, frames included."""

    sent: int = 0
    received: int = 0

    def __add__(self, other: Flow) -> Flow:
        return Flow(self.sent + other.sent, self.received + other.received)


@dataclass(frozen=True, slots=True)
class Work:
    """A count by role."""

    each_owner: int = 0
    compute_nodes: int = 0
    """All of them together; the slices of one seed count as one expansion."""
    model_owner: int = 0


@dataclass(frozen=True, slots=True)
class Setting:
    """Size and parameters of an attempt in which `dropped` owners are silent from upload on."""

    protocol: str
    owners: int
    """N, which the ring is sized for; all of them advertise."""
    compute_nodes: int
    dimension: int
    """d."""
    bits: int
    """Of one encoded value."""
    max_weight: int = 1
    neighbours: int = 0
    """k, of protocols that mask along a graph."""
    threat: Threat = "curious"
    reveal: Reveal = "compute-nodes"
    dropped: int = 0
    """Owners silent from upload on."""
    parameter_bytes: int = 0
    """Bytes that the model owner publishes each round."""
    permits: bool = False
    """True if uploads wait for a permit."""

    @property
    def ring_bits(self) -> int:
        """b. RingError if no ring is large enough."""
        return smallest_ring(self.owners, self.max_weight, self.bits).bits

    @property
    def survivors(self) -> int:
        """S: owners in the sum."""
        return self.owners - self.dropped

    @property
    def complete(self) -> bool:
        """True if every owner masks with every other."""
        return self.neighbours == self.owners - 1


@dataclass(frozen=True, slots=True)
class Situation:
    """Facts that decide who can open an input."""

    protocol: str
    threat: Threat
    reveal: Reveal
    corrupt_owners: int
    """n_c: owners assumed to collude with the lead."""
    analysed_corrupt: int
    """Corrupt owners that the bound of a k-regular graph covers."""
    smallest_cohort: int
    """Fewest survivors in a released sum (`Forecaster.smallest_cohort`)."""
    compute_nodes: int
    corrupt_nodes: int = 1
    """Compute nodes assumed to collude, where privacy rests on an honest one."""
    parameters: GraphParameters | None = None
    """Of the full roster, of protocols that mask along a graph."""
    owners_per_process: int = 1


class Forecaster(ABC):
    """Traffic, work and who can open an input, of one protocol. Counts must equal what a run counts."""

    @abstractmethod
    def traffic(self, setting: Setting) -> dict[Phase, Flow]:
        """Bytes of an owner that stays to the end, by phase, in their order."""

    @abstractmethod
    def key_agreements(self, setting: Setting) -> Work:
        """X25519 exchanges, not counting the making of key pairs."""

    @abstractmethod
    def mask_expansions(self, setting: Setting) -> Work:
        """Seeds expanded over the whole vector."""

    @abstractmethod
    def keys_and_shares(self, setting: Setting) -> int:
        """Keys and shares of 256 bits that an owner sends and receives, as Bonawitz et al. (CCS 2017) count them."""

    @abstractmethod
    def openers(self, situation: Situation) -> Sequence[str]:
        """Sentences: which coalition opens an input."""

    def who_sees_the_sum(self, situation: Situation) -> str:
        """The sentence on who sees it."""
        if situation.reveal == "model-owner":
            return (
                "Only the model owner sees the sum. A compute node learns the mean as well if it colludes with "
                "the model owner or with any data owner, who sees the next parameters."
            )
        return "The compute nodes together see the sum of the survivors, and so does the model owner."

    def assumptions(self, situation: Situation) -> Sequence[str]:
        """Sentences on what all this rests on, beside what every protocol says of a curious lead."""
        return ()

    def smallest_cohort(self, minimum_cohort: int, roster_floor: int, policy: GraphPolicy | None) -> int:
        """Fewest survivors that a released sum can have, where owners accept rosters from `roster_floor` on."""
        return minimum_cohort
