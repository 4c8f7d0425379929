"""Traffic and work of one player in each round: the source of a result's bytes, work and seconds."""

from __future__ import annotations

from dataclasses import dataclass, field

from asyncagg.protocols.effects import Cost


@dataclass(slots=True)
class RoundUsage:
    """One player's share in one round, over all its attempts."""

    sent: int = 0
    received: int = 0
    key_agreements: int = 0
    expanded: int = 0
    """Mask elements expanded; the length of the extended vector makes one expansion."""
    phases: list[tuple[int, str]] = field(default_factory=list)
    """Beginnings of the phases, noted at the lead, in ns since the start of the run."""

    def charge(self, cost: Cost) -> None:
        self.key_agreements += cost.key_agreements
        self.expanded += cost.expanded


class PlayerUsage:
    """Round → what it took."""

    def __init__(self) -> None:
        self.rounds: dict[int, RoundUsage] = {}

    def of(self, round_index: int) -> RoundUsage:
        usage = self.rounds.get(round_index)
        if usage is None:
            usage = self.rounds[round_index] = RoundUsage()
        return usage
