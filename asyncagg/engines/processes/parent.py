"""Engine `processes`: the model owner, each compute node and fleets of data owners, each in a process of its own.

This process is the parent. It makes keys and certificates that exist in memory only, starts its children, tells each
where the others listen, and asks them after each round what was said and put in (`children_probe`).
A compute node or a fleet that dies is started again; without the model owner the run has failed, and can be resumed.
Children end with their parent, however it ends (`die_with_parent`).
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from asyncagg.crypto.certificates import Authority
from asyncagg.crypto.randomness import SystemRandomness
from asyncagg.engines.experiment import RUN_NONCE_BYTES, Experiment
from asyncagg.engines.processes import codec
from asyncagg.engines.processes.child_handle import READY_NS, ChildHandle, places
from asyncagg.engines.processes.children_probe import ChildrenProbe
from asyncagg.engines.processes.control import Fields
from asyncagg.engines.record.peak_memory import peak_rss_bytes
from asyncagg.engines.record.recorder import ResultRecorder
from asyncagg.engines.record.run_record import RunRecord
from asyncagg.engines.runtime import identities, open_files
from asyncagg.engines.runtime.faults import follows_phases
from asyncagg.engines.runtime.stop_order import StopOrder
from asyncagg.engines.waits import CHILDREN_FAREWELL_NS, REUNION_NS
from asyncagg.learning.errors import WorkloadError
from asyncagg.net.clock import now_ns
from asyncagg.net.durations import SECOND_NS
from asyncagg.protocols.names import MODEL_OWNER, Label, role_of
from asyncagg.runs import checkpoint
from asyncagg.runs.checkpoint import CheckpointError
from asyncagg.runs.result import RoundResult
from asyncagg.runs.trace import Arrival, Record
from asyncagg.scenario.values.addresses import LOOPBACK

DEATHS = 3
"""Number of times that a process may die and be started again."""
CERTIFICATE_DAYS = 30
PHASE_NS = 2 * SECOND_NS
"""Longest time that the lead waits at a phase for faults to be acted out in other processes."""


@runtime_checkable
class ProgressListener(Protocol):
    """Whoever watches a run go on beside its rounds: the demo."""

    def process(self, name: str, pid: int | None, state: str) -> None:
        """A process has begun, is ready, or has ended."""

    def phase(self, label: Label, phase: str) -> None:
        """The lead has begun a phase."""


class RunFailed(Exception):
    """The run cannot go on; the text says why."""


def run(experiment: Experiment, finished: RunRecord, progress: Callable[[RoundResult], None], stop: StopOrder) -> None:
    """Play the experiment to its end."""
    with contextlib.ExitStack() as stack, asyncio.Runner() as runner:
        folder = finished.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="asyncagg-")))
        runner.run(stop.heed(_play(experiment, finished, progress, folder)))


async def _play(
    experiment: Experiment, finished: RunRecord, progress: Callable[[RoundResult], None], folder: Path
) -> None:
    await Parent(experiment, finished, progress, folder).play()


class Parent:
    """The parent's side of one run."""

    def __init__(
        self, experiment: Experiment, finished: RunRecord, progress: Callable[[RoundResult], None], folder: Path
    ) -> None:
        self._experiment = experiment
        self._finished = finished
        self._folder = folder
        self._listener = progress if isinstance(progress, ProgressListener) else None
        everywhere = places(identities.everyone(experiment.scenario), experiment.scenario.owners.per_process)
        open_files.allow(open_files.of_parent(len(everywhere)))
        logs = folder / "logs"
        logs.mkdir(exist_ok=True)
        self._children = [ChildHandle(each, logs) for each in everywhere]
        self._recorder = ResultRecorder(experiment, finished, ChildrenProbe(experiment, self._children), progress)
        self._authority = Authority.create("asyncagg run", datetime.now(UTC), CERTIFICATE_DAYS)
        randomness = SystemRandomness()
        self._nonce = randomness.bytes(RUN_NONCE_BYTES)
        self._identities = identities.generate(experiment.scenario, lambda whose: randomness)
        self._pinned = identities.pinned(self._identities, folder)
        self._addresses: dict[str, tuple[str, int]] = {}
        self._start_ns: int | None = None
        self._end: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._starting = asyncio.timeout(READY_NS / 1e9)
        self._reunions: dict[asyncio.Task[None], None] = {}

    # -- the run ----------------------------------------------------------------------------------------------------

    async def play(self) -> None:
        """The whole run; `finished` is filled as it goes."""
        result = self._finished.result
        began, cpu = time.perf_counter(), _cpu_seconds()
        lives = [asyncio.create_task(self._keep_alive(child), name=child.name) for child in self._children]
        for life in lives:
            life.add_done_callback(self._noticed)
        try:
            result.reason = await self._ended(lives)
            result.status = "ok" if result.reason is None else "failed"
        finally:
            for child in self._children:
                child.kill()
            for life in lives:
                life.cancel()
            await asyncio.gather(*lives, return_exceptions=True)
            _sweep(self._folder)
            result.wall_seconds += time.perf_counter() - began
            result.cpu_seconds += _cpu_seconds() - cpu
            result.peak_rss_bytes = peak_rss_bytes(resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)

    async def _ended(self, lives: Sequence[asyncio.Task[None]]) -> str | None:
        """None when all rounds are played, else why the run stopped."""
        try:
            reason = await self._outcome()
            await self._recorder.close()
        except (RunFailed, CheckpointError) as failure:
            await self._recorder.close()
            return str(failure)
        except WorkloadError:
            await self._recorder.close()
            raise
        await self._farewell(lives)
        return reason

    async def _outcome(self) -> str | None:
        """Wait for the model owner's outcome: None or why the run failed. RunFailed where it will not come to that."""
        try:
            async with self._starting:
                return await self._end
        except TimeoutError:
            late = next(child.name for child in self._children if not child.ready)
            raise RunFailed(f"{late} was not ready after {READY_NS / 1e9:g} s") from None

    async def _farewell(self, lives: Sequence[asyncio.Task[None]]) -> None:
        for child in self._children:
            child.tell("end")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CHILDREN_FAREWELL_NS / 1e9):
                await asyncio.gather(*lives, return_exceptions=True)

    # -- children ---------------------------------------------------------------------------------------------------

    async def _keep_alive(self, child: ChildHandle) -> None:
        """One place: its process, and the next one when that dies."""
        while not self._end.done():
            self._look(child, "starts")
            how = await child.live(lambda kind, fields: self._handle(child, kind, fields), self._setup(child))
            self._look(child, how)
            for player in child.players:
                self._addresses.pop(player, None)
            if not self._end.done():
                self._died(child, how)

    def _died(self, child: ChildHandle, how: str) -> None:
        """Note a death that nobody ordered. RunFailed where the run cannot go on without the process."""
        child.deaths += 1
        self._note(child, f"process {how}")
        if child.players[0] == MODEL_OWNER:
            kept = (self._folder / checkpoint.FILE).exists()
            rest = f"; the run can be resumed from {self._folder}" if kept else ", before the first round"
            raise RunFailed(f"the process of {MODEL_OWNER} {how}{rest}")
        if how.startswith("ended with status"):
            raise RunFailed(f"the process of {child.name} {how}")
        if child.deaths > DEATHS:
            raise RunFailed(f"the process of {child.name} {how}, for the {child.deaths}th time")

    def _noticed(self, life: asyncio.Task[None]) -> None:
        """The life of a place is over: of itself only when the run cannot go on."""
        if not life.cancelled() and (error := life.exception()) is not None and not self._end.done():
            self._end.set_exception(error)
            self._end.exception()  # whoever is interrupted will not ask for it

    def _setup(self, child: ChildHandle) -> Fields:
        issued = self._authority.issue(child.players, datetime.now(UTC), CERTIFICATE_DAYS)
        mine = [player for player in child.players if player in self._identities]
        return {
            "scenario": self._experiment.scenario.normalised_toml(),
            "players": child.players,
            "run": self._nonce,
            "authority": self._authority.certificate_pem,
            "certificate": issued.certificate_pem,
            "key": issued.key_pem,
            "identities": {player: self._identities[player].secret() for player in mine},
            "pinned": self._pinned,
            "folder": str(self._folder),
            "resume": self._finished.resumed is not None,
            "host": LOOPBACK,
            "listens": [player for player in child.players if role_of(player) != "data-owner"],
        }

    async def _handle(self, child: ChildHandle, kind: str, fields: Fields) -> Fields | None:
        """Handle a child's message, and return the answer."""
        match kind:
            case "ready":
                child.ready = True
                self._look(child, "ready")
                self._go(child)
            case "listening":
                await self._listening(child, fields["of"])
            case "phase":
                await self._phase(child, fields)
            case "back":
                await self._redial(child, [fields["node"]])
            case "outcome":
                each = await self._recorder.observe(codec.to_outcome(fields))
                return {"round": each.to_json()}
            case "trace":
                self._finished.trace.take(
                    (Record(*record) for record in fields["records"]),
                    (Arrival(*arrival) for arrival in fields["arrivals"]),
                )
            case "ended" if not self._end.done():
                self._finished.model = codec.to_arrays(fields["model"])
                self._finished.result.ledger = fields["ledger"]
                self._end.set_result(fields["reason"])
            case "refused" if not self._end.done() and not self._finished.result.rounds:
                self._end.set_exception(WorkloadError(fields["message"], fields["key"]))
                self._end.exception()  # whoever is interrupted will not ask for it
        return None

    def _go(self, child: ChildHandle) -> None:
        """Let the run begin once everyone is ready; who comes later joins it."""
        if self._start_ns is not None:
            child.tell("addresses", of=self._addresses)
            child.tell("go", start_ns=self._start_ns, again=True)
        elif all(each.ready for each in self._children):
            self._starting.reschedule(None)
            self._start_ns = now_ns() - self._finished.elapsed_ns
            for each in self._children:
                each.tell("go", start_ns=self._start_ns, again=False)

    async def _listening(self, child: ChildHandle, of: dict[str, tuple[str, int]]) -> None:
        """Tell everyone where its players listen, and let those who lost one find it again."""
        self._addresses |= {player: (host, port) for player, (host, port) in of.items()}
        for each in self._children:
            each.tell("addresses", of=self._addresses)
        if child.deaths:
            reunion = asyncio.get_running_loop().create_task(self._reunite(child, list(of)))
            self._reunions[reunion] = None
            reunion.add_done_callback(self._reunions.pop)

    async def _reunite(self, child: ChildHandle, nodes: list[str]) -> None:
        """A process that died is back: let those who lost its players dial them, before the next attempt begins."""
        await self._redial(child, nodes)
        child.tell("reunited")

    async def _redial(self, child: ChildHandle, nodes: list[str]) -> None:
        others = self._others(child)
        await asyncio.gather(*(each.ask("redial", REUNION_NS, node=node) for node in nodes for each in others))

    async def _phase(self, child: ChildHandle, fields: Fields) -> None:
        """The lead, which lives in this child, has begun a phase: faults happen, and then it goes on."""
        if follows_phases(self._experiment.scenario):
            await asyncio.gather(*(each.ask("phase", PHASE_NS, **fields) for each in self._others(child)))
        if self._listener is not None:
            self._listener.phase(Label(*fields["label"]), fields["phase"])

    def _others(self, child: ChildHandle) -> list[ChildHandle]:
        return [each for each in self._children if each is not child]

    # -- what is said about it --------------------------------------------------------------------------------------

    def _look(self, child: ChildHandle, state: str) -> None:
        if self._listener is not None:
            self._listener.process(child.name, child.pid, state)

    def _note(self, child: ChildHandle, what: str) -> None:
        at = 0 if self._start_ns is None else now_ns() - self._start_ns
        record = Record(at, 0, 0, "publish", "fault", child.name, child.name, "", 0, "", what)
        self._finished.trace.add(record)


def _sweep(folder: Path) -> None:
    """Remove what processes were writing when they were ended."""
    for left in folder.rglob("*.tmp"):
        left.unlink(missing_ok=True)


def _cpu_seconds() -> float:
    """Of this process and the children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
