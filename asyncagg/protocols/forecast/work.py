"""What one attempt costs before anything runs: bytes of an owner, key agreements, mask expansions, expansion.

Everyone advertises and answers, but `dropped` owners are silent from upload on. Bytes are in `traffic`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from asyncagg.protocols.forecast.traffic import Flow, Setting, traffic
from asyncagg.protocols.names import Phase
from asyncagg.protocols.secagg.graph import Graph
from asyncagg.vectors.ring import smallest_ring

_KEY_BITS: Final = 256
"""Of a public key and of a share, in the paper's accounting."""


@dataclass(frozen=True, slots=True)
class Work:
    """A count by role."""

    each_owner: int = 0
    compute_nodes: int = 0
    """All of them together; the slices of one seed count as one expansion."""
    model_owner: int = 0


@dataclass(frozen=True, slots=True)
class Cost:
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


def cost(setting: Setting) -> Cost:
    """All figures of one attempt. RingError, SliceError or ValueError if the setting is impossible."""
    if setting.shares_secrets and not 1 <= setting.neighbours < setting.owners:
        raise ValueError(f"{setting.protocol} with {setting.neighbours} neighbours of {setting.owners} owners")
    if not 0 <= setting.dropped < setting.owners:
        raise ValueError(f"{setting.dropped} of {setting.owners} owners dropped: must leave at least one")
    return Cost(
        setting.ring_bits,
        traffic(setting),
        key_agreements(setting),
        mask_expansions(setting),
        expansion(setting),
    )


def mask_expansions(setting: Setting) -> Work:
    """Seeds expanded over the whole vector. To unmask, secagg: S + D·S; secagg+: S + Σ alive neighbours.

    The latter is the expectation for dropped owners drawn at random, to the nearest integer; for known sets
    `unmask_expansions` counts exactly.
    """
    match setting.protocol:
        case "plain":
            return Work()
        case "pairwise":
            return Work(each_owner=setting.owners - 1)
        case "additive":
            others = setting.compute_nodes - 1
            return Work(others, others * setting.survivors)
    return _at_unmasker(setting, setting.neighbours + 1, setting.survivors + _orphaned_masks(setting))


def key_agreements(setting: Setting) -> Work:
    """X25519 exchanges, not counting the making of key pairs.

    An owner does two a neighbour (masks, boxes), and one more where it seals its answer to the model owner;
    whoever unmasks does one for every pair of a dropped owner and a surviving neighbour.
    """
    match setting.protocol:
        case "plain":
            return Work()
        case "pairwise":
            return Work(each_owner=setting.owners - 1)
        case "additive":
            others = setting.compute_nodes - 1
            return Work(others, others * setting.survivors)
    sealed = setting.reveal == "model-owner"
    unmasking = _orphaned_masks(setting) + (setting.survivors if sealed else 0)
    return _at_unmasker(setting, 2 * setting.neighbours + sealed, unmasking)


def _at_unmasker(setting: Setting, each_owner: int, unmasking: int) -> Work:
    if setting.reveal == "model-owner":
        return Work(each_owner, model_owner=unmasking)
    return Work(each_owner, compute_nodes=unmasking)


def _orphaned_masks(setting: Setting) -> int:
    """Pairwise masks that did not cancel: D·S on the complete graph, D·k·S/(n − 1) on average else."""
    pairs = setting.dropped * setting.neighbours * setting.survivors
    return round(Fraction(pairs, max(1, setting.owners - 1)))


def unmask_expansions(graph: Graph, survivors: Collection[int], dropped: Collection[int]) -> int:
    """The exact count for known roster positions: S + Σ over the dropped of their surviving neighbours."""
    alive = frozenset(survivors)
    return len(alive) + sum(len(alive.intersection(graph.neighbours(member))) for member in dropped)


def expansion(setting: Setting) -> float:
    """Bits an owner sends and receives over the `bits`·d of its vector in clear, as CCS 2017 counts them.

    Keys and shares have 256 bits; no framing, uniform weights. Source: Bonawitz et al., section 7: 1.7343 at
    n = 2^10, d = 2^20, 16 bits. Keys and shares by protocol, those of the others counted in the same way:

        secagg    2n keys (two out, 2(n − 1) in); 5n − 4 shares (two out and two in a pair, n to unmask)
        secagg+   2(k + 1) keys and 5k shares: the same among k neighbours, of which none is the owner
        pairwise  n keys
        additive  m keys (one out, m − 1 of the nodes in) and m − 1 seeds
        plain     none: the vector alone, in the ring
    """
    n, k, m = setting.owners, setting.neighbours, setting.compute_nodes
    without_shares = {"plain": 0, "pairwise": n, "additive": m + m - 1}
    extra = without_shares.get(setting.protocol, 2 * (k + 1) + 4 * k + setting.holders)
    vector = setting.dimension * smallest_ring(n, 1, setting.bits).bits
    return float(Fraction(extra * _KEY_BITS + vector, setting.dimension * setting.bits))
