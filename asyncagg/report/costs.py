"""Costs of a run: bytes and computing by phase and role, by owner, and beside what had been planned."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from asyncagg.report.figures import ROLES
from asyncagg.report.markup import Markup, joined, table, tag
from asyncagg.report.story import Story
from asyncagg.report.words import seconds, size
from asyncagg.runs.result import PlayerCost, RoundResult

_WAYS = ("sent", "received")


def costs(story: Story) -> Markup:
    """Sums over all rounds."""
    if not story.rounds:
        return Markup()
    return tag("section", tag("h2", "Costs"), _roles(story.rounds), _phases(story.rounds), _owners(story), id="costs")


def _roles(rounds: Sequence[RoundResult]) -> Markup:
    roles = {role: None for each in rounds for role in each.traffic}
    rows: list[list[object]] = [
        [
            ROLES.get(role, role),
            *(size(sum(getattr(each.traffic[role], way) for each in rounds if role in each.traffic)) for way in _WAYS),
            f"{sum(each.mask_expansions.get(role, 0) for each in rounds):,g}",
        ]
        for role in roles
    ]
    return table(["role", "sent", "received", "masks expanded"], rows, "all rounds, by role")


def _phases(rounds: Sequence[RoundResult]) -> Markup:
    """A line a phase and role, over all rounds."""
    keys = {(phase, role): None for each in rounds for phase, roles in each.phases.items() for role in roles}
    if not keys:
        return Markup()
    rows = []
    for phase, role in keys:
        shares = [each.phases[phase][role] for each in rounds if role in each.phases.get(phase, {})]
        rows.append([phase, ROLES.get(role, role), *_sums(shares), _works(shares)])
    return table(["phase", "role", "sent", "received", "computing", "of which"], rows, "all rounds, by phase")


def _sums(shares: Sequence[PlayerCost]) -> list[object]:
    spent = sum(sum(share.work.values()) for share in shares)
    return [size(sum(share.sent for share in shares)), size(sum(share.received for share in shares)), seconds(spent)]


def _works(shares: Sequence[PlayerCost]) -> str:
    """The kinds of work that took any time, the longest first."""
    spent: dict[str, float] = {}
    for share in shares:
        for kind, value in share.work.items():
            spent[kind] = spent.get(kind, 0.0) + value
    return ", ".join(f"{kind} {seconds(spent[kind])}" for kind in sorted(spent, key=lambda kind: -spent[kind]))


def _owners(story: Story) -> Markup:
    """Least, median and most of an owner's bytes in a round, beside the forecast for a round with everyone."""
    rows: list[list[object]] = []
    planned = _planned(story)
    for way in _WAYS:
        found = [getattr(share, way) for each in story.rounds for share in each.owners.values()]
        if found:
            forecast = size(planned[way]) if planned else "not reckoned"
            rows.append([way, size(min(found)), size(median(found)), size(max(found)), forecast])
    if not rows:
        return Markup()
    head: list[object] = ["an owner in a round", "least", "median", "most", "planned"]
    return joined(table(head, rows, "a data owner, beside the plan"), _each_owner(story))


def _planned(story: Story) -> dict[str, float] | None:
    plan = story.result.get("plan")
    found = plan.get("owner_bytes") if isinstance(plan, dict) else None
    if not isinstance(found, dict) or not all(isinstance(found.get(way), int | float) for way in _WAYS):
        return None
    return {way: found[way] for way in _WAYS}


def _each_owner(story: Story) -> Markup:
    """Every owner's sums over all rounds, where they are few."""
    owners = {owner: None for each in story.rounds for owner in each.owners}
    if len(owners) > 100:
        return tag("p", f"What each of the {len(owners):,} owners cost in each round is in result.json.")
    rows: list[list[object]] = []
    for owner in owners:
        shares = [each.owners[owner] for each in story.rounds if owner in each.owners]
        rows.append([owner, *_sums(shares), _works(shares)])
    head: list[object] = ["owner", "sent", "received", "computing", "of which"]
    return tag("details", tag("summary", "by owner"), table(head, rows, "all rounds"))
