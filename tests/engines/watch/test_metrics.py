"""Metrics are right, by the result of the same run, in a form that Prometheus's own parser reads; and few."""

from __future__ import annotations

import re
import sys

import pytest
from support.observed import Watched, noted, samples

from asyncagg.engines.watch.interface import View
from asyncagg.engines.watch.metrics import BUCKETS, CONTENT_TYPE, Durations, Metrics, PhaseClock
from asyncagg.engines.watch.observers import ObservingError, observe
from asyncagg.net.errors import Refusal
from asyncagg.runs.result import RoundResult

DROP = [{"kind": "drop", "phase": "upload", "players": ["data-owner-1"]}]


def test_a_run_is_counted_as_its_result_has_it(monkeypatch):
    watched = Watched()
    result = watched.run(monkeypatch, "secagg", 5, rounds=3, faults=DROP)
    assert result.status == "ok"
    found = watched.samples()
    assert found["asyncagg_rounds_total", (("outcome", "ok"),)] == 3
    assert found["asyncagg_rounds_total", (("outcome", "failed"),)] == 0
    assert found["asyncagg_attempts_total", ()] == 3
    assert found["asyncagg_survivors_total", ()] == 12
    assert found["asyncagg_last_mean_survivors", ()] == 4
    assert found["asyncagg_last_mean_timestamp_seconds", ()] == 1_700_000_000
    assert found["asyncagg_round_seconds_count", ()] == 3
    took = sum(each.seconds["total"] for each in result.rounds)
    assert found["asyncagg_round_seconds_sum", ()] == pytest.approx(took)
    assert (found["asyncagg_round", ()], found["asyncagg_attempt", ()]) == (2, 1)
    for role in ("model-owner", "compute-node", "data-owner"):
        for way in ("sent", "received"):
            counted = sum(getattr(each.traffic[role], way) for each in result.rounds)
            assert found[f"asyncagg_{way}_bytes_total", (("role", role),)] == counted > 0


def test_phases_are_timed_at_the_lead_as_in_the_result(monkeypatch):
    watched = Watched("compute-node-0")
    result = watched.run(monkeypatch, "secagg", 5, rounds=2, faults=DROP)
    watched.observation.turned("finished")
    found = watched.samples()
    for phase in ("advertise", "share", "upload", "unmask"):
        label = (("phase", phase),)
        took = sum(each.seconds[phase] for each in result.rounds)
        assert found["asyncagg_phase_seconds_count", label] == 2
        assert found["asyncagg_phase_seconds_sum", label] == pytest.approx(took)
    assert found["asyncagg_owners_dropped_total", (("phase", "upload"),)] == 2
    assert not any(name == "asyncagg_rounds_total" for name, _ in found)


def test_failed_rounds_and_attempts_are_counted(monkeypatch):
    watched = Watched()
    everyone = [{"kind": "drop", "phase": "upload", "players": {"fraction": 0.8}}]
    result = watched.run(monkeypatch, "secagg", 5, faults=everyone, aggregation={"on_failure": "retry", "retries": 1})
    assert result.status == "failed"
    found = watched.samples()
    assert found["asyncagg_rounds_total", (("outcome", "failed"),)] == 1
    assert found["asyncagg_attempts_total", ()] == result.rounds[0].attempts
    assert found["asyncagg_aborts_total", ()] >= 1
    assert ("asyncagg_last_mean_survivors", ()) not in found


def test_no_name_of_a_player_and_no_secret_is_in_it(monkeypatch):
    """Labels come from sets of this program: as many series with twenty owners as with five."""
    few, many = Watched(), Watched()
    few.run(monkeypatch, "secagg", 5, faults=DROP)
    many.run(monkeypatch, "secagg", 20, rounds=2, faults=DROP)
    for watched in (few, many):
        watched.observation.turned("finished")
    assert few.samples().keys() == many.samples().keys()
    labels = {value for _, pairs in many.samples() for _, value in pairs}
    assert not [value for value in labels if re.search(r"owner-\d|node-\d", value)]
    assert "loss" not in many.metrics.text().decode()
    assert len(many.samples()) < 200


