"""The testbed does to packets what it says, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.testbed import BedError, Capture, Link, Testbed, fabrics, iproute

PAIR = ("near", "far")


SERVE = """
import socket, sys
with socket.create_server((sys.argv[1], 7000)) as listener:
    print("listening", flush=True)
    while True:
        peer, _ = listener.accept()
        with peer:
            while data := peer.recv(1 << 20):
                peer.sendall(data.strip(bytes(1)))
            peer.sendall(b"done")
"""
"""Sends back what it hears, zeros excepted, and says when it has all."""

PING = """
import socket, sys, time
with socket.create_connection((sys.argv[1], 7000)) as peer:
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for _ in range(int(sys.argv[2])):
        begun = time.monotonic()
        peer.sendall(b"are you there")
        peer.recv(100)
        print(time.monotonic() - begun)
"""

POUR = """
import socket, sys, time
begun = time.monotonic()
with socket.create_connection((sys.argv[1], 7000)) as peer:
    peer.sendall(bytes(int(sys.argv[2])))
    peer.shutdown(socket.SHUT_WR)
    assert peer.recv(100) == b"done"
print(time.monotonic() - begun)
"""

COUNT = """
import socket, sys
with socket.socket(type=socket.SOCK_DGRAM) as box:
    box.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)
    box.bind((sys.argv[1], 7000))
    print("listening", flush=True)
    heard = 0
    box.settimeout(2)
    try:
        while True:
            box.recv(100)
            heard += 1
    except TimeoutError:
        print(heard)
"""

FLOOD = """
import socket, sys, time
with socket.socket(type=socket.SOCK_DGRAM) as box:
    for number in range(int(sys.argv[2])):
        box.sendto(b"datagram", (sys.argv[1], 7000))
        if number % 50 == 0:
            time.sleep(0.002)
