"""Outlook on a scenario before anything runs: parameters, cost, and who must collude to open an input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from asyncagg.engines.experiment import Experiment
from asyncagg.players.published import as_published
from asyncagg.protocols.context import Terms
from asyncagg.protocols.forecast import batching, coalitions, planning
from asyncagg.protocols.forecast.work import AttemptCost, cost
from asyncagg.protocols.forecaster import Setting, Situation
from asyncagg.protocols.parameters.batch_size import BatchFigures, batch_figures
from asyncagg.protocols.parameters.choose import GraphParameters
from asyncagg.scenario.notes import notes


@dataclass(frozen=True)
class Outlook:
    """An experiment as it can be judged beforehand, for a round in which everyone takes part."""

    experiment: Experiment

    @cached_property
    def graph(self) -> GraphParameters | None:
        """Threshold and neighbours of the full roster; None for protocols without."""
        policy = self.experiment.graph
        return None if policy is None else policy.parameters(self.experiment.population.cohort)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """`parameters` of `result.json`."""
        graph, scenario, quanta = self.graph, self.experiment.scenario, self.experiment.encoder.quanta
        return {
            "threshold": None if graph is None else graph.threshold,
            "neighbours": None if graph is None else graph.neighbours,
            "privacy_bits": None if graph is None else graph.privacy_bits,
            "correctness_bits": None if graph is None else graph.correctness_bits,
            "ring_bits": self.experiment.encoder.ring.bits,
            "clip": scenario.encoding.clip,
            "bits": scenario.encoding.bits,
            "quantum": max(quanta.values(), default=None),
        } | ({"clip_by": dict(scenario.encoding.clip_by)} if scenario.encoding.clip_by else {})

    @cached_property
    def cost(self) -> AttemptCost:
        """Bytes and work of one attempt."""
        terms = self._terms
        published = as_published(self.experiment.workload.initial_parameters())
        return cost(
            Setting(
                protocol=self._terms.protocol,
                owners=self.experiment.population.cohort,
                compute_nodes=terms.compute_nodes,
                dimension=terms.dimension,
                bits=terms.bits,
                max_weight=terms.max_weight,
                neighbours=0 if self.graph is None else self.graph.neighbours,
                threat=terms.threat,
                reveal=terms.reveal,
                parameter_bytes=sum(array.nbytes for array in published.values()),
                permits=terms.permits,
            )
        )

    @property
    def planned(self) -> Mapping[str, Any]:
        """`plan` of `result.json`: bytes of one owner, of all phases and of each."""
        phases = {name: {"sent": flow.sent, "received": flow.received} for name, flow in self.cost.phases.items()}
        whole = self.cost.owner_bytes
        return {"owner_bytes": {"sent": whole.sent, "received": whole.received}, "phases": phases}

    @cached_property
    def opens_an_input(self) -> tuple[str, ...]:
        """Sentences: which coalitions open an input, who sees the sum, what is assumed."""
        terms, population = self._terms, self.experiment.population
        scenario = self.experiment.scenario
        sentences = coalitions.opens_an_input(
            Situation(
                protocol=self._terms.protocol,
                threat=terms.threat,
                reveal=terms.reveal,
                corrupt_owners=terms.corrupt,
                analysed_corrupt=population.all_corrupt,
                smallest_cohort=self.smallest_cohort,
                compute_nodes=terms.compute_nodes,
                corrupt_nodes=terms.corrupt_nodes,
                parameters=self.graph,
            )
        )
        if not self.experiment.protocol.protects:
            return sentences
        if self.batches is not None:
            sentences = (*sentences, *batching.batch_sentences(self.batches, population.dropout))
        elif terms.threat == "lying":
            sentences = (*sentences, batching.without_batches())
        if terms.threat == "lying" and scenario.encoding.rounding_draws == "seeded":
            sentences = (*sentences, batching.public_draws())
        return sentences

    @cached_property
    def batches(self) -> BatchFigures | None:
        """Figures of the batches; None where every owner is a batch of its own."""
        population = self.experiment.population
        return batch_figures(population) if population.batch > 1 else None

    @property
    def smallest_cohort(self) -> int:
        """Fewest survivors in a sum that is released."""
        experiment, terms = self.experiment, self._terms
        forecaster = experiment.protocol.forecaster
        return forecaster.smallest_cohort(terms.minimum_cohort, terms.roster_floor, experiment.graph)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on rosters that have no safe parameters of their own, and on what is odd about the scenario."""
        policy, odd = self.experiment.graph, notes(self.experiment.scenario)
        if self.batches is not None:
            odd = (*batching.batch_notes(self.batches), *odd)
        if policy is None:
            return odd
        planned = planning.plan(policy)
        return (*planned.notes, *odd)

    @cached_property
    def _terms(self) -> Terms:
        return self.experiment.terms(bytes(16))
