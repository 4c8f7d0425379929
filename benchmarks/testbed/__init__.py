"""A network of hosts on one machine: each a network namespace with an address of its own, far apart from the others.

    with Testbed(["a", "b"], Link(delay_ms=50, loss=0.01)) as bed:
        server = bed.popen("b", ["python3", "-m", "http.server", "--bind", bed.address("b")])

Every packet between two hosts takes `delay_ms` one way (a round trip is twice that), is lost with probability `loss`,
and waits its turn on its sender's line of `rate_mbit`. The kernels' own TCP sees it all, and sends again what was lost.
Needs root and iproute2; `obstacle()` says what is missing. Tests and benchmarks use it. `guest` runs them on a kernel
that has netem, where this machine's has none.
"""

from benchmarks.testbed.bed import Testbed, obstacle
from benchmarks.testbed.iproute import BedError
from benchmarks.testbed.link import Link
from benchmarks.testbed.pcap import Capture, Stream

__all__ = ["BedError", "Capture", "Link", "Stream", "Testbed", "obstacle"]
