"""Experiment made from a scenario: workload, protocol, ring, slices, terms; the same in every engine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from asyncagg.learning.errors import WorkloadError
from asyncagg.learning.kinds import build
from asyncagg.learning.owners import DataOwner
from asyncagg.learning.workload import Workload, check_max_weight
from asyncagg.players.published import description_bytes
from asyncagg.protocols.batches import Batches, indices_in
from asyncagg.protocols.cohort import Cohorts
from asyncagg.protocols.context import GraphPolicy, Terms
from asyncagg.protocols.interface import Protocol
from asyncagg.protocols.ledger.comparison import Rules
from asyncagg.protocols.messages import Measures
from asyncagg.protocols.names import PHASES, Label, Phase, Player, owner_name
from asyncagg.protocols.parameters.choose import COMPLETE_UP_TO, check_minimum_cohort
from asyncagg.protocols.parameters.population import Infeasible, Population
from asyncagg.protocols.permissions import Permissions
from asyncagg.protocols.registry import find
from asyncagg.scenario import draws
from asyncagg.scenario.cohorts import cohorts, cut
from asyncagg.scenario.cohorts import population as population_of
from asyncagg.scenario.schema.scenario import Scenario
from asyncagg.vectors.clips import ClipError, clips_of
from asyncagg.vectors.encoder import MAX_BITS, EncodingError
from asyncagg.vectors.flatten import Layout
from asyncagg.vectors.ring import RingError
from asyncagg.vectors.slices import SliceError, SlicePlan
from asyncagg.vectors.vector_encoder import VectorEncoder

RUN_NONCE_BYTES = 16


@dataclass(frozen=True)
class Experiment:
    """A scenario made ready: everything public that does not depend on the engine."""

    scenario: Scenario
    workload: Workload
    protocol: Protocol
    layout: Layout
    encoder: VectorEncoder
    plan: SlicePlan
    max_weight: int
    population: Population
    graph: GraphPolicy | None
    batches: Batches
    """The cut: which owners are only added up together."""
    cohorts: Cohorts | None
    """The draw of cohorts, where owners check it."""

    def owner(self, index: int) -> DataOwner:
        """Builds the data owner `index`. WorkloadError where it may weigh more than there is room for."""
        owner, name = self.workload.owner(index), owner_name(index)
        largest = check_max_weight(owner.max_weight, name, "workload.owner")
        aggregation = self.scenario.aggregation
        if aggregation.weighting == "examples" and aggregation.max_weight == "auto" and largest > self.max_weight:
            right = "the largest of all owners in the class, or as aggregation.max_weight"
            message = f"max_weight of {name} is {largest}, and that of its class {self.max_weight} ({right})"
            raise WorkloadError(message, "workload.owner")
        return owner

    def terms(self, run: bytes, identities: Mapping[str, bytes] | None = None) -> Terms:
        """Terms that the players of one run agree on; `run` is its nonce, `identities` are everyone's pinned keys."""
        scenario, aggregation = self.scenario, self.scenario.aggregation
        largest = max(self.plan.bounds(node)[1] - self.plan.bounds(node)[0] for node in range(self.plan.nodes))
        window = aggregation.memory_budget_bytes // (largest * self.encoder.ring.word_bytes * self._open_slices())
        return Terms(
            protocol=self.protocol.name,
            threat=aggregation.threat,
            reveal=aggregation.reveal,
            population=scenario.owners.count,
            compute_nodes=aggregation.compute_nodes,
            dimension=self.workload.dimension,
            ring=self.encoder.ring,
            plan=self.plan,
            clip=scenario.encoding.clip,
            bits=scenario.encoding.bits,
            encoding=self.encoder.digest(),
            max_weight=self.max_weight,
            minimum_cohort=aggregation.minimum_cohort,
            corrupt=self.population.corrupt_owners,
            corrupt_nodes=aggregation.corrupt_nodes,
            roster_floor=self._roster_floor(),
            run=run,
            scenario=scenario.digest(),
            window=max(1, min(self.batches.count, window)),
            graph=self.graph,
            assumed=self.population if self._losses_count() else None,
            cut=self.batches,
            cohorts=self.cohorts,
            identities=identities or {},
            enough={name: scenario.phases[name].enough for name in PHASES},
        )

    @property
    def durable(self) -> bool:
        """True if what is kept must outlive a power cut, and not only its process."""
        return self.scenario.engine == "hosts"

    def deadlines(self) -> dict[Phase, int]:
        """Phase → nanoseconds."""
        return {name: self.scenario.phases[name].deadline_ns for name in PHASES}

    def account_rules(self) -> Rules | None:
        """Rules of the model owner's account; None where nothing is protected."""
        aggregation = self.scenario.aggregation
        if not self.protocol.protects:
            return None
        return Rules(
            owners=self.scenario.owners.count,
            minimum_cohort=aggregation.minimum_cohort,
            weights=self.max_weight > 1,
            batches=self.batches,
        )

    def _open_slices(self) -> int:
        """Slices of memory that a compute node needs for an open batch: its sum, and one of each owner on the way."""
        return 1 if self.batches.size == 1 else 1 + self.batches.largest

    def _losses_count(self) -> bool:
        """True if a roster is what protects an input, so that it must not lose more than the dropout rate."""
        return self.graph is not None or self.scenario.aggregation.threat == "lying"

    def _roster_floor(self) -> int:
        """Fewest owners in a roster of the largest cohort."""
        least = self.scenario.aggregation.minimum_cohort
        return max(least, self.population.roster_floor) if self._losses_count() else least

    @cached_property
    def permissions(self) -> Permissions:
        """Table of who may send what to whom, and how much of it."""
        terms = self.terms(bytes(RUN_NONCE_BYTES))  # sizes are those of any run
        parameters = self.workload.initial_parameters()
        measures = Measures(
            population=terms.population,
            holders=self._holders(self.population.cohort),
            parameter_bytes=8 * sum(np.size(array) for array in parameters.values()),
            description_bytes=description_bytes(parameters),
            slice_bytes=0,
        )
        slices = [terms.slice_bytes(node) for node in range(terms.compute_nodes)]
        return Permissions(self.protocol.all_kinds, measures, slices)

    def _holders(self, most: int) -> int:
        """Number of players that may hold shares of one owner's secrets, in a roster of any size.

        A roster that shrinks to where the complete graph begins has more neighbours than a larger one.
        """
        if self.graph is None:
            return 0
        least = self.population.roster_floor
        holders = 0
        for members in (most, least, min(most, max(least, COMPLETE_UP_TO))):
            try:
                holders = max(holders, self.graph.parameters(members).neighbours + 1)
            except Infeasible:
                continue  # no such roster is accepted
        return holders

    def cohort(self, round_index: int) -> tuple[Player, ...]:
        """Owners invited to a round, in order of index."""
        drawn = self.cohorts
        indices = draws.cohort(self.scenario, round_index) if drawn is None else indices_in(drawn.of(round_index))
        return tuple(owner_name(index) for index in indices)

    def silent_from(self, owner: int) -> Callable[[int], Phase | None]:
        """Round → the first phase in which a `drop` fault silences this owner."""
        return lambda round_index: self._dropped(round_index).get(owner)

    @cached_property
    def _dropped(self) -> Callable[[int], dict[int, Phase]]:
        return lru_cache(maxsize=64)(lambda round_index: draws.dropped(self.scenario, round_index))

    def draws_key(self, owner: int) -> Callable[[Label], bytes]:
        """Label → key of this owner's public rounding draws; one stream per owner and round.

        A round that is retried, or resumed, has the same draws: its encoded inputs, and so its mean over the same
        survivors, do not depend on how often it was interrupted.
        """
        seed = self.scenario.seed

        def key(label: Label) -> bytes:
            return hashlib.sha256(f"{seed}/rounding/{owner}/{label.round}".encode()).digest()[:16]

        return key


