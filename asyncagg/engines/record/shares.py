"""Bytes and computing of each player in a round, by phase: sums over the trace."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from asyncagg.net.durations import SECOND_NS
from asyncagg.protocols.names import PHASES, index_of, role_of
from asyncagg.runs.result import PlayerCost
from asyncagg.runs.trace import Record


@dataclass(slots=True)
class _Sums:
    """Bytes, and nanoseconds by phase and kind of work."""

    sent: int = 0
    received: int = 0
    worked: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, other: _Sums) -> None:
        self.sent += other.sent
        self.received += other.received
        for key, spent_ns in other.worked.items():
            self.worked[key] = self.worked.get(key, 0) + spent_ns

    def share(self) -> PlayerCost:
        """In seconds, the sums of phases and kinds of work, both in the order in which they first came."""
        by_phase: dict[str, int] = {}
        by_kind: dict[str, int] = {}
        for (phase, kind), spent_ns in self.worked.items():
            by_phase[phase] = by_phase.get(phase, 0) + spent_ns
            by_kind[kind] = by_kind.get(kind, 0) + spent_ns
        return PlayerCost(self.sent, self.received, _in_seconds(by_phase), _in_seconds(by_kind))


@dataclass(slots=True)
class RoundShares:
    """Of one round: phase and player → what it did then. A message counts in the phase of its sender."""

    sums: dict[tuple[str, str], _Sums] = field(default_factory=dict)

    def of(self, phase: str, player: str) -> _Sums:
        found = self.sums.get((phase, player))
        if found is None:
            found = self.sums[phase, player] = _Sums()
        return found

    def add(self, record: Record) -> None:
        """A message or a span; others are of no account."""
        if record.event == "message":
            self.of(record.phase, record.sender).sent += record.bytes
            if record.arrived is not None:
                self.of(record.phase, record.receiver).received += record.bytes
        elif record.event == "span" and record.until is not None:
            worked, key = self.of(record.phase, record.sender).worked, (record.phase, record.kind)
            worked[key] = worked.get(key, 0) + record.until - record.t

    def by_phase(self) -> dict[str, dict[str, PlayerCost]]:
        """Phase → role → the share of its players, in the order of phases."""
        totals: dict[str, dict[str, _Sums]] = {phase: {} for phase in PHASES}
        for (phase, player), sums in self.sums.items():
            totals[phase].setdefault(role_of(player), _Sums()).add(sums)
        return {
            phase: {role: roles[role].share() for role in sorted(roles)} for phase, roles in totals.items() if roles
        }

    def of_owners(self) -> dict[str, PlayerCost]:
        """Data owner → its share of the round, in order of index."""
        totals: dict[str, _Sums] = {}
        for (_, player), sums in self.sums.items():
            if role_of(player) == "data-owner":
                totals.setdefault(player, _Sums()).add(sums)
        return {owner: totals[owner].share() for owner in sorted(totals, key=index_of)}


def shares_by_round(records: Iterable[Record]) -> dict[int, RoundShares]:
    """Of every round that the records are of."""
    rounds: dict[int, RoundShares] = {}
    for record in records:
        if record.event in ("message", "span"):
            rounds.setdefault(record.round, RoundShares()).add(record)
    return rounds


def _in_seconds(spent: dict[str, int]) -> dict[str, float]:
    """Those that are not 0."""
    return {name: spent_ns / SECOND_NS for name, spent_ns in spent.items() if spent_ns}
