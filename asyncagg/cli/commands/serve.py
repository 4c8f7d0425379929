"""`asyncagg serve`: one process of a run on many hosts, from config.json, keys and a scenario that all hosts share."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from asyncagg.cli import interrupts
from asyncagg.cli.commands.recording import FAILED, OK, Recording
from asyncagg.cli.output.plain import BAD_USAGE, complain, refusing
from asyncagg.engines.experiment import Experiment, prepare
from asyncagg.engines.hosts.follower import follow
from asyncagg.engines.hosts.host import host, keep_nonce, nonce
from asyncagg.engines.hosts.join_tracker import role_table
from asyncagg.engines.hosts.process_spec import HostRuntime, ProcessSpec
from asyncagg.engines.launch import told
from asyncagg.engines.runtime import event_loops
from asyncagg.engines.watch.interface import Status
from asyncagg.engines.watch.observers import Observers, ObservingError, observe
from asyncagg.learning.errors import WorkloadError
from asyncagg.net.errors import ListenFailed, NetError
from asyncagg.net.tls.context import Tls
from asyncagg.players.ledger_store import StoreError
from asyncagg.protocols.batches import Batches
from asyncagg.protocols.names import MODEL_OWNER, Player
from asyncagg.protocols.parameters.population import Infeasible
from asyncagg.runs.key_files import Keys, load_keys
from asyncagg.runs.result import INTERRUPTED
from asyncagg.scenario.cohorts import population
from asyncagg.scenario.errors import ScenarioError, show
from asyncagg.scenario.hosts_config import HostEntry, HostsConfig, load_config
from asyncagg.scenario.reading.load import load
from asyncagg.scenario.schema.faults import DropFault
from asyncagg.scenario.schema.scenario import Scenario
from asyncagg.scenario.values.addresses import is_loopback, split

_PORT = re.compile(r":[^:\]]*$")
TLS, INSECURE = "TLS 1.3", "insecure: plain TCP"


@dataclass(frozen=True, slots=True)
class ServeRequest:
    """Options of `asyncagg serve`, as parsed from the command line."""

    player: str
    config: str
    scenario: str
    overrides: tuple[str, ...]
    seed: int | None
    out: Path | None
    resume: Path | None
    keys: Path | None
    insecure: bool
    wait_seconds: float
    log: Literal["text", "json"]
    metrics: str | None
    listen: str | None
    no_expect: bool


def serve(request: ServeRequest) -> int:
    """Serve to the end of the run; the exit status. typer.Exit for bad files."""
    with refusing():
        _check_engine(request.overrides)
        scenario = load(request.scenario, request.overrides, engine="hosts", seed=request.seed)
        _check_faults(scenario)
        config = load_config(request.config)
        mine = config.entry_of(request.player)
        _check_resume(request, mine)
        config.check(scenario)
        if mine.port and request.listen is None:
            config.check_resolves(mine)
        entries = [entry for entry in config.entries if set(entry.players) <= set(mine.players)]
        keys = _keys(request, config, entries)
        listen = _listen(request, mine)
        _check_protection(config, scenario, listen, protected=bool(keys) or request.insecure, keys=bool(keys))
        experiment = prepare(scenario, pinned=_pinned_cut(scenario, keys))
        try:
            observation = observe(mine.name, log=request.log, metrics=request.metrics)
            spec = _spec(request, experiment, config, entries, keys, observation, listen)
            return _lead(request, scenario, spec) if MODEL_OWNER in mine.players else _follow(spec)
        except ObservingError as error:
            complain([str(error)])
            return BAD_USAGE
        except ListenFailed as error:
            complain([str(error)])
            return FAILED


def _lead(request: ServeRequest, scenario: Scenario, spec: ProcessSpec) -> int:
    run = nonce(request.resume)
    runtime = HostRuntime(spec, run)
    try:
        recording = _recording(request, scenario)
        keep_nonce(run, recording.path)
    except BaseException:
        runtime.abandon()
        raise
    finished = recording.finished
    finished.no_expect = request.no_expect
    finished.result.transport = TLS if spec.tls else INSECURE

    async def work() -> None:
        async with spec.observation.opened():
            await host(runtime, run, finished, spec.observation.round_ended)

    def play() -> None:
        with told(spec.experiment, finished), asyncio.Runner(loop_factory=event_loops.factory()) as runner:
            runner.run(work())

    _introduce(spec)
    recording.during(play)
    people = request.log == "text"  # to whom the summary says why
    reason = "" if people and not interrupts.noted() else finished.result.reason or ""
    spec.observation.turned(_came_to(finished.result.status == "ok"), reason)
    return recording.tell(as_json=False, complains=people)


def _recording(request: ServeRequest, scenario: Scenario) -> Recording:
    """Of a new run, or the one to go on with."""
    if request.resume is not None:
        return Recording.again(request.resume, scenario)
    return Recording.new(scenario, request.out)


def _follow(spec: ProcessSpec) -> int:
    runtime = HostRuntime(spec, None)

    async def work() -> str | None:
        async with spec.observation.opened():
            return await follow(runtime)

    _introduce(spec)
    try:
        interrupts.release()
        with asyncio.Runner(loop_factory=event_loops.factory()) as runner:
            reason = runner.run(work())
    except (NetError, StoreError) as error:
        reason = str(error)
    except WorkloadError as error:
        spec.experiment.scenario.refuse(error.key, error.message)
    except KeyboardInterrupt:
        interrupts.note()
        reason = INTERRUPTED
    finally:
        interrupts.hold()
    spec.observation.turned(_came_to(reason is None), reason or "")
    if interrupts.noted():
        return interrupts.status()
    return OK if reason is None else FAILED


def _came_to(well: bool) -> Status:
    """Status of this process's part: a signal is an order, and no failure."""
    return "stopped" if interrupts.noted() else "finished" if well else "failed"


