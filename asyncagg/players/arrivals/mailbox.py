"""Mailbox of one role in one attempt: messages, departures and expiries that have come and have not been taken.

A peer may say each kind as often as it is permitted to in an attempt, which bounds the mailbox; more of it is a reason
to refuse the peer. What is there is handed out in a fixed order: messages as they arrived, then who is gone, then what
has expired. The mailbox does no I/O and knows no clock: the driver of every engine has one, and so has the explorer.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Collection

from asyncagg.protocols.effects import Event, Expired, Gone, Got
from asyncagg.protocols.messages import Message
from asyncagg.protocols.names import Cause, Player
from asyncagg.protocols.permissions import Permissions


class Mailbox:
    """The mailbox of one role in one attempt."""

    def __init__(self, me: str, permissions: Permissions) -> None:
        self._me = me
        self._permissions = permissions
        self._gone: dict[str, Gone] = {}
        """Peers that left and of whom the role has not been told."""
        self._refused: dict[str, None] = {}
        self._seen: dict[tuple[str, type[Message]], int] = {}
        self._arrivals = itertools.count()
        self._inbox: dict[type[Message], deque[tuple[int, Player, Message]]] = {}
        self._expired: deque[Player | None] = deque()

    def put(self, peer: Player, message: Message) -> str | None:
        """Take in a message; None, or why its sender is to be refused. A refused peer's messages are forgotten."""
        if peer in self._refused:
            return None
        kind = type(message)
        count = self._seen.get((peer, kind), 0) + 1
        permission = self._permissions.between(peer, self._me).kinds.get(kind.kind)
        if permission is None or count > permission.times:
            return f"sent {kind.kind} {count} times"
        self._seen[peer, kind] = count
        self._inbox.setdefault(kind, deque()).append((next(self._arrivals), peer, message))
        return None

    def has_heard(self, peer: str) -> bool:
        """True if this peer has said anything in this attempt."""
        return any(sender == peer for sender, _ in self._seen)

    def refuse(self, peer: str) -> bool:
        """Take nothing from this peer any more; False if that is so already."""
        if peer in self._refused:
            return False
        self._refused[peer] = None
        return True

    def depart(self, peer: str, reason: str, cause: Cause = "lost") -> None:
        """A peer is gone, or has ended its part; the first reason counts."""
        self._gone.setdefault(peer, Gone(Player(peer), reason, cause))

    def is_back(self, peer: str) -> None:
        """A peer that had left before the role began is there again: the role is not told that it was away."""
        self._gone.pop(peer, None)

    def expire(self, key: Player | None) -> None:
        """A deadline has passed: of the phase (None), or of an owner's permit."""
        self._expired.append(key)

    def forget_expired(self) -> None:
        """Forget what has expired and was not taken: it is of a phase that is over."""
        self._expired.clear()

    def next(self, kinds: tuple[type[Message], ...], peers: Collection[str]) -> Event | None:
        """Take out what comes next for a role that waits for these kinds, or for one of `peers` to leave."""
        queues = [queue for kind in kinds if (queue := self._inbox.get(kind))]
        if queues:
            _, peer, message = min(queues, key=lambda queue: queue[0][0]).popleft()
            return Got(peer, message)
        for name in peers if len(peers) < len(self._gone) else self._gone:
            if name in self._gone and name in peers:
                return self._gone.pop(name)
        if self._expired:
            return Expired(self._expired.popleft())
        return None

    def held(self, kind: type[Message]) -> int:
        """Number of messages of a kind that wait to be taken."""
        return len(self._inbox.get(kind, ()))
