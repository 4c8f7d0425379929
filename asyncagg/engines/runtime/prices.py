"""Prices of work in virtual time: those of `[compute]` applied to what a role says it does.

The work itself is done in no virtual time at all; its price is charged to the player, which has one processor: what
it computes at the same time takes turns. The wall clock is never looked at.
"""

from __future__ import annotations

from collections.abc import Callable

from asyncagg.net.durations import SECOND_NS
from asyncagg.protocols.effects import Cost
from asyncagg.protocols.names import owner_name
from asyncagg.scenario.schema.compute import ComputeSection, DeviceName, device
from asyncagg.scenario.schema.scenario import Scenario

VALUE_BYTES = 8


def price_ns(prices: ComputeSection, cost: Cost) -> int:
    """Virtual nanoseconds for some work: counts times durations, and bytes at rates, each rounded up."""
    counted = (
        (prices.key_pair_ns, cost.key_pairs),
        (prices.key_agreement_ns, cost.key_agreements),
        (prices.share_ns, cost.shares),
        (prices.box_ns, cost.boxes),
        (prices.signature_ns, cost.signatures),
        (prices.gradient_ns, cost.gradients),
    )
    streamed = (
        (prices.keystream, cost.keystream_bytes),
        (prices.add, cost.added_bytes),
        (prices.encode, VALUE_BYTES * cost.encoded_values),
    )
    total = sum(each_ns * count for each_ns, count in counted if each_ns is not None)
    return total + sum(-(-size * SECOND_NS // rate) for rate, size in streamed if rate is not None)


def player_prices(scenario: Scenario) -> Callable[[str], ComputeSection]:
    """The prices of each player: those of its group's device, of the owners', or of everyone."""
    everyone, owners = scenario.compute, scenario.owners
    own = _of(scenario, owners.device) or everyone
    grouped = [_of(scenario, group.device) or own for group in owners.groups for _ in range(group.count)]
    prices = dict.fromkeys((str(owner_name(index)) for index in range(owners.count)), own)
    prices |= {str(owner_name(index)): each for index, each in enumerate(grouped)}
    return lambda player: prices.get(player, everyone)


def _of(scenario: Scenario, name: DeviceName | None) -> ComputeSection | None:
    """A device by name, with what a gradient costs, which the table alone knows."""
    if name is None:
        return None
    return device(name).model_copy(update={"gradient_ns": scenario.compute.gradient_ns})
