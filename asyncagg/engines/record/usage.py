"""Traffic and work of the players of a process, or of several, in one round: by role."""

from __future__ import annotations

from collections.abc import Iterable

from asyncagg.players.base import BasePlayer
from asyncagg.players.usage import RoundUsage
from asyncagg.protocols.names import role_of

UsageByRole = dict[str, RoundUsage]
"""Role → the sum over its players; the compute nodes' holds the phases of the lead."""


def usage_by_role(players: Iterable[BasePlayer], round_index: int) -> UsageByRole:
    """Of these players."""
    return total({role_of(player.me): player.usage.of(round_index)} for player in players)


def total(parts: Iterable[UsageByRole]) -> UsageByRole:
    """Of several processes."""
    summed: UsageByRole = {}
    for part in parts:
        for role, usage in part.items():
            each = summed.setdefault(role, RoundUsage())
            each.sent += usage.sent
            each.received += usage.received
            each.key_agreements += usage.key_agreements
            each.expanded += usage.expanded
            each.phases += usage.phases
    return summed
