"""A data owner: for every attempt it is invited to, compute a gradient, encode it, and play the owner's role."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from asyncagg.crypto.digest import parameter_digest
from asyncagg.crypto.keystream import Uniforms
from asyncagg.crypto.randomness import Randomness
from asyncagg.crypto.signing import Identity
from asyncagg.learning.gradients import Border, GradientFailed, unusable
from asyncagg.learning.owners import Arrays, DataOwner
from asyncagg.players.base import PlayerEnvironment
from asyncagg.players.driver import Ended, RoleDriver, RoundFailed
from asyncagg.players.follower import Follower
from asyncagg.players.ledger_store import LedgerStore
from asyncagg.players.outcome import OwnNote
from asyncagg.players.published import ParametersError, unpack_parameters
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context, Terms, check_published
from asyncagg.protocols.effects import Cost
from asyncagg.protocols.interface import Protocol
from asyncagg.protocols.names import LEAD, MODEL_OWNER, PHASES, Label, Loss, Phase, Player
from asyncagg.vectors.encoder import Encoded, EncodingError, Reals
from asyncagg.vectors.flatten import Layout
from asyncagg.vectors.ring import RingVector
from asyncagg.vectors.vector_encoder import VectorEncoder


@dataclass(frozen=True, slots=True)
class OwnerPart:
    """What makes one data owner: its data, and how its vectors are encoded."""

    owner: DataOwner
    layout: Layout
    encoder: VectorEncoder
    weighted: bool
    """Whether its weight is what `compute_gradient` says; else 1."""
    draws_key: Callable[[Label], bytes]
    """16-byte key of the rounding draws of one attempt."""
    store: LedgerStore | None
    """Its account; None where nothing is protected."""
    silent_from: Callable[[int], Phase | None]
    """Round → the first phase in which a `drop` fault silences it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An owner's input to one attempt, as it keeps it: what an experiment's oracle re-encodes."""

    label: Label
    values: np.ndarray
    weight: int
    draws_key: bytes
    clipped: int


UNTOLD: Final = Loss("left of its own accord, and its own log says why", "failed")
"""What every failure of an owner's own looks like to the others where the lead may lie."""


class Silenced(Exception):
    """A `drop` fault: the owner says nothing from here on in this round."""


