"""Engine `hosts`: one process of a run on many machines, as config.json places them; `asyncagg serve` starts it.

The processes may begin in any order. All but the model owner first ask it for the nonce of the run; hellos carry facts
(`compatibility`), so that a process with another version, scenario or data dimension is refused by name. When everyone
has joined, or the preflight's deadline has passed, the rounds begin; whoever comes later joins the next one.

`host` plays the model owner's process, `follower` that of anyone else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asyncagg.crypto.signing import Identity
from asyncagg.engines.experiment import Experiment
from asyncagg.engines.hosts.compatibility import facts, objection, parting
from asyncagg.engines.runtime.limits import frame_limits
from asyncagg.engines.runtime.sockets import SocketRuntime
from asyncagg.engines.watch.observers import Observers
from asyncagg.net.clock import now_ns
from asyncagg.net.errors import NetError
from asyncagg.net.frames import PairLimits
from asyncagg.net.tcp.hello import Hello
from asyncagg.net.tcp.network import TcpNetwork
from asyncagg.net.tcp.session import Admit
from asyncagg.net.tls.context import Tls
from asyncagg.protocols.names import MODEL_OWNER, Player
from asyncagg.scenario.hosts_config import HostEntry
from asyncagg.version import FORMAT

REUNION_WAITS = 10
"""Factor by which a lost model owner is waited for longer than the others at the beginning."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """Specification of one process: what it serves, and with what."""

    experiment: Experiment
    entries: Sequence[HostEntry]
    """All of config.json."""
    mine: Sequence[HostEntry]
    """Those that live here."""
    tls: Mapping[str, Tls]
    """By entry that lives here; empty where connections are not encrypted."""
    wait_ns: int
    """Longest time to wait for the others."""
    observation: Observers
    listen: tuple[str, int] | None = None
    """Address of the listener here, if it is not the one in config.json, where others find it."""
    identities: Mapping[Player, Identity] = field(default_factory=dict)
    roster: Mapping[str, bytes] = field(default_factory=dict)
    ledgers: Path = Path("ledgers")
    """Folder of the data owners' accounts, with a folder in it for each run."""

    @property
    def players(self) -> list[Player]:
        return [Player(player) for entry in self.mine for player in entry.players]

    @property
    def patience_ns(self) -> int:
        """Longest time to look for a lost model owner: its host may be started anew, and the run resumed."""
        return REUNION_WAITS * self.wait_ns

    def deadline_ns(self) -> int:
        """The moment, from now, until which the others are waited for."""
        return now_ns() + self.wait_ns


class HostRuntime(SocketRuntime):
    """The networks of a process: one for each of its entries, which is what a certificate is for."""

    def __init__(self, spec: ProcessSpec, run: bytes | None) -> None:
        """`run` is the model owner's to know; None: it is asked (`learn_run`).

        What listens here has its address from now on. Raises ListenFailed where that cannot be had.
        """
        self.spec = spec
        self._run = run
        self.objections: dict[str, str] = {}
        """Player → why its process was not let in, the last time it came."""
        self._facts = facts(spec.experiment)
        self._addresses = {player: (each.host, each.port) for each in spec.entries for player in each.players}
        self._plain: list[TcpNetwork] = []
        together = [[Player(player) for player in entry.players] for entry in spec.mine]
        super().__init__(spec.experiment, together, self._make, spec.observation.around)

    async def learn_run(self, deadline_ns: int) -> bytes:
        """The nonce of the run, asked of the model owner. NetError when it cannot be reached or refuses."""
        run = b""
        for network in self._plain:
            run = await network.learn_run(MODEL_OWNER, deadline_ns)
        return run

    def abandon(self) -> None:
        """Give back the addresses, where nothing ever begins."""
        for network in self._plain:
            network.give_back_addresses()

    async def give_up(self, reason: str, deadline_ns: int) -> None:
        """Say to the model owner why this process does not take part; in vain where it cannot be reached either."""
        for entry in self.spec.mine:
            player = Player(entry.players[0])
            limits = frame_limits(self.spec.experiment.permissions)
            tls, said = self.spec.tls.get(entry.name), parting(self._facts, reason)
            network = TcpNetwork([player], None, limits, self._addresses, tls=tls, facts=said, wire_format=FORMAT)
            with contextlib.suppress(NetError):  # it always refuses
                await network.learn_run(MODEL_OWNER, deadline_ns)
            await network.close()

    def _make(self, players: Sequence[Player], limits: PairLimits, admit: Admit) -> TcpNetwork:
        spec = self.spec
        entry = next(entry for entry in spec.mine if players[0] in entry.players)
        network = TcpNetwork(
            players,
            self._run,
            limits,
            self._addresses,
            binds={} if spec.listen is None else dict.fromkeys(players, spec.listen),
            admit=lambda hello, transport: admit(hello, transport) or self._objection(hello),
            recognise=lambda remote, theirs: _it(objection(self._facts, theirs)),
            on_refusal=spec.observation.refused,
            tls=spec.tls.get(entry.name),
            facts=self._facts,
            tells_run=MODEL_OWNER in players,
            wire_format=FORMAT,
        )
        if entry.listens:
            network.take_address(players[0])
        self._plain.append(network)
        return network

    def _objection(self, hello: Hello) -> str | None:
        """Reason not to let somebody in; None where there is none."""
        player = hello.players[0]
        found = objection(self._facts, hello.facts)
        if found is None:
            self.objections.pop(player, None)
            return None
        self.objections[player] = found
        return f"{player} {found}"


def _it(found: str | None) -> str | None:
    return None if found is None else f"it {found}"
