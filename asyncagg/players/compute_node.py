"""A compute node: adds masked slices; node 0 plays the lead beside it."""

from __future__ import annotations

from asyncagg.net.clock import now_ns
from asyncagg.players.driver import Ended, RoleDriver, RoundFailed
from asyncagg.players.follower import Follower
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context, check_published
from asyncagg.protocols.effects import Role
from asyncagg.protocols.names import LEAD, MODEL_OWNER, Label, Player


class ComputeNodePlayer(Follower):
    """The asyncio side of a compute node, and of the lead."""

    @property
    def roles(self) -> tuple[m.RoleName, ...]:  # type: ignore[override]
        return ("node", "lead") if self.me == LEAD else ("node",)

    async def listen(self) -> None:
        await self.environment.network.listen(self.me, self.accept)

    async def run(self, deadline_ns: int | None) -> None:
        """Dial the lead and the model owner, then serve attempts until the run is finished."""
        await self.serve((MODEL_OWNER,) if self.me == LEAD else (LEAD, MODEL_OWNER), deadline_ns)

    def dials(self, peer: Player) -> bool:
        return peer in (LEAD, MODEL_OWNER)

    def crash(self) -> None:
        self.environment.network.unlisten(self.me)
        super().crash()

    # -- what is not for a role -------------------------------------------------------------------------------------

    def control(self, peer: Player, label: Label, message: m.Message) -> bool:
        match message:
            case m.Begin() if peer == MODEL_OWNER and label > self.label:
                self._begin(label, message)
            case m.Finish() if peer == MODEL_OWNER:
                self.finish(message.reason)
            case m.Begin() | m.Finish():
                pass
            case _:
                return False
        return True

    # -- one attempt ------------------------------------------------------------------------------------------------

    def _begin(self, label: Label, message: m.Begin) -> None:
        self.cancel_tasks()
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
        for driver in self.open(label, *self.roles):
            role = self.protocol.lead if driver.role == "lead" else self.protocol.node
            self.start(self._play(driver, role(context), context), f"{self.me}/{driver.role}")

    async def _play(self, driver: RoleDriver, role: Role[None], context: Context) -> None:
        try:
            if driver.role == "lead":
                await self._gather_nodes(driver)
            await driver.run(role)
        except Ended:
            pass
        except RoundFailed as failure:
            self.note(driver.label, driver.phase, "abort", "", failure.reason)
            self._tell(driver, failure, context)

    async def _gather_nodes(self, driver: RoleDriver) -> None:
        """Wait for compute nodes that were lost before this attempt, for as long as a phase `publish`."""
        lost = self._lost_nodes()
        await self.until(lambda: not self._lost_nodes(), now_ns() + self.deadlines["publish"])
        for node in lost:
            if node not in self.departed:
                driver.is_back(node)

    def _lost_nodes(self) -> tuple[Player, ...]:
        return tuple(node for node in self.terms.nodes if node in self.departed)

    def _tell(self, driver: RoleDriver, failure: RoundFailed, context: Context) -> None:
        """The lead ends the attempt for everybody; a node says that its own part is over."""
        if driver.role == "lead":
            failure.lost = self._lost_nodes()
            self.tell_failure(driver.label, failure, MODEL_OWNER, *self.terms.nodes, *context.cohort)
        else:
            self.tell_failure(driver.label, failure, MODEL_OWNER, LEAD)
        for role, other in self.drivers.items():
            if role != driver.role:
                self._tell_myself(driver, other, failure)

    def _tell_myself(self, failed: RoleDriver, other: RoleDriver, failure: RoundFailed) -> None:
        if failed.role == "lead":
            other.fail(Ended(failure.reason))
        else:
            other.depart(self.me, failure.reason)