class DataOwnerPlayer(Follower):
    """The asyncio side of a data owner; `part.owner` is the user's."""

    roles = ("owner",)

    def __init__(
        self,
        me: Player,
        environment: PlayerEnvironment,
        terms: Terms,
        protocol: Protocol,
        part: OwnerPart,
        randomness: Randomness,
        identity: Identity | None,
    ) -> None:
        super().__init__(me, environment, terms, protocol, randomness, identity)
        self.begin_with(part)
        self.kept: Kept | None = None
        self.trouble: str | None = None
        """Why this owner had to leave its last attempt, for its own eyes."""
        self.failure: tuple[Label, Loss] | None = None
        """How its own computation failed last, as an experiment's result may say it."""
        self._noted: dict[str, None] = {}
        """Kinds of failure that this owner has been told of in full."""
        self._silent_round = -1
        self._attempts = 0

    def begin_with(self, part: OwnerPart) -> None:
        """Take what makes this owner, as a process does when it begins."""
        self.part = part
        self.store = part.store
        if part.store is not None and part.store.torn:
            cut = f"its account ended in half a line, {part.store.torn} bytes, which were cut off"
            self.note(self.label, "publish", "fault", self.me, cut)

    async def run(self, deadline_ns: int | None) -> None:
        """Dial out to everyone, then serve attempts until the run is finished, or a peer is lost for good."""
        await self.serve((*self.terms.nodes, MODEL_OWNER), deadline_ns)

    # -- what is not for a role -------------------------------------------------------------------------------------

    def control(self, peer: Player, label: Label, message: m.Message) -> bool:
        match message:
            case m.Publish() if peer == MODEL_OWNER and label > self.label:
                self._begin(label, message)
            case m.Finish() if peer == MODEL_OWNER:
                self.finish(message.reason)
            case m.Excluded() if peer == LEAD and label == self.label:
                for driver in self.drivers.values():
                    driver.fail(Ended(f"excluded: {message.reason}"))
            case m.Excluded() if peer == LEAD and label > self.label:
                return False  # it has overtaken the publication: kept until that is here
            case m.Publish() | m.Finish() | m.Excluded():
                pass
            case _:
                return False
        return True

    # -- one attempt ------------------------------------------------------------------------------------------------

    def _begin(self, label: Label, message: m.Publish) -> None:
        self._attempts += 1
        self.cancel_tasks()
        (driver,) = self.open(label, "owner")
        if label.round != self._silent_round:
            self.start(self._attempt(driver, label, message), self.me)

    async def _attempt(self, driver: RoleDriver, label: Label, message: m.Publish) -> None:
        try:
            parameters = unpack_parameters(message)
            context = Context(
                terms=self.terms,
                me=self.me,
                label=label,
                invited=message.cohort,
                digest=parameter_digest(parameters),
                randomness=self.randomness,
                identity=self.identity,
                account=None if self.store is None else self.store.account,
                sealing_key=message.sealing_key,
            )
            refusal = self._repeats(label) or self._one_too_many() or check_published(context, message.signature)
            if refusal is not None:
                raise RoundFailed(refusal)
            words = await self._vector(label, parameters)
            await driver.run(self.protocol.owner(context, words))
        except Silenced:
            self.note(label, driver.phase, "fault", self.me, "drop")
        except Ended:
            pass
        except GradientFailed as error:
            self._leave(label, self._own_failure(label, error))
        except (RoundFailed, ParametersError, m.MessageError) as error:
            self.trouble = str(error)
            self._leave(label, RoundFailed(self.trouble))

    def _leave(self, label: Label, failure: RoundFailed) -> None:
        """Tell the lead that this owner's part is over, unless a fault silences it."""
        if label.round != self._silent_round and self.part.silent_from(label.round) is None:
            self.tell_failure(label, failure, LEAD)

    def _own_failure(self, label: Label, error: GradientFailed) -> RoundFailed:
        """Note for the owner that its computation failed, and for the others as much as they may know."""
        loss = Loss(error.told, "refuses" if error.lasting else "failed")
        self.trouble, self.failure = error.own, (label, loss)
        self._note_own(label, error.told, error.own, error.trace)
        said = loss if self.terms.threat == "curious" else UNTOLD
        return RoundFailed(said.reason, cause=said.cause)

    def _note_own(self, label: Label, kind: str, text: str, trace: str = "") -> None:
        again = kind in self._noted
        self._noted[kind] = None
        self.environment.note_own(OwnNote(self.me, label.round, text, trace, again))

    def _repeats(self, label: Label) -> str | None:
        """Whether this attempt may have been played before this owner's process began: its entry must never change."""
        newest = None if self.store is None else self.store.account.newest
        if newest is None or label > newest:
            return None
        return f"not newer than round {newest.round}, attempt {newest.attempt}, of this owner's account"

    def _one_too_many(self) -> str | None:
        """Whether the model owner and the lead have had all attempts that k and t were chosen for."""
        most = self.terms.most_attempts
        if most is None or self._attempts <= most:
            return None
        return f"attempt {self._attempts} of this run is one more than its rounds and retries have ({most})"

    async def _vector(self, label: Label, parameters: Arrays) -> RingVector:
        """This owner's extended vector: encoded coordinates, counts and weight."""
        part = self.part
        border = Border(part.layout, part.weighted, part.encoder.max_weight)

        def work() -> tuple[RingVector, Kept, str]:
            values, weight = border.taken(part.owner, parameters, label.round)
            key = part.draws_key(label)
            values, encoded, tamed = self._encoded(values, weight, key)
            kept = Kept(label, values, weight, key, encoded.clipped)
            return self.terms.plan.extend(encoded.words, weight, self.terms.ring), kept, tamed

        cost = Cost(gradients=1, encoded_values=self.terms.dimension)
        words: RingVector
        words, self.kept, tamed = await self.compute(label, cost, work)
        if tamed:
            self._note_own(label, "tamed", tamed)
        return words

    def _encoded(self, values: Reals, weight: int, key: bytes) -> tuple[Reals, Encoded, str]:
        """What is put in, as it is and encoded, and what was done to it, if anything.

        GradientFailed for values that cannot be encoded; but where the lead may lie those are changed, since a model
        owner could choose parameters that overflow for some data, and see from who leaves whose they are.
        """
        encoder = self.part.encoder
        try:
            return values, encoder.encode(values, weight, Uniforms(key)), ""
        except EncodingError as error:
            if self.terms.threat == "curious":
                raise unusable(error) from error
            refused = str(error)
        values = encoder.tame(values)
        done = "NaN became 0, infinity ±clip, and whole numbers were rounded and clipped; nobody else is told"
        return values, encoder.encode(values, weight, Uniforms(key)), f"{refused}: {done}"

    def send(self, label: Label, to: Player, message: m.Message, phase: Phase) -> None:
        silent = self.part.silent_from(label.round)
        if silent is not None and PHASES.index(message.phase) >= PHASES.index(silent):
            self._silent_round = label.round
            raise Silenced
        super().send(label, to, message, phase)
