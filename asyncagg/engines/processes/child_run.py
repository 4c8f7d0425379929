"""The life of a child process: its players, and what it says to its parent over the control line.

The parent says who lives here and when to begin; the child answers for its players. The steps of a life:

    setup       scenario, players, keys           → ready
    go          the common start                  → listening, with the ports that the system chose
    addresses   where everyone listens            players dial, and the run begins; or refused, for bad owners
    …           usage, expected: questions of the oracle; phase, redial: what others did; outcome: a round's end;
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
from dataclasses import replace
from pathlib import Path

from asyncagg.crypto.signing import Identity
from asyncagg.engines.experiment import Experiment, prepare
from asyncagg.engines.processes import codec
from asyncagg.engines.processes.control import Control, ControlLost, Fields
from asyncagg.engines.record.checkpointer import Checkpointer
from asyncagg.engines.runtime.faults import follows_phases
from asyncagg.engines.runtime.players import LocalPlayers
from asyncagg.engines.runtime.sockets import SocketRuntime, groups
from asyncagg.engines.watch.interface import View
from asyncagg.engines.watch.logs import Log
from asyncagg.engines.watch.observers import Observers
from asyncagg.learning.errors import WorkloadError
from asyncagg.net.clock import now_ns
from asyncagg.net.frames import PairLimits
from asyncagg.net.tcp.network import TcpNetwork
from asyncagg.net.tcp.session import Admit
from asyncagg.net.tls.context import Tls
from asyncagg.players.outcome import RoundOutcome
from asyncagg.players.start import RunHooks
from asyncagg.protocols.names import MODEL_OWNER, Label, Phase, Player
from asyncagg.runs.checkpoint import Checkpoint
from asyncagg.runs.result import RoundResult
from asyncagg.runs.trace import Trace
from asyncagg.scenario.reading.load import parse
from asyncagg.version import FORMAT


class AllLost(Exception):
    """No player of this process can go on with the run, which is not over."""


class ChildRun:
    """One process, from its first message to its last."""

    def __init__(self, name: str) -> None:
        self._observation = Observers(View(name), [Log(sys.stderr, "text", name)], None)
        self._control: Control
        self._setup: Fields = {}
        self._experiment: Experiment
        self._local_players: LocalPlayers | None = None
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
            case _ if self._local_players is not None:
                return await self._asked(self._local_players, kind, fields)
        return None

    async def _asked(self, local_players: LocalPlayers, kind: str, fields: Fields) -> Fields | None:
        match kind:
            case "usage":
                self._tell_trace()
                return {"usage": codec.usage_by_role(local_players.usage_by_role(fields["round"]))}
            case "expected":
                return await asyncio.to_thread(
                    self._expected_sum, local_players, Label(*fields["label"]), fields["survivors"]
                )
            case "phase":
                local_players.injector.phase_began(Label(*fields["label"]), fields["phase"])
            case "redial":
                await asyncio.gather(*(asyncio.shield(each) for each in local_players.redial(fields["node"])))
        return None

    def _expected_sum(self, local_players: LocalPlayers, label: Label, survivors: Sequence[Player]) -> Fields:
        """Every input is encoded again: heavy work, not for the loop."""
        return {"expected": codec.expected_sum(local_players.expected_sum(label, survivors))}

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

        def network(together: Sequence[Player], limits: PairLimits, admit: Admit) -> TcpNetwork:
            return TcpNetwork(
                together,
                setup["run"],
                limits,
                self._addresses,
                admit=admit,
                on_refusal=self._observation.refused,
                tls=tls,
                wire_format=FORMAT,
            )

        runtime = SocketRuntime(experiment, groups(players), network, self._observation.around)
        environment = replace(
            runtime.environment(
                setup["run"],
                fields["start_ns"],
                {Player(player): Identity(secret) for player, secret in setup["identities"].items()},
                setup["pinned"],
                Path(setup["folder"], "ledgers"),
            ),
            note_own=self._observation.noted,
        )
        hooks = self._hooks(fields["start_ns"]) if MODEL_OWNER in players else None
        try:
            local_players = self._local_players = LocalPlayers(
                experiment, environment, self._trace, players, hooks, self
            )
        except WorkloadError as error:
            with contextlib.suppress(ControlLost):  # answered, or we are ended: it has been heard
                await self._control.ask("refused", message=error.message, key=error.key)
            raise
        try:
            await local_players.listen()
            self._control.tell("listening", of={player: self._addresses[player] for player in setup["listens"]})
            self._observation.turned("ok")
            await self._perform(local_players, fields["again"])
            self._tell_trace()
            self._observation.turned("finished")
        finally:
            local_players.injector.end()
            await self._control.flushed()
            await runtime.close()

    def _hooks(self, start_ns: int) -> RunHooks:
        """Those of the model owner, which keeps the run's checkpoint."""
        folder = Path(self._setup["folder"])
        stored = Checkpoint.read(folder) if self._setup["resume"] else None
        return Checkpointer(self._experiment, folder, stored, start_ns).hooks(self._tell_outcome)

    async def _perform(self, local_players: LocalPlayers, again: bool) -> None:
        deadline_ns = None if again else now_ns() + self._experiment.deadlines()["publish"]
        if local_players.model_owner is not None and deadline_ns is not None:
            reason = await local_players.play(deadline_ns)
            owner = local_players.model_owner
            self._control.tell("ended", reason=reason, model=codec.arrays(owner.parameters), ledger=owner.disclosed)
            await self._released.wait()
            return
        if again:
            await self._reunited.wait()
        local_players.begin(deadline_ns)
        await local_players.tasks.run(self._over(local_players))

    async def _over(self, local_players: LocalPlayers) -> None:
        """Return when the parent ends the run. AllLost when nobody here can go on with it before that."""
        losing = asyncio.get_running_loop().create_task(local_players.all_lost())
        losing.add_done_callback(lambda done: self._released.set())
        try:
            await self._released.wait()
        finally:
            lost = losing.done()
            losing.cancel()
        if lost:
            raise AllLost
        local_players.finish("the run is over")

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
        """Tell the parent, and wait for its word only where a fault may strike at a phase."""
        if follows_phases(self._experiment.scenario):
            with contextlib.suppress(ControlLost):
                await self._control.ask("phase", label=label, phase=phase)
        else:
            self._control.tell("phase", label=label, phase=phase)

    async def reunite(self, node: Player) -> None:
        with contextlib.suppress(ControlLost):
            await self._control.ask("back", node=node)

    async def _tell_outcome(self, outcome: RoundOutcome) -> RoundResult:
        told = await self._control.ask("outcome", **codec.outcome(outcome))
        each = RoundResult.from_json(told["round"])
        self._observation.round_ended(each)
        return each
