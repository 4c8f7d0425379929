"""Messages of an attempt that this player has not been told of yet, kept until it is, and bounded.

Channels overtake each other: an owner may be told of an attempt, and answer, before a compute node hears of it. Of each
peer the latest attempt's messages are kept, each kind once, and no more bytes than its largest single message. A vector
that needs a permit is not kept: nobody has one before the attempt begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from asyncagg.protocols.messages import Message, MessageError
from asyncagg.protocols.names import Label, Player
from asyncagg.protocols.permissions import Permissions

NO_ROUND = Label(0, 0)


@dataclass(slots=True)
class _Kept:
    """Messages kept of one peer."""

    label: Label
    messages: list[tuple[Message, int]] = field(default_factory=list)
    """Messages with their sizes, in bytes."""
    size: int = 0


class Stash:
    """Stashed messages by peer."""

    def __init__(self, me: str, permissions: Permissions, *, permits: bool) -> None:
        """`permits` is true if uploads need one."""
        self._me = me
        self._permissions = permissions
        self._permits = permits
        self._kept: dict[str, _Kept] = {}

    def keep(self, peer: str, label: Label, message: Message, size: int, current: Label) -> None:
        """Keep a message of `size` bytes for `label`, which is later than `current`, if it may be kept.

        MessageError for what no honest peer sends ahead.
        """
        if not _follows(label, current) or (message.permitted and self._permits):
            return
        kept = self._kept.get(peer)
        if kept is None or kept.label < label:
            kept = self._kept[peer] = _Kept(label)
        elif kept.label > label:
            return
        if not message.many and any(type(message) is type(earlier) for earlier, _ in kept.messages):
            raise MessageError(f"sent {message.kind} again, ahead of its attempt")
        most = self._permissions.between(peer, self._me).ahead
        if kept.size + size > most:
            raise MessageError(f"sent {kept.size + size} bytes ahead of their attempt, at most {most} are kept")
        kept.messages.append((message, size))
        kept.size += size

    def taken(self) -> Iterator[tuple[Player, Label, Message, int]]:
        """All that was kept, which is kept no more, in the order in which peers began and then in which they spoke."""
        all_kept, self._kept = self._kept, {}
        for peer, kept in all_kept.items():
            for message, size in kept.messages:
                yield Player(peer), kept.label, message, size

    def forget(self, peer: str) -> None:
        """Drop what a peer said: it is gone."""
        self._kept.pop(peer, None)

    def clear(self) -> None:
        """Drop everything."""
        self._kept.clear()

    def __len__(self) -> int:
        """Bytes that are kept."""
        return sum(kept.size for kept in self._kept.values())


def _follows(label: Label, current: Label) -> bool:
    """True if an attempt may be the next: at this round or at the one after it, for attempts may have been missed.

    A player that knows of no attempt cannot tell.
    """
    return current == NO_ROUND or label.round <= current.round + 1
