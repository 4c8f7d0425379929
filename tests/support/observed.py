"""Runs that are watched as a process of its own would be, and what a watcher says of them."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.runs import scenario

from asyncagg.engines import one_process
from asyncagg.engines.experiment import Experiment, prepare
from asyncagg.engines.launch import begin, play
from asyncagg.engines.runtime.players import Environment, LocalPlayers
from asyncagg.engines.watch.interface import View
from asyncagg.engines.watch.logs import Log, LogForm
from asyncagg.engines.watch.metrics import Metrics
from asyncagg.engines.watch.observers import Observers
from asyncagg.runs.result import RunResult
from asyncagg.runs.trace import Record, Trace
from asyncagg.scenario.reading.load import parse

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Watched:
    """A log, metrics and a view under the name of one player: of everyone in the run, or of that one `alone`."""

    def __init__(self, name: str = "model-owner", form: LogForm = "json", alone: bool = False) -> None:
        self.alone = alone
        self.stream = io.StringIO()
        self.view = View(name)
        self.metrics = Metrics(self.view, clock=lambda: 1_700_000_000.0)
        self.observation = Observers(self.view, [self.view, Log(self.stream, form, name), self.metrics], None)

    def run(self, monkeypatch: pytest.MonkeyPatch, protocol: str, owners: int = 4, **tables: Any) -> RunResult:
        """A whole run in `sim`, everyone in it watched; how it ended."""
        observation, name, alone = self.observation, self.view.name, self.alone

        class WatchedCast(LocalPlayers):
            def __init__(self, experiment: Experiment, world: Environment, trace: Trace, *rest: Any) -> None:
                network = world.network
                seen = replace(world, network=lambda player: observation.around(network(player)))
                super().__init__(experiment, seen, Trace(observation.record), *rest)
                shown = [player for player in self.players if not alone or player.me == name]
                observation.view.players = lambda: shown

        monkeypatch.setattr(one_process, "LocalPlayers", WatchedCast)
        loaded = parse(scenario(protocol, owners, **tables))
        finished = begin(loaded)
        play(prepare(loaded), finished, observation.round_ended)
        return finished.result

    def samples(self) -> Samples:
        return samples(self.metrics.text())


def samples(text: bytes) -> Samples:
    """Every sample by name and labels, as Prometheus's own parser finds them; none twice."""
    found: Samples = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def noted(event: str, t: int = 0, **changes: Any) -> Record:
    """A record of the lead in round 0, attempt 1, phase upload."""
    blank = Record(t, 0, 1, "upload", event, "compute-node-0", "", "", 0, "", "")
    return replace(blank, **changes)
