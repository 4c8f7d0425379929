"""Cost of one attempt before anything runs: bytes of an owner, key agreements, mask expansions, expansion.

Everyone advertises and answers, but `dropped` owners are silent from upload on. The protocol's own forecaster counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from asyncagg.protocols.forecaster import Flow, Setting, Work
from asyncagg.protocols.names import Phase
from asyncagg.protocols.registry import find
from asyncagg.vectors.ring import smallest_ring

_KEY_BITS: Final = 256
"""Of a public key and of a share, in the paper's accounting."""


@dataclass(frozen=True, slots=True)
class AttemptCost:
    """One attempt."""

    ring_bits: int
    phases: dict[Phase, Flow]
    """Bytes of one owner, in the order of the phases."""
    key_agreements: Work
    mask_expansions: Work
    expansion: float
    """Sent and received over the bits of the encoded vector, in the paper's accounting."""

    @property
    def owner_bytes(self) -> Flow:
        """All phases together."""
        return sum(self.phases.values(), Flow())


def cost(setting: Setting) -> AttemptCost:
    """All figures of one attempt. RingError, SliceError or ValueError if the setting is impossible."""
    protocol = find(setting.protocol)
    if protocol.graph is not None and not 1 <= setting.neighbours < setting.owners:
        raise ValueError(f"{setting.protocol} with {setting.neighbours} neighbours of {setting.owners} owners")
    if not 0 <= setting.dropped < setting.owners:
        raise ValueError(f"{setting.dropped} of {setting.owners} owners dropped: must leave at least one")
    forecaster = protocol.forecaster
    return AttemptCost(
        setting.ring_bits,
        forecaster.traffic(setting),
        forecaster.key_agreements(setting),
        forecaster.mask_expansions(setting),
        expansion(setting),
    )


def expansion(setting: Setting) -> float:
    """Bits an owner sends and receives over the `bits`·d of its vector in clear, as CCS 2017 counts them.

    Keys and shares have 256 bits; no framing, uniform weights. Source: Bonawitz et al., section 7: 1.7343 at
    n = 2^10, d = 2^20, 16 bits.
    """
    extra = find(setting.protocol).forecaster.keys_and_shares(setting)
    vector = setting.dimension * smallest_ring(setting.owners, 1, setting.bits).bits
    return float(Fraction(extra * _KEY_BITS + vector, setting.dimension * setting.bits))
