"""The wire: a process that carries packets between the hosts of a testbed, late, at a rate, and not all of them.

It holds one TUN device of each host (Documentation/networking/tuntap.rst of Linux): what a host's kernel sends it
reads, what it writes that kernel receives. It serves where the kernel lacks netem, and ends by itself when whoever
started it closes the pipe to its standard input, or dies.

    python -m benchmarks.testbed.wire ORDER      ORDER is a JSON object, see `Order`; says `ready` when it begins
"""

from __future__ import annotations

import heapq
import json
import os
import random
import select
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from benchmarks.testbed.link import MTU, Link
from benchmarks.testbed.pcap import RAW, Writer

_AT_ONCE = 64
"""Packets taken from a host before the others have their turn."""

_URGENT = -15
"""Niceness: the wire must not wait while hosts compute."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to carry, and how. hosts: address and inherited file descriptor of the TUN device of each."""

    hosts: dict[str, int]
    link: Link
    capture: str | None

    def to_json(self) -> str:
        link = {name: getattr(self.link, name) for name in Link.__slots__}
        return json.dumps({"hosts": self.hosts, "link": link, "capture": self.capture})

    @classmethod
    def from_json(cls, text: str) -> Order:
        found = json.loads(text)
        return cls(found["hosts"], Link(**found["link"]), found["capture"])


class Line:
    """A host's line up: when a packet that it sends now arrives, if it does."""

    def __init__(self, address: str, link: Link) -> None:
        self._delay_ns = round(link.delay_ms * 1e6)
        self._byte_ns = 8e3 / link.rate_mbit if link.rate_mbit else 0.0
        self._loss = link.loss
        self._draw: Callable[[], float] = random.Random(f"{link.seed}/{address}").random
        self._free_ns = 0

    def arrival_ns(self, now_ns: int, size: int) -> int | None:
        """None for a packet that is lost; it has had its time on the line."""
        self._free_ns = max(now_ns, self._free_ns) + round(size * self._byte_ns)
        if self._loss and self._draw() < self._loss:
            return None
        return self._free_ns + self._delay_ns


class Wire:
    """All hosts' lines, and the packets under way."""

    def __init__(self, order: Order) -> None:
        self._lines = {device: Line(address, order.link) for address, device in order.hosts.items()}
        self._devices = {IPv4Address(address).packed: device for address, device in order.hosts.items()}
        self._under_way: list[tuple[int, int, int, bytes]] = []  # arrival, number, device, packet
        self._taken = 0
        self._capture = Writer(order.capture, RAW) if order.capture else None

    def carry(self, lifeline: int) -> None:
        """Carry packets until the lifeline ends."""
        watched = [lifeline, *self._lines]
        while True:
            ready = select.select(watched, [], [], self._deliver())[0]
            if lifeline in ready:
                return
            for device in ready:
                self._take(device)

    def _deliver(self) -> float | None:
        """Hand over what has arrived; seconds until the next packet does, None if there is none."""
        under_way = self._under_way
        while under_way:
            wait_ns = under_way[0][0] - time.monotonic_ns()
            if wait_ns > 0:
                return wait_ns / 1e9
            _, _, device, packet = heapq.heappop(under_way)
            _write(device, packet)
        return None

    def _take(self, device: int) -> None:
        """Take what a host has sent: captured as it leaves, then lost or under way."""
        line = self._lines[device]
        for _ in range(_AT_ONCE):
            try:
                packet = os.read(device, MTU)
            except BlockingIOError:
                return
            target = self._devices.get(packet[16:20]) if packet[0] >> 4 == 4 else None
            if target is None:  # not IPv4, or to nobody here
                continue
            if self._capture:
                self._capture.write(packet)
            arrival_ns = line.arrival_ns(time.monotonic_ns(), len(packet))
            if arrival_ns is not None:
                self._taken += 1
                heapq.heappush(self._under_way, (arrival_ns, self._taken, target, packet))


def _write(device: int, packet: bytes) -> None:
    try:
        os.write(device, packet)
    except OSError:  # that host is down, or has no room: lost, as on any wire
        return


def main() -> None:
    os.setpriority(os.PRIO_PROCESS, 0, _URGENT)
    wire = Wire(Order.from_json(sys.argv[1]))
    print("ready", flush=True)
    wire.carry(sys.stdin.fileno())


if __name__ == "__main__":
    main()
