"""Reading of a played round, from the keys of its masks: sums that anybody can do again, and what a coalition has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from asyncagg.crypto.keystream import add_masks
from asyncagg.protocols import messages as m
from asyncagg.protocols.names import MODEL_OWNER, Player, index_of, role_of
from asyncagg.studies.explain.play import AddedMask, PlayedRound
from asyncagg.vectors.packing import unpack


@dataclass(frozen=True, slots=True)
class Term:
    """One number in a sum, and its meaning."""

    sign: int
    value: int
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Sum:
    """Terms that add up to `total` modulo the size of the ring, at one coordinate."""

    coordinate: int
    terms: tuple[Term, ...]
    total: int
    meaning: str


@dataclass(frozen=True)
class Account:
    """A played round, read by the keys of its masks."""

    played: PlayedRound

    @cached_property
    def size(self) -> int:
        """Number of elements of the ring."""
        return 1 << self.played.setting.terms.ring.bits

    @cached_property
    def uploaders(self) -> tuple[Player, ...]:
        """Owners that sent a vector."""
        return tuple(owner for owner in self.played.setting.owners if self._sent(owner))

    @property
    def survivors(self) -> tuple[Player, ...]:
        return () if self.played.revealed is None else self.played.revealed.survivors

    def encoded(self, owner: Player, coordinate: int) -> int:
        return int(self.played.setting.inputs[owner].words[coordinate])

    # -- masks -----------------------------------------------------------------------------------------------------

    @cached_property
    def masks_of(self) -> dict[Player, list[AddedMask]]:
        """Player → masks that it added or took off, in order, each once."""
        masks: dict[Player, list[AddedMask]] = {}
        for mask in self.played.masks:
            own = masks.setdefault(mask.player, [])
            if mask not in own:
                own.append(mask)
        return masks

    @cached_property
    def _having(self) -> dict[bytes, list[Player]]:
        """Key → players that added its mask, owners first."""
        having: dict[bytes, list[Player]] = {}
        for mask in (*self.played.masks, *self.played.unsent):
            players = having.setdefault(mask.key, [])
            if mask.player not in players:
                players.append(mask.player)
        return {key: sorted(players, key=self._order) for key, players in having.items()}

    def _order(self, player: Player) -> tuple[bool, int]:
        return role_of(player) != "data-owner", index_of(player) if player != MODEL_OWNER else 0

    def name(self, mask: AddedMask) -> str:
        """A mask by those who have it."""
        owners = [each for each in self._having[mask.key] if role_of(each) == "data-owner"]
        others = [owner for owner in owners if owner != mask.player]
        if mask.player not in owners:
            what = "share" if self.played.setting.protocol.shares else "own mask"
            return f"{what} of {owners[0]}" if len(owners) == 1 else f"mask of {owners[0]} with {owners[1]}"
        if others:
            return f"mask with {others[0]}"
        nodes = [each for each in self._having[mask.key] if each not in owners]
        return f"share of {nodes[0]}" if self.played.setting.protocol.shares and nodes else "own mask"

    def at(self, mask: AddedMask, coordinate: int) -> int:
        """A mask's element at a coordinate."""
        plan, ring = self.played.setting.terms.plan, self.played.setting.terms.ring
        words = np.zeros(plan.length, ring.dtype)
        add_masks(words, [(mask.key, 1)])
        return int(words[self._place(coordinate)]) % self.size

    # -- vectors ---------------------------------------------------------------------------------------------------

    def node_of(self, coordinate: int) -> Player:
        """The compute node whose slice has a coordinate."""
        plan = self.played.setting.terms.plan
        nodes = self.played.setting.terms.nodes
        return next(nodes[node] for node in range(plan.nodes) if coordinate < plan.coordinates(node)[1])

    def _place(self, coordinate: int) -> int:
        """Element of the extended vector where a coordinate stands."""
        plan = self.played.setting.terms.plan
        node = index_of(self.node_of(coordinate))
        return plan.bounds(node)[0] + coordinate - plan.coordinates(node)[0]

    def _element(self, message: m.VectorMessage, node: Player, coordinate: int) -> int:
        terms = self.played.setting.terms
        start, stop = terms.slice_bounds(index_of(node))
        return int(unpack(message.data, stop - start, terms.ring.bits)[self._place(coordinate) - start])

    def _sent(self, owner: Player) -> dict[Player, m.MaskedSlice]:
        """Compute node → what an owner uploaded to it."""
        return {
            each.receiver: each.message
            for each in self.played.said
            if each.sender == owner and isinstance(each.message, m.MaskedSlice)
        }

    def sent(self, owner: Player, coordinate: int) -> int:
        """Element of the vector that an owner sent, as it arrived."""
        node = self.node_of(coordinate)
        return self._element(self._sent(owner)[node], node, coordinate)

    def node_sum(self, node: Player, coordinate: int) -> int | None:
        """Element of the sum that a compute node told the model owner; None if it told nothing."""
        for each in self.played.said:
            if each.sender == node and isinstance(each.message, m.SumSlice):
                return self._element(each.message, node, coordinate)
        return None

    # -- sums ------------------------------------------------------------------------------------------------------

    def uploads(self) -> Iterable[Sum]:
        """Encoded value, masks, and what was sent."""
        for owner in self.uploaders:
            for coordinate in range(self.played.setting.terms.dimension):
                masks = self.masks_of.get(owner, [])
                terms = [Term(1, self.encoded(owner, coordinate), "encoded")]
                terms += [Term(mask.sign, self.at(mask, coordinate), self.name(mask)) for mask in masks]
                yield Sum(coordinate, tuple(terms), self.sent(owner, coordinate), f"sent by {owner}")

    def node_sums(self) -> Iterable[Sum]:
        """Vectors that the compute nodes added, masks that they took off, and the sums they told the model owner."""
        terms = self.played.setting.terms
        for coordinate in range(terms.dimension):
            for node in terms.nodes if self.played.setting.protocol.shares else (self.node_of(coordinate),):
                total = self.node_sum(node, coordinate)
                if total is None:
                    continue
                came = node == self.node_of(coordinate)
                said = [Term(1, self.sent(each, coordinate), f"from {each}") for each in self.survivors if came]
                taken = [
                    Term(mask.sign, self.at(mask, coordinate), self.name(mask)) for mask in self.masks_of.get(node, [])
                ]
                yield Sum(coordinate, (*said, *taken), total, f"sum at {node}")

    def results(self) -> Iterable[Sum]:
        """Sums of the encoded values of the survivors, as the model owner has them."""
        if self.played.revealed is not None:
            for coordinate, total in enumerate(self.played.revealed.words):
                terms = tuple(Term(1, self.encoded(each, coordinate), f"encoded by {each}") for each in self.survivors)
                yield Sum(coordinate, terms, int(total), "sum at the model owner")

    # -- coalitions ------------------------------------------------------------------------------------------------

    def known_to(self, coalition: tuple[Player, ...]) -> set[bytes]:
        """Keys of masks that a coalition has: its own, and all where it can put shares together."""
        policy = self.played.setting.terms.graph
        owners = [each for each in coalition if role_of(each) == "data-owner"]
        known = {mask.key for each in coalition for mask in self.masks_of.get(each, [])}
        if policy is not None and len(owners) >= policy.parameters(len(self.played.setting.owners)).threshold:
            known |= {mask.key for mask in self.played.masks}
        return known

    def open_sets(self, coalition: tuple[Player, ...], coordinate: int) -> list[tuple[Player, ...]]:
        """Least sets of other owners whose sum the coalition can compute; none where it does not see the vectors."""
        if self.node_of(coordinate) not in coalition:
            return [] if not self.survivors else [tuple(each for each in self.survivors if each not in coalition)]
        known = self.known_to(coalition)
        others = [owner for owner in self.uploaders if owner not in coalition]
        found, left = [], list(others)
        while left:
            part = self._linked(left[0], others, known)
            left = [each for each in left if each not in part]
            if self._cancel(part, known):
                found.append(part)
        return found

    def _unknown(self, owner: Player, known: set[bytes]) -> list[AddedMask]:
        return [mask for mask in self.masks_of.get(owner, []) if mask.key not in known]

    def _linked(self, first: Player, others: list[Player], known: set[bytes]) -> tuple[Player, ...]:
        """Owners that hang together by masks the coalition does not know."""
        part, grown = [first], True
        while grown:
            keys = {mask.key for each in part for mask in self._unknown(each, known)}
            more = [
                each
                for each in others
                if each not in part and any(mask.key in keys for mask in self._unknown(each, known))
            ]
            part, grown = [*part, *more], bool(more)
        return tuple(sorted(part, key=index_of))

    def _cancel(self, part: tuple[Player, ...], known: set[bytes]) -> bool:
        """True if all unknown masks of these owners cancel in their sum."""
        left: dict[bytes, int] = {}
        for owner in part:
            for mask in self._unknown(owner, known):
                left[mask.key] = left.get(mask.key, 0) + mask.sign
        return not any(left.values())