def prepare(scenario: Scenario, workload: Workload | None = None, pinned: Batches | None = None) -> Experiment:
    """Build the workload (unless one is given) and check that everything fits; ScenarioError where it does not.

    `pinned` is the cut that stands with the owners' identities, where it does; it has the size that the scenario says.
    """
    try:
        workload = workload or build(
            scenario.workload.kind,
            owners=scenario.owners.count,
            seed=scenario.seed,
            rounds=scenario.rounds,
            base=scenario.base,
            options=scenario.workload.settings(),
        )
    except WorkloadError as error:
        scenario.refuse(error.key, error.message)
    protocol = find(scenario.aggregation.protocol)
    population = _population(scenario)
    batches = pinned or cut(scenario, population.batch)
    max_weight = _max_weight(scenario, workload)
    encoder = _encoder(scenario, workload, population, max_weight)
    try:
        plan = SlicePlan(workload.dimension, 1 if protocol.shares else scenario.aggregation.compute_nodes)
    except SliceError as error:
        scenario.refuse("aggregation.compute_nodes", str(error))
    graph = _graph(scenario, protocol, population)
    drawn = cohorts(scenario, batches)
    _check_smallest_cohort(scenario, drawn)
    return Experiment(
        scenario, workload, protocol, encoder.layout, encoder, plan, max_weight, population, graph, batches, drawn
    )


