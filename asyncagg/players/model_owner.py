"""The model owner: publishes parameters, receives the mean, retries, skips or stops as the policy says, updates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asyncagg.crypto.agreement import KeyPair
from asyncagg.crypto.digest import parameter_digest
from asyncagg.crypto.randomness import Randomness
from asyncagg.crypto.signing import Identity
from asyncagg.learning.owners import Arrays, ModelOwner
from asyncagg.players.conversation import RoundFailed
from asyncagg.players.desk import Desk, Setting
from asyncagg.players.parameters import as_published, pack_parameters
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context, Terms, published_text
from asyncagg.protocols.effects import Cost
from asyncagg.protocols.ledger import Ledger, Rules
from asyncagg.protocols.registry import Protocol
from asyncagg.protocols.revealing import Revealed
from asyncagg.protocols.terms import LEAD, MODEL_OWNER, Label, Phase, Player, index_of
from asyncagg.vectors.encoder import DecodingError, Encoder
from asyncagg.vectors.flatten import Layout
from net.channel import Channel
from net.clock import call_at_ns, now_ns

OnFailure = Literal["retry", "skip", "abort"]
Status = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class ModelPart:
    """What makes the model owner: its model, and how a run goes on."""

    model: ModelOwner
    layout: Layout
    encoder: Encoder
    rounds: int
    cohort: Callable[[int], tuple[Player, ...]]
    """Round → the owners invited to it."""
    on_failure: OnFailure
    retries: int


@dataclass(slots=True)
class RoundOutcome:
    """How one round ended, as the model owner knows it."""

    round: int
    status: Status = "failed"
    reason: str | None = None
    attempts: int = 0
    label: Label | None = None
    """Of the attempt that succeeded."""
    revealed: Revealed | None = None
    mean: NDArray[np.float64] | None = None
    """(d,) float64: the decoded mean."""
    dropped: dict[Player, Phase] = field(default_factory=dict)
    """Over all attempts."""
    began_ns: int = 0
    ended_ns: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


class ModelOwnerPlayer(Desk):
    """The asyncio side of the model owner; `part.model` is the user's."""

    roles = ("receiver",)

    def __init__(
        self,
        setting: Setting,
        terms: Terms,
        protocol: Protocol,
        part: ModelPart,
        randomness: Randomness,
        identity: Identity | None,
        rules: Rules | None,
        observe: Callable[[RoundOutcome], None],
    ) -> None:
        super().__init__(MODEL_OWNER, setting)
        self.terms = terms
        self.protocol = protocol
        self.part = part
        self.randomness = randomness
        self.parameters: Arrays = part.model.initial_parameters()
        self.identity = identity
        self._observe = observe
        self.ledger = Ledger(rules) if rules is not None else None
        self._arrival = asyncio.Event()
        self._crashed = False

    async def listen(self) -> None:
        await self.setting.network.listen(self.me, self.accept)

    async def run(self, deadline_ns: int) -> str | None:
        """All rounds; None, or why the run stopped. Everybody is told that it is over."""
        stopped: str | None = None
        await self._present([*self.terms.nodes, *self._population()], deadline_ns)
        for index in range(self.part.rounds):
            outcome = await self._round(index)
            self._observe(outcome)
            if outcome.status == "failed":
                stopped = f"round {index}: {outcome.reason}"
            elif self._crashed:
                stopped = f"{self.me} crashed after round {index}"
            if stopped is not None:
                break
        for peer in list(self.channels):
            self.send(self.label, Player(peer), m.Finish(stopped or "done"), "reveal")
        return stopped

    def crash(self) -> None:
        """See `Desk`; the run ends with the model owner."""
        self._crashed = True
        for conversation in self.conversations.values():
            conversation.fail(RoundFailed(f"{self.me} crashed"))
        self.setting.network.unlisten(self.me)
        super().crash()

    # -- who is there -----------------------------------------------------------------------------------------------

    def control(self, peer: Player, label: Label, message: m.Message) -> bool:
        return False

    def ends_attempt(self, peer: Player) -> bool:
        return peer == LEAD

    def joined(self, channel: Channel) -> None:
        super().joined(channel)
        self._arrival.set()

    def _population(self) -> list[Player]:
        return sorted({owner: None for index in range(self.part.rounds) for owner in self.part.cohort(index)})

    async def _present(self, players: list[Player], deadline_ns: int) -> list[Player]:
        """Wait until all of them have joined, or the deadline; who is missing."""
        missing = [player for player in players if player not in self.channels]
        timer = call_at_ns(deadline_ns, self._arrival.set)
        while missing and now_ns() < deadline_ns:
            self._arrival.clear()
            await self._arrival.wait()
            missing = [player for player in missing if player not in self.channels]
        timer.cancel()
        return missing

    # -- rounds -----------------------------------------------------------------------------------------------------

    async def _round(self, index: int) -> RoundOutcome:
        outcome = RoundOutcome(index, began_ns=self.now())
        cohort = self.part.cohort(index)
        for attempt in range(1, self.part.retries + 2):
            outcome.attempts = attempt
            try:
                revealed, mean = await self._attempt(Label(index, attempt), cohort)
            except RoundFailed as failure:
                outcome.reason = _and_then(outcome.reason, failure.reason)
                outcome.dropped = {**failure.dropped, **outcome.dropped}
                self._note_failure(failure, cohort)
                if not self._may_retry(failure, outcome):
                    break
                cohort = self._next_cohort(cohort, failure)
                continue
            await self._succeed(outcome, revealed, mean)
            return outcome
        skipped = self.part.on_failure == "skip" and not self._crashed
        outcome.status = "skipped" if skipped else "failed"
        outcome.ended_ns = self.now()
        return outcome

    def _next_cohort(self, cohort: tuple[Player, ...], failure: RoundFailed) -> tuple[Player, ...]:
        """Who is invited again: those that stayed, unless a roster of them alone could not be accepted."""
        stayed = tuple(owner for owner in cohort if owner not in failure.dropped)
        return stayed if len(stayed) >= self.terms.roster_floor else cohort

    def _note_failure(self, failure: RoundFailed, cohort: tuple[Player, ...]) -> None:
        """An attempt that failed after uploads began may still come to have a sum."""
        if self.ledger is not None and failure.exposed:
            bitmap = m.to_bitmap([index_of(owner) for owner in cohort], self.terms.population)
            self.ledger.uploaded(self.label, self._digest, bitmap, self.terms.minimum_cohort)

    def _may_retry(self, failure: RoundFailed, outcome: RoundOutcome) -> bool:
        """Whether the policy, and the protocol's rule on sums that may yet come to be known, allow another attempt."""
        if self._crashed or self.part.on_failure != "retry":
            return False
        if self.protocol.name == "pairwise" and failure.exposed:
            if self.terms.threat == "lying":
                outcome.reason = f"{failure.reason}; no retry once an upload began (threat lying)"
                return False
            outcome.warnings.append(
                f"attempt {outcome.attempts} had opened uploads before it failed: a late vector would complete its"
                " sum, which differs from the next attempt's by the owners dropped in between"
            )
        return True

    async def _succeed(self, outcome: RoundOutcome, revealed: Revealed, mean: NDArray[np.float64]) -> None:
        part = self.part
        outcome.status = "ok"
        outcome.label = self.label
        outcome.revealed = revealed
        outcome.dropped = {**revealed.dropped, **outcome.dropped}
        if self.ledger is not None:
            survivors = m.to_bitmap([index_of(owner) for owner in revealed.survivors], self.terms.population)
            self.ledger.settled(self.label, self._digest, survivors)
        outcome.mean = mean

        def work() -> tuple[Arrays, dict[str, float]] | str:
            step = "apply"
            try:
                updated = part.model.apply(self.parameters, part.layout.unflatten(mean))
                step = "evaluate"
                return updated, part.model.evaluate(updated)
            except Exception as error:  # the user's own code: it may raise anything
                return f"the model owner's {step} raised {type(error).__name__}: {error}"

        outcome.ended_ns = self.now()
        learnt = await self.compute(self.label, Cost(), work)
        if isinstance(learnt, str):
            outcome.status, outcome.reason = "failed", learnt
        else:
            self.parameters, outcome.metrics = learnt

    async def _attempt(self, label: Label, cohort: tuple[Player, ...]) -> tuple[Revealed, NDArray[np.float64]]:
        """Publish, and wait for the sum; it and the mean it stands for. Never beyond the sum of the phase deadlines."""
        limit_ns = sum(self.deadlines[phase] for phase in self.protocol.phases)
        end_ns = now_ns() + limit_ns
        published = as_published(self.parameters)
        self._digest = parameter_digest(published)
        missing = await self._present(list(self.terms.nodes), now_ns() + self.deadlines["publish"])
        (conversation,) = self.open(label, "receiver")  # only now: who has come back has not left this attempt
        if missing:
            raise RoundFailed(f"{missing[0]} is not connected")
        pair = KeyPair.generate(self.randomness) if self.protocol.seals_answers(self.terms) else None
        context = Context(
            terms=self.terms,
            me=self.me,
            label=label,
            invited=m.to_bitmap([index_of(owner) for owner in cohort], self.terms.population),
            digest=self._digest,
            randomness=self.randomness,
            identity=self.identity,
            sealing_key=b"" if pair is None else pair.public,
            sealing_pair=pair,
        )
        timer = call_at_ns(
            end_ns,
            conversation.fail,
            RoundFailed(f"no sum after {limit_ns / 1e9:g} s, the sum of the phase deadlines"),
        )
        try:
            self._publish(context, published)
            revealed = await conversation.run(self.protocol.receiver(context))
            return revealed, self._decode(revealed)
        except RoundFailed as failure:
            self.note(label, conversation.phase, "abort", "", failure.reason)
            raise
        finally:
            timer.cancel()

    def _decode(self, revealed: Revealed) -> NDArray[np.float64]:
        """The mean; RoundFailed for a sum that no inputs of so much weight add up to, which an owner can cause."""
        try:
            return self.part.encoder.decode(revealed.words, revealed.weight)
        except DecodingError as error:
            raise RoundFailed(f"the sum is not one of encoded vectors: {error}") from None

    def _publish(self, context: Context, published: Arrays) -> None:
        signature = context.sign(published_text(context))
        begin = m.Begin(context.invited, context.digest, context.sealing_key, signature)
        for node in self.terms.nodes:
            self.send(context.label, node, begin, "publish")
        arrays, data = pack_parameters(published)
        publish = m.Publish(data, arrays, context.invited, context.sealing_key, signature)
        for owner in context.cohort:
            self.send(context.label, owner, publish, "publish")


def _and_then(earlier: str | None, reason: str) -> str:
    """Why the attempts at a round failed, each reason once."""
    if earlier is None or earlier.endswith(reason):
        return reason if earlier is None else earlier
    return f"{earlier}; then {reason}"
