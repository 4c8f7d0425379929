"""Liveness of a connection, from what was counted on it and the time, without I/O and without a clock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from asyncagg.net.errors import seconds

SILENT_AFTER = 3
"""Keep-alive intervals without a byte from the peer after which it counts as gone."""
DOUBTFUL_AFTER = 2
"""Intervals after which a newer connection of the same player may take its place."""


class Sign(Enum):
    """Verdict on a connection: nothing to do, send a ping, or cut it and why."""

    FINE = auto()
    PING = auto()
    SILENT = auto()
    STALLED = auto()


@dataclass(frozen=True, slots=True)
class Counts:
    """Bytes on one connection: received, given to its transport, taken by the system; and those waiting."""

    received: int = 0
    given: int = 0
    taken: int = 0
    waiting: int = 0


class Keepalive:
    """Remembers when each count last moved. Times are nanoseconds of one clock, whichever it is.

    Time in which nobody looked counts against no peer: our own process stood still, and what the peer said
    meanwhile has yet to be read.
    """

    __slots__ = ("_counts", "_heard_ns", "_keepalive_ns", "_looked_ns", "_spoke_ns", "_stall_ns", "_took_ns")

    def __init__(self, now_ns: int, keepalive_ns: int, stall_ns: int) -> None:
        self._keepalive_ns = keepalive_ns
        self._stall_ns = stall_ns
        self._counts = Counts()
        self._looked_ns = self._heard_ns = self._spoke_ns = self._took_ns = now_ns

    @property
    def interval_ns(self) -> int:
        """Interval between looks, in nanoseconds: a connection is cut at most this much later than it might be."""
        return max(1, min(self._keepalive_ns, self._stall_ns) // 4)

    def look(self, now_ns: int, counts: Counts) -> Sign:
        """Take note of the counts at this time and say what follows."""
        self._forgive(now_ns)
        before, self._counts = self._counts, counts
        if counts.received != before.received:
            self._heard_ns = now_ns
        if counts.given != before.given:
            self._spoke_ns = now_ns
        if counts.taken > before.taken or not before.waiting:  # less is taken where TLS adds to what waits
            self._took_ns = now_ns
        if now_ns - self._heard_ns >= SILENT_AFTER * self._keepalive_ns:
            return Sign.SILENT
        if counts.waiting and now_ns - self._took_ns >= self._stall_ns:
            return Sign.STALLED
        return Sign.PING if now_ns - self._spoke_ns >= self._keepalive_ns else Sign.FINE

    def _forgive(self, now_ns: int) -> None:
        """Leave out the time since the last look, as far as it is more than looks are apart."""
        stood_still = now_ns - self._looked_ns - 2 * self.interval_ns
        if stood_still > 0:
            self._heard_ns += stood_still
            self._took_ns += stood_still
        self._looked_ns = now_ns

    def doubtful(self, now_ns: int) -> bool:
        """True if the peer should have said something by now, and has not."""
        return now_ns - self._heard_ns >= DOUBTFUL_AFTER * self._keepalive_ns

    def describe(self, sign: Sign) -> str:
        """The reason given for cutting a connection that is silent or stalled."""
        if sign is Sign.SILENT:
            return f"silent for {seconds(SILENT_AFTER * self._keepalive_ns)}"
        return f"stalled: took nothing for {seconds(self._stall_ns)}"
