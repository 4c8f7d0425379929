"""Networks that act on the links of a scenario: the same in every engine and on every host."""

from __future__ import annotations

from collections.abc import Callable

from asyncagg.net.channel import Network
from asyncagg.net.frames import PairLimits
from asyncagg.net.links.faults import ChannelFaults
from asyncagg.net.links.model import Link
from asyncagg.net.links.network import LinkedNetwork
from asyncagg.net.links.presets import PRESETS
from asyncagg.protocols.names import owner_name
from asyncagg.scenario.schema.scenario import Scenario


def player_links(scenario: Scenario) -> Callable[[str], Link]:
    """The link of each player: that of its group, of all data owners, or of everyone."""
    everyone = scenario.network.build()
    named = {**PRESETS, **{name: table.build() for name, table in scenario.links.items()}}
    owners = scenario.owners
    own = everyone if owners.link is None else named[owners.link]
    grouped = [own if group.link is None else named[group.link] for group in owners.groups for _ in range(group.count)]
    links: dict[str, Link] = dict.fromkeys((str(owner_name(index)) for index in range(owners.count)), own)
    links |= {str(owner_name(index)): link for index, link in enumerate(grouped)}
    return lambda player: links.get(player, everyone)


class Linker:
    """Puts the scenario's links around networks; all networks of a process share one set of channel faults."""

    def __init__(self, scenario: Scenario, limits: PairLimits, faults: ChannelFaults | None = None) -> None:
        self._links = player_links(scenario)
        self._limits = limits
        self._seed = scenario.seed
        self._faults = faults

    def around(self, inner: Network) -> Network:
        """`inner` with links. Where they do nothing, its channels are its own."""
        return LinkedNetwork(inner, self._links, self._limits, self._seed, self._faults)
