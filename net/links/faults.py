"""Faults of channels: cut, held, reset, damaged and slowed, at the moment when an engine says so.

A fault acts where frames are sent: in an engine of several processes each process is told of every fault
and applies what concerns the players that live there. Channels are streams, and what a cut or a hold keeps
back is late, not lost:

    partition   frames between two groups that would arrive stay on their way; at `heal` those that are due
                arrive at once and in order, as retransmissions would; without `heal` they never do.
                Dialling across waits.
    hold        the same in one direction, until `release`
    reset       both sides of a channel are told `connection reset` now; what was on its way is lost
    corrupt     one byte of a frame's payload is changed, or of its body when it has no payload; never of its
                header
    slow        what a player sends takes a factor longer on its line up and on its way, and then some
                fixed time more
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from asyncagg.net.errors import seconds
from asyncagg.net.links.delay_line import DelayLine
from asyncagg.net.waiters import Waiters

RESET = "connection reset"
"""Reason given to both sides of a channel by `reset`: the words of a real one."""

Names: TypeAlias = str | Sequence[str]
"""One player or several."""

_SHOWN = 4


class FaultyChannel(Protocol):
    """The sending side of a channel, as faults know it."""

    local: str
    remote: str

    @property
    def outward(self) -> DelayLine:
        """Line of the frames on their way to the other side."""

    def break_off(self, reason: str) -> None:
        """End the channel at once; tell both sides."""


@dataclass(frozen=True, slots=True)
class Slowness:
    """Slowdown of a player's frames: they take `factor` times as long as usual, and `delay_ns` more."""

    factor: float = 1.0
    delay_ns: int = 0

    def __post_init__(self) -> None:
        if not (1 <= self.factor < 1e6 and self.delay_ns >= 0):
            raise ValueError(f"to be slow is a factor from 1 to 1e6 and a delay of 0 or more, got {self!r}")


USUAL = Slowness()


@dataclass(frozen=True, slots=True)
class _Separation:
    """Frames from `sources` to `targets` (None: everyone else) stay on their way; if `mutual`, also back."""

    sources: frozenset[str]
    targets: frozenset[str] | None
    mutual: bool

    def stops(self, source: str, target: str) -> bool:
        return self._covers(source, target) or (self.mutual and self._covers(target, source))

    def _covers(self, source: str, target: str) -> bool:
        return source in self.sources and (
            target not in self.sources if self.targets is None else target in self.targets
        )


@dataclass(slots=True)
class _Damage:
    """Frames of a kind, or of any, that are still to be corrupted."""

    kind: str | None
    count: int


