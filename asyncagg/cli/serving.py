"""`asyncagg serve`: one process of a run on many hosts, from config.json, keys and a scenario that all hosts share."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import typer

from asyncagg.cli import interrupts
from asyncagg.cli.plain import BAD_USAGE, complain, refusing
from asyncagg.cli.recording import FAILED, OK, Recording
from asyncagg.engines import loops
from asyncagg.engines.experiment import Experiment, prepare
from asyncagg.engines.hosts.following import follow
from asyncagg.engines.hosts.hosting import host
from asyncagg.engines.hosts.post import Post
from asyncagg.engines.hosts.preflight import role_table
from asyncagg.engines.launch import told
from asyncagg.engines.watch.observation import Observation, ObservingError, observe
from asyncagg.protocols.terms import MODEL_OWNER, Player
from asyncagg.runs.key_files import Keys, load_keys
from asyncagg.scenario.errors import ScenarioError
from asyncagg.scenario.faults import Drop
from asyncagg.scenario.hosts import Entry, HostsConfig, load_config
from asyncagg.scenario.load import load
from asyncagg.scenario.schema import Scenario
from net.errors import NetError
from net.tls import Tls

TLS, INSECURE = "TLS 1.3", "insecure: plain TCP"


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for on the command line."""

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


def serve(request: Request) -> int:
    """Serve to the end of the run; the exit status. typer.Exit for bad files."""
    with refusing():
        scenario = load(request.scenario, request.overrides, engine="hosts", seed=request.seed)
        _check_faults(scenario)
        config = load_config(request.config)
        mine = config.entry_of(request.player)
        config.check(scenario)
        if lines := config.unresolvable():
            raise ScenarioError(lines)
        entries = [entry for entry in config.entries if set(entry.players) <= set(mine.players)]
        keys = _keys(request, config, entries)
        _check_protection(request, config, scenario, bool(keys))
        try:
            observation = observe(mine.name, log=request.log, metrics=request.metrics)
        except ObservingError as error:
            complain([str(error)])
            raise typer.Exit(BAD_USAGE) from None
        post = _post(request, prepare(scenario), config, entries, keys, observation)
        for line in role_table(config.entries, [entry.name for entry in entries]):
            post.tell(line)
        return _lead(request, scenario, post) if MODEL_OWNER in mine.players else _follow(post)


def _lead(request: Request, scenario: Scenario, post: Post) -> int:
    if request.resume is None:
        recording = Recording.new(scenario, request.out)
    else:
        recording = Recording.again(request.resume, scenario)
    finished = recording.finished
    finished.result.transport = TLS if post.tls else INSECURE

    async def work() -> None:
        async with post.observation.opened():
            await host(post, finished, post.observation.round_ended)

    def run() -> None:
        with told(post.experiment, finished), asyncio.Runner(loop_factory=loops.factory()) as runner:
            runner.run(work())

    recording.during(run)
    post.observation.turned("finished" if finished.result.status == "ok" else "failed")
    return recording.tell(as_json=False)


def _follow(post: Post) -> int:
    async def work() -> str | None:
        async with post.observation.opened():
            return await follow(post)

    try:
        interrupts.release()
        with asyncio.Runner(loop_factory=loops.factory()) as runner:
            reason = runner.run(work())
    except NetError as error:
        reason = str(error)
    except KeyboardInterrupt:
        interrupts.note()
        return interrupts.status()
    finally:
        interrupts.hold()
    if reason is None:
        post.tell("the run is done")
        return OK
    complain([f"{post.players[0]}: {reason}"])
    return FAILED


def _post(
    request: Request,
    experiment: Experiment,
    config: HostsConfig,
    entries: list[Entry],
    keys: dict[str, Keys],
    observation: Observation,
) -> Post:
    identities = {Player(name): each for found in keys.values() for name, each in found.identities.items()}
    roster = next(iter(keys.values())).roster if keys else {}
    lying = experiment.scenario.aggregation.threat == "lying"
    return Post(
        experiment=experiment,
        entries=config.entries,
        mine=entries,
        tls={name: Tls.from_pem(each.authority_pem, each.certificate_pem, each.key_pem) for name, each in keys.items()},
        wait_ns=int(request.wait_seconds * 1e9),
        observation=observation,
        tell=lambda line: print(line, file=sys.stderr, flush=True),
        identities=identities if lying else {},
        roster=roster if lying else {},
        ledgers=(request.out or Path("ledgers")),
    )


def _keys(request: Request, config: HostsConfig, entries: list[Entry]) -> dict[str, Keys]:
    """Entry → its keys; none where there is no folder of keys, or it is not wanted."""
    folder = request.keys or config.keys
    if folder is None or request.insecure:
        return {}
    return {entry.name: load_keys(folder, entry, datetime.now(UTC)) for entry in entries}


def _check_protection(request: Request, config: HostsConfig, scenario: Scenario, protected: bool) -> None:
    """Without keys only what stays on this host, or what was asked for by name."""
    if not protected and scenario.aggregation.threat == "lying":
        raise ScenarioError(
            [f'{config.source}: has no keys, and threat "lying" needs identities (asyncagg keys makes them)']
        )
    if protected or request.insecure or all(entry.on_loopback for entry in config.listeners):
        return
    raise ScenarioError(
        [f"{config.source}: has no keys, and not all players are on loopback (asyncagg keys makes them; or --insecure)"]
    )


def _check_faults(scenario: Scenario) -> None:
    for number, fault in enumerate(scenario.faults):
        if not isinstance(fault, Drop):
            scenario.refuse(
                f"faults.{number}.kind",
                f'is "{fault.kind}", which hosts cannot act out ("drop"; or the engine processes)',
            )
