"""200 owners in 4 processes over TLS: the memory of a compute node, and what 2,000 strangers at its door cost a round.

The strangers connect to every compute node, keep 2,000 connections open that say nothing, open new ones as they are
cut, and send garbage over others, some 2,000 connections a second in all. They run at the lowest priority: their own
computing is theirs, and a real one's is not on our cores. Quiet rounds and rounds under their eyes take turns; the
middle ones are compared, and what the compute nodes compute in them.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from asyncagg.engines.experiment import prepare
from asyncagg.engines.launch import begin, play
from asyncagg.runs.result import RoundResult
from asyncagg.scenario.reading.load import parse
from benchmarks.table import Row

ROUNDS, TURN = 60, 6
BOUND = 400 * 2**20
PAUSE = "0.02"

STRANGERS = """
# arguments: seconds between turns, and the ports to visit
import resource, socket, sys, time
try:
    open("/proc/self/autogroup", "w").write("19")  # where a session has a share of its own, `nice` alone does nothing
except FileNotFoundError:
    pass
pause, ports, idle = float(sys.argv[1]), [int(port) for port in sys.argv[2:]], []
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
garbage = [b"GET / HTTP/1.1\\r\\n\\r\\n", b"\\x16\\x03\\x01\\x02\\x00\\x01", b"\\xa6\\x67\\xff\\xff", bytes(100_000)]
def visit(port, data):
    try:
        stranger = socket.create_connection(("127.0.0.1", port), timeout=5)
        stranger.setblocking(False)
        if data:
            stranger.send(data)
        return stranger
    except OSError:
        return None
while len(idle) < 2000:
    idle.append(visit(ports[len(idle) % len(ports)], b""))
print("all here", flush=True)
while True:
    for port in ports:
        for data in garbage:
            visit(port, data)
        idle[:10] = []
        idle += [visit(port, b"") for _ in range(10)]
    time.sleep(pause)
"""


@dataclass
class Rounds:
    """What was measured of some rounds."""

    seconds: list[float] = field(default_factory=list)
    computing: list[float] = field(default_factory=list)
    """Seconds of processor time of all compute nodes together."""

    def add(self, seconds: float, computing: float) -> None:
        self.seconds.append(seconds)
        self.computing.append(computing)


class Watch:
    """Sends the strangers in and out between rounds, and notes what rounds take meanwhile.

    The first round of each turn is not counted: the strangers, or the processes, are still arriving.
    """

    def __init__(self) -> None:
        self.quiet, self.flooded = Rounds(), Rounds()
        self.node_bytes = 0
        self._computed = 0.0
        self._strangers: subprocess.Popen[bytes] | None = None

    def __call__(self, each: RoundResult) -> None:
        """A round has ended."""
        if each.status != "ok":
            raise RuntimeError(f"round {each.round}: {each.reason}")
        nodes = _nodes()
        computed = sum(_computing(pid) for pid in nodes)
        if each.round % TURN:
            rounds = self.quiet if self._strangers is None else self.flooded
            rounds.add(each.seconds["total"], computed - self._computed)
        self._computed = computed
        self.node_bytes = max([self.node_bytes, *(_peak_bytes(pid) for pid in nodes)])
        if each.round % TURN == TURN - 1:
            self.turn()

    def turn(self) -> None:
        """The other way round from now on."""
        if self._strangers is None:
            ports = [str(port) for pid in _nodes() for port in _ports(pid)]
            arguments = ["nice", "-n", "19", sys.executable, "-c", STRANGERS, PAUSE, *ports]
            self._strangers = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, start_new_session=True)
        else:
            self.end()

    def end(self) -> None:
        if self._strangers is not None:
            self._strangers.kill()
            self._strangers.wait()
            self._strangers = None


def main() -> list[Row]:
    scenario = parse(
        {
            "name": "strangers",
            "engine": "processes",
            "rounds": ROUNDS,
            "check": False,
            "owners": {"count": 200, "per_process": 50},
            "workload": {"kind": "synthetic", "dimension": 20_000},
        }
    )
    watch, finished = Watch(), begin(scenario)
    try:
        play(prepare(scenario), finished, watch)
    finally:
        watch.end()
    if finished.result.status != "ok":
        raise RuntimeError(finished.result.reason)
    quiet, flooded = (statistics.median(each.seconds) for each in (watch.quiet, watch.flooded))
    alone, watched = (statistics.median(each.computing) for each in (watch.quiet, watch.flooded))
    what, there = "200 owners in 4 processes, TLS, d = 20000", "while 2000 strangers are there"
    memory = watch.node_bytes / 2**20
    return [
        Row(f"{what}: peak memory of a compute node", memory, "MiB", watch.node_bytes / BOUND, "400 MiB"),
        Row(f"{what}: a round", quiet, "s", 1.0, "itself"),
        Row(f"{what}: rounds {there}", quiet / flooded, "of the pace", flooded / quiet, "quiet", 0.9),
        Row(f"{what}: computing of the compute nodes in a round {there}", watched, "s", watched / alone, "quiet"),
    ]


def _nodes() -> list[int]:
    """Processes of compute nodes, which are children of this one."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with suppress(OSError):
                words = (path / "cmdline").read_bytes().split(b"\0")
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == os.getpid() and any(word.startswith(b"compute-node-") for word in words):
                    found.append(int(path.name))
    return sorted(found)


def _computing(pid: int) -> float:
    """Seconds of processor time that a process has had: fields 14 and 15 of its stat (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _ports(pid: int) -> list[int]:
    """Where a process listens."""
    links = [os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()]
    mine = [link[8:-1] for link in links if link.startswith("socket:[")]
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [int(each[1].rpartition(":")[2], 16) for each in lines if each[3] == "0A" and each[9] in mine]


def _peak_bytes(pid: int) -> int:
    """The most memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