"""


@contextmanager
def serve(bed: Testbed, host: str, program: str = SERVE) -> Iterator[subprocess.Popen[str]]:
    """A program on a host, listening until the context ends."""
    words = [sys.executable, "-c", program, bed.address(host)]
    with bed.popen(host, words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "listening\n"
            yield process
        finally:
            process.kill()


def seconds(bed: Testbed, program: str, *arguments: object) -> list[float]:
    """What a program on `near` measures against `far`."""
    words = [sys.executable, "-c", program, bed.address("far"), *(str(argument) for argument in arguments)]
    with bed.popen("near", words, stdout=subprocess.PIPE, text=True) as process:
        printed = process.communicate(timeout=60)[0]
    assert process.returncode == 0
    return [float(line) for line in printed.split()]


def round_trips(bed: Testbed, times: int = 10) -> list[float]:
    with serve(bed, "far"):
        return seconds(bed, PING, times)


def test_a_round_trip_takes_the_delay_twice() -> None:
    with Testbed(PAIR, Link(delay_ms=20)) as bed:
        assert 0.040 <= min(round_trips(bed)) < 0.045


def test_every_host_reaches_every_other_at_its_address_and_at_no_other_port_of_ours() -> None:
    with Testbed(["a", "b.1", "c-2"]) as bed:
        assert [bed.address(host) for host in bed.hosts] == ["10.77.0.1", "10.77.0.2", "10.77.0.3"]
        for host in bed.hosts:
            with serve(bed, host):
                for other in bed.hosts:
                    words = [sys.executable, "-c", PING, bed.address(host), "1"]
                    with bed.popen(other, words, stdout=subprocess.DEVNULL) as ping:
                        assert ping.wait(timeout=10) == 0


@pytest.mark.long
@pytest.mark.parametrize("loss", [0.01, 0.2])
def test_packets_are_lost_as_often_as_was_said(loss: float) -> None:
    sent = 20_000
    with Testbed(PAIR, Link(delay_ms=1, loss=loss)) as bed, serve(bed, "far", COUNT) as counter:
        seconds(bed, FLOOD, sent)
        lost = sent - int(counter.communicate(timeout=60)[0])
    deviation = (sent * loss * (1 - loss)) ** 0.5
    assert abs(lost - sent * loss) < 5 * deviation


def test_tcp_sends_again_what_was_lost(tmp_path: Path) -> None:
    size = 300_000
    with Testbed(PAIR, Link(delay_ms=1, loss=0.05), capture=tmp_path / "all.pcap") as bed, serve(bed, "far"):
        seconds(bed, POUR, size)
    sent = sum(len(packet) - 20 - (packet[32] >> 4) * 4 for packet in bed.captured().packets())
    assert size < sent < 1.5 * size
    assert [stream.data for stream in bed.captured().streams()] == [bytes(size), b"done"]


def test_a_host_sends_no_faster_than_its_rate() -> None:
    size, rate = 1_000_000, 8
    with Testbed(PAIR, Link(delay_ms=5, rate_mbit=rate)) as bed, serve(bed, "far"):
        [taken] = seconds(bed, POUR, size)
    ideal = size * 8 / (rate * 1e6)  # a second, and the headers: 52 of every 1500 bytes
    assert ideal * 1500 / 1448 < taken < 1.3 * ideal


def test_without_a_rate_it_is_fast() -> None:
    with Testbed(PAIR) as bed, serve(bed, "far"):
        [taken] = seconds(bed, POUR, 20_000_000)
    assert taken < 8  # 20 Mbit/s at the very least


def test_the_capture_has_every_byte_in_clear(tmp_path: Path) -> None:
    with Testbed(PAIR, Link(delay_ms=1), capture=tmp_path / "all.pcap") as bed, serve(bed, "far"):
        seconds(bed, PING, 3)
        seconds(bed, POUR, 100_000)
    captured = bed.captured()
    assert captured.holds(b"are you there")
    assert not captured.holds(b"are you here")
    there, back = (bed.address("near"), bed.address("far")), (bed.address("far"), bed.address("near"))
    streams = [(stream.source[0], stream.target[0], stream.data) for stream in captured.streams()]
    assert streams == [
        (*there, b"are you there" * 3),
        (*back, b"are you there" * 3 + b"done"),
        (*there, bytes(100_000)),
        (*back, b"done"),
    ]


def test_what_crosses_is_found_though_packets_cut_it(tmp_path: Path) -> None:
    with Testbed(PAIR, capture=tmp_path / "all.pcap") as bed, serve(bed, "far"):
        seconds(bed, POUR, 10_000)
    header = 14 if bed.kind == "netem" else 0  # of Ethernet, which the wire does without
    assert max(len(packet) for packet in bed.captured().packets()) == 1500 + header
    assert bed.captured().holds(bytes(10_000))
    assert not bed.captured().holds(bytes(10_001))


def test_a_foreign_file_is_no_capture(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(100))
    with pytest.raises(ValueError, match="not a capture of ours"):
        Capture(tmp_path / "x").streams()
    with pytest.raises(ValueError, match="nothing was captured"):
        Testbed(PAIR).captured()


def test_hosts_have_the_congestion_control_that_is_asked_for() -> None:
    asked = ("sysctl", "-n", "net.ipv4.tcp_congestion_control")
    with Testbed(PAIR, congestion="reno") as bed:
        assert subprocess.check_output(["ip", "netns", "exec", bed.namespace("far"), *asked]) == b"reno\n"
    with pytest.raises(BedError, match="tcp_congestion_control"), Testbed(PAIR, congestion="nonesuch"):
        pass
    with Testbed(PAIR) as bed:
        assert f"{bed.congestion}\n".encode() == subprocess.check_output(asked)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Link(delay_ms=-1),
        lambda: Link(loss=1),
        lambda: Link(rate_mbit=0),
        lambda: Testbed([]),
        lambda: Testbed(["a", "a"]),
        lambda: Testbed(["A"]),
        lambda: Testbed(["../a"]),
        lambda: Testbed([f"h{number}" for number in range(251)]),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match="="):
        make()


def test_a_living_maker_is_left_alone() -> None:
    with Testbed(PAIR) as first:
        with Testbed(PAIR) as second:
            assert {first.namespace("near"), second.namespace("near")} <= set(iproute.names())
            assert iproute.sweep() == []
        assert min(round_trips(first)) < 0.05


# --- the kernel's own netem, as far as this kernel has it -------------------------------------------------------------


def test_netem_is_asked_for_what_the_link_says() -> None:
    link = Link(delay_ms=50, loss=0.01, rate_mbit=2.5)
    assert fabrics.line_up(link) == ["netem", "limit", "10000", "rate", "2500000bit"]
    over = ["netem", "limit", "100000", "delay", "50000us", "loss", "random", "1.000000%"]
    assert fabrics.way_over(link) == over
    assert fabrics.line_up(Link()) == fabrics.way_over(Link()) == []


def test_a_switch_joins_hosts_and_is_tapped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fabrics, "way_over", lambda link: ["pfifo", "limit", "1000"])
    monkeypatch.setattr(fabrics, "line_up", lambda link: ["tbf", "rate", "8mbit", "burst", "3000", "latency", "1s"])
    with Testbed(PAIR, capture=tmp_path / "all.pcap", kind="netem") as bed, serve(bed, "far"):
        assert min(seconds(bed, PING, 3)) < 0.02
        [taken] = seconds(bed, POUR, 200_000)
    assert taken > 0.2
    packets = list(bed.captured().packets())
    assert max(len(packet) for packet in packets) == 1514
    assert [stream.data for stream in bed.captured().streams()][::2] == [b"are you there" * 3, bytes(200_000)]
