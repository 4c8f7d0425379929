"""What stands between any two hosts of a testbed."""

from __future__ import annotations

from dataclasses import dataclass

DEVICE = "eth0"
"""The one interface of each host, besides its loopback."""

MTU = 1500
"""Bytes of the largest packet, its IP header included."""


@dataclass(frozen=True, slots=True)
class Link:
    """The same between all hosts. ValueError for values out of range."""

    delay_ms: float = 0.0
    """One way, for each packet: a round trip takes twice this."""

    loss: float = 0.0
    """Probability that a packet is lost, each on its own: data, acknowledgements and handshakes alike."""

    rate_mbit: float | None = None
    """Of each host's line up, in 10^6 bits of IP packets per second, first in, first out; None for no limit.
    A host receives as fast as others send."""

    seed: int = 0
    """Of the draws for `loss` on engine `wire`, one stream for each host that sends. Which packet a draw falls on is up
    to the kernels' timing; the kernel's netem draws as it likes."""

    def __post_init__(self) -> None:
        _require("delay_ms", self.delay_ms, 0 <= self.delay_ms <= 60_000, "at least 0 and at most 60000")
        _require("loss", self.loss, 0 <= self.loss < 1, "at least 0 and less than 1")
        _require("rate_mbit", self.rate_mbit, self.rate_mbit is None or self.rate_mbit > 0, "positive, or None")


def _require(name: str, value: object, holds: bool, right: str) -> None:
    if not holds:
        raise ValueError(f"{name} = {value!r} ({right})")


NO_LINK = Link()
"""No delay, no loss and no limit."""
