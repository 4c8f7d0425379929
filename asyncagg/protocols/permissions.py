"""Permissions: (sender, kind, receiver) → the most bytes, and how many an attempt. What is not here is refused.

The table is made from what the messages declare of themselves and from the sizes of one run. It knows players by name:
compute node 0 has two roles, and each compute node has a slice of its own. Owners say nothing to each other, and
nothing to the model owner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from asyncagg.protocols.messages import Measures, Message, RoleName
from asyncagg.protocols.names import LEAD, MODEL_OWNER, node_name, owner_name


@dataclass(frozen=True, slots=True)
class Permission:
    """Bounds on one kind of message between two players."""

    body: int
    """Bytes, at most."""
    payload: int
    """Bytes, at most."""
    times: int
    """Largest number in one attempt."""


@dataclass(frozen=True, slots=True)
class PairPermissions:
    """All that one player may say to another in one attempt."""

    kinds: Mapping[str, Permission]

    @property
    def ahead(self) -> int:
        """Bytes of what is said too early that are kept: the largest single message, or all of a small one."""
        sizes = [each.payload + each.body * each.times for each in self.kinds.values()]
        return max(sizes, default=0)


NOTHING = PairPermissions({})


class Permissions:
    """The table of one run."""

    def __init__(self, kinds: Sequence[type[Message]], measures: Measures, slices: Sequence[int]) -> None:
        """`slices` are the bytes of a packed slice at each compute node; `measures` say all else."""
        self._kinds = kinds
        self._measures = measures
        self._slices = slices
        self._pairs: dict[tuple[str, str], PairPermissions] = {}
        self._places: dict[str, str] = {str(owner_name(index)): _OWNER for index in range(measures.population)}
        self._places |= {name: name for name in (MODEL_OWNER, *map(node_name, range(len(slices))))}

    def place(self, player: str) -> str | None:
        """Name for players of the same rights: one for all data owners, one for each other player; None: a stranger."""
        return self._places.get(player)

    def between(self, sender: str, receiver: str) -> PairPermissions:
        """Permissions of `sender` to `receiver`."""
        one, other = self.place(sender), self.place(receiver)
        return NOTHING if one is None or other is None else self.of(one, other)

    def of(self, sender: str, receiver: str) -> PairPermissions:
        """The same for two places."""
        pair = self._pairs.get((sender, receiver))
        if pair is None:
            pair = self._pairs[sender, receiver] = self._made(sender, receiver)
        return pair

    def _made(self, sender: str, receiver: str) -> PairPermissions:
        """Make the permissions of two roles from the declarations of all kinds that go from one to the other."""
        slices = [size for index, size in enumerate(self._slices) if node_name(index) in (sender, receiver)]
        measures = replace(self._measures, slice_bytes=slices[0] if slices else 0)
        routes = [(one, other) for one in _roles(sender) for other in _roles(receiver)]
        return PairPermissions(
            {
                kind.kind: Permission(*kind.largest(measures), kind.times(measures))
                for kind in self._kinds
                if any(route in kind.routes for route in routes)
            }
        )


_OWNER = "data-owner"


def _roles(place: str) -> tuple[RoleName, ...]:
    match place:
        case _ if place == MODEL_OWNER:
            return ("receiver",)
        case _ if place == _OWNER:
            return ("owner",)
        case _ if place == LEAD:
            return ("node", "lead")
    return ("node",)