def _encoder(scenario: Scenario, workload: Workload, population: Population, max_weight: int) -> VectorEncoder:
    """Encoder of all arrays, in a ring that holds every sum."""
    encoding, layout = scenario.encoding, workload.layout
    _check_whole_numbers(scenario, workload.largest_whole)
    try:
        clips = clips_of(layout, encoding.clip, encoding.clip_by)
        return VectorEncoder.for_population(
            layout,
            max(scenario.owners.in_round, population.cohort),
            clips,
            encoding.bits,
            max_weight,
            encoding.rounding,
        )
    except ClipError as error:
        scenario.refuse(("encoding", "clip_by", error.key), str(error))
    except (RingError, EncodingError) as error:
        scenario.refuse("encoding.bits", str(error))


def _check_whole_numbers(scenario: Scenario, largest: int) -> None:
    """Refuse whole numbers that there are no bits for, where they are known beforehand."""
    bits = scenario.encoding.bits
    most, needed = 2 ** (bits - 1) - 1, largest.bit_length() + 1
    if largest > most:
        right = f"{needed} or more" if needed <= MAX_BITS else "floats instead"
        text = f"is {bits}, which holds whole numbers up to {most}, and there are some of {largest} ({right})"
        scenario.refuse("encoding.bits", text)


def _population(scenario: Scenario) -> Population:
    try:
        return population_of(scenario)
    except Infeasible as refusal:
        scenario.refuse("aggregation.batch", str(refusal))


def _check_smallest_cohort(scenario: Scenario, drawn: Cohorts | None) -> None:
    """Refuse a minimum cohort that some rounds could never reach: whole batches make cohorts of different sizes."""
    wanted = scenario.aggregation.minimum_cohort
    if drawn is not None and drawn.fewest < wanted:
        text = (
            f"is {wanted}, but the whole batches that are drawn for a round may have only {drawn.fewest} owners "
            f"(at most {drawn.fewest}, or a larger owners.per_round)"
        )
        scenario.refuse("aggregation.minimum_cohort", text)


def _graph(scenario: Scenario, protocol: Protocol, population: Population) -> GraphPolicy | None:
    """The policy for threshold and neighbours, found safe for the whole population and its minimum cohort."""
    aggregation = scenario.aggregation
    if protocol.graph is None:
        return None
    policy = GraphPolicy(protocol.graph, population, aggregation.threshold, aggregation.neighbours)
    try:
        check_minimum_cohort(policy.parameters(population.cohort), aggregation.minimum_cohort)
    except Infeasible as refusal:
        scenario.refuse("aggregation", str(refusal))
    return policy


def _max_weight(scenario: Scenario, workload: Workload) -> int:
    aggregation = scenario.aggregation
    if aggregation.max_weight != "auto":
        _check_known_weights(scenario, workload, aggregation.max_weight)
        return aggregation.max_weight
    return workload.max_weight if aggregation.weighting == "examples" else 1


def _check_known_weights(scenario: Scenario, workload: Workload, bound: int) -> None:
    """Refuse a bound below a weight that is known beforehand; owners of the user's own may turn out lighter."""
    known = scenario.workload.kind in ("digits", "vectors", "given") and scenario.aggregation.weighting == "examples"
    if known and workload.max_weight > bound:
        scenario.refuse(
            "aggregation.max_weight",
            f'is {bound}, and an owner of this workload has weight {workload.max_weight} (no less, or "auto")',
        )
