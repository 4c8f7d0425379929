"""One session of secagg or secagg+: the roster's graph, who holds whose shares, and the keys that follow from both.

Owner, lead and model owner build the same session from the same roster; nothing in it is anyone's word. Sources:
Bonawitz et al., CCS 2017 (complete graph, own share held too); Bell et al., CCS 2020 (k-regular graph, no own share).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from asyncagg.crypto.agreement import KeyPair
from asyncagg.crypto.kdf import derive, encode_fields
from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import Rejected
from asyncagg.protocols.names import Player, index_of
from asyncagg.protocols.parameters.choose import GraphParameters, check_minimum_cohort
from asyncagg.protocols.parameters.graph import Graph, masking_graph
from asyncagg.protocols.parameters.population import Infeasible
from asyncagg.protocols.secagg.complaints import Dealing
from asyncagg.protocols.steps.key_exchange import shared
from asyncagg.protocols.steps.roster import Member

KEY_BYTES: Final = 16
"""Of every mask and box: AES-128."""


@dataclass(frozen=True)
class Session:
    """Session that follows from one roster."""

    context: Context
    names: tuple[Player, ...]
    """U1, in order of index."""
    members: Mapping[Player, Member]
    """The entries this player was given: all, or its own and its neighbours'."""
    id: bytes
    """Session id, 32 bytes."""
    parameters: GraphParameters
    graph: Graph

    @classmethod
    def establish(
        cls,
        context: Context,
        names: tuple[Player, ...],
        members: Mapping[Player, Member],
        root: bytes,
        beacon: bytes,
    ) -> Session:
        """Rejected where there are no safe parameters for so many owners."""
        policy = context.graph
        if policy is None:
            raise Rejected(f"{context.terms.protocol} without a policy for its graph")
        try:
            parameters = policy.parameters(len(names))
            check_minimum_cohort(parameters, context.terms.minimum_cohort)
        except Infeasible as refusal:
            raise Rejected(str(refusal)) from None
        session = context.session_id(root, beacon)
        graph = masking_graph(len(names), parameters.neighbours, session)
        return cls(context, names, members, session, parameters, graph)

    @property
    def threshold(self) -> int:
        return self.parameters.threshold

    @cached_property
    def positions(self) -> dict[Player, int]:
        """Place in the roster; a holder's Shamir point is its place + 1."""
        return {player: position for position, player in enumerate(self.names)}

    def neighbours(self, player: Player) -> tuple[Player, ...]:
        """Owners that mask with this one, in order of index."""
        return tuple(self.names[position] for position in self.graph.neighbours(self.positions[player]))

    def holders(self, player: Player) -> tuple[Player, ...]:
        """Owners that hold a share of this one's secrets, in order of index: its neighbours, and itself if all are."""
        return self.names if self.parameters.complete else self.neighbours(player)

    @property
    def most_corrupt(self) -> int:
        """c*: corrupt holders of one owner's secrets, at least 1, so that one bad box is never its holder's fault."""
        return max(1, self.parameters.corrupt_holders)

    def dealing(self, sharers: Iterable[Player]) -> Dealing:
        """Holders of the shares of U2, which is given in order of index."""
        sharing = dict.fromkeys(sharers)
        if self.parameters.complete:
            return Dealing(dict.fromkeys(sharing, sharing), self.threshold, self.most_corrupt)
        held = {player: {each: None for each in self.neighbours(player) if each in sharing} for player in sharing}
        return Dealing(held, self.threshold, self.most_corrupt)

    def point(self, player: Player) -> int:
        """The Shamir point of a holder."""
        return self.positions[player] + 1

    def check_covered(self, players: Iterable[Player], sharers: Mapping[Player, object]) -> str | None:
        """None, or which of `players` has fewer holders than t left among those who shared.

        Its secrets could not be rebuilt; and against a lying lead it would mask with too few: those left out of its U2
        may be in everyone else's, and give away its self mask (Bell et al., CCS 2020: at least t neighbours).
        """
        for player in players:
            left = sum(holder in sharers for holder in self.holders(player))
            if left < self.threshold:
                return f"{left} holders of the secrets of {player} are left, the threshold is {self.threshold}"
        return None

    def survivors_floor(self) -> int:
        """Fewest survivors with which anything is opened."""
        return max(self.context.terms.minimum_cohort, self.parameters.survivors_floor)

    # -- keys -------------------------------------------------------------------------------------------------------

    def pair_mask_key(self, pair: KeyPair, mine: Player, other: Player, public: bytes) -> tuple[bytes, int]:
        """Key of the mask two owners share, and its sign in `mine`'s upload: plus for the higher of the two."""
        low, high = sorted((index_of(mine), index_of(other)))
        key = derive(shared(pair, other, public), self.id, "pair mask", low, high, length=KEY_BYTES)
        return key, 1 if index_of(other) < index_of(mine) else -1

    def self_mask_key(self, player: Player, secret: bytes) -> bytes:
        """Key of the mask that only this owner's b opens."""
        return derive(secret, self.id, "self mask", index_of(player), length=KEY_BYTES)

    def box_key(self, secret: bytes, sender: Player, receiver: Player, label: str) -> bytes:
        """Key of one box; one for each direction."""
        return derive(secret, self.id, label, str(sender), str(receiver), length=KEY_BYTES)

    def binding(self, sender: Player, receiver: Player, kind: str, *more: bytes) -> bytes:
        """Associated data of a box: the session, who says it to whom, and what it is."""
        return encode_fields(self.id, str(sender), str(receiver), kind, *more)
