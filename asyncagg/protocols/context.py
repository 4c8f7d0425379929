"""Terms that the players of a run have agreed on (`Terms`), and one attempt at a round under them (`Context`).

Every player makes its own `Terms` from the scenario and its own `Context` from what the model owner published: nothing
here is taken from the lead. The round id binds all of it, so that two players who disagree cannot talk to each other.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

from asyncagg.crypto.agreement import KeyPair
from asyncagg.crypto.kdf import encode_fields
from asyncagg.crypto.randomness import Randomness
from asyncagg.crypto.signing import Identity, verify
from asyncagg.protocols.batches import SEED_BYTES, Batches
from asyncagg.protocols.cohort import Cohorts
from asyncagg.protocols.ledger.account import OwnerAccount
from asyncagg.protocols.messages import from_bitmap, to_bitmap
from asyncagg.protocols.names import MODEL_OWNER, Label, Player, Reveal, Threat, index_of, node_name, owner_name
from asyncagg.protocols.parameters.choose import Auto, GraphParameters, GraphProtocol, choose
from asyncagg.protocols.parameters.population import Population
from asyncagg.vectors.packing import packed_size
from asyncagg.vectors.ring import Ring
from asyncagg.vectors.slices import SlicePlan
from asyncagg.version import FORMAT


@dataclass(frozen=True)
class GraphPolicy:
    """Rules for `threshold` and `neighbours` of a scenario on any roster; every player computes them for itself."""

    protocol: GraphProtocol
    population: Population
    threshold: int | Auto = "auto"
    neighbours: int | Auto = "auto"

    def parameters(self, members: int) -> GraphParameters:
        """k and t of a roster of so many; Infeasible where there are no safe ones."""
        return _choose(self.protocol, self.population, members, self.threshold, self.neighbours)

    def quorum(self, members: int) -> int:
        """Signatures that make a certificate, for a roster of so many: no two of one cohort can both have as many."""
        parameters = self.parameters(members)
        return self.population.quorum(parameters.threshold if parameters.complete else 0)


_choose = lru_cache(maxsize=64)(choose)


@dataclass(frozen=True)
class Terms:
    """Fixed for a whole run and public."""

    protocol: str
    threat: Threat
    reveal: Reveal
    population: int
    """N: owners in the pinned population."""
    compute_nodes: int
    dimension: int
    """d: coordinates of a gradient."""
    ring: Ring
    plan: SlicePlan
    """Cut of the extended vector (coordinates, counts, weight) for the compute nodes."""
    clip: float
    bits: int
    max_weight: int
    minimum_cohort: int
    corrupt: int
    """n_c: owners assumed to collude with the lead."""
    corrupt_nodes: int
    roster_floor: int
    """An owner refuses a roster smaller than this, of the largest cohort that is drawn (`floor_of`)."""
    run: bytes
    """Nonce of the run, 16 bytes, chosen by the model owner."""
    scenario: bytes
    """Digest of the scenario, 32 bytes."""
    window: int
    """Batches whose owners may upload at the same time: what the nodes' memory budget holds."""
    encoding: bytes = b""
    """Digest of how each array of a gradient is encoded: name, shape, kind and clip, 32 bytes."""
    graph: GraphPolicy | None = None
    """Rules from which neighbours and threshold of a roster follow (secagg, secagg+)."""
    assumed: Population | None = None
    """Population from which the roster's floor follows, where cohorts differ in size."""
    cut: Batches | None = None
    """Batches of owners that are only added up together; None: no batches."""
    cohorts: Cohorts | None = None
    """Cohorts that may be invited to a round, where that is checked; None: whoever the model owner invites."""
    identities: Mapping[str, bytes] = field(default_factory=dict)
    """Player → pinned Ed25519 public key (threat `lying`)."""
    enough: Mapping[str, float] = field(default_factory=dict)
    """Phase → fraction of answers with which the lead may close it early; absent: 1."""

    @cached_property
    def batches(self) -> Batches:
        """The cut of the population; without one every owner is a batch of its own, and every set is whole."""
        return self.cut or Batches(self.population, 1, bytes(SEED_BYTES))

    @cached_property
    def nodes(self) -> tuple[Player, ...]:
        return tuple(node_name(index) for index in range(self.compute_nodes))

    def floor_of(self, cohort: int) -> int:
        """Fewest owners in a roster of a cohort of so many: what the dropout rate leaves of it."""
        if self.assumed is None or self.assumed.cohort == cohort:
            return self.roster_floor
        return max(self.minimum_cohort, replace(self.assumed, per_round=cohort).roster_floor)

    @property
    def permits(self) -> bool:
        """True if uploads need a permit; without, everyone uploads at once."""
        return self.window < self.batches.count

    def slice_bounds(self, node: int) -> tuple[int, int]:
        """First and last + 1 element of the extended vector at this node: its slice, or all where it holds a share."""
        return self.plan.bounds(node) if self.plan.nodes > 1 else (0, self.plan.length)

    def slice_bytes(self, node: int) -> int:
        """Size of one packed slice on the wire, without its headers."""
        start, stop = self.slice_bounds(node)
        return packed_size(stop - start, self.ring.bits)

    @cached_property
    def most_attempts(self) -> int | None:
        """Number of attempts of a run that an owner takes part in, at most; None: any number.

        Where a lying lead may abort attempts until a graph suits it, k and t are right for so many graphs and no more.
        """
        if self.threat == "curious" or self.graph is None:
            return None
        population = self.graph.population
        if self.graph.parameters(population.cohort).complete:
            return None
        return population.rounds * population.attempts

    def enough_of(self, phase: str, expected: int) -> int:
        """Number of answers that closes a phase early."""
        return max(1, math.ceil(self.enough.get(phase, 1.0) * expected - 1e-9))


