"""Prometheus metrics of a process. The one module that needs `prometheus_client`, which the extra `metrics` brings.

Labels are roles, phases, outcomes and codes of refusals: sets that this program knows. Neither a player's name nor
anything that a peer said is ever one, so the number of series does not grow with owners, rounds or strangers.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from asyncagg.engines.watch.interface import STATUSES, Observer, View
from asyncagg.net.errors import Refusal
from asyncagg.protocols.names import LEAD, MODEL_OWNER, Label, role_of
from asyncagg.runs.result import RoundResult
from asyncagg.runs.trace import Record
from asyncagg.version import __version__

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
ROLES: Final = ("model-owner", "compute-node", "data-owner")
OUTCOMES: Final = ("ok", "skipped", "failed")
OTHER: Final = "other"
"""The label of whatever is not of a set."""
BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds."""


@dataclass(slots=True)
class Durations:
    """A histogram of seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bound → how many were at most so long."""
        below, found = 0, []
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self.counts, strict=True):
            below += count
            found.append((bound, float(below)))
        return found


@dataclass(slots=True)
class PhaseClock:
    """Durations of the lead's phases, from its trace: each ends when the next begins, or when its attempt ends.

    Nobody notes the end of an attempt that went well, so the lead's last message of it counts as that.
    """

    seconds: dict[str, Durations] = field(default_factory=dict)
    _label: tuple[int, int] = (-1, 0)
    _phase: str | None = None
    _began_ns: int = 0
    _last_ns: int = 0

    def record(self, record: Record) -> None:
        """A record of the lead."""
        label = (record.round, record.attempt)
        if record.event == "phase":
            self.end(record.t if label == self._label else self._last_ns)
            self._label, self._phase, self._began_ns, self._last_ns = label, record.phase, record.t, record.t
        elif label == self._label:
            self._last_ns = record.t
            if record.event == "abort":
                self.end(record.t)

    def end(self, at_ns: int | None = None) -> None:
        """The phase under way is over, if there is one."""
        if self._phase is not None:
            taken_ns = (self._last_ns if at_ns is None else at_ns) - self._began_ns
            self.seconds.setdefault(self._phase, Durations()).observe(taken_ns / 1e9)
            self._phase = None


