"""The model owner: publishes parameters, receives the mean, retries, skips or stops as the policy says, updates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asyncagg.crypto.agreement import KeyPair
from asyncagg.crypto.digest import parameter_digest
from asyncagg.crypto.randomness import Randomness
from asyncagg.crypto.signing import Identity
from asyncagg.learning.owners import Arrays, ModelOwner
from asyncagg.net.clock import call_at_ns, now_ns
from asyncagg.net.errors import printable
from asyncagg.players.base import BasePlayer, PlayerEnvironment
from asyncagg.players.driver import Ended, RoundFailed
from asyncagg.players.model_steps import Learnt, StepFailed, copies, learn, ready
from asyncagg.players.outcome import OwnNote, RoundOutcome
from asyncagg.players.published import as_published, pack_parameters
from asyncagg.players.start import RunState, Start
from asyncagg.protocols import messages as m
from asyncagg.protocols.batches import indices_in, set_of
from asyncagg.protocols.context import Context, Terms, published_text
from asyncagg.protocols.effects import Cost
from asyncagg.protocols.interface import Protocol
from asyncagg.protocols.ledger.comparison import Rules
from asyncagg.protocols.ledger.sums import SumAccount
from asyncagg.protocols.names import GUILT, LEAD, MODEL_OWNER, Guilt, Label, Loss, Phase, Player, index_of, owner_name
from asyncagg.protocols.steps.lead import from_loss_triples
from asyncagg.protocols.steps.reveal import Revealed
from asyncagg.runs.checkpoint import CheckpointError
from asyncagg.vectors.arrays import as_arrays
from asyncagg.vectors.encoder import DecodingError
from asyncagg.vectors.flatten import Layout
from asyncagg.vectors.vector_encoder import VectorEncoder

_LONGEST = 500
"""Characters of a reason that the lead tells."""
_SHOWN = 3
"""Different reasons that one sentence lists."""
OnFailure = Literal["retry", "skip", "abort"]
DONE = "done"
"""Reason that everybody is told at the end of a run that went well."""


@dataclass(frozen=True, slots=True)
class ModelPart:
    """Part of the model owner: its model, and how a run goes on."""

    model: ModelOwner
    layout: Layout
    encoder: VectorEncoder
    rounds: int
    cohort: Callable[[int], tuple[Player, ...]]
    """Round → the owners invited to it."""
    on_failure: OnFailure
    retries: int
    start: Start | None = None
    """Start of a resumed run; None: at the beginning."""
    begins: Callable[[RunState], None] = lambda run_state: None
    """Called before an attempt is published, so that its label can be kept: a resumed run never uses one again."""
    refusing: Callable[[Label], Collection[Player]] = lambda label: ()
    """As in `RunHooks`."""


class ModelOwnerPlayer(BasePlayer):
    """The asyncio side of the model owner; `part.model` is the user's."""

    roles = ("receiver",)

    def __init__(
        self,
        environment: PlayerEnvironment,
        terms: Terms,
        protocol: Protocol,
        part: ModelPart,
        randomness: Randomness,
        identity: Identity | None,
        rules: Rules | None,
        observe: Callable[[RoundOutcome, RunState], Awaitable[None]],
    ) -> None:
        """`observe` is waited for after each round, before the next one is published."""
        super().__init__(MODEL_OWNER, environment)
        self.terms = terms
        self.protocol = protocol
        self.part = part
        self.randomness = randomness
        self.parameters: Arrays = copies(as_arrays(part.model.initial_parameters()))
        self.identity = identity
        self._observe = observe
        self.state: Arrays = {}
        """Arrays that the model keeps between rounds, beside the parameters."""
        self.account = SumAccount(rules) if rules is not None else None
        self.culprits: dict[Player, Guilt] = {}
        """Owners that are never invited again in this run, on the lead's word or the receiver's finding."""
        if part.start is not None:
            self.parameters, self.account = part.start.parameters, part.start.account
            self.culprits = dict(part.start.culprits)
        self._losses: dict[Player, Loss] = {}
        """Of this attempt, as the lead tells them."""
        self._parting: str | None = None
        """Reason that the others are told at the end, where the real one holds words of the user's."""
        self._crashed = False

    async def listen(self) -> None:
        await self.environment.network.listen(self.me, self.accept)

    async def run(self, deadline_ns: int) -> str | None:
        """All rounds; None, or why the run stopped. Everybody is told that it is over.

        A `CheckpointError` of `part.begins` or `observe` stops it too: what cannot be kept is not begun.
        """
        try:
            await self._present([*self.terms.nodes, *self._population()], deadline_ns)
            stopped = self._ready_model() or await self._rounds()
        except CheckpointError as error:
            stopped = str(error)
        self.dismiss(self._parting or stopped or DONE)
        return stopped

    def dismiss(self, reason: str) -> None:
        """Tell everybody that the run is over."""
        for peer in list(self.channels):
            self.send(self.label, Player(peer), m.Finish(reason), "reveal")

    def _ready_model(self) -> str | None:
        """Give the model back what it kept, where the run resumes; None, or how the user's own code failed."""
        start = self.part.start
        kept = ready(self.part.model, None if start is None else start.state)
        if isinstance(kept, StepFailed):
            return self._step_failed(kept, 0 if start is None else start.round, kept.told)
        self.state = kept
        return None

    def _step_failed(self, failed: StepFailed, round_index: int, parting: str) -> str:
        """Note the traceback for the model owner; how its step failed."""
        self.environment.note_own(OwnNote(self.me, round_index, failed.text, failed.trace))
        self._parting = parting
        return failed.text

    async def _rounds(self) -> str | None:
        for index in self._indices():
            outcome = await self._round(index)
            await self._observe(outcome, self._after(outcome))
            if outcome.status == "failed":
                return f"round {index}: {outcome.reason}"
            if self._crashed:
                return f"{self.me} crashed after round {index}"
        return None

    @property
    def disclosed(self) -> list[str]:
        """Sentences on what the sums of the run give away together: for its result, once it is over."""
        return [] if self.account is None else self.account.sentences()

    def _run_state(self, round_index: int, attempt: int) -> RunState:
        noted = () if self.account is None else self.account.take()
        return RunState(round_index, attempt, self.parameters, self.state, noted, dict(self.culprits))

    def _after(self, outcome: RoundOutcome) -> RunState:
        """State of the run after a round: one that failed is played again when the run is resumed."""
        if outcome.status == "failed":
            return self._run_state(outcome.round, outcome.attempts)
        return self._run_state(outcome.round + 1, 0)

    def _indices(self) -> range:
        """The rounds to go."""
        return range(0 if self.part.start is None else self.part.start.round, self.part.rounds)

    def crash(self) -> None:
        """Stop as a crash does; the run ends with the model owner."""
        self._crashed = True
        for driver in self.drivers.values():
            driver.fail(RoundFailed(f"{self.me} crashed"))
        self.environment.network.unlisten(self.me)
        super().crash()

    # -- who is there -----------------------------------------------------------------------------------------------

    def control(self, peer: Player, label: Label, message: m.Message) -> bool:
        if not isinstance(message, m.Losses):
            return False
        if peer == LEAD and label == self.label:
            told = from_loss_triples(message.losses)
            self._losses |= {owner: Loss(printable(loss.reason, _LONGEST), loss.cause) for owner, loss in told.items()}
        return True

    def ends_attempt(self, peer: Player) -> bool:
        return peer == LEAD

    def _population(self) -> list[Player]:
        """Owners of the rounds to go. Once they are all that there are, no later round is looked at."""
        found: dict[Player, None] = {}
        for index in self._indices():
            found |= dict.fromkeys(self.part.cohort(index))
            if len(found) == self.terms.population:
                break
        return sorted(found)

    async def _present(self, players: list[Player], deadline_ns: int) -> list[Player]:
        """Wait until all of them have joined, or the deadline; who is missing."""
        await self.until(lambda: all(player in self.channels for player in players), deadline_ns)
        return [player for player in players if player not in self.channels]

    async def _here(self, cohort: tuple[Player, ...], floor: int, deadline_ns: int) -> dict[Player, None]:
        """Members of the cohort connected with all of their batch, once they make a roster or the deadline has passed.

        The others are not invited: nobody would hear of them until the phase closes.
        """

        def here() -> tuple[Player, ...]:
            return self._whole(owner for owner in cohort if owner in self.channels)

        await self.until(lambda: len(here()) >= floor, deadline_ns)
        return dict.fromkeys(here())

    # -- rounds -----------------------------------------------------------------------------------------------------

    async def _round(self, index: int) -> RoundOutcome:
        outcome = RoundOutcome(index, began_ns=self.now())
        cohort = self._without_culprits(self.part.cohort(index))
        outcome.dropped = {owner: "publish" for owner in self.part.cohort(index) if owner not in cohort}
        outcome.losses = {owner: Loss(GUILT[guilt]) for owner, guilt in self.culprits.items()}
        begun = outcome.attempts = self._begun_before(index)
        cut = self._cut_off(Label(index, begun))
        if cut is not None and not self._may_follow(cut, outcome):
            return self._give_up(outcome)
        for attempt in range(begun + 1, begun + self.part.retries + 2):
            if len(cohort) < self._floor(index):
                return self._stop(cohort, outcome)
            outcome.attempts = attempt
            try:
                revealed, mean = await self._attempt(Label(index, attempt), cohort)
            except RoundFailed as failure:
                refusal = self._refusal(cohort)
                outcome.reason = _and_then(outcome.reason, refusal or failure.reason)
                outcome.dropped = {**failure.dropped, **outcome.dropped}
                outcome.losses = {**self._losses, **outcome.losses}
                self._convict(failure.culprits, outcome)
                self._note_failure(failure)
                self._call_anew(failure.lost)
                if refusal is not None or not self._may_retry(failure, outcome):
                    break
                cohort = self._next_cohort(cohort, failure)
                continue
            await self._succeed(outcome, revealed, mean)
            return outcome
        return self._give_up(outcome)

    def _refusal(self, cohort: tuple[Player, ...]) -> str | None:
        """Reason why no other attempt can do better, as so many refuse for what cannot change; None if one may."""
        if self.terms.threat == "lying":  # what a peer says of it is not believed, and no owner tells it
            refusing = dict.fromkeys(self.part.refusing(self.label), "left of their own accord, as they always would")
        else:
            losses = self._losses.items()
            refusing = {
                owner: f"would always refuse: {loss.reason}" for owner, loss in losses if loss.cause == "refuses"
            }
        left = self._whole(owner for owner in cohort if owner not in refusing)
        if not refusing or len(left) >= self._floor(self.label.round):
            return None
        how = Counter(refusing.values())
        return "; ".join(f"{count} of {len(cohort)} owners {text}" for text, count in how.most_common(_SHOWN))

    def _give_up(self, outcome: RoundOutcome) -> RoundOutcome:
        """No further attempt at the round."""
        skipped = self.part.on_failure == "skip" and not self._crashed
        outcome.status = "skipped" if skipped else "failed"
        outcome.ended_ns = self.now()
        return outcome

    def _stop(self, cohort: tuple[Player, ...], outcome: RoundOutcome) -> RoundOutcome:
        """End the run: without the culprits there are too few for any roster, whatever the policy forgives."""
        why = (
            f"{len(cohort)} owners may be invited, at least {self._floor(outcome.round)} are needed: "
            f"{', '.join(sorted(self.culprits, key=index_of))} are not invited again in this run"
        )
        outcome.reason = _and_then(outcome.reason, why)
        outcome.ended_ns = self.now()
        return outcome

    def _begun_before(self, index: int) -> int:
        """Number of attempts at this round that an interrupted run had begun: their labels are used up."""
        start = self.part.start
        return start.attempt if start is not None and start.round == index else 0

    def _cut_off(self, label: Label) -> RoundFailed | None:
        """The failure of an attempt that ended with its process, so that nobody knows whether uploads had begun."""
        if self.account is None or not self.account.has_sum(label):
            return None
        return RoundFailed(f"attempt {label.attempt} was interrupted", exposed=True)

    def _next_cohort(self, cohort: tuple[Player, ...], failure: RoundFailed) -> tuple[Player, ...]:
        """Owners to invite again: those that stayed, unless a roster of them alone could not be accepted.

        Never the culprits: where too few are left without them, the run ends.
        """
        cohort = self._without_culprits(cohort)
        stayed = self._whole(owner for owner in cohort if owner not in failure.dropped)
        return stayed if len(stayed) >= self._floor(self.label.round) else cohort

    def _floor(self, round_index: int) -> int:
        """Fewest owners that a roster of this round may have."""
        return self.terms.floor_of(len(self.part.cohort(round_index)))

    def _whole(self, owners: Iterable[Player]) -> tuple[Player, ...]:
        """Those of the owners whose whole batch is among them, in order of index."""
        if self.terms.batches.size == 1:
            return tuple(owners)
        members = set_of(index_of(owner) for owner in owners)
        return tuple(owner_name(index) for index in indices_in(self.terms.batches.inside(members)))

    def _without_culprits(self, cohort: tuple[Player, ...]) -> tuple[Player, ...]:
        return self._whole(owner for owner in cohort if owner not in self.culprits)

    def _call_anew(self, lost: tuple[Player, ...]) -> None:
        """Hang up on compute nodes that the lead has lost: those that are there dial again, and are waited for.

        Else a node that stands still is taken to be there until its silence has been noticed here too, and attempts
        are spent on that.
        """
        for node in lost:
            channel = self.channels.get(node)
            if node != LEAD and channel is not None:
                channel.close("the lead has lost you")
                self.gone(node, "lost by the lead")

    def _convict(self, culprits: dict[Player, Guilt], outcome: RoundOutcome) -> None:
        """Note owners that are not invited again in this run, and say so in the round's result."""
        found = {
            owner: guilt
            for owner, guilt in culprits.items()
            if owner not in self.culprits and index_of(owner) < self.terms.population
        }
        self.culprits |= found
        if found:
            who = ", ".join(f"{owner} ({GUILT[guilt]})" for owner, guilt in found.items())
            outcome.warnings.append(f"not invited again in this run: {who}")

    def _expose(self, label: Label, cohort: tuple[Player, ...]) -> None:
        """Until an attempt has ended, its sum may come to be known: a run that is resumed later hears no more of it."""
        if self.account is not None:
            bitmap = m.to_bitmap([index_of(owner) for owner in cohort], self.terms.population)
            self.account.published(label, self._digest, bitmap, self.terms.minimum_cohort)

    def _note_failure(self, failure: RoundFailed) -> None:
        """An attempt that failed after uploads began may still come to have a sum; another one will not."""
        if self.account is not None and not failure.exposed:
            self.account.withdrawn(self.label)

    def _may_retry(self, failure: RoundFailed, outcome: RoundOutcome) -> bool:
        """True if the policy, and the protocol's rule on sums that may yet come to be known, allow another attempt."""
        if self._crashed or self.part.on_failure != "retry":
            return False
        return self._may_follow(failure, outcome)

    def _may_follow(self, failure: RoundFailed, outcome: RoundOutcome) -> bool:
        """True if the protocol allows another attempt after one that ended so."""
        if self.protocol.completed_by_late_uploads and failure.exposed and self.terms.batches.size == 1:
            if self.terms.threat == "lying":
                outcome.reason = f"{failure.reason}; no retry once an upload began (threat lying)"
                return False
            lost = sorted(failure.dropped, key=index_of)
            which = f"the input of {lost[0]}" if len(lost) == 1 else "the owners dropped in between"
            outcome.warnings.append(
                f"attempt {outcome.attempts} may have opened uploads before it failed: a late vector would complete its"
                f" sum, which differs from the next attempt's by {which}"
            )
        return True

    async def _succeed(self, outcome: RoundOutcome, revealed: Revealed, mean: NDArray[np.float64]) -> None:
        part = self.part
        outcome.status = "ok"
        outcome.label = self.label
        outcome.revealed = revealed
        dropped = {**revealed.dropped, **outcome.dropped}
        outcome.losses = {**self._losses, **outcome.losses}
        outcome.dropped = {owner: phase for owner, phase in dropped.items() if owner not in revealed.survivors}
        if self.terms.batches.size > 1:
            gone = {**dict.fromkeys(revealed.survivors), **outcome.dropped}
            outcome.with_their_batch = [owner for owner in self.part.cohort(outcome.round) if owner not in gone]
        self._convict(revealed.culprits, outcome)
        if self.account is not None:
            survivors = m.to_bitmap([index_of(owner) for owner in revealed.survivors], self.terms.population)
            self.account.settled(self.label, self._digest, survivors)
        outcome.mean = mean

        def work() -> Learnt | StepFailed:
            return learn(part.model, self.parameters, part.layout.unflatten(mean))

        outcome.ended_ns = self.now()
        learnt = await self.compute(self.label, "reveal", Cost(), work, "learn")
        if isinstance(learnt, StepFailed):
            outcome.status = "failed"
            outcome.reason = self._step_failed(learnt, outcome.round, f"round {outcome.round}: {learnt.told}")
        else:
            self.parameters, self.state, outcome.metrics = learnt

    async def _attempt(self, label: Label, cohort: tuple[Player, ...]) -> tuple[Revealed, NDArray[np.float64]]:
        """Publish, and wait for the sum; it and the mean it stands for. Never beyond the sum of the phase deadlines."""
        self._losses = {}
        published = as_published(self.parameters)
        self._digest = parameter_digest(published)
        self._expose(label, cohort)
        self.part.begins(self._run_state(*label))
        limit_ns = sum(self.deadlines[phase] for phase in self.protocol.phases)
        end_ns = now_ns() + limit_ns
        wait_ns = now_ns() + self.deadlines["publish"]
        missing = await self._present(list(self.terms.nodes), wait_ns)
        floor = self._floor(label.round)
        here = await self._here(cohort, floor, wait_ns)
        (driver,) = self.open(label, "receiver")  # only now: who has come back has not left this attempt
        if missing:
            raise RoundFailed(f"{missing[0]} is not connected")
        away: dict[Player, Phase] = {owner: "publish" for owner in cohort if owner not in self.channels}
        self._losses |= dict.fromkeys(away, Loss("not connected"))
        if len(here) < floor:
            raise RoundFailed(f"{len(here)} owners are connected, at least {floor} are needed", away)
        pair = KeyPair.generate(self.randomness) if self.protocol.seals_answers(self.terms) else None
        context = Context(
            terms=self.terms,
            me=self.me,
            label=label,
            invited=m.to_bitmap([index_of(owner) for owner in here], self.terms.population),
            digest=self._digest,
            randomness=self.randomness,
            identity=self.identity,
            sealing_key=b"" if pair is None else pair.public,
            sealing_pair=pair,
        )
        timer = call_at_ns(
            end_ns,
            driver.fail,
            RoundFailed(f"no sum after {limit_ns / 1e9:g} s, the sum of the phase deadlines"),
        )
        try:
            self._publish(context, published)
            revealed = await driver.run(self.protocol.receiver(context))
            revealed = replace(revealed, dropped={**away, **revealed.dropped})
            return revealed, self._decode(revealed)
        except RoundFailed as failure:
            failure.exposed |= not isinstance(failure, Ended)  # that nobody has uploaded is for the lead to say
            failure.dropped = {**away, **failure.dropped}
            self.note(label, driver.phase, "abort", "", failure.reason)
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
    """Reasons why the attempts at a round failed, each once."""
    if earlier is None or earlier.endswith(reason):
        return reason if earlier is None else earlier
    return f"{earlier}; then {reason}"
