"""Before the first round on many hosts, at the model owner: who is not there, and why, in a line for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from asyncagg.engines.hosts.join_tracker import JoinTracker, place
from asyncagg.net.clock import now_ns
from asyncagg.net.errors import printable
from asyncagg.protocols.names import MODEL_OWNER
from asyncagg.scenario.hosts_config import HostEntry


class Preflight(JoinTracker):
    """Waits for everyone until the deadline: a process that gave up or was refused may be started again, put right."""

    def __init__(self, entries: Sequence[HostEntry], say: Callable[[str], None], objections: Mapping[str, str]) -> None:
        """`objections`: player → why its process was not let in, the last time it came."""
        super().__init__([MODEL_OWNER], entries)
        self._say = say
        self._objections = objections
        self._losses: dict[str, str] = {}

    def gone(self, local: str, remote: str, reason: str) -> None:
        super().gone(local, remote, reason)
        self._losses[remote] = reason

    async def run(self, deadline_ns: int) -> list[HostEntry]:
        """Wait; the processes that are not there, each of which a line has told of.

        Without a compute node no owner gets as far as the model owner: then only the nodes are told of.
        """
        began_ns = now_ns()
        self._say(f"waiting up to {(deadline_ns - began_ns) / 1e9:.0f} s for {_processes(len(self.missing()))}")
        await self.complete(deadline_ns, self._say)
        missing = self.missing()
        nodes = [entry for entry in missing if entry.listens]
        for entry in nodes or missing:
            self._say(f"{entry.name}: {self._absence(entry, now_ns() - began_ns)}")
        return nodes or missing

    def _absence(self, entry: HostEntry, after_ns: int) -> str:
        absent, count = self.absent(entry), len(entry.players)
        some = "" if absent == count else f" ({absent} of {count} players)"
        why = next((self._objections[player] for player in entry.players if player in self._objections), None)
        why = why or next((self._losses[player] for player in entry.players if player in self._losses), None)
        because = f": {printable(why)}" if why else f" (asyncagg serve {entry.name}, {place(entry)})"
        return f"did not join within {after_ns / 1e9:.1f} s{some}{because}"


def _processes(count: int) -> str:
    return f"{count} other process{'' if count == 1 else 'es'}"
