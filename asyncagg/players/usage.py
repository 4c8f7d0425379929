"""Traffic and work of one player in each round: the source of a result's bytes, work and seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from asyncagg.protocols.effects import Cost

KEPT: Final = 16
"""Rounds of which a player knows its share. What is told of an earlier one counts for the earliest of them."""


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
    """Round → what it took, of the latest rounds; of those before, the bytes of all together."""

    def __init__(self) -> None:
        self.rounds: dict[int, RoundUsage] = {}
        self._first = 0
        """The earliest round that is kept."""
        self._sent_before = self._received_before = 0

    @property
    def sent(self) -> int:
        """Bytes sent in all rounds."""
        return self._sent_before + sum(each.sent for each in self.rounds.values())

    @property
    def received(self) -> int:
        """Bytes received in all rounds."""
        return self._received_before + sum(each.received for each in self.rounds.values())

    def of(self, round_index: int) -> RoundUsage:
        """Usage of this round, or of the earliest one that is kept."""
        round_index = max(round_index, self._first)
        usage = self.rounds.get(round_index)
        if usage is None:
            usage = self.rounds[round_index] = RoundUsage()
            self._forget(round_index - KEPT + 1)
        return usage

    def _forget(self, first: int) -> None:
        """Keep the rounds from `first` on."""
        self._first = max(self._first, first)
        for each in [each for each in self.rounds if each < self._first]:
            usage = self.rounds.pop(each)
            self._sent_before += usage.sent
            self._received_before += usage.received
