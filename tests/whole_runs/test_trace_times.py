"""When messages left and arrived, and when players computed: exact in virtual time, and over sockets."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import Any

import pytest
from support.runs import run

from asyncagg.players.base import BasePlayer
from asyncagg.runs.trace import Record

MS = 1_000_000
L = 40 * MS
A, B = 1_000, 400
"""Nanoseconds a byte takes on an owner's line up, at 8 Mbit/s, and down, at 20 Mbit/s."""
PRICES = {"key_pair": "11 us", "key_agreement": "13 us", "gradient": "5 ms", "keystream": "1 GB", "encode": "250 MB"}
PROTOCOLS = ("plain", "pairwise", "additive", "secagg", "secagg+")


def messages(result: Any) -> list[Record]:
    return [record for record in result.trace.records if record.event == "message"]


def spans(result: Any) -> list[Record]:
    return [record for record in result.trace.records if record.event == "span"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_with_latency_alone_every_message_is_one_way_under_way(protocol: str) -> None:
    said = messages(run(protocol, network={"latency": "40 ms"}))
    ways = {None if each.arrived is None else each.arrived - each.t for each in said if each.kind != "finish"}
    assert ways == {L}


def on_lines(sent: list[Record]) -> dict[int, int]:
    """Place of a message → when it must arrive: an owner's lines carry one message after the other, first come first.

    The closed form of a host's line: done = max(now, free) + size · a, once up and, a way later, once down.
    """
    up: dict[str, int] = defaultdict(int)
    down: dict[str, int] = defaultdict(int)
    channel: dict[tuple[str, str], int] = defaultdict(int)
    reached: list[tuple[int, int, Record]] = []
    for place, each in enumerate(sent):
        left = each.t
        if each.sender.startswith("data-owner"):
            left = up[each.sender] = max(left, up[each.sender]) + A * each.bytes
        pair = each.sender, each.receiver
        channel[pair] = max(channel[pair], left + L)
        reached.append((channel[pair], place, each))
    due = {}
    for came, place, each in sorted(reached, key=lambda item: item[:2]):
        due[place] = came
        if each.receiver.startswith("data-owner"):
            due[place] = down[each.receiver] = max(came, down[each.receiver]) + B * each.bytes
    return due


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_on_lines_of_limited_bandwidth_every_message_arrives_when_the_closed_form_says(protocol: str) -> None:
    lines = {"home": {"latency": "40 ms", "bandwidth_up": "8 Mbit", "bandwidth_down": "20 Mbit"}}
    said = messages(run(protocol, network={"latency": "40 ms"}, links=lines, owners_table={"link": "home"}))
    due = on_lines(said)
    late = [(each.kind, each.arrived, due[place]) for place, each in enumerate(said) if each.kind != "finish"]
    assert [arrived for _, arrived, _ in late] == [when for *_, when in late]


def test_over_sockets_a_message_arrives_when_its_receiver_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    deliver = BasePlayer.deliver

    def watched(self: BasePlayer, frame: Any) -> None:
        before = self.now()
        deliver(self, frame)
        seen[frame.sender, self.me].append((before, self.now()))

    monkeypatch.setattr(BasePlayer, "deliver", watched)
    traced: dict[tuple[str, str], list[int | None]] = defaultdict(list)
    for each in messages(run("secagg+", engine="tcp")):
        if each.arrived is not None:
            assert each.arrived >= each.t
            traced[each.sender, each.receiver].append(each.arrived)
    assert {pair: len(times) for pair, times in traced.items()} == {pair: len(times) for pair, times in seen.items()}
    for pair, times in traced.items():
        for at, (before, after) in zip(times, seen[pair], strict=True):
            assert before <= (at or 0) <= after, pair


def test_what_is_lost_on_its_way_never_arrives() -> None:
    fault = {"kind": "partition", "players": ["data-owner-1"], "phase": "upload"}
    said = messages(
        run("secagg+", faults=[fault], network={"latency": "10 ms"}, phases={"upload": {"deadline": "1 s"}})
    )
    lost = [each for each in said if each.arrived is None and each.kind != "finish"]
    assert lost
    assert {each.sender for each in lost} | {each.receiver for each in lost} >= {"data-owner-1"}
    assert all("data-owner-1" in (each.sender, each.receiver) for each in lost)


def test_one_player_computes_one_thing_at_a_time() -> None:
    result = run("secagg+", owners=6, network={"latency": "1 ms"}, compute=PRICES, rounds=2)
    by_player: dict[str, list[Record]] = defaultdict(list)
    for span in spans(result):
        by_player[span.sender].append(span)
    for player, mine in by_player.items():
        mine.sort(key=lambda span: (span.t, span.until))
        overlaps = [(one, two) for one, two in itertools.pairwise(mine) if (one.until or 0) > two.t]
        assert not overlaps, player
    assert sum((span.until or 0) > span.t for span in spans(result)) > 6 * 2 * 3


def test_spans_say_what_was_computed_and_take_their_price() -> None:
    kinds: dict[str, dict[str, int]] = defaultdict(dict)
    for span in spans(run("secagg+", compute=PRICES)):
        kinds[span.sender][span.kind] = (span.until or 0) - span.t
    owner = kinds["data-owner-0"]
    assert list(owner) == ["gradient", "encode", "keys", "roster", "shares", "boxes", "masks", "pack"]
    assert (owner["gradient"], owner["encode"], owner["keys"]) == (5 * MS, 8 * 60 * 4, 2 * 11_000)
    assert {"add", "unmask", "pack"} <= set(kinds["compute-node-1"])
    assert {"unpack", "learn"} == set(kinds["model-owner"])


@pytest.mark.parametrize("engine", ["sim", "tcp"])
def test_shares_of_owners_add_up_to_what_channels_counted(engine: str) -> None:
    result = run("secagg+", owners=5, engine=engine, rounds=2)
    for each in result["rounds"]:
        counted = each["bytes"]["data-owner"]
        for way in ("sent", "received"):
            assert sum(owner[way] for owner in each["owners"].values()) == counted[way]
            of_phases = (phase["data-owner"][way] for phase in each["phases"].values() if "data-owner" in phase)
            assert sum(of_phases) == counted[way]


def test_a_thinned_trace_keeps_rounds_and_what_they_came_to() -> None:
    whole, thin, none = (run("secagg+", trace={"keep": keep}, rounds=2) for keep in ("all", "rounds", "none"))
    assert [result["trace"]["keep"] for result in (whole, thin, none)] == ["all", "rounds", "none"]
    assert {record.event for record in thin.trace.records} == {"phase", "round"}
    kept = [record.line() for record in whole.trace.records if record.event not in ("message", "span")]
    assert [record.line() for record in thin.trace.records] == kept
    assert (none.trace.records, none["trace_digest"]) == ([], None)
    assert [each["critical_path"] for each in thin["rounds"]] == [each["critical_path"] for each in whole["rounds"]]
    assert [each["owners"] for each in thin["rounds"]] == [{}, {}]
    assert thin["rounds"][0]["phases"] == whole["rounds"][0]["phases"]
    for key in ("survivors", "bytes", "work", "error_max"):
        assert len({str([each[key] for each in result["rounds"]]) for result in (whole, thin, none)}) == 1
