"""Conformance suite: anyone can check in their own tests that a protocol does what every protocol must.

    from asyncagg.testing.conformance import violations

    def test_my_protocol():
        assert violations("ring") == []

The protocol is played in `sim`, as any scenario is, under every threat and reveal that it says it withstands:

    mean       the mean of the survivors bit for bit, or a failure with a reason: with nobody dropping, with one owner
               dropping in each phase, in many delivery orders (random latencies), and with every message said twice
    calm       where nothing goes wrong, nothing fails
    time       no attempt outlasts the sum of its phase deadlines
    mailbox    no role holds more of a kind than its peers may send
    clear      no vector of an owner is said as it is, unless the protocol says that it protects nothing
    forecast   key agreements and mask expansions are those forecast, and bytes within one per cent, or 100

Every violation is a line that begins with its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from asyncagg.engines.experiment import prepare
from asyncagg.engines.launch import begin, play
from asyncagg.engines.outlook import Outlook
from asyncagg.engines.record.run_record import RunRecord
from asyncagg.net.durations import SECOND_NS
from asyncagg.players.base import BasePlayer
from asyncagg.players.data_owner import DataOwnerPlayer
from asyncagg.players.driver import RoleDriver
from asyncagg.protocols import messages as m
from asyncagg.protocols.context import Context
from asyncagg.protocols.effects import Role
from asyncagg.protocols.interface import Protocol
from asyncagg.protocols.names import Label, Phase, Player, index_of, role_of
from asyncagg.protocols.registry import find
from asyncagg.runs.result import RoundResult
from asyncagg.scenario.reading.load import parse
from asyncagg.vectors.packing import unpack
from asyncagg.vectors.ring import RingVector

OWNERS: Final = 6
_DIMENSION: Final = 2000
_BYTES_APART: Final = 0.01
_SMALL: Final = 100
"""Bytes of an owner by which small vectors may be off: names and numbers are shorter than the largest."""
_DEADLINE_NS: Final = SECOND_NS
_LOOK_ALIKE: Final = 0.5
"""Share of coordinates that may be as they were before they count as said in clear."""


@dataclass(slots=True)
class _Seen:
    """Observations made while a run was played."""

    clear: list[str] = field(default_factory=list)
    crowded: list[str] = field(default_factory=list)
    vectors: dict[Player, RingVector] = field(default_factory=dict)


def violations(name: str, orders: int = 8) -> list[str]:
    """Violations by the protocol of this name; empty where it conforms. `orders` is the number of delivery orders."""
    protocol = find(name)
    found: list[str] = []
    for threat in protocol.threats:
        for reveal in protocol.reveals:
            keys = {"threat": threat, "reveal": reveal}
            found += _calm(protocol, keys)
            for phase in protocol.phases[:-1]:
                found += _played(protocol, keys, 0, drop=phase)
            for order in range(orders):
                found += _played(protocol, keys, order, shuffled=True, drop=None if order % 2 else "upload")
            found += _played(protocol, keys, 0, twice=True)
    return found


def _scenario(
    protocol: Protocol, keys: Mapping[str, str], seed: int, drop: Phase | None = None, shuffled: bool = False
) -> dict[str, Any]:
    phases = {phase: {"deadline": "1 s"} for phase in protocol.phases}
    values: dict[str, Any] = {
        "name": "conformance",
        "engine": "sim",
        "seed": seed,
        "owners": {"count": OWNERS},
        "aggregation": {
            "protocol": protocol.name,
            "compute_nodes": max(3, protocol.least_nodes),
            "corrupt": 0.1,
            "dropout": 0.2,
            **keys,
        },
        "workload": {"kind": "synthetic", "dimension": _DIMENSION},
        "phases": phases,
    }
    if shuffled:
        values["network"] = {"latency": {"model": "uniform", "low": "0 ms", "high": "90 ms"}}
    if drop is not None:
        values["faults"] = [{"kind": "drop", "players": ["data-owner-1"], "phase": drop}]
    return values


def _calm(protocol: Protocol, keys: Mapping[str, str]) -> Iterator[str]:
    """A run in which nothing goes wrong, and its forecast."""
    values = _scenario(protocol, keys, 0)
    record, seen = _run(values)
    yield from _judged(record, seen, protocol, keys, "nobody drops")
    each = record.result.rounds[0] if record.result.rounds else None
    where = _where(protocol, keys, "nobody drops")
    if each is None or each.status != "ok" or each.attempts != 1:
        yield f"calm: {where}: {record.result.reason or (each and each.reason) or 'tried again'}"
        return
    cost = Outlook(prepare(parse(values))).cost
    counted = {
        "data-owner": OWNERS * cost.mask_expansions.each_owner,
        "compute-node": cost.mask_expansions.compute_nodes,
        "model-owner": cost.mask_expansions.model_owner,
    }
    expanded = {role: each.mask_expansions.get(role, 0) for role in counted}
    if expanded != counted:
        yield f"forecast: {where}: mask expansions {expanded}, forecast {counted}"
    agreements = OWNERS * cost.key_agreements.each_owner + cost.key_agreements.compute_nodes
    agreements += cost.key_agreements.model_owner
    if each.key_agreements != agreements:
        yield f"forecast: {where}: {each.key_agreements} key agreements, forecast {agreements}"
    traffic = each.traffic["data-owner"]
    for way, bytes_said, forecast in (
        ("sent", traffic.sent, cost.owner_bytes.sent),
        ("received", traffic.received, cost.owner_bytes.received),
    ):
        if abs(bytes_said - OWNERS * forecast) > max(_BYTES_APART * bytes_said, OWNERS * _SMALL):
            yield f"forecast: {where}: owners {way} {bytes_said} bytes, forecast {OWNERS * forecast}"


def _played(
    protocol: Protocol,
    keys: Mapping[str, str],
    seed: int,
    drop: Phase | None = None,
    shuffled: bool = False,
    twice: bool = False,
) -> Iterator[str]:
    record, seen = _run(_scenario(protocol, keys, seed, drop, shuffled), twice)
    parts = [f"one drops in {drop}" if drop else "nobody drops"]
    parts += [f"delivery order {seed}"] * shuffled + ["every message twice"] * twice
    yield from _judged(record, seen, protocol, keys, ", ".join(parts))


def _judged(record: RunRecord, seen: _Seen, protocol: Protocol, keys: Mapping[str, str], what: str) -> Iterator[str]:
    where = _where(protocol, keys, what)
    for each in record.result.rounds:
        if each.status == "ok" and not each.exact:
            yield f"mean: {where}: it is not that of {', '.join(each.survivors)}"
        if each.status != "ok" and not each.reason:
            yield f"mean: {where}: it failed without a reason"
        yield from _late(each, protocol, where)
    if not record.result.rounds and not record.result.reason:
        yield f"mean: {where}: no round, and no reason"
    yield from (f"mailbox: {where}: {line}" for line in seen.crowded)
    if protocol.protects:
        yield from (f"clear: {where}: {line}" for line in dict.fromkeys(seen.clear))


def _late(each: RoundResult, protocol: Protocol, where: str) -> Iterator[str]:
    most = each.attempts * len(protocol.phases) * _DEADLINE_NS / 1e9
    if each.seconds["total"] > most:
        yield f"time: {where}: {each.seconds['total']:g} s in {each.attempts} attempts, may last {most:g} s"


def _where(protocol: Protocol, keys: Mapping[str, str], what: str) -> str:
    return f"{protocol.name}, {keys['threat']}, reveal {keys['reveal']}, {what}"


# -- looking on ------------------------------------------------------------------------------------------------------


def _run(values: dict[str, Any], twice: bool = False) -> tuple[RunRecord, _Seen]:
    scenario = parse(values)
    record, seen = begin(scenario), _Seen()
    experiment = prepare(scenario)
    owner = experiment.protocol.owner

    def speaking(context: Context, vector: RingVector) -> Role[None]:
        seen.vectors[context.me] = vector.copy()
        return owner(context, vector)

    watched = replace(experiment, protocol=replace(experiment.protocol, owner=speaking))
    with _watched(seen, twice):
        play(watched, record, lambda _: None)
    return record, seen


@contextmanager
def _watched(seen: _Seen, twice: bool) -> Iterator[None]:
    """Look on from outside, around functions of the product, so that nothing in a protocol knows of it."""
    send, deliver = BasePlayer.send, RoleDriver.deliver

    def sending(player: BasePlayer, label: Label, to: Player, message: m.Message, phase: Phase) -> None:
        _look(seen, player, to, message)
        for _ in range(1 + (twice and to != player.me)):
            send(player, label, to, message, phase)

    def delivering(driver: RoleDriver, peer: Player, message: m.Message) -> None:
        deliver(driver, peer, message)
        held = driver.held(type(message))
        most = (OWNERS + 8) * (OWNERS if type(message).many else 1)
        if held > most:
            seen.crowded.append(f"{driver.role} holds {held} of {message.kind}")

    with _replaced(BasePlayer, "send", sending), _replaced(RoleDriver, "deliver", delivering):
        yield


@contextmanager
def _replaced(target: object, name: str, value: Callable[..., Any]) -> Iterator[None]:
    former = getattr(target, name)
    setattr(target, name, value)
    try:
        yield
    finally:
        setattr(target, name, former)


def _look(seen: _Seen, player: BasePlayer, to: Player, message: m.Message) -> None:
    """Note an owner's vector that is said as it is, and a message that calls itself clear."""
    if not isinstance(player, DataOwnerPlayer):
        return
    if message.exposure == "clear":
        seen.clear.append(f"{message.kind} is said in clear")
    vector = seen.vectors.get(player.me)
    if vector is None or not len(message.payload) or role_of(to) != "compute-node":
        return
    terms = player.terms
    start, stop = terms.slice_bounds(index_of(to))
    try:
        said = unpack(message.payload, stop - start, terms.ring.bits)
    except ValueError:
        return  # no slice
    alike = np.mean(said == vector[start:stop])
    if alike > _LOOK_ALIKE:
        seen.clear.append(f"{message.kind} holds {alike:.0%} of the vector of its sender as it is")
