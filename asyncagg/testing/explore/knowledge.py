"""Knowledge of a coalition from all that was said: which secrets it has, and which sums it can open.

The coalition is the lead, all compute nodes, the model owner where it removes the masks, and as many owners as the
scenario assumes corrupt: whoever of them lied, and then the last ones. It knows all that these were told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from asyncagg.protocols.names import Player, index_of
from asyncagg.testing.explore.facts import Fact, Mask, Secret, Share, Uploaded


@dataclass(frozen=True)
class Knowledge:
    """From the facts of everybody to what follows."""

    facts: Mapping[Player, Sequence[Fact]]
    corrupt: frozenset[Player]

    @cached_property
    def secrets(self) -> dict[Secret, None]:
        """Secrets of honest owners that the coalition can rebuild: as many shares are known as make them."""
        holders: dict[Secret, dict[Player, int]] = {}
        for player, facts in self.facts.items():
            for fact in facts:
                if isinstance(fact, Share) and (fact.given or player in self.corrupt):
                    holders.setdefault(fact.secret, {})[player] = fact.threshold
        return {
            secret: None
            for secret, known in holders.items()
            if secret.owner not in self.corrupt and len(known) >= min(known.values())
        }

    def sums(self) -> Iterator[tuple[Player, ...]]:
        """Least sets of honest owners whose sum the coalition can compute: all masks in it are known, or cancel."""
        uploads = {
            player: fact.masks
            for player, facts in self.facts.items()
            if player not in self.corrupt
            for fact in facts
            if isinstance(fact, Uploaded)
        }
        having: dict[str, list[tuple[Player, int]]] = {}
        for player, masks in uploads.items():
            for mask in masks:
                if not self._is_known(mask):
                    having.setdefault(mask.name, []).append((player, mask.sign))
        left = dict.fromkeys(uploads)
        while left:
            part, is_open = _part(next(iter(left)), having)
            for player in part:
                left.pop(player)
            if is_open:
                yield tuple(sorted(part, key=index_of))

    def _is_known(self, mask: Mask) -> bool:
        return any(secret in self.secrets or secret.owner in self.corrupt for secret in mask.opened_by)


def _part(first: Player, having: Mapping[str, list[tuple[Player, int]]]) -> tuple[dict[Player, None], bool]:
    """Owners that are tied to this one by masks, and whether all of these masks cancel in their sum."""
    part: dict[Player, None] = {first: None}
    todo, is_open = [first], True
    while todo:
        player = todo.pop()
        for uploads in having.values():
            owners = [owner for owner, _ in uploads]
            if player in owners:
                is_open &= sum(sign for _, sign in uploads) == 0
                todo += [owner for owner in owners if owner not in part]
                part.update(dict.fromkeys(owners))
    return part, is_open