def _introduce(spec: ProcessSpec) -> None:
    for line in role_table(spec.entries, [entry.name for entry in spec.mine]):
        spec.observation.said(line)
    if not spec.tls:
        spec.observation.said("connections are not encrypted, and nobody proves who they are")


def _spec(
    request: ServeRequest,
    experiment: Experiment,
    config: HostsConfig,
    entries: list[HostEntry],
    keys: dict[str, Keys],
    observation: Observers,
    listen: tuple[str, int] | None,
) -> ProcessSpec:
    identities = {Player(name): each for found in keys.values() for name, each in found.identities.items()}
    roster = next(iter(keys.values())).roster if keys else {}
    lying = experiment.scenario.aggregation.threat == "lying"
    return ProcessSpec(
        experiment=experiment,
        entries=config.entries,
        mine=entries,
        tls={name: Tls.from_pem(each.authority_pem, each.certificate_pem, each.key_pem) for name, each in keys.items()},
        wait_ns=int(request.wait_seconds * 1e9),
        observation=observation,
        listen=listen,
        identities=identities if lying else {},
        roster=roster if lying else {},
        ledgers=request.out or Path("ledgers"),
    )


def _keys(request: ServeRequest, config: HostsConfig, entries: list[HostEntry]) -> dict[str, Keys]:
    """Entry → its keys; none where there is no folder of keys, or it is not wanted."""
    folder = request.keys or config.keys
    if folder is None or request.insecure:
        return {}
    return {entry.name: load_keys(folder, entry, datetime.now(UTC)) for entry in entries}


def _pinned_cut(scenario: Scenario, keys: dict[str, Keys]) -> Batches | None:
    """The cut that stands with the identities; ScenarioError where the scenario means another one.

    Without keys there is none, and the scenario's own holds within the run only.
    """
    if not keys:
        return None
    cut = next(iter(keys.values())).cut
    try:
        wanted = population(scenario).batch
    except Infeasible as refusal:
        scenario.refuse("aggregation.batch", str(refusal))
    has = 1 if cut is None else cut.size
    if wanted != has:
        said = scenario.aggregation.batch
        means = f'is "auto", which means {wanted}' if said == "auto" else f"is {said}"
        right = "run asyncagg keys again, with --batch auto" if cut is None else f"batch = {has}, or new identities"
        scenario.refuse("aggregation.batch", f"{means}, but the roster cuts the owners into batches of {has} ({right})")
    return None if cut is None else Batches(scenario.owners.count, cut.size, cut.seed)


def _listen(request: ServeRequest, mine: HostEntry) -> tuple[str, int] | None:
    """Address to listen at, HOST or HOST:PORT on the command line; None: where config.json says."""
    text = request.listen
    if text is None:
        return None
    if not mine.listens:
        raise ScenarioError([f"--listen: {mine.name} listens to nobody (only model owner and compute nodes do)"])
    try:
        host, port = split(text if _PORT.search(text) else f"{text}:{mine.port}", listens=False)
    except ValueError as error:
        raise ScenarioError([f"--listen {error}"]) from None
    if not port:
        raise ScenarioError([f"--listen is {show(text)}: others could not know the port (a number from 1)"])
    return host, port


def _check_engine(overrides: tuple[str, ...]) -> None:
    for text in overrides:
        if text.partition("=")[0].strip() == "engine":
            raise ScenarioError([f"--set {text}: engine: asyncagg serve plays on many hosts alone (asyncagg run)"])


def _check_resume(request: ServeRequest, mine: HostEntry) -> None:
    if request.resume is not None and MODEL_OWNER not in mine.players:
        raise ScenarioError([f"--resume: {mine.name} has no run to go on with (only the model owner does)"])
    if request.resume is not None and request.out is not None:
        raise ScenarioError(["--out: goes with no --resume (the run goes on in its directory)"])
    if request.resume is not None and not request.resume.is_dir():
        raise ScenarioError([f"--resume {request.resume}: there is no such folder (of a run that was interrupted)"])


def _check_protection(
    config: HostsConfig, scenario: Scenario, listen: tuple[str, int] | None, *, protected: bool, keys: bool
) -> None:
    """Refuse threat "lying" without keys, and no TLS beyond this host unless the user asked for it by name."""
    if not keys and scenario.aggregation.threat == "lying":
        raise ScenarioError(
            [f'{config.source}: has no keys, and threat "lying" needs identities (asyncagg keys makes them)']
        )
    here = all(entry.on_loopback for entry in config.listeners) and (listen is None or is_loopback(listen[0]))
    if protected or here:
        return
    raise ScenarioError(
        [f"{config.source}: has no keys, and not all players are on loopback (asyncagg keys makes them; or --insecure)"]
    )


def _check_faults(scenario: Scenario) -> None:
    for number, fault in enumerate(scenario.faults):
        if not isinstance(fault, DropFault):
            scenario.refuse(
                f"faults.{number}.kind",
                f'is "{fault.kind}", which hosts cannot act out ("drop"; or the engine processes)',
            )
