"""`asyncagg keys`: certificates and identities for every process of a config.json, and which file goes where."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from asyncagg.cli.output.plain import answer, refusing
from asyncagg.cli.output.words import number
from asyncagg.crypto.certificates import MOST_NAMES
from asyncagg.runs.key_files import AUTHORITY, AUTHORITY_KEY, CONFIG, ROSTER, write_keys
from asyncagg.scenario.errors import ScenarioError
from asyncagg.scenario.hosts_config import HostsConfig, load_config
from asyncagg.scenario.values.players import COMPUTE_NODE, DATA_OWNER, MODEL_OWNER, PlayerRange, without


def make_keys(config: str, out: Path, days: int) -> None:
    """Make the folder and say what goes where; typer.Exit(2), and nothing written, if that cannot be."""
    now = datetime.now(UTC)
    with refusing():
        hosts = load_config(config)
        _check_players(hosts)
        _check_sizes(hosts)
        write_keys(out, hosts.entries, hosts.with_keys("."), now, days)
    answer(_lines(hosts, out, now + timedelta(days=days)))


def _check_players(hosts: HostsConfig) -> None:
    """As a run will, whatever its scenario: a model owner, compute nodes and data owners, each from 0 on."""
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


def _lines(hosts: HostsConfig, out: Path, end: datetime) -> Iterator[str]:
    folder, players = shlex.quote(str(out)), [player for entry in hosts.entries for player in entry.players]
    yield f"{folder}: certificates and identities for {number(len(players), 'player')}, good until {end:%Y-%m-%d}"
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