class Metrics(Observer, Collector):
    """Counts what happens at a site, and reads from its players what they count themselves."""

    def __init__(self, view: View, clock: Callable[[], float] = time.time) -> None:
        """`clock` tells the seconds since 1970."""
        self._view = view
        self._clock = clock
        self._rounds = dict.fromkeys(OUTCOMES, 0) if view.name == MODEL_OWNER else {}
        self._attempts = 0
        self._survivors = 0
        self._last: RoundResult | None = None
        self._last_at = 0.0
        self._round_seconds = Durations()
        self._phases = PhaseClock()
        self._dropped: dict[str, int] = {}
        self._aborts = 0
        self._connections_refused: dict[str, int] = dict.fromkeys([*map(str, Refusal), OTHER], 0)
        self._peers_refused: dict[str, int] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Everything, as Prometheus reads it (`CONTENT_TYPE`)."""
        return generate_latest(self._registry)

    # -- what happens -----------------------------------------------------------------------------------------------

    def record(self, record: Record) -> None:
        if record.sender == LEAD:
            self._phases.record(record)
        match record.event:
            case "drop":
                _count(self._dropped, record.phase)
            case "abort":
                self._aborts += 1
            case "refuse":
                _count(self._peers_refused, _role(record.receiver))

    def round_ended(self, result: RoundResult) -> None:
        _count(self._rounds, result.status)
        self._attempts += result.attempts
        self._round_seconds.observe(result.seconds.get("total", 0.0))
        if result.status == "ok":
            self._survivors += len(result.survivors)
            self._last, self._last_at = result, self._clock()

    def refused(self, address: str, reason: str) -> None:
        code = reason.partition(":")[0]
        _count(self._connections_refused, code if code in self._connections_refused else OTHER)

    def turned(self, status: str, detail: str = "") -> None:
        if status in ("finished", "stopped", "failed"):
            self._phases.end()

    # -- what is shown ----------------------------------------------------------------------------------------------

    def collect(self) -> Iterator[Metric]:
        yield _gauge("asyncagg_build_info", "The version that runs.", {__version__: 1}, "version")
        turned = {str(each): float(each == self._view.status) for each in STATUSES}
        yield _gauge("asyncagg_status", "1 for how far the process has come.", turned, "status")
        yield from self._of_players()
        if self._view.name == MODEL_OWNER:
            yield from self._of_rounds()
        yield _counter("asyncagg_aborts", "Attempts that a player here ended without a sum.", {"": self._aborts})
        if self._phases.seconds:
            yield _histogram("asyncagg_phase_seconds", "Time in a phase, at the lead.", self._phases.seconds, "phase")
        if self._view.name == LEAD:
            text = "Owners that the lead left out or went on without, by the phase."
            yield _counter("asyncagg_owners_dropped", text, self._dropped, "phase")
        text = "Connections and channels that were refused, by code."
        yield _counter("asyncagg_connections_refused", text, self._connections_refused, "reason")
        text = "Refusals of what connected players said, by their role."
        yield _counter("asyncagg_peers_refused", text, self._peers_refused, "role")

    def _of_players(self) -> Iterator[Metric]:
        """Summed over the players here, whose role is the label."""
        sent: dict[str, int] = {}
        received: dict[str, int] = {}
        peers, newest = dict.fromkeys(ROLES, 0), Label(0, 0)
        for player in self._view.players():
            role, usage = _role(player.me), player.usage
            sent[role] = sent.get(role, 0) + usage.sent
            received[role] = received.get(role, 0) + usage.received
            newest = max(newest, player.label)
        for peer in self._view.peers():
            _count(peers, _role(peer))
        yield _counter("asyncagg_sent_bytes", "Bytes sent to other players, headers included.", sent, "role")
        yield _counter("asyncagg_received_bytes", "Bytes received, headers included.", received, "role")
        yield _gauge("asyncagg_connected_peers", "Other players that are connected, by their role.", peers, "role")
        if newest.attempt:
            yield _gauge("asyncagg_round", "The latest round that was begun, from 0.", {"": newest.round})
            yield _gauge("asyncagg_attempt", "The latest attempt at it, from 1.", {"": newest.attempt})

    def _of_rounds(self) -> Iterator[Metric]:
        """Metrics that only the model owner knows."""
        yield _counter("asyncagg_rounds", "Rounds that ended, by outcome.", self._rounds, "outcome")
        yield _counter("asyncagg_attempts", "Attempts at the rounds that ended.", {"": self._attempts})
        yield _counter("asyncagg_survivors", "Owners in a mean, summed over rounds.", {"": self._survivors})
        yield _histogram("asyncagg_round_seconds", "Time of a round, all attempts.", {"": self._round_seconds})
        if self._last is not None:
            count = {"": len(self._last.survivors)}
            yield _gauge("asyncagg_last_mean_survivors", "Owners in the latest mean.", count)
            yield _gauge("asyncagg_last_mean_timestamp_seconds", "When it was made.", {"": self._last_at})


def _role(player: str) -> str:
    role = role_of(player)
    return role if role in ROLES else OTHER


def _count(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1


def _counter(name: str, text: str, values: Mapping[str, float], label: str | None = None) -> Metric:
    """`name_total`; values by label, or one without under the empty string. So for the others."""
    family = CounterMetricFamily(name, text, labels=[label] if label else [])
    for key, value in values.items():
        family.add_metric([key] if label else [], value)
    return family


def _gauge(name: str, text: str, values: Mapping[str, float], label: str | None = None) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label] if label else [])
    for key, value in values.items():
        family.add_metric([key] if label else [], value)
    return family


def _histogram(name: str, text: str, values: Mapping[str, Durations], label: str | None = None) -> Metric:
    family = HistogramMetricFamily(name, text, labels=[label] if label else [])
    for key, each in values.items():
        family.add_metric([key] if label else [], each.buckets(), each.total)
    return family
