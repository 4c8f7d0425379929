"""Acts out the scenario's `[[faults]]` and says so in the trace: when the lead begins a phase, or at a time.

`drop` is not here: an owner that falls silent does so by itself (`draws.dropped`). A fault with a phase happens once
in each of its rounds, in the first attempt that gets so far; a phase that the protocol lacks means its next one. Who
is struck follows from the seed. What acts on channels is `asyncagg.net.links.faults`; a crash ends a player's part in
the run, and a restart begins it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from asyncagg.engines.runtime.availability import AvailabilitySchedule, timetable
from asyncagg.net.clock import call_at_ns, now_ns
from asyncagg.net.links.faults import ChannelFaults
from asyncagg.protocols.names import MODEL_OWNER, PHASES, Label, Phase, Player
from asyncagg.runs.trace import Record, Trace
from asyncagg.scenario import draws
from asyncagg.scenario.schema import faults
from asyncagg.scenario.schema.scenario import Scenario

BEFORE = Label(0, 0)


class FaultTarget(Protocol):
    """Players that can be stopped and brought back."""

    def crash(self, player: Player) -> bool:
        """Stop a player; True if it was there."""

    def restart(self, player: Player, state: bool) -> bool:
        """Bring a player back, with or without what it kept in memory; True if it had been stopped."""


@dataclass(frozen=True, slots=True)
class _ActiveCut:
    """A partition or a hold in force."""

    kind: str
    players: tuple[str, ...]
    peers: tuple[str, ...] | None


_Lasting: TypeAlias = _ActiveCut | tuple[str, str]
"""Fault that may end by itself: a cut, or a kind of fault and the player that it has struck."""


def channel_faults(scenario: Scenario) -> ChannelFaults | None:
    """Faults on the channels of a process; None where the scenario has none."""
    needed = any(isinstance(fault, faults.ON_CHANNELS) for fault in scenario.faults)
    return ChannelFaults(scenario.seed) if needed else None


def follows_phases(scenario: Scenario) -> bool:
    """True if something happens at a phase, so that the lead must wait until it has, wherever it does."""
    return any(isinstance(fault, faults.Event) and fault.phase is not None for fault in scenario.faults)


def slowness(channels: ChannelFaults | None, player: Player) -> Callable[[], float]:
    """Factor by which the player's work takes longer than usual, at the time of the call."""
    return lambda: 1.0 if channels is None else channels.slowness(player).factor


