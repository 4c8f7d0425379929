"""Rate limits: a bucket of tokens, or one for each source address, without a clock."""

from __future__ import annotations

import socket

from asyncagg.net.durations import SECOND_NS

_MOST = 4096  # addresses remembered


class Bucket:
    """Lets something happen `burst` times at once, and `per_second` times a second after that."""

    __slots__ = ("_bucket_ns", "_full_at_ns", "_token_ns")

    def __init__(self, burst: int, per_second: int) -> None:
        self._token_ns = SECOND_NS // per_second or 1
        self._bucket_ns = burst * self._token_ns
        self._full_at_ns = 0

    def take(self, now_ns: int) -> bool:
        """Take a token at this time: True if it may happen now."""
        full_at_ns = max(self._full_at_ns, now_ns) + self._token_ns
        if full_at_ns - now_ns > self._bucket_ns:
            return False
        self._full_at_ns = full_at_ns
        return True

    def is_full(self, now_ns: int) -> bool:
        """True if nothing has happened for so long that the bucket is as good as new."""
        return self._full_at_ns <= now_ns


class RateLimiter:
    """Lets an address connect `burst` times at once, and `per_second` times a second after that.

    What is kept of an address is when its bucket will be full again; a full one is not worth keeping. Whoever
    has a network of IPv6 addresses has at least 2^64 of them: they share one bucket.
    """

    def __init__(self, burst: int, per_second: int) -> None:
        self._rate = burst, per_second
        self._buckets: dict[bytes, Bucket] = {}

    def take(self, host: str, now_ns: int) -> bool:
        """True if `host`, a numeric address, may connect now; it then has one token less."""
        source = _network(host)
        bucket = self._buckets.get(source)
        if bucket is None:
            if len(self._buckets) >= _MOST:
                self._forget(now_ns)
            bucket = self._buckets[source] = Bucket(*self._rate)
        return bucket.take(now_ns)

    def __len__(self) -> int:
        """Number of addresses remembered."""
        return len(self._buckets)

    def _forget(self, now_ns: int) -> None:
        """Forget full buckets; if that is not enough, those that have been known longest."""
        kept = [(source, bucket) for source, bucket in self._buckets.items() if not bucket.is_full(now_ns)]
        self._buckets = dict(kept[-(_MOST // 2) :])


def _network(host: str) -> bytes:
    if ":" not in host:
        return host.encode()
    return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])[:8]
