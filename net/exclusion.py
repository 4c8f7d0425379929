"""Exclusion of refused players for a time, without a clock and in bounded memory.

A refused player may not come back before it is pardoned, and then not before a wait that doubles with each refusal:
1, 2, 4 … 60 s. One whose last refusal is long ago begins at 1 s again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from asyncagg.net.durations import SECOND_NS
from asyncagg.net.errors import seconds

FIRST_NS, LONGEST_NS = SECOND_NS, 60 * SECOND_NS
FORGOTTEN_NS = 600 * SECOND_NS
"""A refusal that is longer ago than this counts no more."""
_MOST = 4096  # remembered by one player


@dataclass(slots=True)
class Backoff:
    """The waits after refusals, each twice as long as the last."""

    _wait_ns: int = 0
    _last_ns: int = 0

    def refused(self, now_ns: int) -> int:
        """Note a refusal at this time and return how long to wait after it, in nanoseconds."""
        if now_ns - self._last_ns > FORGOTTEN_NS:
            self._wait_ns = 0
        self._last_ns = now_ns
        self._wait_ns = min(2 * self._wait_ns, LONGEST_NS) or FIRST_NS
        return self._wait_ns

    def is_over(self, now_ns: int) -> bool:
        """True if it need not be remembered any more."""
        return now_ns - self._last_ns > FORGOTTEN_NS


@dataclass(slots=True)
class _Excluded:
    """One player, at another."""

    backoff: Backoff = field(default_factory=Backoff)
    until_ns: int = 0
    pardoned: bool = False


class Exclusions:
    """Players that may not come back yet, by local and remote player."""

    def __init__(self) -> None:
        self._players: dict[str, dict[str, _Excluded]] = {}

    def refuse(self, local: str, remote: str, now_ns: int) -> None:
        """Keep `remote` away from `local` until it is pardoned, and for a while."""
        mine = self._players.setdefault(local, {})
        excluded = mine.setdefault(remote, _Excluded())
        excluded.until_ns = now_ns + excluded.backoff.refused(now_ns)
        excluded.pardoned = False
        if len(mine) > _MOST:
            self._players[local] = _rest(mine, now_ns)

    def pardon(self, local: str) -> None:
        """Whoever `local` has refused so far may come back when its time is over."""
        for excluded in self._players.get(local, {}).values():
            excluded.pardoned = True

    def objection(self, local: str, remote: str, now_ns: int) -> str | None:
        """Reason why `remote` may not come to `local` now; None if it may."""
        excluded = self._players.get(local, {}).get(remote)
        if excluded is None or (excluded.pardoned and now_ns >= excluded.until_ns):
            return None
        left_ns = excluded.until_ns - now_ns
        when = f"in {seconds(left_ns)}" if left_ns > 0 and excluded.pardoned else "later"
        return f"{remote} was refused before, and may come back {when}"


def _rest(players: dict[str, _Excluded], now_ns: int) -> dict[str, _Excluded]:
    """Players to remember further: not those refused long ago, nor, if too many are left, those known longest."""
    kept = [(name, each) for name, each in players.items() if not each.backoff.is_over(now_ns)]
    return dict(kept[-(_MOST // 2) :])
