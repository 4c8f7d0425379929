"""Processes of a run on many hosts: those of `asyncagg serve`, or their insides, all on the loop of one test."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from support.cli import start
from support.runs import scenario

from asyncagg.engines.experiment import prepare
from asyncagg.engines.hosts.follower import follow
from asyncagg.engines.hosts.host import host, nonce
from asyncagg.engines.hosts.process_spec import HostRuntime, ProcessSpec
from asyncagg.engines.launch import begin
from asyncagg.engines.record.run_record import RunRecord
from asyncagg.engines.watch.interface import View
from asyncagg.engines.watch.logs import Log
from asyncagg.engines.watch.observers import Observers
from asyncagg.net.errors import NetError
from asyncagg.net.tls.context import Tls
from asyncagg.runs.key_files import load_keys, write_keys
from asyncagg.scenario.hosts_config import HostsConfig, load_config
from asyncagg.scenario.reading.load import parse

OWNERS = ("data-owner-0", "data-owner-1", "data-owner-2")
NODES = ("compute-node-0", "compute-node-1", "compute-node-2")
SECOND = 1_000_000_000


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody has, at this moment."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def entries(owners: Iterable[str] = OWNERS) -> dict[str, str]:
    """A config.json with all on loopback."""
    listeners = ("model-owner", *NODES)
    found = {name: f"127.0.0.1:{port}" for name, port in zip(listeners, free_ports(len(listeners)), strict=True)}
    return found | dict.fromkeys(owners, "127.0.0.1:0")


def small(owners: int = 3, protocol: str = "secagg+", **tables: Any) -> dict[str, Any]:
    """A scenario of two rounds on hosts, whose means can be compared."""
    given = {"rounds": 2, "encoding": {"rounding_draws": "seeded"}, **tables}
    return scenario(protocol, owners, "hosts", **given)


class Place:
    """A folder with config.json and, if wanted, keys: what every host of a run has."""

    def __init__(self, folder: Path, *, keys: bool = True, found: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.entries = dict(found or entries())
        config = folder / "config.json"
        config.write_text(json.dumps(self.entries))
        self.config: HostsConfig = load_config(config)
        if keys:
            write_keys(folder / "keys", self.config.entries, self.config.with_keys("."), datetime.now(UTC), 1)
            self.config = load_config(folder / "keys" / "config.json")


class Process:
    """What one process of a run does, from its post to its end, and what it said."""

    def __init__(
        self, place: Place, name: str, values: Mapping[str, Any] | None = None, *, wait: float = 20, **given: Any
    ) -> None:
        self.stream = io.StringIO()
        view = View(name)
        self.observation = Observers(view, [view, Log(self.stream, "text", name)], None)
        self.loaded = parse(dict(values or small()))
        entry = place.config.entry_of(name)
        tls: dict[str, Tls] = {}
        if place.config.keys is not None:
            keys = load_keys(place.config.keys, entry, datetime.now(UTC))
            tls = {entry.name: Tls.from_pem(keys.authority_pem, keys.certificate_pem, keys.key_pem)}
            if self.loaded.aggregation.threat == "lying":
                given = {"identities": keys.identities, "roster": keys.roster, **given}
        self.folder = place.folder / name
        self.post = ProcessSpec(
            **{
                "experiment": prepare(self.loaded),
                "entries": place.config.entries,
                "mine": [entry],
                "tls": tls,
                "wait_ns": round(wait * SECOND),
                "observation": self.observation,
                "ledgers": self.folder,
                **given,
            }
        )
        self.run = nonce(None)
        self.site = HostRuntime(self.post, self.run if name == "model-owner" else None)

    async def serve(self) -> str | None:
        """To the end: None where all went well, else what a user would read."""
        try:
            return await follow(self.site)
        except NetError as error:
            return str(error)

    async def lead(self) -> RunRecord:
        """The model owner's, to the end."""
        finished = begin(self.loaded)
        finished.folder = self.folder
        self.folder.mkdir()
        await host(self.site, self.run, finished, self.observation.round_ended)
        return finished

    @property
    def lines(self) -> list[str]:
        """What was said."""
        return self.stream.getvalue().splitlines()


def serve(place: Place, name: str, *options: object, log: Path | None = None) -> subprocess.Popen[str]:
    """`asyncagg serve` as a process, which says everything in a file; scenario.json is in the place's folder."""
    config = place.config.source
    with (log or place.folder / f"{name}.log").open("w") as file:
        return start(
            place.folder,
            *("serve", name, "--config", os.path.abspath(config), *options, "scenario.json"),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