class FaultInjector:
    """Acts out the faults of one run in one process."""

    def __init__(
        self,
        scenario: Scenario,
        target: FaultTarget,
        channels: ChannelFaults | None,
        trace: Trace,
        narrates: bool = True,
    ) -> None:
        """`narrates`: of the processes of a run, each of which acts on its own channels, one says so in its trace."""
        self._target = target
        self._narrates = narrates
        self._scenario = scenario
        self._channels = channels
        self._trace = trace
        self._start_ns = 0
        self._label, self._phase = BEFORE, PHASES[0]
        self._done: dict[tuple[int, int], None] = {}
        self._cuts: dict[_ActiveCut, int | None] = {}
        """Cuts in force → when each ends by itself, in ns since the start of the run; None: it does not."""
        self._crashed: dict[Player, int | None] = {}
        """Players that have stopped → when each comes back by itself, as for cuts."""
        self._timers: list[asyncio.TimerHandle] = []
        """Of what happens at a time that the scenario gives."""
        self._ends: dict[_Lasting, asyncio.TimerHandle] = {}
        """Of what ends by itself."""
        self._away: dict[Player, bool] = {}
        """Owners that are not there at present, and whether they keep what they had in memory."""
        self._attendance = AvailabilitySchedule(timetable(scenario), self._goes, self._comes)

    def begin(self, start_ns: int) -> None:
        """The run starts: what has a time happens at it, counted from `start_ns`."""
        self._start_ns = start_ns
        for number, fault in enumerate(self._scenario.faults):
            if isinstance(fault, faults.Event) and fault.at_ns is not None:
                self._timers.append(call_at_ns(start_ns + fault.at_ns, self._act, number, None))
        self._attendance.begin(start_ns)

    def phase_began(self, label: Label, phase: Phase) -> None:
        """The lead has begun a phase: act out what belongs there."""
        self._label, self._phase = label, phase
        for number, fault in enumerate(self._scenario.faults):
            if not isinstance(fault, faults.Event) or fault.phase is None or label.round not in fault.rounds:
                continue
            if (number, label.round) not in self._done and PHASES.index(fault.phase) <= PHASES.index(phase):
                self._done[number, label.round] = None
                self._act(number, label.round)

    def end(self) -> None:
        """The run is over: nothing more happens."""
        for timer in (*self._timers, *self._ends.values()):
            timer.cancel()
        self._attendance.end()

    # -- what happens -----------------------------------------------------------------------------------------------

    def _act(self, number: int, round_number: int | None) -> None:
        fault = self._scenario.faults[number]
        players = draws.struck(self._scenario, number, round_number)
        match fault:
            case faults.CrashFault():
                self._crash(players, fault.lasts_ns)
            case faults.RestartFault():
                self._restart(players if fault.players is not None else tuple(self._crashed), fault.state)
            case _ if self._channels is not None:
                self._act_on(self._channels, fault, players)

    def _act_on(self, channels: ChannelFaults, fault: faults.Fault, players: tuple[str, ...]) -> None:
        match fault:
            case faults.HealFault():
                self._mend(channels, "partition")
            case faults.ReleaseFault():
                self._mend(channels, "hold")
            case faults.SlowFault():
                for player in players:
                    self._slow(channels, player, fault)
            case faults.CorruptFault():
                for player in players:
                    self._note(player, channels.corrupt(player, fault.frames, fault.message))
            case faults.ResetFault() if players:
                self._note("", channels.reset(players, fault.peers))
            case faults.PartitionFault() | faults.HoldFault() if players:
                self._cut(channels, _ActiveCut(fault.kind, players, fault.peers), fault.lasts_ns)

    def _crash(self, players: tuple[str, ...], lasts_ns: int | None) -> None:
        end_ns = self._after(lasts_ns)
        for name in players:
            player = Player(name)
            if self._target.crash(player):
                self._crashed[player] = end_ns
                self._write(player, "crash")
            elif player in self._crashed:
                self._crashed[player] = _later(self._crashed[player], end_ns)
            else:
                continue
            self._end_at(("crash", player), self._crashed[player], self._restart, (player,), True)

    def _restart(self, players: tuple[str, ...], state: bool) -> None:
        for name in players:
            player = Player(name)
            if player in self._away:  # it does not come before its time
                if player in self._crashed:
                    self._away[player] = state
                    self._has_ended(player)
            elif player != MODEL_OWNER and self._target.restart(player, state):
                self._has_ended(player)
                self._write(player, "restart" if state else "restart without state")

    def _has_ended(self, player: Player) -> None:
        """A crash is over: a later one ends at its own time."""
        self._crashed.pop(player, None)
        self._never_end(("crash", player))

    def _goes(self, owner: Player) -> None:
        self._away[owner] = True
        if self._target.crash(owner):
            self._write(owner, "away")

    def _comes(self, owner: Player) -> None:
        state = self._away.pop(owner)
        if owner not in self._crashed and self._target.restart(owner, state):
            self._write(owner, "back" if state else "back without state")

    def _slow(self, channels: ChannelFaults, player: str, fault: faults.SlowFault) -> None:
        """The newest says how slow the player is, and until when."""
        self._note(player, channels.slow(player, fault.factor, fault.delay_ns))
        self._end_at(("slow", player), self._after(fault.lasts_ns), self._as_usual, channels, player)

    def _as_usual(self, channels: ChannelFaults, player: str) -> None:
        self._note(player, channels.slow(player))

    def _cut(self, channels: ChannelFaults, cut: _ActiveCut, lasts_ns: int | None) -> None:
        """One that is in force already stays so until the later end of the two."""
        end_ns = self._after(lasts_ns)
        if cut in self._cuts:
            self._cuts[cut] = _later(self._cuts[cut], end_ns)
        else:
            self._cuts[cut] = end_ns
            begin = channels.partition if cut.kind == "partition" else channels.hold
            self._note("", begin(cut.players, cut.peers))
        self._end_at(cut, self._cuts[cut], self._end_cut, channels, cut)

    def _mend(self, channels: ChannelFaults, kind: str) -> None:
        for cut in [cut for cut in self._cuts if cut.kind == kind]:
            self._end_cut(channels, cut)

    def _end_cut(self, channels: ChannelFaults, cut: _ActiveCut) -> None:
        del self._cuts[cut]
        self._never_end(cut)
        end = channels.heal if cut.kind == "partition" else channels.release
        self._note("", end(cut.players, cut.peers))

    # -- the rest ---------------------------------------------------------------------------------------------------

    def _now(self) -> int:
        """Nanoseconds since the start of the run."""
        return now_ns() - self._start_ns

    def _after(self, lasts_ns: int | None) -> int | None:
        """The end of what begins now."""
        return None if lasts_ns is None else self._now() + lasts_ns

    def _end_at(self, what: _Lasting, at_ns: int | None, end: Callable[..., None], *arguments: object) -> None:
        """Let it end by itself at this time and no other; None: it does not."""
        self._never_end(what)
        if at_ns is not None:
            self._ends[what] = call_at_ns(self._start_ns + at_ns, end, *arguments)

    def _never_end(self, what: _Lasting) -> None:
        """It is over, or ends at another time: its former timer ends nothing."""
        timer = self._ends.pop(what, None)
        if timer is not None:
            timer.cancel()

    def _note(self, player: str, what: str) -> None:
        """Write a fault to the trace: those on channels act in every process, and one of them tells."""
        if self._narrates:
            self._write(player, what)

    def _write(self, player: str, what: str) -> None:
        label, phase = self._label, self._phase
        self._trace.add(
            Record(self._now(), label.round, label.attempt, phase, "fault", player, player, "", 0, "", what)
        )


def _later(one_ns: int | None, other_ns: int | None) -> int | None:
    """Of two ends; None is never."""
    return None if one_ns is None or other_ns is None else max(one_ns, other_ns)