class ChannelFaults:
    """The faults of a network's channels.

    Every call acts now and returns in words what happened, for the trace. Corruption draws from the seed.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._channels: dict[FaultyChannel, None] = {}
        self._cuts: list[_Separation] = []
        self._slow: dict[str, Slowness] = {}
        self._damages: dict[str, list[_Damage]] = {}
        self._streams: dict[str, Callable[[], float]] = {}
        self.healed = Waiters("cut off by a fault")
        """Woken whenever a cut ends."""

    # --- for engines

    def partition(self, one: Names, other: Names | None = None) -> str:
        """Cut two groups off from each other; without `other`, `one` from everyone else."""
        self._cut(_Separation(frozenset(_each(one)), _group(other), mutual=True))
        return f"partition: {_show(one)} | {_show(other)}"

    def heal(self, one: Names, other: Names | None = None) -> str:
        """End a partition of exactly these groups. ValueError if there is none."""
        self._mend(_Separation(frozenset(_each(one)), _group(other), mutual=True), "partition")
        return f"heal: {_show(one)} | {_show(other)}"

    def hold(self, source: Names, target: Names | None = None) -> str:
        """Hold back what `source` sends to `target`, by default to everyone else."""
        self._cut(_Separation(frozenset(_each(source)), _group(target), mutual=False))
        return f"hold: {_show(source)} -> {_show(target)}"

    def release(self, source: Names, target: Names | None = None) -> str:
        """End a hold of exactly these groups. ValueError if there is none."""
        self._mend(_Separation(frozenset(_each(source)), _group(target), mutual=False), "hold")
        return f"release: {_show(source)} -> {_show(target)}"

    def reset(self, one: Names, other: Names | None = None) -> str:
        """Tear down the channels between two groups; without `other`, between `one` and everyone else."""
        between = _Separation(frozenset(_each(one)), _group(other), mutual=True)
        for channel in [each for each in self._channels if between.stops(each.local, each.remote)]:
            channel.break_off(RESET)
        return f"reset: {_show(one)} | {_show(other)}"

    def corrupt(self, player: str, count: int = 1, kind: str | None = None) -> str:
        """Change a byte in each of the next `count` frames that `player` sends, of one kind or of any."""
        if count < 1:
            raise ValueError(f"{player}: the number of frames to corrupt must be positive, got {count}")
        self._damages.setdefault(player, []).append(_Damage(kind, count))
        return f"corrupt: the next {count} {kind or 'of any kind'} from {player}"

    def slow(self, player: str, factor: float = 1.0, delay_ns: int = 0) -> str:
        """Slow down what `player` sends from now on; a factor of 1 and no delay is back to usual."""
        self._slow[player] = Slowness(factor, delay_ns)
        return f"slow: {player} takes {factor:g} times as long and {seconds(delay_ns)} more"

    # --- for channels

    def join(self, channel: FaultyChannel) -> None:
        """Take on a new channel."""
        self._channels[channel] = None
        if self.stop(channel.local, channel.remote):
            channel.outward.hold()

    def leave(self, channel: FaultyChannel) -> None:
        """Forget a channel that is no more."""
        self._channels.pop(channel, None)

    def stop(self, source: str, target: str) -> bool:
        """True if frames from `source` to `target` are held back at present."""
        return any(cut.stops(source, target) for cut in self._cuts)

    def slowness(self, player: str) -> Slowness:
        """Slowdown of the player at present."""
        return self._slow.get(player, USUAL)

    def damage(
        self, sender: str, kind: str, body: bytes, payload: memoryview | bytes
    ) -> tuple[bytes, memoryview | bytes]:
        """Body and payload of a frame as they are to be sent. The originals are never written to."""
        damages = self._damages.get(sender)
        if not damages or not (body or payload):
            return body, payload
        wanted = next((each for each in damages if each.kind in (None, kind)), None)
        if wanted is None:
            return body, payload
        wanted.count -= 1
        if not wanted.count:
            damages.remove(wanted)
        return (body, self._flip(sender, payload)) if payload else (self._flip(sender, body), payload)

    # --- the rest

    def _cut(self, cut: _Separation) -> None:
        self._cuts.append(cut)
        for channel in self._channels:
            if cut.stops(channel.local, channel.remote):
                channel.outward.hold()

    def _mend(self, cut: _Separation, what: str) -> None:
        if cut not in self._cuts:
            raise ValueError(f"no {what} of these groups is in force: it ends with the groups it began with")
        self._cuts.remove(cut)
        for channel in self._channels:
            if cut.stops(channel.local, channel.remote) and not self.stop(channel.local, channel.remote):
                channel.outward.release()
        self.healed.wake()

    def _flip(self, sender: str, data: memoryview | bytes) -> bytes:
        draw = self._streams.get(sender)
        if draw is None:
            draw = self._streams[sender] = random.Random(f"{self._seed}/fault/{sender}/corrupt").random
        damaged = bytearray(data)
        damaged[int(draw() * len(damaged))] ^= 1 + int(draw() * 255)
        return bytes(damaged)


def _each(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _group(names: Names | None) -> frozenset[str] | None:
    return None if names is None else frozenset(_each(names))


def _show(names: Names | None) -> str:
    if names is None:
        return "everyone else"
    each = _each(names)
    more = f" and {len(each) - _SHOWN} more" if len(each) > _SHOWN else ""
    return ", ".join(each[:_SHOWN]) + more
