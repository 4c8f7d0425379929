"""Engine `hosts`: one process of a run on many machines, as config.json places them; `asyncagg serve` starts it.

The processes may begin in any order. All but the model owner first ask it for the nonce of the run; hellos carry facts
(`facts`), so that a process with another version, scenario or data dimension is refused by name. When everyone has
joined, or the preflight's deadline has passed, the rounds begin; whoever comes later joins the next one.

`hosting` is the model owner's process, `following` that of anyone else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asyncagg.crypto.signing import Identity
from asyncagg.engines.experiment import Experiment
from asyncagg.engines.hosts import facts as known
from asyncagg.engines.site import Site
from asyncagg.engines.watch.observation import Observation
from asyncagg.protocols.terms import MODEL_OWNER, Player
from asyncagg.scenario.hosts import Entry
from net.clock import now_ns
from net.frames import Limits
from net.hello import Hello
from net.session import Admit
from net.tcp import TcpNetwork
from net.tls import Tls


@dataclass(frozen=True, slots=True)
class Post:
    """What one process serves, and with what."""

    experiment: Experiment
    entries: Sequence[Entry]
    """All of config.json."""
    mine: Sequence[Entry]
    """Those that live here."""
    tls: Mapping[str, Tls]
    """By entry that lives here; empty where connections are not encrypted."""
    wait_ns: int
    """How long to wait for the others."""
    observation: Observation
    tell: Callable[[str], None]
    """Where lines for the person who started the process go."""
    identities: Mapping[Player, Identity] = field(default_factory=dict)
    roster: Mapping[str, bytes] = field(default_factory=dict)
    ledgers: Path = Path("ledgers")
    """Where data owners keep their privacy ledgers, in a folder for each run."""

    @property
    def players(self) -> list[Player]:
        return [Player(player) for entry in self.mine for player in entry.players]

    def deadline_ns(self) -> int:
        """The moment, from now, until which the others are waited for."""
        return now_ns() + self.wait_ns


class HostSite(Site):
    """The networks of a post: one for each of its entries, which is what a certificate is for."""

    def __init__(self, post: Post, run: bytes | None) -> None:
        """`run` is the model owner's to know; None: it is asked (`learn_run`)."""
        self._post = post
        self._run = run
        self._facts = known.facts(post.experiment)
        self._addresses = {player: (each.host, each.port) for each in post.entries for player in each.players}
        self._plain: list[TcpNetwork] = []
        together = [[Player(player) for player in entry.players] for entry in post.mine]
        super().__init__(post.experiment, together, self._make, post.observation.around)

    async def learn_run(self, deadline_ns: int) -> bytes:
        """The nonce of the run, asked of the model owner. NetError when it cannot be reached or refuses."""
        run = b""
        for network in self._plain:
            run = await network.learn_run(MODEL_OWNER, deadline_ns)
        return run

    def _make(self, players: Sequence[Player], limits: Limits, admit: Admit) -> TcpNetwork:
        post = self._post
        entry = next(entry.name for entry in post.mine if players[0] in entry.players)
        network = TcpNetwork(
            players,
            self._run,
            limits,
            self._addresses,
            admit=lambda hello, transport: admit(hello, transport) or self._objection(hello),
            recognise=lambda remote, theirs: known.recognise(self._facts, theirs),
            on_refusal=post.observation.refused,
            tls=post.tls.get(entry),
            facts=self._facts,
            tells_run=MODEL_OWNER in players,
        )
        self._plain.append(network)
        return network

    def _objection(self, hello: Hello) -> str | None:
        return known.admit(self._facts, hello)
