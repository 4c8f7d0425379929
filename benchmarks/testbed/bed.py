"""A testbed: hosts by name, processes within them, and nothing left of either when it ends."""

from __future__ import annotations

import functools
import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from benchmarks.testbed import fabrics, iproute
from benchmarks.testbed.iproute import BedError
from benchmarks.testbed.link import NO_LINK, Link
from benchmarks.testbed.pcap import Capture

Kind = Literal["netem", "wire"]

MOST_HOSTS = 250
_NETWORK = "10.77.0"
_CONGESTION = Path("/proc/sys/net/ipv4/tcp_congestion_control")
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")
_bed_numbers = itertools.count()


class Testbed:
    """Hosts that are far apart on one machine; a context manager, to be used once.

    hosts: their names. capture: a file for every packet that any host sends, lost ones too; read it with `captured`.
    kind: `netem`, the kernel's, or `wire`, ours; None for the kernel's where there is one. Both do what `Link` says.
    What differs is which packets are lost, the last tenths of a millisecond, and that a host which sends faster than
    `rate_mbit` is held back by a short queue of its own kernel on netem, and has a long queue before it on the wire.
    congestion: the hosts' TCP congestion control, one that the kernel lets namespaces choose (`reno` always is); None
    for this machine's own.

    When the context ends, in whatever way, the processes within the namespaces are killed, and the namespaces are
    deleted. A maker that is killed leaves namespaces with what runs in them; the next testbed of anyone sweeps them up.
    """

    __test__ = False  # for pytest, which takes its name for a test's

    def __init__(
        self,
        hosts: Sequence[str],
        link: Link = NO_LINK,
        *,
        capture: Path | None = None,
        kind: Kind | None = None,
        congestion: str | None = None,
    ) -> None:
        if len(set(hosts)) != len(hosts) or not 1 <= len(hosts) <= MOST_HOSTS:
            raise ValueError(f"hosts = {hosts!r} (1 to {MOST_HOSTS} different names)")
        if bad := [host for host in hosts if not _NAME.fullmatch(host)]:
            raise ValueError(f"hosts = {bad!r} (small letters, digits, dots and dashes)")
        self.hosts = tuple(hosts)
        self.link = link
        self._prefix = iproute.prefix(next(_bed_numbers))
        self._addresses = {host: f"{_NETWORK}.{number}" for number, host in enumerate(hosts, 1)}
        self._capture = capture
        self.kind: Kind | None = kind
        """What joins the hosts; None until it is known."""
        self.congestion: str | None = congestion
        """The hosts' TCP congestion control; None until it is known."""
        self._stack = ExitStack()
        self._started: list[subprocess.Popen[Any]] = []

    def address(self, host: str) -> str:
        """A host's IPv4 address, which the others reach."""
        return self._addresses[host]

    def namespace(self, host: str) -> str:
        """A host's network namespace, by the name that `ip netns` knows."""
        return f"{self._prefix}{host}"

    def popen(self, host: str, words: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a command on a host; options are those of `subprocess.Popen`. It is killed when the testbed ends."""
        process = subprocess.Popen(["ip", "netns", "exec", self.namespace(host), *words], **options)
        self._started.append(process)
        return process

    def captured(self) -> Capture:
        """What crossed so far; all of it once the testbed has ended. ValueError without a file to capture in."""
        if self._capture is None:
            raise ValueError("nothing was captured (a file for it: Testbed(…, capture=path))")
        return Capture(self._capture)

    def __enter__(self) -> Self:
        iproute.sweep()
        try:
            self._build()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._end_processes()
        finally:
            self._stack.close()

    def _build(self) -> None:
        for host in self.hosts:
            self._stack.callback(iproute.remove, self.namespace(host))
            iproute.add(self.namespace(host))
            if self.congestion is not None:
                iproute.write(self.namespace(host), _CONGESTION, self.congestion)
        self.congestion = self.congestion or _CONGESTION.read_text(encoding="ascii").strip()
        if self.kind is None:
            self.kind = "netem" if fabrics.has_netem(self.namespace(self.hosts[0])) else "wire"
        spaces = {self.namespace(host): address for host, address in self._addresses.items()}
        if self.kind == "wire":
            fabric = fabrics.wired(spaces, self.link, self._capture)
        else:
            fabric = fabrics.switched(spaces, self.link, self._capture, f"{self._prefix}-switch")
        self._stack.enter_context(fabric)

    def _end_processes(self) -> None:
        """Before the network goes, so that a capture ends with what they sent and not with what was lost."""
        for process in self._started:
            process.kill()
        for process in self._started:
            process.wait()


@functools.cache
def obstacle() -> str | None:
    """Why there can be no testbed on this machine; None if there can. Tried once."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if shutil.which("ip") is None:
        return "no `ip` (of iproute2)"
    if os.geteuid() != 0:
        return "not root"
    try:
        with Testbed(["a"]):
            return None
    except (BedError, OSError) as error:
        return str(error)
