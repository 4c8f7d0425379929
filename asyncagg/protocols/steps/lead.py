"""What every lead does: run the phases, note who answers, drop who does not, permit and commit uploads, report.

Only the lead's waits end at a deadline. An owner that is late, leaves, or says something wrong is dropped by name and
told, and takes its batch along; a compute node that leaves ends the attempt, because its slice of the sum is lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from asyncagg.protocols import messages as m
from asyncagg.protocols.batches import indices_in, set_of
from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import (
    Abort,
    Drop,
    Enter,
    Event,
    Expired,
    Gone,
    Got,
    M,
    Permitted,
    Receive,
    Refuse,
    Rejected,
    Role,
    Send,
)
from asyncagg.protocols.names import (
    CAUSES,
    GUILT,
    MODEL_OWNER,
    PHASES,
    Cause,
    Guilt,
    Loss,
    Phase,
    Player,
    index_of,
    owner_name,
)

_GUILT: Final = tuple(GUILT)
Accept = Callable[[Player, M], str | None]
"""None, or why this answer drops its sender."""


class UploadRules:
    """What a protocol adds to the upload phase at the lead; by itself it adds nothing."""

    kinds: tuple[type[m.Message], ...] = ()
    """What owners may say besides, before their upload."""

    @property
    def guilty(self) -> Mapping[Player, Guilt]:
        """Owners found so far that are not to be invited again."""
        return {}

    def said(self, owner: Player, message: m.Message) -> str | None:
        """None, or why what this owner said drops it."""
        return None

    def lost(self, owner: Player) -> None:
        """This owner will not answer any more, whether or not its upload counts."""

    def check(self) -> None:
        """Rejected where there is no use in going on."""


class Lead:
    """The state of one attempt at the lead, and the steps that protocols compose."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.terms = context.terms
        self.phase: Phase = "publish"
        self.alive: dict[Player, None] = dict.fromkeys(context.cohort)
        self.dropped: dict[Player, Phase] = {}
        self.losses: dict[Player, Loss] = {}
        """Why those were."""
        self.silent_after: dict[Player, Phase] = {}
        self.culprits: dict[Player, Guilt] = {}
        self.survivors: dict[Player, None] = {}
        self.exposed = False
        self._refusal = ""
        """Why the last owner that gave a reason of its own left."""
        self._nodes = dict.fromkeys(self.terms.nodes)
        self.batches = self.terms.batches
        self.watched: dict[Player, None] = {**self.alive, **self._nodes}

    # -- phases -------------------------------------------------------------------------------------------------

    def enter(self, phase: Phase) -> Role[None]:
        self.phase = phase
        yield Enter(phase)

    def gather(self, phase: Phase, kind: type[M], accept: Accept[M]) -> Role[dict[Player, M]]:
        """One phase in which every owner still here says one thing; who does not is dropped."""
        yield from self.enter(phase)
        answers = yield from self.answers(kind, accept)
        yield from self.drop_all([owner for owner in self.alive if owner not in answers], f"silent in {phase}")
        yield from self.require_cohort()
        return {owner: answers[owner] for owner in self.alive}

    def poll(self, phase: Phase, question: m.Message, kind: type[M], accept: Accept[M]) -> Role[dict[Player, M]]:
        """Ask every survivor still here one thing; who does not answer stays in the sum, and is noted as silent."""
        yield from self.enter(phase)
        for owner in self.alive:
            yield Send(owner, question)
        answers = yield from self.answers(kind, accept)
        for owner in [owner for owner in self.alive if owner not in answers]:
            self.silence(owner)
        return {owner: answers[owner] for owner in self.survivors if owner in answers}

    def answers(self, kind: type[M], accept: Accept[M]) -> Role[dict[Player, M]]:
        """Answers of `kind` until all owners here gave one, enough did, or time is up; drops nobody for silence."""
        answers: dict[Player, M] = {}
        waiting = dict(self.alive)
        enough = self.terms.enough_of(self.phase, len(waiting))
        while waiting and not self._are_enough(answers, enough):
            event: Event = yield Receive((kind,), self.watched)
            match event:
                case Got(peer, message) if peer in waiting and isinstance(message, kind):
                    del waiting[peer]
                    reason = accept(peer, message)
                    if reason is None:
                        answers[peer] = message
                    else:
                        yield from self.expel(peer, reason)
                case Gone(peer, reason, cause):
                    waiting.pop(peer, None)
                    yield from self.left(peer, reason, cause)
                case Expired(None):
                    break
                case _:
                    continue  # about an owner that has been decided on
            if len(waiting) > len(self.alive) - len(answers):  # somebody took its batch along
                waiting = {owner: None for owner in waiting if owner in self.alive}
        return answers

    def _are_enough(self, answers: dict[Player, M], enough: int) -> bool:
        """Whether so many have answered that the phase may close early: only whole batches count."""
        if len(answers) < enough or self.batches.size == 1 or self.survivors:
            return len(answers) >= enough
        answered = set_of(index_of(owner) for owner in answers)
        return self.batches.inside(answered).bit_count() >= enough

    def left(self, peer: Player, reason: str, cause: Cause = "lost") -> Role[None]:
        """A player is gone: an owner is dropped, a compute node takes its slice of the sum with it."""
        if peer in self._nodes:
            yield from self.abort(f"{peer} gone in {self.phase}: {reason}")
        elif peer in self.survivors:
            self._refusal = reason
            self.silence(peer)
            yield Drop(peer, reason)
        else:
            yield from self.drop(peer, reason, cause)

    def expel(self, owner: Player, reason: str) -> Role[None]:
        """An owner said something wrong."""
        if owner in self.survivors:
            yield Refuse(owner, reason)
            self.silence(owner)
        else:
            yield from self.drop(owner, reason)

    def drop(self, owner: Player, reason: str, cause: Cause = "lost") -> Role[None]:
        """This owner is out of the attempt, from this phase on, and its batch with it."""
        self._note_loss(owner, Loss(reason, cause))
        self._refusal = reason if not reason.startswith("silent") else self._refusal
        yield from self._exclude(owner, reason)
        for mate in self.mates(owner):
            yield from self._exclude(mate, f"batch mate {owner} lost in {self.phase}")

    def drop_all(self, owners: list[Player], reason: str) -> Role[None]:
        """All of these are out for the same reason: each is named, even where a mate took it along a moment ago."""
        for owner in owners:
            if owner in self.alive:
                yield from self.drop(owner, reason)
            else:
                self._note_loss(owner, Loss(reason))

    def _note_loss(self, owner: Player, loss: Loss) -> None:
        self.dropped[owner] = self.phase
        self.losses[owner] = loss

    def mates(self, owner: Player) -> list[Player]:
        """The owners of the same batch that are still here, in order of index."""
        mates = (owner_name(index) for index in indices_in(self.batches.mates(index_of(owner))))
        return [mate for mate in mates if mate in self.alive]

    def _exclude(self, owner: Player, reason: str) -> Role[None]:
        self.alive.pop(owner, None)
        self.watched.pop(owner, None)
        yield Drop(owner, reason)
        yield Send(owner, m.Excluded(reason))

    def silence(self, owner: Player) -> None:
        """A survivor says nothing any more: it stays in the sum."""
        self.alive.pop(owner, None)
        self.watched.pop(owner, None)
        self.silent_after[owner] = self.phase

    def require_cohort(self) -> Role[None]:
        if len(self.alive) < self.terms.minimum_cohort:
            yield from self.abort(
                f"{len(self.alive)} owners left in {self.phase}, the minimum cohort is {self.terms.minimum_cohort}"
            )

    def abort(self, reason: str) -> Role[None]:
        if self._refusal:
            reason = f"{reason} (last to leave: {self._refusal})"
        yield from self._tell_losses()
        yield Abort(reason, dict(self.dropped), self.exposed, dict(self.culprits))

    def guard(self, steps: Role[None]) -> Role[None]:
        """Run the steps; what they reject ends the attempt for everybody, with what has been lost so far."""
        try:
            yield from steps
        except Rejected as refusal:
            self.culprits.update(refusal.culprits)
            self.dropped = {**dict.fromkeys(refusal.culprits, self.phase), **self.dropped}
            yield from self.abort(f"{refusal} (in {self.phase})")

    def same_parameters(self, owner: Player, message: m.Joined | m.Advertise) -> str | None:
        """Everyone must have been given the parameters that the model owner named to the lead."""
        return None if message.digest == self.context.digest else "parameters-differ"

    # -- uploads ------------------------------------------------------------------------------------------------

    def upload(self, floor: int = 0, rules: UploadRules | None = None) -> Role[None]:
        """Fix the survivors: the owners whose complete slices every compute node holds, and has been told to add.

        The attempt ends when they are fewer than `floor` or the minimum cohort, or when the `rules` say so.
        """
        rules = rules or UploadRules()
        yield from self.enter("upload")
        uploads = _Uploads(self, rules)
        yield from uploads.run()
        for owner in uploads.late():
            uploads.forget_with_mates(owner)
            yield from self.drop_upload(owner, "silent in upload")
        rules.check()
        self.survivors = dict.fromkeys(sorted(self.survivors, key=index_of))
        self.alive = {owner: None for owner in self.alive if owner in self.survivors}
        least = max(floor, self.terms.minimum_cohort)
        if len(self.survivors) < least:
            yield from self.abort(f"{len(self.survivors)} owners uploaded, at least {least} are needed")

    def drop_upload(self, owner: Player, reason: str) -> Role[None]:
        """An owner is lost in upload: every compute node forgets what it holds of its batch."""
        if owner not in self.alive:
            self._note_loss(owner, Loss(reason))  # a mate that was lost as well took it along
            return
        yield from self.drop(owner, reason)
        for node in self._nodes:
            yield Send(node, m.Discard(self.batches.batch_of(index_of(owner))))

    # -- the end ------------------------------------------------------------------------------------------------

    def bitmap(self, owners: dict[Player, None]) -> bytes:
        return m.to_bitmap([index_of(owner) for owner in owners], self.terms.population)

    def announce(self) -> Role[None]:
        """Tell every compute node the one set of survivors."""
        message = m.Survivors(self.bitmap(self.survivors))
        for node in self._nodes:
            yield Send(node, message)

    def report(self) -> Role[None]:
        """Tell the model owner who is in the sum and what became of the others."""
        yield from self.enter("reveal")
        yield from self._tell_losses()
        yield Send(
            MODEL_OWNER,
            m.Report(
                self.bitmap(self.survivors),
                phase_pairs(self.dropped),
                phase_pairs(self.silent_after),
                guilt_pairs(self.culprits),
            ),
        )

    def _tell_losses(self) -> Role[None]:
        if self.losses:
            yield Send(MODEL_OWNER, m.Losses(loss_triples(self.losses)))


