"""State of a demo that goes on: its processes, the phases of the round, the rounds that have ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from asyncagg.engines.processes.child_handle import place_name, places
from asyncagg.engines.runtime import identities
from asyncagg.protocols.names import Label, Phase, Player, index_of, role_of
from asyncagg.runs.result import RoundResult
from asyncagg.scenario import draws
from asyncagg.scenario.schema.scenario import Scenario

_REGULAR = ("", "starts", "ready", "starts again", "ready again", "ended")
PHASES: tuple[Phase, ...] = ("publish", "advertise", "share", "upload", "unmask", "reveal")
"""Of the demo's protocol, in their order."""
_LONGEST = len("starts again")


@dataclass(slots=True)
class Process:
    """One place in the run, and the process that fills it at present."""

    players: tuple[Player, ...]
    pid: int | None = None
    state: str = ""
    """One or two words; empty before it starts."""
    loss: str = ""
    """Reason why the process that was here before was lost."""

    @property
    def name(self) -> str:
        return place_name(self.players)

    @property
    def role(self) -> str:
        return role_of(self.players[0])

    @property
    def there(self) -> bool:
        """True if it takes part, or did to the end."""
        return self.state.startswith(("ready", "ended"))

    @property
    def lost(self) -> bool:
        """True if it ended otherwise than it was told to."""
        return self.state not in _REGULAR


class Board:
    """Told by the engine (`process`, `phase`, `ended`), read by whoever shows it. `clock` counts seconds."""

    def __init__(self, scenario: Scenario, clock: Callable[[], float]) -> None:
        self.scenario = scenario
        homes = places(identities.everyone(scenario), scenario.owners.per_process)
        self.processes = {place_name(players): Process(players) for players in homes}
        self.rounds: list[RoundResult] = []
        self.label: Label | None = None
        """The attempt that goes on; None before the first one and when a round has ended."""
        self._began: dict[str, float] = {}
        self._clock = clock
        self._start = clock()

    # -- what happens -----------------------------------------------------------------------------------------------

    def process(self, name: str, pid: int | None, state: str) -> Process:
        """A process starts, is ready, or is gone, in the engine's words."""
        process = self.processes[name]
        process.pid = None if state == "starts" else pid
        process.state = _short(state) + (" again" if process.loss and state in ("starts", "ready") else "")
        if process.lost:
            process.loss = process.state
        return process

    def phase(self, label: Label, phase: str) -> None:
        """The lead has begun a phase. One that comes later than the end of its round is not shown any more."""
        if self.rounds and label.round <= self.rounds[-1].round:
            return
        if label != self.label:
            self.label, self._began = label, {}
        self._began.setdefault(phase, self._clock())

    def ended(self, each: RoundResult) -> None:
        """A round has ended."""
        self.rounds.append(each)
        self.label = None

    # -- what is to be seen -----------------------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """Since the demo began."""
        return self._clock() - self._start

    @property
    def round(self) -> int | None:
        """The round that goes on, else the last one; None before the first."""
        if self.label is not None:
            return self.label.round
        return self.rounds[-1].round if self.rounds else None

    @property
    def last(self) -> RoundResult | None:
        """The round that has ended, while no other has begun."""
        return self.rounds[-1] if self.label is None and self.rounds else None

    @property
    def current(self) -> Phase | None:
        """The phase that goes on."""
        return next((phase for phase in reversed(PHASES) if phase in self._began), None) if self.label else None

    def phases(self) -> Iterator[tuple[Phase, float | None]]:
        """Each phase and its seconds, of the round that goes on or the last one; None where it has not begun."""
        last = self.last
        for number, phase in enumerate(PHASES):
            if last is not None:
                yield phase, last.seconds.get(phase)
            elif self.label is None or phase not in self._began:
                yield phase, None
            else:
                ends = (self._began[later] for later in PHASES[number + 1 :] if later in self._began)
                yield phase, next(ends, self._clock()) - self._began[phase]

    def silent(self, players: Sequence[Player]) -> int:
        """Number of these owners that are silent by now in the round that goes on, as the scenario has it."""
        if self.label is None or self.current is None:
            return 0
        dropped = draws.dropped(self.scenario, self.label.round)
        past = PHASES[: PHASES.index(self.current) + 1]
        return sum(dropped.get(index_of(player)) in past for player in players)


def _short(state: str) -> str:
    """The engine's words in one or two: `starts`, `ready`, `ended`; where a process was lost, `SIGKILL`, `status 1`."""
    if state == "ended with status 0":
        return "ended"
    short = state.partition(":")[0].removeprefix("was ended by ").removeprefix("ended with ")
    return short if len(short) <= _LONGEST else "lost"
