"""How often each source address may connect: a bucket of tokens for each, without a clock and in bounded memory."""

from __future__ import annotations

import socket

from asyncagg.net.errors import NANOSECONDS

_MOST = 4096  # addresses remembered


class RateLimiter:
    """Lets an address connect `burst` times at once, and `per_second` times a second after that.

    What is kept of an address is when its bucket will be full again; a full one is not worth keeping. Whoever
    has a network of IPv6 addresses has at least 2^64 of them: they share one bucket.
    """

    def __init__(self, burst: int, per_second: int) -> None:
        self._token_ns = NANOSECONDS // per_second or 1
        self._bucket_ns = burst * self._token_ns
        self._full_at_ns: dict[bytes, int] = {}

    def take(self, host: str, now_ns: int) -> bool:
        """Whether `host`, a numeric address, may connect now; if so, it has one token less."""
        source = _network(host)
        full_at_ns = max(self._full_at_ns.get(source, now_ns), now_ns) + self._token_ns
        if full_at_ns - now_ns > self._bucket_ns:
            return False
        self._full_at_ns[source] = full_at_ns
        if len(self._full_at_ns) > _MOST:
            self._forget(now_ns)
        return True

    def __len__(self) -> int:
        """How many addresses are remembered."""
        return len(self._full_at_ns)

    def _forget(self, now_ns: int) -> None:
        """Forget full buckets; if that is not enough, those that have been known longest."""
        kept = [(source, when) for source, when in self._full_at_ns.items() if when > now_ns]
        self._full_at_ns = dict(kept[-(_MOST // 2) :])


def _network(host: str) -> bytes:
    if ":" not in host:
        return host.encode()
    return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])[:8]
