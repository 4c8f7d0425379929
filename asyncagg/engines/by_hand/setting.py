"""One attempt at the first round of a scenario, repeatable: terms, contexts, inputs, and roles as often as needed.

The cryptography is the real one. Every secret comes from the seed of the scenario, so that a role which is told the
same says the same; inputs are drawn, nobody trains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np

from asyncagg.crypto.agreement import KeyPair
from asyncagg.crypto.randomness import InsecureSeededRandomness
from asyncagg.crypto.signing import Identity
from asyncagg.engines.experiment import prepare
from asyncagg.protocols.context import Context, Terms
from asyncagg.protocols.effects import Role
from asyncagg.protocols.interface import Protocol
from asyncagg.protocols.messages import RoleName, to_bitmap
from asyncagg.protocols.names import LEAD, MODEL_OWNER, Label, Player, index_of, owner_name
from asyncagg.protocols.parameters.population import Infeasible
from asyncagg.protocols.permissions import Permissions
from asyncagg.scenario.schema.scenario import Scenario
from asyncagg.vectors.ring import RingVector

LABEL: Final = Label(0, 1)
_SEED: Final = "explore"


class Input(NamedTuple):
    """An owner's part of the sum."""

    words: RingVector
    """(d,) its weighted, encoded vector."""
    weight: int


@dataclass(frozen=True, slots=True)
class Place:
    """One role of one player."""

    player: Player
    role: RoleName

    def __str__(self) -> str:
        return "lead" if self.role == "lead" else self.player


@dataclass(frozen=True)
class HandSetting:
    """Part of a scenario that is the same in every order of events."""

    terms: Terms
    protocol: Protocol
    permissions: Permissions
    owners: tuple[Player, ...]
    """Everyone who is invited."""
    seed: int
    inputs: Mapping[Player, Input]

    @classmethod
    def of(cls, scenario: Scenario) -> HandSetting:
        """The first attempt of a scenario, with inputs that are drawn. ScenarioError where it cannot be played."""
        experiment = prepare(scenario)
        bare = experiment.terms(bytes(16))
        terms = replace(bare, identities=_identities(bare, scenario.seed))
        owners, seed = experiment.cohort(LABEL.round), scenario.seed
        return cls(terms, experiment.protocol, experiment.permissions, owners, seed, _drawn(terms, owners, seed))

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """All roles: owners, the lead, compute nodes, the model owner."""
        owners = [Place(owner, "owner") for owner in self.owners]
        nodes = [Place(node, "node") for node in self.terms.nodes]
        return (*owners, Place(LEAD, "lead"), *nodes, Place(MODEL_OWNER, "receiver"))

    def survivors_floor(self, members: int) -> int | None:
        """Fewest owners in a set that is opened, of a roster of so many; None if no such roster is accepted."""
        terms = self.terms
        if members < terms.floor_of(len(self.owners)):
            return None
        try:
            floor = 0 if terms.graph is None else terms.graph.parameters(members).survivors_floor
        except Infeasible:
            return None
        return max(terms.minimum_cohort, self.quorum, floor)

    @cached_property
    def least(self) -> int:
        """Fewest owners in a set that is opened, of any roster."""
        floors = (self.survivors_floor(members) for members in range(1, len(self.owners) + 1))
        return min(floor for floor in floors if floor is not None)

    @cached_property
    def quorum(self) -> int:
        """Signatures without which nothing is opened; 0 where nobody signs."""
        if self.terms.threat == "curious" or self.terms.graph is None:
            return 0
        return (len(self.owners) + self.terms.corrupt) // 2 + 1

    def role(self, place: Place) -> Role[Any]:
        """A role at its beginning."""
        context = self.context(place)
        match place.role:
            case "owner":
                vector, weight = self.inputs[place.player]
                return self.protocol.owner(context, self.terms.plan.extend(vector.copy(), weight, self.terms.ring))
            case "lead":
                return self.protocol.lead(context)
            case "node":
                return self.protocol.node(context)
            case "receiver":
                return self.protocol.receiver(context)

    def context(self, place: Place) -> Context:
        """The attempt as this role's player sees it; with a random source of its own."""
        terms, player = self.terms, place.player
        pair = None
        if self.protocol.seals_answers(terms):
            pair = KeyPair.generate(InsecureSeededRandomness(self.seed, _SEED, "sealing pair"))
        return Context(
            terms=terms,
            me=player,
            label=LABEL,
            invited=to_bitmap([index_of(owner) for owner in self.owners], terms.population),
            digest=bytes(32),
            randomness=InsecureSeededRandomness(self.seed, _SEED, "secrets", str(place)),
            identity=_identity(self.seed, player) if terms.threat == "lying" else None,
            sealing_key=b"" if pair is None else pair.public,
            sealing_pair=pair if player == MODEL_OWNER else None,
        )


def _drawn(terms: Terms, owners: tuple[Player, ...], seed: int) -> dict[Player, Input]:
    draw = np.random.default_rng(seed)
    inputs = {}
    for owner in owners:
        weight = int(draw.integers(1, terms.max_weight + 1))
        vector = draw.integers(0, 1 << min(terms.bits, 16), terms.dimension)
        inputs[owner] = Input((vector * weight).astype(terms.ring.dtype), weight)
    return inputs


def _identities(terms: Terms, seed: int) -> dict[str, bytes]:
    """Everyone's pinned key, where there are any."""
    if terms.threat == "curious":
        return {}
    players = [MODEL_OWNER, *terms.nodes, *map(owner_name, range(terms.population))]
    return {player: _identity(seed, player).public for player in players}


def _identity(seed: int, player: Player) -> Identity:
    return Identity.generate(InsecureSeededRandomness(seed, _SEED, "identity", player))