def loss_triples(losses: Mapping[Player, Loss]) -> tuple[tuple[int, int, str], ...]:
    """Owners and why they were lost as messages carry it, by owner."""
    triples = ((index_of(owner), CAUSES.index(loss.cause), loss.reason[:500]) for owner, loss in losses.items())
    return tuple(sorted(triples))


def from_loss_triples(triples: tuple[tuple[int, int, str], ...]) -> dict[Player, Loss]:
    return {owner_name(owner): Loss(reason, CAUSES[cause]) for owner, cause, reason in triples}


def phase_pairs(phases: dict[Player, Phase]) -> tuple[tuple[int, int], ...]:
    """Owners and phases as the integers that messages carry, by owner."""
    return tuple(sorted((index_of(owner), PHASES.index(phase)) for owner, phase in phases.items()))


def from_phase_pairs(pairs: tuple[tuple[int, int], ...]) -> dict[Player, Phase]:
    return {owner_name(owner): PHASES[phase] for owner, phase in pairs}


def guilt_pairs(culprits: Mapping[Player, Guilt]) -> tuple[tuple[int, int], ...]:
    """Owners and why they are not invited again as the integers that messages carry, by owner."""
    return tuple(sorted((index_of(owner), _GUILT.index(guilt)) for owner, guilt in culprits.items()))


