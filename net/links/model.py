"""Model of a link, in closed form: latency, jitter, loss, and a queue at either end of it.

A host is one player. It has one line up and one line down, each first in, first out, one message after the
other; all channels of the player share them. A message of `size` bytes sent at `now` on a channel from S to R

    leaves S        departed = max(now, S.up is free) + ceil(size * 8e9 / S.bandwidth_up)
    reaches R       arrived  = departed + latency + jitter + retransmissions, or when the message before it on
                               this channel arrived, if that is later
    is delivered    taken    = max(arrived, R.down is free) + ceil(size * 8e9 / R.bandwidth_down)

at these times, in integer nanoseconds; a line without a bandwidth takes none. It is stored and forwarded
whole: the line down starts when the last byte has arrived. Latency, jitter and loss are those of the player
that dialled the channel, bandwidth and queue limit those of S and of R. A channel's end travels like a
message of no bytes.

Not modelled: congestion control and receive windows, the handshakes of TCP and TLS (dialling takes no time),
acknowledgements, and the headers below those of our frames.

This module has no clock and no I/O; `linked` applies it to channels.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from asyncagg.net.durations import SECOND_NS
from asyncagg.net.links.latency import NO_LATENCY, Latency

SEGMENT = 1448
"""Bytes of a TCP segment over Ethernet: 1500 less headers of 40 and timestamps of 12."""

MAX_RTO_NS = 60 * SECOND_NS
"""The longest wait between two transmissions of a segment (RFC 6298, 2.5)."""

_BIT_NS = 8 * SECOND_NS  # nanoseconds that a byte takes at one bit per second


@dataclass(frozen=True, slots=True)
class Link:
    """Connection of a player. ValueError for values out of range."""

    latency: Latency = NO_LATENCY
    """One way, without the time on the lines up and down."""

    jitter_ns: int = 0
    """Added to the latency: uniform in ± this, the sum never negative. A channel stays in order."""

    bandwidth_up: int | None = None
    """Bits per second; None for no limit."""

    bandwidth_down: int | None = None
    """Bits per second; None for no limit."""

    loss: float = 0.0
    """Probability that a segment is lost, each on its own and each time anew. It costs time, never bytes."""

    rto_ns: int = 200_000_000
    """Time until a lost segment is sent again, doubled with each loss in a row; the least in Linux."""

    queue_limit: int | None = None
    """Bytes that the host may have in flight, up or down, when a message comes; None for no limit.

    Up, what the player has sent and has not arrived, even if a fault holds it back; down, what has arrived
    and is not delivered. Sending never blocks, so a queue is back-pressure by time alone, and this limit is
    what bounds its memory: the channel whose message finds more than that in flight breaks, and both sides
    are told `connection lost: queue full`. A message of any size passes when it is alone.
    """

    def __post_init__(self) -> None:
        _require("jitter_ns", self.jitter_ns, self.jitter_ns >= 0, "0 or more")
        _require("loss", self.loss, 0 <= self.loss < 1, "at least 0 and less than 1")
        _require("rto_ns", self.rto_ns, 0 < self.rto_ns <= MAX_RTO_NS, "more than 0 and at most 60 s")
        for name in ("bandwidth_up", "bandwidth_down", "queue_limit"):
            value = getattr(self, name)
            _require(name, value, value is None or value > 0, "positive, or None for no limit")

    @property
    def delays(self) -> bool:
        """True if messages take any time between departure and arrival."""
        return self.latency.varies or self.latency.delay_ns(0) > 0 or self.jitter_ns > 0 or self.loss > 0


class Path:
    """The way from one player to another over a link: how long each message is on it.

    Each direction of each pair has streams of its own for latency, jitter and loss, named after the two
    players, so that no one's delays depend on who else is there.
    """

    __slots__ = ("_jitter", "_latency", "_link", "_loss", "_model")

    def __init__(self, link: Link, seed: int, source: str, target: str) -> None:
        def stream(purpose: str) -> Callable[[], float]:
            return random.Random(f"{seed}/link/{source}/{target}/{purpose}").random

        self._link = link
        self._model = link.latency.between(lambda: stream("pair")())
        self._latency = stream("latency") if link.latency.varies else None
        self._jitter = stream("jitter") if link.jitter_ns else None
        self._loss = stream("loss") if link.loss else None

    def delay_ns(self, size: int) -> int:
        """Time from departure to arrival of the next message, of `size` bytes, behind no other."""
        delay_ns = self._model.delay_ns(self._latency() if self._latency else 0)
        if self._jitter:
            delay_ns = max(0, delay_ns + round((2 * self._jitter() - 1) * self._link.jitter_ns))
        if self._loss:
            losses = losses_in_a_row(self._link.loss, size, self._loss())
            delay_ns += retransmission_ns(self._link.rto_ns, losses)
        return delay_ns


class HostQueue:
    """A host's line in one direction. `load` is the bytes in flight; who keeps the messages updates it."""

    __slots__ = ("_bandwidth", "_free_ns", "_limit", "load")

    def __init__(self, bandwidth: int | None, limit: int | None) -> None:
        self._bandwidth = bandwidth
        self._limit = limit
        self._free_ns = 0
        self.load = 0

    @property
    def full(self) -> bool:
        """True if no further message may come."""
        return self._limit is not None and self.load > self._limit

    def serve(self, now_ns: int, size: int, factor: float = 1.0) -> int:
        """Time when the line is done with a message of `size` bytes that comes now and takes `factor` times as long."""
        if self._bandwidth is None:
            return now_ns
        busy_ns = -(-size * _BIT_NS // self._bandwidth)
        self._free_ns = max(now_ns, self._free_ns) + stretch(busy_ns, factor)
        return self._free_ns


def losses_in_a_row(loss: float, size: int, u: float) -> int:
    """Number of times that the unluckiest segment of a message of `size` bytes is lost, for a draw `u`.

    All n segments are lost at most k times with probability (1 - loss ** (k + 1)) ** n; this is its inverse.
    """
    segments = max(1, -(-size // SEGMENT))
    losses = 0
    while math.exp(segments * math.log1p(-(loss ** (losses + 1)))) <= u:
        losses += 1
    return losses


def retransmission_ns(rto_ns: int, losses: int) -> int:
    """Time that so many losses in a row cost, in ns: rto + 2 rto + 4 rto + …, no term above `MAX_RTO_NS`."""
    return sum(min(rto_ns << min(nth, 64), MAX_RTO_NS) for nth in range(losses))


def stretch(duration_ns: int, factor: float) -> int:
    """`factor` times a duration; a factor of 1 changes not a nanosecond, however long it is."""
    return duration_ns if factor == 1 else round(duration_ns * factor)


def _require(name: str, value: object, holds: bool, rule: str) -> None:
    if not holds:
        raise ValueError(f"a link's {name} must be {rule}, got {value!r}")
