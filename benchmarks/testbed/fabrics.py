"""What joins the hosts of a testbed: the kernel's netem on a switch, or, where it has none, our own wire.

Either gives each namespace an interface `eth0` with its address and stays as long as its context.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.testbed import iproute
from benchmarks.testbed.attendant import attendant
from benchmarks.testbed.iproute import BedError, batch, command, ip
from benchmarks.testbed.link import DEVICE, MTU, Link
from benchmarks.testbed.wire import Order

NETWORK_BITS = 24
_QUEUE = 10_000  # packets that wait where one process or one queue discipline takes them
_BRIDGE = "bridge"
_SET_DEVICE, _TUN, _NO_EXTRA_HEADER = 0x400454CA, 0x0001, 0x1000  # TUNSETIFF, IFF_TUN, IFF_NO_PI: linux/if_tun.h


@contextmanager
def wired(spaces: Mapping[str, str], link: Link, capture: Path | None) -> Iterator[None]:
    """Join namespaces (address by name) by a process that holds a TUN device of each."""
    devices: dict[str, int] = {}
    with ExitStack() as until_begun:
        for space, address in spaces.items():
            devices[address], name = _open_tun()
            until_begun.callback(os.close, devices[address])
            ip("link", "set", name, "netns", space, "name", DEVICE, "mtu", str(MTU), "txqueuelen", str(_QUEUE))
            _begin(space, address)
        order = Order(devices, link, str(capture.absolute()) if capture else None)
        with attendant("wire", order.to_json(), devices=tuple(devices.values())):
            until_begun.close()  # from here on the wire alone holds the devices: they go when it goes
            yield


@contextmanager
def switched(spaces: Mapping[str, str], link: Link, capture: Path | None, switch: str) -> Iterator[None]:
    """Join namespaces by a bridge in a namespace of its own, `switch`, with queue disciplines at its ports."""
    with ExitStack() as stack:
        stack.callback(iproute.remove, switch)
        iproute.add(switch)
        quiet = ("mcast_snooping", "0", "forward_delay", "0")
        ip("-n", switch, "link", "add", _BRIDGE, "type", "bridge", *quiet)
        ip("-n", switch, "link", "set", _BRIDGE, "addrgenmode", "none", "up")
        for number, (space, address) in enumerate(spaces.items()):
            _plug(switch, f"port{number}", space, address)
        for space, address in spaces.items():
            batch(space, _neighbours(spaces.values(), address))
        for number, space in enumerate(spaces):
            _shape(space, DEVICE, line_up(link))
            _shape(switch, f"port{number}", way_over(link))
        if capture:
            inside = ("ip", "netns", "exec", switch)
            stack.enter_context(attendant("tap", str(capture.absolute()), _BRIDGE, before=inside))
        yield


def line_up(link: Link) -> list[str]:
    """The queue discipline at a host's own interface; empty for none."""
    rate = f"{round(link.rate_mbit * 1e6)}bit" if link.rate_mbit else ""
    return ["netem", "limit", str(_QUEUE), "rate", rate] if rate else []


def way_over(link: Link) -> list[str]:
    """The queue discipline at the switch's port to a host; empty for none.

    The delay is there and not at the sender, whose TCP would hold back what it believes is still in its own queue.
    """
    delay = ["delay", f"{round(link.delay_ms * 1000)}us"] if link.delay_ms else []
    loss = ["loss", "random", f"{link.loss * 100:.6f}%"] if link.loss else []
    return ["netem", "limit", str(10 * _QUEUE), *delay, *loss] if delay or loss else []


def has_netem(space: str) -> bool:
    """Whether the kernel has netem, tried on the loopback of a namespace."""
    words = ["tc", "-n", space, "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]
    try:
        tried = subprocess.run(words, capture_output=True, check=False)
    except FileNotFoundError:
        return False
    if tried.returncode == 0:
        command("tc", "-n", space, "qdisc", "delete", "dev", "lo", "root")
    return tried.returncode == 0


def _open_tun() -> tuple[int, str]:
    """A TUN device that is there as long as someone holds its file descriptor, and its name."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        answer = fcntl.ioctl(device, _SET_DEVICE, struct.pack("16sH22x", b"bed%d", _TUN | _NO_EXTRA_HEADER))
    except OSError as error:
        os.close(device)
        raise BedError(f"/dev/net/tun: {error.strerror}") from None
    return device, answer[:16].rstrip(b"\0").decode()


def _plug(switch: str, port: str, space: str, address: str) -> None:
    """A cable from a port of the switch to a namespace, whose packets stay single: each is delayed and lost alone."""
    far = ("netns", space, "name", DEVICE, "address", _hardware(address))
    ip("-n", switch, "link", "add", port, "mtu", str(MTU), "type", "veth", "peer", "mtu", str(MTU), *far)
    ip("-n", space, "link", "set", DEVICE, "gso_max_segs", "1")
    ip("-n", switch, "link", "set", port, "master", _BRIDGE, "addrgenmode", "none", "up")
    _begin(space, address)


def _begin(space: str, address: str) -> None:
    ip("-n", space, "address", "add", f"{address}/{NETWORK_BITS}", "dev", DEVICE)
    ip("-n", space, "link", "set", DEVICE, "addrgenmode", "none", "up")


def _neighbours(addresses: Iterable[str], own: str) -> Iterator[str]:
    """Lines of `ip` that tell a host the others' hardware addresses, so that none of its questions is lost."""
    for address in addresses:
        if address != own:
            yield f"neighbour add {address} lladdr {_hardware(address)} nud permanent dev {DEVICE}"


def _hardware(address: str) -> str:
    """A locally administered hardware address for an IPv4 address."""
    return ":".join(["02", "00", *(f"{int(part):02x}" for part in address.split("."))])


def _shape(space: str, device: str, discipline: list[str]) -> None:
    if discipline:
        command("tc", "-n", space, "qdisc", "add", "dev", device, "root", *discipline)
