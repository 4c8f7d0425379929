"""The life of a child process: its players, and what it says to its parent over the control line.

The parent says who lives here and when to begin; the child answers for its players. The steps of a life:

    setup       scenario, players, keys           → ready
    go          the common start                  → listening, with the ports that the system chose
    addresses   where everyone listens            players dial, and the run begins; or refused, for bad owners
    …           tally, portion: questions of the harness; phase, redial: what others did; outcome: a round's end;
                pulse: whether this process is there
    end         the run is over                   → the last of the trace, and the process ends
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from asyncagg.crypto.signing import Identity
from asyncagg.engines.cast import Cast
from asyncagg.engines.experiment import Experiment, prepare
from asyncagg.engines.faults import follows_phases
from asyncagg.engines.keeper import Keeper
from asyncagg.engines.processes import notes
from asyncagg.engines.processes.control import Control, ControlLost, Fields
from asyncagg.engines.site import Site, groups
from asyncagg.engines.watch.logs import Log
from asyncagg.engines.watch.observation import Observation
from asyncagg.engines.watch.observer import View
from asyncagg.learning.errors import WorkloadError
from asyncagg.players.outcome import RoundOutcome
from asyncagg.protocols.disclosure import condensed
from asyncagg.protocols.terms import MODEL_OWNER, Label, Phase, Player
from asyncagg.runs.checkpoint import Checkpoint
from asyncagg.runs.result import RoundResult
from asyncagg.runs.trace import Trace
from asyncagg.scenario.load import parse
from net.clock import now_ns
from net.frames import Limits
from net.session import Admit
from net.tcp import TcpNetwork
from net.tls import Tls


class Child:
    """One process, from its first message to its last."""

    def __init__(self, name: str) -> None:
        self._observation = Observation(View(name), [Log(sys.stderr, "text", name)], None)
        self._control: Control
        self._setup: Fields = {}
        self._experiment: Experiment
        self._cast: Cast | None = None
        self._addresses: dict[str, tuple[str, int]] = {}
        self._trace = Trace(self._observation.record)
        self._told = 0
        """Trace records that the parent has."""
        self._play: asyncio.Task[None] | None = None
        self._reunited = asyncio.Event()
        self._released = asyncio.Event()

    async def live(self, line: socket.socket) -> None:
        """Until the parent ends the run. Raises what is wrong with this process; the parent reads it in its log."""
        self._control = await Control.over(line, self._handle)
        try:
            await self._control.serve()
        finally:
            if self._play is not None:
                self._play.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._play

    async def _handle(self, kind: str, fields: Fields) -> Fields | None:
        match kind:
            case "setup":
                self._set_up(fields)
            case "go":
                self._play = asyncio.get_running_loop().create_task(self._live(fields))
                self._play.add_done_callback(lambda done: self._control.close())
            case "addresses":
                self._learn(fields["of"])
            case "reunited":
                self._reunited.set()
            case "end":
                self._released.set()
            case _ if self._cast is not None:
                return await self._asked(self._cast, kind, fields)
        return None

    async def _asked(self, cast: Cast, kind: str, fields: Fields) -> Fields | None:
        match kind:
            case "tally":
                self._tell_trace()
                return {"tally": notes.tally(cast.tally(fields["round"]))}
            case "portion":
                return await asyncio.to_thread(self._portion, cast, Label(*fields["label"]), fields["survivors"])
            case "phase":
                cast.director.phase_began(Label(*fields["label"]), fields["phase"])
            case "redial":
                await asyncio.gather(*(asyncio.shield(each) for each in cast.redial(fields["node"])))
        return None

    def _portion(self, cast: Cast, label: Label, survivors: Sequence[Player]) -> Fields:
        """Every input is encoded again: heavy work, not for the loop."""
        return {"portion": notes.portion(cast.portion(label, survivors))}

    # -- the steps --------------------------------------------------------------------------------------------------

    def _set_up(self, fields: Fields) -> None:
        self._setup = fields
        self._experiment = prepare(parse(tomllib.loads(fields["scenario"])))
        self._control.tell("ready")

    async def _live(self, fields: Fields) -> None:
        """From the start of the run to its end; `fields` are those of `go`."""
        setup, experiment = self._setup, self._experiment
        players = [Player(name) for name in setup["players"]]
        tls = Tls.from_pem(setup["authority"], setup["certificate"], setup["key"])
        self._addresses |= dict.fromkeys(setup["listens"], (setup["host"], 0))

        def network(together: Sequence[Player], limits: Limits, admit: Admit) -> TcpNetwork:
            refused = self._observation.refused
            return TcpNetwork(together, setup["run"], limits, self._addresses, admit=admit, on_refusal=refused, tls=tls)

        site = Site(experiment, groups(players), network, self._observation.around)
        world = site.world(
            setup["run"],
            fields["start_ns"],
            {Player(player): Identity(secret) for player, secret in setup["identities"].items()},
            setup["pinned"],
            Path(setup["folder"], "ledgers"),
        )
        folder = Path(setup["folder"])
        keeper = Keeper(experiment, folder, Checkpoint.read(folder) if setup["resume"] else None, fields["start_ns"])
        course = keeper.course(self._tell_outcome) if MODEL_OWNER in players else None
        try:
            cast = self._cast = Cast(experiment, world, self._trace, players, course, self)
        except WorkloadError as error:
            with contextlib.suppress(ControlLost):  # answered, or we are ended: it has been heard
                await self._control.ask("refused", message=error.message, key=error.key)
            raise
        keeper.model_owner = cast.model_owner
        try:
            await cast.listen()
            self._control.tell("listening", of={player: self._addresses[player] for player in setup["listens"]})
            self._observation.turned("ok")
            await self._perform(cast, fields["again"])
            self._tell_trace()
            self._observation.turned("finished")
        finally:
            cast.director.end()
            await self._control.flushed()
            await site.close()

    async def _perform(self, cast: Cast, again: bool) -> None:
        deadline_ns = None if again else now_ns() + self._experiment.deadlines()["publish"]
        if cast.model_owner is not None and deadline_ns is not None:
            reason = await cast.play(deadline_ns)
            owner = cast.model_owner
            findings = [] if owner.ledger is None else list(condensed(owner.ledger.findings))
            self._control.tell("ended", reason=reason, model=notes.arrays(owner.parameters), ledger=findings)
            await self._released.wait()
            return
        if again:
            await self._reunited.wait()
        cast.begin(deadline_ns)
        await cast.company.run(self._released.wait())

    def _learn(self, of: dict[str, tuple[str, int]]) -> None:
        """Where others listen; of its own ports this process knows more than the parent."""
        own = self._setup["listens"]
        self._addresses |= {player: (host, port) for player, (host, port) in of.items() if player not in own}

    # -- what the parent is told ------------------------------------------------------------------------------------

    def _tell_trace(self) -> None:
        fresh = self._trace.records[self._told :]
        self._told += len(fresh)
        if fresh:
            self._control.tell("trace", records=fresh)

    async def phase_began(self, label: Label, phase: Phase) -> None:
        """See `Elsewhere`; waited for only where something may happen."""
        if follows_phases(self._experiment.scenario):
            with contextlib.suppress(ControlLost):
                await self._control.ask("phase", label=label, phase=phase)
        else:
            self._control.tell("phase", label=label, phase=phase)

    async def reunite(self, node: Player) -> None:
        """See `Elsewhere`."""
        with contextlib.suppress(ControlLost):
            await self._control.ask("back", node=node)

    async def _tell_outcome(self, outcome: RoundOutcome) -> RoundResult:
        told = await self._control.ask("outcome", **notes.outcome(outcome))
        each = RoundResult.from_json(told["round"])
        self._observation.round_ended(each)
        return each
