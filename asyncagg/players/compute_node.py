"""A compute node: adds masked slices; node 0 plays the lead beside it."""

from __future__ import annotations

import asyncio

from asyncagg.crypto.randomness import Randomness
from asyncagg.crypto.signing import Identity
from asyncagg.players.conversation import Conversation, Ended, RoundFailed
from asyncagg.players.desk import Desk, Setting
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context, Terms, check_published
from asyncagg.protocols.effects import Role
from asyncagg.protocols.registry import Protocol
from asyncagg.protocols.terms import LEAD, MODEL_OWNER, Label, Player


class ComputeNodePlayer(Desk):
    """The asyncio side of a compute node, and of the lead."""

    def __init__(
        self,
        me: Player,
        setting: Setting,
        terms: Terms,
        protocol: Protocol,
        randomness: Randomness,
        identity: Identity | None,
    ) -> None:
        super().__init__(me, setting)
        self.roles = ("node", "lead") if me == LEAD else ("node",)
        self.terms = terms
        self.protocol = protocol
        self.randomness = randomness
        self.identity = identity
        self._finished: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._tasks: list[asyncio.Task[None]] = []

    async def listen(self) -> None:
        await self.setting.network.listen(self.me, self.accept)

    async def run(self, deadline_ns: int | None) -> None:
        """Dial the model owner and the lead, then serve attempts until the run is finished."""
        if self._finished.done():
            self._finished = asyncio.get_running_loop().create_future()
        try:
            if self.me != LEAD:
                await self.dial(LEAD, deadline_ns)
            await self.dial(MODEL_OWNER, deadline_ns)
            await self._finished
        finally:
            self.stop_redialling()
            self._cancel()

    def crash(self) -> None:
        self.setting.network.unlisten(self.me)
        super().crash()

    # -- what is not for a role -------------------------------------------------------------------------------------

    def control(self, peer: Player, label: Label, message: m.Message) -> bool:
        match message:
            case m.Begin() if peer == MODEL_OWNER and label > self.label:
                self._begin(label, message)
            case m.Finish() if peer == MODEL_OWNER:
                self._finish(message.reason)
            case m.Begin() | m.Finish():
                pass
            case _:
                return False
        return True

    def gone(self, peer: str, reason: str) -> None:
        super().gone(peer, reason)
        if peer == MODEL_OWNER:
            self._finish(f"model owner gone: {reason}")
        elif peer == LEAD and not self._finished.done():
            self.redial(LEAD, reason)

    def ends_attempt(self, peer: Player) -> bool:
        return peer in (LEAD, MODEL_OWNER)

    def _finish(self, reason: str) -> None:
        if not self._finished.done():
            self._finished.set_result(reason)

    # -- one attempt ------------------------------------------------------------------------------------------------

    def _begin(self, label: Label, message: m.Begin) -> None:
        self._cancel()
        context = Context(
            terms=self.terms,
            me=self.me,
            label=label,
            invited=message.cohort,
            digest=message.digest,
            randomness=self.randomness,
            identity=self.identity,
            sealing_key=message.sealing_key,
        )
        refusal = check_published(context, message.signature)
        if refusal is not None:
            self.open(label)
            self.tell_failure(label, RoundFailed(refusal), MODEL_OWNER)
            return
        for conversation in self.open(label, *self.roles):
            role = self.protocol.lead if conversation.role == "lead" else self.protocol.node
            task = asyncio.get_running_loop().create_task(
                self._play(conversation, role(context), context), name=f"{self.me}/{conversation.role}"
            )
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    async def _play(self, conversation: Conversation, role: Role[None], context: Context) -> None:
        try:
            await conversation.run(role)
        except Ended:
            pass
        except RoundFailed as failure:
            self.note(conversation.label, conversation.phase, "abort", "", failure.reason)
            self._tell(conversation, failure, context)

    def _tell(self, conversation: Conversation, failure: RoundFailed, context: Context) -> None:
        """The lead ends the attempt for everybody; a node says that its own part is over."""
        if conversation.role == "lead":
            self.tell_failure(conversation.label, failure, MODEL_OWNER, *self.terms.nodes, *context.cohort)
        else:
            self.tell_failure(conversation.label, failure, MODEL_OWNER, LEAD)
        for role, other in self.conversations.items():
            if role != conversation.role:
                self._tell_myself(conversation, other, failure)

    def _tell_myself(self, failed: Conversation, other: Conversation, failure: RoundFailed) -> None:
        if failed.role == "lead":
            other.fail(Ended(failure.reason))
        else:
            other.depart(self.me, failure.reason)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not self._finished.done():
            self._finished.set_exception(error)

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
