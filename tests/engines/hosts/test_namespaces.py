"""Seven hosts with their own addresses, 50 ms apart, one packet in a hundred lost: the same means, and in secret."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import asyncagg
from asyncagg.crypto.keystream import Uniforms
from asyncagg.engines.experiment import Experiment, prepare
from asyncagg.protocols.names import Label
from asyncagg.scenario.reading.load import parse
from asyncagg.vectors.packing import pack
from benchmarks.testbed import Capture, Link, Testbed, hosts, obstacle
from benchmarks.testbed.hosts import one_each, play

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

PLAYERS = one_each(data_owners=3, compute_nodes=3)
FAR = Link(delay_ms=50, loss=0.01)
PIECE = 24

WITNESS = """
import json
from asyncagg.cli.main import main
from asyncagg.net.tcp.session import TcpChannel

send = TcpChannel.send

def remember(self, kind, body=b"", payload=b""):
    with open("sent", "a") as file:
        print(json.dumps([kind, bytes(body).hex(), bytes(payload).hex()]), file=file)
    return send(self, kind, body, payload)

TcpChannel.send = remember
main()
"""
"""asyncagg, which writes down what it gives to its connections: body and payload of each frame."""

HANDSHAKE, CHANGE_CIPHER_SPEC, APPLICATION_DATA = 22, 20, 23
"""Content types of TLS records (RFC 8446, 5.1). Since TLS 1.3 all that is encrypted is application data."""


@pytest.fixture(autouse=True)
def _possible() -> None:
    if reason := obstacle():
        pytest.skip(f"no network namespaces here: {reason}")


def digits(protocol: str, rounds: int) -> dict[str, Any]:
    """The first scenario there is, with draws that make means comparable; the links are the testbed's."""
    return {
        "name": "digits",
        "rounds": rounds,
        "owners": {"count": 3},
        "aggregation": {"protocol": protocol, "compute_nodes": 3, "minimum_cohort": 3},
        "encoding": {"rounding_draws": "seeded"},
        "workload": {"kind": "digits", "model": "mlp"},
    }


def played(scenario: dict[str, Any], folder: Path, link: Link, *, secure: bool = True) -> tuple[Path, Capture]:
    """The run directory, and what crossed between the hosts."""
    with Testbed(PLAYERS, link, capture=folder / "all.pcap") as bed:
        run = play(bed, scenario, folder / "play", secure=secure)
    return run, bed.captured()


def pieces(data: bytes) -> list[bytes]:
    """Stretches of data that nothing else holds by chance."""
    cut = (data[at : at + PIECE] for at in range(0, len(data) - PIECE, PIECE))
    return [piece for piece in cut if len(set(piece)) > PIECE // 3]


def parameters(experiment: Experiment) -> list[bytes]:
    """Of what the model owner publishes in the first round."""
    published = experiment.workload.model_owner().initial_parameters()
    return pieces(b"".join(array.tobytes() for array in published.values()))


def gradients(experiment: Experiment, owner: int) -> list[bytes]:
    """Of the slices that an owner puts into the sum of the first round, packed, before any mask is on them."""
    published = experiment.workload.model_owner().initial_parameters()
    arrays, weight = experiment.workload.owner(owner).compute_gradient(published, 0)
    draws = Uniforms(experiment.draws_key(owner)(Label(0, 0)))
    ring, plan = experiment.encoder.ring, experiment.plan
    encoded = experiment.encoder.encode(experiment.layout.flatten(arrays), weight, draws)
    words = plan.extend(encoded.words, weight, ring)
    slices = (words[slice(*plan.bounds(node))] for node in range(plan.nodes))
    return [piece for each in slices for piece in pieces(bytes(pack(each, ring.bits)))]


def sent(run: Path) -> dict[str, list[bytes]]:
    """Stretches of what all witnesses of a run sent, by the kind of frame."""
    found: dict[str, list[bytes]] = {}
    for file in sorted(run.parents[2].glob("*/sent")):
        for line in file.read_text().splitlines():
            kind, *parts = json.loads(line)
            for part in parts:
                found.setdefault(kind, []).extend(pieces(bytes.fromhex(part)))
    return {kind: each for kind, each in found.items() if each}


def records(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Content type and content of each TLS record in a stream; the last one may be cut short."""
    at = 0
    while at < len(stream):
        length = int.from_bytes(stream[at + 3 : at + 5])
        assert stream[at + 1] == 3, "no TLS record begins here"
        yield stream[at], stream[at + 5 : at + 5 + length]
        at += 5 + length


def test_digits_trains_to_the_same_means_as_on_tcp(tmp_path: Path) -> None:
    scenario = digits("secagg+", rounds=20)
    here = asyncagg.run(scenario, engine="tcp")
    run, capture = played(scenario, tmp_path, FAR)
    assert here["status"] == "ok"
    with np.load(run / "means.npz") as means:
        assert sorted(means.files) == sorted(f"round-{index}" for index in range(20))
        for index, mean in here.means.items():
            assert means[f"round-{index}"].tobytes() == mean.tobytes()
    assert capture.found(name.encode() for name in PLAYERS) == []
    for stream in capture.streams():
        if stream.data:
            (first, hello), (second, _), *others = records(stream.data)
            assert (first, second) == (HANDSHAKE, CHANGE_CIPHER_SPEC)
            assert hello[0] in (1, 2), "neither a ClientHello nor a ServerHello"
            assert {kind for kind, _ in others} <= {APPLICATION_DATA}


def test_nothing_is_told_outside_of_tls(tmp_path: Path) -> None:
    """`plain` masks nothing: TLS alone keeps its secrets. Without it, everything is there to be found."""
    scenario = digits("plain", rounds=2)
    experiment = prepare(parse(scenario))
    names = [name.encode() for name in PLAYERS]
    numbers = [parameters(experiment), *(gradients(experiment, owner) for owner in range(3))]
    assert all(len(each) > 20 for each in numbers)
    (tmp_path / "open").mkdir()
    _, in_clear = played(scenario, tmp_path / "open", Link(delay_ms=5, loss=0.01), secure=False)
    assert in_clear.found(names) == names
    for wanted in numbers:
        assert in_clear.found(wanted) == wanted
    (tmp_path / "closed").mkdir()
    _, in_secret = played(scenario, tmp_path / "closed", FAR)
    assert len(in_secret.streams()) > len(PLAYERS)
    assert in_secret.found(names) == []
    for wanted in numbers:
        assert in_secret.found(wanted) == []


def test_no_frame_is_seen_outside_of_tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the players really sent, shares of secrets among it, though nobody else can compute that again."""
    monkeypatch.setattr(hosts, "_ASYNCAGG", (sys.executable, "-c", WITNESS))
    scenario = digits("secagg+", rounds=2)
    (tmp_path / "open").mkdir()
    run, in_clear = played(scenario, tmp_path / "open", Link(delay_ms=5, loss=0.01), secure=False)
    said = sent(run)
    assert {"publish", "sealed-shares", "share-boxes", "masked-slice", "unmask-shares", "sum-slice"} <= said.keys()
    for wanted in said.values():
        assert in_clear.found(wanted) == wanted
    (tmp_path / "closed").mkdir()
    run, in_secret = played(scenario, tmp_path / "closed", FAR)
    said = sent(run)
    assert "unmask-shares" in said
    for wanted in said.values():
        assert in_secret.found(wanted) == []
