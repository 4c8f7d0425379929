"""What the players of a process, or of several, said, received and worked in one round: by role."""

from __future__ import annotations

from collections.abc import Iterable

from asyncagg.players.account import RoundAccount
from asyncagg.players.desk import Desk
from asyncagg.protocols.terms import role_of

Tally = dict[str, RoundAccount]
"""Role → the sum over its players; the compute nodes' holds the phases of the lead."""


def tally(players: Iterable[Desk], round_index: int) -> Tally:
    """Of these players."""
    return total({role_of(player.me): player.account.of(round_index)} for player in players)


def total(parts: Iterable[Tally]) -> Tally:
    """Of several processes."""
    summed: Tally = {}
    for part in parts:
        for role, account in part.items():
            each = summed.setdefault(role, RoundAccount())
            each.sent += account.sent
            each.received += account.received
            each.key_agreements += account.key_agreements
            each.expanded += account.expanded
            each.phases += account.phases
    return summed