def test_what_strangers_say_makes_no_series():
    metrics = Metrics(View("compute-node-1"))
    before = samples(metrics.text()).keys()
    for reason in (
        "garbage: \n# evil 1",
        'unknown"\\\n',
        "",
        "é" * 1000,
        *(f"reason-{each}: x" for each in range(1000)),
    ):
        metrics.refused('10.0.0.1:4"\n', reason)
    metrics.refused("10.0.0.1:5", f"{Refusal.WRONG_RUN}: another run")
    found = samples(metrics.text())
    assert found.keys() == before
    assert found["asyncagg_connections_refused_total", (("reason", "garbage"),)] == 1
    assert found["asyncagg_connections_refused_total", (("reason", "wrong-run"),)] == 1
    assert found["asyncagg_connections_refused_total", (("reason", "other"),)] == 1003


def test_refused_peers_are_counted_by_role():
    metrics = Metrics(View("compute-node-0"))
    for peer in ("data-owner-3", "data-owner-4", "compute-node-2", "x\ny-1"):
        metrics.record(noted("refuse", receiver=peer, detail="said nonsense"))
    found = samples(metrics.text())
    refused = {labels: value for (name, labels), value in found.items() if name == "asyncagg_peers_refused_total"}
    assert refused == {(("role", "data-owner"),): 2, (("role", "compute-node"),): 1, (("role", "other"),): 1}


def test_names_follow_the_conventions_and_every_metric_is_explained():
    metrics = Metrics(View("model-owner"))
    metrics.round_ended(RoundResult(0, "ok", survivors=["data-owner-0"], seconds={"total": 0.2}))
    text = metrics.text().decode()
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    for name, kind in kinds.items():
        assert re.search(rf"^# HELP {name} \S", text, re.MULTILINE), name
        assert name.startswith(("asyncagg_", "process_"))
        assert (kind == "counter") == name.endswith("_total"), name
    assert not [name for name in kinds if name.endswith("_created")]
    assert "version=0.0.4" in CONTENT_TYPE


def test_status_is_one_of_five():
    view = View("model-owner")
    metrics = Metrics(view)
    for status in ("starting", "ok", "finished", "stopped", "failed"):
        view.turned(status)
        found = samples(metrics.text())
        turned = {dict(labels)["status"]: v for (name, labels), v in found.items() if name == "asyncagg_status"}
        assert turned == {**dict.fromkeys(("starting", "ok", "finished", "stopped", "failed"), 0), status: 1}


def test_buckets_are_cumulative_and_hold_their_bounds():
    durations = Durations()
    for seconds in (0.01, 0.011, 0.3, 1e6):
        durations.observe(seconds)
    buckets = dict(durations.buckets())
    assert (buckets["0.01"], buckets["0.025"], buckets["0.5"], buckets["300.0"], buckets["+Inf"]) == (1, 2, 3, 3, 4)
    assert len(buckets) == len(BUCKETS) + 1


def test_a_phase_ends_with_the_next_one_with_an_abort_or_with_the_last_word_of_its_attempt():
    clock = PhaseClock()
    for record in (
        noted("phase", 0, phase="share"),
        noted("phase", 2_000_000_000, phase="upload"),
        noted("message", 3_000_000_000),
        noted("phase", 90_000_000_000, attempt=2, phase="share"),  # the first attempt was given up by somebody else
        noted("abort", 95_000_000_000, attempt=2),
        noted("message", 99_000_000_000, attempt=2),
    ):
        clock.record(record)
    clock.end()
    assert clock.seconds["upload"].total == 1.0
    assert clock.seconds["share"].total == 2.0 + 5.0


def test_without_the_package_the_extra_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "prometheus_client"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "asyncagg.engines.watch.metrics")
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ObservingError, match=r"pip install 'asyncagg\[metrics\]'"):
        observe("compute-node-0", log=None, metrics="0")


@pytest.mark.parametrize(
    "address", ["", "x", ":", "70000", "-1", "127.0.0.1:", "::1:80", "[::1]", "a b:80", "1.2.3:80"]
)
def test_what_is_no_address_is_refused_in_one_line(address):
    with pytest.raises(ObservingError, match=r"^--metrics is .*") as refused:
        observe("compute-node-0", log=None, metrics=address)
    assert "\n" not in str(refused.value)
