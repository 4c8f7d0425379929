"""Names and colours as the page shows them."""

from __future__ import annotations

from typing import Final

from asyncagg.protocols.names import role_of

ROLES: Final = {"model-owner": "model owner", "data-owner": "data owner", "compute-node": "compute node"}
COLOURS: Final = {"model-owner": "#d55e00", "data-owner": "#009e73", "compute-node": "#0072b2"}
"""Of roles: three of the eight colours of Okabe and Ito, which colour-blind people can tell apart."""
OWNER_SHADES: Final = ("#009e73", "#00694d", "#2fae8a", "#0b7f6f", "#4f9a3f", "#1f8f9a", "#3d7a5c", "#00876c")
"""Of data owners, one after the other."""
CLASSES: Final = {
    "public": "may be read by its receiver: parameters, keys, names",
    "sealed": "encrypted for another player: passed on unread",
    "masked": "a vector under masks: says nothing without them",
    "share": "a share of a secret, or an answer that helps to remove masks",
    "sum": "a part of the sum of the survivors",
    "clear": "an owner's vector without any protection",
}
"""Class of a message → what its receiver can read in it."""
CLASS_COLOURS: Final = {
    "public": "#7a7a7a",
    "sealed": "#cc79a7",
    "masked": "#0072b2",
    "share": "#e69f00",
    "sum": "#009e73",
    "clear": "#d00000",
}
KIND_COLOURS: Final = {"deadline": "#d55e00", "line": "#56b4e9", "computing": "#009e73", "waiting": "#999999"}
"""Of pieces of a critical path."""
KINDS: Final = {
    "deadline": "waiting for a deadline",
    "line": "messages on their way",
    "computing": "computing",
    "waiting": "waiting",
}


def colour_of(player: str) -> str:
    """Of one player: its role's, and among data owners its own shade."""
    tail = player.rpartition("-")[2]
    if role_of(player) == "data-owner" and tail.isascii() and tail.isdigit():
        return OWNER_SHADES[int(tail) % len(OWNER_SHADES)]
    return COLOURS.get(role_of(player), "#777777")
