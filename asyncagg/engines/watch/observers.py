"""Everything that watches one process, as one thing for an engine to attach: log, metrics, health, endpoint.

observation = observe("compute-node-0", log="json", metrics="9464")
trace = Trace(observation.record)
network = observation.around(TcpNetwork(…, on_refusal=observation.refused))
observation.view.players = lambda: local_players.players
ResultRecorder(…, observation.round_ended)
async with observation.opened():        # the endpoint answers
    observation.turned("ok")            # everyone is there
    …
observation.turned("finished")
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TextIO

from asyncagg.engines.watch.health import health
from asyncagg.engines.watch.http_pages import Page, PageServer, parse_address
from asyncagg.engines.watch.interface import Observer, Status, View
from asyncagg.engines.watch.logs import Log, LogForm
from asyncagg.engines.watch.presence import PresenceNetwork
from asyncagg.net.channel import Network
from asyncagg.players.outcome import OwnNote
from asyncagg.runs.result import RoundResult
from asyncagg.runs.trace import Record


class ObservingError(Exception):
    """Something that was asked for cannot be had; one line that says what would be right."""


def observe(name: str, *, log: LogForm | None, metrics: str | None, stream: TextIO | None = None) -> Observers:
    """For the site `name`, with a log on `stream` (stderr) and an endpoint at `[HOST:]PORT`, each where wanted.

    ObservingError when metrics are not installed or the address is none; net's ListenFailed when it cannot be had.
    """
    view = View(name)
    observers: list[Observer] = [view]
    if log is not None:
        observers.append(Log(stream or sys.stderr, log, name))
    if metrics is None:
        return Observers(view, observers, None)
    try:
        from asyncagg.engines.watch.metrics import CONTENT_TYPE, Metrics  # imported where used: it is an extra
    except ModuleNotFoundError as error:
        if error.name != "prometheus_client":
            raise
        raise ObservingError("--metrics needs the extra `metrics`: pip install 'asyncagg[metrics]'") from None
    try:
        host, port = parse_address(metrics)
    except ValueError as error:
        raise ObservingError(f"--metrics {error}") from None
    counts = Metrics(view)
    observers.append(counts)
    pages = {"/metrics": lambda: Page(CONTENT_TYPE, counts.text()), "/health": lambda: health(view)}
    return Observers(view, observers, PageServer(host, port, pages))


class Observers(Observer):
    """Several observers as one, the site they look at, and the endpoint where it can be asked for."""

    def __init__(self, view: View, observers: list[Observer], endpoint: PageServer | None) -> None:
        self.view = view
        self._observers = observers
        self._endpoint = endpoint

    def around(self, network: Network) -> Network:
        """The same network, whose channels are seen to come and go."""
        return PresenceNetwork(network, self)

    def add(self, observer: Observer) -> None:
        """One more who is told from now on."""
        self._observers.append(observer)

    @property
    def where(self) -> str | None:
        """The endpoint's `host:port`, with the port that the system chose; None where there is no endpoint."""
        return None if self._endpoint is None else self._endpoint.where

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Answer at the endpoint, on the running loop, for a while; whoever still waits at its end is cut."""
        if self._endpoint is None:
            yield
            return
        self._endpoint.start()
        try:
            yield
        finally:
            await self._endpoint.close()

    def record(self, record: Record) -> None:
        for observer in self._observers:
            observer.record(record)

    def round_ended(self, result: RoundResult) -> None:
        for observer in self._observers:
            observer.round_ended(result)

    def refused(self, address: str, reason: str) -> None:
        for observer in self._observers:
            observer.refused(address, reason)

    def joined(self, local: str, remote: str) -> None:
        for observer in self._observers:
            observer.joined(local, remote)

    def gone(self, local: str, remote: str, reason: str) -> None:
        """Pass it on, unless they leave because the run is over."""
        if self.view.parting:
            return
        for observer in self._observers:
            observer.gone(local, remote, reason)

    def noted(self, note: OwnNote) -> None:
        for observer in self._observers:
            observer.noted(note)

    def turned(self, status: Status, detail: str = "") -> None:
        for observer in self._observers:
            observer.turned(status, detail)

    def said(self, line: str) -> None:
        for observer in self._observers:
            observer.said(line)
