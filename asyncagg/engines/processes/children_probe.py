"""The witness of a run of several processes: asks each what its players said, worked and put in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from asyncagg.engines.experiment import Experiment
from asyncagg.engines.processes import codec
from asyncagg.engines.processes.child_handle import ChildHandle
from asyncagg.engines.record.oracle import ExpectedSum
from asyncagg.engines.record.usage import UsageByRole, total
from asyncagg.net.durations import SECOND_NS
from asyncagg.players.usage import KEPT
from asyncagg.protocols.names import Label, Loss, Player

ANSWER_NS = 120 * SECOND_NS
"""Longest time that a process may take to say what it did in a round."""


class ChildrenProbe:
    """Asks every child what its players did, and remembers the answers of those that die."""

    def __init__(self, experiment: Experiment, children: Sequence[ChildHandle]) -> None:
        self._experiment = experiment
        self._children = children
        self._usages: dict[int, dict[tuple[str, int], UsageByRole]] = {}
        """Round → place, and how many processes it had had → the last that the process said. Of the latest rounds."""

    async def usage_by_role(self, round_index: int) -> UsageByRole:
        """Bytes and work of one round; of a child that died, what it had told."""
        said = self._usages.setdefault(round_index, {})
        self._usages.pop(round_index - KEPT, None)
        asked = (child.ask("usage", ANSWER_NS, round=round_index) for child in self._children)
        for child, told in zip(self._children, await asyncio.gather(*asked), strict=True):
            if told is not None and "usage" in told:
                said[child.name, child.deaths] = codec.to_usage_by_role(told["usage"])
        return total(said.values())

    async def expected_sum(self, label: Label, survivors: Sequence[Player]) -> ExpectedSum | None:
        """Sum of the survivors' inputs; None where a child that held an input has died since."""
        put_in = ExpectedSum.none(self._experiment.encoder)
        for child in self._children:
            here = [player for player in child.players if player in survivors]
            if not here:
                continue
            told = await child.ask("expected", ANSWER_NS, label=label, survivors=here)
            if not told:
                return None
            part = codec.to_expected_sum(told["expected"])
            if child.deaths and part.owners < len(here):
                return None
            put_in = put_in.plus(part)
        return put_in

    def own_failures(self, round_index: int) -> Mapping[Player, Loss]:
        """None: what a failure says beyond what its owner tells the others stays in the owner's process."""
        return {}
