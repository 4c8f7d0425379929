"""Allowance of each peer in all: as much as an honest one would say, attempt by attempt, and some that came late.

Every frame counts, whatever its label: those of attempts that are over, or were never begun, too. So a peer that
repeats itself is noticed after a few frames, and an honest one never.
"""

from __future__ import annotations

from asyncagg.protocols.messages import MessageError
from asyncagg.protocols.permissions import Permissions

ATTEMPTS = 32
"""Attempts whose messages may come together, from a peer that was held up or that knows of more attempts."""


class Allowance:
    """A bucket for each peer and kind of message, which every attempt fills by what it may bring."""

    def __init__(self, me: str, permissions: Permissions) -> None:
        self._me = me
        self._permissions = permissions
        self._attempts = 0
        self._left: dict[tuple[str, str], tuple[int, int]] = {}
        """Peer and kind → how many more, as of which attempt."""

    def begin(self) -> None:
        """Another attempt has begun."""
        self._attempts += 1

    def take(self, peer: str, kind: str) -> None:
        """One more frame. MessageError where the peer may not say so, or has said it too often."""
        permission = self._permissions.between(peer, self._me).kinds.get(kind)
        if permission is None:
            raise MessageError(f"sent {kind}, which is not for it to say to {self._me}")
        most = ATTEMPTS * permission.times
        left, of = self._left.get((peer, kind), (most, self._attempts))
        left = min(most, left + (self._attempts - of) * permission.times) - 1
        if left < 0:
            raise MessageError(f"sent {kind} more than {most} times too often")
        self._left[peer, kind] = left, self._attempts
