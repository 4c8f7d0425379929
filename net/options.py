"""The times and numbers that bound what a connection over TCP may cost."""

from __future__ import annotations

from dataclasses import dataclass

from asyncagg.net.durations import SECOND_NS


@dataclass(frozen=True, slots=True)
class TcpOptions:
    """Defaults suit hosts on the same continent; times are nanoseconds."""

    hello_ns: int = 5 * SECOND_NS
    """Longest time for one connection attempt, and for a stranger to stay without a valid hello."""

    keepalive_ns: int = 10 * SECOND_NS
    """A connection that sent nothing for this long says so; one silent for three times this is cut."""

    stall_ns: int = 30 * SECOND_NS
    """A peer that takes nothing for this long while data waits for it is cut."""

    linger_ns: int = 5 * SECOND_NS
    """Longest time that a closed connection waits for the other side to close it too."""

    max_players: int = 1024
    """Players that one connection may carry."""

    max_waiting: int = 256
    """Connections that may be without a hello at one time; the one that has waited longest makes room."""

    max_connections: int = 4096
    """Connections that may be open at one time, of those that were accepted."""

    source_burst: int = 512
    """Connections that one source address may make at once."""

    source_per_second: int = 64
    """Further connections of one source address each second after that."""

    opening_burst: int = 64
    """Channels that one player may open to another at once, over whichever connections."""

    openings_per_second: int = 8
    """Further openings of one player each second after that."""

    unasked_burst: int = 1024
    """Frames that one player may send to another at once without effect: pings, or to a channel that is closed."""

    unasked_per_second: int = 16
    """Further such frames of one player each second after that."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