def from_guilt_pairs(pairs: tuple[tuple[int, int], ...]) -> dict[Player, Guilt]:
    return {owner_name(owner): _GUILT[guilt] for owner, guilt in pairs}


class _Uploads:
    """The upload phase: a window of permits, and one commit for every batch that all compute nodes hold whole.

    A batch is let in once all of its owners have asked for a permit, so that a slow one holds up its mates and nobody
    else, and it is closed when it is added or lost. Without batches every owner is one.
    """

    def __init__(self, lead: Lead, rules: UploadRules) -> None:
        self.lead = lead
        self.rules = rules
        self.kinds = (m.Ready, m.Held, m.Faulty, *rules.kinds)
        self.nodes = lead.terms.nodes
        self.pending = dict.fromkeys(lead.alive)
        """Owners that are neither in the sum nor lost."""
        self.holding: dict[Player, dict[Player, None]] = {}
        """Owner → the compute nodes that hold its slice, while not all do."""
        self.asked: dict[int, dict[Player, None]] = {}
        """Batch → its owners that wait for a permit."""
        self.queue: deque[int] = deque()
        """Batches all of whose owners have asked."""
        self.open: dict[int, None] = {}
        """Batches that were let in and are not decided on."""
        self.permitted: dict[Player, None] = {}
        self.missing: dict[int, dict[Player, None]] = {}
        """Batch → its owners that not all compute nodes hold."""
        for owner in lead.alive:
            self.missing.setdefault(self.batch_of(owner), {})[owner] = None

    def batch_of(self, owner: Player) -> int:
        return self.lead.batches.batch_of(index_of(owner))

    def run(self) -> Role[None]:
        lead = self.lead
        enough = lead.terms.enough_of("upload", len(lead.alive))
        while self.pending and len(lead.survivors) < enough:
            event: Event = yield Receive(self.kinds, lead.watched)
            match event:
                case Got(peer, m.Ready()) if peer in self.pending:
                    self.ready(peer)
                case Got(peer, m.Held(index)) if peer in self.nodes:
                    yield from self.held(peer, owner_name(index))
                case Got(peer, m.Faulty(index, reason)) if peer in self.nodes:
                    yield from self.lose(owner_name(index), f"{peer}: {reason}")
                case Got(peer, message) if peer in self.pending and isinstance(message, self.rules.kinds):
                    yield from self.said(peer, message)
                case Gone(peer, reason) if peer in self.pending:
                    yield from self.lose(peer, reason)
                case Gone(peer, reason):
                    if peer in lead.survivors:
                        self.rules.lost(peer)
                    yield from lead.left(peer, reason)
                case Expired(None):
                    return
                case Expired(key) if key in self.permitted:
                    yield from self.lose(key, "its permit ran out")
                case _:
                    continue  # about an owner that has been decided on
            self.rules.check()
            yield from self.permit()

    def late(self) -> list[Player]:
        """Who is not in the sum when the phase is over, and did not lack its mates only."""
        late: list[Player] = []
        for batch, owners in self.missing.items():
            waiting = {} if batch in self.open else self.asked.get(batch, {})
            late += [owner for owner in owners if owner not in waiting] or owners
        return late

    def forget_with_mates(self, owner: Player) -> None:
        """Tell the protocol's rules that an owner is lost, and with it its batch."""
        for each in (owner, *self.lead.mates(owner)):
            self.rules.lost(each)

    def ready(self, owner: Player) -> None:
        """An owner has a vector to upload; when all of its batch have, the batch queues."""
        batch = self.batch_of(owner)
        asked = self.asked.setdefault(batch, {})
        asked[owner] = None
        if len(asked) == len(self.missing[batch]):
            self.queue.append(batch)

    def said(self, owner: Player, message: m.Message) -> Role[None]:
        """Something that the protocol's rules are about."""
        reason = self.rules.said(owner, message)
        self.lead.culprits.update(self.rules.guilty)
        if reason is not None:
            yield from self.lose(owner, reason)

    def held(self, node: Player, owner: Player) -> Role[None]:
        """A node holds a slice; when every node holds those of the whole batch, the batch is in the sum."""
        if owner not in self.pending:
            return
        if self.lead.terms.permits and self.batch_of(owner) not in self.open:
            yield from self.lose(owner, "uploaded without a permit")
            return
        self.lead.exposed = True
        holding = self.holding.setdefault(owner, {})
        holding[node] = None
        if len(holding) < len(self.nodes):
            return
        batch = self.batch_of(owner)
        self.missing[batch].pop(owner, None)
        self.permitted.pop(owner, None)
        if not self.missing[batch]:
            for member in [owner, *self.lead.mates(owner)]:
                self.lead.survivors[member] = None
            self.close(batch)
            for each in self.nodes:
                yield Send(each, m.Commit(batch))

    def lose(self, owner: Player, reason: str) -> Role[None]:
        """An owner is lost, and its batch with it."""
        if owner in self.pending:
            self.forget_with_mates(owner)
            self.close(self.batch_of(owner))
            yield from self.lead.drop_upload(owner, reason)

    def close(self, batch: int) -> None:
        """A batch is decided on: nothing that is said of its owners matters any more."""
        for index in indices_in(self.lead.batches.batch(batch)):
            owner = owner_name(index)
            self.pending.pop(owner, None)
            self.permitted.pop(owner, None)
            self.holding.pop(owner, None)
        self.missing.pop(batch, None)
        self.asked.pop(batch, None)
        self.open.pop(batch, None)

    def permit(self) -> Role[None]:
        """Let the longest waiting batches upload, as far as the window allows."""
        while self.queue and len(self.open) < self.lead.terms.window:
            batch = self.queue.popleft()
            if batch in self.missing:
                self.open[batch] = None
                for owner in self.missing[batch]:
                    self.permitted[owner] = None
                    yield Permitted(owner)
                    yield Send(owner, m.Permit())
