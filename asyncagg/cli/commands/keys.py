"""`asyncagg keys`: certificates and identities for every process of a config.json, and which file goes where."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from asyncagg.cli.output.plain import answer, refusing
from asyncagg.crypto.certificates import MOST_NAMES
from asyncagg.protocols.parameters.batch_size import HONEST, batch_size
from asyncagg.protocols.parameters.choose import Auto
from asyncagg.protocols.parameters.population import Population, exact
from asyncagg.report.words import number
from asyncagg.runs import roster_file
from asyncagg.runs.key_files import AUTHORITY, AUTHORITY_KEY, CONFIG, ROSTER, write_keys
from asyncagg.runs.roster_file import RosterError
from asyncagg.scenario.errors import ScenarioError
from asyncagg.scenario.hosts_config import HostsConfig, load_config
from asyncagg.scenario.values.players import COMPUTE_NODE, DATA_OWNER, MODEL_OWNER, PlayerRange, without


@dataclass(frozen=True, slots=True)
class KeysRequest:
    """Options of `asyncagg keys`, as parsed from the command line."""

    config: str
    out: Path
    days: int
    batch: str
    corrupt: str
    evictions: int
    new_epoch: bool


def make_keys(request: KeysRequest) -> None:
    """Make the folder and say what goes where; typer.Exit(2), and nothing written, if that cannot be."""
    now = datetime.now(UTC)
    with refusing():
        hosts = load_config(request.config)
        _check_players(hosts)
        _check_sizes(hosts)
        batch = _batch(request, hosts)
        _check_epoch(request)
        write_keys(request.out, hosts.entries, hosts.with_keys("."), now, request.days, batch)
    answer(_lines(hosts, request.out, now + timedelta(days=request.days), batch))


def _batch(request: KeysRequest, hosts: HostsConfig) -> int:
    """T for the data owners of the config."""
    owners = sum(entry.span.last - entry.span.first + 1 for entry in hosts.entries if entry.span.role == DATA_OWNER)
    try:
        corrupt = exact(request.corrupt)
        batch: int | Auto = "auto" if request.batch == "auto" else int(request.batch)
        return batch_size(Population(owners, corrupt, exact(0), "lying"), batch, HONEST + request.evictions)
    except ValueError as error:  # Infeasible is one
        raise ScenarioError([f"--batch {request.batch}, --corrupt {request.corrupt}: {error}"]) from None


def _check_epoch(request: KeysRequest) -> None:
    """A second cut of the same owners is another epoch, and somebody has to want that."""
    roster = Path(request.config).parent / ROSTER
    if request.new_epoch or not roster.is_file():
        return
    try:
        cut = roster_file.read_cut(roster)
    except RosterError as error:
        raise ScenarioError([str(error)]) from None
    if cut is not None:
        raise ScenarioError(
            [
                f"{roster}: has these owners cut into batches of {cut.size} already (--new-epoch for new keys and "
                "another cut: sums of the old cut and of the new one differ by parts of batches, and a few cuts, eight "
                "of 50 owners, are enough to solve for every input)"
            ]
        )


def _check_players(hosts: HostsConfig) -> None:
    """Check the players as any run will: a model owner, compute nodes and data owners, each from 0 on."""
    spans = [entry.span for entry in hosts.entries]
    lines = [
        f'{hosts.source}: {part.name}: is missing ("host:port")'
        for role in (MODEL_OWNER, COMPUTE_NODE, DATA_OWNER)
        for part in without(
            PlayerRange(role, 0, max((span.last for span in spans if span.role == role), default=0)), spans
        )
    ]
    if lines:
        raise ScenarioError(lines)


def _check_sizes(hosts: HostsConfig) -> None:
    lines = [
        hosts.line(entry, f"has {len(entry.players)} players (at most {MOST_NAMES} to a certificate)")
        for entry in hosts.entries
        if len(entry.players) > MOST_NAMES
    ]
    if lines:
        raise ScenarioError(lines)


def _lines(hosts: HostsConfig, out: Path, end: datetime, batch: int) -> Iterator[str]:
    folder, players = shlex.quote(str(out)), [player for entry in hosts.entries for player in entry.players]
    yield f"{folder}: certificates and identities for {number(len(players), 'player')}, good until {end:%Y-%m-%d}"
    if batch > 1:
        yield f"the data owners are cut into batches of {batch} or more, for good: scenarios say batch = {batch}"
    yield ""
    yield f"to every host     {AUTHORITY}  {ROSTER}  {CONFIG}"
    yield from (f"to {host:<14} {'  '.join(folders)}" for host, folders in _by_host(hosts).items())
    yield f"stays here        {AUTHORITY_KEY} (whoever has it can make certificates for any player)"
    yield ""
    yield f"on each host, in any order: asyncagg serve PLAYER --config {shlex.quote(str(out / CONFIG))} SCENARIO"


def _by_host(hosts: HostsConfig) -> dict[str, list[str]]:
    """Host → the folders of its processes."""
    folders: dict[str, list[str]] = {}
    for entry in hosts.entries:
        folders.setdefault(entry.host, []).append(f"{entry.name}/")
    return folders