@dataclass(frozen=True)
class Context:
    """One attempt as one player sees it."""

    terms: Terms
    me: Player
    label: Label
    invited: bytes
    """Owners invited to this attempt, as a bitmap over the population."""
    digest: bytes
    """SHA-256 of the parameters this player received."""
    randomness: Randomness
    identity: Identity | None = None
    """This player's signing key (threat `lying`)."""
    account: OwnerAccount | None = None
    """A data owner's own; None where nothing is protected."""
    sealing_key: bytes = b""
    """The model owner's public key of this attempt, where it removes the masks (reveal `model-owner`)."""
    sealing_pair: KeyPair | None = None
    """The pair of it, at the model owner."""

    @property
    def cohort(self) -> tuple[Player, ...]:
        """Owners invited to this attempt, in order of index. MessageError for a bitmap of another population."""
        return owners_in(self.invited, self.terms.population)

    @property
    def set_invited(self) -> int:
        """Owners invited to this attempt, bit i for owner i."""
        return int.from_bytes(self.invited, "little")

    @cached_property
    def cohort_size(self) -> int:
        """n: owners in the cohort of this round, invited to this attempt or not."""
        cohorts = self.terms.cohorts
        if cohorts is not None:
            return cohorts.of(self.label.round).bit_count()
        return self.terms.population if self.terms.graph is None else self.terms.graph.population.cohort

    @cached_property
    def graph(self) -> GraphPolicy | None:
        """Rules for neighbours and threshold of a roster of this round's cohort."""
        policy = self.terms.graph
        if policy is None or policy.population.cohort == self.cohort_size:
            return policy
        return replace(policy, population=replace(policy.population, per_round=self.cohort_size))

    @property
    def roster_floor(self) -> int:
        """An owner refuses a smaller roster."""
        return self.terms.floor_of(self.cohort_size)

    def not_whole(self, members: bytes) -> str | None:
        """None if a set of owners (a bitmap) is a union of whole batches, or why not."""
        return self.terms.batches.refusal(int.from_bytes(members, "little"))

    @cached_property
    def round_id(self) -> bytes:
        """SHA-256 over everything this attempt rests on, 32 bytes."""
        terms = self.terms
        bounds = [edge for node in range(terms.plan.nodes) for edge in terms.plan.bounds(node)]
        return hashlib.sha256(
            encode_fields(
                "asyncagg round",
                FORMAT,
                terms.run,
                terms.scenario,
                *self.label,
                terms.protocol,
                terms.threat,
                terms.reveal,
                self.sealing_key,
                *_policy_fields(terms.graph),
                *terms.nodes,
                *bounds,
                terms.population,
                self.invited,
                terms.corrupt,
                terms.corrupt_nodes,
                terms.batches.digest,
                self.roster_floor,
                terms.minimum_cohort,
                terms.max_weight,
                terms.dimension,
                terms.ring.bits,
                terms.bits,
                float(terms.clip).hex(),
                terms.encoding,
            )
        ).digest()

    def session_id(self, root: bytes, beacon: bytes = b"") -> bytes:
        """The round id and all that was advertised under it: salt of every key, bound into every box and signature."""
        return hashlib.sha256(encode_fields("asyncagg session", self.round_id, root, beacon)).digest()

    def sign(self, text: bytes) -> bytes:
        """This player's signature; empty where the lead is taken to follow the protocol."""
        return b"" if self.identity is None else self.identity.sign(text)

    def bitmap_of(self, players: Iterable[Player]) -> bytes:
        """Owners as a bitmap over the population."""
        return to_bitmap([index_of(player) for player in players], self.terms.population)

    def players_in(self, bitmap: bytes) -> tuple[Player, ...]:
        """Names of the owners in a bitmap, in order of index. MessageError for a bitmap of another population."""
        return owners_in(bitmap, self.terms.population)


def published_text(context: Context) -> bytes:
    """Text that the model owner signs when it publishes: this attempt, its sealing key, and these parameters."""
    return encode_fields("asyncagg publish", context.round_id, context.digest)


def check_published(context: Context, signature: bytes) -> str | None:
    """None, or why this publication is not the model owner's, or invites owners that it must not."""
    cohorts = context.terms.cohorts
    if cohorts is not None:
        refusal = cohorts.refusal(context.label.round, context.set_invited)
        if refusal is not None:
            return refusal
    if context.terms.threat == "curious":
        return None
    public = context.terms.identities.get(MODEL_OWNER)
    if public is None or not verify(public, published_text(context), signature):
        return "the model owner's signature on the parameters and its sealing key is wrong"
    return None


def _policy_fields(policy: GraphPolicy | None) -> tuple[str, ...]:
    """The policy for t and k as it enters the round id."""
    if policy is None:
        return ()
    population = policy.population
    return tuple(
        str(each)
        for each in (
            population.owners,
            population.corrupt,
            population.dropout,
            population.cohort,
            population.rounds,
            population.attempts,
            population.batch,
            policy.threshold,
            policy.neighbours,
        )
    )


@lru_cache(maxsize=64)
def owners_in(bitmap: bytes, population: int) -> tuple[Player, ...]:
    """Names of the owners in a bitmap, in order of index. Cached: in one process all owners are sent the same."""
    return tuple(owner_name(index) for index in from_bitmap(bitmap, population))
