"""Against a lying lead: a signing key for every player of an experiment, all of them pinned by everyone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from asyncagg.crypto.randomness import Randomness
from asyncagg.crypto.signing import Identity
from asyncagg.protocols.names import MODEL_OWNER, Player, node_name, owner_name
from asyncagg.runs import roster_file
from asyncagg.scenario.schema.scenario import Scenario


def everyone(scenario: Scenario) -> list[Player]:
    """All players of a scenario: model owner, compute nodes, data owners."""
    return [
        MODEL_OWNER,
        *(node_name(index) for index in range(scenario.aggregation.compute_nodes)),
        *(owner_name(index) for index in range(scenario.owners.count)),
    ]


def generate(scenario: Scenario, randomness: Callable[[str], Randomness]) -> dict[Player, Identity]:
    """Fresh keys for one run; none where the lead is trusted to follow the protocol."""
    if scenario.aggregation.threat == "curious":
        return {}
    return {player: Identity.generate(randomness(f"{player}/identity")) for player in everyone(scenario)}


def pinned(identities: Mapping[Player, Identity], folder: Path | None) -> dict[str, bytes]:
    """Player → public key: through a roster file in the run directory, where there is one."""
    keys: dict[str, bytes] = {player: each.public for player, each in identities.items()}
    if folder is None or not keys:
        return keys
    roster_file.write(folder / "roster.json", keys)
    return roster_file.read(folder / "roster.json")
